# SPDX-License-Identifier: Apache-2.0
"""The charts of a report as Vega-Lite specifications, each with its rows. Nothing here reads files.

Colours are those of Okabe and Ito, which people who do not see red and green apart can tell; lines differ in dashes too.
"""
from dataclasses import dataclass

from poolmark.report import report_data as data

COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D00", "#777777"]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
BYTES = {"format": "~s", "title": "bytes"}
MOST_CELLS = 40


@dataclass
class Chart:
    name: str     # of its files
    title: str
    text: str     # what it shows and how to read it
    spec: dict
    rows: list[dict]


def _field(name: str, kind: str, title: str, **more) -> dict:
    return {"field": name, "type": kind, "title": title, **more}


def _log(**more) -> dict:
    return {"scale": {"type": "log", "nice": False, **more}}


def _seconds(field: str, title: str) -> dict:
    """Nanoseconds shown as SI seconds."""
    return _field(field, "quantitative", title, **_log(), axis={"labelExpr": "format(datum.value / 1e9, '~s') + 's'",
                                                                "tickCount": 6})


def _colour(name: str, title: str) -> dict:
    return _field(name, "nominal", title, scale={"range": COLOURS}, legend={"orient": "bottom", "columns": 3,
                                                                           "labelLimit": 300})


def _counted_from() -> dict:
    """Solid from the intended time, dashed from the client: the corrected figure is the one that counts."""
    return _field("counted_from", "nominal", "counted from",
                  scale={"domain": ["intended time", "client"], "range": [[1, 0], [5, 4]]},
                  legend={"orient": "bottom", "symbolType": "stroke", "symbolSize": 400})


def _tips(rows: list[dict]) -> list[dict]:
    first = rows[0] if rows else {}
    return [{"field": key, "type": "quantitative" if isinstance(value, (int, float)) and not isinstance(value, bool)
             else "nominal", **({"format": ",.6~g"} if isinstance(value, float) else {})} for key, value in first.items()]


def _spec(mark, encoding: dict, rows: list[dict], **more) -> dict:
    return {"$schema": SCHEMA, "width": "container", "height": 320, "data": {"name": "rows"},
            "mark": mark, "encoding": encoding | {"tooltip": _tips(rows)}, **more}


def memory_by_part(source) -> Chart:
    rows = data.memory_parts(source)
    stack = {"memory_bytes": _field("memory_bytes", "quantitative", "memory, bytes", axis={"format": "~s"}, stack="zero"),
             "color": _colour("part", "part"), "order": {"field": "part"}}
    if len({row["connections"] for row in rows}) > 1:
        spec = _spec({"type": "bar"}, {
            "x": _field("connections", "ordinal", "connections", axis={"format": "~s"}), "y": stack["memory_bytes"],
            "color": stack["color"], "order": stack["order"],
            "row": _field("cell", "nominal", None, header={"labelOrient": "top", "labelLimit": 600})}, rows)
        spec |= {"width": 640, "height": 220}
    else:
        spec = _spec({"type": "bar"}, {
            "y": _field("cell", "nominal", None, axis={"labelLimit": 260}), "x": stack["memory_bytes"],
            "color": stack["color"], "order": stack["order"]}, rows) | {"height": 34 * len({row["cell"] for row in rows})}
    return Chart("memory-over-connections", "Memory over connections",
                 "What the target's memory is made of at each number of connections: objects, buffers, arenas and "
                 "messages as the pools own them, the rest of the process, and the kernel's sockets (both ends).",
                 spec, rows)


def memory_in_time(source) -> Chart:
    rows, marks = data.memory_over_time(source), data.expansions(source)
    line = {"mark": {"type": "line", "interpolate": "step-after"}, "encoding": {
        "x": _field("time_s", "quantitative", "time, s"),
        "y": _field("memory_bytes", "quantitative", "resident memory, bytes", axis={"format": "~s"}),
        "color": _colour("cell", "cell"), "strokeDash": _field("cell", "nominal", "cell"),
        "tooltip": _tips(rows)}}
    rule = {"data": {"values": marks}, "mark": {"type": "rule", "opacity": 0.45}, "encoding": {
        "x": _field("time_s", "quantitative", "time, s"), "color": {"field": "cell", "type": "nominal"},
        "tooltip": _tips(marks)}}
    spec = {"$schema": SCHEMA, "width": "container", "height": 320, "data": {"name": "rows"}, "layer": [line, rule]}
    return Chart("memory-over-time", "Memory over time", "Resident memory of the target. Upright lines are expansions and "
                 "shrinks of its pools.", spec, rows)


def percentiles(source, latency: str) -> Chart:
    rows = [row for row in data.latency_percentiles(source) if row["latency"] == latency]
    labels = ("datum.value <= 1 ? '0 %' : format(100 * (1 - 1 / datum.value), '.6~g') + ' %'")
    spec = _spec({"type": "line", "point": {"size": 16}}, {
        "x": _field("inverse_share", "quantitative", "percentile (HDR scale)", **_log(domainMin=1),
                    axis={"values": [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6], "labelExpr": labels}),
        "y": _seconds("latency_ns", f"{latency} latency"), "color": _colour("cell", "cell"),
        "strokeDash": _counted_from()}, rows)
    return Chart(f"{latency}-percentiles", f"{latency.capitalize()} latency, percentiles",
                 "Each step to the right is ten times as rare. Latency counts from the intended time; the dashed line "
                 "counts from when the client got around to it.", spec, rows)


def ccdf(source) -> Chart:
    rows = [row for row in data.latency_percentiles(source) if row["percentile"] > 0]
    spec = _spec({"type": "line", "interpolate": "step-after"}, {
        "x": _seconds("latency_ns", "latency"),
        "y": _field("share_above", "quantitative", "share of samples above", **_log(), axis={"format": ".0e"}),
        "color": _colour("cell", "cell"),
        "strokeDash": _counted_from(),
        "row": _field("latency", "nominal", None, header={"labelOrient": "top"})}, rows)
    spec |= {"width": 640, "height": 200}
    return Chart("latency-ccdf", "How many samples are slower (CCDF)", "The share of samples above each latency, both axes "
                 "logarithmic: a tail that is a straight line stays heavy.", spec, rows)


def latency_in_time(source) -> Chart:
    rows = data.latency_over_time(source)
    spec = _spec({"type": "line", "point": {"size": 12}}, {
        "x": _field("time_s", "quantitative", "time, s"), "y": _seconds("latency_ns", "latency"),
        "color": _colour("cell", "cell"), "strokeDash": _field("statistic", "nominal", "statistic",
                                                               legend={"orient": "bottom"}),
        "row": _field("latency", "nominal", None, header={"labelOrient": "top"})}, rows)
    spec |= {"width": 640, "height": 200}
    return Chart("latency-over-time", "Latency over time", "p50, p99 and the longest of each interval.", spec, rows)


def heat(source) -> Chart:
    rows = data.heat_map(source)
    base = {"x": _field("allocator", "nominal", "allocator"), "y": _field("strategy", "nominal", "strategy")}
    cells = {"mark": "rect", "encoding": base | {
        "color": _field("ratio_to_best", "quantitative", "ratio to the best",
                        scale={"type": "log", "scheme": "cividis", "reverse": True}), "tooltip": _tips(rows)}}
    # Cividis reversed is dark where the ratio is large.
    dark = {"test": "datum.ratio_to_best > 2.5", "value": "#ffffff"}
    labels = {"mark": {"type": "text", "fontSize": 10}, "encoding": base | {
        "text": _field("ratio_to_best", "quantitative", "ratio", format=".2~f"),
        "color": {"condition": dark, "value": "#111111"}}}
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "columns": 3,
            "facet": _field("what", "nominal", None, header={"labelLimit": 260}),
            "spec": {"width": 190, "height": 170, "layer": [cells, labels]}}
    return Chart("strategy-allocator", "Strategy and allocator", "Each field is the ratio to the best of its panel; 1 is "
                 "the best.", spec, rows)


def front(source) -> Chart:
    rows = data.pareto(source)
    spec = _spec({"type": "point", "filled": True, "size": 90}, {
        "x": _field("memory_bytes", "quantitative", "memory for one, bytes", **_log(), axis={"format": "~s"}),
        "y": _seconds("time_ns", "time"), "color": _colour("strategy", "strategy"),
        "shape": _field("on_front", "nominal", "on the front", scale={"domain": [True, False],
                                                                      "range": ["diamond", "circle"]})}, rows)
    return Chart("time-against-memory", "Time against memory (Pareto)", "Left is smaller, low is faster. No other point "
                 "is better in both than a diamond.", spec, rows)


def boxes(source) -> Chart:
    rows = data.raw_samples(source)
    workloads = list(dict.fromkeys(row["workload"] for row in rows))
    panels = [{"title": workload, "width": 320, "height": {"step": 15},
               "transform": [{"filter": {"field": "workload", "equal": workload}}],
               "mark": {"type": "boxplot", "extent": "min-max", "size": 9},
               "encoding": {"y": _field("strategy", "nominal", None),
                            "x": _seconds("time_ns", "time of one") | {"scale": {"type": "log", "nice": True}}}}
              for workload in workloads]
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "columns": 2, "concat": panels}
    return Chart("raw-samples", "Raw samples", "Every repetition of each benchmark with objects of 3 072 bytes on one "
                 "thread: box from quartile to quartile, whiskers to the extremes.", spec, rows)


def trace(source) -> Chart:
    rows = data.get_trace(source)
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "columns": 2, "facet": _field("cell", "nominal", None), "spec": {
        "width": 400, "height": 150, "layer": [
            {"transform": [{"filter": "datum.grew"}], "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": .5},
             "encoding": {"x": _field("get", "quantitative", "get number")}},
            {"mark": {"type": "point", "size": 8, "filled": True, "aria": False}, "encoding": {
                "x": _field("get", "quantitative", "get number"),
                "y": _seconds("time_ns", "time of a get") | {"scale": {"type": "log", "nice": True}},
                "tooltip": _tips(rows)}}]}}
    return Chart("get-trace", "Each get across expansions", "The time of gets one after the other while the pool grows: all "
                 "slow ones, and a sample of the others. A dashed line is an expansion: more objects are owned from there.",
                 spec, rows)


def pools_in_time(source) -> Chart:
    rows = data.pools_over_time(source)
    spec = _spec({"type": "line", "interpolate": "step-after", "point": {"size": 12}}, {
        "x": _field("time_s", "quantitative", "time, s"), "y": _field("objects", "quantitative", "objects"),
        "color": _colour("what", "objects"), "strokeDash": _field("what", "nominal", "objects"),
        "row": _field("pool", "nominal", None, header={"labelOrient": "top"})}, rows)
    spec |= {"width": 640, "height": 120, "resolve": {"scale": {"y": "independent"}}}
    return Chart("pools-over-time", "Pools over time", "Objects that each pool of the broker owns, and those in use.",
                 spec, rows)


def charts(source) -> list[Chart]:
    """Every chart that there are rows for, in the order of the page."""
    made = [memory_by_part(source), memory_in_time(source), pools_in_time(source),
            *(percentiles(source, one) for one in data.LATENCIES), ccdf(source), latency_in_time(source), heat(source), front(source), boxes(source), trace(source)]
    return [chart for chart in made if chart.rows]
