# SPDX-License-Identifier: Apache-2.0
"""CPU time of the target: for messages by their rate, and for connects.

    cost = message_cost([(rate, CPU time of a message in ns), ...])
    low, cores, high = cost.at(20_000)          processors that 20 000 messages a second take

Where three rates or more were measured, processors follow the rate by one of two forms, the one that is nearer to the points:

    line        base + slope x rate
    set-up      base + rate x first / (1 + rate x saved): the first message of a busy period pays for waking up, those that come
                meanwhile share it, and the busier the server, the more do (M/G/1 queue with exceptional first service, Welch 1964:
                busy = rate x first (1 - busy) + rate x further x busy, so saved = first - further). Beyond twice the highest
                measured rate a message costs what it does there, since no message is free

The set-up is taken where it is nearer to the points than scatter would make it (F test at 95 %), otherwise the line.
Both are least squares with relative errors (a processor that is somewhat busy costs each message some per cent, not some microseconds).
Of fewer rates a message costs what it did at the highest, and the interval is that of the repetitions. Intervals are Student's t at
95 %; of a single run there is none.
"""
import math
from dataclasses import dataclass

import numpy

from poolmark.base.distributions import t_quantile
from poolmark.compare.blocks import Array
from poolmark.model.predicted import Predicted

CONFIDENCE = 0.95
LEAST_RATES = 3             # of a line with an interval
SAME_RATE = 0.05            # rates that differ by less are one
TOLERANCE_PERCENT = 10.0    # of the held-out rate
NS = 1e-9
PROPORTIONAL, LINE, SET_UP = "proportional", "line", "set-up"
REACH = 2.0                 # times the highest measured rate: so far a set-up is extrapolated
LEAST_SET_UP = 4            # rates for three coefficients
FALLING = 1e-3              # least share that a message saves at the highest rate, for a set-up that is no line


def _t(freedom: int) -> float:
    return t_quantile((1 + CONFIDENCE) / 2, freedom) if freedom > 0 else math.inf


@dataclass(frozen=True)
class Mean:
    """The mean of repetitions. `half`: of its 95 % interval; infinite for one value."""
    value: float
    half: float
    runs: int


def mean_of(values: list[float]) -> Mean:
    """Of one value or more."""
    mean = sum(values) / len(values)
    freedom = len(values) - 1
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / freedom) if freedom else math.inf
    return Mean(mean, _t(freedom) * spread / math.sqrt(len(values)) if freedom else math.inf, len(values))


@dataclass(frozen=True)
class Cost:
    """Processors against messages a second."""
    form: str                   # PROPORTIONAL, LINE, SET_UP
    coefficients: Array         # (processors without a message, processor seconds of a message that comes alone, seconds saved)
    covariance: Array | None    # of them; None: proportional, with `half`
    freedom: int
    half: float                         # of the interval of a message's cost, where it is proportional
    rates: tuple[float, ...]            # measured, each once
    runs: int

    @property
    def base(self) -> float:
        """Processors without a message."""
        return max(0.0, float(self.coefficients[0]))

    @property
    def alone(self) -> float:
        """Processor seconds of a message that comes alone."""
        return float(self.coefficients[1])

    def at(self, rate: float) -> tuple[float | None, float, float | None]:
        """(low, processors, high). low and high are None without an interval."""
        if rate <= 0:
            return (self.base, self.base, self.base)
        inside = min(rate, REACH * self.rates[-1]) if self.form == SET_UP else rate
        factor = rate / inside
        value = max(0.0, float(_processors(self.coefficients, numpy.array([inside]))[0])) * factor
        half = self.half * rate
        if self.covariance is not None:
            row = _slopes(self.coefficients, numpy.array([inside]))[0]
            half = _t(self.freedom) * math.sqrt(max(0.0, float(row @ self.covariance @ row))) * factor
        return (max(0.0, value - half), value, value + half) if math.isfinite(half) else (None, value, None)

    def message_s(self, rate: float) -> float:
        """Processor seconds of a message at a rate, its share of the base included."""
        return self.at(rate)[1] / rate


def distinct(rates: list[float]) -> list[float]:
    """The measured rates, each once, those of less than SAME_RATE apart as one."""
    found: list[float] = []
    for rate in sorted(rates):
        if not found or rate > found[-1] * (1 + SAME_RATE):
            found.append(rate)
    return found


def _processors(coefficients: Array, rates: Array) -> Array:
    base, alone, saved = coefficients
    return numpy.asarray(base + rates * alone / (1 + rates * saved))


def _slopes(coefficients: Array, rates: Array) -> Array:
    """Of the processors by each coefficient: a row for each rate."""
    _, alone, saved = coefficients
    shared = 1 + rates * saved
    return numpy.stack([numpy.ones_like(rates), rates / shared, -alone * (rates / shared) ** 2], axis=1)


Formed = tuple[str, Array, Array, float]    # form, coefficients, their covariance, sum of squared relative errors


def _line(x: Array, y: Array) -> Formed | None:
    design = numpy.stack([numpy.ones_like(x), x], axis=1)
    weight = 1.0 / (y * y)
    try:
        inverse = numpy.linalg.inv(design.T @ (design * weight[:, None]))
    except numpy.linalg.LinAlgError:
        return None
    found = inverse @ (design.T @ (weight * y))
    given = design @ found
    if found[1] <= 0 or numpy.any(given <= 0):
        return None
    squares = float(numpy.sum(((y - given) / y) ** 2))
    covariance = numpy.zeros((3, 3))
    covariance[:2, :2] = inverse * squares / (len(y) - 2)
    return LINE, numpy.array([found[0], found[1], 0.0]), covariance, squares


def _set_up(x: Array, y: Array) -> Formed | None:
    """None where a message costs no less the more there are."""
    from scipy import optimize  # here, as in base/distributions.py

    each = float((y / x).max())
    scale = numpy.array([float(y.min()), each, 1.0 / float(x.max())])
    found = optimize.least_squares(lambda at: _processors(at * scale, x) / y - 1, numpy.array([0.1, 1.0, 0.1]),
                                   jac=lambda at: _slopes(at * scale, x) * scale / y[:, None], bounds=(0.0, numpy.inf))
    if not found.success or found.x[1] <= 0 or found.x[2] < FALLING:
        return None
    squares = float(found.fun @ found.fun)
    free = found.x > 0      # a base of nothing is at its bound, and has no error of its own
    covariance = numpy.zeros((3, 3))
    jacobian = found.jac[:, free] / scale[free]
    covariance[numpy.ix_(free, free)] = numpy.linalg.pinv(jacobian.T @ jacobian) * squares / (len(y) - int(free.sum()))
    return SET_UP, found.x * scale, covariance, squares


def _tells(gained: float, squares: float, freedom: int) -> bool:
    """Whether a third coefficient that takes `gained` off the squares and leaves `squares` is more than scatter: F test at 95 %."""
    return freedom > 0 and gained * freedom > _t(freedom) ** 2 * squares


def message_cost(points: list[tuple[float, float]]) -> Cost | None:
    """`points`: (messages a second, CPU time of a message in ns), both above zero. None without points, or when more messages would
    take less CPU time."""
    kept = [(rate, rate * each * NS) for rate, each in points if rate > 0 and each > 0]
    if not kept:
        return None
    rates = distinct([rate for rate, _ in kept])
    if len(rates) < LEAST_RATES:
        highest = mean_of([cores / rate for rate, cores in kept if rate >= rates[-1]])
        return Cost(PROPORTIONAL, numpy.array([0.0, highest.value, 0.0]), None, 0, highest.half, tuple(rates), highest.runs)
    x, y = (numpy.array(column) for column in zip(*kept, strict=True))
    line, set_up = _line(x, y), _set_up(x, y) if len(rates) >= LEAST_SET_UP else None
    chosen = set_up if set_up and (line is None or _tells(line[3] - set_up[3], set_up[3], len(x) - 3)) else line
    if chosen is None:
        return None
    form, coefficients, covariance, _ = chosen
    return Cost(form, coefficients, covariance, len(x) - (3 if form == SET_UP else 2), math.inf, tuple(rates), len(kept))


@dataclass(frozen=True)
class HeldOutRate(Predicted):
    rate: float
    measured: float         # processors
    predicted: float
    most_percent = TOLERANCE_PERCENT


def hold_out(points: list[tuple[float, float]], rate: float | None = None) -> HeldOutRate | None:
    """Predicts one of the measured rates (the highest) by the others. None with fewer than four rates."""
    known = [(one, each) for one, each in points if one > 0 and each > 0]
    rates = distinct([one for one, _ in known])
    if len(rates) <= LEAST_RATES:
        return None
    start = max((one for one in rates if one <= (rate or rates[-1])), default=rates[0])
    out = [(one, each) for one, each in known if start <= one <= start * (1 + SAME_RATE)]
    cost = message_cost([point for point in known if point not in out])
    if cost is None:
        return None
    at = sum(one for one, _ in out) / len(out)
    return HeldOutRate(at, sum(one * each * NS for one, each in out) / len(out), cost.at(at)[1])
