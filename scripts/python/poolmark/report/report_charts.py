# SPDX-License-Identifier: Apache-2.0
"""The charts of a page as Vega-Lite specifications with their rows. This module reads no files.

The strategy selects the colour (names.py), the rest of a cell's name the dash. A click on a legend shows one item alone. The page
sets the widths; `usermeta.panels` of a specification is the largest number of panels side by side.
"""
import json
from dataclasses import dataclass, field, replace
from typing import Any

from poolmark.base.forms import Json
from poolmark.records import beside
from poolmark.report import beside_data, latency_data, memory_data, ranks_data, trade_data
from poolmark.report.names import colours
from poolmark.report.source import Source

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
HEIGHT, LOW = 300, 180
COUNTS = {"labelExpr": "datum.value == 0 ? '0' : format(datum.value, '~s')", "tickCount": 5, "labelOverlap": "greedy"}


@dataclass
class Chart:
    name: str     # of its files
    title: str
    text: str     # what it shows and how to read it
    spec: Json
    rows: list[Json]
    folded: bool = field(default=False)  # shown after a click


def _field(name: str, kind: str, title: str | None, **more: Any) -> Json:
    return {"field": name, "type": kind, "title": title, **more}


def _log(**more: Any) -> Json:
    return {"scale": {"type": "log", "nice": True, **more}}


def _time(name: str, title: str | None, log: bool = True) -> Json:
    """A field in nanoseconds, shown in SI seconds."""
    axis = {"labelExpr": "format(datum.value / 1e9, '~s') + 's'", "tickCount": 5, "labelOverlap": "greedy"}
    return _field(name, "quantitative", title, axis=axis, **(_log() if log else {}))


def _share(name: str, title: str) -> Json:
    return _field(name, "quantitative", title, **_log(), axis={"labelExpr": "format(100 * datum.value, '~g') + ' %'", "tickCount": 5})


def _mib(name: str, title: str | None, **more: Any) -> Json:
    return _field(name, "quantitative", title, axis={"format": ",~r", "tickCount": 6}, **more)


def _colour(rows: list[Json], name: str = "strategy") -> Json:
    known = colours(list(dict.fromkeys(row[name] for row in rows)))
    return _field(name, "nominal", None, scale={"domain": list(known), "range": list(known.values())},
                  legend={"orient": "top", "symbolType": "stroke", "symbolStrokeWidth": 3, "symbolOpacity": 1})


def _dash(rows: list[Json]) -> Json:
    """The dash for the rest of the names; empty when no name has one."""
    if not any(row["rest"] for row in rows):
        return {}
    return {"strokeDash": _field("rest", "nominal", None, legend={"orient": "top", "symbolType": "stroke",
                                                                  "symbolStrokeColor": "#888", "symbolSize": 400})}


def _switch(name: str = "strategy") -> Json:
    """A selection: a click on the legend shows one item alone."""
    return {"params": [{"name": "shown", "select": {"type": "point", "fields": [name]}, "bind": "legend"}]}


FIRST_RUN = " Of each configuration's first run."
SHOWN = {"condition": {"param": "shown", "value": 1}, "value": .08}


def _tips(rows: list[Json]) -> list[Json]:
    first = rows[0] if rows else {}
    return [{"field": key, "type": "quantitative" if isinstance(value, (int, float)) and not isinstance(value, bool)
             else "nominal", **({"format": ",.6~g"} if isinstance(value, float) else {})} for key, value in first.items()]


def _spec(mark: Json | str, encoding: Json, rows: list[Json], **more: Any) -> Json:
    return {"$schema": SCHEMA, "width": "container", "height": HEIGHT, "data": {"name": "rows"},
            "mark": mark, "encoding": encoding | {"tooltip": _tips(rows)}, **more}


def _panels(by: str, view: Json, most: int = 2, sort: list[Any] | None = None, **more: Any) -> Json:
    """One view for each value of a field."""
    panel = _field(by, "nominal", None, header={"labelOrient": "top", "labelLimit": 600, "labelFontWeight": "bold"}, sort=sort)
    return {"$schema": SCHEMA, "data": {"name": "rows"}, "columns": most, "facet": panel, "spec": view,
            "usermeta": {"panels": most}, **more}


def _order(rows: list[Json], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def memory_curve(source: Source) -> Chart:
    rows = memory_data.memory_curve(source)
    return Chart("memory-over-connections", "Memory against connections", "What the broker holds, and what the kernel holds for "
                 "the sockets of both ends. A point is a reading when memory was level; a band goes from the lowest to the highest "
                 "of several runs. A strategy that is told its size beforehand begins high and stays there." + _not_drawn(source),
                 _curve(rows, {}), rows)


def _not_drawn(source: Source) -> str:
    """The end of a caption: readings of figures that a record withholds are in its files, and in no chart."""
    found = memory_data.left_out(source)
    return f" Not drawn, because the record withholds that figure: {'; '.join(found)}." if found else ""


def _curve(rows: list[Json], scale: Json) -> Json:
    x = _field("connections", "quantitative", "connections", axis=COUNTS, **scale)
    band = {"mark": {"type": "area", "opacity": .2}, "encoding": {
        "x": x, "y": _mib("lowest_mib", "MiB", **scale), "y2": {"field": "highest_mib"}, "color": _colour(rows),
        "detail": {"field": "cell"}}}
    line = {**_switch(), "mark": {"type": "line", "point": {"size": 30}}, "encoding": {
        "x": x, "y": _mib("memory_mib", "MiB", **scale), "color": _colour(rows), "detail": {"field": "cell"}, "opacity": SHOWN,
        "tooltip": _tips(rows), **_dash(rows)}}
    layers = [band, line] if any(row["runs"] > 1 for row in rows) else [line]
    return _panels("memory", {"height": HEIGHT, "layer": layers}, resolve={"scale": {"y": "independent"}},
                   sort=_order(rows, "memory"))


def memory_curve_log(source: Source) -> Chart:
    """For runs over several orders of magnitude."""
    rows = [row for row in memory_data.memory_curve(source) if row["connections"] > 0 and row["lowest_mib"] > 0]
    counts = [row["connections"] for row in rows]
    return Chart("memory-over-connections-log", "The same, both axes logarithmic", "A straight line at 45 degrees grows in "
                 "proportion; where a line is level, what the process takes for itself outweighs the connections.",
                 _curve(rows, _log()), rows if rows and max(counts) >= 100 * min(counts) else [])


def memory_by_part(source: Source) -> Chart:
    rows = memory_data.memory_parts(source)
    spec = _spec({"type": "bar"}, {
        "y": _field("cell", "nominal", None, axis={"labelLimit": 260}, sort=_order(rows, "cell")),
        "x": _mib("memory_mib", "MiB", stack="zero"), "order": {"field": "part"},
        "color": _field("part", "nominal", None, scale={"range": ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#777777"]},
                        legend={"orient": "top"})}, rows) | {"height": 34 * len(_order(rows, "cell"))}
    return Chart("memory-by-part", "What the memory is made of", "With the most connections open: objects, buffers, arenas and "
                 "messages as the pools own them, the rest of the process, and the kernel's sockets (both ends)." + FIRST_RUN
                 + _not_drawn(source),
                 spec, rows)


UNLIKE = 4      # panels of which the longest bars differ by more than this factor have an axis each


def memory_by_account(source: Source) -> Chart:
    """An account has its colour on every page. Configurations that differ in more than the strategy have a panel for each of the rest,
    since a connection of one shape takes many times as much as one of another."""
    rows, known = memory_data.memory_accounts(source), memory_data.ACCOUNTS_IN_ORDER
    rests = _order(rows, "rest") if len(source.runs) == 1 else []
    panels = len(rests) > 1
    bar = {"mark": "bar", "transform": [{"calculate": f"indexof({json.dumps(known)}, datum.account)", "as": "place"}],
           "encoding": {
               "y": _field("strategy" if panels else "cell", "nominal", None, axis={"labelLimit": 260},
                           sort=_order(rows, "strategy" if panels else "cell")),
               "x": _field("bytes_of_a_connection", "quantitative", "user memory of a connection, B", stack="zero",
                           axis={"format": ",~r", "tickCount": 6}),
               "order": {"field": "place", "type": "quantitative"}, "tooltip": _tips(rows),
               "color": _field("account", "nominal", None, scale={"domain": known, "scheme": "tableau20"}, legend={
                   "orient": "top", "columns": 3, "labelLimit": 260, "values": [one for one in known if one in _order(rows, "account")]})}}
    spec = {"$schema": SCHEMA, "width": "container", "height": 34 * len(_order(rows, "cell")), "data": {"name": "rows"}, **bar}
    if panels:
        longest = [max(_positive(rows, rest).values(), default=0.0) for rest in rests]
        unlike = max(longest) > UNLIKE * min(longest)
        spec = _panels("rest", bar | {"height": {"step": 30}}, sort=rests, resolve={"scale": {"x": "independent" if unlike else "shared"}})
    return Chart("memory-by-account", "User memory by account", "With all connected: the broker's own books, laid beside what the "
                 "kernel and the allocator have. All together are the proportional set size of its processes; what no book has is "
                 "\"not accounted for\". Left of 0 is what was taken and never written, or counted twice." + FIRST_RUN, spec, rows)


def _positive(rows: list[Json], rest: str) -> dict[str, float]:
    """The length of each bar of a panel, right of 0."""
    found: dict[str, float] = {}
    for row in rows:
        if row["rest"] == rest:
            found[row["cell"]] = found.get(row["cell"], 0.0) + max(0.0, row["bytes_of_a_connection"])
    return found


def memory_in_time(source: Source) -> Chart:
    rows, marks = memory_data.memory_over_time(source), memory_data.expansions(source)
    line = {**_switch(), "height": HEIGHT, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": {
        "x": _field("time_s", "quantitative", "time, s"), "y": _mib("memory_mib", "resident memory, MiB"),
        "color": _colour(rows) if rows else {}, "detail": {"field": "cell"}, "opacity": SHOWN, "tooltip": _tips(rows),
        **_dash(rows)}}
    views = [line]
    if marks:
        views.append({"height": 18 * len(_order(marks, "cell")), "data": {"values": marks}, "mark": {"type": "tick"}, "encoding": {
            "x": _field("time_s", "quantitative", None), "y": _field("cell", "nominal", "grew"),
            "color": _colour(rows), "tooltip": _tips(marks)}})
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "vconcat": views, "resolve": {"scale": {"x": "shared"}},
            "usermeta": {"panels": 1}}
    return Chart("memory-over-time", "Memory over time", "Resident memory of the broker. The marks below are expansions and "
                 "shrinks of its pools." + FIRST_RUN, spec, rows, folded=True)


def latency_summary(source: Source) -> Chart:
    rows = latency_data.latency_summary(source)
    shape = _field("percentile", "nominal", None, scale={"domain": ["p50", "p99", "p99.9"],
                                                         "range": ["circle", "diamond", "triangle-up"]},
                   legend={"orient": "top", "symbolFillColor": "#888", "symbolStrokeColor": "#888"})
    y = _field("cell", "nominal", None, axis={"labelLimit": 180}, sort=_order(rows, "cell"))
    colour = _colour(rows) | {"legend": None}
    tight = _log(nice=False, padding=12)
    dots = {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": {
        "y": y, "x": _time("latency_ns", None) | tight, "color": colour, "shape": shape, "tooltip": _tips(rows)}}
    range_ = {"mark": {"type": "rule"}, "encoding": {"y": y, "x": _time("lowest_ns", None) | tight, "x2": {"field": "highest_ns"},
                                                     "color": colour}}
    layers = [range_, dots] if any(row["runs"] > 1 for row in rows) else [dots]
    return Chart("latency", "Latency", "Median, 99th and 99.9th percentile of each latency, counted from the intended time; a line "
                 "goes from the lowest to the highest of several runs. Left is faster.",
                 _panels("latency", {"height": {"step": 22}, "layer": layers}, resolve={"scale": {"x": "independent"}},
                         sort=_order(rows, "latency")), rows)


def latency_by_step(source: Source) -> Chart:
    rows = latency_data.latency_by_step(source)
    view = {**_switch(), "height": LOW, "mark": {"type": "line", "point": {"size": 30}}, "encoding": {
        "x": _field("connections", "quantitative", "connections", **_log(), axis=COUNTS),
        "y": _time("latency_ns", "latency"), "color": _colour(rows), "detail": {"field": "cell"}, "opacity": SHOWN,
        "tooltip": _tips(rows), **_dash(rows)}}
    return Chart("latency-over-connections", "Latency against connections", "Of the connects of each step, and of messages while "
                 "so many connections were open.", _panels("what", view, sort=_order(rows, "what")), rows)


def percentiles(source: Source) -> Chart:
    rows = latency_data.latency_percentiles(source)
    labels = "datum.value <= 1 ? '0 %' : format(100 * (1 - 1 / datum.value), '.6~g') + ' %'"
    view = {**_switch(), "height": HEIGHT, "mark": {"type": "line"}, "encoding": {
        "x": _field("inverse_share", "quantitative", "percentile (HDR scale)", **_log(domainMin=1, nice=False),
                    axis={"values": [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6], "labelExpr": labels, "labelOverlap": True}),
        "y": _time("latency_ns", "latency"), "color": _colour(rows),
        "detail": [{"field": "cell"}, {"field": "counted_from"}], "tooltip": _tips(rows), "opacity": SHOWN,
        "size": _field("counted_from", "ordinal", None, sort=["intended time", "client"],
                       scale={"domain": ["intended time", "client"], "range": [2.2, .7]},
                       legend={"orient": "top", "symbolType": "stroke", "symbolStrokeColor": "#888"}), **_dash(rows)}}
    return Chart("latency-percentiles", "Latency, percentiles", "Each step to the right is ten times as rare. Thick lines count from "
                 "the intended time, as every figure does. Thin ones are what a client with one act under way would have recorded: "
                 "fewer samples, without those that a standstill piled up." + FIRST_RUN,
                 _panels("latency", view, resolve={"scale": {"y": "independent"}}, sort=_order(rows, "latency")), rows)


def ccdf(source: Source) -> Chart:
    rows = latency_data.ccdf(source)
    view = {**_switch(), "height": HEIGHT, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": {
        "x": _time("latency_ns", "latency"), "y": _share("share_above", "share of samples above"), "color": _colour(rows),
        "detail": {"field": "cell"}, "opacity": SHOWN, "tooltip": _tips(rows), **_dash(rows)}}
    return Chart("latency-ccdf", "How many samples are slower (CCDF)", "The share of samples above each latency, both axes "
                 "logarithmic, every step of the histogram: a tail that is a straight line stays heavy." + FIRST_RUN,
                 _panels("latency", view, sort=_order(rows, "latency")), rows, folded=True)


def latency_in_time(source: Source) -> Chart:
    rows = latency_data.latency_over_time(source)
    view = {**_switch(), "height": LOW, "mark": {"type": "line"}, "encoding": {
        "x": _field("time_s", "quantitative", "time, s"), "y": _time("latency_ns", "latency"), "color": _colour(rows),
        "detail": [{"field": "cell"}, {"field": "statistic"}], "opacity": SHOWN, "tooltip": _tips(rows),
        "size": _field("statistic", "ordinal", None, sort=["p99", "p50"], scale={"domain": ["p99", "p50"], "range": [1.8, .7]},
                       legend={"orient": "top", "symbolType": "stroke", "symbolStrokeColor": "#888"}), **_dash(rows)}}
    return Chart("latency-over-time", "Latency over time", "p99 (thick) and p50 (thin) of each interval; where "
                 "there are too many to draw, the worst." + FIRST_RUN,
                 _panels("latency", view, sort=_order(rows, "latency"), resolve={"scale": {"x": "independent"}}), rows, folded=True)


def heat(source: Source) -> Chart:
    rows = trade_data.by_allocator(source)
    base = {"x": _field("allocator", "nominal", None), "y": _field("strategy", "nominal", None)}
    cells = {"mark": "rect", "encoding": base | {"color": _ratio(), "tooltip": _tips(rows)}}
    labels = {"mark": {"type": "text", "fontSize": 11}, "encoding": base | {
        "text": _field("ratio_to_best", "quantitative", None, format=".2~f"), "color": _ink()}}
    return Chart("strategy-allocator", "Strategy and allocator", "Each field is the ratio to the best of its panel; 1 is the best.",
                 _panels("what", {"height": {"step": 26}, "layer": [cells, labels]}), rows)


def _ratio() -> Json:
    return _field("ratio_to_best", "quantitative", None, legend=None,
                  scale={"type": "log", "domain": [1, 10], "clamp": True, "range": ["#d7efe4", "#fbe9c6", "#d55e00"]})


def _ink() -> Json:
    return {"condition": {"test": "datum.ratio_to_best > 7", "value": "#ffffff"}, "value": "#111111"}


def trade(source: Source) -> Chart:
    rows, once = trade_data.trade(source), all(len(group) == 1 for group in source.groups().values())
    base = {"x": _mib("memory_mib", "memory with all connected, MiB", scale={"zero": False, "padding": 50}),
            "y": _time("connect_p99_ns", "connect p99", log=False) | {"scale": {"zero": False, "padding": 30}}}
    front = {"transform": [{"filter": "datum.on_front"}], "mark": {"type": "line", "color": "#888", "strokeDash": [4, 4]},
             "encoding": base | {"order": {"field": "memory_mib"}}}
    dots = {"mark": {"type": "point", "filled": True, "size": 120, "opacity": 1}, "encoding": base | {
        "color": (_colour(rows) if rows else {}) | {"legend": None}, "tooltip": _tips(rows)}}
    text = {"mark": {"type": "text", "dx": 12, "align": "left", "fontSize": 13}, "encoding": base | {
        "y": base["y"] | {"field": "label_at_ns"}, "text": {"field": "cell"}}}
    spec = {"$schema": SCHEMA, "width": "container", "height": HEIGHT, "data": {"name": "rows"}, "layer": [front, dots, text]}
    told = "; one run each makes that no verdict" if once else ""
    return Chart("time-against-memory", "The trade: time against memory", "Left is smaller, low is faster. By the medians nothing is "
                 f"better in both than what the dashed line joins{told}. Neither axis begins at 0.", spec, rows)


def matrix(source: Source) -> Chart:
    rows = trade_data.matrix(source)
    base = {"x": _field("contender", "nominal", None, axis={"orient": "top", "labelAngle": -50, "labelLimit": 140},
                        sort=sorted(_order(rows, "contender"), key=lambda one: (one not in ("bare", "ready", "null"), "direct" not in one, one))),
            "y": _field("benchmark", "nominal", None, axis={"labelLimit": 260}, sort=sorted(_order(rows, "benchmark")))}
    cells = {"mark": "rect", "encoding": base | {"color": _ratio(), "tooltip": _tips(rows)}}
    text = "datum.time_ns < 1000 ? format(datum.time_ns, '.3~r') : format(datum.time_ns / 1000, '.3~r') + 'k'"
    labels = {"transform": [{"calculate": text, "as": "shown"}], "mark": {"type": "text", "fontSize": 10},
              "encoding": base | {"text": {"field": "shown"}, "color": _ink()}}
    spec = {"$schema": SCHEMA, "width": "container", "height": 19 * len(_order(rows, "benchmark")), "data": {"name": "rows"},
            "layer": [cells, labels]}
    return Chart("benchmarks", "Every benchmark, ns", "Median time of an operation (k: thousands of ns). Green is the fastest of its "
                 "row that does something, orange ten times as slow; bare, ready and null are floors. Tuned allocators are in the table.",
                 spec, rows)


def boxes(source: Source) -> Chart:
    rows = trade_data.raw_samples(source)
    panels = [{"title": one, "height": {"step": 16}, "transform": [{"filter": {"field": "benchmark", "equal": one}}],
               "mark": {"type": "boxplot", "extent": "min-max", "size": 9}, "encoding": {
                   "y": _field("contender", "nominal", None), "x": _time("time_ns", "time of one")}}
              for one in _order(rows, "benchmark")]
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "columns": 2, "concat": panels, "usermeta": {"panels": 2}}
    return Chart("raw-samples", "Raw samples of the headlines", "Every repetition with objects of 3 072 bytes: box from quartile to "
                 "quartile, whiskers to the extremes.", spec, rows, folded=True)


def trace(source: Source) -> Chart:
    rows = trade_data.get_trace(source)
    view = {"height": 150, "layer": [
        {"transform": [{"filter": "datum.grew"}], "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": .5},
         "encoding": {"x": _field("get", "quantitative", "get number")}},
        {"mark": {"type": "point", "size": 8, "filled": True, "aria": False}, "encoding": {
            "x": _field("get", "quantitative", "get number"), "y": _time("time_ns", "time of a get"), "tooltip": _tips(rows)}}]}
    return Chart("get-trace", "Each get across expansions", "The time of gets one after the other while the pool grows: all "
                 "slow ones, and a sample of the others. A dashed line is an expansion: more objects are owned from there.",
                 _panels("contender", view), rows, folded=True)


def memory_back(source: Source) -> Chart:
    rows = trade_data.memory_back(source)
    spec = _spec({"type": "line", "point": True}, {
        "x": _time("time_ns", "time since the pools began to give back", log=False),
        "y": _field("back_percent", "quantitative", "come back, % of what was asked for"),
        "color": _field("contender", "nominal", None, legend={"orient": "top"})}, rows, height=LOW)
    return Chart("memory-back", "Memory that comes back under pressure", "Pools give back one after the other, the least used first. What "
                 "the next gets cost is in the table of the run.", spec, rows)


def pools_in_time(source: Source) -> Chart:
    rows = memory_data.pools_over_time(source)
    view = {"height": 120, "mark": {"type": "line", "interpolate": "step-after", "point": {"size": 12}}, "encoding": {
        "x": _field("time_s", "quantitative", "time, s"), "y": _field("objects", "quantitative", "objects"),
        "color": _field("what", "nominal", None, legend={"orient": "top"}), "detail": {"field": "cell"}}}
    return Chart("pools-over-time", "Pools over time", "Objects that each pool of the broker owns, and those in use.",
                 _panels("pool", view, resolve={"scale": {"y": "independent"}}), rows)


def two_sides_better(source: Source) -> Chart:
    rows, runs = beside_data.better(source), beside_data.runs_of(source)
    one, other = beside_data.sides_of(runs[0].data) if runs else ("", "")
    known = beside_data.side_colours(runs[0].data) | {beside_data.NEITHER: beside_data.GREY} if runs else {}
    y = _field("figure", "nominal", None, axis={"labelLimit": 230}, sort=_order(rows, "figure"))
    wide = _log(nice=False, padding=8)
    colour = _field("better", "nominal", None, scale={"domain": list(known), "range": list(known.values())},
                    legend={"orient": "top", "title": "better"})
    opacity: Json = {"opacity": SHOWN}
    layers: list[Json] = [
        {"data": {"values": [{}]}, "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": .6},
         "encoding": {"x": _times(None, other, wide)}},
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"y": y, "x": _times("lowest", other, wide), "x2": {"field": "highest"},
                                                                  "color": colour, **opacity}},
        {**_switch("better"), "mark": {"type": "point", "filled": True, "size": 45}, "encoding": {
            "y": y, "x": _times("times_as_good", other, wide), "color": colour, "tooltip": _tips(rows), **opacity}}]
    return Chart("beside", f"{one} beside {other}", f"How many times as good {one} is as {other}: right of the dashed line {one} is better, "
                 f"left of it {other}. A dot is the median of every ratio of two of their runs, its line goes from the lowest to the "
                 "highest; grey where these are on both sides of 1. Of rates more is better, of all else less.",
                 _by_panel(rows, layers), rows)


def _times(name: str | None, other: str, wide: Json) -> Json:
    """A field, or 1."""
    place: Json = {"field": name} if name else {"datum": 1}
    return place | {"type": "quantitative", "title": f"times as good as {other}", **wide,
                                                          "axis": {"format": "~g", "tickCount": 5, "labelOverlap": "greedy"}}


def two_sides_times(source: Source) -> Chart:
    rows, runs = beside_data.times(source), beside_data.runs_of(source)
    known = beside_data.side_colours(runs[0].data) if runs else {}
    y = _field("figure", "nominal", None, axis={"labelLimit": 230}, sort=_order(rows, "figure"))
    colour = _field("side", "nominal", None, scale={"domain": list(known), "range": list(known.values())}, legend={"orient": "top"})
    wide = _log(nice=False, padding=8)
    layers: list[Json] = [
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"y": y, "x": _time("lowest_ns", None) | wide, "x2": {"field": "highest_ns"},
                                                                  "color": colour, "opacity": SHOWN}},
        {**_switch("side"), "mark": {"type": "point", "filled": True, "size": 45}, "encoding": {
            "y": y, "x": _time("time_ns", None) | wide, "color": colour, "tooltip": _tips(rows), "opacity": SHOWN}}]
    return Chart("beside-times", "The times of both", "Medians; a line goes from the lowest to the highest of several runs. Left is faster. "
                 "What is no time is in the table.", _by_panel(rows, layers), rows)


def _by_panel(rows: list[Json], layers: list[Json], step: int = 15) -> Json:
    """A panel for each value of `of`; one view where there is one."""
    if len(_order(rows, "of")) > 1:
        return _panels("of", {"height": {"step": step}, "layer": layers}, sort=_order(rows, "of"))
    return {"$schema": SCHEMA, "width": "container", "height": step * len(_order(rows, "figure")), "data": {"name": "rows"}, "layer": layers}


def watched_in_time(source: Source) -> Chart:
    rows = ranks_data.watched(source)
    colour = _field("rank", "nominal", None, legend={"orient": "top", "symbolType": "stroke", "symbolStrokeWidth": 3})
    dash = _field("memory", "nominal", None, legend={"orient": "top", "symbolType": "stroke", "symbolStrokeColor": "#888", "symbolSize": 400})
    x = _field("time_s", "quantitative", "time, s")
    line = {**_switch("rank"), "height": HEIGHT, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": {
        "x": x, "y": _mib("memory_mib", "MiB"), "color": colour, "strokeDash": dash, "opacity": SHOWN, "tooltip": _tips(rows)}}
    clients = {"height": 100, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": {
        "x": x, "y": _field("connections", "quantitative", "connections", axis=COUNTS), "color": colour, "tooltip": _tips(rows)}}
    spec = {"$schema": SCHEMA, "data": {"name": "rows"}, "vconcat": [line, clients], "resolve": {"scale": {"x": "shared"}}, "usermeta": {"panels": 1}}
    return Chart("memory-on-other-hosts", "Memory of targets on other hosts", "What a rank that only watches read of the processes on its host, and how many "
                 "clients of all ranks were connected then. Time is by that host's clock, from its first reading.", spec, rows)


ALL = (memory_curve, memory_curve_log, latency_by_step, latency_summary, trade, matrix, heat, memory_by_part, memory_by_account,
       pools_in_time, watched_in_time, percentiles, ccdf, memory_in_time, latency_in_time, boxes, trace, memory_back)


# Of a run with two sides: its cells are of many scenarios, which a chart of all of them mixes.
OF_TWO_SIDES = (two_sides_better, two_sides_times)


def charts(source: Source) -> list[Chart]:
    """All charts that have rows, in the order of the page."""
    others = replace(source, runs=[run for run in source.runs if not beside.asked(run.data)])
    made = [make(source) for make in OF_TWO_SIDES] + [make(others) for make in ALL]
    return [chart for chart in made if chart.rows]
