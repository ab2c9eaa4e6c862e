# SPDX-License-Identifier: Apache-2.0
"""The figures of the bare client (bench/bare), from its two files. They have the names of the generator's figures, since both say the
same of the same load.

    is_there(folder)            whether a phase's folder is one of the bare client
    take(cell, folder, phase)   adds the figures, as measures.take_phase does those of the generator
"""
from pathlib import Path

from poolmark.base.curves import read_csv
from poolmark.base.errors import RecordError
from poolmark.base.forms import Metrics, PhaseData, Row, Taker
from poolmark.records import phases
from poolmark.records.hlog import figures
from poolmark.records.record import metric

GENERATOR, BARE = "generator", "bare"   # a cell's client: poolmark-loadgen, or the client that does the least
FILE, LATENCIES = "bare.csv", "latency.hlog"
PARTS = ("start", "warm", "end", "after")   # the lines of bare.csv


def is_there(folder: Path) -> bool:
    return (folder / FILE).is_file() and (folder / LATENCIES).is_file()


def _of_latency(name: str, value: float | None) -> tuple[str, float | None, str, str]:
    if name.startswith("schedule."):
        return name, value, "ns", "none"
    return (name, value, "1", "none") if name.endswith(".count") else (name, value, "ns", "lower")


def metrics_of(folder: Path) -> Metrics:
    """RecordError when a file cannot be read, or the client did not come to its end."""
    path = folder / FILE
    rows: dict[str, Row] = {row["phase"]: row for row in read_csv(path, ("phase",))}
    for part in PARTS:
        if part not in rows:
            raise RecordError(path, "phase", f"there is no line '{part}': the client did not come to its end")
        for column in ("at_ns", "sent", "received"):
            if not isinstance(rows[part].get(column), int):
                raise RecordError(path, f"{part}, {column}", "has no number")
    start, warm, end, after = (rows[part] for part in PARTS)
    sent, took_ns = after["sent"], end["at_ns"] - warm["at_ns"]
    known = sent and start.get("target_cpu_ns") is not None and after.get("target_cpu_ns") is not None
    found: list[tuple[str, float | None, str, str]] = [
        ("messages.sent", sent, "1", "none"), ("messages.received", after["received"], "1", "none"),
        ("messages.lost", sent - after["received"], "1", "lower"),
        ("messages.rate", (end["received"] - warm["received"]) * 1e9 / took_ns if took_ns > 0 else None, "1/s", "higher"),
        ("messages.seconds", took_ns / 1e9, "s", "none"),
        ("cpu.per_message_ns", (after["target_cpu_ns"] - start["target_cpu_ns"]) / sent if known else None, "ns", "lower")]
    found += [_of_latency(name, value) for name, value in figures(folder / LATENCIES).items()]
    return {name: metric(value, unit, better) for name, value, unit, better in found}


def take(cell: Taker, folder: Path, phase: PhaseData) -> None:
    phases.take(cell, phase, metrics_of(folder))
