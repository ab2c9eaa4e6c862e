# SPDX-License-Identifier: Apache-2.0
"""How large a difference is, how sure its size is, and how much the baseline differs from itself.

- Effect: the Hodges-Lehmann estimate on logarithms, the median of all pairwise ratios candidate/baseline, with the exact
  distribution-free interval that belongs to the Mann-Whitney test (Lehmann, "Nonparametrics", 1975, section 2.7). It has its
  coverage with 4 repetitions as with 40. Fewer than 4 on each side have none of 95 %.
- Values that may be zero have no ratio. They are compared by differences, told relative to the baseline's median; from 0
  there is no relative change, and `change` is infinite.
- Noise floor: how far the baseline lies from itself when it is split in two at random.

Whether there is a difference at all is for permutation.py. Samples are one value a repetition: values within one process are
not independent of each other (memory layout, cache colour), those of separate processes are.
"""
import functools
import math
from dataclasses import dataclass

import numpy
from scipy import special

SPLIT_ROUNDS = 400
CONFIDENCE = 0.95


def shift(base, candidate) -> float:
    """The median of all pairwise ratios candidate/baseline, less one. Values must be positive."""
    return float(numpy.exp(numpy.median(numpy.subtract.outer(numpy.log(candidate), numpy.log(base)))) - 1)


@dataclass(frozen=True)
class Effect:
    change: float       # candidate over baseline less one; 0.05 is 5 % more; infinite from 0
    low: float
    high: float         # the interval of `change`; infinite when there are too few values for one
    difference: float   # in the metric's unit


@functools.cache
def mann_whitney_below(ours: int, theirs: int) -> numpy.ndarray:
    """P(U <= u) for u = 0, 1, ... under the null hypothesis: the Gaussian binomial coefficients, added up."""
    counts = numpy.zeros(ours * theirs + 1)
    counts[0] = 1
    for number in range(1, ours + 1):
        counts = _times_and_over(counts, theirs + number, number)
    return numpy.cumsum(counts) / counts.sum()


def _times_and_over(counts: numpy.ndarray, above: int, below: int) -> numpy.ndarray:
    """The polynomial times (1 - q^above) over (1 - q^below)."""
    made = counts.copy()
    made[above:] -= counts[:-above] if above < len(counts) else 0
    for place in range(below, len(made)):
        made[place] += made[place - below]
    return made


def rank_of_limit(ours: int, theirs: int, confidence: float) -> int:
    """The interval reaches from the k-th least pairwise difference to the k-th largest; 0 when no k is sure enough."""
    tail = (1 - confidence) / 2
    if ours * theirs > 2500:
        deviation = math.sqrt(ours * theirs * (ours + theirs + 1) / 12)
        return max(1, int(ours * theirs / 2 + special.ndtri(tail) * deviation))
    return int(numpy.count_nonzero(mann_whitney_below(ours, theirs) <= tail + 1e-12))


def interval(base, candidate, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Of the shift from base to candidate."""
    rank = rank_of_limit(len(base), len(candidate), confidence)
    if not rank:
        return -math.inf, math.inf
    differences = numpy.sort(numpy.subtract.outer(candidate, base), axis=None)
    return float(differences[rank - 1]), float(differences[-rank])


def relative(difference: float, level: float) -> float:
    """Of a level that may be zero."""
    if difference == 0:
        return 0.0
    return difference / abs(level) if level else math.copysign(math.inf, difference)


def effect(base, candidate, confidence: float = CONFIDENCE) -> Effect:
    base, candidate = numpy.asarray(base, float), numpy.asarray(candidate, float)
    difference = float(numpy.median(candidate) - numpy.median(base))
    if min(base.min(), candidate.min()) <= 0:
        level = float(numpy.median(base))
        low, high = interval(base, candidate, confidence)
        change = float(numpy.median(numpy.subtract.outer(candidate, base)))
        return Effect(relative(change, level), relative(low, level), relative(high, level), difference)
    low, high = (math.expm1(end) for end in interval(numpy.log(base), numpy.log(candidate), confidence))
    return Effect(shift(base, candidate), low, high, difference)


def noise_floor(base, rng) -> float:
    """The relative difference that 95 of 100 comparisons of the baseline with itself stay below.

    The baseline is split in two halves at random, many times. A half has half the samples, so that its median spreads
    by the root of two more than that of the whole: the result is scaled back.
    """
    base = numpy.asarray(base, float)
    if len(base) < 4 or base.min() <= 0:
        return 0.0
    half = len(base) // 2
    splits = rng.permuted(numpy.tile(numpy.log(base), (SPLIT_ROUNDS, 1)), axis=1)
    apart = numpy.abs(numpy.median(splits[:, :half], axis=1) - numpy.median(splits[:, half:], axis=1))
    return float(numpy.expm1(numpy.percentile(apart, 95) / numpy.sqrt(2)))
