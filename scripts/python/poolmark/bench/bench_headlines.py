# SPDX-License-Identifier: Apache-2.0
"""The headlines of a benchmark run: its most telling figures, each with its interval and its aim. Whether an aim is reached is
only told: no test here passes or fails by the clock.

The first headlines show a server's use: take an object, use it, give it back. They compare the inlined calls of slab with the
fastest allocator, each called as its users call it. Objects that are not touched come last.
"""
import re
from collections.abc import Callable
from dataclasses import dataclass

from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_plan import (BASE, DECIDED_POOLS, DIRECT, DIRECT_SLAB, FLOOR, KINDS, NULL, READY, TAIL, TAIL_AIM_NS, THE_SIZE,
                                       UNTIL_DECIDED, USES)
from poolmark.bench.bench_results import Results, Series, alike
from poolmark.base.units import show_ns

BEST = "slab"
AIMS = {"lifo_touch_line": "at most 0.40", "burst_1000_touch_line": "at most 0.35", "remote_1_1_touch_line": "at most 0.5"}
BESIDE = "to compare"


@dataclass(frozen=True)
class Headline:
    name: str
    value: statistics.Spread | None
    unit: str
    target: str
    note: str = ""

    def told(self) -> str:
        """The aim and whether it is reached: by the whole interval, not by the median alone."""
        aim = re.fullmatch(r"(at most |below |)([0-9.]+)", self.target)
        if not aim:
            return self.target
        bound, value = float(aim[2]), self.value
        shown = f"{aim[1]}{show_ns(bound) if self.unit == 'ns' else f'{aim[2]} {self.unit}'.strip()}"
        if not value:
            return shown
        reached, missed = value.sure_high <= bound, value.sure_low > bound
        if aim[1] == "below ":
            reached, missed = value.sure_high < bound, value.sure_low >= bound
        return f"{shown}: {'reached' if reached else 'missed' if missed else 'open, the interval has both'}"


def best(results: Results, workload: str, threads: int = 1) -> Series | None:
    """The series of the best strategy. Where the plan has its background mode, that mode, measured or not."""
    background = f"{BEST}-background"
    both = background in results.planned.get((workload, THE_SIZE, threads), ())
    return results.find(workload, background if both else BEST, THE_SIZE, threads)


def over_allocator(results: Results, workload: str, threads: int, name: str, contender: str = DIRECT_SLAB) -> Headline:
    ours, fastest = results.find(workload, contender, THE_SIZE, threads), results.fastest_allocator(workload, THE_SIZE, threads)
    aim = AIMS.get(workload, BESIDE) if contender == DIRECT_SLAB else BESIDE
    if not ours or not fastest:
        return Headline(name, None, "x", aim)
    return Headline(name, statistics.ratio(*alike(ours, fastest)), "x", aim,
                    f"{ours.known().median:.3g} ns; {fastest.bench.contender.name} {fastest.known().median:.3g} ns")


def of_servers(results: Results) -> list[Headline]:
    """Of slab compiled in, and right below it of slab called through the contract, as a program calls it that does not include
    pool_inline.h."""
    return [over_allocator(results, kind + use, threads, f"{kind}, {what}: {contender}{how} / fastest allocator", contender)
            for what, use in USES for kind, threads, _ in KINDS for contender, how in ((DIRECT_SLAB, ""), (BEST, " called"))]


def without_a_pool(results: Results) -> list[Headline]:
    """What the use of the objects takes by itself: `ready` has them there already."""
    return [over_allocator(results, kind + use, threads, f"{kind}, {what}: {READY} / fastest allocator", READY)
            for what, use in USES for kind, threads, _ in KINDS[1:]
            if use and READY in results.planned.get((kind + use, THE_SIZE, threads), ())]


def quotient(results: Results, name: str, over: tuple[str, str, int], under: tuple[str, str, int], aim: str) -> Headline:
    """The ratio of two series; each is given as (workload, contender, threads)."""
    one, other = (results.find(workload, contender, THE_SIZE, threads) for workload, contender, threads in (over, under))
    value = statistics.ratio(*alike(one, other)) if one and other else None
    note = f"{one.known().median:.3g} ns; {other.known().median:.3g} ns" if value and one and other else ""
    return Headline(name, value, "x", aim, note)


def over_floors(results: Results) -> list[Headline]:
    found = []
    for contender, floor, aim in ((BEST, NULL, "at most 1"), (DIRECT_SLAB, FLOOR, BESIDE)):
        ours, under = results.find("lifo", contender, THE_SIZE), results.find("lifo", floor, THE_SIZE)
        value = statistics.difference(*alike(ours, under)) if ours and under else None
        note = f"{floor} {under.known().median:.3g} ns" if under else ""
        found.append(Headline(f"lifo: {contender} - {floor}", value, "ns", aim, note))
    return found


def second_strategy(results: Results) -> list[Headline]:
    """The extra cost of a get and its put when the process uses a second strategy too."""
    found = []
    for contender in (BEST, DIRECT_SLAB):
        both, alone, null = (results.find(workload, name, THE_SIZE) for workload, name in
                             (("lifo_two", contender), ("lifo", contender), ("lifo", NULL)))
        value = None
        if both and alone and null:
            with_both, floor, by_itself = alike(both, null, alone)
            value = statistics.difference(statistics.by_round(with_both, floor, lambda one, other: one - other), by_itself)
        found.append(Headline(f"lifo_two: {contender}, more than alone", value, "ns", BESIDE,
                              f"alone {alone.known().median:.3g} ns" if value and alone else ""))
    return found


def metric(results: Results, workload: str, contender: str, name: str, counter: str, unit: str, aim: str,
           note: Callable[[Series], str] | None = None, threads: int = 1) -> Headline:
    series = best(results, workload, threads) if contender == BEST else results.find(workload, contender, THE_SIZE, threads)
    return Headline(name, series.spread(counter) if series else None, unit, aim, note(series) if series and note else "")


def growth(results: Results) -> list[Headline]:
    def unfiltered(series: Series) -> str:
        whole, out = series.spread("any_speed_p99_99_ns"), series.left_out()
        return f"nothing left out: {show_ns(whole.median)}; share left out {out or 0:.2f}" if whole else ""

    found = []
    for contender, aim in ((BEST, "below 1000"), ("expand-background", "below 1000"), ("expand-inline", BESIDE), (FLOOR, BESIDE)):
        found.append(metric(results, "grow", contender, f"grow: {contender}, p99.99 of a get from when it was due", "p99_99_ns", "ns",
                            aim, unfiltered))
        if contender != FLOOR:
            found.append(metric(results, "grow", contender, f"grow: {contender}, page faults in gets", "faults_get", "",
                                BESIDE if contender == "expand-inline" else "0"))
    found.append(metric(results, "grow", f"{BEST}-inline", f"grow: {BEST} inline, longest growth", "longest_expansion_ns", "ns",
                        "at most 1000000"))
    return found


def tails(results: Results) -> list[Headline]:
    """Latency of single gets with many threads, or with threads of different priority."""
    found = []
    for workload, threads, what in UNTIL_DECIDED:
        bare = results.find(workload, FLOOR, THE_SIZE, threads)
        host = bare.spread(TAIL) if bare else None

        def beside(series: Series, host: statistics.Spread | None = host) -> str:
            longest = series.spread("longest_ns")
            told = [f"longest {show_ns(longest.median)}"] if longest else []
            if host and series.bench.contender.name != FLOOR:
                told.append(f"without a pool ({FLOOR}) {show_ns(host.median)} ({show_ns(host.sure_low)} to {show_ns(host.sure_high)})")
            return "; ".join(told)

        for contender in (*DECIDED_POOLS, FLOOR):
            aim = BESIDE if contender == FLOOR else f"at most {TAIL_AIM_NS}"
            found.append(metric(results, workload, contender, f"{workload}: {contender}, {what}, p99.99 of a get", TAIL, "ns", aim,
                                beside, threads))
    return found


def idle(results: Results) -> list[Headline]:
    """Memory that 1000 idle threads keep, for slab and every allocator; no single allocator is the rival here. In turn: their
    caches after the threads had objects one by one. Otherwise: memory at the moment when all have put what they had at once, one
    second later, and then trimmed."""
    found = []
    for workload, counter, what in (("idle_threads_in_turn", "idle_bytes", "objects had in turn"),
                                    ("idle_threads", "idle_bytes", "as soon as all had theirs"),
                                    ("idle_threads", "idle_1s_bytes", "1 s after all had theirs"),
                                    ("idle_threads", "idle_trimmed_bytes", "then asked for all that is free")):
        names = [BEST, *(name for name in results.planned.get((workload, THE_SIZE, 1), ())
                         if name.startswith(f"{DIRECT}-") and name != DIRECT_SLAB)]
        found += [metric(results, workload, name, f"1000 idle threads, {what}: {name}", counter, "B", BESIDE) for name in names]
    return found


def after_storm(results: Results) -> Headline:
    def at_peak(series: Series) -> str:
        peak = series.spread("peak_ratio")
        return f"growth at the peak {peak.median:.3g} x live bytes" if peak else ""

    return metric(results, "blowup", BEST, f"blowup: {BEST}, memory 1 s after / before", "after_1s_ratio", "x", "at most 1.05", at_peak)


def prices(results: Results) -> list[Headline]:
    """What slab pays for giving memory back, and for objects past its bound."""
    name = f"blowup: {BEST}, a storm that comes again / fastest allocator"
    ours, fastest = best(results, "blowup"), results.fastest_allocator("blowup", THE_SIZE, metric="again_ns")
    again = Headline(name, None, "x", BESIDE)
    if ours and fastest and ours.of("again_ns"):
        again = Headline(name, statistics.ratio(*alike(ours, fastest, metric="again_ns")), "x", BESIDE,
                         f"{ours.known('again_ns').median:.3g} ns; {fastest.bench.contender.name} {fastest.known('again_ns').median:.3g} ns")
    return [again, quotient(results, f"exhaust_heap: {BEST}, a get past the bound / {BASE}", ("exhaust_heap", BEST, 1), ("lifo", BASE, 1),
                            BESIDE)]


def headlines(results: Results) -> list[Headline]:
    """Empty for an interrupted run: half a run is not compared with the aims."""
    if results.interrupted:
        return []
    return [
        *of_servers(results), *without_a_pool(results),
        quotient(results, f"lifo, a line: {DIRECT_SLAB}, 2 threads / 1 thread", ("lifo_touch_line", DIRECT_SLAB, 2),
                 ("lifo_touch_line", DIRECT_SLAB, 1), "at most 1.1"),
        quotient(results, f"lifo, a line: {BEST} called, 2 threads / 1 thread", ("lifo_touch_line", BEST, 2), ("lifo_touch_line", BEST, 1),
                 "at most 1.1"),
        quotient(results, f"lifo, untouched: {BEST}, 2 threads / 1 thread", ("lifo", BEST, 2), ("lifo", BEST, 1), "at most 1.1"),
        quotient(results, f"bound: {BEST}, overflow out / never full", ("bound_overflow", BEST, 1), ("bound", BEST, 1),
                 "at most 1.5"),
        quotient(results, f"bound: {BEST}, the same by 2 threads", ("bound_overflow", BEST, 2), ("bound", BEST, 2), "at most 1.5"),
        quotient(results, f"bound: {BEST}, the same after 900 threads", ("bound_overflow_threads", BEST, 1), ("bound", BEST, 1),
                 "at most 1.5"),
        *tails(results), *growth(results), *idle(results), *over_floors(results), *second_strategy(results), after_storm(results),
        *prices(results),
    ]
