# SPDX-License-Identifier: Apache-2.0
"""Finds the files from which a cell's metric was computed, for readers who want to check a figure.

    files_behind(cell, "qos1.delivery.p99")   ["cells/x.1/load-qos1/latency.hlog"]

The rules match those of measures.py. The short name of a file ends with its phase, except for the first phase: latency,
latency_qos0, latency_qos1.
"""
from poolmark.base.forms import CellData
from poolmark.records.phases import CELL, names_of, split

MEMORY = ("memory", "kernel", "generator", "cpu")
KINDS = {"pool": "pools", "step": "steps", "account": "account"}    # group of metrics -> the file that it is of
MESSAGES = ("delivery", "ack", "messages")


def phases(cell: CellData) -> list[tuple[str, str]]:
    """(name, words) of the phases that left a histogram; the first has the name "". Words are scenario and options from the
    configuration, or empty if unknown."""
    names = [key.removeprefix("latency").removeprefix("_") for key in cell.get("files", {}) if key.startswith("latency")]
    words = [part.strip() for part in str(cell.get("config", {}).get("phases") or "").split(";")]
    return list(zip(names, words if len(words) == len(names) else [""] * len(names)))


def publishing(cell: CellData) -> list[str]:
    """Names of the phases that publish; when unknown, all phases but the first."""
    found = phases(cell)
    if any(words for _, words in found):
        return [name for name, words in found if words.startswith("publish")]
    return [name for name, _ in found][1:]


def phase_of(cell: CellData, metric: str) -> str:
    """The phase of a metric, "" for the first: the phase in front of the metric's name. Older records have the phase inside the
    name, or no phase. Then latencies of messages belong to the last phase that has them, and other figures of messages to the
    first phase that publishes."""
    named = split(cell, metric)[0]
    if any("prefix" in phase for phase in cell.get("phases") or []):
        plain = next((phase["name"] for phase in cell["phases"] if phase.get("prefix") == ""), "")
        name = named if named not in ("", CELL) else plain
        return "" if name == names_of(cell)[0] else name
    group = metric.partition(".")[0]
    names = [name for name, _ in phases(cell)]
    for name in names:
        if name and group.endswith(f"_{name}"):
            return name
    publish = publishing(cell)
    if group.startswith(("delivery", "ack")):
        rest = metric.partition(".")[2]
        publish = [name for name in publish if f"{group}_{name}.{rest}" in cell.get("metrics", {})] or publish
        return publish[-1] if publish else ""
    if group in ("messages", "deliveries", "schedule") or metric in ("cpu.per_message_ns", "cpu.per_delivery_ns"):
        return publish[0] if publish else ""
    return ""


def files_behind(cell: CellData, metric: str) -> list[str]:
    """Paths in the run's folder; for a benchmark all rounds. Empty when the record names none."""
    files = cell.get("files", {})
    named, metric = split(cell, metric)
    if named == CELL:       # a sum over all phases: their records
        return [path for key, path in files.items() if key.startswith("record")]
    rounds = [path for key, path in files.items() if key.startswith("round_")]
    group = metric.partition(".")[0]
    phase = phase_of(cell, f"{named}.{metric}" if named else metric)
    kind = "memory" if group in MEMORY else KINDS.get(group, "latency")
    path = files.get(f"{kind}_{phase}" if phase else kind)
    return [path] if path else rounds
