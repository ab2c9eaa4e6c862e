# SPDX-License-Identifier: Apache-2.0
"""Rows of the latency charts, separately for each latency and phase. A chart's rows are also its CSV."""
import math
import re
import statistics

from poolmark.base.forms import CellData, Json
from poolmark.records import hlog, phases, raw_data
from poolmark.report.names import Name
from poolmark.report.source import LATENCIES, Source, number, thin, thin_worst, values

PERCENTILES = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 100)
SHOWN = (("p50", "p50"), ("p99", "p99"), ("p99_9", "p99.9"))
MOST_STEPS = 300     # of one line of the CCDF
MOST_INTERVALS = 300


def phase_words(cell: CellData, metric: str) -> str:
    """The phase of a latency as text: " QoS 1" if known, else its name, else empty."""
    name = raw_data.phase_of(cell, metric)
    words = dict(raw_data.phases(cell)).get(name, "")
    found = re.search(r"--qos (\d)", words)
    level = found[1] if found else "0" if words.startswith("publish") else ""
    return f" QoS {level}" if level else f" {name}" if name else ""


def of_groups(cells: list[CellData]) -> list[str]:
    """The latencies of a mix's groups in its phases, in the order of the record: GROUP.PHASE.LATENCY."""
    names = [name.split(".") for cell in cells for name in cell["metrics"] if name.endswith(".p50")]
    return list(dict.fromkeys(".".join(words[:-1]) for words in names
                              if len(words) >= 4 and words[-4] != "step" and not words[-2].endswith("_uncorrected")))


def summary_rows(name: Name, cells: list[CellData], prefix: str, latency: str) -> list[Json]:
    """The rows of one latency; `latency`: what the chart calls it."""
    rows: list[Json] = []
    for key, shown in SHOWN:
        if found := [value for value in values(cells, f"{prefix}.{key}") if value > 0]:
            rows.append({"cell": name.label, "strategy": name.strategy, "latency": latency, "percentile": shown,
                         "latency_ns": statistics.median(found), "lowest_ns": min(found), "highest_ns": max(found), "runs": len(found)})
    return rows


def latency_summary(source: Source) -> list[Json]:
    """Three percentiles of each latency, over repetitions."""
    rows: list[Json] = []
    for name, group in source.groups().items():
        cells = [cell for _, cell in group]
        for latency in LATENCIES:
            found_in: dict[str, str] = {}
            for cell in cells:
                found_in |= phases.variants(cell, f"{latency}.p50")
            if latency == "connect" and "" in found_in:
                found_in = {"": found_in[""]}  # without the few connects of publishing phases
            for prefix in (metric.removesuffix(".p50") for metric in found_in.values()):
                words = phase_words(cells[0], f"{prefix}.p50") if latency != "connect" else ""
                rows += summary_rows(name, cells, prefix, f"{latency}{words}")
        for prefix in of_groups(cells):
            rows += summary_rows(name, cells, prefix, prefix.replace(".", " "))
    return rows


STEPS = (("connect_p50_ns", "connect", "p50"), ("connect_p99_ns", "connect", "p99"), ("delivery_p50_ns", "delivery", "p50"),
         ("delivery_p99_ns", "delivery", "p99"))


def latency_by_step(source: Source) -> list[Json]:
    """Latency against connections, for runs in steps."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        for row in source.rows(run, cell, "steps"):
            for column, latency, percentile in STEPS:
                if (value := number(row.get(column))) and (count := number(row.get("connections"))):
                    rows.append({"cell": name.label, "strategy": name.strategy, "rest": name.rest, "connections": count,
                                 "what": f"{latency} {percentile}", "latency_ns": value})
    return rows


def latency_percentiles(source: Source) -> list[Json]:
    """Percentiles on the HDR scale: x is 1 / (1 - p), so 90, 99 and 99.9 % are equally far apart."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        for log in source.logs(run, cell):
            for tag, histogram in hlog.by_tag(log.intervals).items():
                for percent in PERCENTILES:
                    share = max(1 - percent / 100, 1 / (2 * histogram.count))
                    if histogram.known_percentile(percent) is None:
                        continue
                    rows.append({"cell": name.label, "strategy": name.strategy, "rest": name.rest, "latency": log.title,
                                 "counted_from": "client" if tag.endswith("_uncorrected") else "intended time",
                                 "percentile": percent, "inverse_share": 1 / share,
                                 "latency_ns": histogram.percentile(percent)})
    return rows


def ccdf(source: Source) -> list[Json]:
    """The share of samples above each value that the log distinguishes, from the intended time."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        for log in source.logs(run, cell):
            histogram = hlog.by_tag(log.intervals).get(log.latency)
            if histogram is None:
                continue
            count = histogram.count
            rows += [{"cell": name.label, "strategy": name.strategy, "rest": name.rest, "latency": log.title,
                      "latency_ns": value, "share_above": (count - seen) / count}
                     for value, seen in _by_share(histogram.steps(), count) if seen < count]
    return rows


def _by_share(steps: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Thins the steps evenly on the scale of log(share above), where the tail is as long as the rest."""
    kept: list[tuple[int, int]] = []
    last: int | None = None
    for value, seen in steps:
        place = None if seen == count else round(-40 * math.log10((count - seen) / count))
        if place != last or count - seen < 20:
            kept.append((value, seen))
            last = place
    return thin(kept, MOST_STEPS)


def latency_over_time(source: Source) -> list[Json]:
    """p50 and p99 of each interval."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        for log in source.logs(run, cell):
            intervals = [one for one in log.intervals if one.tag == log.latency]
            start = intervals[0].start_s if intervals else 0
            for statistic, percent in (("p50", 50), ("p99", 99)):
                drawn = [{"cell": name.label, "strategy": name.strategy, "rest": name.rest, "latency": log.title,
                          "time_s": round(min(one.start_s - start, 1e12), 3), "statistic": statistic,
                          "latency_ns": one.histogram.percentile(percent)}
                         for one in intervals if one.histogram.known_percentile(percent) is not None]
                rows += thin_worst(drawn, MOST_INTERVALS, "latency_ns")
    return rows if len({row["time_s"] for row in rows}) > 2 else []
