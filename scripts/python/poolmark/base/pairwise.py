# SPDX-License-Identifier: Apache-2.0
"""The exact interval of a shift between two samples, distribution-free, by the ranks of their pairwise differences: that of the Mann-Whitney test
(Lehmann, "Nonparametrics", 1975, section 2.7). It has its coverage with 4 values a side as with 40; with fewer than 4 there is none of 95 %.

    low, high = interval(sorted(theirs - ours for ...), [(len(ours), len(theirs))])
"""
import functools
import math
from collections.abc import Sequence
from typing import Any

from poolmark.base.distributions import normal_quantile

CONFIDENCE = 0.95
EXACT_PAIRS = 2500      # beyond these a normal distribution is as good


@functools.cache
def mann_whitney(ours: int, theirs: int) -> tuple[int, ...]:
    """In how many orders of all values U is 0, 1, ...: Gaussian binomial coefficients."""
    counts = [1] + [0] * (ours * theirs)
    for number in range(1, ours + 1):
        # times (1 - q^above), over (1 - q^number)
        above = theirs + number
        counts = [count - (counts[place - above] if place >= above else 0) for place, count in enumerate(counts)]
        for place in range(number, len(counts)):
            counts[place] += counts[place - number]
    return tuple(counts)


def _convolve(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    made = [0] * (len(one) + len(other) - 1)
    for i, count in enumerate(one):
        for j, more in enumerate(other):
            made[i + j] += count * more
    return tuple(made)


@functools.cache
def _rank(sizes: tuple[tuple[int, int], ...], confidence: float) -> int:
    tail = (1 - confidence) / 2
    pairs = sum(ours * theirs for ours, theirs in sizes)
    if pairs > EXACT_PAIRS:
        deviation = math.sqrt(sum(ours * theirs * (ours + theirs + 1) / 12 for ours, theirs in sizes))
        return max(1, int(pairs / 2 + normal_quantile(tail) * deviation))
    counts = functools.reduce(_convolve, (mann_whitney(*size) for size in sizes))
    most, below, rank = sum(counts) * (tail + 1e-12), 0, 0
    for count in counts:
        below += count
        if below > most:
            break
        rank += 1
    return rank


def rank_of_limit(sizes: Sequence[tuple[int, int]], confidence: float = CONFIDENCE) -> int:
    """k: the interval reaches from the k-th smallest pairwise difference to the k-th largest. 0 when no k gives the confidence.
    `sizes`: how many values of each side a block has."""
    return _rank(tuple((int(ours), int(theirs)) for ours, theirs in sizes), confidence)


def interval(differences: Any, sizes: Sequence[tuple[int, int]], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the shift from one side to the other, from their sorted pairwise differences: a list, or an array."""
    rank = rank_of_limit(sizes, confidence)
    if not rank:
        return -math.inf, math.inf
    return float(differences[rank - 1]), float(differences[-rank])
