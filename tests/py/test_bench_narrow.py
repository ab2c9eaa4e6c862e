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
