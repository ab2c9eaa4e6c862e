# SPDX-License-Identifier: Apache-2.0
"""The chart of a capacity answer: memory against connections, processors against messages a second, rate against load by the law, and p99
against utilisation, each with the measured points and the need. Panels without points are left out."""
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.forms import Json
from poolmark.base.draw import SCHEMA, svgs
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.table import clean

MEASURED, MODEL, NEED = "measured", "model", "need"
# Okabe and Ito's palette, as the curves of plot.py.
COLOURS = {MEASURED: "#0072b2", MODEL: "#e69f00", NEED: "#d55e00"}
MIB = 1 << 20
POINTS = 40     # of the law's line


def _row(panel: str, what: str, x: float, y: float, low: float | None = None, high: float | None = None) -> Json:
    return {"panel": panel, "what": what, "x": x, "y": y, "low": low, "high": high}


def _memory(facts: Json) -> list[Json]:
    memory, asked = facts["models"]["memory"], facts["asked"]["connections"]
    if not memory:
        return []
    rows = [_row("memory", MEASURED, one["connections"], one["bytes"] / MIB) for one in memory["points"]]
    parts = [one["value"] for one in facts["figures"] if one["name"] in ("memory of the server", "memory of the kernel")]
    return rows + ([_row("memory", NEED, asked, sum(parts) / MIB)] if asked and None not in parts else [])


def _cpu(facts: Json) -> list[Json]:
    cost, rate = facts["models"]["cpu"], facts["asked"]["rate"]
    if not cost:
        return []
    rows = [_row("cpu", MEASURED, one["rate"], one["processors"]) for one in cost["points"]]
    rows += [_row("cpu", MODEL, one["rate"], one["processors"]) for one in cost["line"]]
    found = next((one for one in facts["figures"] if one["name"] == "CPU for messages"), None)
    return rows + ([_row("cpu", NEED, rate, found["value"], found["low"], found["high"])] if rate and found else [])


def _law(facts: Json) -> list[Json]:
    law = facts["models"]["law"]
    if not law:
        return []
    rows = [_row("law", MEASURED, one["load"], one["rate"]) for one in law["points"]]
    first, contention, coherency = (law[name]["value"] for name in ("first", "contention", "coherency"))
    most = max([facts["host"]["cores"] if law["axis"] == "threads" else 1, *(one["load"] for one in law["points"])])
    for at in range(POINTS + 1):
        load = 1 + (most - 1) * at / POINTS
        loss = 1 + contention * (load - 1) + coherency * load * (load - 1)
        if loss > 0:
            rows.append(_row("law", MODEL, load, first * load / loss))
    return rows


def _p99(facts: Json) -> list[Json]:
    tail = facts["models"]["p99"]
    rows = [_row("p99", MEASURED, 100 * one["utilisation"], one["p99_ns"] / 1e6) for one in tail["points"]] if tail else []
    bound = facts["asked"]["p99_ns"]
    return rows + ([_row("p99", NEED, row["x"], bound / 1e6) for row in (rows[0], rows[-1])] if rows and bound else [])


@dataclass(frozen=True)
class Panel:
    title: str
    x: str
    y: str
    form: str                   # of y's numbers
    need_is_line: bool = False  # a bound, and no point
    scale: str = "linear"       # of y


def _panels(facts: Json) -> dict[str, Panel]:
    axis = (facts["models"]["law"] or {}).get("axis", "load")
    return {"memory": Panel("Memory of a server", "connections", "MiB", ",~r"),
            "cpu": Panel("CPU time of messages", "messages a second", "processors", ",.3~r"),
            "law": Panel("Rate by the universal scalability law", axis, "messages a second", "~s"),
            "p99": Panel("p99 of deliveries", "utilisation, %", "ms", ",.3~r", True, "log")}


def _panel(panel: Panel, rows: list[Json]) -> Json:
    colour: Json = {"field": "what", "type": "nominal", "title": None, "sort": list(COLOURS),
              "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())}}
    x: Json = {"field": "x", "type": "quantitative", "title": panel.x, "axis": {"format": "~s", "labelOverlap": True}}
    y: Json = {"field": "y", "type": "quantitative", "title": panel.y, "scale": {"type": panel.scale},
               "axis": {"format": panel.form, "labelOverlap": True}}
    base = {"x": x, "y": y, "color": colour}
    lines = f"datum.what == '{MODEL}'" + (f" || datum.what == '{NEED}'" if panel.need_is_line else "")
    layers = [{"transform": [{"filter": lines}], "mark": {"type": "line"}, "encoding": base},
              {"transform": [{"filter": f"!({lines})"}], "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": base}]
    if any(row["low"] is not None for row in rows):
        layers.append({"transform": [{"filter": "isValid(datum.low)"}], "mark": {"type": "rule", "strokeWidth": 2},
                       "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour}})
    return {"title": panel.title, "width": 320, "height": 220, "data": {"values": rows}, "layer": layers}


def spec(facts: Json) -> Json | None:
    """The chart; None when nothing was measured that a panel shows."""
    known = _panels(facts)
    found = {"memory": _memory(facts), "cpu": _cpu(facts), "law": _law(facts), "p99": _p99(facts)}
    panels = [_panel(known[name], rows) for name, rows in found.items() if rows]
    if not panels:
        return None
    return {"$schema": SCHEMA, "title": clean(facts["question"]), "background": "white", "columns": 2, "concat": panels}


def write(facts: Json, where: str) -> None:
    """Writes the SVG. UsageError for a file that cannot be written; PoolmarkError when it cannot be drawn."""
    found = spec(facts)
    if found is None:
        raise PoolmarkError(f"--chart {where}: there is nothing to draw")
    text = svgs([found])[0]
    try:
        Path(where).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--chart {where}: cannot be written: {error.strerror}") from error
