# SPDX-License-Identifier: Apache-2.0
"""The figures of a benchmark run that say most, each with its spread and, beside it, what was aimed at. Whether an aim
is met is for the reader to say: no clock decides about success here."""
from dataclasses import dataclass

from poolmark_lib import bench_statistics as statistics
from poolmark_lib.bench_plan import FLOOR, THE_SIZE
from poolmark_lib.bench_results import Results, Series
from poolmark_lib.units import show_ns

BEST = "slab"


@dataclass(frozen=True)
class Headline:
    name: str
    value: statistics.Spread | None
    unit: str
    target: str
    note: str = ""


def best(results: Results, workload: str, threads: int = 1) -> Series | None:
    """The best strategy's series; growing in the background where it has both modes, measured or not."""
    background = f"{BEST}-background"
    both = background in results.planned.get((workload, THE_SIZE, threads), ())
    return results.find(workload, background if both else BEST, THE_SIZE, threads)


def over_allocator(results: Results, workload: str, threads: int, target: str) -> Headline:
    ours, fastest = best(results, workload, threads), results.fastest_allocator(workload, THE_SIZE, threads)
    name = f"{workload}: {BEST} / fastest allocator"
    if not ours or not fastest:
        return Headline(name, None, "x", target)
    return Headline(name, statistics.ratio(ours.of(), fastest.of()), "x", target,
                    f"{BEST} {ours.spread().median:.3g} ns, {fastest.bench.contender.name} "
                    f"{fastest.spread().median:.3g} ns")


def over_floor(results: Results) -> Headline:
    ours, floor = best(results, "lifo"), results.find("lifo", FLOOR, THE_SIZE)
    value = statistics.difference(ours.of(), floor.of()) if ours and floor else None
    note = f"{FLOOR} {floor.spread().median:.3g} ns" if floor else ""
    return Headline(f"lifo: {BEST} - {FLOOR}", value, "ns", "at most 1", note)


def two_threads(results: Results) -> Headline:
    one, two = best(results, "lifo"), best(results, "lifo", 2)
    value = statistics.ratio(two.of(), one.of()) if one and two else None
    return Headline(f"lifo: {BEST}, 2 threads / 1 thread", value, "x", "at most 1.15")


def growth(results: Results) -> list[Headline]:
    found = []
    for contender, target in ((BEST, True), ("expand-background", True), ("expand-inline", False), (FLOOR, False)):
        series = best(results, "grow") if contender == BEST else results.find("grow", contender, THE_SIZE)
        longest = series.spread("any_speed_longest_ns") if series else None
        note = f"longest get {show_ns(longest.median)}" if longest else ""
        found.append(Headline(f"grow: {contender}, p99.99 of a get", series and series.spread("p99_99_ns"), "ns",
                              "below 1000" if target else "to compare", note))
        if contender != FLOOR:
            found.append(Headline(f"grow: {contender}, page faults in gets", series and series.spread("faults_get"), "",
                                  "0" if target else "to compare"))
    return found


def after_storm(results: Results) -> Headline:
    series = best(results, "blowup")
    peak = series.spread("peak_ratio") if series else None
    note = f"growth at the peak {peak.median:.3g} x live bytes" if peak else ""
    return Headline(f"blowup: {BEST}, memory 1 s after / before", series and series.spread("after_1s_ratio"), "x",
                    "at most 1.05", note)


def headlines(results: Results) -> list[Headline]:
    """None of a run that was interrupted: an aim is not held against half of it."""
    if results.interrupted:
        return []
    return [
        over_allocator(results, "lifo", 1, "at most 0.6"), over_floor(results),
        over_allocator(results, "burst_1000", 1, "at most 0.5"),
        over_allocator(results, "remote_1_1", 2, "at most 0.35"), two_threads(results), *growth(results),
        after_storm(results),
    ]
