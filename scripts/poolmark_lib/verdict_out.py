# SPDX-License-Identifier: Apache-2.0
"""A verdict for terminals, pull requests and machines: table, Markdown, JSON, JUnit XML. The page is verdict_page.py.

Names come out of records: nothing of them goes anywhere unescaped.
"""
import math
import re
from xml.etree import ElementTree

import numpy

from poolmark_lib.units import show_count
from poolmark_lib.verdict import Judged, Verdict

SIGNS = {"regression": "worse", "improvement": "better", "same": "same", "undecided": "too few runs"}
MOST_UNDECIDED = 10
HOW_TO_READ = ("baseline and candidate: medians. change: the median of all pairwise ratios candidate/baseline "
               "(Hodges-Lehmann), which need not be the ratio of the two medians. floor: the baseline against itself.")
ORDER = ("regression", "improvement", "undecided", "same")


def plain(text) -> str:
    """Without control characters: a terminal obeys them."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def in_markdown(text) -> str:
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", text)


def percent(share: float) -> str:
    return f"{share * 100:+.1f} %" if math.isfinite(share) else "-"


def in_unit(value: float, unit: str) -> str:
    scales = {"ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
              "B": ((1 << 30, "GiB"), (1 << 20, "MiB"), (10240, None), (1, "B"))}
    for scale, name in scales.get(unit, ()):
        if abs(value) >= scale:
            value, unit = (value / 1024, "KiB") if name is None else (value / scale, name)
            break
    text = show_count(value) if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text}/s" if unit == "1/s" else f"{text} {'' if unit in ('1', 'count', 'ratio') else plain(unit)}".strip()


def sorted_rows(verdict: Verdict, whole: bool) -> list[Judged]:
    rows = [row for row in verdict.rows if whole or row.verdict != "same"]
    return sorted(rows, key=lambda row: (ORDER.index(row.verdict), -abs(row.effect.change)))


def fields(row: Judged) -> list[str]:
    base, candidate = (in_unit(float(numpy.median(side)), row.unit) for side in (row.base, row.candidate))
    noisy = "too noisy" if row.verdict == "undecided" and row.why.startswith("too noisy") else ""
    return [row.broken or noisy or SIGNS[row.verdict], row.cell, row.metric, base, candidate, percent(row.effect.change),
            f"{percent(row.effect.low)} to {percent(row.effect.high)}", f"{row.q:.2g}", f"{row.floor:.1%}",
            f"{len(row.base)}/{len(row.candidate)}"]


HEADS = ["verdict", "cell", "metric", "baseline", "candidate", "change", "95 % interval", "q", "floor", "n"]


def counts(verdict: Verdict) -> str:
    def words(word: str) -> str:
        count = len(verdict.of(word))
        return f"{count} {word}{'s' if count != 1 and word in ('regression', 'improvement') else ''}"

    return ", ".join(map(words, ORDER))


def head_lines(verdict: Verdict) -> list[str]:
    def side(run: dict) -> str:
        dirty = " (dirty)" if run["tool"].get("dirty") else ""
        return f"{plain(run['id'])}, commit {plain(run['tool']['commit'])[:12]}{dirty}"

    return [f"baseline:  {side(verdict.base)}", f"candidate: {side(verdict.candidate)}",
            f"verdict:   {verdict.word}" + (f" ({counts(verdict)})" if verdict.rows else "")]


def as_table(verdict: Verdict, whole: bool = False) -> str:
    ordered = sorted_rows(verdict, whole)
    # When nothing could be decided, a screen of question marks says no more than the reasons do.
    hidden = 0 if whole else max(0, len(verdict.of("undecided")) - MOST_UNDECIDED)
    if hidden:
        ordered = [row for row in ordered if row.verdict != "undecided"] + verdict.of("undecided")[:MOST_UNDECIDED]
    rows = [[plain(cell) for cell in fields(row)] for row in ordered]
    lines = head_lines(verdict) + [f"  {plain(reason)}" for reason in verdict.reasons]
    if rows:
        widths = [max(map(len, column)) for column in zip(HEADS, *rows)]
        lines.append("")
        for row in [HEADS, *rows]:
            cells = [text.ljust(width) if index < 3 else text.rjust(width)
                     for index, (text, width) in enumerate(zip(row, widths))]
            lines.append("  ".join(cells).rstrip())
        lines += ["", HOW_TO_READ]
    if hidden:
        lines.append(f"{hidden} more are undecided; --all shows them")
    same = len(verdict.of("same"))
    if same and not whole:
        lines += ["", f"{same} metrics are the same; --all shows them"]
    return "\n".join(lines + [f"note: {plain(note)}" for note in verdict.notes])


def as_markdown(verdict: Verdict, links: dict | None = None) -> str:
    """For a pull request: the answer first, the changed metrics, the rest folded away."""
    lines = [f"## {verdict.word.capitalize()}", ""]
    lines += [f"{in_markdown(line)}  " for line in head_lines(verdict)[:2]]
    lines += ["", counts(verdict) if verdict.rows else "", ""]
    lines += [f"- {in_markdown(reason)}" for reason in verdict.reasons] + [""]

    def table(rows):
        yield "| " + " | ".join(HEADS) + " |"
        yield "|" + "---|" * len(HEADS)
        for row in rows:
            cells = [in_markdown(cell) for cell in fields(row)]
            linked = [f"{side} " + " ".join(f"[{text}]({href})" for text, href in hrefs)
                      for side, hrefs in links_of(row, links)]
            cells[2] += f" ({', '.join(linked)})" if linked else ""
            yield "| " + " | ".join(cells) + " |"

    changed = sorted_rows(verdict, False)
    if changed:
        lines += [*table(changed), ""]
    if verdict.rows:
        lines += [in_markdown(HOW_TO_READ), ""]
    same = sorted(verdict.of("same"), key=lambda row: (row.cell, row.metric))
    if same:
        lines += ["<details>", f"<summary>{len(same)} metrics without a change</summary>", "", *table(same), "",
                  "</details>", ""]
    lines += [f"- {in_markdown(note)}" for note in verdict.notes]
    return "\n".join(lines).rstrip() + "\n"


def links_of(row: Judged, links: dict | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """(side, [(text, href), ...]): the raw data behind a row, the file of each repetition by its number."""
    from urllib.parse import quote

    found = []
    for side in ("base", "candidate"):
        root, paths = (links or {}).get(side), row.files.get(side, [])
        if root is not None and paths:
            found.append((side, [(str(number), quote(f"{root}/{path}")) for number, path in enumerate(paths, 1)]))
    return found


def as_json(verdict: Verdict) -> dict:
    def side(run: dict) -> dict:
        return {"id": run["id"], "commit": run["tool"]["commit"], "dirty": run["tool"]["dirty"], "status": run["status"]}

    def finite(value: float):
        return value if math.isfinite(value) else None

    return {
        "schema": "poolmark.verdict/1", "verdict": verdict.word, "exit_code": verdict.code,
        "reasons": verdict.reasons, "notes": verdict.notes,
        "differences": [{"fact": fact, "baseline": ours, "candidate": theirs}
                        for fact, ours, theirs in verdict.differences],
        "baseline": side(verdict.base), "candidate": side(verdict.candidate),
        "metrics": [{
            "cell": row.cell, "config": row.config, "metric": row.metric, "unit": row.unit, "better": row.better,
            "verdict": row.verdict, "why": row.why, "baseline": row.base, "candidate": row.candidate,
            "change": finite(row.effect.change), "low": finite(row.effect.low), "high": finite(row.effect.high),
            "difference": finite(row.effect.difference), "p": row.p, "q": row.q, "floor": finite(row.floor),
        } for row in verdict.rows],
    }


def as_junit(verdict: Verdict) -> bytes:
    """JUnit XML, which CI systems show: a test a metric, skipped when undecided."""
    def xml_text(text) -> str:
        return plain(text)

    suite = ElementTree.Element("testsuite", name="poolmark compare", tests=str(max(1, len(verdict.rows))),
                                failures=str(len(verdict.of("regression"))),
                                skipped=str(len(verdict.of("undecided"))),
                                errors="0" if verdict.rows else "1")
    for row in verdict.rows:
        case = ElementTree.SubElement(suite, "testcase", classname=xml_text(row.cell), name=xml_text(row.metric))
        line = xml_text(f"{percent(row.effect.change)} ({row.why})")
        if row.verdict == "regression":
            ElementTree.SubElement(case, "failure", message=line).text = xml_text("  ".join(fields(row)))
        elif row.verdict == "undecided":
            ElementTree.SubElement(case, "skipped", message=line)
    if not verdict.rows:
        case = ElementTree.SubElement(suite, "testcase", classname="compare", name="comparable")
        ElementTree.SubElement(case, "error", message=xml_text("; ".join(verdict.reasons)))
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
