# SPDX-License-Identifier: Apache-2.0
"""Files that a record has to list. It may lack only the files of which it says so itself.

    spoiled(data)                   files whose lines the record's own books call unreadable: {"latency.hlog"}
    lacking(data, where)            texts: files that a load's or a broker's figures rest on, and that its list does not have
    lacking_cells(data)             texts: the same of the cells of a suite, of benchmarks, of `kernel`, of `claims`
    nested(outer, inner, prefix)    texts: files of a record inside a folder that the record of the folder lacks, or has otherwise

An anomaly `file` or `disk` has the reason why lines are unreadable. Records of before there were seals are not judged by these
rules: they list fewer files.
"""
from typing import Any

from poolmark.base.forms import CellData, RecordData
from poolmark.records import bare
from poolmark.records.read_record import has_seals

# Source of the books -> the file of its lines.
LINES = {"latency_lines": "latency.hlog", "memory_lines": "memory.csv", "steps_lines": "steps.csv", "arrivals_lines": "arrivals.csv",
         "pools_lines": "pools.csv", "events_lines": "events.csv", "account_lines": "account.csv"}
FROM_LATENCIES = ("p50", "p99", "p99_9", "max", "mean")
FROM_READINGS = ("memory.", "kernel.", "cpu.per_")
KERNEL_FILES = 5    # of a cell of `kernel`: two of before, two of after, and the names that the kernel has merged


def _count(line: Any, column: str) -> float:
    value = line.get(column) if isinstance(line, dict) else None
    return value if isinstance(value, (int, float)) else 0


def spoiled(data: RecordData) -> set[str]:
    books = data.get("books") or {}
    return {file for source, file in LINES.items() if _count(books.get(source), "unreadable") > 0}


def _rested_on(data: RecordData) -> dict[str, str]:
    """{file: why it has to be there}, by the books and by the figures that are known."""
    found = {file: f"its books have {_count(line, 'measured'):.0f} lines of it" for source, file in LINES.items()
             if _count(line := (data.get("books") or {}).get(source), "measured") > 0}
    if data["kind"] != "load":
        return found
    for name, one in data.get("metrics", {}).items():
        if one["value"] is None:
            continue
        if name.startswith(FROM_READINGS):
            found.setdefault("memory.csv", f"{name} rests on it")
        elif name.rpartition(".")[2] in FROM_LATENCIES and not name.startswith(("schedule.", "generator.")):
            found.setdefault("latency.hlog", f"{name} rests on it")
    return found


def lacking(data: RecordData, where: str = "") -> list[str]:
    if data["kind"] not in ("load", "broker") or data["status"] == "running" or not has_seals(data):
        return []
    excused = spoiled(data)
    return [f"{where}{file}: {why}, and the record neither lists it nor says that it is gone" for file, why in _rested_on(data).items()
            if file not in data.get("files", {}) and file not in excused]


def base_of(cell: CellData) -> str | None:
    """The folder of a cell's phases, inside the run's folder."""
    path = next((path for key, path in cell.get("files", {}).items() if key.startswith(("latency", "memory", "record", "bare"))), None)
    return "/".join(path.split("/")[:-2]) if path and path.count("/") >= 2 else None


def _of_cell(data: RecordData, cell: CellData) -> str:
    """What the list of files lacks of a cell; "" when nothing."""
    listed, files, base = data.get("files", {}), cell.get("files", {}), base_of(cell) or f"cells/{cell['id']}"
    for phase in cell.get("phases") or []:
        file = bare.FILE if cell["config"].get("client") == bare.BARE else "run.json"
        name = f"{base}/{phase['folder']}/{file}"
        if name not in listed:
            return f"{name}: is the record of a phase of the cell, and not in the list of files"
    if not cell["metrics"] or cell["status"] != "complete":
        return ""
    if "workload" in cell["config"]:
        return "" if any(key.startswith("round_") for key in files) else f"{cell['id']}: has figures, and no round is among its files"
    if data["kind"] == "kernel":
        return "" if len(files) >= KERNEL_FILES else f"{cell['id']}: has figures, and {len(files)} of its {KERNEL_FILES} raw files"
    return ""


def lacking_cells(data: RecordData) -> list[str]:
    if data["status"] == "running" or not has_seals(data):
        return []
    found = [text for cell in data.get("cells", []) if (text := _of_cell(data, cell))]
    if data["kind"] == "claims":
        found += [f"{cell['id']}: is complete, and its values are not among its files" for cell in data.get("cells", [])
                  if cell["status"] == "complete" and "values" not in cell.get("files", {})]
    return found


def nested(outer: RecordData, inner: RecordData, prefix: str) -> list[str]:
    """`prefix`: the folder of `inner` inside that of `outer`, with its slash."""
    wrong: list[str] = []
    for name, facts in inner.get("files", {}).items():
        known = outer.get("files", {}).get(prefix + name)
        if known is None:
            wrong.append(f"{prefix}{name}: {prefix}run.json lists it, and the record around it does not")
        elif known["sha256"] != facts["sha256"] or known["bytes"] != facts["bytes"]:
            wrong.append(f"{prefix}{name}: is another file than {prefix}run.json lists: it was changed after that program's end")
    return wrong
