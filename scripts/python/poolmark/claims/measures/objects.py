# SPDX-License-Identifier: Apache-2.0
"""Pools of objects and of sized blocks, against malloc."""
import re
import statistics

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.paths import ROOT
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measured, measures

FLOOR = 0.05
GAIN_FLOOR = 0.03     # of a ratio between the rounds of one run


def _rounds(runs: Json, name: str) -> list[float]:
    found: list[float] = runs["lifo"].get(name)
    if not found:
        raise PoolmarkError(f"the benchmark {name} has no rounds")
    return found


def quartiles(values: list[float]) -> tuple[float, float]:
    """Rounds are processes of their own, some of which a busy host slows: the middle half of them is the spread."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _gain(runs: Json, names: list[str], because: str) -> Measured:
    """Throughput over malloc's in per cent, the mean of several sizes, in the order of the rounds that count. The pool's and
    malloc's need not be the same rounds, so the spread has that of both."""
    pairs = [(_rounds(runs, f"lifo/blocks/{name}"), _rounds(runs, f"lifo/direct-glibc/{name}")) for name in names]
    count = min(len(side) for pair in pairs for side in pair)
    gains = [statistics.fmean(100 * (malloc[i] / pool[i] - 1) for pool, malloc in pairs) for i in range(count)]
    return Measured(tuple(gains), because, spread=quartiles(gains), floor=GAIN_FLOOR, whole=100, timed=True)


def _times(runs: Json, names: list[str]) -> str:
    return ", ".join(f"{statistics.median(_rounds(runs, f'lifo/blocks/{name}')):.1f} ns against "
                     f"{statistics.median(_rounds(runs, f'lifo/direct-glibc/{name}')):.1f} ns" for name in names)


@measures("blocks-small", "lifo")
def small(runs: Json, claim: Claim) -> Measured:
    return _gain(runs, ["64", "256"], f"A get and its return under the mutex: {_times(runs, ['64', '256'])} of malloc and free, whose "
                 "thread cache takes no lock.")


@measures("blocks-medium", "lifo")
def medium(runs: Json, claim: Claim) -> Measured:
    return _gain(runs, ["1024", "4096"], f"At 1 KiB malloc's thread cache serves, at 4 KiB it does not: {_times(runs, ['1024', '4096'])}.")


@measures("blocks-large", "lifo")
def large(runs: Json, claim: Claim) -> Measured:
    return _gain(runs, ["16384"], f"{_times(runs, ['16384'])}, single thread, nothing written.")


@measures("blocks-threads", "lifo")
def threads(runs: Json, claim: Claim) -> Measured:
    return _gain(runs, ["1024/threads:10"], f"Ten threads share one mutex, malloc's threads share nothing: "
                 f"{_times(runs, ['1024/threads:10'])}.")


@measures("blocks-syscalls", "syscalls")
def syscalls(runs: Json, claim: Claim) -> Measured:
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
def hit_rate(runs: Json, claim: Claim) -> Measured:
    rows = runs["reuse-rate"]["blocks"]
    return Measured(tuple(100 * row["hits"] / row["gets"] for row in rows), "Judged as at least 40 %: malloc has no hits to be up from. One "
                    "object is out at a time, of a hundred that are there.", kind="counted")


@measures("blocks-defaults")
def defaults(runs: Json, claim: Claim) -> Measured:
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


MAP, MAP_ALONE = "typed_map/sync/256", "typed_map/direct-glibc/256"


def _typed(runs: Json, name: str, metric: str) -> list[float]:
    found: list[float] = runs["typed"].get(name, {}).get(metric)
    if not found:
        raise PoolmarkError(f"the benchmark {name} has no {metric}")
    return found


@measures("sync-map-time", "typed")
def map_time(runs: Json, claim: Claim) -> Measured:
    pool, alone = _typed(runs, MAP, "time"), _typed(runs, MAP_ALONE, "time")
    values = [b / a for a, b in zip(pool, alone)]
    return Measured(tuple(values), f"{statistics.median(pool):.0f} ns with the pool, {statistics.median(alone):.0f} ns without: setting 16 "
                    "keys is most of it, and free is cheaper than a collector.", spread=quartiles(values), floor=FLOOR, timed=True)


@measures("sync-map-bytes", "typed")
def map_allocations(runs: Json, claim: Claim) -> Measured:
    without, size = (_typed(runs, MAP_ALONE, name)[0] for name in ("allocs_per_op", "bytes_per_op"))
    return Measured(tuple(_typed(runs, MAP, "allocs_per_op")), f"Counted by a library that stands in for malloc. Without a pool: "
                    f"{without:.0f} allocations and {size:.0f} B.", kind="counted")


@measures("sync-low-rate", "reuse-rate")
def low_rate(runs: Json, claim: Claim) -> Measured:
    rows = runs["reuse-rate"]["sync"]
    return Measured(tuple(100 * row["hits"] / row["gets"] for row in rows), "An object survives two sweeps, and at 50 a second it is used "
                    "between them. Judged is whether the pool serves at low rates, by its hits; what a hit saves there is not.", kind="counted")
