# SPDX-License-Identifier: Apache-2.0
"""Repeats rounds until a ratio is known well enough: a sequential rule for benchmarks whose threads wait for one another.

The time of a cache line from one core to another depends on where the host placed the threads, and changes between processes.
After nine rounds the ratio of slab to the fastest allocator may still be uncertain by a quarter. So rounds of these two go on
until the interval of the ratio's median is narrow: half its width is at most --narrow per cent of the median. This is the rule
of Chow and Robbins 1965, with the interval of order statistics. Rounds and time are bounded; a ratio that stays wide is reported.

Rounds of the tails (crowd, realtime) go on likewise until the interval is on one side of the aim. They come back in turn with
`bare`, which has no pool: what the host itself does stands beside each.

A rule that looks after each round tends to stop when the interval happens to be narrow, or happens to be on one side. Its confidence
is therefore somewhat below the 95 % of a single look. Where that matters, use a fixed number of rounds (--repetitions 60 --narrow 0).
"""
import time
from collections.abc import Sequence
from typing import Protocol

from poolmark.bench import bench_plan as plan
from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_plan import Bench
from poolmark.bench.bench_results import Results, Series, alike
from poolmark.base.forms import Json
from poolmark.base.units import plural, show_ns
from poolmark.facts.children import Children
from poolmark.records.record import Record

PERCENT = 10
ROUNDS_LEAST, ROUNDS_MAX = 6, 60  # fewer than six rounds give no 95 % interval
RESERVE_S = 40.0  # part of the budget that is kept for all these rounds
DECIDED_MAX = 24
DECIDED_RESERVE_S = 50.0    # the same for the tails: a round of them takes 8 s
RESERVE_MOST_S = RESERVE_S + DECIDED_RESERVE_S


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


def tails(runner: Runner) -> list[list[Series]]:
    """The rows of each workload that are to be decided, bare the last; without those that are not part of this run."""
    if not runner.narrow:
        return []
    found = [[one for name in (*plan.DECIDED_POOLS, plan.FLOOR) if (one := runner.results.find(workload, name, plan.THE_SIZE, threads))
              and one.of(plan.TAIL)] for workload, threads, _ in plan.UNTIL_DECIDED]
    return [rows for rows in found if rows]


def is_decided(series: Series) -> bool:
    """Is the tail's interval on one side of the aim?"""
    found = series.spread(plan.TAIL)
    return found is not None and found.confidence >= statistics.CONFIDENCE and \
        not found.sure_low <= plan.TAIL_AIM_NS < found.sure_high


def undecided(rows: list[Series]) -> list[Series]:
    """Pools that need another round, with `bare`; of `bare` alone as many rounds as give an interval."""
    open_ones = [one for one in rows if one.bench.contender.name != plan.FLOOR and not is_decided(one) and len(one.measured) < DECIDED_MAX]
    bare = [one for one in rows if one.bench.contender.name == plan.FLOOR and len(one.measured) < DECIDED_MAX]
    return open_ones + [one for one in bare if open_ones or len(one.measured) < ROUNDS_LEAST]


def reserve_of(workloads: set[str], budget_s: float) -> float:
    """Of the budget, for rounds of these beyond those of the plan."""
    narrow = bool(workloads & {workload for workload, _ in plan.UNTIL_NARROW})
    decided = bool(workloads & {workload for workload, _, _ in plan.UNTIL_DECIDED})
    return min(narrow * RESERVE_S + decided * DECIDED_RESERVE_S, budget_s / (6 if decided else 10))


def reserve_s(runner: Runner, budget_s: float) -> float:
    return reserve_of({series.bench.workload for series in runner.results.series.values()}, budget_s) if runner.narrow else 0.0


def is_narrow(runner: Runner, both: Pair) -> bool:
    found = half_width(both)
    return found is not None and found * 100 <= runner.narrow


def go_on(runner: Runner, children: Children, done: int, deadline: float) -> None:
    """Runs rounds done + 1 and later, of the pairs that are not known well enough and of the tails that are not decided."""
    for number in range(done + 1, ROUNDS_MAX + 1):
        wide = [both for one in asked(runner) if (both := pair(runner.results, *one)) and not is_narrow(runner, both)]
        missing: list[Sequence[Series]] = [*wide, *filter(None, map(undecided, tails(runner)))]
        for together in missing:
            for series in together:
                if time.monotonic() > deadline:
                    return
                runner.planned += 1
                runner.run_one(series.bench, number, children)
        if not missing:
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


def told_decided(runner: Runner) -> list[Json]:
    """For the record, of the pools. An aim that stayed open is an anomaly."""
    found: list[Json] = []
    for series in (one for rows in tails(runner) for one in rows if one.bench.contender.name != plan.FLOOR):
        bench, spread, decided = series.bench, series.known(plan.TAIL), is_decided(series)
        found.append({"workload": bench.workload, "contender": bench.contender.name, "rounds": spread.count, "decided": decided})
        if not decided:
            runner.record.anomaly("wide", f"{bench.workload}: after {plural(spread.count, 'round')} p99.99 of {bench.contender.name} is "
                                          f"{show_ns(spread.sure_low)} to {show_ns(spread.sure_high)} ({spread.confidence * 100:.0f} %): on "
                                          f"which side of {show_ns(plan.TAIL_AIM_NS)} is not known")
    return found
