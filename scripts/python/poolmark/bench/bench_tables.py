# SPDX-License-Identifier: Apache-2.0
"""Tables of a benchmark run: for the terminal, bench.md and bench.csv."""
from collections.abc import Collection, Sequence
from pathlib import Path

from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_headlines import Headline, headlines
from poolmark.bench.bench_plan import BASE, FLOOR, KINDS, SETS_WITHOUT_HEADLINES, THE_SIZE, USES, Bench
from poolmark.bench.bench_report import unit_of
from poolmark.bench.bench_results import TIME, Results, Series, alike
from poolmark.base.forms import RecordData
from poolmark.base.table import csv_text, markdown_table, text_table
from poolmark.base.units import show_bytes, show_ns

TIME_HEAD = ["workload", "contender", "median ns", "interval", "nothing left out", "left out", "x glibc", "x bare"]
CSV_HEAD = ["benchmark", "workload", "contender", "strategy", "allocator", "object_bytes", "threads", "metric", "unit",
            "repetitions", "median", "q1", "q3", "mad", "lowest", "highest", "interval_low", "interval_high", "confidence",
            *(f"ratio_to_{name}{end}" for name in ("glibc", "bare") for end in ("", "_low", "_high"))]

Columns = Sequence[tuple[str, str, float]]      # (column, counter, divisor)
Table = tuple[list[str], list[list[str]]]       # (head, rows)

# Tables of counters: (title, workloads, columns).
TAILS: list[tuple[str, str, float]] = [("p50 ns", "p50_ns", 1), ("p99 ns", "p99_ns", 1), ("p99.9 ns", "p99_9_ns", 1), ("p99.99 ns", "p99_99_ns", 1)]
COUNTER_TABLES: tuple[tuple[str, tuple[str, ...], Columns], ...] = (
    ("Single gets of 16 threads on few processors, and of a SCHED_FIFO thread beside an ordinary one",
     ("crowd", "realtime"),
     [*TAILS, ("longest us", "longest_ns", 1e3), ("puts: p99.99 ns", "put_p99_99_ns", 1), ("samples", "samples_due", 1),
      ("unfinished", "unfinished", 1)]),
    ("Memory that 1000 idle threads keep", ("idle_threads", "idle_threads_in_turn"),
     [("MiB", "idle_bytes", 1 << 20), ("KiB a thread", "idle_thread_bytes", 1 << 10), ("1 s later MiB", "idle_1s_bytes", 1 << 20),
      ("trimmed MiB", "idle_trimmed_bytes", 1 << 20)]),
    ("The first get of each of 72 threads", ("first_get", "first_get_at_once"),
     [("p50 ns", "p50_ns", 1), ("p90 ns", "p90_ns", 1), ("longest us", "longest_ns", 1e3)]),
    ("The time of each get while the pool grows or shrinks, from when it was due",
     ("grow", "shrink"),
     [*TAILS, ("longest us", "longest_ns", 1e3), ("left out", "left_out", 1), ("nothing left out: p99.99", "any_speed_p99_99_ns", 1),
      ("longest", "any_speed_longest_ns", 1e3), ("uncorrected: p99.99", "uncorrected_p99_99_ns", 1),
      ("longest us ", "uncorrected_longest_ns", 1e3), ("preempted", "preempted", 1)]),
    ("Page faults and growth in that", ("grow", "shrink"),
     [("faults in gets", "faults_get", 1), ("faults later", "faults_touch", 1), ("faults", "faults", 1),
      ("expansions", "expansions", 1), ("longest expansion us", "longest_expansion_ns", 1e3), ("shrinks", "shrinks", 1)]),
    ("Memory around a storm of 20 000 objects",
     ("blowup", "blowup_sparse", "blowup_10s", "blowup_sparse_10s"),
     [("before MiB", "before_bytes", 1 << 20), ("peak MiB", "peak_bytes", 1 << 20), ("growth / live", "peak_ratio", 1),
      ("0 s / before", "after_0s_ratio", 1), ("1 s / before", "after_1s_ratio", 1),
      ("10 s / before", "after_10s_ratio", 1), ("storm: ns an object", TIME, 1), ("the storm again: ns", "again_ns", 1), ("faults each", "again_faults", 1)]),
    ("A storm that comes at once to a pool of 1024 objects, by each rule of growth", ("burst_fresh",),
     [("ns a get", TIME, 1), ("owned / out", "owned_ratio", 1), ("expansions", "expansions", 1), ("misses", "misses", 1),
      ("longest expansion us", "longest_expansion_ns", 1e3)]),
    ("Memory pressure: when so much of what was asked for had come back, and what a get with its writing costs then", ("pressure",),
     [("back MiB", "back_bytes", 1 << 20), ("resident MiB less", "back_resident_bytes", 1 << 20), ("25 % us", "back_25_ns", 1e3),
      ("50 %", "back_50_ns", 1e3), ("75 %", "back_75_ns", 1e3), ("100 %", "back_100_ns", 1e3), ("before: p50 ns", "before_p50_ns", 1),
      ("p99", "before_p99_ns", 1), ("gave back: p50 ns", "p50_ns", 1), ("p99 ", "p99_ns", 1), ("kept: p50 ns", "kept_p50_ns", 1),
      ("p99  ", "kept_p99_ns", 1)]),
    ("Memory after an hour of churn of six sizes in a minute", ("wear",),
     [("most in use: growth / live", "peak_ratio", 1), ("huge pages", "peak_huge_share", 1), ("read ns", "peak_read_ns", 1),
      ("fewest in use: growth / live", "end_ratio", 1), ("huge pages ", "end_huge_share", 1), ("read ns ", "end_read_ns", 1)]),
    ("Buffers, maps and JSON texts: what an operation asks of the allocator",
     ("typed_slice", "typed_map", "typed_json", "typed_unmarshal"),
     [("ns", TIME, 1), ("requests", "allocs_per_op", 1), ("bytes", "bytes_per_op", 1)]),
    ("The first touch of objects of a pool just opened",
     ("cold", "cold_preheated", "cold_untouched", "cold_huge", "cold_preheated_huge"),
     [("touch ns", TIME, 1), ("faults each", "faults_each", 1), ("open us", "open_ns", 1e3),
      ("huge MiB", "huge_bytes", 1 << 20)]),
)
LEFT_OUT = "left_out"  # a column computed from two counters


def show(value: float | None) -> str:
    """About three digits, without exponents."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def show_interval(found: statistics.Spread | None) -> str:
    """Interval of the median. The confidence is added when it is below CONFIDENCE (too few rounds)."""
    if not found:
        return "-"
    text = f"{show(found.sure_low)} to {show(found.sure_high)}"
    return text if found.confidence >= statistics.CONFIDENCE else f"{text} ({found.confidence * 100:.0f} %)"


def label(series: Series) -> str:
    bench = series.bench
    return f"{bench.workload}/{bench.bytes}" + (f"/threads:{bench.threads}" if bench.threads > 1 else "")


def ratio_to(results: Results, series: Series, contender: str, metric: str = TIME) -> statistics.Spread | None:
    other = results.find(series.bench.workload, contender, series.bench.bytes, series.bench.threads)
    return statistics.ratio(*alike(series, other, metric=metric)) if other else None


def time_rows(results: Results) -> list[list[str]]:
    """The contenders of each group, the fastest first."""
    rows = []
    for group in results.groups().values():
        measured = sorted((series for series in group if series.of()), key=lambda series: series.known().median)
        for series in measured:
            found, whole = series.known(), series.spread("any_speed_ns")
            rows.append([label(series), series.bench.contender.name, show(found.median), show_interval(found),
                         show(whole.median if whole else None), series.left_out_told(),
                         *(f"{show(other.median)} ({show(other.sure_low)} to {show(other.sure_high)})" if other else "-" for other in
                           (ratio_to(results, series, BASE), ratio_to(results, series, FLOOR)))])
    return rows


def time_table(results: Results) -> tuple[list[str], list[list[str]], str]:
    """Head, rows and alignment; without the ratios to a contender that was not measured."""
    rows, align = time_rows(results), "llrrrrrr"
    kept = [at for at, head in enumerate(TIME_HEAD) if not head.startswith("x ") or any(row[at] != "-" for row in rows)]
    return [TIME_HEAD[at] for at in kept], [[row[at] for at in kept] for row in rows], "".join(align[at] for at in kept)


def use_table(results: Results, kind: str, threads: int) -> Table | None:
    """A row a contender, a column a use of the object, untouched last. Sorted by the time with one line used."""
    found: dict[str, dict[str, Series]] = {}
    for what, use in USES:
        for series in results.groups().get((kind + use, THE_SIZE, threads), []):
            if series.of():
                found.setdefault(series.bench.contender.name, {})[what] = series
    if not found:
        return None

    def medians(row: dict[str, Series]) -> list[float]:
        return [row[what].known().median if what in row else float("inf") for what, _ in USES]

    rows = [[name, *(f"{show(one.median)} ({show_interval(one)})" if (one := row[what].spread() if what in row else None) else "-"
                     for what, _ in USES)] for name, row in sorted(found.items(), key=lambda item: medians(item[1]))]
    return ["contender", *(what for what, _ in USES)], rows


def use_tables(results: Results) -> list[tuple[str, Table]]:
    return [(f"{kind}: an object is {what}; ns, by what is used of it (interval)", table) for kind, threads, what in KINDS
            if (table := use_table(results, kind, threads))]


def counter_table(results: Results, workloads: Collection[str], columns: Columns) -> Table | None:
    """Omits columns without any figure; None when there is no row."""
    chosen = [series for series in results.series.values() if series.bench.workload in workloads and series.of()]
    def value(series: Series, counter: str) -> float | None:
        found = series.spread(counter)
        return series.left_out() if counter == LEFT_OUT else found.median if found else None

    def told(series: Series, counter: str, divisor: float) -> str:
        found = value(series, counter)
        return series.left_out_told() if counter == LEFT_OUT else show(None if found is None else found / divisor)

    columns = [column for column in columns if any(value(series, column[1]) is not None for series in chosen)]
    rows = [[label(series), series.bench.contender.name, *(told(series, counter, divisor) for _, counter, divisor in columns)]
            for series in chosen]
    return (["workload", "contender", *(name for name, _, _ in columns)], rows) if rows else None


def in_unit(value: float, unit: str) -> str:
    if unit == "ns" and abs(value) >= 1e4:
        return show_ns(value)
    return show_bytes(value) if unit == "B" else show(value)


def headline_rows(found: list[Headline], only_measured: bool = False) -> list[list[str]]:
    rows = []
    for one in found:
        value, unit = one.value, one.unit
        if not value:
            if not only_measured:
                rows.append([one.name, "not measured", "-", "", one.told(), one.note])
            continue
        plain = f" {unit}" if unit and in_unit(value.median, unit) == show(value.median) else ""
        sure = f"{in_unit(value.sure_low, unit)} to {in_unit(value.sure_high, unit)}"
        rows.append([one.name, in_unit(value.median, unit) + plain, sure, f"{value.count}, {value.confidence * 100:.0f} %", one.told(),
                     one.note])
    return rows


HEADLINE_HEAD = ["headline", "median", "interval", "rounds", "aim", "beside it"]
HEADLINE_ALIGN = "lrrlll"


def with_gaps(table: str, rows: list[list[str]]) -> str:
    """A blank line where the first column changes."""
    lines = table.splitlines()
    out = lines[:2]
    for number, line in enumerate(lines[2:]):
        if number and rows[number][0] != rows[number - 1][0]:
            out.append("")
        out.append(line)
    return "\n".join(out)


def counter_tables(results: Results) -> list[tuple[str, Table]]:
    return [(title, table) for title, workloads, columns in COUNTER_TABLES
            if (table := counter_table(results, workloads, columns))]


def terminal(results: Results, filtered: bool = False) -> str:
    """`filtered`: only a part was measured, so headlines without a figure are left out. The most important table comes last,
    where the screen is."""
    parts = []
    head, rows, align = time_table(results)
    if rows:
        parts.append(with_gaps(text_table(head, rows, align), rows))
    parts += [f"{title}\n{text_table(*table, 'll' + 'r' * (len(table[0]) - 2))}" for title, table in counter_tables(results)]
    parts += [f"{title}\n{text_table(*table, 'l' + 'r' * (len(table[0]) - 1))}" for title, table in use_tables(results)]
    rows = headline_rows(headlines(results), filtered)
    if rows:
        parts.append(text_table(HEADLINE_HEAD, rows, HEADLINE_ALIGN))
    return "\n\n".join(parts)


def measured_with(data: RecordData) -> list[str]:
    rows = [[one["contender"], one["what"], one["version"] or "-", one["variables"] or "-", (one["sha256"] or "-")[:16]]
            for one in data["config"].get("allocators", [])]
    head = ["called", "allocator", "version", "told", "SHA-256 of the library"]
    return ["## Allocators", markdown_table(head, rows, "lllll")] if rows else []


def pools_of_files(data: RecordData) -> list[str]:
    rows = [[one["strategy"], one["file"], one["version"] or "-", one["sha256"][:16]] for one in data["config"].get("pools", [])]
    return ["## Pools from libraries", markdown_table(["called", "file", "version", "SHA-256 of the library"], rows, "llll")] if rows else []


def markdown(results: Results, data: RecordData) -> str:
    tool, host = data["tool"], data["host"]
    machine = ", ".join([f"{host.get('cores') or 'an unknown number of'} x {host.get('cpu_model') or 'an unknown processor'}",
                         f"kernel {host.get('kernel') or 'unknown'}"])
    changed = ", with changes" if tool["dirty"] else ""
    part = bool(data["config"].get("filter")) or data["config"].get("selection") in SETS_WITHOUT_HEADLINES
    rows, step_ns = headline_rows(headlines(results), part), (data.get("summary") or {}).get("step_ns")
    parts = [
        "# Benchmarks", f"Run {data['id']}, status {data['status']}. Commit {tool['commit']}{changed}, "
        f"{tool['compiler']}, {tool['flags']}. {machine}.",
        "Medians over repetitions in random order, each its own process; beside each the interval that holds the true median with "
        "at least 95 % (where rounds are too few for that, with what is said). A ratio is the median of the ratios of single "
        "rounds. An operation is a get and its put where nothing else is said. `direct-` is malloc and free called as a program "
        "calls them, and slab by its inlined calls; the others are called through a pool, with its counters; `bare` is a call that "
        "does nothing."
        + (f" What began at the processor's full speed counts ({step_ns:.4g} ns an addition), which is known "
           "before it is measured; what was left out, and the figure without leaving out, stand beside."
           if step_ns else ""),
        *(["## Headlines", markdown_table(HEADLINE_HEAD, rows, HEADLINE_ALIGN)] if rows else [])]
    uses = use_tables(results)
    if uses:
        parts.append("## Taken, used, given back")
    for title, table in uses:
        parts += [f"### {title}", markdown_table(*table, "l" + "r" * (len(table[0]) - 1))]
    for title, table in counter_tables(results):
        parts += [f"## {title}", markdown_table(*table, "ll" + "r" * (len(table[0]) - 2))]
    parts += ["## Time", markdown_table(*time_table(results)), *measured_with(data), *pools_of_files(data)]
    if data["anomalies"]:
        parts += ["## Anomalies", "\n".join(f"- {one['what']}: {one['text']}" for one in data["anomalies"])]
    return "\n\n".join(parts) + "\n"


def csv_row(bench: Bench, metric: str, found: statistics.Spread, ratios: Sequence[object]) -> list[object]:
    config = bench.config()
    return [bench.name, bench.workload, bench.contender.name, config["strategy"], config["allocator"], bench.bytes, bench.threads, metric,
            "ns" if metric == TIME else unit_of(metric)[0], found.count, found.median, found.q1, found.q3, found.mad, found.low, found.high,
            found.sure_low, found.sure_high, found.confidence, *ratios]


def csv_rows(results: Results) -> list[list[object]]:
    rows = []
    for series in results.series.values():
        for metric in series.values:
            ratios = [ratio_to(results, series, other) if metric == TIME else None for other in (BASE, FLOOR)]
            rows.append(csv_row(series.bench, metric, series.known(metric), [value for one in ratios for value in ((one.median, one.sure_low, one.sure_high) if one else ("", "", ""))]))
    return rows


def write(results: Results, folder: Path, data: RecordData) -> None:
    (folder / "bench.md").write_text(markdown(results, data), encoding="utf-8")
    (folder / "bench.csv").write_text(csv_text(CSV_HEAD, csv_rows(results)), encoding="utf-8")
