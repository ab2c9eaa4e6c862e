# SPDX-License-Identifier: Apache-2.0
"""From what broker and generator wrote to a cell's metrics (results/README.md names them all)."""
from pathlib import Path

from poolmark_lib.curves import MemoryCurve, pool_totals, pools_at, read_csv, slope
from poolmark_lib.errors import RecordError
from poolmark_lib.read_record import Run, load
from poolmark_lib.record import Cell

SOCKET_BYTES = 1024     # the kernel's memory of a TCP connection is more than that: its socket alone is
COUNTED = ("clients.failed", "clients.dropped")


def take_load(cell: Cell, folder: Path, phase: dict, single: bool) -> Run:
    """Copies the metrics of one phase's load record into the cell. RecordError when it cannot be read.

    Latencies of messages are of the last phase that has them; with several phases each also stands under its own
    name, delivery_qos0.p99. Connects are those of the connect phase. Failures of all phases are added up.
    """
    run = load(folder)
    for name, metric in run.data.get("metrics", {}).items():
        group, _, rest = name.partition(".")
        if name in COUNTED:
            cell.metric(name, (cell.value(name) or 0) + (metric["value"] or 0), metric["unit"], "lower")
        elif group.startswith(("delivery", "ack")) and phase["scenario"] == "publish":
            cell.data["metrics"][name] = metric
            if not single:
                cell.data["metrics"][f"{group}_{phase['name']}.{rest}"] = metric
        elif phase["scenario"] != "publish" or name not in cell.data["metrics"] and not group.startswith("connect"):
            cell.data["metrics"][name] = metric
    for anomaly in run.data.get("anomalies", []):
        cell.anomaly(anomaly["what"], f"{phase['name']}: {anomaly['text']}")
    return run


def take_slope(cell: Cell, name: str, each: float | None, least: float) -> None:
    """Memory for a connection; no value where less came out than it can be, and one note that says so."""
    lost = each is not None and each < least
    cell.metric(name, None if lost else each, "B", "lower")
    if lost and all(one["what"] != "resolution" for one in cell.data["anomalies"]):
        cell.anomaly("resolution", f"{name}: {each:.0f} B came out, lost in what the rest of the host does meanwhile; it takes "
                                   "more connections")


def take_memory(cell: Cell, path: Path, steps: list[int] | None) -> None:
    """Memory and CPU for a connection: from 0 to all of them; with steps, from the first step to the last."""
    curve = MemoryCurve(path)
    full = curve.at(curve.most())
    start = curve.at(0)
    if full is None or full.connections == 0:
        return
    low = start
    if steps and len(steps) > 1 and curve.at(steps[0]) is not None and steps[0] < full.connections:
        low = curve.at(steps[0])
    if start is not None:
        cell.metric("memory.start_bytes", start.user_bytes, "B", "lower")
    cell.metric("memory.full_bytes", full.user_bytes, "B", "lower")
    take_slope(cell, "memory.per_connection_bytes", slope(low, full, "user_bytes"), 0)
    take_slope(cell, "memory.per_connection_rss_bytes", slope(low, full, "rss_bytes"), 0)
    take_slope(cell, "kernel.per_connection_bytes", slope(low, full, "kernel_bytes"), SOCKET_BYTES)
    cell.metric("cpu.per_connection_ns", slope(low, full, "cpu_ns"), "ns", "lower")
    if full.generator_bytes is not None and "generator.per_client_bytes" not in cell.data["metrics"]:
        cell.metric("generator.per_client_bytes", slope(start, full, "generator_bytes"), "B", "none")
    for step in steps or []:
        point = curve.at(step)
        if point is not None:
            cell.metric(f"step.{step}.user_bytes", point.user_bytes, "B", "lower")
            base = start.kernel_bytes if start else None
            if point.kernel_bytes is not None and base is not None:
                cell.metric(f"step.{step}.kernel_bytes", point.kernel_bytes - base, "B", "none")
    if not full.uses_pss and full.user_bytes is not None:
        cell.anomaly("memory", "PSS could not be read with all connections open; RSS stands in for it")


# Columns of steps.csv that become metrics of their step: column -> (metric, unit, better).
STEP_COLUMNS = {
    "took_ns": ("took_ns", "ns", "lower"), "objects_bytes": ("objects_bytes", "B", "none"),
    "buffers_bytes": ("buffers_bytes", "B", "none"), "arenas_bytes": ("arenas_bytes", "B", "none"),
    "messages_bytes": ("messages_bytes", "B", "none"), "rest_bytes": ("rest_bytes", "B", "none"),
    "cpu_per_connection_ns": ("cpu_per_connection_ns", "ns", "lower"), "connect_p50_ns": ("connect.p50", "ns", "lower"),
    "connect_p99_ns": ("connect.p99", "ns", "lower"), "delivery_p50_ns": ("delivery.p50", "ns", "lower"),
    "delivery_p99_ns": ("delivery.p99", "ns", "lower"), "delivery_p99_9_ns": ("delivery.p99_9", "ns", "lower"),
}


def take_steps(cell: Cell, path: Path) -> None:
    """What the generator measured at each step, latency of the probes among it."""
    for row in read_csv(path, ()):
        for column, (name, unit, better) in STEP_COLUMNS.items():
            if row.get(column) is not None:
                cell.metric(f"step.{row.get('connections')}.{name}", row[column], unit, better)


def take_pools_at_steps(cell: Cell, memory: Path, paths: list[Path], steps: list[int]) -> None:
    """Objects owned and in use at each step, all instances: what the capacity model takes a pool's reserve from."""
    curve = MemoryCurve(memory)
    for step in steps:
        point = curve.at(step)
        if point is None:
            continue
        for pool, numbers in pools_at(paths, point.last_ns).items():
            for what in ("object_bytes", "owned", "in_use"):
                cell.metric(f"step.{step}.{pool}.{what}", numbers[what], "B" if what == "object_bytes" else "1", "none")


def take_pools(cell: Cell, paths: list[Path]) -> None:
    """Hit rate, expansions and the longest, over all pools and instances."""
    totals = pool_totals([path for path in paths if path.is_file()])
    if totals is None:
        raise RecordError(paths[0] if paths else cell.id, "", "the broker left no pool statistics")
    gets = totals.get("gets", 0)
    cell.metric("pool.hit_rate", 100 * totals.get("hits", 0) / gets if gets else None, "%", "higher")
    cell.metric("pool.expansions", totals.get("expansions"), "1", "none")
    cell.metric("pool.longest_expansion_ns", totals["longest_expansion_ns"], "ns", "lower")
    cell.metric("pool.overflow", totals.get("overflow"), "1", "none")
    cell.metric("pool.refused", totals.get("refused"), "1", "none")
