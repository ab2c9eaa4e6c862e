# SPDX-License-Identifier: Apache-2.0
"""Medians with spread and interval; ratios and differences of two contenders measured in the same rounds.

Quartiles are used instead of a standard deviation, because a benchmark's times have a floor and a long tail. The interval of a
median is that of order statistics, which assumes no distribution. The true median lies between the k-th lowest and the k-th
highest of n values, unless fewer than k values fell on one side of it. The binomial distribution gives that probability.
"""
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import comb

CONFIDENCE = 0.95
Operation = Callable[[float, float], float | None]      # our value, their value


@dataclass(frozen=True)
class Spread:
    """Median and spread of a sample. `mad` is the median distance from the median. The interval `sure_low` to `sure_high`
    contains the true median with `confidence`, which is below CONFIDENCE for fewer than six values."""

    count: int
    median: float
    q1: float
    q3: float
    mad: float
    low: float
    high: float
    sure_low: float
    sure_high: float
    confidence: float

    @property
    def half_width(self) -> float | None:
        """Half width of the interval, relative to the median; None when the confidence is too low."""
        if self.confidence < CONFIDENCE or not self.median:
            return None
        return (self.sure_high - self.sure_low) / 2 / abs(self.median)


def sure_interval(ordered: list[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(low, high, confidence) of the median: the narrowest interval with the asked confidence, otherwise the whole range."""
    n = len(ordered)
    outside, best = 0.0, 0
    found = 1 - 2 * 0.5 ** n if n > 1 else 0.0
    for k in range(1, n // 2 + 1):  # from the k-th lowest to the k-th highest
        outside += comb(n, k - 1) * 0.5 ** n
        if k > 1 and 1 - 2 * outside < confidence:
            break
        best, found = k - 1, 1 - 2 * outside
    return ordered[best], ordered[n - 1 - best], found


def quantile(ordered: list[float], part: float) -> float:
    """Of an ordered sample, interpolated linearly (the usual "type 7")."""
    place = (len(ordered) - 1) * part
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def known(samples: Iterable[float]) -> Spread:
    """ValueError for an empty sample."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("an empty sample has no spread")
    median = quantile(ordered, 0.5)
    distances = sorted(abs(value - median) for value in ordered)
    return Spread(len(ordered), median, quantile(ordered, 0.25), quantile(ordered, 0.75), quantile(distances, 0.5),
                  ordered[0], ordered[-1], *sure_interval(ordered))


def spread(samples: Iterable[float]) -> Spread | None:
    """None for an empty sample."""
    found = list(samples)
    return known(found) if found else None


SHARED_ROUNDS = 3  # fewer shared rounds say little


def by_round(ours: dict[int, float], theirs: dict[int, float], operation: Callable[[float, float], float]) -> dict[int, float]:
    """operation(our value, their value) for the rounds that have both."""
    return {number: operation(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())}


def paired(ours: dict[int, float], theirs: dict[int, float], operation: Operation) -> Spread | None:
    """Spread of operation(our value, their value) over the shared rounds, since a drift between rounds affects both values.
    With fewer than three shared rounds, when each has rounds that the other lacks: apart(). None when either is empty."""
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < min(SHARED_ROUNDS, len(ours), len(theirs)):
        return apart(list(ours.values()), list(theirs.values()), operation)
    pairs = [(ours[number], theirs[number]) for number in shared]
    return spread(value for our, their in pairs if (value := operation(our, their)) is not None)


def apart(ours: list[float], theirs: list[float], operation: Operation) -> Spread | None:
    """Spread of operation(our value, their value) for samples that were not taken in the same rounds, over all pairs. Pairs that
    share a value are not independent, so the interval is not theirs: it is that of `operation` between the ends of both medians'
    intervals, and its confidence that both hold (Bonferroni). `count` is the rounds of the smaller sample. For an operation that
    is monotonic in each of its values."""
    found = spread(value for our in ours for their in theirs if (value := operation(our, their)) is not None)
    if not found:
        return None
    half = (1 + CONFIDENCE) / 2
    (our_low, our_high, our_sure), (low, high, sure) = sure_interval(sorted(ours), half), sure_interval(sorted(theirs), half)
    ends = [value for our in (our_low, our_high) for their in (low, high) if (value := operation(our, their)) is not None]
    return replace(found, count=min(len(ours), len(theirs)), sure_low=min(ends, default=found.low),
                   sure_high=max(ends, default=found.high), confidence=max(0.0, our_sure + sure - 1))


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    return paired(ours, theirs, lambda our, their: our / their if their else None)


def difference(ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    return paired(ours, theirs, lambda our, their: our - their)
