# SPDX-License-Identifier: Apache-2.0
"""A verdict for terminals and machines: table, JSON, JUnit XML. See verdict_markdown.py for Markdown, verdict_page.py for the
page.

Names come from records, so every output escapes them.
"""
import math
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy

from poolmark.base.escape import terminal as plain
from poolmark.base.forms import Json, RecordData
from poolmark.compare.how_much import change_of, has_no_percentage, in_unit, interval_of, is_sometimes, losses_first, percent
from poolmark.compare.pairing import COMBINED, Judged, in_some, is_count, notes_told
from poolmark.compare.primary import DUPLICATE
from poolmark.compare.statistics_of_pairs import relative
from poolmark.base.units import plural
from poolmark.compare.verdict import Verdict, scale_of

Links = Mapping[str, str]   # "base", "candidate" -> the run's folder, as a page links to it

SIGNS = {"regression": "worse", "improvement": "better", "same": "same", "undecided": "undecided"}
MOST_LINES = 40         # of a table on a terminal or in a summary; the page has all lines
HOW_TO_READ = ("baseline and candidate: medians; of a count that only some runs have, how many in how many runs. change: the median of all pairwise ratios candidate/baseline "
               "(Hodges-Lehmann), which need not be the ratio of the two medians, with its exact interval. p: corrected for "
               "all metrics tested. finds: a worsening of that size would have been found 19 times in 20.")
REST = "the same, told by another metric, or not primary and not worse"
ORDER = ("regression", "improvement", "undecided", "same")


def least(share: float) -> str:
    if not math.isfinite(share):
        return "nothing"
    if share == 0:
        return "any"
    return f"{share:.1%}".replace("%", " %") if share < 0.1 else f"{share:.0%}".replace("%", " %") if share < 10 else "> 1000 %"


def from_to(before: float, after: float, unit: str, better: str) -> str:
    """"worse by +5.0 %", or "worse, from 0 to 500", since a change from zero has no percentage."""
    if before == after:
        return "the same"
    word = {"none": "changed", "higher": "better"}.get(better, "worse")
    if after < before:
        word = {"worse": "better", "better": "worse"}.get(word, word)
    change = relative(after - before, before)
    if not math.isfinite(change):
        return f"{word}, from {in_unit(before, unit)} to {in_unit(after, unit)}"
    return f"{word} by {percent(change)}"


def rank(row: Judged) -> tuple[int, bool, bool, bool, bool, bool, float, str, str]:
    """Sort key: worse before better, deciding rows before others, losses that were not there before, combined rows before cells, larger
    changes first."""
    return (ORDER.index(row.verdict), not row.decides, *losses_first(row), row.role != COMBINED,
            -min(abs(row.effect.change), 1e9), row.cell, row.metric)


def is_shown(row: Judged) -> bool:
    """Rows shown by default: changes, undecided rows that decide, rows that look worse."""
    if row.role == DUPLICATE:
        return False
    return row.verdict in ("regression", "improvement") or row.verdict == "undecided" and (row.decides or row.suspicious or row.is_loss)


def suspicious_duplicates(verdict: Verdict, most: int = 6) -> str:
    """One line on metrics that repeat another one and look worse: they decide nothing, and a reader should know. "" without any."""
    found = sorted((row for row in verdict.rows if row.role == DUPLICATE and row.suspicious and row.worse[1] > row.floor), key=rank)
    told = [f"{row.cell} {row.metric} {change_of(row)}" for row in found[:most]]
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return f"Look worse and decide nothing, because another metric tells the same: {', '.join(told)}{more}" if found else ""


def sorted_rows(verdict: Verdict, whole: bool) -> list[Judged]:
    return sorted((row for row in verdict.rows if whole or is_shown(row)), key=rank)


def word(row: Judged) -> str:
    """The verdict in words; in parentheses when the row does not decide."""
    text = row.broken or ("suspicious" if row.suspicious else SIGNS[row.verdict])
    return text if row.decides else f"({text})"


def finds_of(row: Judged) -> str:
    """The least change that would be found; as a number where there is no percentage. Of what only some runs have nothing is known."""
    if is_sometimes(row):
        return "-"
    if not has_no_percentage(row) or not math.isfinite(row.finds) or not row.finds:
        return least(row.finds)
    size = row.finds * scale_of(row)
    return in_unit(math.ceil(size) if is_count(row.unit, row.better) else size, row.unit)


def fields(row: Judged) -> list[str]:
    base, candidate = (in_unit(float(numpy.median(side)), row.unit) for side in (row.base, row.candidate))
    if is_sometimes(row):
        base, candidate = in_some(row.base), in_some(row.candidate)
    p = min(row.q, row.q_better)
    size = "" if row.role == COMBINED else f"{len(row.base)}/{len(row.candidate)}"
    return [word(row), row.cell, row.metric, base, candidate, change_of(row), interval_of(row), f"{p:.2g}",
            finds_of(row), size]


HEADS = ["verdict", "cell", "metric", "baseline", "candidate", "change", "95 % interval", "p", "finds", "n"]


def counts(verdict: Verdict) -> str:
    """Counts of the deciding rows by verdict, and of other rows that are worse."""
    found = [f"{sum(row.verdict == word for row in verdict.deciding)} {SIGNS[word]}" for word in ORDER]
    others = sum(row.verdict == "regression" for row in verdict.rows if not row.decides)
    text = f"{plural(len(verdict.deciding), 'test')} of primary metrics: {', '.join(found)}"
    return text + (f"; {others} worse beyond doubt among the others" if others else "")


def head_lines(verdict: Verdict) -> list[str]:
    def side(run: RecordData) -> str:
        dirty = " (dirty)" if run["tool"].get("dirty") else ""
        build = f", build {plain(run['build'])}" if isinstance(run.get("build"), str) else ""
        return f"{plain(run['id'])}, commit {plain(run['tool']['commit'])[:12]}{dirty}{build}"

    return [f"baseline:  {side(verdict.base)}", f"candidate: {side(verdict.candidate)}",
            f"verdict:   {verdict.word}" + (f" ({counts(verdict)})" if verdict.rows else "")]


def columns(rows: list[list[str]], left: int = 3) -> list[str]:
    """Rows as lines; the first `left` columns are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(text.ljust(width) if index < left else text.rjust(width)
                      for index, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def as_table(verdict: Verdict, whole: bool = False) -> str:
    ordered = sorted_rows(verdict, whole)
    shown = ordered if whole else ordered[:MOST_LINES]
    lines = head_lines(verdict) + [f"  {plain(reason)}" for reason in short(verdict.reasons)]
    if shown:
        lines += ["", *columns([HEADS, *([plain(cell) for cell in fields(row)] for row in shown)]), "", HOW_TO_READ]
    if any(not row.decides for row in shown):
        lines.append("(in parentheses: no primary metric; it does not decide unless it is worse beyond doubt)")
    hidden = len(verdict.rows) - len(shown)
    if hidden:
        lines += ["", f"{plural(hidden, 'more metric')} of cells: {REST}; --all shows them"
                  if len(shown) == len(ordered) else f"{plural(hidden, 'more metric')} of cells; --all shows them"]
    if told := suspicious_duplicates(verdict):
        lines += ["", plain(told)]
    return "\n".join(lines + [f"note: {plain(note)}" for note in notes_told(verdict.notes)])


def short(texts: list[str], most: int = 8) -> list[str]:
    return texts if len(texts) <= most else [*texts[:most], f"and {len(texts) - most} more"]


def links_of(row: Judged, links: Links | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """(side, [(text, href), ...]): links to the raw data of a row, one a repetition, by its number."""
    from urllib.parse import quote

    found = []
    for side in ("base", "candidate"):
        root, paths = (links or {}).get(side), row.files.get(side, [])
        if root is not None and paths:
            found.append((side, [(str(number), quote(f"{root}/{path}")) for number, path in enumerate(paths, 1)]))
    return found


def as_json(verdict: Verdict) -> Json:
    def side(run: RecordData) -> Json:
        return {"id": run["id"], "commit": run["tool"]["commit"], "dirty": run["tool"]["dirty"], "status": run["status"]}

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "schema": "poolmark.verdict/1", "verdict": verdict.word, "exit_code": verdict.code,
        "reasons": verdict.reasons, "notes": verdict.notes,
        "differences": [{"fact": fact, "baseline": ours, "candidate": theirs}
                        for fact, ours, theirs in verdict.differences],
        "baseline": side(verdict.base), "candidate": side(verdict.candidate),
        "metrics": [{
            "cell": row.cell, "config": row.config, "metric": row.metric, "unit": row.unit, "better": row.better,
            "role": row.role,
            "verdict": row.verdict, "why": row.why, "baseline": row.base, "candidate": row.candidate,
            "change": finite(row.effect.change), "low": finite(row.effect.low), "high": finite(row.effect.high),
            "difference": finite(row.effect.difference), "p": row.p, "q": row.q, "q_better": row.q_better, "floor": finite(row.floor),
            "finds": finite(row.finds),
        } for row in verdict.rows],
    }


def as_junit(verdict: Verdict) -> bytes:
    """JUnit XML for CI systems: one test a metric, skipped when undecided."""
    def xml_text(text: object) -> str:
        return plain(text)

    suite = ElementTree.Element("testsuite", name="poolmark compare", tests=str(max(1, len(verdict.rows))),
                                failures=str(len(verdict.of("regression"))),
                                skipped=str(len(verdict.of("undecided"))),
                                errors="0" if verdict.rows else "1")
    for row in verdict.rows:
        case = ElementTree.SubElement(suite, "testcase", classname=xml_text(row.cell), name=xml_text(row.metric))
        line = xml_text(f"{change_of(row)} ({row.why})")
        if row.verdict == "regression":
            ElementTree.SubElement(case, "failure", message=line).text = xml_text("  ".join(fields(row)))
        elif row.verdict == "undecided":
            ElementTree.SubElement(case, "skipped", message=line)
    if not verdict.rows:
        case = ElementTree.SubElement(suite, "testcase", classname="compare", name="comparable")
        ElementTree.SubElement(case, "error", message=xml_text("; ".join(verdict.reasons)))
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
