# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark merge RUN... --out DIR: joins runs of one suite into one record.

Cells of one configuration become its repetitions, numbered through all runs. Files are copied; the record names the sources and
their checksums. Runs of different hosts or builds are refused unless that difference is allowed by name.
"""
import argparse
import re
import shutil
from pathlib import Path

from poolmark.facts.comparable import host_differences, host_fact, in_words
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import CellData, Config, RecordData, SourceData
from poolmark.base.paths import for_people
from poolmark.base.table import clean
from poolmark.records import lineage
from poolmark.records.read_record import Run, load
from poolmark.records.record import Record, sha256
from poolmark.base.units import plural
from poolmark.verify.complaints import damage

BUILD_FACTS = ("version", "commit", "dirty", "compiler", "flags")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, or an id; two or more")
    parser.add_argument("--out", metavar="DIR", help="the folder to make (results/runs/ID)")
    parser.add_argument("--allow-different", action="append", default=[], choices=("host", "build"),
                        help="join all the same when hosts, or builds, differ; the record says so")


def differences(first: RecordData, other: RecordData) -> dict[str, list[str]]:
    """The facts of host and build that differ between two records."""
    ours, theirs = first.get("libraries", {}), other.get("libraries", {})
    return {
        "host": [key for key, _, _ in host_differences(first["host"], other["host"])],
        "build": [*[key for key in BUILD_FACTS if first["tool"].get(key) != other["tool"].get(key)],
                  *(f"libraries.{key}" for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key))],
    }


def fact(run: RecordData, part: str, key: str) -> object:
    library = key.removeprefix("libraries.")
    if library != key:
        return run.get("libraries", {}).get(library)
    return host_fact(run["host"], key) if part == "host" else run["tool"].get(key)


def check_configs(runs: list[Run]) -> None:
    """UsageError when cells of one name have different configurations: they would count as repetitions of one."""
    known: dict[str, tuple[str, Config]] = {}
    for run in runs:
        for cell in run.data.get("cells", []):
            stem = re.sub(r"\.\d+$", "", cell["id"])
            first, config = known.setdefault(stem, (run.id, cell["config"]))
            differ = [key for key in {*config, *cell["config"]} if config.get(key) != cell["config"].get(key)]
            if differ:
                key = min(differ)
                raise UsageError(f"{stem}: {first} has {key} {in_words(config.get(key))}, {run.id} has {in_words(cell['config'].get(key))}: "
                                 "these are no repetitions of one configuration")


def check_same(runs: list[Run], allowed: list[str]) -> list[str]:
    """Notes on allowed differences; UsageError for any other."""
    notes: list[str] = []
    first = runs[0].data
    if first["kind"] == "limit":
        raise UsageError(f"{first['id']} is a search for the highest rate: each trial followed from those before it, and trials of two searches "
                         "are not joined")
    for run in runs[1:]:
        if run.data.get("suite") != first.get("suite"):
            raise UsageError(f"{run.id} is of suite {run.data.get('suite')!r}, {first['id']} of {first.get('suite')!r}; "
                             "only runs of one suite are joined")
        for what, keys in differences(first, run.data).items():
            if keys and what not in allowed:
                part = "host" if what == "host" else "tool"
                shown = "; ".join(f"{key}: {in_words(fact(first, part, key))} and {in_words(fact(run.data, part, key))}" for key in keys)
                raise UsageError(f"{first['id']} and {run.id} have different {what}s ({shown}); "
                                 f"--allow-different {what} joins them all the same")
            notes += [f"{what} differs between {first['id']} and {run.id}: {key}" for key in keys]
    return notes


def check_whole(runs: list[Run]) -> None:
    """UsageError for an edited record: the joined record gets a seal of its own, so the edit would look as measured."""
    for run in runs:
        if told := damage(run):
            raise UsageError(f"{clean(told)}; it is not joined")


def check_once(runs: list[Run]) -> None:
    """UsageError for a run that several of them have, by itself or in a merge: its cells would count as further repetitions."""
    if told := lineage.counted_twice([run.data for run in runs]):
        raise UsageError(f"{clean(told)}; its cells would count twice")


def source_of(run: Run) -> SourceData:
    made: SourceData = {"id": run.id, "sha256": sha256(run.folder / "run.json")}
    if "sources" in run.data:
        made["runs"] = [way[-1] for way in lineage.ways(run.data)]
    return made


def copy_cell(record: Record, run: Run, cell: CellData, repetition: int) -> None:
    stem = re.sub(r"\.\d+$", "", cell["id"])
    made = record.cell(f"{stem}.{repetition}", cell["config"], repetition)
    made.data["commands"], made.data["metrics"], made.data["status"] = cell.get("commands", []), cell["metrics"], cell["status"]
    made.data["anomalies"], made.data["source"] = cell.get("anomalies", []), cell.get("source", run.id) if "sources" in run.data else run.id
    if "phases" in cell:
        made.data["phases"] = cell["phases"]
    old = f"cells/{cell['id']}/"
    for name in run.data.get("files", {}):
        if name.startswith(old):
            target = made.folder / name.removeprefix(old)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.file(name), target)
    made.data["files"] = {key: f"cells/{made.id}/{name.removeprefix(old)}"
                          for key, name in cell.get("files", {}).items() if name.startswith(old)}


def merge(runs: list[Run], record: Record) -> None:
    counts: dict[str, int] = {}
    for run in runs:
        for cell in run.data.get("cells", []):
            stem = re.sub(r"\.\d+$", "", cell["id"])
            counts[stem] = counts.get(stem, 0) + 1
            copy_cell(record, run, cell, counts[stem])
        for anomaly in run.data.get("anomalies", []):
            record.anomaly(anomaly["what"], f"{run.id}: {anomaly['text']}")


def run(args: argparse.Namespace) -> int:
    if len(args.runs) < 2:
        raise UsageError("one run is nothing to join; name two or more")
    runs = [load(where) for where in args.runs]
    if len({run.id for run in runs}) < len(runs):
        raise UsageError("a run was named twice; its cells would count twice")
    check_once(runs)
    check_whole(runs)
    notes = check_same(runs, args.allow_different)
    check_configs(runs)
    first = runs[0].data
    record = Record.create("merge", suite=first.get("suite"), folder=args.out, seed=first.get("seed"),
                           config=first.get("config"))
    record.data["tool"], record.data["host"], record.data["libraries"] = first["tool"], first["host"], first.get("libraries", {})
    record.data["sources"] = [source_of(run) for run in runs]
    for note in notes:
        record.anomaly("different", note)
    try:
        merge(runs, record)
    except (OSError, PoolmarkError) as error:
        record.anomaly("merge", str(error))
        record.close("incomplete")
        raise PoolmarkError(f"{for_people(record.folder)}: incomplete: {error}") from error
    worst = max((run.data["status"] for run in runs), key=("complete", "incomplete", "running", "failed").index)
    record.close("incomplete" if worst == "running" else worst)
    print(f"{for_people(Path(record.folder))}: {plural(len(record.data['cells']), 'cell')} of {len(runs)} runs")
    return 0
