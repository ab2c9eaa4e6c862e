# SPDX-License-Identifier: Apache-2.0
"""Blocks of runs that were measured one after the other, in a comparison that measures two builds in turn.

A host drifts: the processor's clock, its neighbours, its memory. Runs of one block are minutes or seconds apart, so they share
the host's state; runs of different blocks may not. Values are compared as deviations from the middle of their block, and labels
are exchanged only within a block (randomised blocks: Fisher, "The Design of Experiments", 1935; aligned observations: Hodges and
Lehmann, Annals of Mathematical Statistics 33, 1962). The middle does not depend on the labels, so the tests stay exact.

A block has four runs of each build. So with four repetitions there is one block, and 70 relabellings; smaller blocks would leave
too few. What is left over makes a smaller block.
"""
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from poolmark.bench.in_turn import BLOCK

RUNS = BLOCK            # of each build in a block

Array = NDArray[Any]    # of numbers
Blocks = tuple[tuple[int, ...], tuple[int, ...]]  # the block of each value: of the baseline, of the candidate


def blocks_of(base: Sequence[int | None], candidate: Sequence[int | None]) -> Blocks | None:
    """The block of each value, from the turn of its run: 0 for its build's first. A block with values of one side only joins the
    nearest that has both. None where a turn is not known, or no block has both."""
    if any(not isinstance(turn, int) or isinstance(turn, bool) for turn in (*base, *candidate)):
        return None
    first = [tuple(turn // RUNS for turn in side if turn is not None) for side in (base, candidate)]
    shared = sorted(set(first[0]) & set(first[1]))
    if not shared:
        return None
    ours, theirs = (tuple(min(shared, key=lambda one: (abs(one - block), one)) for block in side) for side in first)
    return ours, theirs


def of_both(both: Blocks) -> list[int]:
    """The blocks that have values of both sides."""
    return sorted(set(both[0]) & set(both[1]))


def sizes(both: Blocks) -> list[tuple[int, int]]:
    """How many values of each side each block has."""
    return [(both[0].count(one), both[1].count(one)) for one in of_both(both)]


def count(both: Blocks) -> int:
    return len(of_both(both))


def places(both: Blocks) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Of each block: the indexes of its values, where the candidate's follow the baseline's."""
    first = len(both[0])
    return [(tuple(place for place, block in enumerate(both[0]) if block == one),
             tuple(first + place for place, block in enumerate(both[1]) if block == one)) for one in of_both(both)]


def middles(values: Array, both: Blocks) -> Array:
    """The median of its block, for each value (the baseline's first). Zeros when there is one block."""
    found = numpy.zeros(len(values))
    if count(both) > 1:
        for ours, theirs in places(both):
            seats = list(ours + theirs)
            found[seats] = numpy.median(values[seats])
    return found


def deviations(values: Array, both: Blocks) -> Array:
    """The values less the middle of their block. Unchanged when there is one block."""
    return values - middles(values, both)


def differences(base: Sequence[float] | Array, candidate: Sequence[float] | Array, both: Blocks) -> Array:
    """All differences between a value of the candidate and one of the baseline in the same block, sorted."""
    ours, theirs = numpy.asarray(base, float), numpy.asarray(candidate, float)
    mine, other = (numpy.array(side) for side in both)
    return numpy.sort(numpy.concatenate([numpy.subtract.outer(theirs[other == one], ours[mine == one]).ravel()
                                         for one in of_both(both)]))
