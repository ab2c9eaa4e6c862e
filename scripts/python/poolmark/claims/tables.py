# SPDX-License-Identifier: Apache-2.0
"""The verdicts as a table: for the terminal, Markdown, one HTML page, and as values for the record."""
import html
import textwrap
from collections.abc import Mapping

from poolmark.base.escape import markdown, terminal
from poolmark.base.forms import Json
from poolmark.base.table import markdown_table, text_table
from poolmark.claims.catalogue import claimed_text, number_text
from poolmark.claims.measured import Measure
from poolmark.claims.verdict import CONTRADICTS, FAILS, HOLDS, NOISY, UNMEASURED, Judged

Measures = Mapping[str, Measure]    # by the claim's id
Links = Mapping[str, str]           # run -> file that it left

HEAD = ["claim", "said", "measured", "verdict"]
KIND_TEXT = {"forecast": "forecast", "reference": "of the reference run, not measured in this one", "computed": "computed"}
WHY_COLUMNS, WHY_INDENT, SEQUENCE_SHOWN = 118, "    ", 4
ORDER = (HOLDS, FAILS, CONTRADICTS, NOISY, UNMEASURED)

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --band: #8884; --good: #0a6fb8; --bad: #c4500a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --good: #6db9f2; --bad: #ff9a4d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 75rem; margin: 0 auto; padding: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--band); }
td.verdict { font-weight: 600; white-space: nowrap; } tr.holds td.verdict { color: var(--good); }
tr.does-not-hold td.verdict, tr.contradicts-itself td.verdict { color: var(--bad); } a { color: inherit; }
@media print { body { max-width: none; } }
"""


def unit_of(judged: Judged) -> str:
    unit = judged.claim.unit.partition(",")[0]
    return "" if unit in ("ratio", "sequence") else f" {unit}"


def measured_text(judged: Judged, whole: bool = False) -> str:
    """The median and the extremes: "3.42 MB (3.41 to 3.43)". Of a sequence its first and last numbers, or all (`whole`)."""
    if judged.measured is None:
        return "nothing"
    if judged.sequence:
        numbers = [number_text(value) for value in judged.sequence]
        cut = numbers if whole or len(numbers) <= SEQUENCE_SHOWN + 1 else [*numbers[:SEQUENCE_SHOWN - 1], "...", numbers[-1]]
        return ", ".join(cut)
    value, low, high = judged.value or 0.0, judged.low or 0.0, judged.high or 0.0  # a claim that was measured has all three
    spread = f" ({number_text(low)} to {number_text(high)})" if high > low else ""
    kind = KIND_TEXT.get(judged.measured.kind)
    return f"{number_text(value)}{unit_of(judged)}{spread}" + (f", {kind}" if kind else "")


def claimed_short(judged: Judged) -> str:
    numbers = judged.claim.expect
    if len(numbers) > SEQUENCE_SHOWN + 1:
        return ", ".join([*map(number_text, numbers[:SEQUENCE_SHOWN - 1]), "...", number_text(numbers[-1])])
    return claimed_text(judged.claim)


def counts_text(judged: list[Judged]) -> str:
    found = [(word, sum(one.verdict == word for one in judged)) for word in ORDER]
    plural = {HOLDS: "hold", FAILS: "do not hold", CONTRADICTS: "contradict themselves", NOISY: "too noisy to tell",
              UNMEASURED: "could not be measured"}
    return f"{len(judged)} claims: " + ", ".join(f"{count} {plural[word]}" for word, count in found if count) + "."


def rows_of(judged: list[Judged]) -> list[list[str]]:
    return [[one.claim.id, claimed_short(one), measured_text(one), one.verdict] for one in judged]


def monitoring_rows(watched: list[Json]) -> list[list[str]]:
    return [[one["threshold"], one["measured"], one["verdict"]] for one in watched]


MONITORING_HEAD = ["threshold of the monitoring table", "measured", "verdict"]


def terminal_text(judged: list[Judged], watched: list[Json]) -> str:
    """A table whose rows are followed by their reasons."""
    head, line, *rows = text_table(HEAD, rows_of(judged), "llll").split("\n")
    lines = [head, line]
    for row, one in zip(rows, judged, strict=True):
        lines.append(row)
        lines += textwrap.wrap(terminal(one.why), WHY_COLUMNS, initial_indent=WHY_INDENT, subsequent_indent=WHY_INDENT)
    if watched:
        lines += ["", text_table(MONITORING_HEAD, monitoring_rows(watched), "lll")]
    return "\n".join([*lines, "", counts_text(judged)])


def runs_of(one: Judged, measures: Measures, links: Links) -> list[tuple[str, str]]:
    """(name, link) of the runs that a claim was judged by."""
    return [(name, link) for source in measures[one.claim.id].sources for name, link in links.items() if name.split(":")[0] == source]


def markdown_rows(judged: list[Judged], measures: Measures, links: Links) -> str:
    """A row for each claim, with the statement and links to the runs where there are any."""
    head = ["claim", "said", "measured", "verdict", "why", *(["runs"] if links else [])]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in judged:
        cells = [f"`{one.claim.id}`", *map(markdown, (f"{one.claim.says} ({claimed_text(one.claim)})", measured_text(one, whole=True))),
                 f"**{one.verdict}**", markdown(one.why)]
        if links:
            cells.append(", ".join(f"[{markdown(name)}]({href})" for name, href in runs_of(one, measures, links)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_markdown(judged: list[Judged], watched: list[Json], measures: Measures, links: Links, notes: list[str]) -> str:
    parts = ["# Published claims, measured again", counts_text(judged), *notes, markdown_rows(judged, measures, links)]
    if watched:
        parts += ["## The monitoring table's thresholds", markdown_table(MONITORING_HEAD, monitoring_rows(watched), "lll")]
    return "\n\n".join(parts) + "\n"


def _escape(text: object) -> str:
    return html.escape(terminal(text), quote=True)


def as_html(judged: list[Judged], watched: list[Json], measures: Measures, links: Links, notes: list[str]) -> str:
    def row(cells: list[str], name: str = "td") -> str:
        return "".join(f"<{name}>{cell}</{name}>" for cell in cells)

    lines = []
    for one in judged:
        runs = " ".join(f'<a href="{_escape(href)}">{_escape(name)}</a>' for name, href in runs_of(one, measures, links))
        said = f"{_escape(one.claim.says)} <b>{_escape(claimed_text(one.claim))}</b>"
        lines.append(f'<tr class="{one.verdict.replace(" ", "-")}"><td><code id="{_escape(one.claim.id)}">{_escape(one.claim.id)}</code></td>'
                     f'<td>{said}</td><td>{_escape(measured_text(one, whole=True))}</td><td class="verdict">{_escape(one.verdict)}</td>'
                     f"<td>{_escape(one.why)}</td><td>{runs}</td></tr>")
    head = row(["claim", "said", "measured", "verdict", "why", "runs"], "th")
    page = ['<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Poolmark: published claims</title><style>{STYLE}</style></head><body><h1>Published claims, measured again</h1>",
            f"<p>{_escape(counts_text(judged))}</p>", *(f"<p>{_escape(note)}</p>" for note in notes),
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>']
    if watched:
        page += ["<h2>The monitoring table's thresholds</h2><div class=\"scroll\"><table><thead><tr>", row(MONITORING_HEAD, "th"),
                 "</tr></thead><tbody>", *(f"<tr>{row(list(map(_escape, cells)))}</tr>" for cells in monitoring_rows(watched)),
                 "</tbody></table></div>"]
    return "".join(page) + "</body></html>\n"


def as_values(one: Judged, measures: Measures) -> Json:
    """A claim for the record's summary."""
    return {"id": one.claim.id, "said": claimed_text(one.claim), "unit": one.claim.unit, "verdict": one.verdict, "why": one.why,
            "value": one.value, "low": one.low, "high": one.high, "sequence": list(one.sequence) or None,
            "kind": one.measured.kind if one.measured else None, "shown": measured_text(one, whole=True),
            "runs": list(measures[one.claim.id].sources)}
