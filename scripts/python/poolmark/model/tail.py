# SPDX-License-Identifier: Apache-2.0
"""p99 of deliveries against the utilisation of the target's processors.

    relation = fit([(utilisation, p99 in ns), ...])
    relation.at(0.4)            (low, estimate, high) in ns; None beyond what was measured
    relation.holds(0.4, 20e6)   True, False, or None: the measurements do not tell

Utilisation is the CPU time of the target in a second, divided by its processors. No queue's formula is taken: a tail on a real host is
made by wake-ups, timers and neighbours as well as by waiting (an M/G/1 queue would have p99 rise as 1 / (1 - utilisation)). What is
taken is that p99 does not fall as utilisation grows: isotonic regression of its logarithm, by pooling adjacent violators (Ayer and
others 1955). Between two measured utilisations p99 is between theirs; below the lowest it is at most that of the lowest; beyond the
highest it is not known, and nothing is extrapolated. Repetitions give the scatter of a run, and with it the interval (Student's t at
95 %); without them the interval is that of the neighbours alone.
"""
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from poolmark.base.distributions import t_quantile

CONFIDENCE = 0.95
LEAST_FREEDOM = 2       # repetitions beyond one for each level, for a scatter
SLACK = 1e-9            # of a utilisation that equals the highest measured one but for rounding


@dataclass(frozen=True)
class Relation:
    places: tuple[float, ...]       # utilisations, rising
    levels: tuple[float, ...]       # ln p99 there, not falling
    scatter: float | None           # half of the 95 % interval of one run more, on the logarithm; None: not known

    @property
    def most(self) -> float:
        return self.places[-1]

    def at(self, utilisation: float) -> tuple[float, float, float] | None:
        """(low, estimate, high) in ns. None beyond the highest measured utilisation."""
        if not 0 <= utilisation <= self.most * (1 + SLACK):
            return None
        above = min(bisect_left(self.places, utilisation), len(self.places) - 1)
        below = bisect_right(self.places, utilisation) - 1
        high = self.levels[above]
        scatter = self.scatter or 0.0
        if below < 0:
            return 0.0, math.exp(high), math.exp(high + scatter)
        low = min(self.levels[below], high)
        first, last = self.places[below], self.places[above]
        part = (utilisation - first) / (last - first) if last > first else 0.0
        return math.exp(low - scatter), math.exp(low + part * (high - low)), math.exp(high + scatter)

    def holds(self, utilisation: float, bound_ns: float) -> bool | None:
        """Whether p99 is at most the bound. None: not measured, or the interval has the bound in it."""
        found = self.at(utilisation)
        if found is None:
            return None
        low, _, high = found
        return True if high <= bound_ns else False if low > bound_ns else None

    def held_up_to(self, bound_ns: float) -> float | None:
        """The highest measured utilisation at which p99 is at most the bound by its interval; None when at none."""
        return max((place for place in self.places if self.holds(place, bound_ns)), default=None)

    def missed_from(self, bound_ns: float) -> float | None:
        """The lowest measured utilisation at which p99 is above the bound by its interval; None when at none."""
        return min((place for place in self.places if self.holds(place, bound_ns) is False), default=None)


def not_falling(values: list[float]) -> list[tuple[float, int]]:
    """The closest sequence that does not fall, by squares: (value, how many) of each level."""
    levels: list[tuple[float, int]] = []
    for value in values:
        levels.append((value, 1))
        while len(levels) > 1 and levels[-2][0] >= levels[-1][0]:
            (one, ones), (other, others) = levels[-2:]
            levels[-2:] = [((one * ones + other * others) / (ones + others), ones + others)]
    return levels


def fit(points: list[tuple[float, float]]) -> Relation | None:
    """`points`: (utilisation, p99 in ns), both above zero. None without points."""
    kept = sorted((place, math.log(value)) for place, value in points if place > 0 and value > 0)
    if not kept:
        return None
    levels = not_falling([value for _, value in kept])
    fitted = [value for value, times in levels for _ in range(times)]
    freedom = len(kept) - len(levels)
    scatter = None
    if freedom >= LEAST_FREEDOM:
        squares = sum((value - level) ** 2 for (_, value), level in zip(kept, fitted, strict=True))
        runs = len(kept) / len(levels)
        scatter = t_quantile((1 + CONFIDENCE) / 2, freedom) * math.sqrt(squares / freedom * (1 + 1 / runs))
    return Relation(tuple(place for place, _ in kept), tuple(fitted), scatter)
