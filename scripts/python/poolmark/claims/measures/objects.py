# SPDX-License-Identifier: Apache-2.0
"""Pools of objects and of sized blocks, against malloc."""
import re
import statistics

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import ROOT
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measured, measures

FLOOR = 0.05


def _rounds(runs: dict, name: str) -> list[float]:
    found = runs["lifo"].get(name)
    if not found:
        raise PoolmarkError(f"the benchmark {name} has no rounds")
    return found


def quartiles(values: list[float]) -> tuple[float, float]:
    """Rounds are processes of their own, some of which a busy host slows: the middle half of them is the spread."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _gain(runs: dict, names: list[str], because: str) -> Measured:
    """Throughput over malloc's in per cent, the mean of several sizes, round by round."""
    pairs = [(_rounds(runs, f"lifo/blocks/{name}"), _rounds(runs, f"lifo/direct-glibc/{name}")) for name in names]
    count = min(len(side) for pair in pairs for side in pair)
    gains = [statistics.fmean(100 * (malloc[i] / pool[i] - 1) for pool, malloc in pairs) for i in range(count)]
    low, high = quartiles(gains)
    half = (high - low) / 2
    return Measured(tuple(gains), because, interval=(low - half, high + half))


def _times(runs: dict, names: list[str]) -> str:
    return ", ".join(f"{statistics.median(_rounds(runs, f'lifo/blocks/{name}')):.1f} ns against "
                     f"{statistics.median(_rounds(runs, f'lifo/direct-glibc/{name}')):.1f} ns" for name in names)


@measures("blocks-small", "lifo")
def small(runs: dict, claim: Claim) -> Measured:
    return _gain(runs, ["64", "256"], f"A get and its return under the mutex: {_times(runs, ['64', '256'])} of malloc and free, whose "
                 "thread cache takes no lock.")


@measures("blocks-medium", "lifo")
def medium(runs: dict, claim: Claim) -> Measured:
    return _gain(runs, ["1024", "4096"], f"At 1 KiB malloc's thread cache serves, at 4 KiB it does not: {_times(runs, ['1024', '4096'])}.")


@measures("blocks-large", "lifo")
def large(runs: dict, claim: Claim) -> Measured:
    return _gain(runs, ["16384"], f"{_times(runs, ['16384'])}, single thread, nothing written.")


@measures("blocks-threads", "lifo")
def threads(runs: dict, claim: Claim) -> Measured:
    return _gain(runs, ["1024/threads:10"], f"Ten threads share one mutex, malloc's threads share nothing: "
                 f"{_times(runs, ['1024/threads:10'])}.")


@measures("blocks-syscalls", "syscalls")
def syscalls(runs: dict, claim: Claim) -> Measured:
    """The harness's own calls are subtracted on both sides."""
    values = []
    for row in runs["syscalls"]["rows"]:
        harness = sum(row["bare"].values())
        pool, malloc = (sum(row[name].values()) - harness for name in ("blocks", "direct"))
        if malloc <= 0:
            raise PoolmarkError("malloc made no system calls beyond the harness's own")
        values.append(100 * (1 - max(0, pool) / malloc))
    return Measured(tuple(values), f"{pool} calls against {malloc} of malloc, which gives its heap back after each cycle. The pool keeps "
                    "its blocks.", kind="counted")


@measures("blocks-hit-rate", "reuse-rate")
def hit_rate(runs: dict, claim: Claim) -> Measured:
    rows = runs["reuse-rate"]["blocks"]
    return Measured(tuple(100 * row["hits"] / row["gets"] for row in rows), "One object is out at a time, of a hundred that are there; "
                    "malloc has no hits to be up from.", kind="counted")


@measures("blocks-defaults")
def defaults(runs: dict, claim: Claim) -> Measured:
    path = ROOT / "pools/strategies/blocks.h"
    if not path.is_file():
        raise PoolmarkError("the defaults are read from pools/strategies/blocks.h, which an installation does not have")
    text = path.read_text(encoding="utf-8")
    values = []
    for name in ("INITIAL", "MAX", "GROWTH", "SHRINK_THRESHOLD", "CLEANUP_EVERY_NS"):
        match = re.search(rf"^#define BLOCKS_{name} \(?([\d.]+)", text, re.M)
        if not match:
            raise PoolmarkError(f"pools/strategies/blocks.h: no BLOCKS_{name}")
        values.append(float(match[1]))
    return Measured(sequences=(tuple(values),), because="Read from the strategy's header.", kind="counted")


@measures("sync-map-time", "lifo")
def map_time(runs: dict, claim: Claim) -> Measured:
    pool, malloc = _rounds(runs, "lifo/sync/1024"), _rounds(runs, "lifo/direct-glibc/1024")
    values = [b / a for a, b in zip(pool, malloc)]
    low, high = quartiles(values)
    half = (high - low) / 2
    return Measured(tuple(values), "Measured of objects of 1 KiB, got and returned, not of a map: in C nothing has to be collected. By its "
                    f"own times the source's ratio is {287.8 / 79.51:.1f}, its text says 3.4.", interval=(low - half, high + half))


@measures("sync-map-bytes", "reuse-rate")
def map_allocations(runs: dict, claim: Claim) -> Measured:
    """Each miss of the strategy sync is one allocation; a hit makes none."""
    rows = runs["reuse-rate"]["sync"]
    return Measured(tuple(max(0, row["misses"] - 1) / row["gets"] for row in rows), "Counted by the pool, whose miss is one allocation, "
                    "after the first get. In C the object is one allocation either way.", kind="counted")


@measures("sync-low-rate", "reuse-rate")
def low_rate(runs: dict, claim: Claim) -> Measured:
    rows = runs["reuse-rate"]["sync"]
    return Measured(tuple(100 * row["hits"] / row["gets"] for row in rows), "An object survives two sweeps, and at 50 a second it is used "
                    "between them: the pool hits at low rates too. What it saves there is little time.", kind="counted")
