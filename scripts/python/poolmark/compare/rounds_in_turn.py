# SPDX-License-Identifier: Apache-2.0
"""Rounds of benchmarks that `bench --beside` measured on two builds in turn, as repetitions of a comparison.

The i-th round of the one build was measured beside the i-th of the other. Rounds of several runs of `bench` follow one another.
"""
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from poolmark.base.forms import CellData, Config, MetricData, RecordData
from poolmark.base.units import whole
from poolmark.bench.bench_statistics import known
from poolmark.bench.full_speed import IN_TURN
from poolmark.bench.in_turn import BLOCK, SIDES
from poolmark.records.read_record import Run
from poolmark.records.record import Cell, Record

FAILED = ("skipped", "report", "process")   # anomalies of a cell, one for each round without a figure
ROUND = "round_"
EACH = "rounds_each"    # in the configuration: the rounds of each run of bench that was joined


def are(base: RecordData, candidate: RecordData) -> bool:
    """Whether the rounds of these two records were measured in turn with one another."""
    return (isinstance(base.get("comparison"), str) and base["comparison"] == candidate.get("comparison")
            and all(run.get("config", {}).get("windows") == IN_TURN for run in (base, candidate)))


def rounds_of(cell: CellData) -> list[float]:
    """1 for each round without a figure, 0 for each with one."""
    failed = sum(one["what"] in FAILED for one in cell.get("anomalies", []))
    return [1.0] * failed + [0.0] * max((len(one.get("samples", [])) for one in cell["metrics"].values()), default=0)


def count_of(pairs: Sequence[Mapping[str, Run]]) -> int:
    """Rounds that both builds have of each benchmark that was begun."""
    return sum(min((rounds_of(cell).count(0.0) for run in pair.values() for cell in run.data["cells"]), default=0) for pair in pairs)


def config_of(runs: Sequence[Run]) -> Config:
    each = [int(run.data["config"]["rounds"]) for run in runs]
    return {"windows": IN_TURN, "rounds": sum(each), EACH: each} if runs else {}


def turns(record: RecordData, count: int) -> list[int]:
    """The turn of each of so many rounds. Those of a run begin a block (blocks.py): two looks of --until-sure may be minutes apart, where
    suites are measured between them."""
    each = record.get("config", {}).get(EACH)
    if not isinstance(each, list) or sum(rounds for rounds in each if isinstance(rounds, int)) != count:
        return list(range(count))   # a round without a figure, or a record that does not say: neighbours all the same
    made: list[int] = []
    for rounds in each:
        start = (made[-1] // BLOCK + 1) * BLOCK if made else 0
        made += range(start, start + rounds)
    return made


def command_of(run: Run) -> list[str]:
    """The command with this build alone: --beside is of the other, or is this one."""
    words, other = list(run.data.get("command", [])), None
    if "--beside" in words[:-1]:
        at = words.index("--beside")
        other, words = words[at + 1], words[:at] + words[at + 2:]
    if other and run.home.name == SIDES[1] and "--build" in words[:-1]:
        words[words.index("--build") + 1] = other
    return words


def join(record: Record, runs: Sequence[Run], copy: Callable[[Run, CellData], Path]) -> None:
    """Makes one cell of each benchmark, with the rounds of all runs. `copy` copies a cell's files and says where to."""
    cells: dict[str, Cell] = {}
    before: dict[str, int] = {}     # rounds of the runs so far
    for run in runs:
        for cell in run.data["cells"]:
            made = cells.get(cell["id"])
            if made is None:
                made = cells[cell["id"]] = record.cell(cell["id"], cell["config"])
                made.data["status"], made.data["source"], made.data["command"] = cell["status"], run.id, command_of(run)
            elif cell["status"] != "complete":
                made.data["status"] = cell["status"]
            made.data["commands"] += cell.get("commands", [])
            made.data["anomalies"] += cell.get("anomalies", [])
            add_samples(made, cell["metrics"])
            raw, done = copy(run, cell), before.get(cell["id"], 0)
            for key, name in cell.get("files", {}).items():
                number = whole(key.removeprefix(ROUND))
                made.data["files"].setdefault(key if number is None else f"{ROUND}{done + number}", (raw / name).as_posix())
            before[cell["id"]] = done + int(run.data["config"]["rounds"])


def add_samples(made: Cell, metrics: Mapping[str, MetricData]) -> None:
    for name, one in metrics.items():
        had = made.data["metrics"].get(name)
        samples = [*(had["samples"] if had else []), *one.get("samples", [])]
        made.metric(name, known(samples).median, one["unit"], one["better"], samples)
