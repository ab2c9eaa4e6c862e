# SPDX-License-Identifier: Apache-2.0
"""Medians with their spread, and ratios and differences of two contenders measured in the same rounds.

Quartiles rather than a standard deviation: a benchmark's times have a floor and a long tail.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A sample's middle. `mad` is the median distance from the median."""

    count: int
    median: float
    q1: float
    q3: float
    mad: float
    low: float
    high: float


def quantile(ordered: list[float], part: float) -> float:
    """Of an ordered sample, linear between its values (the usual "type 7")."""
    place = (len(ordered) - 1) * part
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(samples) -> Spread | None:
    """None of an empty sample."""
    ordered = sorted(samples)
    if not ordered:
        return None
    median = quantile(ordered, 0.5)
    distances = sorted(abs(value - median) for value in ordered)
    return Spread(len(ordered), median, quantile(ordered, 0.25), quantile(ordered, 0.75), quantile(distances, 0.5),
                  ordered[0], ordered[-1])


SHARED_ROUNDS = 3  # fewer say little


def paired(ours: dict[int, float], theirs: dict[int, float], operation) -> Spread | None:
    """Spread of operation(our value, their value) over the rounds that have both: what drifts from round to round
    drifts in both. When each has rounds that the other lacks and fewer than three are shared, over all pairs of values.
    None when either has none."""
    shared = sorted(ours.keys() & theirs.keys())
    pairs = [(ours[number], theirs[number]) for number in shared]
    if len(shared) < min(SHARED_ROUNDS, len(ours), len(theirs)):
        pairs = [(our, their) for our in ours.values() for their in theirs.values()]
    return spread(value for our, their in pairs if (value := operation(our, their)) is not None)


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    return paired(ours, theirs, lambda our, their: our / their if their else None)


def difference(ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    return paired(ours, theirs, lambda our, their: our - their)
