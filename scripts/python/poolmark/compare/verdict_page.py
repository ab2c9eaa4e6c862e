# SPDX-License-Identifier: Apache-2.0
"""A verdict as one self-contained page: the answer, a forest plot, the table with links to the raw data.

The forest plot is drawn here as SVG: one line a metric, the change as a point, its interval as a bar, the noise floor as
a grey band. Shapes differ with the verdict (not colour alone), for people who do not see red and green apart.
"""
import html
import math

from poolmark.compare.verdict import Verdict
from poolmark.compare.verdict_markdown import MOST_HEADLINES, headline, headlines, how_sure, in_words, reasons_of
from poolmark.compare.verdict_out import (HEADS, HOW_TO_READ, counts, fields, head_lines, links_of, percent, plain,
                                      sorted_rows)

ROW, LEFT, WIDTH, RIGHT = 24, 380, 460, 90
MOST_ROWS = 200

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
  overflow-wrap: anywhere; min-width: 8rem; } td:nth-child(3) { min-width: 15rem; }
summary { cursor: pointer; }
tr.regression td:first-child { color: var(--worse); font-weight: 600; }
tr.improvement td:first-child { color: var(--better); font-weight: 600; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
a { color: inherit; } @media print { body { max-width: none; } }
"""


def escape(text) -> str:
    return html.escape(plain(text), quote=True)


def _mark(row, x: float, y: float) -> str:
    colour = {"regression": "var(--worse)", "improvement": "var(--better)"}.get(row.verdict, "var(--ink)")
    if row.verdict == "regression":
        return f'<path d="M{x - 6:.1f} {y + 5} L{x + 6:.1f} {y + 5} L{x:.1f} {y - 6} Z" fill="{colour}"/>'
    if row.verdict == "improvement":
        return f'<path d="M{x - 6:.1f} {y - 5} L{x + 6:.1f} {y - 5} L{x:.1f} {y + 6} Z" fill="{colour}"/>'
    fill = "none" if row.verdict == "undecided" else colour
    return f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{fill}" stroke="{colour}"/>'


def _nice(limit: float) -> float:
    for step in (.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 100, 1e6):
        if limit <= step:
            return step
    return limit


def _limit(rows) -> float:
    """The plot's edge: what changed is to be seen, and a noisy row may run out of it."""
    found = [row for row in rows if row.verdict in ("regression", "improvement")] or [row for row in rows if row.decides] or rows
    ends = [abs(value) for row in found for value in (row.effect.low, row.effect.high, row.effect.change)
            if math.isfinite(value)]
    return min(_nice(2 * max([*ends, .005])), 10.0)


def forest_plot(rows) -> str:
    """Changes to the right are for the worse, whatever the metric."""
    def worse(row, value: float) -> float:
        return value if row.better == "lower" else -value

    limit = _limit(rows)
    middle, scale = LEFT + WIDTH / 2, WIDTH / 2 / limit

    def place(value: float) -> float:
        return middle + max(-limit, min(limit, value)) * scale

    height = ROW * (len(rows) + 2)
    parts = [f'<svg role="img" aria-label="Forest plot of the changes" width="{LEFT + WIDTH + RIGHT}" '
             f'height="{height}" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}">',
             f'<line x1="{middle}" x2="{middle}" y1="{ROW}" y2="{height - ROW}" stroke="var(--soft)"/>']
    for value in (-limit, -limit / 2, 0, limit / 2, limit):
        parts.append(f'<text class="soft" x="{place(value):.1f}" y="14" text-anchor="middle">{percent(value)}</text>')
    parts.append(f'<text class="soft" x="{LEFT}" y="{height - 6}">better</text>'
                 f'<text class="soft" x="{LEFT + WIDTH}" y="{height - 6}" text-anchor="end">worse</text>')
    for number, row in enumerate(rows):
        y = ROW * (number + 1) + 12
        low, high = sorted((worse(row, row.effect.low), worse(row, row.effect.high)))
        label = f"{row.cell} {row.metric}"
        shown = label if len(label) <= 56 else label[:27] + "\N{HORIZONTAL ELLIPSIS}" + label[-28:]
        parts += [
            f"<g><title>{escape(label)}: {escape(row.why)}</title>",
            f'<rect x="{place(-row.floor):.1f}" y="{y - 9}" width="{2 * min(row.floor, limit) * scale:.1f}" height="18" '
            'fill="var(--band)"/>',
            f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(shown)}</text>',
            f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{y}" y2="{y}" stroke="var(--ink)" stroke-width="2"/>',
            _mark(row, place(worse(row, row.effect.change)), y),
            f'<text x="{LEFT + WIDTH + 10}" y="{y + 4}">{percent(row.effect.change)}</text></g>']
    return "".join(parts) + "</svg>"


def _table(rows, links) -> str:
    lines = ["<table><thead><tr>" + "".join(f"<th>{escape(head)}</th>" for head in [*HEADS, "raw data"]) +
             "</tr></thead><tbody>"]
    for row in rows:
        raw = "<br>".join(f"{side} " + " ".join(f'<a href="{escape(href)}">{escape(text)}</a>' for text, href in hrefs)
                          for side, hrefs in links_of(row, links))
        cells = "".join(f"<td>{escape(text)}</td>" for text in fields(row))
        lines.append(f'<tr class="{row.verdict}">{cells}<td class="raw">{raw}</td></tr>')
    return "".join(lines) + "</tbody></table>"


def as_html(verdict: Verdict, links: dict | None = None) -> str:
    """`links`: {"base": HREF, "candidate": HREF} of the run folders as seen from the page."""
    changed = sorted_rows(verdict, False)
    everything = sorted_rows(verdict, True)
    drawn = [row for row in everything if row in changed or row.decides][:MOST_ROWS]
    worse = headlines(verdict.of("regression"))[:MOST_HEADLINES]
    told = [f"{row.metric}: {in_words(row)} in {row.cell}; {how_sure(row)}" for row in worse]
    reasons = "".join(f"<li>{escape(text)}</li>" for text in [*told, *reasons_of(verdict)])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Poolmark: {escape(verdict.word)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(headline(verdict))}</h1>", f"<ul>{reasons}</ul>",
        "<p>" + "<br>".join(escape(line) for line in head_lines(verdict)[:2]) + "</p>",
        f"<p>{escape(counts(verdict))}</p>" if verdict.rows else ""]
    if verdict.rows:
        parts.append(f"<p>{escape(HOW_TO_READ)}</p>")
    if changed:
        parts.append(f'<h2>What changed</h2><div class="scroll">{_table(changed, links)}</div>')
    if drawn:
        parts += ['<h2>What decides, and what changed</h2><p>Point: the change. Bar: its 95 % interval. Grey: the '
                  'noise floor, the baseline against itself. Triangle up: worse. Triangle down: better. Empty circle: '
                  f'undecided. In parentheses: no primary metric.</p><div class="scroll">{forest_plot(drawn)}</div>',
                  f'<details><summary>All {len(everything)} metrics</summary><div class="scroll">{_table(everything, links)}</div>'
                  '</details>']
    notes = "".join(f"<li>{escape(note)}</li>" for note in verdict.notes)
    return "".join(parts) + (f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "") + "</body></html>\n"
