# SPDX-License-Identifier: Apache-2.0
"""Runs measured in turn: relabelled within blocks of neighbours, compared as deviations from their block."""
import copy
import math

import numpy
import pytest
from scipy import stats

from poolmark.compare import blocks, permutation, verdict
from poolmark.compare import statistics_of_pairs as statistics
from poolmark.compare.interleave import order
from poolmark.compare.permutation import Family, Sample
from test_compare import make_run

# Nanoseconds of `lifo/slab/3072`, one build against itself in turn, on a virtual machine whose clock rose by 18 % meanwhile (0.354
# to 0.301 ns an addition). The baseline's run in turn 22 was not at full speed.
MEASURED = ([
    4.148, 3.969, 4.601, 4.008, 8.888, 3.858, 3.898, 3.851, 3.832, 3.854, 3.805, 3.727, 3.772, 3.89, 3.72, 3.628,
    3.616, 3.6, 3.603, 3.597, 3.658, 3.623, 3.613
], [
    4.109, 4.214, 4.077, 4.012, 3.906, 3.797, 3.874, 3.873, 3.874, 3.85, 3.847, 3.857, 3.794, 3.814, 3.578, 3.592,
    3.607, 3.576, 3.604, 3.653, 3.63, 3.618, 3.696, 3.837
])
BASE_TURNS = [turn for turn in range(24) if turn != 22]


def both(count):
    return blocks.blocks_of(range(count), range(count))


def drifting(generator, count, shift=0.0, step=.02, slope=0.0, spread=.01):
    """Values of A B B A ..., on a host whose speed changes by `slope` a run, and by chance by `step`."""
    walk = numpy.cumsum(generator.normal(slope, step, 2 * count)) + generator.normal(0, spread, 2 * count)
    sides = {"base": [], "candidate": []}
    for side, level in zip(order(count), walk, strict=True):
        sides[side].append(math.exp(level + (shift if side == "candidate" else 0.0)))
    return tuple(sides["base"]), tuple(sides["candidate"])


def test_four_runs_of_each_build_are_a_block_and_the_rest_is_a_smaller_one():
    assert both(4) == ((0,) * 4, (0,) * 4)
    assert blocks.sizes(both(10)) == [(4, 4), (4, 4), (2, 2)]
    assert [permutation.arrangements(both(count)) for count in (4, 5, 6, 9)] == [70, 140, 420, 9800]
    assert blocks.blocks_of([0, 1, None], [0, 1, 2]) is None and blocks.blocks_of([0, 1], [4, 5]) is None
    assert blocks.blocks_of([True], [1]) is None


def test_a_block_of_one_side_joins_the_nearest_that_has_both():
    assert blocks.blocks_of([0, 1, 4, 5, 8], [0, 1, 9]) == ((0, 0, 0, 0, 2), (0, 0, 2))


def test_labels_are_exchanged_within_blocks_only():
    unit = both(6)
    every = permutation.every_labelling(unit)
    assert len(every) == 420 == len({tuple(sorted(row[:6])) for row in every.tolist()})
    assert every[0].tolist() == list(range(12))
    made = permutation.random_labellings(unit, 300, numpy.random.default_rng(1))
    assert made[0].tolist() == list(range(12))
    for row in [*every.tolist(), *made.tolist()]:
        assert sorted(row) == list(range(12))
        assert {place for place in row[:6] if place in (4, 5, 10, 11)} == set(row[4:6])


def test_with_one_block_nothing_changes():
    generator = numpy.random.default_rng(2)
    base, candidate = (tuple(numpy.exp(generator.normal(size=4))) for _ in range(2))
    plain, blocked = Sample("c", base, candidate), Sample("c", base, candidate, blocks=both(4))
    results = [Family([one], numpy.random.default_rng(1)).results() for one in (plain, blocked)]
    assert results[0] == results[1]
    assert permutation.standard_error(plain) == permutation.standard_error(blocked)
    assert statistics.effect(base, candidate) == statistics.effect(base, candidate, both=both(4))


@pytest.mark.parametrize("count", [6, 10])
def test_a_drift_raises_no_more_alarms_than_the_level(count):
    """600 comparisons of a build with itself while the host drifts. At 5 % at most 45 alarms, by the binomial's 99.9 %."""
    generator, alarms = numpy.random.default_rng(count), 0
    for _ in range(600):
        sample = Sample("c", *drifting(generator, count), blocks=both(count))
        alarms += Family([sample], generator, rounds=499).results()[0].corrected <= .05
    assert alarms <= stats.binom.ppf(.999, 600, .05)


def test_independent_values_raise_as_many_alarms_as_the_level_says():
    generator, alarms = numpy.random.default_rng(3), 0
    for _ in range(600):
        values = numpy.exp(generator.normal(0, .02, 12))
        sample = Sample("c", tuple(values[:6]), tuple(values[6:]), blocks=both(6))
        alarms += Family([sample], generator).results()[0].corrected <= .05
    assert stats.binom.ppf(.001, 600, .05) <= alarms <= stats.binom.ppf(.999, 600, .05)


def test_a_change_is_found_beneath_a_drift_that_hides_it_without_blocks():
    generator, found = numpy.random.default_rng(4), [0, 0]
    for _ in range(40):
        sides = drifting(generator, 10, shift=.05, step=.005, slope=.01)
        for place, blocked in enumerate((both(10), None)):
            sample = Sample("c", *sides, blocks=blocked)
            found[place] += Family([sample], generator, rounds=499).results()[0].corrected <= .04
    assert found[0] >= 38 and found[1] <= 20


@pytest.mark.parametrize("count", [5, 6, 9])
def test_the_interval_covers_beneath_a_drift_and_is_narrower(count):
    generator, covered, narrower = numpy.random.default_rng(count), 0, 0
    for _ in range(400):
        base, candidate = drifting(generator, count, shift=.05, step=.005, slope=.01)
        found = statistics.effect(base, candidate, both=both(count))
        covered += found.low <= math.expm1(.05) <= found.high
        narrower += found.high - found.low < (wide := statistics.effect(base, candidate)).high - wide.low
    assert covered >= stats.binom.ppf(.001, 400, .95) and (count < 6 or narrower > 300)


def in_turn(run, comparison="compare-20260101T000000Z-0001"):
    run["comparison"] = comparison
    for cell in run["cells"]:
        cell["turn"] = cell["repetition"] - 1
        for one in cell["metrics"].values():
            one["value"] *= 1 + .04 * cell["turn"]  # the host gets slower
    return run


def test_a_verdict_of_runs_in_turn_sees_through_a_drift():
    keys = dict(repetitions=10, cells=1, spread=.004)
    base, candidate = in_turn(make_run(seed=1, **keys)), in_turn(make_run(seed=2, scale=1.05, **keys))
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION and abs(found.rows[0].effect.change - .05) < .01
    assert verdict.compare(in_turn(make_run(seed=1, **keys)), in_turn(make_run(seed=3, **keys))).code == verdict.OK
    candidate["comparison"] = "compare-20260101T000000Z-0002"  # of another comparison: their turns are of other times
    assert verdict.compare(base, candidate).rows[0].blocks is None


def test_repetitions_that_are_missing_keep_the_others_in_their_blocks():
    keys = dict(repetitions=10, cells=1, spread=.004)
    base, candidate = in_turn(make_run(seed=1, **keys)), in_turn(make_run(seed=2, **keys))
    del base["cells"][3], candidate["cells"][0:2]
    row = verdict.compare(base, candidate).rows[0]
    assert row.blocks == ((0, 0, 0, 1, 1, 1, 1, 2, 2), (0, 0, 1, 1, 1, 1, 2, 2)) and len(row.base) == 9


def test_on_a_host_that_drifted_blocks_find_a_quarter_of_the_change():
    """The figures of docs/comparisons.md."""
    run = make_run(repetitions=24, cells=1, metric="time")
    sides = [copy.deepcopy(run), copy.deepcopy(run)]
    for side, turns, values in zip(sides, (BASE_TURNS, range(24)), MEASURED, strict=True):
        side["cells"] = [cell for cell in side["cells"] if cell["repetition"] - 1 in turns]
        for cell, value in zip(side["cells"], values, strict=True):
            cell["metrics"]["time"]["value"], cell["turn"] = value, cell["repetition"] - 1
    without = verdict.compare(*sides).rows[0]
    for side in sides:
        side["comparison"] = "compare-20260101T000000Z-0001"
    blocked = verdict.compare(*sides).rows[0]
    assert blocked.verdict == without.verdict == "same"
    assert f"{blocked.finds:.1%} {without.finds:.1%}" == "1.3% 5.6%"


def test_sides_of_two_comparisons_are_told_apart():
    from poolmark.compare.two_runs import apart

    base, candidate = in_turn(make_run(seed=1)), in_turn(make_run("suite-20260101T000000Z-0002", seed=2))
    for run, hour in ((base, 1), (candidate, 2)):
        run.update(kind="nightly", started_utc=f"2026-01-01T0{hour}:00:00Z", ended_utc=f"2026-01-01T0{hour}:01:00Z")
    assert not apart(base, candidate)
    candidate["comparison"] = "compare-20260101T000000Z-0002"
    assert apart(base, candidate)


@pytest.mark.parametrize("count", [4, 6, 8])
def test_a_disturbance_with_the_rhythm_of_the_runs_meets_both_sides(count):
    """Every second pair of runs is slow, as by a job each minute where a run takes 15 s. By A B B A alone one side would meet it in
    every comparison."""
    generator, alarms = numpy.random.default_rng(count), 0
    for number in range(300):
        sides = {"base": [], "candidate": []}
        for place, side in enumerate(order(count, number)):
            sides[side].append(math.exp(.01 * (place % 4 in (1, 2)) + generator.normal(0, .01)))
        sample = Sample("c", tuple(sides["base"]), tuple(sides["candidate"]), blocks=both(count))
        alarms += Family([sample], generator, rounds=499).results()[0].corrected <= .05
    assert alarms <= stats.binom.ppf(.999, 300, .05)
