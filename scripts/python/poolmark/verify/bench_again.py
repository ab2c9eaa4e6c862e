# SPDX-License-Identifier: Apache-2.0
"""The tables and headlines of a benchmark record, from its rounds.

    results_of(run)        all series, as the run had them at its end; None when the rounds are not there
    documents(run)         {"bench.md": text, "bench.csv": text}; without rounds only what the record's own samples give
    account(run, account)  compares summary.headlines

The cells are checked by recompute.bench_account.
"""
from poolmark.base.errors import RecordError
from poolmark.base.forms import CellData
from poolmark.base.table import csv_text
from poolmark.base.units import whole
from poolmark.bench import bench_plan, bench_report, bench_tables
from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_headlines import headlines
from poolmark.bench.bench_plan import Bench, Contender, Group
from poolmark.bench.bench_results import Results, Series
from poolmark.bench.full_speed import Speed
from poolmark.records.read_record import Run
from poolmark.verify.account import ABSENT, Account

ROUND = "round_"
# Ratios take the same round of two contenders, which a record's samples do not tell.
WITHOUT_ROUNDS = [column for column in bench_tables.CSV_HEAD if not column.startswith("ratio_")]
PARTS = {"median": "median", "q1": "q1", "q3": "q3", "low": "sure_low", "high": "sure_high", "confidence": "confidence", "rounds": "count"}


def _bench(cell: CellData) -> Bench:
    workload, name, size, threads, in_name = bench_plan.parse_name(cell["id"].rpartition(".")[0])
    # The allocator's name in the record is the contender's own, so any text but "glibc" gives it back.
    return Bench(workload, Contender(name, str(cell["config"]["strategy"]), str(cell["config"]["allocator"])), size, threads, in_name)


def _rounds(cell: CellData) -> dict[int, str]:
    return {number: path for key, path in cell.get("files", {}).items()
            if key.startswith(ROUND) and (number := whole(key[len(ROUND):])) is not None}


def add_rounds(run: Run, cell: CellData, series: Series) -> None:
    """Adds the rounds of a cell to its series. The name in a report is not checked here, only its figures."""
    for number, path in _rounds(cell).items():
        data = bench_report.read_json(run.file(path))
        series.add(number, bench_report.figures(run.folder / path, data, data["benchmarks"][0]["name"]))


def planned_of(run: Run) -> dict[Group, list[str]] | None:
    """Group -> all its contenders, of a run that measured only a part of them."""
    told = (run.data.get("summary") or {}).get("planned")
    if not isinstance(told, list):
        return None
    return {(one["workload"], one["bytes"], one["threads"]): list(one["contenders"]) for one in told}


def has_rounds(run: Run) -> bool:
    """Whether every round that the record lists is there. Of a run without any there is nothing to compute."""
    paths = [path for cell in run.data.get("cells", []) for path in _rounds(cell).values()]
    return bool(paths) and all((run.folder / path).is_file() for path in paths)


def results_of(run: Run) -> Results | None:
    if not has_rounds(run):
        return None
    benches = [_bench(cell) for cell in run.data["cells"]]
    results = Results(benches, speed=Speed.of(run.data))
    results.interrupted = any(one["what"] == "interrupted" for one in run.data.get("anomalies", []))
    results.planned = planned_of(run) or results.planned
    for cell, bench in zip(run.data["cells"], benches, strict=True):
        try:
            add_rounds(run, cell, results.series[bench.name])
        except bench_report.NoFigure as error:
            raise RecordError(run.folder / "cells" / cell["id"], "", str(error)) from error
    return results


def _samples_csv(run: Run) -> str:
    """bench.csv as far as the samples in run.json give it."""
    rows = []
    for cell in run.data["cells"]:
        bench = _bench(cell)
        for name, one in cell["metrics"].items():
            found = statistics.spread(one.get("samples") or ([] if one["value"] is None else [one["value"]]))
            if found is not None:
                row = dict(zip(bench_tables.CSV_HEAD, bench_tables.csv_row(bench, name, found, ["", ""]), strict=True))
                rows.append([row[column] for column in WITHOUT_ROUNDS])
    return csv_text(WITHOUT_ROUNDS if rows else bench_tables.CSV_HEAD, rows)


def documents(run: Run) -> dict[str, str]:
    results = results_of(run)
    if results is None:
        return {"bench.csv": _samples_csv(run)}
    return {"bench.md": bench_tables.markdown(results, run.data), "bench.csv": csv_text(bench_tables.CSV_HEAD, bench_tables.csv_rows(results))}


def account(run: Run, account: Account) -> None:
    told = (run.data.get("summary") or {}).get("headlines") or []
    results = results_of(run) if told else None
    found = {one.name: one.value for one in headlines(results)} if results else {}
    for one in told:
        if results is None:
            account.leave(ABSENT, f"headline {one['name']}")
        elif (value := found.get(one["name"])) is None:
            account.wrong.append(f"headline {one['name']}: the record has it, its files do not give it")
        else:
            for key, part in PARTS.items():
                account.compare(f"headline {one['name']}: ", key, one.get(key), [getattr(value, part)])
