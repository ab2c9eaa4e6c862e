# SPDX-License-Identifier: Apache-2.0
"""The text of a page below its answer: tables, anomalies, facts, the citation. It is plain text; the templates escape it."""
from dataclasses import dataclass

from poolmark.base.escape import terminal as plain
from poolmark.base.forms import CellData, Metrics
from poolmark.base.units import show, show_ns
from poolmark.records import accounts, beside, summary
from poolmark.records.read_record import Run
from poolmark.records.record import sha256
from poolmark.report import apart, ranks_data
from poolmark.report.answer import beforehand, loads_of
from poolmark.report.bench_answer import FLOORS
from poolmark.report.names import Name
from poolmark.report.source import Source, median
from poolmark.report.trade_data import bench_contender, benchmark

EACH = "memory.per_connection_"     # beginning of metrics that a strategy which takes its memory at the start is not compared in
TITLES = {"bench": "Micro-benchmarks: what they show", "load": "A load: what it met", "broker": "A broker: what it did",
          "nightly": "A night: what it shows"}


def title(run: Run) -> str:
    kind, suite = run.data["kind"], run.data.get("suite")
    return TITLES.get(kind) or (f"Suite {suite}: what it shows" if suite else f"Run ({kind}): what it shows")


@dataclass(frozen=True)
class Field:
    """A field of a table: its text, and whether it is the best in its row."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """One table of a run's page."""

    title: str      # what its load is, where a run has several; otherwise ""
    heads: list[str]
    rows: list[list[Field]]


def _groups(source: Source, run: Run) -> dict[Name, list[CellData]]:
    groups: dict[Name, list[CellData]] = {}
    for cell in run.data.get("cells", []):
        groups.setdefault(source.name(run, cell), []).append(cell)
    return groups


def _by_load(source: Source, run: Run) -> dict[str, dict[Name, list[CellData]]]:
    """A table's columns, for each load of which strategies are compared; what is best of one is not best of another."""
    groups = _groups(source, run)
    loads = loads_of(groups)
    return loads if len(loads) > 1 else {"": groups}


def _is_compared(cells: list[CellData], metric: str) -> bool:
    """Not: figures that others may have made, and memory of one more connection where the memory was there before all of them."""
    before, each, _ = metric.partition(EACH)
    return not any("doubt" in cell["metrics"].get(metric, ()) for cell in cells) and not (each and beforehand(cells, before))


def _best(groups: dict[Name, list[CellData]], metric: str, better: str) -> set[Name]:
    """The best of the configurations that differ in nothing but the strategy, and what is not told apart from it."""
    loads: dict[str, dict[Name, list[CellData]]] = {}
    for name, cells in groups.items():
        if _is_compared(cells, metric):
            loads.setdefault(name.rest, {})[name] = cells
    return set().union(*(apart.best(part, metric, better) for part in loads.values()))


def _suite_table(groups: dict[Name, list[CellData]]) -> tuple[list[str], list[list[Field]]]:
    """Rows and order of the suite's own table; a column for each configuration."""
    every = [cell for cells in groups.values() for cell in cells]
    rows: list[list[Field]] = []
    for label, metric in summary.by_phase([row for label, name in summary.ROWS for row in summary.chosen(every, label, name)]):
        one = next((cell["metrics"][metric] for cell in every if metric in cell["metrics"]), None)
        if one is None or not summary.is_shown(every, metric):
            continue
        best, unit = _best(groups, metric, one["better"]), one["unit"]
        rows.append([Field(label), *(Field(summary.marked(show(median(cells, metric), unit), cells, metric), name in best)
                                     for name, cells in groups.items())])
    by_label = {str(number): cells for number, cells in enumerate(groups.values())}
    rows += [[Field(text) for text in line] for line in summary.limit_rows(by_label)]
    return ["", *(name.label for name in groups)], rows


def _is_bench(run: Run) -> bool:
    cells = run.data.get("cells", [])
    return bool(cells) and (run.data["kind"] == "bench" or all("workload" in cell["config"] for cell in cells))


def _limits(run: Run) -> list[list[Field]]:
    """Who limited the rates of a generator's run."""
    told = run.data.get("summary") or {}
    limits = told.get("limits") or ({"messages": told["limit"]} if told.get("limit") else {})
    return [[Field(f"limit of {name}"), Field(f"{one['by']}: {one['why']}")] for name, one in limits.items()]


def tables(source: Source, run: Run) -> list[Table]:
    """The printed table of a suite, one for each load where it has several; a row for each benchmark; otherwise all metrics."""
    cells = run.data.get("cells", [])
    if not cells:
        rows = [[Field(name), Field("-" if one["value"] is None else show(one["value"], one["unit"]) + (" ?" if "doubt" in one else ""))]
                for name, one in run.data.get("metrics", {}).items()]
        return [Table("", ["metric", "value"], rows + _limits(run))]
    if _is_bench(run):
        return [Table("", *_bench_table(cells))]
    if beside.asked(run.data):
        return [Table("", *_two_sides(run))]
    return [Table(load, *_suite_table(groups)) for load, groups in _by_load(source, run).items()]


def _two_sides(run: Run) -> tuple[list[str], list[list[Field]]]:
    """A row for each figure; a side that is better in every ratio is marked. The reasons of empty rows are notes()."""
    head, rows = beside.shown(run.data)
    better = [line.won_by() for line in beside.lines(run.data)]
    return head, [[Field(text, side is not None and at == 1 + side) for at, text in enumerate(row)]
                  for row, side in zip(beside.shortened(rows)[0], better, strict=True)]


def notes(source: Source, run: Run) -> list[str]:
    """What stands below the tables of a run."""
    if beside.asked(run.data):
        return [*beside.shortened(beside.shown(run.data)[1])[1], *beside.remarks(run.data),
                "Bold: better by every ratio of two runs. Cells with a ! are not complete."]
    shown = [field for table in tables(source, run) for row in table.rows for field in row]
    if not any(field.best for field in shown):
        return []
    if _is_bench(run):
        return [f"Bold: the fastest of its row. Not compared, as floors: {', '.join(FLOORS)}. Medians of all rounds."]
    before = [name.label for name, cells in _groups(source, run).items() if any(
        beforehand(cells, metric.partition(EACH)[0]) for metric in cells[0]["metrics"] if EACH in metric)]
    return ["Bold: the best of its row, of configurations that differ in the strategy alone, and what is not told apart from it: with one run "
            "each, times and rates within a fifth, memory within a hundredth; with several, those whose ranges overlap. Medians where a "
            "configuration ran several times.",
            *([f"Memory per connection is what connections add to the memory at the start. Not compared in it, since they have theirs before: "
               f"{', '.join(before)}."] if before else [])]


def account_tables(source: Source, run: Run) -> list[Table]:
    """User memory by account, a column for each configuration's first run. None of a run with two sides: its configurations are of many
    scenarios."""
    found: list[Table] = []
    for load, groups in ({} if beside.asked(run.data) else _by_load(source, run)).items():
        columns: dict[str, Metrics] = {name.label: cells[0]["metrics"] for name, cells in groups.items() if accounts.has(cells[0]["metrics"])}
        if columns:
            head, rows = accounts.comparison(columns)
            found.append(Table(load, head, [[Field(text) for text in row] for row in rows]))
    return found


def ranks_table(run: Run) -> list[Table]:
    """A row for each rank of a load over several hosts."""
    head, rows = ranks_data.table(run.data)
    return [Table("", head, [[Field(text) for text in row] for row in rows])] if rows else []


def _bench_table(cells: list[CellData]) -> tuple[list[str], list[list[Field]]]:
    """A row for each benchmark, a column for each contender."""
    contenders: dict[str, bool] = {}        # -> whether it is a floor
    lines: dict[str, dict[str, float]] = {}
    for cell in cells:
        name, one = bench_contender(cell["config"]), cell["metrics"].get("time")
        contenders.setdefault(name, cell["config"].get("strategy") in FLOORS)
        line = lines.setdefault(benchmark(cell["config"]), {})
        if one and one["value"] is not None:
            line[name] = one["value"]
    heads = sorted(contenders, key=lambda name: (not contenders[name], " on " in name or name == "malloc", name))
    rows = []
    for name, found in sorted(lines.items()):
        times = [time for head, time in found.items() if not contenders[head]]
        best = min(times) if len(set(times)) > 1 else None
        rows.append([Field(name), *(Field(_time(found[head]), found[head] == best and not contenders[head]) if head in found else Field("-")
                                    for head in heads)])
    return ["benchmark, time of an operation", *heads], rows


def _time(ns: float) -> str:
    """With three digits below 1 us too, where the whole ns of other tables would make different times equal."""
    return f"{ns:.3g} ns" if ns < 999.5 else show_ns(ns)


def anomalies(run: Run) -> list[str]:
    found = [f"{one['what']}: {one['text']}" for one in run.data.get("anomalies", [])]
    for cell in run.data.get("cells", []):
        found += [f"{cell['id']}: {one['what']}: {one['text']}" for one in cell.get("anomalies", [])]
    return found


def facts(run: Run) -> list[tuple[str, str]]:
    """All facts that a figure depends on, as name and value."""
    data = run.data
    found: list[tuple[str, str]] = []

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{prefix}.{key}" if prefix else key, item)
        else:
            text = " ".join(map(str, value)) if isinstance(value, list) else "unknown" if value is None else str(value)
            found.append((prefix, text))

    for key in ("id", "kind", "suite", "status", "started_utc", "ended_utc", "seed", "tool", "host", "libraries", "config"):
        add(key, data.get(key))
    add("command", " ".join(data["command"]))
    return found


def cite(run: Run) -> dict[str, str]:
    data = run.data
    version = plain(str(data["tool"]["version"])).replace("`", "'")  # the text stands within a fence of Markdown
    checksum = sha256(run.folder / "run.json")
    commit = data["tool"]["commit"] + {True: " (dirty)", False: "", None: " (dirty or not: unknown)"}[data["tool"]["dirty"]]
    text = (f"Poolmark {version}, run {data['id']}, {data['started_utc']}, commit {commit}, "
             f"SHA-256 of run.json {checksum}.")
    key = data["id"].replace("-", "_")
    bibtex = (f"@misc{{{key},\n  title = {{Poolmark run {data['id']}}},\n  howpublished = {{Poolmark "
              f"{version}, commit {commit}}},\n  year = {{{data['started_utc'][:4]}}},\n"
              f"  note = {{{data['started_utc']}; SHA-256 of run.json: {checksum}}}\n}}")
    return {"id": data["id"], "date": data["started_utc"], "commit": commit, "checksum": checksum, "plain": text,
            "bibtex": bibtex}
