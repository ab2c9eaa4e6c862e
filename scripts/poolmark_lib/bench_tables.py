# SPDX-License-Identifier: Apache-2.0
"""Tables of a benchmark run: for the terminal, bench.md and bench.csv."""
from pathlib import Path

from poolmark_lib import bench_statistics as statistics
from poolmark_lib.bench_headlines import Headline, headlines
from poolmark_lib.bench_plan import FLOOR
from poolmark_lib.bench_report import unit_of
from poolmark_lib.bench_results import TIME, Results, Series
from poolmark_lib.table import csv_text, markdown_table, text_table

TIME_HEAD = ["workload", "contender", "median ns", "quartiles", "x malloc", "x null"]
CSV_HEAD = ["benchmark", "workload", "contender", "strategy", "allocator", "object_bytes", "threads", "metric", "unit",
            "repetitions", "median", "q1", "q3", "mad", "lowest", "highest", "ratio_to_malloc", "ratio_to_null"]

# Tables of counters: (title, workloads, [(column, counter, divisor)]).
COUNTER_TABLES = (
    ("The time of each get while the pool grows or shrinks, and page faults of the thread that gets",
     ("grow", "shrink"),
     [("p50 ns", "p50_ns", 1), ("p99 ns", "p99_ns", 1), ("p99.9 ns", "p99_9_ns", 1), ("p99.99 ns", "p99_99_ns", 1),
      ("p99.999 ns", "p99_999_ns", 1), ("longest us", "longest_ns", 1e3), ("preempted", "preempted", 1),
      ("faults in gets", "faults_get", 1),
      ("faults later", "faults_touch", 1), ("faults", "faults", 1), ("expansions", "expansions", 1),
      ("shrinks", "shrinks", 1)]),
    ("Memory around a storm of 20 000 objects",
     ("blowup", "blowup_sparse", "blowup_10s", "blowup_sparse_10s"),
     [("before MiB", "before_bytes", 1 << 20), ("peak MiB", "peak_bytes", 1 << 20), ("growth / live", "peak_ratio", 1),
      ("0 s / before", "after_0s_ratio", 1), ("1 s / before", "after_1s_ratio", 1),
      ("10 s / before", "after_10s_ratio", 1)]),
    ("The first touch of objects of a pool just opened",
     ("cold", "cold_preheated", "cold_untouched", "cold_huge", "cold_preheated_huge"),
     [("touch ns", TIME, 1), ("faults each", "faults_each", 1), ("open us", "open_ns", 1e3),
      ("huge MiB", "huge_bytes", 1 << 20)]),
)


def show(value: float | None) -> str:
    """About three digits, without exponents."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def show_spread(found: statistics.Spread | None) -> str:
    return f"{show(found.q1)} - {show(found.q3)}" if found else "-"


def label(series: Series) -> str:
    bench = series.bench
    return f"{bench.workload}/{bench.bytes}" + (f"/threads:{bench.threads}" if bench.threads > 1 else "")


def ratio_to(results: Results, series: Series, contender: str, metric: str = TIME) -> statistics.Spread | None:
    other = results.find(series.bench.workload, contender, series.bench.bytes, series.bench.threads)
    return statistics.ratio(series.of(metric), other.of(metric)) if other else None


def time_rows(results: Results) -> list[list[str]]:
    """Each group's contenders, the fastest first."""
    rows = []
    for group in results.groups().values():
        measured = sorted((series for series in group if series.of()), key=lambda series: series.spread().median)
        for series in measured:
            found = series.spread()
            rows.append([label(series), series.bench.contender.name, show(found.median), show_spread(found),
                         *(show(other.median if other else None) for other in
                           (ratio_to(results, series, "malloc"), ratio_to(results, series, FLOOR)))])
    return rows


def counter_table(results: Results, workloads, columns) -> tuple[list[str], list[list[str]]] | None:
    """Columns that nobody has a figure for are left out; None when there is no row."""
    chosen = [series for series in results.series.values() if series.bench.workload in workloads and series.of()]
    columns = [column for column in columns if any(series.of(column[1]) for series in chosen)]
    rows = []
    for series in chosen:
        found = [series.spread(counter) for _, counter, _ in columns]
        rows.append([label(series), series.bench.contender.name,
                     *(show(one.median / divisor if one else None) for one, (_, _, divisor) in
                       zip(found, columns, strict=True))])
    return (["workload", "contender", *(name for name, _, _ in columns)], rows) if rows else None


def headline_rows(found: list[Headline], only_measured: bool = False) -> list[list[str]]:
    rows = []
    for one in found:
        if only_measured and not one.value:
            continue
        unit = f" {one.unit}" if one.unit else ""
        value = f"{show(one.value.median)}{unit}" if one.value else "not measured"
        rows.append([one.name, value, show_spread(one.value), one.target, one.note])
    return rows


HEADLINE_HEAD = ["headline", "median", "quartiles", "aim", ""]


def with_gaps(table: str, rows: list[list[str]]) -> str:
    """A blank line where the first column changes."""
    lines = table.splitlines()
    out = lines[:2]
    for number, line in enumerate(lines[2:]):
        if number and rows[number][0] != rows[number - 1][0]:
            out.append("")
        out.append(line)
    return "\n".join(out)


def terminal(results: Results, filtered: bool = False) -> str:
    """`filtered`: not all was asked for, so headlines without a figure say nothing and are left out."""
    parts = []
    rows = time_rows(results)
    if rows:
        parts.append(with_gaps(text_table(TIME_HEAD, rows, "llrrrr"), rows))
    for title, workloads, columns in COUNTER_TABLES:
        table = counter_table(results, workloads, columns)
        if table:
            parts.append(f"{title}\n{text_table(*table, 'll' + 'r' * (len(table[0]) - 2))}")
    rows = headline_rows(headlines(results), filtered)
    if rows:
        parts.append(text_table(HEADLINE_HEAD, rows, "lrrll"))
    return "\n\n".join(parts)


def markdown(results: Results, data: dict) -> str:
    tool, host = data["tool"], data["host"]
    changed = ", with changes" if tool["dirty"] else ""
    rows = headline_rows(headlines(results), bool(data["config"].get("filter")))
    parts = [
        "# Benchmarks", f"Run {data['id']}, status {data['status']}. Commit {tool['commit']}{changed}, "
        f"{tool['compiler']}, {tool['flags']}. {host['cores']} x {host['cpu_model']}, kernel {host['kernel']}.",
        "Medians over repetitions in random order, each its own process; quartiles beside them; a ratio is the median "
        "of the ratios of single rounds. An operation is a get and its put where nothing else is said."
        + (f" What ran at the processor's full speed counts ({data['summary']['step_ns']:.4g} ns an addition); the host's own "
           "slower spells do not." if data.get("summary", {}).get("step_ns") else ""),
        *(["## Headlines", markdown_table(HEADLINE_HEAD, rows, "lrrll")] if rows else []), "## Time",
        markdown_table(TIME_HEAD, time_rows(results), "llrrrr")]
    for title, workloads, columns in COUNTER_TABLES:
        table = counter_table(results, workloads, columns)
        if table:
            parts += [f"## {title}", markdown_table(*table, "ll" + "r" * (len(table[0]) - 2))]
    if data["anomalies"]:
        parts += ["## Anomalies", "\n".join(f"- {one['what']}: {one['text']}" for one in data["anomalies"])]
    return "\n\n".join(parts) + "\n"


def csv_rows(results: Results) -> list[list]:
    rows = []
    for series in results.series.values():
        bench, config = series.bench, series.bench.config()
        for metric in series.values:
            found = series.spread(metric)
            ratios = [ratio_to(results, series, other) if metric == TIME else None for other in ("malloc", FLOOR)]
            rows.append([bench.name, bench.workload, bench.contender.name, config["strategy"], config["allocator"],
                         bench.bytes, bench.threads, metric, "ns" if metric == TIME else unit_of(metric)[0],
                         found.count, found.median, found.q1, found.q3, found.mad, found.low, found.high,
                         *(one.median if one else "" for one in ratios)])
    return rows


def write(results: Results, folder: Path, data: dict) -> None:
    (folder / "bench.md").write_text(markdown(results, data), encoding="utf-8")
    (folder / "bench.csv").write_text(csv_text(CSV_HEAD, csv_rows(results)), encoding="utf-8")
