# SPDX-License-Identifier: Apache-2.0
"""The runs of a page, read: their cells by name, and the lines and histograms of their files.

A file that is not there or is broken leaves its chart without that cell; what was wrong goes to `problems`.
"""
import csv
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from poolmark.base.errors import RecordError
from poolmark.compare.pairing import stem
from poolmark.records import hlog, raw_data
from poolmark.records.read_record import Run
from poolmark.report.names import Name, names

# A load's or a broker's own record has no cells; its files have these names.
OWN_FILES = {"latency": "latency.hlog", "memory": "memory.csv", "steps": "steps.csv", "pools": "pools.csv",
             "events": "events.csv"}
LATENCIES = ("connect", "delivery", "ack")


@dataclass
class Log:
    """The histograms of one latency in one phase."""

    latency: str                   # connect, delivery, ack
    phase: str                     # its name where several publish, else ""
    intervals: list[hlog.Interval]

    @property
    def title(self) -> str:
        return f"{self.latency}, {self.phase}" if self.phase else self.latency


@dataclass
class Source:
    """The runs of a report, and what went wrong in reading them."""

    runs: list[Run]
    problems: list[str] = field(default_factory=list)
    damage: dict[str, list[str]] = field(default_factory=dict)  # run's id -> what is not as recorded
    bad: dict[str, set[str]] = field(default_factory=dict)      # run's id -> files that are not

    def __post_init__(self):
        self._names = names([cell for run in self.runs for cell in cells_of(run)])

    def open(self, run: Run, path: str):
        """The path of one of a run's files; RecordError when it is not as recorded."""
        if path in self.bad.get(run.id, ()):
            raise RecordError(path, "", "is not as it was when the run ended")
        return run.file(path)

    def name(self, run: Run, cell: dict) -> Name:
        """With the end of the run's id where several are on the page."""
        name = self._names[stem(cell["id"])]
        if len(self.runs) < 2:
            return name
        mark = run.id[-4:]
        return Name(f"{name.label} ({mark})", name.strategy, f"{name.rest}, {mark}" if name.rest else mark)

    def cells(self) -> Iterator[tuple[Run, dict, Name]]:
        """Every cell that measured something."""
        for run in self.runs:
            for cell in cells_of(run):
                yield run, cell, self.name(run, cell)

    def groups(self) -> dict[Name, list[tuple[Run, dict]]]:
        """The repetitions of each configuration."""
        found: dict[Name, list[tuple[Run, dict]]] = {}
        for run, cell, name in self.cells():
            found.setdefault(name, []).append((run, cell))
        return found

    def first_cells(self) -> Iterator[tuple[Run, dict, Name]]:
        """The first repetition of each configuration: what charts over time show."""
        for name, group in self.groups().items():
            yield *group[0], name

    def problem(self, run: Run, error: Exception) -> None:
        """Kept once, without the machine's path to the run's folder."""
        text = str(error)
        for folder in (run.folder.resolve(), run.folder):
            text = text.replace(f"{folder}/", "")
        if text not in self.problems:
            self.problems.append(text)

    def rows(self, run: Run, cell: dict, name: str) -> list[dict]:
        """The lines of a cell's CSV file; empty when it has none."""
        path = cell.get("files", {}).get(name)
        if path is None:
            return []
        try:
            with open(self.open(run, path), newline="", encoding="utf-8", errors="replace") as file:
                return [row for row in csv.DictReader(file) if None not in row.values()]
        except (RecordError, OSError, csv.Error) as error:
            self.problem(run, error)
            return []

    def logs(self, run: Run, cell: dict) -> list[Log]:
        """As the tables have them: connects of the phase that connects, deliveries and acknowledgements of each phase that
        publishes."""
        publishing, found = raw_data.publishing(cell) or [""], []
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


def cells_of(run: Run) -> list[dict]:
    """The cells of a record; of one without any, the record itself as one, with the files that are there."""
    cells = run.data.get("cells", [])
    if cells or run.data["kind"] not in ("load", "broker", "steps"):
        return cells
    files = {key: name for key, name in OWN_FILES.items()
             if name in run.data.get("files", {}) or (run.folder / name).is_file()}
    config = run.data.get("config", {})
    return [{"id": str(config.get("scenario") or run.data["kind"]), "config": {}, "repetition": 1,
             "status": run.data["status"], "commands": [run.data["command"]], "metrics": run.data.get("metrics", {}),
             "files": files, "anomalies": []}]


def number(text) -> float | None:
    """A CSV field as a number; None for an empty or a broken one."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if abs(value) < 1e300 else None


def thin(rows: list, most: int) -> list:
    """Evenly thinned, first and last kept."""
    if len(rows) <= most:
        return rows
    return [rows[round(at * (len(rows) - 1) / (most - 1))] for at in range(most)]


def values(cells: list[dict], metric: str) -> list[float]:
    found = [cell["metrics"][metric]["value"] for cell in cells if metric in cell["metrics"]]
    return [value for value in found if value is not None]


def median(cells: list[dict], metric: str) -> float | None:
    found = values(cells, metric)
    return statistics.median(found) if found else None
