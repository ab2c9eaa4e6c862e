# SPDX-License-Identifier: Apache-2.0
"""CPU time of the target: for messages by their rate, and for connects.

    cost = message_cost([(rate, CPU time of a message in ns), ...])
    low, cores, high = cost.at(20_000)          processors that 20 000 messages a second take

Where three rates or more were measured, processors = base + rate x slope, by least squares with relative errors (a processor that is
somewhat busy costs each message some per cent, not some microseconds). Otherwise a message costs what it did at the highest measured
rate, and the interval is that of the repetitions. Intervals are Student's t at 95 %; of a single run there is none.
"""
import math
from dataclasses import dataclass

import numpy
from scipy import stats

CONFIDENCE = 0.95
LEAST_RATES = 3             # of a line with an interval
SAME_RATE = 0.05            # rates that differ by less are one
TOLERANCE_PERCENT = 10.0    # of the held-out rate
NS = 1e-9


def _t(freedom: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) if freedom > 0 else math.inf


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
    base: float
    slope: float                        # processor seconds of a message
    covariance: numpy.ndarray | None    # of (base, slope); None: proportional, with `half`
    freedom: int
    half: float                         # of the slope's interval, where there is no line
    rates: tuple[float, ...]            # measured, each once
    runs: int

    @property
    def is_line(self) -> bool:
        return self.covariance is not None

    def margin(self, rate: float) -> float:
        """Half of the 95 % interval; infinite where no repetition tells."""
        if self.covariance is None:
            return self.half * rate
        row = numpy.array([1.0, rate])
        return _t(self.freedom) * math.sqrt(max(0.0, float(row @ self.covariance @ row)))

    def at(self, rate: float) -> tuple[float | None, float, float | None]:
        """(low, processors, high). low and high are None without an interval."""
        value, half = max(0.0, self.base + self.slope * rate), self.margin(rate)
        return (max(0.0, value - half), value, value + half) if math.isfinite(half) else (None, value, None)

    def message(self) -> tuple[float | None, float, float | None]:
        """(low, seconds, high) of one message more."""
        half = _t(self.freedom) * math.sqrt(max(0.0, float(self.covariance[1, 1]))) if self.covariance is not None else self.half
        return (self.slope - half, self.slope, self.slope + half) if math.isfinite(half) else (None, self.slope, None)

    def carried_by(self, processors: float) -> float:
        """Messages a second that take so many processors; 0 when the base alone takes them."""
        return max(0.0, (processors - self.base) / self.slope) if self.slope > 0 else math.inf


def distinct(rates: list[float]) -> list[float]:
    """The measured rates, each once, those of less than SAME_RATE apart as one."""
    found: list[float] = []
    for rate in sorted(rates):
        if not found or rate > found[-1] * (1 + SAME_RATE):
            found.append(rate)
    return found


def message_cost(points: list[tuple[float, float]]) -> Cost | None:
    """`points`: (messages a second, CPU time of a message in ns), both above zero. None without points, or when more messages would
    take less CPU time."""
    kept = [(rate, rate * each * NS) for rate, each in points if rate > 0 and each > 0]
    if not kept:
        return None
    rates = distinct([rate for rate, _ in kept])
    if len(rates) < LEAST_RATES:
        highest = mean_of([cores / rate for rate, cores in kept if rate >= rates[-1]])
        return Cost(0.0, highest.value, None, 0, highest.half, tuple(rates), highest.runs)
    x, y = (numpy.array(column) for column in zip(*kept, strict=True))
    design, weight = numpy.stack([numpy.ones_like(x), x], axis=1), 1.0 / (y * y)
    try:
        inverse = numpy.linalg.inv(design.T @ (design * weight[:, None]))
    except numpy.linalg.LinAlgError:    # rates or times that are no measurements
        return None
    base, slope = inverse @ (design.T @ (weight * y))
    left = y - (base + slope * x)
    freedom = len(x) - 2
    covariance = inverse * float(weight @ (left * left)) / freedom
    return Cost(float(base), float(slope), covariance, freedom, math.inf, tuple(rates), len(kept)) if slope > 0 else None


@dataclass(frozen=True)
class HeldOutRate:
    rate: float
    measured: float         # processors
    predicted: float

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted / self.measured - 1)

    @property
    def holds(self) -> bool:
        return abs(self.error_percent) <= TOLERANCE_PERCENT


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
