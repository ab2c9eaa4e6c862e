# SPDX-License-Identifier: Apache-2.0
"""Rounds go on, within bounds, until a ratio is known well enough. A ratio that stays wide is reported."""
import time
from types import SimpleNamespace

import pytest

from poolmark.bench import bench_narrow, bench_plan
from poolmark.bench.bench_plan import Bench, Contender
from poolmark.bench.bench_report import Measured
from poolmark.bench.bench_results import Results

NAMES = ("direct-slab", "direct-glibc", "direct-jemalloc")


class FakeRunner:
    """`slab_ns(round)`: the time of direct-slab; the others take 100 and 200 ns."""

    def __init__(self, slab_ns, rounds=9, narrow=10):
        benches = [Bench("remote_1_1", Contender(name, name), bench_plan.THE_SIZE, 2, True) for name in NAMES]
        self.slab_ns, self.narrow, self.planned, self.told = slab_ns, narrow, 0, []
        self.results = Results(benches)
        self.record = SimpleNamespace(anomaly=lambda what, text: self.told.append((what, text)))
        for number in range(1, rounds + 1):
            for bench in benches:
                self.run_one(bench, number, None)

    def run_one(self, bench, number, children):
        time_ns = {"direct-slab": self.slab_ns(number), "direct-glibc": 100.0}.get(bench.contender.name, 200.0)
        self.results.series[bench.name].add(number, Measured(time_ns, {}))

    def rounds(self):
        return [len(series.measured) for series in self.results.series.values()]


def never():
    return time.monotonic() + 3600


def test_a_narrow_ratio_has_no_more_rounds():
    runner = FakeRunner(lambda number: 50.0 + number % 2)
    bench_narrow.go_on(runner, None, 9, never())
    assert runner.rounds() == [9, 9, 9] and runner.planned == 0
    (told,) = bench_narrow.told(runner)
    assert told["narrow"] and told["rounds"] == 9 and told["over"] == "direct-glibc" and not runner.told


def test_a_wide_one_goes_on_until_it_is_narrow_with_the_two_that_count():
    runner = FakeRunner(lambda number: 50.0 if number > 9 else 30.0 + 5 * number)
    bench_narrow.go_on(runner, None, 9, never())
    slab, glibc, jemalloc = runner.rounds()
    assert 9 < slab == glibc < bench_narrow.ROUNDS_MAX and jemalloc == 9
    assert runner.planned == 2 * (slab - 9)
    (told,) = bench_narrow.told(runner)
    assert told["narrow"] and told["half_width_percent"] <= 10 and not runner.told


@pytest.mark.parametrize("deadline, rounds", [(never, bench_narrow.ROUNDS_MAX), (lambda: 0.0, 9)], ids=["rounds", "time"])
def test_one_that_stays_wide_ends_at_its_bound_and_is_told(deadline, rounds):
    runner = FakeRunner(lambda number: 20.0 if number % 2 else 80.0)
    bench_narrow.go_on(runner, None, 9, deadline())
    assert runner.rounds() == [rounds, rounds, 9]
    (told,) = bench_narrow.told(runner)
    assert not told["narrow"] and told["rounds"] == rounds
    ((what, text),) = runner.told
    assert what == "wide" and text.startswith(f"remote_1_1: after {rounds} rounds the ratio to direct-glibc is known to ")


def test_rounds_too_few_for_an_interval_are_told_and_off_is_off():
    runner = FakeRunner(lambda number: 50.0, rounds=3)
    bench_narrow.go_on(runner, None, 3, 0.0)
    assert bench_narrow.told(runner)[0]["half_width_percent"] is None and "too few for an interval" in runner.told[0][1]
    runner = FakeRunner(lambda number: 20.0 if number % 2 else 80.0, narrow=0)
    bench_narrow.go_on(runner, None, 9, never())
    assert runner.rounds() == [9, 9, 9] and bench_narrow.told(runner) == [] and bench_narrow.reserve_s(runner, 585) == 0


# The tails: on which side of the aim.

class FakeTails(FakeRunner):
    """`tail_ns(contender, round)`: the p99.99 of single gets."""

    def __init__(self, tail_ns, rounds=3, narrow=10):
        self.tail_ns, self.narrow, self.planned, self.told = tail_ns, narrow, 0, []
        benches = [Bench("crowd", Contender(name, name), bench_plan.THE_SIZE, 16, True) for name in ("slab", "fixed", "expand", "bare")]
        self.results = Results(benches)
        self.record = SimpleNamespace(anomaly=lambda what, text: self.told.append((what, text)))
        for number in range(1, rounds + 1):
            for bench in benches:
                self.run_one(bench, number, None)

    def run_one(self, bench, number, children):
        self.results.series[bench.name].add(number, Measured(90.0, {"p99_99_ns": self.tail_ns(bench.contender.name, number)}))


def test_tails_go_on_until_each_is_on_one_side_of_the_aim_with_bare_beside():
    def tail_ns(name, number):
        return {"slab": 400.0, "fixed": 30_000.0, "expand": 30_000.0 if number in (1, 2) else 10_000.0 + number, "bare": 300.0}[name]

    runner = FakeTails(tail_ns)
    bench_narrow.go_on(runner, None, 3, never())
    slab, fixed, expand, bare = runner.rounds()
    assert slab == fixed == bench_narrow.ROUNDS_LEAST < expand == bare < bench_narrow.DECIDED_MAX
    assert runner.planned == slab + fixed + expand + bare - 12
    told = bench_narrow.told_decided(runner)
    assert [one["contender"] for one in told] == ["slab", "fixed", "expand"] and all(one["decided"] for one in told) and not runner.told


@pytest.mark.parametrize("deadline, rounds", [(never, bench_narrow.DECIDED_MAX), (lambda: 0.0, 3)], ids=["rounds", "time"])
def test_a_tail_that_stays_on_both_sides_ends_at_its_bound_and_is_told(deadline, rounds):
    runner = FakeTails(lambda name, number: 15_000.0 + 10_000 * (number % 2) if name == "fixed" else 400.0)
    bench_narrow.go_on(runner, None, 3, deadline())
    assert runner.rounds()[1] == runner.rounds()[3] == rounds
    told = {one["contender"]: one for one in bench_narrow.told_decided(runner)}
    assert not told["fixed"]["decided"] and told["fixed"]["rounds"] == rounds
    (what, text) = next(one for one in runner.told if "fixed" in one[1])
    assert what == "wide" and text.startswith(f"crowd: after {rounds} rounds p99.99 of fixed is 15 us to 25 us")
    assert text.endswith("on which side of 20 us is not known")


def test_a_budget_keeps_time_for_both_kinds_of_rounds():
    assert bench_narrow.reserve_of({"lifo"}, 585) == 0
    assert bench_narrow.reserve_of({"remote_1_1"}, 585) == bench_narrow.RESERVE_S
    assert bench_narrow.reserve_of({"remote_1_1", "crowd"}, 585) == bench_narrow.RESERVE_MOST_S
    assert bench_narrow.reserve_of({"remote_1_1", "crowd"}, 60) == 10
    assert bench_narrow.tails(FakeTails(lambda name, number: 1.0, narrow=0)) == []
