# SPDX-License-Identifier: Apache-2.0
"""The plan of `poolmark bench`: benchmarks, contenders, order.

The program lists the contenders, so a new strategy takes part as soon as it is built. `direct` is malloc and free, called as a
program calls them. It runs once for each allocator, with default settings and tuned as its authors advise. The strategy
`malloc` makes the same calls through a pool, with its counters. It runs on glibc, in the full set on the other allocators too.
"""
import os
import random
import re
import resource
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import allocators
from poolmark.facts.allocators import library as library_of
from poolmark.facts.own_pools import OwnPool
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import Config
from poolmark.base.paths import for_people

Variables = tuple[tuple[str, str], ...]     # of an environment
On = tuple[str, str, Variables]             # what `direct` runs on: its name, the allocator's, variables
Rows = Iterable[tuple[str, tuple[int, ...], tuple[int, ...]]]   # workload, sizes, thread counts
Group = tuple[str, int, int]                # workload, bytes, threads: benchmarks that are compared with one another

THE_SIZE = 3072
ONE, TWO, THREE, FOUR, MANY = (1,), (2,), (3,), (4,), (16,)

# A server's use: takes an object, uses a part of it, gives it back. (use, end of the workload's name)
USES = (("a line", "_touch_line"), ("320 B", "_touch_320"), ("all of it", "_touch_all"), ("untouched", ""))
# (workload, threads, description)
KINDS = (("lifo", 1, "taken and given back at once"), ("burst_1000", 1, "1000 taken, then given back"),
         ("remote_1_1", 2, "taken by one thread, given back by another"))

HEADLINES = tuple((kind + use, (THE_SIZE,), (threads,)) for kind, threads, _ in KINDS for _, use in USES)

# (workload, sizes, thread counts) of the default set. All other workloads, sizes and thread counts are in the full set, because
# nine rounds of the headlines have to fit ten minutes on a slow host.
DEFAULT = (
    *HEADLINES,
    ("lifo", (64, 16384), ONE),
    *((workload, (THE_SIZE,), ONE) for workload in (
        "lifo_two", "lifo_constructed", "fifo", "bound", "bound_overflow", "bound_overflow_threads", "first_get", "first_get_at_once",
        "grow", "shrink", "realtime", "idle_threads", "idle_threads_in_turn", "blowup", "exhaust_heap")),
    *((workload, (THE_SIZE,), TWO) for workload in ("lifo", "lifo_touch_line", "bound", "bound_overflow")),
    *((workload, (THE_SIZE,), THREE) for workload in ("remote_1_n",)),
    ("remote_n_n", (THE_SIZE,), FOUR), ("crowd", (THE_SIZE,), MANY),
)
# Contenders of the default set for workloads that take long: those of the headlines, and the allocators where the workload
# measures memory. A regular expression of names.
ALLOCATORS = "direct-(?!slab).*"
DEFAULT_CONTENDERS = {
    **dict.fromkeys(("crowd", "realtime"), "slab|fixed|expand|bare"),
    "grow": "slab-.*|expand-.*|bare", "shrink": f"slab-.*|{ALLOCATORS}", "blowup": f"slab-.*|{ALLOCATORS}",
    **dict.fromkeys(("idle_threads", "idle_threads_in_turn"), f"slab|{ALLOCATORS}"),
}
REPETITIONS, REPETITIONS_BESIDE = 9, 6  # of the headlines, of the others; six are the fewest with a 95 % interval

SETS = ("headlines", "default", "wear", "full")
SETS_WITHOUT_HEADLINES = ("wear",)

# The set wear: what memory looks like after long use, and mixed sizes. workload -> its contenders, a regular expression. One run of
# the workload wear takes a minute, so it has the two allocators that a reader asks for first; the full set has all.
WEAR = {"wear": "slab-background|direct-glibc|direct-jemalloc", "mixed": ".*", "cold_huge": ".*", "cold_preheated_huge": ".*"}

# Beside the full set, a filter that names them (`--filter ^typed_`) selects these workloads: what pools of buffers, maps and JSON
# texts save. The default set would take too long with them.
BY_NAME = "typed_"

# Workloads that count pages, wait, time each get, or need much memory. Each takes long. Their figures hardly vary, or one run
# has very many samples.
FEWER_REPETITIONS = {"blowup": 3, "blowup_sparse": 3, "blowup_10s": 3, "blowup_sparse_10s": 3, "shrink": 3, "grow": 5,
                     "burst_100000": 3, "burst_1000_cycles": 3, "steady_65536": 3, "realtime": 3, "crowd": 3, "idle_threads": 2, "idle_threads_in_turn": 2, "wear": 1, "pressure": 5, "burst_fresh": 5}

# Workloads that can write the cost of each get.
TRACED = ("grow",)

# Seconds of one run, for workloads that set their own duration; others take about twice the least time.
RUN_S = {"grow": 0.7, "shrink": 0.7, "blowup": 1.3, "blowup_sparse": 1.3, "blowup_10s": 10.5, "blowup_sparse_10s": 10.5,
         "burst_100000": 0.8, "burst_1000_cycles": 0.5, "steady_65536": 0.4, "realtime": 1.1, "crowd": 0.8, "idle_threads": 1.3, "idle_threads_in_turn": 1.2, "wear": 61.0, "first_get": 0.03, "first_get_at_once": 0.03, "pressure": 0.4, "burst_fresh": 0.3}
START_S = 0.015

# (workload, threads) whose rounds go on until the ratio of slab to the fastest allocator is known well enough.
UNTIL_NARROW: tuple[tuple[str, int], ...] = (("remote_1_1", 2), ("remote_1_1_touch_line", 2))

# (workload, threads, words) whose rounds go on until the aim for the tail of a get is known to be reached or missed, by each of
# these pools. `bare` takes part: what the host does to a call without a pool.
UNTIL_DECIDED: tuple[tuple[str, int, str], ...] = (("crowd", 16, "16 threads"), ("realtime", 1, "SCHED_FIFO"))
DECIDED_POOLS = ("slab", "fixed", "expand")
TAIL, TAIL_AIM_NS = "p99_99_ns", 20000

# Keeps freed memory instead of returning it at each 128 KiB; all else of glibc is unchanged.
GLIBC_TUNED = (("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1073741824"),)
# gperftools' documentation: for many threads, a larger bound for all thread caches (32 MiB) and larger transfers (32).
GPERFTOOLS_TUNED = (("TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES", "268435456"), ("TCMALLOC_TRANSFER_NUM_OBJ", "512"))
# jemalloc's TUNING.md, "prioritizing CPU utilization".
JEMALLOC_TUNED = (("MALLOC_CONF", "background_thread:true,metadata_thp:auto,dirty_decay_ms:30000,muzzy_decay_ms:30000"),)
# mimalloc's documentation of 2.0: pages are not reset, 2 MiB pages where the system has them.
MIMALLOC_TUNED = (("MIMALLOC_PAGE_RESET", "0"), ("MIMALLOC_LARGE_OS_PAGES", "1"))


@dataclass(frozen=True)
class Contender:
    """A strategy, or a name that the program has for its own calls (direct, direct-slab, bare, ready), on an allocator."""

    name: str
    strategy: str  # its name in the program
    allocator: str = "glibc"  # a name of allocators.LIBRARIES, or a path
    variables: Variables = ()
    pool: OwnPool | None = None  # of a strategy that the program loads from a library

    def environment(self) -> dict[str, str | None]:
        return allocators.environment(self.allocator, self.variables)

    def words(self) -> list[str]:
        """The environment as typed before a command."""
        preload = allocators.shown(self.allocator)
        return [*([f"LD_PRELOAD={preload}"] if preload else []), *(f"{name}={value}" for name, value in self.variables)]

    def arguments(self, shown: bool = False) -> list[str]:
        """The program's own for this contender; `shown`: as typed in a command, without the path of this machine."""
        return ["--pool", self.pool.file if shown else self.pool.path] if self.pool else []

    def told(self) -> str:
        """Its variables in the program's notation."""
        return " ".join(f"{name}={value}" for name, value in sorted(self.variables))

    @property
    def allocator_name(self) -> str:
        """For records: "gperftools-tuned"."""
        return self.name.removeprefix("direct-").removeprefix("malloc-") if self.allocator != "glibc" or self.variables else "glibc"


# The allocators that `direct` runs on: (name, allocator, variables). gperftools is Debian's libtcmalloc.
ON: tuple[On, ...] = (("glibc", "glibc", ()), ("glibc-tuned", "glibc", GLIBC_TUNED), ("gperftools", "tcmalloc", ()),
                      ("gperftools-tuned", "tcmalloc", GPERFTOOLS_TUNED), ("jemalloc", "jemalloc", ()),
                      ("jemalloc-tuned", "jemalloc", JEMALLOC_TUNED), ("mimalloc", "mimalloc", ()),
                      ("mimalloc-tuned", "mimalloc", MIMALLOC_TUNED))
DIRECT, DIRECT_SLAB, FLOOR, NULL, READY = "direct", "direct-slab", "bare", "null", "ready"
WRAPPED = "malloc"
TUNED = "-tuned"
BASE = f"{DIRECT}-glibc"  # figures are given relative to it


def contenders(strategy: str, on: Sequence[On] = ON, own: dict[str, OwnPool] | None = None) -> list[Contender]:
    """Contenders of a listed strategy: itself; for `direct` one for each allocator; for `malloc` one more for each other one. `own`:
    the pools from libraries, by the names of their strategies, which have no hyphen; a mode may follow one."""
    if strategy == DIRECT:
        return [Contender(f"{DIRECT}-{name}", DIRECT, allocator, variables) for name, allocator, variables in on]
    others = [Contender(f"{WRAPPED}-{name}", WRAPPED, allocator, variables) for name, allocator, variables in on
              if name != "glibc"] if strategy == WRAPPED else []
    return [Contender(strategy, strategy, pool=(own or {}).get(strategy.partition("-")[0])), *others]


def added(paths: list[str], program: Path) -> list[On]:
    """ON and the libraries of `--allocator PATH`, named after their files: libfoo.so.1 is foo, a second one foo-2. UsageError
    when a file is missing, or `program` does not get its memory from it."""
    on = list(ON)
    for path in paths:
        file = allocators.serving(path if allocators.is_path(path) else f"./{path}", program)
        stem = re.sub(r"[^A-Za-z0-9_.+-]", "_", Path(path).name.removeprefix("lib").split(".so")[0]) or "other"
        names = {name for name, _, _ in on}
        on.append((next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in names), file, ()))
    return on


@dataclass(frozen=True)
class Bench:
    workload: str
    contender: Contender
    bytes: int
    threads: int
    in_name: bool  # the program's name contains the thread count

    def _name(self, middle: str) -> str:
        return f"{self.workload}/{middle}/{self.bytes}" + (f"/threads:{self.threads}" if self.in_name else "")

    @property
    def name(self) -> str:
        return self._name(self.contender.name)

    @property
    def program_name(self) -> str:
        """Its name in the program."""
        return self._name(self.contender.strategy)

    @property
    def group(self) -> Group:
        """Benchmarks of one group are compared with one another."""
        return (self.workload, self.bytes, self.threads)

    def config(self) -> Config:
        return {"workload": self.workload, "strategy": self.contender.strategy, "bytes": self.bytes,
                "threads": self.threads, "allocator": self.contender.allocator_name}

    def repetitions(self, asked: int | None) -> int:
        """`asked` None: the default number."""
        own = REPETITIONS if asked is None and is_among(self, HEADLINES) else REPETITIONS_BESIDE if asked is None else asked
        return min(own, FEWER_REPETITIONS.get(self.workload, own))

    def estimate_s(self, min_time_s: float) -> float:
        return START_S + RUN_S.get(self.workload, 2.2 * min_time_s)

    @property
    def traced(self) -> bool:
        """True when the workload can write a trace and the contender is a pool."""
        return self.workload in TRACED and self.contender.strategy not in (DIRECT, FLOOR, READY)


def parse_name(text: str) -> tuple[str, str, int, int, bool]:
    """WORKLOAD/STRATEGY/BYTES[/threads:N]."""
    match = re.fullmatch(r"([^/]+)/([^/]+)/(\d+)(?:/threads:(\d+))?", text)
    if not match:
        raise PoolmarkError(f"poolmark-bench lists a benchmark called {text!r}, which is no WORKLOAD/STRATEGY/BYTES")
    return match[1], match[2], int(match[3]), int(match[4] or 1), match[4] is not None


def listed(program: Path, pools: Iterable[OwnPool] = ()) -> list[str]:
    """The program's benchmark names, with those of `pools` from libraries."""
    words = [word for pool in pools for word in ("--pool", pool.path)]
    try:
        done = subprocess.run([str(program), *words, "--benchmark_list_tests"], capture_output=True, text=True, timeout=120)
    except OSError as error:
        raise PoolmarkError(f"{for_people(program)}: cannot be started: {error.strerror}; build it with make") from error
    except subprocess.TimeoutExpired as error:
        raise PoolmarkError(f"{for_people(program)} did not list its benchmarks within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise PoolmarkError(f"{for_people(program)} --benchmark_list_tests: exit code {done.returncode}: "
                            f"{done.stderr.strip()[-300:]}")
    return done.stdout.split()


def expand(names: list[str], on: Sequence[On] = ON, own: dict[str, OwnPool] | None = None) -> list[Bench]:
    """Every benchmark of every contender, in the program's order."""
    benches: list[Bench] = []
    for text in names:
        workload, strategy, size, threads, in_name = parse_name(text)
        benches += [Bench(workload, contender, size, threads, in_name) for contender in contenders(strategy, on, own)]
    return benches


def is_among(bench: Bench, rows: Rows) -> bool:
    return any(bench.workload == workload and bench.bytes in sizes and bench.threads in threads
               for workload, sizes, threads in rows)


def in_set(bench: Bench, name: str) -> bool:
    """Outside the full set, tuned allocators are only in the headlines. `malloc` on other allocators, and contenders that are not
    in DEFAULT_CONTENDERS for a long workload, are only in the full set. A pool from a library is in every row of a set."""
    if name == "full":
        return True
    headline, contender = is_among(bench, HEADLINES), bench.contender
    if contender.strategy == WRAPPED and contender.name != WRAPPED:
        return False
    if name == "wear":
        return bench.bytes == THE_SIZE and bench.threads == 1 and not contender.name.endswith(TUNED) and \
            bool(contender.pool or re.fullmatch(WEAR.get(bench.workload, "-"), contender.name)) and bench.workload in WEAR
    if contender.name.endswith(TUNED) and not headline:
        return False
    if not contender.pool and not re.fullmatch(DEFAULT_CONTENDERS.get(bench.workload, ".*"), contender.name):
        return False
    return headline or (name == "default" and is_among(bench, DEFAULT))


def in_default_of_its_own(bench: Bench) -> bool:
    """Of workloads that are selected by name: all contenders but those that only the full set has elsewhere too."""
    contender = bench.contender
    return not contender.name.endswith(TUNED) and (contender.strategy != WRAPPED or contender.name == WRAPPED)


def select(benches: list[Bench], which: str, pattern: str | None) -> list[Bench]:
    """The benchmarks of the set whose names match the pattern. UsageError when there are none."""
    try:
        wanted = re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"--filter {pattern!r}: not a regular expression: {error}") from error
    by_name = which == "default" and BY_NAME in (pattern or "")
    chosen = [bench for bench in benches if wanted.search(bench.name) and (in_set(bench, which) or (
        by_name and bench.workload.startswith(BY_NAME) and in_default_of_its_own(bench)))]
    if not chosen:
        hidden = sum(bool(wanted.search(bench.name)) for bench in benches)
        more = f"; {hidden} of the full set do (--set full)" if hidden and which != "full" else ""
        raise UsageError(f"--filter {pattern!r}: no benchmark of the set {which} matches{more}")
    return chosen


def is_headline(bench: Bench) -> bool:
    return is_among(bench, HEADLINES)


def rounds(benches: list[Bench], repetitions: int | None, seed: int) -> list[list[Bench]]:
    """A list for each repetition. The contenders of one comparison follow one another, since their ratio is the figure and a host
    changes its speed from one second to the next; the comparisons, and the contenders in each, are in a random order of each
    repetition, so that a drift of the host affects all alike."""
    order = random.Random(seed)
    plan = []
    for number in range(1, (repetitions or REPETITIONS) + 1):
        groups: dict[Group, list[Bench]] = {}
        for bench in benches:
            if number <= bench.repetitions(repetitions):
                groups.setdefault(bench.group, []).append(bench)
        together = list(groups.values())
        order.shuffle(together)
        for group in together:
            order.shuffle(group)
        if together:
            plan.append([bench for group in together for bench in group])
    return plan


def installed(on: Sequence[On] = ON) -> tuple[list[On], list[str]]:
    """The allocators whose library is installed, and texts about the missing ones."""
    here: list[On] = []
    missing: list[str] = []
    for one in on:
        try:
            library_of(one[1])
            here.append(one)
        except UsageError:
            raise
        except PoolmarkError as error:
            missing.append(str(error))
    return here, sorted(set(missing))


def realtime_is_allowed() -> bool:
    """Whether this process may use SCHED_FIFO; tried for a moment."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def possible(benches: list[Bench]) -> tuple[list[Bench], list[str]]:
    """The benchmarks that this user can measure here, and texts about the rest."""
    asked = {bench.workload for bench in benches}
    said = []
    if "realtime" in asked and not realtime_is_allowed():
        said.append(("realtime", "it needs SCHED_FIFO, which this user may not have: root, CAP_SYS_NICE or RLIMIT_RTPRIO "
                                 f"(it is {resource.getrlimit(resource.RLIMIT_RTPRIO)[0]})"))
    gone = {workload for workload, _ in said}
    left = [bench for bench in benches if bench.workload not in gone]
    return left, [f"{sum(bench.workload == workload for bench in benches)} benchmarks {workload} are left out: {why}"
                  for workload, why in said]
