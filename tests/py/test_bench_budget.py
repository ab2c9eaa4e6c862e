# SPDX-License-Identifier: Apache-2.0
"""The default set and its ten minutes. Nine rounds of the headlines fit on a slow host, headlines come first when not everything
fits, and the number of rounds that fit is said beforehand."""
from types import SimpleNamespace

import pytest
from poolmark.base.paths import build_dir
from poolmark.bench import bench, bench_narrow, bench_plan
from poolmark.bench.bench_headlines import headlines
from poolmark.bench.bench_plan import Bench, Contender
from poolmark.bench.bench_report import Measured
from poolmark.bench.bench_results import Results

SLOW = 1.6      # measured over estimated time on a host where only three of nine rounds fitted
MIN_TIME_S = 0.03


@pytest.fixture(scope="module")
def default():
    every = bench_plan.expand(bench_plan.listed(build_dir() / "poolmark-bench"))
    return bench_plan.select(every, "default", None)


def test_nine_rounds_of_the_default_set_fit_on_a_slow_host(default):
    """Earlier, with an estimate of 540 s, only 3 of 9 rounds fitted; their intervals have a confidence of 75 %."""
    rounds = bench_plan.rounds(default, None, 1)
    assert len(rounds) == 9
    assert SLOW * sum(bench.thought_s(rounds, MIN_TIME_S, 0)) < bench.DEFAULT_BUDGET_S - bench_narrow.RESERVE_S


def test_contenders_of_one_comparison_follow_one_another_in_random_order(default):
    first, second = bench_plan.rounds(default, 2, 1)
    for benches in (first, second):
        groups = [bench.group for number, bench in enumerate(benches) if not number or benches[number - 1].group != bench.group]
        assert len(groups) == len(set(groups)) and sorted(benches, key=lambda one: one.name) == sorted(default, key=lambda one: one.name)
    orders = [[bench.contender.name for bench in benches if bench.group == first[0].group] for benches in (first, second)]
    assert orders[0] != orders[1] and first[0].group != second[0].group


def test_every_headline_has_its_rows_in_the_default_set(default):
    results = Results(default)
    for series in results.series.values():
        series.add(1, Measured(100.0, dict.fromkeys(("p99_99_ns", "faults_get", "longest_expansion_ns", "idle_bytes", "idle_1s_bytes", "idle_trimmed_bytes",
                                                     "after_1s_ratio", "again_ns"), 1.0)))
    assert [one.name for one in headlines(results) if one.value is None] == []


def some_rounds():
    names = ("lifo", "fifo")        # a headline and another benchmark
    benches = [Bench(name, Contender("slab", "slab"), 3072, 1, False) for name in names]
    return [benches] * 3


def runner(told):
    return SimpleNamespace(record=SimpleNamespace(anomaly=lambda what, text: told.append((what, text))),
                           estimate_s=lambda benches: 10.0 * len(benches))


def test_headlines_come_first_where_not_everything_fits():
    told, rounds = [], some_rounds()
    first = bench.Runner.headlines_first
    assert first(runner(told), 1, rounds, 0.0) == rounds[0]         # the first round always runs whole
    assert first(runner(told), 2, rounds, 30.0) == rounds[1] and not told   # two rows and the headline of round 3
    assert [one.workload for one in first(runner(told), 2, rounds, 29.0)] == ["lifo"]
    assert told == [("budget", "round 2: 1 row beside the headlines left out, for the headlines' rounds to fit")]


def test_the_first_round_tells_how_many_will_fit_and_what_all_would_take():
    fit = bench.Runner.told_fit
    assert fit(runner([]), some_rounds(), 40.0, 60.0) == "at this host's speed all 3 rounds fit"
    text = fit(runner([]), some_rounds(), 39.0, 60.0)
    assert text.startswith("at this host's speed 2 of 3 rounds fit the budget; with --budget 80s")


def test_beforehand_it_is_said_how_many_rounds_fit(poolmark):
    told = bench.told_before(some_rounds(), MIN_TIME_S, 0.4)
    assert told.startswith("2 of 3 rounds fit") and "--budget" in told and bench.told_before(some_rounds(), MIN_TIME_S, 1e9) == ""
    done = poolmark("bench", "--dry-run", "--filter", "^lifo/", "--budget", "585s")
    assert done.returncode == 0 and "all 9 rounds fit the budget of 585 s" in done.stderr
