# SPDX-License-Identifier: Apache-2.0
"""Change points in a series of nightly values, by E-divisive means (Matteson and James, J. Am. Stat. Assoc. 109, 2014).

The series is split where the energy distance of the two sides is largest. Each side is split again, as long as a permutation
test finds the split significant. No distribution is assumed. A slow drift is found as well as a jump: it makes the first
nights differ from the last, even if no two neighbours differ.

A night has hundreds of series, so the rate of false ones among all that are called changed is held (Benjamini and Hochberg, J. R. Stat. Soc.
B 57, 1995): the first split of each series is one test of the family. Further splits of a series that has one are tested at the level
that its family left (Benjamini and Bogomolov, J. R. Stat. Soc. B 76, 2014). A test takes as many permutations as its level needs and
ends early when many are above (Besag and Clifford, Biometrika 78, 1991).
"""
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy

from poolmark.base.distributions import t_above
from poolmark.compare.blocks import Array
from poolmark.compare.statistics_of_pairs import relative

LEAST_SEGMENT = 3
LEAST_PERMUTATIONS, MOST_PERMUTATIONS = 199, 50_000
ENOUGH_ABOVE = 20       # so many permutations above what was found end a test
CHUNK_VALUES = 60_000   # distances that are held at a time: they fit a cache
ALPHA = 0.05            # the rate of false ones
LEAST_BEFORE = 5        # nights before the last one that say how much nights differ


@dataclass(frozen=True)
class ChangePoint:
    index: int      # the first value of the new segment
    before: float   # median of the segment before `index`
    after: float    # median of the segment from `index` on
    p: float

    @property
    def change(self) -> float:
        """Relative change; infinite from 0."""
        return relative(self.after - self.before, self.before)

    def is_worse(self, better: str) -> bool:
        """Compares the values themselves: from 0 to 500 lost is worse, although the relative change is infinite."""
        return (self.after > self.before) == (better == "lower")


def _best_split(distances: Array) -> tuple[float, int]:
    """(statistic, index) of the best split of one segment, given the matrix of its pairwise distances.

    Q(n, m) = nm/(n+m) * (2 * mean between - mean within left - mean within right). Prefix sums give the sums, so all splits
    together cost as much as the matrix.
    """
    size = len(distances)
    prefix = numpy.cumsum(numpy.cumsum(distances, 0), 1)
    left = numpy.arange(LEAST_SEGMENT, size - LEAST_SEGMENT + 1)
    if not len(left):
        return 0.0, 0
    right = size - left
    within_left = prefix[left - 1, left - 1]
    between = prefix[left - 1, size - 1] - within_left
    within_right = prefix[size - 1, size - 1] - within_left - 2 * between
    energy = (2 * between / (left * right) - within_left / (left * (left - 1))
              - within_right / (right * (right - 1)))
    statistic = left * right / size * energy
    best = int(numpy.argmax(statistic))
    return float(statistic[best]), int(left[best])


def _statistics(shuffled: Array) -> Array:
    """The best split's statistic of each row."""
    rows, size = shuffled.shape
    prefix = numpy.abs(shuffled[:, :, None] - shuffled[:, None, :]).cumsum(1).cumsum(2)
    left = numpy.arange(LEAST_SEGMENT, size - LEAST_SEGMENT + 1)
    right = size - left
    within_left = prefix[:, left - 1, left - 1]
    between = prefix[:, left - 1, size - 1] - within_left
    within_right = prefix[:, -1:, -1] - within_left - 2 * between
    energy = (2 * between / (left * right) - within_left / (left * (left - 1)) - within_right / (right * (right - 1)))
    best: Array = (left * right / size * energy).max(axis=1)
    return best


def _p_value(values: Array, found: float, rng: numpy.random.Generator, level: float) -> float:
    """The share of permutations whose best split is at least as good. `level`: p has to be able to be below."""
    wanted = min(MOST_PERMUTATIONS, max(LEAST_PERMUTATIONS, math.ceil(1 / level)))
    above = done = 0
    found -= 1e-9 * abs(found)      # the same split, added up in another order
    while done < wanted and above < ENOUGH_ABOVE:
        rows = min(wanted - done, max(1, CHUNK_VALUES // len(values) ** 2))
        above += int((_statistics(rng.permuted(numpy.tile(values, (rows, 1)), axis=1)) >= found).sum())
        done += rows
    return (above + 1) / (done + 1)


def _first(values: Array, rng: numpy.random.Generator, level: float) -> tuple[int, float]:
    """(index, p) of the best split; p is 1 where there can be none."""
    if len(values) < 2 * LEAST_SEGMENT or numpy.ptp(values) == 0:
        return 0, 1.0
    statistic, at = _best_split(numpy.abs(numpy.subtract.outer(values, values)))
    return at, _p_value(values, statistic, rng, level)


def _splits(values: Array, offset: int, rng: numpy.random.Generator, level: float,
            known: tuple[int, float] | None = None) -> list[tuple[int, float]]:
    at, p = known or _first(values, rng, level)
    if p > level:
        return []
    return (_splits(values[:at], offset, rng, level) + [(offset + at, p)]
            + _splits(values[at:], offset + at, rng, level))


def level_of(p_values: list[float], alpha: float = ALPHA) -> float:
    """The level at which tests of a family are called significant, so that at most `alpha` of them are false ones; 0 when none is."""
    count = len(p_values)
    return max((alpha * rank / count for rank, p in enumerate(sorted(p_values), 1) if p <= alpha * rank / count), default=0.0)


def find_all(every: Iterable[Sequence[float]], seed: int = 1) -> list[list[ChangePoint]]:
    """The change points of each series, in time order. A series of fewer than six values, or a level one, has none and is no test."""
    series = [numpy.asarray(values, float) for values in every]
    rng = numpy.random.default_rng(seed)
    tests = sum(len(one) >= 2 * LEAST_SEGMENT and numpy.ptp(one) > 0 for one in series)
    firsts = [_first(one, rng, ALPHA / max(1, tests)) for one in series]
    level = level_of([p for one, (_, p) in zip(series, firsts, strict=True) if len(one) >= 2 * LEAST_SEGMENT and numpy.ptp(one) > 0])
    return [_points(one, _splits(one, 0, rng, level, first)) if first[1] <= level else []
            for one, first in zip(series, firsts, strict=True)]


def _points(series: Array, splits: list[tuple[int, float]]) -> list[ChangePoint]:
    edges = [0, *(index for index, _ in splits), len(series)]
    return [ChangePoint(index, float(numpy.median(series[edges[number]:index])),
                        float(numpy.median(series[index:edges[number + 2]])), p)
            for number, (index, p) in enumerate(splits)]


def find(values: Sequence[float], seed: int = 1) -> list[ChangePoint]:
    """The change points of one series by itself."""
    return find_all([values], seed)[0]


@dataclass(frozen=True)
class LastNight:
    """The last night beside the nights of its segment, which begins at the last change point."""

    value: float
    median: float   # of the nights before it
    nights: int     # so many
    differs: bool   # by more than these nights do, and not by chance among all series


def _p_of_last(before: Array, last: float) -> float:
    """Two-sided p of a new value by Student's prediction interval; 0 for a change of a level series, 1 of too few nights."""
    if len(before) < LEAST_BEFORE or last == numpy.median(before):
        return 1.0
    deviation = float(before.std(ddof=1))
    if deviation == 0:
        return 0.0
    return float(2 * t_above(abs(last - before.mean()) / (deviation * math.sqrt(1 + 1 / len(before))), len(before) - 1))


def last_nights(every: Iterable[Sequence[float]], points: list[list[ChangePoint]]) -> list[LastNight | None]:
    """The last night of each series; None of a series of one night in its segment."""
    segments = [numpy.asarray(values[found[-1].index if found else 0:], float) for values, found in zip(every, points, strict=True)]
    p_values = [_p_of_last(one[:-1], float(one[-1])) if len(one) > 1 else 1.0 for one in segments]
    level = level_of(p_values) if p_values else 0.0
    return [LastNight(float(one[-1]), float(numpy.median(one[:-1])), len(one) - 1, p <= level) if len(one) > 1 else None
            for one, p in zip(segments, p_values, strict=True)]
