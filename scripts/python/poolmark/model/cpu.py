# SPDX-License-Identifier: Apache-2.0
"""CPU time of the target: for messages by their rate, and for connects.

    cost = message_cost([(rate, CPU time of a message in ns), ...])
    low, cores, high = cost.at(20_000)          processors that 20 000 messages a second take

Where three rates or more were measured, processors follow the rate by one of two forms, the one that is nearer to the points:

    line        base + slope x rate
    power       factor x rate ^ exponent: the more come, the more share a wake-up, and a message costs less. Beyond twice the highest
                measured rate a message costs what it does there, since no message is free

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
PROPORTIONAL, LINE, POWER = "proportional", "line", "power"
NEARER = 0.85               # the power is taken where its squares are so much smaller than the line's
REACH = 2.0                 # times the highest measured rate: so far a power is extrapolated
MOST_LOG = 100.0            # of a number of processors, and of its interval


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


Formed = tuple[str, float, float, Array]    # form, its two coefficients, their covariance


@dataclass(frozen=True)
class Cost:
    """Processors against messages a second."""
    form: str                           # PROPORTIONAL, LINE, POWER
    first: float                        # LINE: base, in processors; POWER: ln factor
    second: float                       # PROPORTIONAL, LINE: processor seconds of a message; POWER: exponent
    covariance: Array | None    # of (first, second); None: proportional, with `half`
    freedom: int
    half: float                         # of the interval of `second`, where it is proportional
    rates: tuple[float, ...]            # measured, each once
    runs: int

    @property
    def base(self) -> float:
        """Processors without a message."""
        return max(0.0, self.first) if self.form == LINE else 0.0

    def _inside(self, rate: float) -> tuple[float, float]:
        """(rate that the power's form is used for, factor from there on)."""
        most = REACH * self.rates[-1]
        return (rate, 1.0) if rate <= most else (most, rate / most)

    def _half(self, row: Array) -> float:
        return _t(self.freedom) * math.sqrt(max(0.0, float(row @ self.covariance @ row))) if self.covariance is not None else math.inf

    def at(self, rate: float) -> tuple[float | None, float, float | None]:
        """(low, processors, high). low and high are None without an interval."""
        if rate <= 0:
            return (self.base, self.base, self.base)
        if self.form == POWER:
            inside, factor = self._inside(rate)
            value = math.exp(self.first) * inside ** self.second * factor
            half = min(MOST_LOG, self._half(numpy.array([1.0, math.log(inside)])))
            return value * math.exp(-half), value, value * math.exp(half)
        value = max(0.0, self.first + self.second * rate)
        half = self.half * rate if self.covariance is None else self._half(numpy.array([1.0, rate]))
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


def _fitted(design: Array, y: Array, weight: Array) -> tuple[Array, Array] | None:
    """(two coefficients, their covariance) by weighted least squares. None for points that are no measurements."""
    try:
        inverse = numpy.linalg.inv(design.T @ (design * weight[:, None]))
    except numpy.linalg.LinAlgError:
        return None
    found = inverse @ (design.T @ (weight * y))
    left: Array = y - design @ found
    return found, inverse * float(weight @ (left * left)) / (len(y) - 2)


def _line(x: Array, y: Array) -> tuple[Formed, float] | None:
    """(form and coefficients, sum of squared relative errors)"""
    found = _fitted(numpy.stack([numpy.ones_like(x), x], axis=1), y, 1.0 / (y * y))
    if found is None or found[0][1] <= 0:
        return None
    (base, slope), covariance = found
    given = base + slope * x
    return ((LINE, float(base), float(slope), covariance), float(numpy.sum(((y - given) / y) ** 2))) if numpy.all(given > 0) else None


def _power(x: Array, y: Array) -> tuple[Formed, float] | None:
    found = _fitted(numpy.stack([numpy.ones_like(x), numpy.log(x)], axis=1), numpy.log(y), numpy.ones_like(x))
    if found is None or not 0 < found[0][1] <= 1 or abs(found[0][0]) > MOST_LOG:
        return None
    (first, exponent), covariance = found
    given = numpy.exp(first + exponent * numpy.log(x))
    return (POWER, float(first), float(exponent), covariance), float(numpy.sum(((y - given) / y) ** 2))


def message_cost(points: list[tuple[float, float]]) -> Cost | None:
    """`points`: (messages a second, CPU time of a message in ns), both above zero. None without points, or when more messages would
    take less CPU time."""
    kept = [(rate, rate * each * NS) for rate, each in points if rate > 0 and each > 0]
    if not kept:
        return None
    rates = distinct([rate for rate, _ in kept])
    if len(rates) < LEAST_RATES:
        highest = mean_of([cores / rate for rate, cores in kept if rate >= rates[-1]])
        return Cost(PROPORTIONAL, 0.0, highest.value, None, 0, highest.half, tuple(rates), highest.runs)
    x, y = (numpy.array(column) for column in zip(*kept, strict=True))
    line, power = _line(x, y), _power(x, y)
    chosen = power if power and (line is None or power[1] < NEARER * line[1]) else line
    return Cost(chosen[0][0], chosen[0][1], chosen[0][2], chosen[0][3], len(x) - 2, math.inf, tuple(rates), len(kept)) if chosen else None


@dataclass(frozen=True)
class HeldOutRate(Predicted):
    rate: float
    measured: float         # processors
    predicted: float
    most_percent = TOLERANCE_PERCENT


def hold_out(points: list[tuple[float, float]], rate: float | None = None) -> HeldOutRate | None:
    """Predicts one of the measured rates (the highest) by a line through the others. None with fewer than four rates."""
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
