# SPDX-License-Identifier: Apache-2.0
"""What the charts of a report are drawn from: plain rows (lists of dicts, numbers and short texts) out of records and
their files. Each chart's rows are also its CSV, so columns carry their unit.

A file that is not there or is broken leaves its chart without that cell; what was wrong goes to `problems`.
"""
import csv
import statistics
from dataclasses import dataclass, field

from poolmark.records import hlog, raw_data
from poolmark.base.curves import USER_COLUMNS
from poolmark.base.errors import RecordError
from poolmark.records.read_record import Run
from poolmark.compare.pairing import stem

PERCENTILES = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 100)
LATENCIES = ("connect", "delivery", "ack")
PARTS = ("connections", "buffers", "arenas", "messages")
MOST_POINTS = 600    # of a line in a chart: more cannot be seen, and the page stays small


@dataclass
class Source:
    """The runs of a report, and what went wrong in reading them."""

    runs: list[Run]
    problems: list[str] = field(default_factory=list)
    damage: dict[str, list[str]] = field(default_factory=dict)  # run's id -> what is not as recorded
    bad: dict[str, set[str]] = field(default_factory=dict)      # run's id -> files that are not

    def open(self, run: Run, path: str):
        """The path of one of a run's files; RecordError when it is not as recorded."""
        if path in self.bad.get(run.id, ()):
            raise RecordError(path, "", "is not as it was when the run ended")
        return run.file(path)

    def cells(self):
        """(run, cell, label) of every cell that measured something; the label tells runs apart when there are several."""
        for run in self.runs:
            for cell in cells_of(run):
                name = stem(cell["id"])
                yield run, cell, f"{name} ({run.id[-4:]})" if len(self.runs) > 1 else name

    def problem(self, run: Run, error: Exception) -> None:
        """Kept once, without the machine's path to the run's folder."""
        text = str(error)
        for folder in (run.folder.resolve(), run.folder):
            text = text.replace(f"{folder}/", "")
        if text not in self.problems:
            self.problems.append(text)

    def first_cells(self):
        """The first repetition of each configuration: what charts over time show."""
        seen = set()
        for run, cell, label in self.cells():
            if label not in seen:
                seen.add(label)
                yield run, cell, label

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

    def logs(self, run: Run, cell: dict, label: str) -> list[tuple[str, str, list[hlog.Interval]]]:
        """(latency, label, intervals) of a cell, each as the tables have it: connects of the phase that connects, deliveries
        and acknowledgements of each phase that publishes, under its name when there are several."""
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
                    found.append((latency, f"{label}, {phase}" if len(phases) > 1 else label, ours))
        return found


# A load's or a broker's own record has no cells; its files have these names.
OWN_FILES = {"latency": "latency.hlog", "memory": "memory.csv", "steps": "steps.csv", "pools": "pools.csv",
             "events": "events.csv"}


def cells_of(run: Run) -> list[dict]:
    """The cells of a record; of one without any, the record itself as one, with the files that are there."""
    cells = run.data.get("cells", [])
    if cells or run.data["kind"] not in ("load", "broker", "steps"):
        return cells
    files = {key: name for key, name in OWN_FILES.items()
             if name in run.data.get("files", {}) or (run.folder / name).is_file()}
    config = run.data.get("config", {})
    return [{"id": str(config.get("scenario") or run.data["kind"]), "config": config, "repetition": 1,
             "status": run.data["status"], "commands": [run.data["command"]], "metrics": run.data.get("metrics", {}),
             "files": files, "anomalies": []}]


def number(text) -> float | None:
    """A CSV field as a number; None for an empty or a broken one."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if abs(value) < 1e300 else None


def thin(rows: list, most: int = MOST_POINTS) -> list:
    """Evenly thinned, first and last kept."""
    if len(rows) <= most:
        return rows
    return [rows[round(at * (len(rows) - 1) / (most - 1))] for at in range(most)]


def median_of(cells: list[dict], metric: str) -> float | None:
    values = [cell["metrics"][metric]["value"] for cell in cells if metric in cell["metrics"]]
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def memory_parts(source: Source) -> list[dict]:
    """What the target's memory is made of, over open connections: the steps of a run in steps, else all connections
    open."""
    rows = []
    for run, cell, label in source.first_cells():
        steps = source.rows(run, cell, "steps")
        points = _parts_of_steps(steps) if steps else _parts_when_full(source, run, cell)
        rows += [{"cell": label, "connections": connections, "part": part, "memory_bytes": value}
                 for connections, parts in points for part, value in parts.items()]
    return rows


REST = "rest (allocator, code, stacks)"


def _parts_of_steps(steps: list[dict]) -> list[tuple[float, dict]]:
    """(connections, part -> bytes) of every step; the kernel's part is its growth since the first."""
    def kernel(row: dict) -> float:
        return sum(number(row.get(name)) or 0 for name in ("kernel_slab_bytes", "kernel_tcp_bytes"))

    columns = {"connections": "objects_bytes"} | {part: f"{part}_bytes" for part in PARTS[1:]} | {REST: "rest_bytes"}
    return [(number(row.get("connections")) or 0,
             {part: number(row.get(column)) for part, column in columns.items() if number(row.get(column)) is not None}
             | {"kernel": max(0, kernel(row) - kernel(steps[0]))}) for row in steps]


def _parts_when_full(source: Source, run: Run, cell: dict) -> list[tuple[float, dict]]:
    memory = [row for row in source.rows(run, cell, "memory") if number(row.get("connections")) is not None]
    level = [row for row in memory if row.get("phase") not in ("start", "connect", "close")
             and any(number(row.get(name)) is not None for name in USER_COLUMNS[:2])]
    if not level:
        return []
    full = max(level, key=lambda row: number(row["connections"]))
    owned = _pool_bytes(source.rows(run, cell, "pools"), number(full["at_ns"]))
    user = next(value for name in USER_COLUMNS if (value := number(full.get(name))) is not None)
    kernel = sum((number(full.get(name)) or 0) - (number(memory[0].get(name)) or 0)
                 for name in ("kernel_slab_bytes", "kernel_tcp_bytes"))
    parts = {part: owned.get(part, 0) for part in PARTS}
    parts |= {REST: max(0, user - sum(owned.values())), "kernel": max(0, kernel)}
    return [(number(full["connections"]), parts)]


def _pool_bytes(pools: list[dict], at_ns: float | None) -> dict[str, float]:
    """Bytes owned by each pool at an instant, added over broker instances."""
    latest: dict[tuple, tuple[float, float]] = {}
    for row in pools:
        when, owned = number(row.get("at_ns")), number(row.get("bytes_owned"))
        if when is None or owned is None or (at_ns is not None and when > at_ns):
            continue
        key = (row.get("pool"), row.get("instance"))
        if key not in latest or when >= latest[key][0]:
            latest[key] = (when, owned)
    totals: dict[str, float] = {}
    for (pool, _), (_, owned) in latest.items():
        totals[pool] = totals.get(pool, 0) + owned
    return totals


def memory_over_time(source: Source) -> list[dict]:
    rows = []
    for run, cell, label in source.first_cells():
        memory = [row for name in sorted(cell.get("files", {})) if name.startswith("memory")
                  for row in source.rows(run, cell, name)]
        memory = sorted((row for row in memory if number(row.get("target_rss_bytes")) is not None
                         and number(row.get("at_ns")) is not None), key=lambda row: number(row["at_ns"]))
        start = number(memory[0]["at_ns"]) if memory else 0
        rows += [{"cell": label, "time_s": round((number(row["at_ns"]) - start) / 1e9, 3),
                  "connections": number(row.get("connections")), "memory_bytes": number(row["target_rss_bytes"])}
                 for row in thin(memory)]
    return rows


def pools_over_time(source: Source) -> list[dict]:
    """Objects that a broker's pools own and have out, of its own record; beside a load, memory over time says more."""
    rows = []
    for run, cell, label in source.first_cells():
        pools = source.rows(run, cell, "pools") if run.data["kind"] == "broker" else []
        pools = [row for row in pools if number(row.get("at_ns")) is not None]
        start = number(pools[0]["at_ns"]) if pools else 0
        rows += [{"cell": label, "pool": row.get("pool"), "time_s": round((number(row["at_ns"]) - start) / 1e9, 3),
                  "what": what, "objects": number(row.get(column))}
                 for row in thin(pools, 4 * MOST_POINTS) for what, column in (("owned", "owned"), ("in use", "in_use"))
                 if number(row.get(column)) is not None]
    return rows


def expansions(source: Source) -> list[dict]:
    """Every expansion and shrink: when (on the time axis of memory_over_time), how long, from and to."""
    rows = []
    for run, cell, label in source.first_cells():
        memory = [row for row in source.rows(run, cell, "memory") if number(row.get("at_ns")) is not None]
        start = number(memory[0]["at_ns"]) if memory else None
        events = source.rows(run, cell, "events")
        for row in thin(events, 300):
            at = number(row.get("at_ns"))
            if start is not None and at is not None and row.get("event") in ("expand", "shrink") and at >= start:
                rows.append({"cell": label, "time_s": round((at - start) / 1e9, 3), "pool": row.get("pool"),
                             "event": row["event"], "from_objects": number(row.get("from")),
                             "to_objects": number(row.get("to")), "duration_ns": number(row.get("duration_ns"))})
    return rows


def latency_percentiles(source: Source) -> list[dict]:
    """Percentiles on the HDR scale: x is 1 / (1 - p), so that 90, 99 and 99.9 % stand equally far apart. Also the share
    of samples above each value, for the CCDF."""
    rows = []
    for run, cell, label in source.first_cells():
        for kind, name, intervals in source.logs(run, cell, label):
            for tag, histogram in hlog.by_tag(intervals).items():
                for percent in PERCENTILES:
                    share = max(1 - percent / 100, 1 / (2 * histogram.count))
                    if histogram.known_percentile(percent) is None:
                        continue
                    rows.append({"cell": name, "latency": kind,
                                 "counted_from": "client" if tag.endswith("_uncorrected") else "intended time",
                                 "percentile": percent, "inverse_share": 1 / share, "share_above": share,
                                 "latency_ns": histogram.percentile(percent)})
    return rows


def latency_over_time(source: Source) -> list[dict]:
    rows = []
    for run, cell, label in source.first_cells():
        for kind, name, intervals in source.logs(run, cell, label):
            for one in thin([one for one in intervals if one.tag == kind], 400):
                for statistic, percent in (("p50", 50), ("p99", 99), ("max", 100)):
                    if one.histogram.known_percentile(percent) is not None:
                        rows.append({"cell": name, "latency": kind, "time_s": one.start_s, "statistic": statistic,
                                     "latency_ns": one.histogram.percentile(percent)})
    return rows


def _groups(source: Source) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for _, cell, label in source.cells():
        groups.setdefault(label, []).append(cell)
    return groups


def heat_map(source: Source) -> list[dict]:
    """Strategy x allocator: the ratio to the best, of time (benchmarks) or of bytes for a connection (suites)."""
    rows = []
    for label, cells in _groups(source).items():
        config = cells[0]["config"]
        strategy, allocator = config.get("strategy"), config.get("allocator") or "glibc"
        for metric in ("time", "memory.per_connection_bytes", "connect.p99"):
            value = median_of(cells, metric)
            if strategy and value:
                where = f"{config.get('workload')} {config.get('bytes')} B" if metric == "time" else \
                    str(config.get("shape") or "")
                if metric == "time" and (config.get("bytes") != 3072 or (config.get("threads") or 1) != 1):
                    continue
                rows.append({"what": f"{metric} {where}".strip(), "strategy": str(strategy), "allocator": str(allocator),
                             "value": value, "unit": cells[0]["metrics"][metric]["unit"]})
    best: dict[str, float] = {}
    for row in rows:
        best[row["what"]] = min(best.get(row["what"], row["value"]), row["value"])
    return [row | {"ratio_to_best": row["value"] / best[row["what"]]} for row in rows]


def pareto(source: Source) -> list[dict]:
    """Time against memory: nothing is better in both than a point on the front."""
    rows = []
    for label, cells in _groups(source).items():
        config = cells[0]["config"]
        memory = median_of(cells, "memory.per_connection_bytes") or median_of(cells, "resident_bytes_per_object")
        time = median_of(cells, "time") or median_of(cells, "connect.p50")
        if memory and time:
            rows.append({"cell": label, "strategy": str(config.get("strategy") or config.get("target") or label),
                         "time_ns": time, "memory_bytes": memory})
    for row in rows:
        row["on_front"] = not any(other["time_ns"] <= row["time_ns"] and other["memory_bytes"] <= row["memory_bytes"]
                                  and other is not row and (other["time_ns"], other["memory_bytes"]) !=
                                  (row["time_ns"], row["memory_bytes"]) for other in rows)
    return rows


def raw_samples(source: Source) -> list[dict]:
    """The raw samples behind medians, for box plots: a benchmark's repetitions, a suite's when there are several."""
    rows = []
    for label, cells in _groups(source).items():
        config = cells[0]["config"]
        for cell in cells:
            one = cell["metrics"].get("time") or {}
            samples = one.get("samples") or ([one["value"]] if one.get("value") is not None else [])
            rows += [{"cell": label, "workload": str(config.get("workload")), "strategy": _contender(config),
                      "bytes": config.get("bytes"), "threads": config.get("threads") or 1, "time_ns": sample}
                     for sample in samples]
    return [row for row in rows if row["bytes"] == 3072 and row["threads"] == 1][:20000]


def _contender(config: dict) -> str:
    allocator = config.get("allocator") or "glibc"
    return str(config.get("strategy")) if allocator == "glibc" else f"{config.get('strategy')} on {allocator}"


TRACE_SLOWEST, TRACE_SAMPLED = 600, 600  # rows of a cell that are drawn


def get_trace(source: Source) -> list[dict]:
    """Each get's time across expansions, as the benchmark `grow` wrote it (columns get, time_ns, owned_objects), of pools
    that own a number of objects for a while; thinned once more. `grew`: the first that found more objects owned."""
    rows = []
    for run, cell, label in source.first_cells():
        traced = []
        for row in source.rows(run, cell, "trace"):
            get, time, owned = (number(row.get(name)) for name in ("get", "time_ns", "owned_objects"))
            if get is not None and time is not None and owned is not None:
                traced.append({"cell": label, "get": get, "time_ns": max(time, 1.0), "owned_objects": owned,
                               "grew": bool(traced) and owned > traced[-1]["owned_objects"]})
        if len({row["owned_objects"] for row in traced}) <= 100:  # malloc owns what is in use: another number each time
            rows += _thinned(traced)
    return rows


def _thinned(traced: list[dict]) -> list[dict]:
    slowest = {row["get"] for row in sorted(traced, key=lambda row: row["time_ns"])[-TRACE_SLOWEST:]}
    each = max(1, len(traced) // TRACE_SAMPLED)
    return [row for at, row in enumerate(traced) if row["grew"] or row["get"] in slowest or at % each == 0]
