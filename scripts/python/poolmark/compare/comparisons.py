# SPDX-License-Identifier: Apache-2.0
"""The comparisons of an experiment of `sensitivity`: a line of comparisons.jsonl for each.

    results = read(folder / STATE)      # kind of comparison -> its comparisons
    file.write(line(one))
"""
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from poolmark.records.read_record import parse
from poolmark.records.typed import made

STATE = "comparisons.jsonl"


@dataclass(frozen=True)
class Row:
    """What verdict.json says of a metric; a number is None where it is not finite."""

    cell: str
    metric: str
    role: str
    verdict: str
    change: float | None
    low: float | None
    high: float | None
    difference: float | None
    q: float | None
    finds: float | None


@dataclass(frozen=True)
class Told:
    """What is read of a verdict.json."""

    metrics: tuple[Row, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    trial: str
    variables: tuple[str, ...]      # make variables of the candidate
    exit_code: int
    right: bool                     # it is the exit code that is wanted
    seconds: float
    reasons: tuple[str, ...]
    rows: tuple[Row, ...]
    commit: str


Results = dict[str, list[Comparison]]


def told(path: Path) -> Told:
    return made(Told, parse(path.read_text(encoding="utf-8"), path), path)


def read(path: Path) -> Results:
    """A last line that was cut off does not count. RecordError for any other line that is no comparison."""
    results: Results = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
        name = f"{path}, line {number}"
        one = made(Comparison, parse(text, name), name)
        results.setdefault(one.trial, []).append(one)
    return results


def line(one: Comparison) -> str:
    return json.dumps(dataclasses.asdict(one)) + "\n"
