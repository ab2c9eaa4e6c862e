# SPDX-License-Identifier: Apache-2.0
"""bench --beside: two builds, measured in turn, each benchmark for some hundredths of a second.

A shared host changes its speed within a second and by half. What two builds take is then known badly, and how they differ is
known well, if the one is measured right after the other: both had the same host. So the four rounds of a block of each benchmark
follow one another, A B B A B A A B or its mirror by lot, and `compare` judges within these blocks (compare/blocks.py). What the
host did meanwhile leaves out nothing, since it was done to both. (Compare "duet" measurements, Bulej et al., ICPE 2020, and
randomised interleaved trials, Abedi and Brecht, ICPE 2017.)
"""
import random
import time
from collections.abc import Sequence
from typing import Protocol

from poolmark.base.progress import Beat, Eta
from poolmark.bench import full_speed
from poolmark.bench.bench_plan import Bench
from poolmark.bench.bench_results import Results
from poolmark.bench.full_speed import Speed
from poolmark.facts.children import Children, Interrupted
from poolmark.records.record import Record

SIDES = ("base", "candidate")   # the folders of the two records
BLOCK = 4                       # rounds of a benchmark that follow one another; compare/blocks.py judges within them


class Runner(Protocol):
    """What measures one of the builds (bench.py)."""

    planned: int            # measurements that were due
    now: str                # the current one
    results: Results
    record: Record
    speed: Speed

    def learn_speed(self, children: Children) -> None: ...
    def run_one(self, bench: Bench, number: int, children: Children) -> None: ...
    def write_cells(self) -> None: ...


def order(number: int, seed: int) -> tuple[int, int]:
    """Which build is first in this round, 0 or 1, and which is second."""
    mirror = random.Random(f"{seed} block {(number - 1) // BLOCK}").randrange(2)
    first = ((number - 1) % BLOCK in (1, 2)) ^ bool(mirror)
    return int(first), int(not first)


def blocks(rounds: Sequence[Sequence[Bench]]) -> list[list[tuple[int, Bench]]]:
    """The measurements of each block of rounds, as (round, benchmark): all of one benchmark, then all of the next."""
    made: list[list[tuple[int, Bench]]] = []
    for at in range(0, len(rounds), BLOCK):
        block = list(enumerate(rounds[at:at + BLOCK], at + 1))
        made.append([(number, bench) for bench in block[0][1] for number, benches in block if bench in benches])
    return made


def run(runners: Sequence[Runner], rounds: Sequence[Sequence[Bench]], one_s: Sequence[float], deadline: float, seed: int) -> int:
    """Measures all rounds with both; returns the exit code. `one_s`: estimated seconds of each block, of both builds. A block that
    would begin after `deadline` (time.monotonic) is left out."""
    eta = Eta(one_s)

    def told() -> str:
        return f"block {eta.done + 1} of {len(one_s)}: {runners[0].now}; {eta.left()}"

    with Children() as children, Beat(told):
        try:
            for runner in runners:
                runner.learn_speed(children)
            for done, block in enumerate(blocks(rounds)):
                if done and time.monotonic() > deadline:
                    for runner in runners:
                        runner.record.anomaly("budget", f"{done * BLOCK} of {len(rounds)} rounds fit the budget")
                    break
                eta.begin()
                for number, bench in block:
                    for side in order(number, seed):
                        measure(runners[side], bench, number, children)
                for runner in runners:
                    runner.write_cells()
                    runner.record.save()
                eta.end()
        except Interrupted as interrupted:
            for runner in runners:
                runner.results.interrupted = True
                runner.record.anomaly("interrupted", str(interrupted))
            return 128 + interrupted.number
    return int(any(series.failures for runner in runners for series in runner.results.series.values()))


def measure(runner: Runner, bench: Bench, number: int, children: Children) -> None:
    """Nothing when this build does not have the benchmark."""
    if bench.name in runner.results.series:
        runner.planned += 1
        runner.run_one(bench, number, children)


def begin(runner: Runner, comparison: str, rounds: int) -> None:
    """Marks its record as one of two: `compare` takes their rounds as neighbours."""
    runner.speed.everything = True
    runner.record.data["comparison"] = comparison
    runner.record.data["config"] |= {"windows": full_speed.IN_TURN, "rounds": rounds}
