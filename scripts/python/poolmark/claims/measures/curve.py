# SPDX-License-Identifier: Apache-2.0
"""Memory over connections. Larger counts than were measured are forecast: bytes = base + n x slope for all but the objects, whose
number the pool's rule says."""
import functools
import math
import statistics

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.paths import ROOT
from poolmark.claims.catalogue import Claim, number_text
from poolmark.claims.measured import Measured, measures
from poolmark.model.model import fit_line
from poolmark.records.packed import record_in
from poolmark.records.read_record import load

MB, KB = 1e6, 1e3
FLOOR = 0.01
OBJECT_BYTES, MOST = 3072, 100_000
# The sources' table: memory in MB -> connections.
HARDWARE = {512: 30_000, 1024: 50_000, 2048: 100_000, 4096: 200_000, 8192: 500_000, 16384: 1_000_000}
MIB = 1 << 20


def _rows(runs: Json, strategy: str, name: str = "curve") -> list[Json]:
    return [row for row in runs[name]["rows"] if row["strategy"] == strategy]


def _at(row: Json, connections: int, field: str = "user_bytes") -> float:
    value = row["steps"].get(str(connections), {}).get(field)
    if value is None:
        raise PoolmarkError(f"{row['strategy']}.{row['repetition']}: no {field} at {connections} connections")
    return float(value)


def _memory(runs: Json, connections: int, because: str = "") -> Measured:
    return Measured(tuple(_at(row, connections) / MB for row in _rows(runs, "expand")), because, floor=FLOOR)


BOTH = ("curve", "hundred")


def _points(runs: Json, strategy: str, field: str = "user_bytes", names: tuple[str, ...] = BOTH) -> list[tuple[int, float]]:
    """(connections, bytes beside the objects that the pool owns) of all repetitions and steps, from 1 000 connections on."""
    return [(int(count), step[field] - (step["owned"] * OBJECT_BYTES if field == "user_bytes" else 0))
            for name in names if name in runs for row in _rows(runs, strategy, name)
            for count, step in row["steps"].items() if int(count) >= 1000 and step.get(field) is not None and step.get("owned") is not None]


def owned_at(connections: int, initial: int, strategy: str = "expand") -> int:
    """Objects owned by the second listing's rule; past the maximum connections have theirs from the heap."""
    if strategy == "fixed":
        return max(MOST, connections)
    owned = initial
    while owned < MOST and connections >= int(owned * 0.8):
        owned = min(int(owned * 1.5), MOST)
    return max(owned, connections)


def forecast(runs: Json, connections: int, strategy: str, initial: int, names: tuple[str, ...] = BOTH) -> tuple[float, float, float]:
    """(bytes, low, high) at 95 %."""
    points = _points(runs, strategy, names=names)
    line = fit_line([count for count, _ in points], [value for _, value in points])
    objects = owned_at(connections, initial, strategy) * OBJECT_BYTES
    value, margin = line.at(connections) + objects, line.margin(connections)
    return value, value - margin, value + margin


def largest(runs: Json) -> int:
    return max(int(count) for row in runs["hundred"]["rows"] for count in row["steps"])


def least(runs: Json) -> int:
    return min(int(count) for row in runs["hundred"]["rows"] for count in row["steps"])


@measures("cost-per-connection", "curve")
def cost_per_connection(runs: Json, claim: Claim) -> Measured:
    rows = _rows(runs, "expand")
    return Measured(tuple((_at(row, 10_000) - _at(row, 10)) / 9_990 / KB for row in rows), "Object, two buffers and an arena of 6 KiB "
                    "alone are 17.4 KB; the pool also owns objects that no connection has yet.", floor=FLOOR)


@measures("memory-at-10", "curve")
def memory_10(runs: Json, claim: Claim) -> Measured:
    return _memory(runs, 10, "1 024 objects of 3 KiB, the broker itself, and ten connections of 17 KB.")


@measures("memory-at-100", "curve")
def memory_100(runs: Json, claim: Claim) -> Measured:
    return _memory(runs, 100, "The 1 024 objects are most of it; a hundred connections add buffers and arenas of 1.4 MB.")


@measures("memory-at-1k", "curve")
def memory_1k(runs: Json, claim: Claim) -> Measured:
    return _memory(runs, 1000, "The other document says 20 to 25 MB of the same state: at most one of the two can be right.")


@measures("memory-at-1k-measured", "curve")
def memory_1k_measured(runs: Json, claim: Claim) -> Measured:
    return _memory(runs, 1000, "The other document says 30 to 50 MB of the same state: at most one of the two can be right.")


@measures("memory-at-10k", "curve")
def memory_10k(runs: Json, claim: Claim) -> Measured:
    return _memory(runs, 10_000, "17.4 KB for each connection, and the objects that the pool made ahead.")


def _at_100k(runs: Json, strategy: str) -> Measured:
    if largest(runs) >= MOST:
        return Measured(tuple(_at(row, MOST) / MB for row in _rows(runs, strategy, "hundred")), floor=FLOOR)
    value, low, high = forecast(runs, MOST, strategy, 5000)
    return Measured((value / MB,), kind="forecast", interval=(low / MB, high / MB))


@measures("memory-at-100k", "hundred", "curve")
def memory_100k(runs: Json, claim: Claim) -> Measured:
    found = _at_100k(runs, "expand")
    brokers = runs["hundred"]["brokers"]
    several = f" {brokers} broker processes hold them, because of this host's limit of descriptors." if brokers > 1 else ""
    return Measured(found.values, f"User memory alone; the kernel's is beside it.{several}", found.kind, interval=found.interval, floor=FLOOR)


@functools.cache
def lazy_million() -> Json | None:
    """The committed run with lazy buffers: connections, user and kernel bytes of its largest step; None where it is not there."""
    folder = ROOT / "results/reference/million"
    if not record_in(folder):
        return None
    for cell in load(folder).data.get("cells", []):
        if cell["config"].get("shape") == "classic-lazy" and cell["status"] == "complete":
            most = max(int(name.split(".")[1]) for name in cell["metrics"] if name.startswith("step.") and name.split(".")[1].isdigit())
            return {"connections": most, "user_bytes": cell["metrics"][f"step.{most}.user_bytes"]["value"]}
    return None


@measures("memory-at-1m", "hundred")
def memory_1m(runs: Json, claim: Claim) -> Measured:
    """From the largest counts alone: with fewer connections there are fewer broker processes, each with memory of its own."""
    value, low, high = forecast(runs, 1_000_000, "expand", 10_000, ("hundred",))
    lazy = lazy_million()
    told = (f" With lazy buffers it was measured: {lazy['user_bytes'] / 1e9:.1f} GB at {lazy['connections']} connections (of the "
            "committed reference run, not of this one)." if lazy else "")
    return Measured((value / MB,), f"Eager buffers, from the line through {least(runs)} to {largest(runs)} connections, with its 95 % interval.{told}",
                    kind="forecast", interval=(low / MB, high / MB))


@measures("memory-formula", "curve", "hundred")
def formula(runs: Json, claim: Claim) -> Measured:
    """The largest relative error over the five counts, in each repetition."""
    at_100k, values, worst_at, missed = _at_100k(runs, "expand"), [], 10, 0.0
    for number, row in enumerate(_rows(runs, "expand")):
        measured = {count: _at(row, count) for count in (10, 100, 1000, 10_000)}
        measured[MOST] = MB * at_100k.values[min(number, len(at_100k.values) - 1)]
        errors = {count: 100 * abs(3e6 + 18e3 * count - value) / value for count, value in measured.items()}
        worst_at = max(errors, key=lambda count: errors[count])
        missed = (measured[worst_at] - 3e6 - 18e3 * worst_at) / MB
        values.append(errors[worst_at])
    return Measured(tuple(values), f"The worst is at {worst_at} connections, where the formula says {number_text(abs(missed))} MB too "
                    f"{'little' if missed > 0 else 'much'}. Its 3 MB are the 1 024 objects made ahead; the broker itself is not in it.",
                    floor=FLOOR, whole=100)


def fits(memory_bytes: float, base: float, slope: float) -> float:
    return (memory_bytes - base) / slope


@measures("hardware-table", "curve", "hundred")
def hardware(runs: Json, claim: Claim) -> Measured:
    """The ratio of the line that is farthest off, in each repetition. The kernel's memory was measured with both ends of each
    connection on one host, so half of it counts."""
    points = _points(runs, "expand")
    line = fit_line([count for count, _ in points], [value + count * OBJECT_BYTES for count, value in points])
    kernel = [_kernel_slope(row) / 2 for row in _rows(runs, "expand", "hundred")]
    middle = statistics.median(kernel)
    worst = max(HARDWARE, key=lambda size: abs(math.log(fits(size * MIB, line.base, line.slope + max(middle, 0.0)) / HARDWARE[size])))
    if min(kernel) <= -line.slope:
        raise PoolmarkError("the kernel's memory shrank while connections came: other programs of this host gave more back")
    return Measured(tuple(fits(worst * MIB, line.base, line.slope + one) / HARDWARE[worst] for one in kernel),
                    f"The worst line is {worst} MB. A connection takes {line.slope / KB:.1f} KB of the broker and {middle / KB:.1f} KB of the "
                    "kernel, which the table forgets and which is more than a lean connection takes.", kind="forecast", floor=0.02, timed=True)


def _kernel_slope(row: Json) -> float:
    """Kernel bytes for each further connection, from the first step to the last."""
    counts = sorted(map(int, row["steps"]))
    return (_at(row, counts[-1], "kernel_bytes") - _at(row, counts[0], "kernel_bytes")) / (counts[-1] - counts[0])


@measures("fixed-vs-dynamic-10k", "curve")
def versus_10k(runs: Json, claim: Claim) -> Measured:
    return Measured(tuple(_at(fixed, 10_000) / _at(dynamic, 10_000) for fixed, dynamic in
                          zip(_rows(runs, "fixed"), _rows(runs, "expand"), strict=True)),
                    "The fixed pool has 100 000 objects of 3 KiB from the start, 307 MB.", floor=FLOOR)


@measures("fixed-vs-dynamic-100k", "hundred", "curve")
def versus_100k(runs: Json, claim: Claim) -> Measured:
    fixed, dynamic = _at_100k(runs, "fixed"), _at_100k(runs, "expand")
    because = "At 100 000 connections both own 100 000 objects, and a connection's buffers and arena are the same."
    if fixed.interval and dynamic.interval:
        edges = (fixed.interval[0] / dynamic.interval[1], fixed.interval[1] / dynamic.interval[0])
        return Measured((fixed.values[0] / dynamic.values[0],), because, "forecast", interval=edges)
    return Measured(tuple(a / b for a, b in zip(fixed.values, dynamic.values, strict=True)), because, floor=FLOOR)
