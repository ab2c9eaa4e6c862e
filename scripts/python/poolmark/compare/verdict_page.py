# SPDX-License-Identifier: Apache-2.0
"""A verdict as one self-contained page: the answer, a forest plot, the table with links to the raw data.

The forest plot has one line a metric: the change as a point, its interval as a bar, the noise floor as a grey band. Verdicts
differ in shape as well as in colour, for readers who do not distinguish red and green.
"""
import html
import math
from collections.abc import Callable, Sequence

from poolmark.base.draw import INLINED, SCHEMA, svgs
from poolmark.base.errors import PoolmarkError
from poolmark.base.escape import terminal as plain
from poolmark.base.forms import Json
from poolmark.compare import where_to_look
from poolmark.compare.how_much import change_of
from poolmark.compare.pairing import Judged, notes_told
from poolmark.compare.verdict import Verdict
from poolmark.compare.verdict_markdown import MOST_HEADLINES, headline, headlines, reasons_of, told
from poolmark.compare.verdict_out import (HEADS, HOW_TO_READ, Links, counts, fields, head_lines, links_of,
                                      sorted_rows, suspicious_duplicates)

Draw = Callable[[list[Json]], list[str]]    # specifications -> SVG

MOST_ROWS = 200
WORDS_OF = {"regression": "worse", "improvement": "better", "undecided": "undecided"}
SHAPES = {"worse": "triangle-up", "better": "triangle-down", "undecided": "stroke", "same": "circle"}

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #767676; --band: #8884; --worse: #c4500a;
  --better: #0a6fb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --soft: #a0a0a0; --worse: #ff9a4d;
  --better: #6db9f2; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 75rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--band); white-space: nowrap; }
td.raw { white-space: normal; min-width: 9rem; } td:nth-child(2), td:nth-child(3) { white-space: normal;
  overflow-wrap: anywhere; min-width: 8rem; } td:nth-child(3) { min-width: 11rem; }
summary { cursor: pointer; }
tr.regression td:first-child { color: var(--worse); font-weight: 600; }
tr.improvement td:first-child { color: var(--better); font-weight: 600; }
a { color: inherit; } @media print { body { max-width: none; } }
"""


def all_of(count: int) -> str:
    return f"All {count} metrics" if count > 1 else "The metric"


def escape(text: object) -> str:
    return html.escape(plain(text), quote=True)


def _limit(rows: Sequence[Judged]) -> float:
    """The edge of the plot: all changes are visible; a noisy row may extend beyond it."""
    found = [row for row in rows if row.verdict in ("regression", "improvement")] or [row for row in rows if row.decides] or rows
    ends = [abs(value) for row in found for value in (row.effect.low, row.effect.high, row.effect.change)
            if math.isfinite(value)]
    return min(_nice(2 * max([*ends, .005])), 10.0)


def _nice(limit: float) -> float:
    return next((step for step in (.01, .02, .05, .1, .2, .5, 1, 2, 5, 10) if limit <= step), limit)


def forest_spec(rows: Sequence[Judged]) -> Json:
    """The plot's specification. Right means worse for every metric."""
    limit = _limit(rows)

    def worse(row: Judged, value: float) -> float:
        value = value if row.better == "lower" else -value
        return max(-limit, min(limit, value)) if math.isfinite(value) else math.copysign(limit, value)

    values = []
    for number, row in enumerate(rows):
        low, high = sorted((worse(row, row.effect.low), worse(row, row.effect.high)))
        label = plain(f"{row.cell} {row.metric}")
        values.append({"at": number, "label": label if len(label) <= 56 else f"{label[:27]}\N{HORIZONTAL ELLIPSIS}{label[-28:]}",
                       "worse": worse(row, row.effect.change), "low": low, "high": high, "floor": min(row.floor, limit),
                       "other_floor": -min(row.floor, limit), "verdict": WORDS_OF.get(row.verdict, "same"),
                       "shown": change_of(row), "why": plain(row.why)})
    y: Json = {"field": "label", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 420, "domain": False, "ticks": False}}
    x: Json = {"type": "quantitative", "scale": {"domain": [-limit, limit]}, "title": "better \N{LEFTWARDS ARROW} change "
         "\N{RIGHTWARDS ARROW} worse", "axis": {"format": "+.1~%", "tickCount": 5}}
    verdict = {"field": "verdict", "type": "nominal", "scale": {"domain": list(SHAPES), "range": list(SHAPES.values())},
               "legend": None}
    colour = {"field": "verdict", "type": "nominal", "legend": None,
              "scale": {"domain": list(SHAPES), "range": ["#d9640f", "#2f8fd8", "#888888", "#888888"]}}
    return {"$schema": SCHEMA, "width": 460, "height": {"step": 24}, "data": {"values": values}, "config": INLINED, "layer": [
        {"mark": {"type": "bar", "color": "#8884", "height": 18}, "encoding": {
            "y": y, "x": x | {"field": "other_floor"}, "x2": {"field": "floor"}}},
        {"mark": {"type": "rule", "color": "#888"}, "encoding": {"x": {"datum": 0}}},
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {
            "y": y, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": {
            "y": y, "x": x | {"field": "worse"}, "shape": verdict, "color": colour, "description": {"field": "why"}}},
        {"mark": {"type": "text", "align": "left", "dx": 8}, "encoding": {
            "y": y, "x": {"value": "width"}, "text": {"field": "shown"}}}]}


def _table(rows: Sequence[Judged], links: Links | None) -> str:
    lines = ["<table><thead><tr>" + "".join(f"<th>{escape(head)}</th>" for head in [*HEADS, "raw data"]) +
             "</tr></thead><tbody>"]
    for row in rows:
        raw = "<br>".join(f"{side} " + " ".join(f'<a href="{escape(href)}">{escape(text)}</a>' for text, href in hrefs)
                          for side, hrefs in links_of(row, links))
        cells = "".join(f"<td>{escape(text)}</td>" for text in fields(row))
        lines.append(f'<tr class="{row.verdict}">{cells}<td class="raw">{raw}</td></tr>')
    return "".join(lines) + "</tbody></table>"


def forest(rows: Sequence[Judged], draw: Draw) -> str:
    """The chart, or the reason why it cannot be drawn; the table has the same data."""
    try:
        return draw([forest_spec(rows)])[0]
    except PoolmarkError as error:
        return f"<p>The chart is left out: {escape(error)}</p>"


def as_html(verdict: Verdict, links: Links | None = None, draw: Draw = svgs) -> str:
    """`links`: {"base": HREF, "candidate": HREF}, the run folders relative to the page. `draw`: turns specifications into SVG."""
    changed = sorted_rows(verdict, False)
    everything = sorted_rows(verdict, True)
    drawn = [row for row in everything if row in changed or row.decides][:MOST_ROWS]
    worse = headlines(verdict.of("regression"))[:MOST_HEADLINES]
    reasons = "".join(f"<li>{escape(text)}</li>" for text in [*map(told, worse), *reasons_of(verdict)])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Poolmark: {escape(verdict.word)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(headline(verdict))}</h1>", f"<ul>{reasons}</ul>",
        "<p>" + "<br>".join(escape(line) for line in head_lines(verdict)[:2]) + "</p>",
        f"<p>{escape(counts(verdict))}</p>" if verdict.rows else ""]
    if found := where_to_look.lines(verdict, links):
        parts.append("<h2>Where to look</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in found) + "</ul>")
    if duplicates := suspicious_duplicates(verdict):
        parts.append(f"<p>{escape(duplicates)}</p>")
    if verdict.rows:
        parts.append(f"<p>{escape(HOW_TO_READ)}</p>")
    if drawn:
        parts += ['<h2>What decides, and what changed</h2><p>Point: the change. Bar: its 95 % interval. Grey: the '
                  'noise floor, the baseline against itself. Triangle up: worse. Triangle down: better. Stroke: '
                  f'undecided. In parentheses: no primary metric.</p><div class="scroll">{forest(drawn, draw)}</div>',
                  f'<div class="scroll">{_table(changed, links)}</div>' if changed else "",
                  f'<details><summary>{all_of(len(everything))}</summary><div class="scroll">{_table(everything, links)}</div>'
                  '</details>']
    notes = "".join(f"<li>{escape(note)}</li>" for note in notes_told(verdict.notes))
    return "".join(parts) + (f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "") + "</body></html>\n"
