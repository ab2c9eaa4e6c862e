# SPDX-License-Identifier: Apache-2.0
"""Turns the files of broker and generator into a cell's metrics (results/README.md names them all).

Figures that a program has computed are copied from its record. Figures that only follow from files (pools, steps) are computed
here. The suite calls these functions after a phase, and verify calls them again on the same files. They depend on nothing else.

    for phase in cell.data["phases"]:
        take_phase(cell, base / phase["folder"], phase)
    take_target(cell, base, phases, pool_files)

`cell` is a record's Cell, or an object with its metric(), value(), anomaly() and data. A phase has the form of
phases.recorded(). RecordError when a file cannot be read.
"""
import re
from pathlib import Path

from poolmark.records import accounts, arrivals, phases
from poolmark.base.forms import PhaseData, Taker
from poolmark.base.curves import MemoryCurve, kernel_bytes, pool_totals, pools_at, read_csv, user_bytes
from poolmark.base.errors import RecordError
from poolmark.base.units import whole
from poolmark.records.read_record import Run, load


def phase_folder(number: int, name: str) -> str:
    """The folder of a phase's files, inside the cell's folder."""
    return "load" if number == 0 else f"load-{name}"


def take_load(cell: Taker, folder: Path, phase: PhaseData) -> Run:
    """Copies the metrics of a phase's load record into the cell, under the names from phases.py. RecordError when the record
    cannot be read."""
    run = load(folder)
    phases.take(cell, phase, run.data.get("metrics", {}))
    for anomaly in run.data.get("anomalies", []):
        cell.anomaly(anomaly["what"], f"{phase['name']}: {anomaly['text']}")
    return run


# Columns of steps.csv that become metrics of a step: column -> (metric, unit, better).
STEP_COLUMNS = {
    "took_ns": ("took_ns", "ns", "lower"), "objects_bytes": ("objects_bytes", "B", "none"),
    "buffers_bytes": ("buffers_bytes", "B", "none"), "arenas_bytes": ("arenas_bytes", "B", "none"),
    "messages_bytes": ("messages_bytes", "B", "none"), "rest_bytes": ("rest_bytes", "B", "none"),
    "cpu_per_connection_ns": ("cpu_per_connection_ns", "ns", "lower"), "connect_p50_ns": ("connect.p50", "ns", "lower"),
    "connect_p99_ns": ("connect.p99", "ns", "lower"), "delivery_p50_ns": ("delivery.p50", "ns", "lower"),
    "delivery_p99_ns": ("delivery.p99", "ns", "lower"), "delivery_p99_9_ns": ("delivery.p99_9", "ns", "lower"),
}


UNSETTLED = re.compile(r"after the reading, with (\d+) connections, it moved")      # loadgen/run_settle.c


def unsettled_steps(run: Run) -> set[int]:
    """Connections at whose readings memory still moved."""
    found = (UNSETTLED.search(one["text"]) for one in run.data.get("anomalies", []) if one["what"] == "unsettled")
    return {count for one in found if one and (count := whole(one[1])) is not None}


def take_steps(cell: Taker, folder: Path, run: Run) -> None:
    """Takes the generator's measurements at each step, such as memory and latency of the probes. Kernel memory is the growth
    since the start."""
    start = MemoryCurve(folder / "memory.csv").reading(run.data, "start")
    base, moving = kernel_bytes(start) if start else None, unsettled_steps(run)
    for row in read_csv(folder / "steps.csv", ()):
        step = f"step.{row.get('connections')}"
        user, kernel = user_bytes(row), kernel_bytes(row)
        if user is not None:
            cell.metric(f"{step}.user_bytes", user, "B", "lower")
        if base is not None and kernel is not None:
            cell.metric(f"{step}.kernel_bytes", kernel - base, "B", "none")
        for column, (name, unit, better) in STEP_COLUMNS.items():
            if row.get(column) is not None:
                cell.metric(f"{step}.{name}", row[column], unit, better)
        for name in (f"{step}.user_bytes", f"{step}.rest_bytes") if row.get("connections") in moving else ():
            if name in cell.data["metrics"] and cell.data["metrics"][name]["value"] is not None:
                cell.data["metrics"][name]["doubt"] = "unsettled"


def take_phase(cell: Taker, folder: Path, phase: PhaseData) -> Run:
    """Takes the generator's files of one phase; returns its record."""
    run = take_load(cell, folder, phase)
    if (folder / "steps.csv").is_file():
        take_steps(cell, folder, run)
    return run


def take_pools_at_steps(cell: Taker, folder: Path, pool_files: list[Path]) -> None:
    """Objects owned and in use at each step, over all instances. The capacity model computes a pool's reserve from them. Without a value where
    generator and brokers have no one clock."""
    curve = MemoryCurve(folder / "memory.csv")
    known = arrivals.have_one_clock([folder, *(path.parent for path in pool_files)], arrivals.read_data)
    for row in read_csv(folder / "steps.csv", ()):
        step = row.get("connections")
        point = curve.at(step) if step is not None else None
        if point is None:
            continue
        for pool, numbers in pools_at(pool_files, point.last_ns).items():
            for what in ("object_bytes", "owned", "in_use"):
                cell.metric(f"step.{step}.{pool}.{what}", numbers[what] if known else None, "B" if what == "object_bytes" else "1", "none")


def take_pools(cell: Taker, pool_files: list[Path]) -> None:
    """Hit rate, expansions and the longest expansion, over all pools and instances."""
    for path in pool_files:
        if not path.is_file():
            raise RecordError(path, "", "is not there: a sum over the other instances would be too small")
        if pool_totals([path]) is None:
            raise RecordError(path, "", "the broker left no pool statistics")
    totals = pool_totals(pool_files)
    if totals is None:
        raise RecordError(cell.id, "", "the broker left no pool statistics")
    gets = totals.get("gets", 0)
    cell.metric("pool.hit_rate", 100 * totals.get("hits", 0) / gets if gets else None, "%", "higher")
    cell.metric("pool.expansions", totals.get("expansions"), "1", "none")
    cell.metric("pool.longest_expansion_ns", totals["longest_expansion_ns"], "ns", "lower")
    cell.metric("pool.overflow", totals.get("overflow"), "1", "none")
    cell.metric("pool.refused", totals.get("refused"), "1", "none")


def tell_clocks(cell: Taker, folders: list[Path]) -> None:
    if not arrivals.have_one_clock(folders, arrivals.read_data):
        cell.anomaly("clock_unknown", "a program could not read its time namespace, so the times of generator and broker may be by two clocks: which "
                     "arrivals met an expansion, the hit rate while clients arrived, and pools at steps are not known")


def take_target(cell: Taker, base: Path, taken: list[PhaseData], pool_files: list[Path]) -> None:
    """Takes the target's own files, after its end. Does nothing for a target without files."""
    if not pool_files:
        return
    take_pools(cell, pool_files)
    accounts.take(cell, [path.parent / accounts.FILE for path in pool_files])
    tell_clocks(cell, [*(base / phase["folder"] for phase in taken), *(path.parent for path in pool_files)])
    for phase in taken:
        folder = base / phase["folder"]
        if (folder / "steps.csv").is_file() and (folder / "memory.csv").is_file():
            take_pools_at_steps(cell, folder, pool_files)
        if f"{phase['prefix']}arrivals.count" in cell.data["metrics"] and (folder / "memory.csv").is_file():
            arrivals.take_hit_rate(cell, folder, phase, pool_files)
        if (folder / "arrivals.csv").is_file():
            arrivals.take(cell, folder, phase, [path.parent / "events.csv" for path in pool_files])
