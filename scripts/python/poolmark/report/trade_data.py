# SPDX-License-Identifier: Apache-2.0
"""Rows of the charts that compare contenders: time against memory, strategy by allocator, benchmarks. A chart's rows are also its
CSV."""
import math
from collections.abc import Iterator

from poolmark.base.forms import CellData, Config, Json
from poolmark.report.names import Name, contender
from poolmark.report.source import Source, median, number

MIB = 1 << 20
HEADLINE = ("lifo", "lifo_touch_line", "burst_1000", "burst_1000_touch_line", "remote_1_1", "remote_1_1_touch_line",
            "grow")
LABELS_APART = 0.06                      # least distance, as a share of the axis
TRACE_SLOWEST, TRACE_SAMPLED = 600, 600  # rows drawn for a cell


def bench_contender(config: Config) -> str:
    """slab, direct-jemalloc, malloc on tcmalloc."""
    strategy, allocator = str(config.get("strategy")), config.get("allocator") or "glibc"
    if strategy == "direct":
        return f"direct-{allocator}"
    return strategy if allocator == "glibc" else f"{strategy} on {allocator}"


def benchmark(config: Config) -> str:
    """lifo; lifo 64 B; lifo x 2 threads. Default values are not named."""
    size, threads = config.get("bytes"), config.get("threads") or 1
    return f"{config.get('workload')}{f' {size} B' if size != 3072 else ''}{f' x {threads} threads' if threads != 1 else ''}"


def benches(source: Source) -> Iterator[tuple[Name, list[CellData], Config]]:
    for name, group in source.groups().items():
        cells = [cell for _, cell in group]
        if "workload" in cells[0]["config"]:
            yield name, cells, cells[0]["config"]


def trade(source: Source) -> list[Json]:
    """For suites: memory with all connected against the time of a connect. A point on the front has no other that is at least as
    good in both."""
    rows: list[Json] = []
    for name, group in source.groups().items():
        cells = [cell for _, cell in group]
        memory = median(cells, "memory.full_private_bytes") or median(cells, "memory.full_bytes")
        time = median(cells, "connect.p99")
        if memory and time:
            rows.append({"cell": name.label, "strategy": name.strategy, "connections": cells[0]["config"].get("connections"),
                         "memory_mib": memory / MIB, "connect_p99_ns": time})
    for row in rows:
        row["on_front"] = not any(other["connect_p99_ns"] <= row["connect_p99_ns"] and other["memory_mib"] <= row["memory_mib"]
                                  and (other["connect_p99_ns"], other["memory_mib"]) !=
                                  (row["connect_p99_ns"], row["memory_mib"]) for other in rows)
    if len(rows) < 2 or len({str(row["connections"]) for row in rows}) > 1:
        return []
    rows.sort(key=lambda row: float(row["connect_p99_ns"]))
    apart, last = LABELS_APART * (rows[-1]["connect_p99_ns"] - rows[0]["connect_p99_ns"]), -1e300
    for row in rows:  # keep labels of close points apart
        last = row["label_at_ns"] = max(row["connect_p99_ns"], last + apart)
    return rows


def finite(rows: list[Json]) -> list[Json]:
    """Without ratios of the largest to the smallest numbers that a record may hold: JSON has no word for infinity."""
    return [row for row in rows if math.isfinite(row["ratio_to_best"])]


def by_allocator(source: Source) -> list[Json]:
    """Strategy x allocator for suites: a panel for each metric and kind of load, with the ratio to the panel's best."""
    rows: list[Json] = []
    for _, group in source.groups().items():
        cells = [cell for _, cell in group]
        config = cells[0]["config"]
        for metric in ("memory.per_connection_bytes", "connect.p99", "cpu.per_connection_ns"):
            if (value := median(cells, metric)) and value > 0 and contender(config) and "workload" not in config:
                way = ", ".join(str(config[key]) for key in ("shape", "engine", "connections") if config.get(key) is not None)
                rows.append({"what": f"{metric} ({way})", "strategy": contender(config),
                             "allocator": str(config.get("allocator") or "glibc"), "value": value,
                             "unit": cells[0]["metrics"][metric]["unit"]})
    if len({row["allocator"] for row in rows}) < 2 or len({row["strategy"] for row in rows}) < 2:
        return []
    best: dict[str, float] = {}
    for row in rows:
        best[row["what"]] = min(best.get(row["what"], row["value"]), row["value"])
    return finite([row | {"ratio_to_best": row["value"] / best[row["what"]]} for row in rows])


def matrix(source: Source) -> list[Json]:
    """Every benchmark x contender in ns, with the ratio to the fastest contender without the floors. Tuned allocators are only in
    the table."""
    rows: list[Json] = []
    for _, cells, config in benches(source):
        value = median(cells, "time")
        if value and value > 0 and not str(config.get("allocator")).endswith("-tuned"):
            rows.append({"benchmark": benchmark(config), "contender": bench_contender(config), "time_ns": value,
                         "floor": config.get("strategy") in ("null", "bare", "ready")})
    best: dict[str, float] = {}
    for row in rows:
        if not row["floor"]:
            best[row["benchmark"]] = min(best.get(row["benchmark"], row["time_ns"]), row["time_ns"])
    return finite([row | {"ratio_to_best": row["time_ns"] / best.get(row["benchmark"], row["time_ns"])} for row in rows])


def raw_samples(source: Source) -> list[Json]:
    """All repetitions behind the medians of the headlines, for box plots."""
    rows: list[Json] = []
    for _, cells, config in benches(source):
        if config.get("workload") not in HEADLINE or config.get("bytes") != 3072 or \
                str(config.get("allocator")).endswith("-tuned"):
            continue
        for cell in cells:
            one = cell["metrics"].get("time")
            value = one["value"] if one else None
            samples = (one and one.get("samples")) or ([] if value is None else [value])
            rows += [{"benchmark": benchmark(config), "contender": bench_contender(config), "time_ns": sample}
                     for sample in samples if sample > 0]  # the axis is logarithmic
    return rows[:20000]


BACK_PERCENTS = (25, 50, 75, 100)


def memory_back(source: Source) -> list[Json]:
    """From the benchmark `pressure`: when so many per cent of what was asked for had come back, medians, from 0 at the beginning."""
    rows: list[Json] = []
    for _, cells, config in benches(source):
        points = [(percent, median(cells, f"back_{percent}_ns")) for percent in BACK_PERCENTS]
        if any(time is None for _, time in points):
            continue
        rows += [{"contender": bench_contender(config), "time_ns": time, "back_percent": percent} for percent, time in [(0, 0.0), *points]]
    return rows


def get_trace(source: Source) -> list[Json]:
    """The time of each get across expansions, from the benchmark `grow` (columns get, time_ns, owned_objects), thinned again. Only
    pools that own the same number of objects for a while. `grew`: the first get that saw more owned objects."""
    rows: list[Json] = []
    for run, cell, _ in source.first_cells():
        traced: list[Json] = []
        for row in source.rows(run, cell, "trace"):
            get, time, owned = (number(row.get(name)) for name in ("get", "time_ns", "owned_objects"))
            if get is not None and time is not None and owned is not None:
                traced.append({"contender": bench_contender(cell["config"]), "get": get, "time_ns": max(time, 1.0),
                               "owned_objects": owned, "grew": bool(traced) and owned > traced[-1]["owned_objects"]})
        if len({row["owned_objects"] for row in traced}) <= 100:  # malloc owns what is in use, so its number always changes
            rows += _thinned(traced)
    return rows


def _thinned(traced: list[Json]) -> list[Json]:
    slowest = {row["get"] for row in sorted(traced, key=lambda row: float(row["time_ns"]))[-TRACE_SLOWEST:]}
    each = max(1, len(traced) // TRACE_SAMPLED)
    return [row for at, row in enumerate(traced) if row["grew"] or row["get"] in slowest or at % each == 0]
