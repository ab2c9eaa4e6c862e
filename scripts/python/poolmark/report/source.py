# SPDX-License-Identifier: Apache-2.0
"""Reads the runs of a page: their cells by name, and the lines and histograms of their files.

When a file is missing or broken its chart lacks that cell, and `problems` has the reason.
"""
import csv
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from poolmark.base.errors import RecordError
from poolmark.base.forms import CellData, Json, Row
from poolmark.compare.pairing import stem
from poolmark.records import hlog, raw_data, summary
from poolmark.records.read_record import Run
from poolmark.report.names import Name, names

# Files of a load's or a broker's own record, which has no cells.
OWN_FILES = {"latency": "latency.hlog", "memory": "memory.csv", "steps": "steps.csv", "pools": "pools.csv",
             "events": "events.csv"}
Item = TypeVar("Item")
LATENCIES = ("connect", "delivery", "ack")


@dataclass
class Log:
    """The histograms of one latency in one phase."""

    latency: str                   # connect, delivery, ack
    phase: str                     # its name when several phases publish, else ""
    intervals: list[hlog.Interval]

    @property
    def title(self) -> str:
        return f"{self.latency}, {self.phase}" if self.phase else self.latency


@dataclass
class Source:
    """The runs of a report, and the problems found while reading them."""

    runs: list[Run]
    problems: list[str] = field(default_factory=list)
    damage: dict[str, list[str]] = field(default_factory=dict)  # run's id -> texts about damage
    bad: dict[str, set[str]] = field(default_factory=dict)      # run's id -> damaged files
    unsound: dict[str, str] = field(default_factory=dict)       # run's id -> why no verdict can rest on it; "" when it can

    def __post_init__(self) -> None:
        every = [cell for run in self.runs for cell in cells_of(run)]
        doubtful = {stem(cell["id"]) for cell in every if summary.doubts(cell)}     # others used its target: marked in every chart
        self._names = {key: Name(f"{name.label} ?", name.strategy, name.rest) if key in doubtful else name for key, name in names(every).items()}

    def open(self, run: Run, path: str) -> Path:
        """The path of one of a run's files; RecordError when it is damaged."""
        if path in self.bad.get(run.id, ()):
            raise RecordError(path, "", "is not as it was when the run ended")
        return run.file(path)

    def name(self, run: Run, cell: CellData) -> Name:
        """The cell's name; with several runs, followed by the end of the run's id."""
        name = self._names[stem(cell["id"])]
        if len(self.runs) < 2:
            return name
        mark = run.id[-4:]
        return Name(f"{name.label} ({mark})", name.strategy, f"{name.rest}, {mark}" if name.rest else mark)

    def cells(self) -> Iterator[tuple[Run, CellData, Name]]:
        """All cells."""
        for run in self.runs:
            for cell in cells_of(run):
                yield run, cell, self.name(run, cell)

    def groups(self) -> dict[Name, list[tuple[Run, CellData]]]:
        """The repetitions of each configuration."""
        found: dict[Name, list[tuple[Run, CellData]]] = {}
        for run, cell, name in self.cells():
            found.setdefault(name, []).append((run, cell))
        return found

    def first_cells(self) -> Iterator[tuple[Run, CellData, Name]]:
        """The first repetition of each configuration, for charts over time."""
        for name, group in self.groups().items():
            run, cell = group[0]
            yield run, cell, name

    def problem(self, run: Run, error: Exception) -> None:
        """Adds a problem once, without the path of the run's folder."""
        text = str(error)
        for folder in (run.folder.resolve(), run.folder):
            text = text.replace(f"{folder}/", "")
        if text not in self.problems:
            self.problems.append(text)

    def rows(self, run: Run, cell: CellData, name: str) -> list[Row]:
        """The lines of a cell's CSV file; empty without one."""
        path = cell.get("files", {}).get(name)
        return [] if path is None else self.lines(run, path)

    def lines(self, run: Run, path: str) -> list[Row]:
        """The lines of one of a run's CSV files; empty when it cannot be read."""
        try:
            with open(self.open(run, path), newline="", encoding="utf-8", errors="replace") as file:
                return [row for row in csv.DictReader(file) if None not in row.values()]
        except (RecordError, OSError, csv.Error) as error:
            self.problem(run, error)
            return []

    def logs(self, run: Run, cell: CellData) -> list[Log]:
        """Logs in the order of the tables: connects of the phase that connects, deliveries and acknowledgements of each phase
        that publishes."""
        found: list[Log] = []
        publishing = raw_data.publishing(cell) or [""]
        phases_of = {"connect": [raw_data.phase_of(cell, "connect.p50")], "delivery": publishing, "ack": publishing}
        for phase, _ in raw_data.phases(cell):
            try:
                intervals = hlog.read(self.open(run, cell["files"][f"latency_{phase}" if phase else "latency"]))
            except RecordError as error:
                self.problem(run, error)
                continue
            for latency, phases in phases_of.items():
                ours = [one for one in intervals if one.tag.removesuffix("_uncorrected") == latency and one.histogram.count]
                if ours and phase in phases:
                    found.append(Log(latency, phase if len(phases) > 1 else "", ours))
        return sorted(found, key=lambda log: LATENCIES.index(log.latency))


def cells_of(run: Run) -> list[CellData]:
    """The cells of a record. A record without cells counts as one cell with its existing files."""
    cells = run.data.get("cells", [])
    if cells or run.data["kind"] not in ("load", "broker", "steps"):
        return cells
    files = {key: name for key, name in OWN_FILES.items()
             if name in run.data.get("files", {}) or (run.folder / name).is_file()}
    config = run.data.get("config", {})
    return [{"id": str(config.get("scenario") or run.data["kind"]), "config": {}, "repetition": 1,
             "status": run.data["status"], "commands": [run.data["command"]], "metrics": run.data.get("metrics", {}),
             "files": files, "anomalies": []}]


def number(text: Any) -> float | None:
    """A CSV field as a number; None when it is empty or broken."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if abs(value) < 1e300 else None


def thin_worst(rows: list[Json], most: int, key: str) -> list[Json]:
    """Keeps the row with the highest `key` of each of `most` even parts, so that extremes stay visible."""
    if len(rows) <= most:
        return rows
    parts = [rows[round(at * len(rows) / most):round((at + 1) * len(rows) / most)] for at in range(most)]
    return [max(part, key=lambda row: float(row[key])) for part in parts if part]


def thin(rows: list[Item], most: int) -> list[Item]:
    """Thins rows evenly; the first and the last are kept."""
    if len(rows) <= most:
        return rows
    return [rows[round(at * (len(rows) - 1) / (most - 1))] for at in range(most)]


def values(cells: Sequence[CellData], metric: str) -> list[float]:
    found = [cell["metrics"][metric]["value"] for cell in cells if metric in cell["metrics"]]
    return [value for value in found if value is not None]


def median(cells: Sequence[CellData], metric: str) -> float | None:
    found = values(cells, metric)
    return statistics.median(found) if found else None
