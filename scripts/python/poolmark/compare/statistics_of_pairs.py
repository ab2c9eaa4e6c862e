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
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from poolmark.base.pairwise import CONFIDENCE, interval, rank_of_limit
from poolmark.compare import blocks
from poolmark.compare.blocks import Array

__all__ = ["CONFIDENCE", "Effect", "UNKNOWN", "effect", "interval", "noise_floor", "rank_of_limit", "relative"]

SPLIT_ROUNDS = 400


@dataclass(frozen=True)
class Effect:
    change: float       # candidate over baseline minus one; 0.05 is 5 % more; infinite from 0
    low: float
    high: float         # interval of `change`; infinite with too few values
    difference: float   # in the metric's unit
    apart: tuple[float, float, float] = (math.nan, math.nan, math.nan)  # interval and middle of the pairs' differences, where a value is 0


UNKNOWN = Effect(math.nan, math.nan, math.nan, math.nan)   # of a row that was not measured yet


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
        middle = float(numpy.median(apart))
        return Effect(relative(middle, level), relative(low, level), relative(high, level), difference, (low, middle, high))
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
