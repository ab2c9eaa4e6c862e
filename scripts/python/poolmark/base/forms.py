# SPDX-License-Identifier: Apache-2.0
"""Types of the data that programs and files bring: rows of CSV, parts of a record.

    def rate(cell: CellData) -> float | None:
        return value_of(cell["metrics"], "connect.rate")

A record's data is a JSON object whose form results/run.schema.json checks when it is read (records/read_record.py). The types of
its parts name the same fields; tests/py/test_forms.py compares them with the schema. They are dictionaries and no classes because a
record may have fields that this version does not know: a reader that writes it again (merge, a comparison's sides) keeps them.
"""
from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, Protocol, TypedDict

Json = dict[str, Any]       # an object of JSON whose fields are not listed here, such as a program's description of itself
Config = dict[str, Any]     # a configuration: texts, numbers, truth values; "phases" of a suite are in it too
Row = dict[str, Any]        # a line of a CSV file: int, or None for an empty field; str in columns of text
Place = tuple[str | int, ...]   # of a value in a TOML file: keys, and indices in arrays of tables


class MetricData(TypedDict):
    value: float | None
    unit: str
    better: str                     # lower, higher or none
    why: NotRequired[str]           # why there is no value
    doubt: NotRequired[str]         # the anomaly by which the value may be disturbed
    samples: NotRequired[list[float]]


Metrics = dict[str, MetricData]


class AnomalyData(TypedDict):
    what: str
    text: str
    at_s: NotRequired[float | None]     # seconds from the start of the run


class PhaseData(TypedDict):
    name: str
    scenario: str
    folder: str                     # below the cell's
    prefix: NotRequired[str]        # of its metrics' names
    several: NotRequired[bool]      # the cell was to have more than one
    limit: NotRequired[str]         # who limited its rate: none, generator, target, host, unknown


class BooksData(TypedDict):
    attempted: int
    measured: int
    lost: int
    failed: int
    not_sent: int
    unreadable: int
    unfinished: int


class FileData(TypedDict):
    sha256: str
    bytes: int


class ToolData(TypedDict):
    version: str
    commit: str
    dirty: bool | None
    compiler: str
    flags: str


class TrialData(TypedDict):
    verdict: str                    # held, failed, limited or nothing
    by: str
    why: list[str]
    had: NotRequired[float | None]
    lost: NotRequired[float | None]
    lag_p99_ns: NotRequired[float | None]
    latencies: NotRequired[Json]
    limit: NotRequired[Json | None]


class AnswerData(TypedDict):
    kind: str                       # limit, at least, below, unclear or nothing
    by: str
    wide: bool
    low_held: NotRequired[int]      # of the trials at or below the interval
    low_tried: NotRequired[int]
    high_failed: NotRequired[int]   # of those at or above it
    high_tried: NotRequired[int]


class EntriesData(TypedDict):
    """How many metrics and anomalies there were at the end."""
    metrics: int
    anomalies: dict[str, int]       # name -> how many


class CellData(TypedDict):
    id: str
    config: Config
    repetition: int
    status: str                     # running, complete, incomplete or failed
    metrics: Metrics
    turn: NotRequired[int]          # where two builds were measured in turn: the run's number on its side
    command: NotRequired[list[str]]
    commands: NotRequired[list[list[str]]]
    phases: NotRequired[list[PhaseData]]
    seconds: NotRequired[float]
    trial: NotRequired[TrialData]
    answer: NotRequired[AnswerData]
    books: NotRequired[dict[str, BooksData]]
    files: NotRequired[dict[str, str]]
    anomalies: NotRequired[list[AnomalyData]]
    entries: NotRequired[EntriesData]
    source: NotRequired[str]        # of a merge: the run that it is of


class SourceData(TypedDict):
    id: str
    sha256: str
    runs: NotRequired[list[str]]    # of a source that is a merge itself: the ids of all runs in it


class RecordData(TypedDict):
    schema: str
    id: str
    kind: str
    status: str
    started_utc: str
    tool: ToolData
    command: list[str]
    host: Json
    suite: NotRequired[str | None]
    comparison: NotRequired[str]
    build: NotRequired[str]
    ended_utc: NotRequired[str | None]
    clock: NotRequired[str | None]      # of broker and generator: "host"
    seed: NotRequired[int | None]
    libraries: NotRequired[dict[str, str | None]]
    config: NotRequired[Config]
    cells: NotRequired[list[CellData]]
    metrics: NotRequired[Metrics]
    books: NotRequired[dict[str, BooksData]]
    summary: NotRequired[Json | None]
    anomalies: NotRequired[list[AnomalyData]]
    counters: NotRequired[dict[str, int]]       # of a broker: what it counted from its start to its end
    ranks: NotRequired[list[Json]]              # of a load over several hosts
    readings: NotRequired[dict[str, int]]
    surroundings: NotRequired[dict[str, dict[str, dict[str, int | None]]]]  # counters of the kernel, at the start and at the end
    target_stops: NotRequired[list[Json]]       # of a load: times in which a watched process stood still
    sources: NotRequired[list[SourceData]]
    entries: NotRequired[EntriesData]
    seal: NotRequired[str]
    files: NotRequired[dict[str, FileData]]
    files_left_out: NotRequired[list[str]]      # folders of ranks that were lost


class Taker(Protocol):
    """Takes the metrics of a cell: a record's Cell, or what `verify` compares with one."""

    @property
    def id(self) -> str: ...

    @property
    def data(self) -> CellData: ...

    def metric(self, name: str, value: float | None, unit: str, better: str = "none",
               samples: Iterable[float | None] | None = None) -> None: ...

    def value(self, name: str) -> float | None: ...

    def anomaly(self, what: str, text: str) -> None: ...


WITHHELD = "withheld: "             # the beginning of `why`: a cell's anomaly took the value away


def sound_value(metrics: Mapping[str, MetricData], name: str) -> float | None:
    """A metric's value; None without one, or when others may have disturbed it."""
    metric = metrics.get(name)
    return None if metric is None or "doubt" in metric else metric.get("value")


def value_of(metrics: Mapping[str, MetricData], name: str) -> float | None:
    """A metric's value; None without one."""
    metric = metrics.get(name)
    return None if metric is None else metric.get("value")
