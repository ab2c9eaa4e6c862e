# SPDX-License-Identifier: Apache-2.0
"""Rounds until a ratio is known well enough: a sequential rule for benchmarks in which threads wait for one another.

How long a line takes from one core to another depends on where the host has put them, from one process to the next, so nine
rounds may leave the ratio of slab to the fastest allocator uncertain by a quarter. Rounds of these two go on until the interval
of the ratio's median is narrow: half of it at most so many per cent of the median (the rule of Chow and Robbins 1965, with
the interval of order statistics). It is bounded in rounds and time; a ratio that stays wide is told as such.

A rule that looks again after each round stops rather where the interval happens to be narrow: its confidence is somewhat
below the 95 % of one look. Where it matters, ask for a fixed number of rounds (--repetitions 60 --narrow 0).
"""
import time

from poolmark.bench import bench_plan as plan
from poolmark.bench import bench_statistics as statistics

PERCENT = 10
ROUNDS_LEAST, ROUNDS_MAX = 6, 60  # fewer than six have no interval of 95 %
RESERVE_S = 40.0  # of a budget, for all of them


def pair(results, workload: str, threads: int):
    """(slab's series, the fastest allocator's); None when one is not there."""
    ours = results.find(workload, plan.DIRECT_SLAB, plan.THE_SIZE, threads)
    theirs = results.fastest_allocator(workload, plan.THE_SIZE, threads)
    return (ours, theirs) if ours and theirs else None


def half_width(both) -> float | None:
    """Of the ratio's interval, in relation to the median; None while rounds are too few to say."""
    ratio = statistics.ratio(both[0].of(), both[1].of())
    return ratio.half_width if ratio else None


def asked(runner):
    """The pairs that take part in this run."""
    if not runner.narrow:
        return []
    return [(workload, threads) for workload, threads in plan.UNTIL_NARROW
            if {(workload, plan.THE_SIZE, threads)} & {series.bench.group for series in runner.results.series.values()}]


def reserve_s(runner, budget_s: float) -> float:
    return min(RESERVE_S, budget_s / 10) if asked(runner) else 0.0


def is_narrow(runner, both) -> bool:
    found = half_width(both)
    return found is not None and found * 100 <= runner.narrow


def go_on(runner, children, done: int, deadline: float) -> None:
    """Rounds done + 1 and so on, of the pairs that are not known well enough."""
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


def told(runner) -> list[dict]:
    """For the record; what stays wide is an anomaly."""
    found = []
    for workload, threads in asked(runner):
        both = pair(runner.results, workload, threads)
        if not both:
            continue
        width = half_width(both)
        rounds = len(both[0].of().keys() & both[1].of().keys())
        narrow = is_narrow(runner, both)
        found.append({"workload": workload, "over": both[1].bench.contender.name, "rounds": rounds, "narrow": narrow,
                      "half_width_percent": None if width is None else width * 100})
        if not narrow:
            known = "too few for an interval" if width is None else f"known to {width * 100:.0f} %"
            runner.record.anomaly("wide", f"{workload}: after {rounds} rounds the ratio to {both[1].bench.contender.name} is {known}; "
                                          f"{runner.narrow} % was asked for")
    return found
