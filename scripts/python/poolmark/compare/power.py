# SPDX-License-Identifier: Apache-2.0
"""What a comparison of n repetitions can find, told before it is made, from the spread of repetitions measured earlier.

A change is found when its t passes the level that the whole family is tested at: with a spread of `deviation` from one
repetition to the next (as a share), n repetitions a side and m tests, changes of about

    (t(1 - alpha / m) + t(0.95)) * deviation * sqrt(2 / n)

are found 19 times in 20. The permutation tests that judge are no weaker (permutation.py).
"""
import functools
import math

import numpy
from scipy import stats

from poolmark.compare.permutation import least_p, trimmed

TARGET_POWER = 0.95
TOO_NOISY = 0.20        # a comparison that finds nothing smaller is of no use
TOO_NOISY_TAIL = 1.00   # tails vary by themselves; a doubling is to be found
MOST_REPETITIONS = 100
_TAILS = ("p99", "p99_9", "p99_99", "p99_999", "max", "longest", "lost", "failed", "dropped", "refused", "not_sent",
          "duplicates", "unacknowledged", "overflow")


def limit_of(metric: str) -> float:
    """What a comparison has to find to be of use for this metric."""
    return TOO_NOISY_TAIL if any(tail in metric for tail in _TAILS) else TOO_NOISY


def deviation_of(values) -> float | None:
    """How much one repetition differs from the next, as a share; None when it cannot be told. One wild value in five
    counts little."""
    found = numpy.asarray(list(values), float)
    if len(found) < 3 or found.min() <= 0:
        return None
    _, squared, left = trimmed(numpy.log(found)[None])
    return math.sqrt(float(squared[0]) * left)


@functools.cache
def factor(repetitions: int, tests: int, alpha: float) -> float:
    """What the deviation is multiplied by; infinite when no test of so many repetitions can find anything."""
    if repetitions < 2 or least_p(repetitions, repetitions) > alpha:
        return math.inf
    freedom = 2 * repetitions - 2
    t = float(stats.t.isf(alpha / max(1, tests), freedom) + stats.t.ppf(TARGET_POWER, freedom))
    return t * math.sqrt(2 / repetitions)


def finds(deviation: float, repetitions: int, tests: int, alpha: float) -> float:
    """The least change that is found 19 times in 20."""
    reach = factor(repetitions, tests, alpha) * deviation
    return math.inf if math.isinf(factor(repetitions, tests, alpha)) else math.expm1(min(reach, 50.0))


def repetitions_for(deviation: float, size: float, tests: int, alpha: float) -> int | None:
    """The least number that finds a change of that size; None past MOST_REPETITIONS."""
    for count in range(2, MOST_REPETITIONS + 1):
        if finds(deviation, count, tests, alpha) <= size:
            return count
    return None
