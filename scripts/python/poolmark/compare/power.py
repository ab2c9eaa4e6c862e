# SPDX-License-Identifier: Apache-2.0
"""Predicts what a comparison of n repetitions can find, from the spread of earlier repetitions.

A change is found when its t exceeds the level for the whole family. Let `deviation` be the relative spread of repetitions, n the
repetitions a side and m the number of tests. Then a change is found 19 times in 20 from a size of about

    (t(1 - alpha / m) + t(0.95)) * deviation * sqrt(2 / n)

The permutation tests that judge are at least as powerful (permutation.py).
"""
import functools
import math
from collections.abc import Iterable

import numpy

from poolmark.base.distributions import t_beyond, t_quantile
from poolmark.compare.permutation import least_p, trimmed
from poolmark.facts import metrics

TARGET_POWER = 0.95
TOO_NOISY = 0.10        # a comparison that finds only larger changes is of no use
TOO_NOISY_TAIL = 1.00   # tails and counts of what went wrong vary more: for them a doubling must be found
MOST_REPETITIONS = 1000   # rounds of benchmarks are short


def limit_of(metric: str) -> float:
    """The largest useful `finds` for this metric."""
    return TOO_NOISY_TAIL if metrics.is_tail(metric) or metrics.is_fault(metric) else TOO_NOISY


def deviation_of(values: Iterable[float]) -> float | None:
    """Relative spread of repetitions; None if unknown. One outlier in five counts little."""
    found = numpy.asarray(list(values), float)
    if len(found) < 3 or found.min() <= 0:
        return None
    _, squared, left = trimmed(numpy.log(found)[None])
    return math.sqrt(float(squared[0]) * left)


@functools.cache
def factor(repetitions: int, tests: int, alpha: float) -> float:
    """The factor of the deviation; infinite when a test of so many repetitions can find nothing."""
    if repetitions < 2 or least_p(repetitions, repetitions) > alpha:
        return math.inf
    freedom = 2 * repetitions - 2
    t = t_beyond(alpha / max(1, tests), freedom) + t_quantile(TARGET_POWER, freedom)
    return t * math.sqrt(2 / repetitions)


def finds(deviation: float, repetitions: int, tests: int, alpha: float) -> float:
    """The least change that would be found 19 times in 20."""
    reach = factor(repetitions, tests, alpha) * deviation
    return math.inf if math.isinf(factor(repetitions, tests, alpha)) else math.expm1(min(reach, 50.0))


def repetitions_for(deviation: float, size: float, tests: int, alpha: float) -> int | None:
    """The least number of repetitions that find a change of that size; None above MOST_REPETITIONS."""
    for count in range(2, MOST_REPETITIONS + 1):
        if finds(deviation, count, tests, alpha) <= size:
            return count
    return None
