# SPDX-License-Identifier: Apache-2.0
"""Runs of the measuring programs: connects by the generator, poolmark-hot, the micro-benchmarks, strace."""
import contextlib
import re
import shutil
import socket
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.paths import BROUGHT
from poolmark.claims.measured import reads, source
from poolmark.claims.sources.broker import CLASSIC
from poolmark.claims.work import Work
from poolmark.records.read_record import load

# --- connects

CONNECTS = 5_000
DYNAMIC = ["--pool", "expand", *CLASSIC, "--initial", "1024", "--max", "100000"]


def metrics_of(folder: Path) -> Json:
    """{name: value} of a generator's record."""
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(folder / "run.json")
    return {key: metric["value"] for key, metric in load(folder).data["metrics"].items()}


def connects(work: Work, name: str, words: list[str]) -> Json:
    """One generator run against a fresh broker: its metrics."""
    with work.broker(name, DYNAMIC) as broker:
        folder = work.folder / name / "load"
        work.output(f"{name}-load", [str(work.build / "poolmark-loadgen"), "connect", "--target", f"mqtt://127.0.0.1:{broker.port}",
                                     "--engine", "raw", "--connections", str(CONNECTS), "--settle", "0ms", "--record", str(folder),
                                     "--quiet", *words])
    return metrics_of(folder)


def row_of(fast: Json, found: Json) -> Json:
    return {"highest_per_s": fast["connect.rate"], "rate": half_of(fast), "mean_ns": found["connect.mean"], "p99_ns": found["connect.p99"],
            "failed": found["clients.failed"]}


def half_of(fast: Json) -> int:
    return max(1, int(fast["connect.rate"] / 2))


@reads("connects")
def read_connects(folder: Path) -> Json:
    count = len(list(folder.glob("half.*/load")))
    if not count:
        raise FileNotFoundError(folder / "half.1" / "load")
    return {"rows": [row_of(*(metrics_of(folder / f"{name}.{number}" / "load") for name in ("fast", "half")))
                     for number in range(1, count + 1)]}


@source("connects", "5 000 raw connects as fast as they go, then at half of that rate, open loop", lambda work: 1.5 * work.repetitions)
def connect_rates(work: Work) -> Json:
    rows: list[Json] = []
    for number in range(work.repetitions):
        fast = connects(work, f"fast.{number + 1}", [])
        rows.append(row_of(fast, connects(work, f"half.{number + 1}", ["--rate", str(half_of(fast))])))
    return {"rows": rows}


# --- the hot pool

HOSTS, SLICE, PROCESS_LISTENS = 1_631, 250, 63


def addresses(count: int, port: int) -> list[str]:
    """The hosts of `poolmark-hot hosts`: the target itself, then 127.1.0.2 and on (bench/hot/hosts.c)."""
    return [f"127.0.0.1:{port}", *(f"127.1.{number // SLICE}.{1 + number % SLICE}:{port}" for number in range(1, count))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hot_brokers(work: Work, stack: contextlib.ExitStack, hosts: int) -> int:
    """Brokers that listen on the addresses of all hosts, on one port; a process takes 64, one of them its own."""
    port = free_port()
    told = addresses(hosts, port)
    for first in range(0, len(told), PROCESS_LISTENS):
        words = [word for address in told[first:first + PROCESS_LISTENS] for word in ("--listen", address)]
        stack.enter_context(work.broker(f"broker-{first // PROCESS_LISTENS + 1}", words))
    return port


@source("hot", "poolmark-hot: reuse, memory of 1 611 connections, cycles through 1 631 hosts, memory pressure",
        lambda work: 5.0 * work.repetitions + 1)
def hot(work: Work) -> Json:
    program = str(work.build / "poolmark-hot")
    found: Json = {}
    with contextlib.ExitStack() as stack:
        target = f"127.0.0.1:{hot_brokers(work, stack, HOSTS)}"
        for name in ("reuse", "memory", "hosts", "pressure"):
            words = [program, "--json", "--runs", str(work.repetitions), "--target", target, "--hosts", str(HOSTS), "--threads", "10", name]
            found[name] = work.json_of(name, words)["runs"][name]["hot"]
    return found


# --- the micro-benchmarks

SIZES = (64, 256, 1024, 4096, 16384)
FILTER = r"^lifo/(blocks|direct-glibc)/(64|256|1024|4096|16384)$|^lifo/(blocks|direct-glibc)/1024/threads:10$"
ROUND_S = 12 * 0.07
ROUNDS, BUDGET_S = 9, 300


@source("lifo", "bench: get and return of blocks and of malloc at five sizes, and by ten threads",
        lambda work: ROUND_S * (work.repetitions if work.quick else 2 * max(work.repetitions, ROUNDS)))
def lifo(work: Work) -> Json:
    """{benchmark: nanoseconds of each round}."""
    return read_lifo(benchmarks(work, FILTER).parent)


@reads("lifo")
def read_lifo(folder: Path) -> Json:
    return {name: found.get("time", []) for name, found in samples_of(folder / "run").items()}


def benchmarks(work: Work, pattern: str) -> Path:
    """The folder of the run."""
    rounds = work.repetitions if work.quick else max(work.repetitions, ROUNDS)
    words = ["bench", "--set", "full", "--filter", pattern, "--repetitions", str(rounds), "--narrow", "0", "--budget", f"{BUDGET_S}s",
             *(["--again", "0"] if work.quick else [])]
    return work.poolmark("run", words, codes=(0, 1))  # 1: the budget ended it before its last round


def samples_of(folder: Path) -> Json:
    """{benchmark: {metric: values of each round}} of a run."""
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(folder / "run.json")
    return {cell["id"].rpartition(".")[0]: {name: metric.get("samples", []) for name, metric in cell["metrics"].items()}
            for cell in load(folder).data["cells"]}


@source("typed", "bench: a map of 16 entries taken, filled, emptied and given back, with the pool and without",
        lambda work: 0.25 * (work.repetitions if work.quick else 2 * max(work.repetitions, ROUNDS)))
def typed(work: Work) -> Json:
    return read_typed(benchmarks(work, "^typed_map/(sync|direct-glibc)/256$").parent)


@reads("typed")
def read_typed(folder: Path) -> Json:
    found = samples_of(folder / "run")
    return {name: {metric: found[name].get(metric, []) for metric in ("time", "allocs_per_op", "bytes_per_op")} for name in found}


CALLS = "brk,mmap,munmap,mremap,madvise"
CYCLES = "burst_1000_cycles"


def counted_calls(text: str) -> dict[str, int]:
    """{system call: count} of a summary of strace -c."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", text, re.M)
    return {name: int(count) for count, name in rows if name != "total"}


@source("syscalls", "strace of 1 000 cycles of 1 000 blocks of 16 KiB: blocks, malloc, and the harness alone",
        lambda work: 18.0 * (1 if work.quick else work.repetitions))
def syscalls(work: Work) -> Json:
    strace = shutil.which("strace")
    if not strace:
        raise PoolmarkError(f"strace is not installed, which counts system calls; {BROUGHT}")
    rows: list[Json] = []
    for number in range(1 if work.quick else work.repetitions):
        row: Json = {}
        for name in ("blocks", "direct", "bare"):
            file = work.folder / f"{name}.{number + 1}.txt"
            work.output(f"{name}.{number + 1}", [strace, "-f", "-c", "-e", f"trace={CALLS}", "-o", str(file),
                                                 str(work.build / "poolmark-bench"), f"--benchmark_filter=^{CYCLES}/{name}/16384$",
                                                 "--poolmark_patience_ms=0"])
            row[name] = counted_calls(file.read_text(encoding="utf-8"))
        rows.append(row)
    return {"rows": rows}


@reads("syscalls")
def read_syscalls(folder: Path) -> Json:
    count = len(list(folder.glob("bare.*.txt")))
    if not count:
        raise FileNotFoundError(folder / "bare.1.txt")
    return {"rows": [{name: counted_calls((folder / f"{name}.{number}.txt").read_text(encoding="utf-8"))
                      for name in ("blocks", "direct", "bare")} for number in range(1, count + 1)]}
