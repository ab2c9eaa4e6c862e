# SPDX-License-Identifier: Apache-2.0
"""The statistics of a comparison: is a difference there, how large is it, and would it be seen without any change?

- Mann-Whitney U, two-sided: exact for small samples without ties, else the normal approximation with tie correction
  (Mann and Whitney, Ann. Math. Stat. 18, 1947).
- Benjamini-Hochberg over all metrics, so that asking a hundred questions does not give five wrong answers
  (J. R. Stat. Soc. B 57, 1995).
- Effect: the Hodges-Lehmann estimate on logarithms, the median of all pairwise ratios candidate/baseline, with a
  percentile bootstrap interval, seeded.
- Noise floor: how far the baseline lies from itself when it is split in two at random.

Samples are one value a repetition: values within one process are not independent of each other (memory layout, cache
colour), those of separate processes are.
"""
from dataclasses import dataclass

import numpy
from scipy import stats

BOOTSTRAP_ROUNDS = 2000
SPLIT_ROUNDS = 400


def mann_whitney(base, candidate) -> float:
    """The two-sided p-value; 1 when all values are alike."""
    both = numpy.concatenate([base, candidate])
    if numpy.ptp(both) == 0:
        return 1.0
    exact = len(numpy.unique(both)) == len(both) and len(both) <= 40
    result = stats.mannwhitneyu(candidate, base, alternative="two-sided", method="exact" if exact else "asymptotic")
    return float(result.pvalue)


def benjamini_hochberg(p_values) -> list[float]:
    """Adjusted p-values (q), in the order given."""
    p = numpy.asarray(p_values, float)
    if not len(p):
        return []
    order = numpy.argsort(p)[::-1]
    ranks = numpy.arange(len(p), 0, -1)
    q = numpy.empty_like(p)
    q[order] = numpy.minimum(1.0, numpy.minimum.accumulate(p[order] * len(p) / ranks))
    return q.tolist()


def shift(base, candidate) -> float:
    """The median of all pairwise ratios candidate/baseline, less one. Values must be positive."""
    return float(numpy.exp(numpy.median(numpy.subtract.outer(numpy.log(candidate), numpy.log(base)))) - 1)


@dataclass(frozen=True)
class Effect:
    change: float       # candidate over baseline less one; 0.05 is 5 % more
    low: float
    high: float         # 95 % interval
    difference: float   # of the medians, in the metric's unit


def effect(base, candidate, rng) -> Effect:
    base, candidate = numpy.asarray(base, float), numpy.asarray(candidate, float)
    difference = float(numpy.median(candidate) - numpy.median(base))
    if min(base.min(), candidate.min()) <= 0:
        return effect_of_counts(base, candidate, difference, rng)
    low, high = numpy.exp(interval(numpy.log(base), numpy.log(candidate), rng)) - 1
    return Effect(shift(base, candidate), float(low), float(high), difference)


def interval(base, candidate, rng):
    """The 95 % percentile bootstrap interval of the median of all pairwise differences."""
    picks = [side[rng.integers(0, len(side), (BOOTSTRAP_ROUNDS, len(side)))] for side in (base, candidate)]
    pairs = picks[1][:, :, None] - picks[0][:, None, :]
    return numpy.percentile(numpy.median(pairs.reshape(BOOTSTRAP_ROUNDS, -1), axis=1), [2.5, 97.5])


def effect_of_counts(base, candidate, difference: float, rng) -> Effect:
    """For values that may be zero (failures, expansions) a ratio has no meaning: relative to the larger median."""
    scale = max(abs(float(numpy.median(base))), abs(float(numpy.median(candidate))))
    if not scale:
        return Effect(0.0, 0.0, 0.0, difference)
    change = float(numpy.median(numpy.subtract.outer(candidate, base))) / scale
    low, high = interval(base, candidate, rng) / scale
    return Effect(change, float(low), float(high), difference)


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
