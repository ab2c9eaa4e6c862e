# SPDX-License-Identifier: Apache-2.0
"""Change points in a series of nightly values, by E-divisive means (Matteson and James, J. Am. Stat. Assoc. 109, 2014).

The series is split where the energy distance of the two sides is largest. Each side is split again, as long as a permutation
test finds the split significant. No distribution is assumed. A slow drift is found as well as a jump: it makes the first
nights differ from the last, even if no two neighbours differ.
"""
from dataclasses import dataclass

import numpy

from poolmark.compare.statistics_of_pairs import relative

LEAST_SEGMENT = 3
PERMUTATIONS = 199
ALPHA = 0.05


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


def _best_split(distances: numpy.ndarray) -> tuple[float, int]:
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


def _p_value(values: numpy.ndarray, found: float, rng) -> float:
    above = 0
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(values)
        statistic, _ = _best_split(numpy.abs(numpy.subtract.outer(shuffled, shuffled)))
        above += statistic >= found
    return (above + 1) / (PERMUTATIONS + 1)


def _splits(values: numpy.ndarray, offset: int, rng) -> list[tuple[int, float]]:
    if len(values) < 2 * LEAST_SEGMENT or numpy.ptp(values) == 0:
        return []
    statistic, at = _best_split(numpy.abs(numpy.subtract.outer(values, values)))
    p = _p_value(values, statistic, rng)
    if p > ALPHA:
        return []
    return _splits(values[:at], offset, rng) + [(offset + at, p)] + _splits(values[at:], offset + at, rng)


def find(values, seed: int = 1) -> list[ChangePoint]:
    """The change points of a series in time order. Fewer than six values have none."""
    series = numpy.asarray(values, float)
    rng = numpy.random.default_rng(seed)
    splits = _splits(series, 0, rng)
    edges = [0, *(index for index, _ in splits), len(series)]
    return [ChangePoint(index, float(numpy.median(series[edges[number]:index])),
                        float(numpy.median(series[index:edges[number + 2]])), p)
            for number, (index, p) in enumerate(splits)]
