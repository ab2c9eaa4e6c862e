# SPDX-License-Identifier: Apache-2.0
"""Size of a difference, its interval, and the noise of the baseline.

- Effect: the Hodges-Lehmann estimate on logarithms, which is the median of all pairwise ratios candidate/baseline. Its interval
  is the exact distribution-free one of the Mann-Whitney test (Lehmann, "Nonparametrics", 1975, section 2.7). It has its
  coverage with 4 repetitions as with 40. With fewer than 4 a side there is no 95 % interval. Of runs that were measured in turn,
  only pairs of one block count (blocks.py); the test is then the sum of the blocks' own (van Elteren 1960, equal weights).
- Values that may be zero have no ratio. They are compared by differences, relative to the baseline's median. From 0 there is no
  relative change, and `change` is infinite.
- Noise floor: the difference between two random halves of the baseline.

permutation.py tests whether there is a difference at all. A sample is one value a repetition, because values of one process
depend on each other (memory layout, cache colour) and values of separate processes do not.
"""
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from poolmark.base.distributions import normal_quantile
from poolmark.compare import blocks
from poolmark.compare.blocks import Array

SPLIT_ROUNDS = 400
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Effect:
    change: float       # candidate over baseline minus one; 0.05 is 5 % more; infinite from 0
    low: float
    high: float         # interval of `change`; infinite with too few values
    difference: float   # in the metric's unit


UNKNOWN = Effect(math.nan, math.nan, math.nan, math.nan)   # of a row that was not measured yet


@functools.cache
def mann_whitney(ours: int, theirs: int) -> Array:
    """P(U = u) for u = 0, 1, ... under the null hypothesis: Gaussian binomial coefficients."""
    counts: Array = numpy.zeros(ours * theirs + 1)
    counts[0] = 1
    for number in range(1, ours + 1):
        counts = _times_and_over(counts, theirs + number, number)
    shares: Array = counts / counts.sum()
    return shares


def _times_and_over(counts: Array, above: int, below: int) -> Array:
    """The polynomial, times (1 - q^above), divided by (1 - q^below)."""
    made = counts.copy()
    made[above:] -= counts[:-above] if above < len(counts) else 0
    for place in range(below, len(made)):
        made[place] += made[place - below]
    return made


def rank_of_limit(sizes: list[tuple[int, int]], confidence: float) -> int:
    """k: the interval reaches from the k-th smallest pairwise difference to the k-th largest. 0 when no k gives the confidence.
    `sizes`: how many values of each side a block has."""
    tail = (1 - confidence) / 2
    pairs = sum(ours * theirs for ours, theirs in sizes)
    if pairs > 2500:
        deviation = math.sqrt(sum(ours * theirs * (ours + theirs + 1) / 12 for ours, theirs in sizes))
        return max(1, int(pairs / 2 + normal_quantile(tail) * deviation))
    found = functools.reduce(numpy.convolve, (mann_whitney(*size) for size in sizes))
    return int(numpy.count_nonzero(numpy.cumsum(found) <= tail + 1e-12))


def interval(differences: Array, sizes: list[tuple[int, int]], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the shift from base to candidate, from their sorted pairwise differences."""
    rank = rank_of_limit(sizes, confidence)
    if not rank:
        return -math.inf, math.inf
    return float(differences[rank - 1]), float(differences[-rank])


def relative(difference: float, level: float) -> float:
    """The difference relative to a level that may be zero."""
    if difference == 0:
        return 0.0
    return difference / abs(level) if level else math.copysign(math.inf, difference)


def effect(base: Sequence[float] | Array, candidate: Sequence[float] | Array, confidence: float = CONFIDENCE, both: blocks.Blocks | None = None) -> Effect:
    """`both`: the block of each value, where the runs were measured in turn."""
    ours, theirs = numpy.asarray(base, float), numpy.asarray(candidate, float)
    both = both or ((0,) * len(ours), (0,) * len(theirs))
    sizes = blocks.sizes(both)
    difference = float(numpy.median(theirs) - numpy.median(ours))
    if min(ours.min(), theirs.min()) <= 0:
        level = float(numpy.median(ours))
        apart = blocks.differences(ours, theirs, both)
        low, high = interval(apart, sizes, confidence)
        return Effect(relative(float(numpy.median(apart)), level), relative(low, level), relative(high, level), difference)
    apart = blocks.differences(numpy.log(ours), numpy.log(theirs), both)
    low, high = (math.expm1(end) for end in interval(apart, sizes, confidence))
    return Effect(math.expm1(float(numpy.median(apart))), low, high, difference)


def noise_floor(base: Sequence[float] | Array, rng: numpy.random.Generator) -> float:
    """The relative difference that 95 of 100 comparisons of the baseline with itself stay below.

    The baseline is split into two random halves, many times. A half has half the samples, so its median spreads more by a
    factor of the square root of two. The result is scaled back.
    """
    values = numpy.asarray(base, float)
    if len(values) < 4 or values.min() <= 0:
        return 0.0
    half = len(values) // 2
    splits = rng.permuted(numpy.tile(numpy.log(values), (SPLIT_ROUNDS, 1)), axis=1)
    apart = numpy.abs(numpy.median(splits[:, :half], axis=1) - numpy.median(splits[:, half:], axis=1))
    return float(numpy.expm1(numpy.percentile(apart, 95) / numpy.sqrt(2)))
