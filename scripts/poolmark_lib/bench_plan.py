# SPDX-License-Identifier: Apache-2.0
"""What `poolmark bench` runs: which benchmarks, by which contenders, in which order.

Strategies come from the program itself, so a new one takes part as soon as it is built. The strategy `malloc` runs once
more for each other allocator, under that allocator's name: WORKLOAD/tcmalloc/BYTES.
"""
import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from poolmark_lib import allocators
from poolmark_lib.allocators import library as library_of
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.paths import for_people

# Keeps what was freed instead of giving it back at each 128 KiB; nothing else of glibc is changed.
TUNABLES = "glibc.malloc.trim_threshold=1073741824"

SIZES = (64, 256, 1024, 3072, 4096, 16384)
THE_SIZE = 3072

ONE, TWO, THREE = (1,), (2,), (3,)

# The default selection: (workload, sizes, thread counts). The others are longer, or the same with more threads.
DEFAULT = (
    ("lifo", SIZES, ONE),
    *((workload, (THE_SIZE,), ONE) for workload in (
        "lifo_touch_line", "lifo_touch_all", "fifo", "fifo_touch_line", "random", "random_touch_line", "steady_16",
        "steady_256", "steady_4096", "steady_65536", "burst_1000", "burst_1000_touch_line", "burst_1000_touch_all",
        "burst_10000", "burst_100000", "churn", "cold", "cold_preheated", "cold_untouched", "cold_huge",
        "cold_preheated_huge", "grow", "shrink", "blowup", "blowup_sparse", "exhaust_refuse", "exhaust_heap")),
    *((workload, (THE_SIZE,), TWO) for workload in ("lifo", "burst_1000", "remote_1_1", "bleed")),
    *((workload, (THE_SIZE,), THREE) for workload in ("remote_n_1", "remote_1_n")),
    *((workload, (64,), TWO) for workload in ("false_sharing_active", "false_sharing_passive")),
)

# Workloads that count pages, wait or need much memory: their figures hardly vary, and each run is long.
FEWER_REPETITIONS = {"blowup": 3, "blowup_sparse": 3, "blowup_10s": 3, "blowup_sparse_10s": 3, "shrink": 3,
                     "burst_100000": 3, "steady_65536": 3}

# Workloads that can write what each get cost, get by get.
TRACED = ("grow",)

# Seconds of one run of workloads that decide themselves how long they take; others take about twice the least time.
RUN_S = {"grow": 0.7, "shrink": 0.7, "blowup": 1.3, "blowup_sparse": 1.3, "blowup_10s": 10.5, "blowup_sparse_10s": 10.5,
         "burst_100000": 0.8, "steady_65536": 0.4}
START_S = 0.015


@dataclass(frozen=True)
class Contender:
    """Who is measured: a strategy, or malloc on one allocator."""

    name: str
    strategy: str
    allocator: str = "glibc"
    tunables: str = ""

    def environment(self) -> dict[str, str]:
        return {**allocators.environment(self.allocator), "GLIBC_TUNABLES": self.tunables}

    def words(self) -> list[str]:
        """The environment as one would type it before the command."""
        soname = allocators.LIBRARIES[self.allocator]
        return [*([f"LD_PRELOAD={soname}"] if soname else []),
                *([f"GLIBC_TUNABLES={self.tunables}"] if self.tunables else [])]


# What runs besides the strategies themselves; `malloc` on glibc as it is, is one of those.
OTHER_ALLOCATORS = (
    Contender("glibc-tuned", "malloc", "glibc", TUNABLES), Contender("tcmalloc", "malloc", "tcmalloc"),
    Contender("jemalloc", "malloc", "jemalloc"), Contender("mimalloc", "malloc", "mimalloc"),
)
ALLOCATORS = ("malloc", *(contender.name for contender in OTHER_ALLOCATORS))
FLOOR = "null"


@dataclass(frozen=True)
class Bench:
    workload: str
    contender: Contender
    bytes: int
    threads: int
    in_name: bool  # the program names its thread count

    def _name(self, middle: str) -> str:
        return f"{self.workload}/{middle}/{self.bytes}" + (f"/threads:{self.threads}" if self.in_name else "")

    @property
    def name(self) -> str:
        return self._name(self.contender.name)

    @property
    def program_name(self) -> str:
        """What the program calls it."""
        return self._name(self.contender.strategy)

    @property
    def group(self) -> tuple:
        """What is compared with one another."""
        return (self.workload, self.bytes, self.threads)

    def config(self) -> dict:
        allocator = self.contender.name if self.contender.tunables else self.contender.allocator
        return {"workload": self.workload, "strategy": self.contender.strategy, "bytes": self.bytes,
                "threads": self.threads, "allocator": allocator}

    def repetitions(self, asked: int) -> int:
        return min(asked, FEWER_REPETITIONS.get(self.workload, asked))

    def estimate_s(self, min_time_s: float) -> float:
        return START_S + RUN_S.get(self.workload, 2.2 * min_time_s)


def parse_name(text: str) -> tuple[str, str, int, int, bool]:
    """WORKLOAD/STRATEGY/BYTES[/threads:N]."""
    match = re.fullmatch(r"([^/]+)/([^/]+)/(\d+)(?:/threads:(\d+))?", text)
    if not match:
        raise PoolmarkError(f"poolmark-bench lists a benchmark called {text!r}, which is no WORKLOAD/STRATEGY/BYTES")
    return match[1], match[2], int(match[3]), int(match[4] or 1), match[4] is not None


def listed(program: Path) -> list[str]:
    """The names that the program has."""
    try:
        done = subprocess.run([str(program), "--benchmark_list_tests"], capture_output=True, text=True, timeout=120)
    except OSError as error:
        raise PoolmarkError(f"{for_people(program)}: cannot be started: {error.strerror}; build it with make") from error
    except subprocess.TimeoutExpired as error:
        raise PoolmarkError(f"{for_people(program)} did not list its benchmarks within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise PoolmarkError(f"{for_people(program)} --benchmark_list_tests: exit code {done.returncode}: "
                            f"{done.stderr.strip()[-300:]}")
    return done.stdout.split()


def expand(names: list[str], others=OTHER_ALLOCATORS) -> list[Bench]:
    """Every benchmark of every contender, in the program's order."""
    benches = []
    for text in names:
        workload, strategy, size, threads, in_name = parse_name(text)
        contenders = [Contender(strategy, strategy), *(others if strategy == "malloc" else ())]
        benches += [Bench(workload, contender, size, threads, in_name) for contender in contenders]
    return benches


def in_default(bench: Bench) -> bool:
    return any(bench.workload == workload and bench.bytes in sizes and bench.threads in threads
               for workload, sizes, threads in DEFAULT)


def select(benches: list[Bench], full: bool, pattern: str | None) -> list[Bench]:
    """The default selection, or all, and of that what the pattern finds in a name. UsageError when nothing is left."""
    try:
        wanted = re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"--filter {pattern!r}: not a regular expression: {error}") from error
    chosen = [bench for bench in benches if (full or in_default(bench)) and wanted.search(bench.name)]
    if not chosen:
        hidden = sum(bool(wanted.search(bench.name)) for bench in benches)
        more = f"; {hidden} of the full matrix do (--full)" if hidden and not full else ""
        raise UsageError(f"--filter {pattern!r}: no benchmark of the selection matches{more}")
    return chosen


def rounds(benches: list[Bench], repetitions: int, seed: int) -> list[list[Bench]]:
    """A list for each repetition, each in a random order of its own: a drift of the host hits all contenders alike."""
    order = random.Random(seed)
    plan = []
    for number in range(1, repetitions + 1):
        these = [bench for bench in benches if number <= bench.repetitions(repetitions)]
        order.shuffle(these)
        if these:
            plan.append(these)
    return plan


def installed(others=OTHER_ALLOCATORS) -> tuple[list[Contender], list[str]]:
    """The contenders whose library is here, and what to say of the others."""
    here, missing = [], []
    for contender in others:
        try:
            library_of(contender.allocator)
            here.append(contender)
        except PoolmarkError as error:
            missing.append(str(error))
    return here, missing
