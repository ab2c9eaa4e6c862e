# SPDX-License-Identifier: Apache-2.0
"""Repeats rounds until a ratio is known well enough: a sequential rule for benchmarks whose threads wait for one another.

The time of a cache line from one core to another depends on where the host placed the threads, and changes between processes.
After nine rounds the ratio of slab to the fastest allocator may still be uncertain by a quarter. So rounds of these two go on
until the interval of the ratio's median is narrow: half its width is at most --narrow per cent of the median. This is the rule
of Chow and Robbins 1965, with the interval of order statistics. Rounds and time are bounded; a ratio that stays wide is reported.

A rule that looks after each round tends to stop when the interval happens to be narrow. Its confidence is therefore somewhat
below the 95 % of a single look. Where that matters, use a fixed number of rounds (--repetitions 60 --narrow 0).
"""
import time
from typing import Protocol

from poolmark.bench import bench_plan as plan
from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_plan import Bench
from poolmark.bench.bench_results import Results, Series, alike
from poolmark.base.forms import Json
from poolmark.facts.children import Children
from poolmark.records.record import Record

PERCENT = 10
ROUNDS_LEAST, ROUNDS_MAX = 6, 60  # fewer than six rounds give no 95 % interval
RESERVE_S = 40.0  # part of the budget that is kept for all these rounds


Pair = tuple[Series, Series]      # slab's, the fastest allocator's


class Runner(Protocol):
    """What runs the rounds (bench.py)."""

    narrow: int             # per cent that were asked for; 0 for none
    planned: int            # measurements that were due
    results: Results
    record: Record

    def run_one(self, bench: Bench, number: int, children: Children) -> None: ...


def pair(results: Results, workload: str, threads: int) -> Pair | None:
    """(slab's series, the fastest allocator's series); None when one is missing."""
    ours = results.find(workload, plan.DIRECT_SLAB, plan.THE_SIZE, threads)
    theirs = results.fastest_allocator(workload, plan.THE_SIZE, threads)
    return (ours, theirs) if ours and theirs else None


def half_width(both: Pair) -> float | None:
    """Half width of the ratio's interval, relative to the median; None with too few rounds."""
    ratio = statistics.ratio(*alike(*both))
    return ratio.half_width if ratio else None


def asked(runner: Runner) -> list[tuple[str, int]]:
    """The pairs that are part of this run."""
    if not runner.narrow:
        return []
    return [(workload, threads) for workload, threads in plan.UNTIL_NARROW
            if {(workload, plan.THE_SIZE, threads)} & {series.bench.group for series in runner.results.series.values()}]


def reserve_s(runner: Runner, budget_s: float) -> float:
    return min(RESERVE_S, budget_s / 10) if asked(runner) else 0.0


def is_narrow(runner: Runner, both: Pair) -> bool:
    found = half_width(both)
    return found is not None and found * 100 <= runner.narrow


def go_on(runner: Runner, children: Children, done: int, deadline: float) -> None:
    """Runs rounds done + 1 and later, of the pairs that are not known well enough."""
    for number in range(done + 1, ROUNDS_MAX + 1):
        wide = [both for one in asked(runner) if (both := pair(runner.results, *one)) and not is_narrow(runner, both)]
        for both in wide:
            for series in both:
                if time.monotonic() > deadline:
                    return
                runner.planned += 1
                runner.run_one(series.bench, number, children)
        if not wide:
            return


def told(runner: Runner) -> list[Json]:
    """For the record. A ratio that stayed wide is an anomaly."""
    found: list[Json] = []
    for workload, threads in asked(runner):
        both = pair(runner.results, workload, threads)
        if not both:
            continue
        width = half_width(both)
        ours, theirs = alike(*both)
        rounds = len(ours.keys() & theirs.keys())
        narrow = is_narrow(runner, both)
        found.append({"workload": workload, "over": both[1].bench.contender.name, "rounds": rounds, "narrow": narrow,
                      "half_width_percent": None if width is None else width * 100})
        if not narrow:
            known = "too few for an interval" if width is None else f"known to {width * 100:.0f} %"
            runner.record.anomaly("wide", f"{workload}: after {rounds} rounds the ratio to {both[1].bench.contender.name} is {known}; "
                                          f"{runner.narrow} % was asked for")
    return found
