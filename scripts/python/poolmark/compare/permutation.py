# SPDX-License-Identifier: Apache-2.0
"""Permutation tests of many metrics at once. They are exact even with few repetitions.

Null hypothesis: both builds behave alike, so the labels "base" and "candidate" of runs can be exchanged. One run measures all
cells, and what disturbs it moves them together. So all metrics of all cells are relabelled together; only cells with other
numbers of repetitions are relabelled by themselves. Runs that were measured in turn are relabelled only within blocks of
neighbours (blocks.py), and compared as deviations from their block, so that a drift of the host is no noise. The p-value of a
metric, corrected for the family, is the share of relabellings whose largest statistic in the family reaches the statistic of
that metric (Westfall and Young, "Resampling-Based Multiple Testing", 1993, step-down maxT). The correction is exact for any
distribution and dependence of the metrics, as long as the order of the runs in a block does not matter: a disturbance with the
rhythm of the runs breaks it, so interleave.py draws between an order and its mirror. It costs little power: with 4 repetitions
a side one clear metric among a hundred still has p = 1/70.

The statistic is the mean of Welch's t and Yuen's t (Biometrika 61, 1974) on logarithms. Each t is converted to a normal
quantile, so that metrics with different numbers of repetitions share one scale. Yuen's t uses trimmed means and tolerates one
outlier in five repetitions. Alone it cannot tell the real labels from labels with two values exchanged. With MANY repetitions that
does not matter, and a few disturbed ones would make Welch's t see little: there the t of the ranks takes its place (aligned ranks,
Hodges and Lehmann 1962; Conover and Iman, The American Statistician 35, 1981).
Positive means worse. `combine` adds a metric over all cells (Stouffer).
"""
import functools
import itertools
import math
from dataclasses import dataclass

import numpy

from poolmark.base.distributions import normal_quantile, t_below
from poolmark.compare import blocks
from poolmark.compare.blocks import Array, Blocks

ROUNDS = 4999           # random relabellings, when there are too many to visit all
MOST_EXACT = 20_000     # up to so many all are visited
TRIM = 0.2
MANY = 20               # repetitions a side from which on ranks tell more than means
LEAST_DEVIATION = 0.001  # relative; a smaller deviation is raised to this
MOST_Z = 37.0           # beyond it the normal tail underflows


@dataclass(frozen=True)
class Sample:
    """One metric of one cell."""

    cell: str
    base: tuple[float, ...]
    candidate: tuple[float, ...]
    sign: int = 1       # +1: more is worse, -1: less is worse
    blocks: Blocks | None = None  # of the values of each side; None: all are of one block

    @property
    def unit(self) -> Blocks:
        """Samples of one unit are relabelled together: the i-th values of all are of one run."""
        return self.blocks or ((0,) * len(self.base), (0,) * len(self.candidate))

    @property
    def least_p(self) -> float:
        """The smallest p that a test of these repetitions can give."""
        return 1 / arrangements(self.unit)

    @property
    def logarithmic(self) -> bool:
        """False for values that may be zero (failures, losses); they are compared without logarithms."""
        return min(self.base + self.candidate) > 0


@dataclass(frozen=True)
class Result:
    p: float            # for this metric alone
    corrected: float    # corrected for the family: it got worse
    better: float       # corrected for the family: it got better


def arrangements(unit: Blocks) -> int:
    return math.prod(math.comb(base + candidate, candidate) for base, candidate in blocks.sizes(unit))


def least_p(base: int, candidate: int) -> float:
    """The smallest p that a test of so many repetitions in one block can give."""
    return 1 / math.comb(base + candidate, candidate)


def least_repetitions(alpha: float) -> int:
    """Repetitions a side that a test needs to reach alpha."""
    return next(count for count in itertools.count(2) if least_p(count, count) <= alpha)


def trimmed(values: Array, part: float = TRIM) -> tuple[Array, Array, int]:
    """(trimmed means, their squared standard errors, values kept) of each row; `part` is trimmed at each end."""
    count = values.shape[1]
    cut = int(part * count)
    rest = count - 2 * cut
    ordered = numpy.sort(values, axis=1)
    means = ordered[:, cut:count - cut].mean(axis=1)
    if count < 2:
        return means, numpy.zeros(len(values)), rest
    ordered[:, :cut] = ordered[:, cut:cut + 1]
    ordered[:, count - cut:] = ordered[:, count - cut - 1:count - cut]
    return means, (count - 1) * ordered.var(axis=1, ddof=1) / (rest * max(1, rest - 1)), rest


def by_ranks(sample: Sample) -> bool:
    """Values that may be zero keep their means: a loss in one run of twenty has to count."""
    return sample.logarithmic and min(len(sample.base), len(sample.candidate)) >= MANY


def level(sample: Sample) -> tuple[Array, float]:
    """The values as compared, baseline first, and their least deviation."""
    values = numpy.array(sample.base + sample.candidate, float)
    if sample.logarithmic:
        return blocks.deviations(numpy.log(values), sample.unit), LEAST_DEVIATION
    return blocks.deviations(values, sample.unit), LEAST_DEVIATION * float(numpy.abs(values).max())


def standard_error(sample: Sample) -> tuple[float, int]:
    """Standard error of the difference with the real labels, and its degrees of freedom: the harmonic mean of the errors with and
    without trimming, since the statistic is the mean of the two t. With ranks the error with trimming."""
    values, least = level(sample)
    count = len(sample.base)
    _, ours, left = trimmed(values[None, :count])
    _, theirs, right = trimmed(values[None, count:])
    robust = math.sqrt(float(ours[0] + theirs[0]))
    plain = robust if by_ranks(sample) else math.sqrt(
        sum(float(trimmed(side, 0.0)[1][0]) for side in (values[None, :count], values[None, count:])))
    both = 2 * robust * plain / (robust + plain) if robust + plain else 0.0
    squared = max(both ** 2 * widening(sample), least ** 2 * (1 / left + 1 / right))
    return math.sqrt(squared), max(1, left + right - 1 - blocks.count(sample.unit))


def widening(sample: Sample) -> float:
    """The factor of the variance that was lost when each block's middle was subtracted."""
    values = len(sample.base) + len(sample.candidate)
    return values / max(1, values - blocks.count(sample.unit) + 1)


def z_of_t(t: Array, freedom: int) -> Array:
    tail = numpy.maximum(t_below(-numpy.abs(t), freedom), 1e-300)
    found: Array = numpy.sign(t) * numpy.minimum(-normal_quantile(tail), MOST_Z)
    return found


def z_of_means(ours: Array, theirs: Array, least: float, part: float, wider: float, lost: int) -> Array:
    our_mean, our_error, left = trimmed(ours, part)
    their_mean, their_error, right = trimmed(theirs, part)
    error = numpy.sqrt(numpy.maximum((our_error + their_error) * wider, least ** 2 * (1 / left + 1 / right)))
    difference = their_mean - our_mean
    t = numpy.divide(difference, error, out=numpy.zeros_like(difference), where=error > 0)
    return z_of_t(t, max(1, left + right - 1 - lost))


def ranks_of(values: Array) -> Array:
    """The rank of each value, from 1; equal values share the middle of theirs."""
    _, which, times = numpy.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = numpy.cumsum(times) - (times - 1) / 2
    return ranks[which]


def statistics_of(sample: Sample, picks: Array) -> Array:
    """One z for each relabelling. A row of `picks` is an order of the values, the baseline's first."""
    values, least = level(sample)
    count = len(sample.base)
    ordered = values[picks]
    sides = ordered[:, :count], ordered[:, count:]
    freedom = widening(sample), blocks.count(sample.unit)
    if by_ranks(sample):
        ranks = ranks_of(values)[picks]
        plain = z_of_means(ranks[:, :count], ranks[:, count:], 0.0, 0.0, *freedom)
    else:
        plain = z_of_means(*sides, least, 0.0, *freedom)
    if int(TRIM * min(count, len(sample.candidate))) == 0:
        return sample.sign * plain
    return sample.sign * (plain + z_of_means(*sides, least, TRIM, *freedom)) / 2


@functools.lru_cache(maxsize=8)
def every_labelling(unit: Blocks) -> Array:
    """All relabellings, as orders of the values; the first is the real one."""
    places = blocks.places(unit)
    ways = [[(*chosen, *(place for place in ours + theirs if place not in chosen))
             for chosen in itertools.combinations(ours + theirs, len(ours))] for ours, theirs in places]
    seats = [place for ours, theirs in places for place in ours + theirs]
    rows = numpy.array([list(itertools.chain(*way)) for way in itertools.product(*ways)])
    picks = numpy.empty_like(rows)
    picks[:, seats] = rows
    return picks


def random_labellings(unit: Blocks, rounds: int, rng: numpy.random.Generator) -> Array:
    """So many relabellings at random; the first is the real one."""
    picks = numpy.tile(numpy.arange(len(unit[0]) + len(unit[1])), (rounds, 1))
    for ours, theirs in blocks.places(unit):
        seats = list(ours + theirs)
        picks[:, seats] = rng.permuted(picks[:, seats], axis=1)
    picks[0] = numpy.arange(picks.shape[1])
    return picks


class Family:
    """The relabellings of a family of samples, and the statistic of each sample under each of them."""

    def __init__(self, samples: list[Sample], rng: numpy.random.Generator, rounds: int = ROUNDS) -> None:
        units = sorted({sample.unit for sample in samples})
        self.exact = len(units) == 1 and arrangements(units[0]) <= MOST_EXACT
        self.rounds = arrangements(units[0]) if self.exact else rounds + 1
        self.columns: list[Array] = [numpy.empty(0)] * len(samples)
        for unit in units:
            few = arrangements(unit) <= self.rounds or self.exact
            picks, which = self._relabel(unit, few, rng)
            for place, sample in enumerate(samples):
                if sample.unit == unit:
                    column = statistics_of(sample, picks)
                    self.columns[place] = column if which is None else column[which]
        self.samples = samples

    def _relabel(self, unit: Blocks, few: bool, rng: numpy.random.Generator) -> tuple[Array, Array | None]:
        """(orders of the values, index of the order for each round); round 0 has the real labels."""
        if few:
            picks = every_labelling(unit)
            which = rng.integers(0, len(picks), self.rounds)
            which[0] = 0
            return picks, None if self.exact else which
        return random_labellings(unit, self.rounds, rng), None

    def combine(self, places: list[int]) -> None:
        """Adds a combined sample: these samples with equal weight."""
        self.columns.append(functools.reduce(numpy.add, (self.columns[place] for place in places)) / math.sqrt(len(places)))

    def _share(self, statistic: Array, found: float) -> float:
        """Share of rounds that reach `found`. Round 0 always does, so a p-value is never 0."""
        return float(numpy.count_nonzero(statistic >= found - 1e-9 * max(1.0, abs(found))) / self.rounds)

    def _step_down(self, columns: list[Array]) -> list[float]:
        order = sorted(range(len(columns)), key=lambda place: float(columns[place][0]))
        largest = numpy.full(self.rounds, -numpy.inf)
        shares: list[float] = []
        for place in order:         # ascending: the rivals of a statistic are the smaller ones
            numpy.maximum(largest, columns[place], out=largest)
            shares.append(self._share(largest, columns[place][0]))
        corrected, so_far = [0.0] * len(columns), 0.0
        for place, share in zip(reversed(order), reversed(shares), strict=True):
            so_far = max(so_far, share)
            corrected[place] = so_far
        return corrected

    def results(self) -> list[Result]:
        if not self.columns:
            return []
        worse, better = self._step_down(self.columns), self._step_down([-column for column in self.columns])
        return [Result(self._share(column, column[0]), one, other)
                for column, one, other in zip(self.columns, worse, better, strict=True)]

    def critical(self, alpha: float, places: list[int]) -> float:
        """The z that a metric must exceed, given the undecided samples at `places`; infinite when none can."""
        columns = [self.columns[place] for place in places]
        if not columns:
            return float(normal_quantile(1 - alpha))
        largest = numpy.sort(numpy.max(columns, axis=0))
        allowed = int(alpha * self.rounds + 1e-9)
        return float(largest[-allowed]) if allowed else math.inf
