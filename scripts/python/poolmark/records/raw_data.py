# SPDX-License-Identifier: Apache-2.0
"""Which of a cell's files a metric was taken from: what a reader opens who does not believe a figure.

    files_behind(cell, "qos1.delivery.p99")   ["cells/x.1/load-qos1/latency.hlog"]

The rules are those by which measures.py takes metrics from the phases of a suite. A phase after the first has its name in
its files' short names: latency, latency_qos0, latency_qos1.
"""
from poolmark.records.phases import CELL, names_of, split

MEMORY = ("memory", "kernel", "generator", "cpu")
MESSAGES = ("delivery", "ack", "messages")


def phases(cell: dict) -> list[tuple[str, str]]:
    """(name, words) of a cell's phases that left a histogram; the first has the name "". Words are its scenario and
    options, as the configuration has them, and empty when they are not known."""
    names = [key.removeprefix("latency").removeprefix("_") for key in cell.get("files", {}) if key.startswith("latency")]
    words = [part.strip() for part in str(cell.get("config", {}).get("phases") or "").split(";")]
    return list(zip(names, words if len(words) == len(names) else [""] * len(names)))


def publishing(cell: dict) -> list[str]:
    """Names of the phases that publish; all but the first of several when it is not known which do."""
    found = phases(cell)
    if any(words for _, words in found):
        return [name for name, words in found if words.startswith("publish")]
    return [name for name, _ in found][1:]


def phase_of(cell: dict, metric: str) -> str:
    """The name of the phase that a metric is of, "" for the first: that before it. In records of before phases had their
    names on metrics: that in its name, else, of messages' latencies, the last that has them, and of all else about messages
    the first that publishes."""
    named = split(cell, metric)[0]
    if any("prefix" in phase for phase in cell.get("phases") or []):
        plain = next((phase["name"] for phase in cell["phases"] if phase["prefix"] == ""), "")
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
    if group in ("messages", "schedule") or metric == "cpu.per_message_ns":
        return publish[0] if publish else ""
    return ""


def files_behind(cell: dict, metric: str) -> list[str]:
    """Paths in the run's folder; every round of a benchmark. Empty when the record names none."""
    files = cell.get("files", {})
    named, metric = split(cell, metric)
    if named == CELL:       # a count of every phase: their records
        return [path for key, path in files.items() if key.startswith("record")]
    rounds = [path for key, path in files.items() if key.startswith("round_")]
    group = metric.partition(".")[0]
    phase = phase_of(cell, f"{named}.{metric}" if named else metric)
    kind = "memory" if group in MEMORY else "pools" if group == "pool" else "steps" if group == "step" else "latency"
    path = files.get(f"{kind}_{phase}" if phase else kind)
    return [path] if path else rounds
