# SPDX-License-Identifier: Apache-2.0
"""A verdict as Markdown for a pull request or a nightly summary. It shows on one screen what got worse, by how much, how sure
that is and where to look. The rest is folded, and cut where it would be too long; the page has all of it.
"""
import numpy

from poolmark.base.escape import markdown as in_markdown
from poolmark.compare import where_to_look as where
from poolmark.compare.how_much import change_of, has_no_percentage, in_unit, interval_of, is_sometimes
from poolmark.compare.pairing import COMBINED, Judged, notes_told
from poolmark.compare.verdict import Verdict
from poolmark.compare.verdict_out import (HEADS, HOW_TO_READ, REST, Links, counts, fields, head_lines, is_shown, least, links_of, rank,
                                      short, suspicious_duplicates)

MOST_HEADLINES = 5
MOST_ROWS = 20
MOST_TABLE_BYTES = 8_000    # of one table; three tables and the folded ones are at most 60 000 bytes


def in_words(row: Judged) -> str:
    """The change in words, without Markdown."""
    base, candidate = (float(numpy.median(side)) for side in (row.base, row.candidate))
    from_to = f"{in_unit(base, row.unit)} to {in_unit(candidate, row.unit)}"
    if is_sometimes(row):
        return f"more often: {row.in_runs}"
    if row.broken or not numpy.isfinite(row.effect.change):
        return from_to + (f", {row.why}" if row.broken else "")
    sure = f", interval {interval_of(row)}" if row.effect.low != row.effect.high else ""
    return f"{change_of(row)} ({from_to}{sure})"


def how_sure(row: Judged) -> str:
    if row.broken:
        return "the budget is broken"
    p = row.q if row.verdict == "regression" else row.q_better
    text = f"p = {p:.2g}, corrected for everything tested"
    if row.role == COMBINED or row.more_often:
        return text
    middle = float(numpy.median(row.base))
    beyond = sum((value > middle) == (row.worse[0] > 0) == (row.better == "lower") for value in row.candidate
                 if value != middle)
    return f"{text}; {beyond} of {len(row.candidate)} runs of the candidate beyond the baseline\'s median"


def told(row: Judged) -> str:
    """A change with its size and how sure it is, without Markdown."""
    return f"{row.metric}: {in_words(row)} in {row.where}; {how_sure(row)}"


def headlines(rows: list[Judged]) -> list[Judged]:
    """One row a metric: the combined row if it has the same verdict, otherwise the cell with the largest change."""
    found: dict[str, Judged] = {}
    for row in sorted(rows, key=rank):
        found.setdefault(row.metric, row)
    return list(found.values())


def headline(verdict: Verdict) -> str:
    worse = headlines(verdict.of("regression") or [row for row in verdict.deciding if row.suspicious or row.is_loss and row.verdict == "undecided"])
    if not worse:
        return verdict.word.capitalize()
    first = worse[0]
    more = f", and {len(worse) - 1} more" if len(worse) > 1 else ""
    if first.broken:
        return f"{verdict.word.capitalize()}: {first.metric} {first.broken} in {first.cell} ({first.why}){more}"
    size = change_of(first) if numpy.isfinite(first.effect.change) and not is_sometimes(first) else in_words(first)
    looks = "looks worse, " if first.verdict != "regression" else ""
    return f"{verdict.word.capitalize()}: {first.metric} {looks}{size} in {first.where}{more}"


def bullets(rows: list[Judged], links: Links | None) -> list[str]:
    lines = []
    for row in headlines(rows)[:MOST_HEADLINES]:
        same = sorted((one for one in rows if one.metric == row.metric and one.role != COMBINED),
                      key=lambda one: -abs(one.effect.change))
        cells = row.cell if row.role != COMBINED or not same else f"{row.cell}, most in {same[0].cell}"
        where = next((text for one in [row, *same] if (text := linked(one, links))), "")
        lines.append(f"- **{in_markdown(row.metric)}** {in_markdown(in_words(row))} in {in_markdown(cells)}; "
                     f"{in_markdown(how_sure(row))}{where}")
    left = len(headlines(rows)) - MOST_HEADLINES
    return lines + ([f"- and {left} more metrics, below"] if left > 0 else [])


def linked(row: Judged, links: Links | None) -> str:
    """The first repetition\'s raw data of each side."""
    found = [f"[{side}]({hrefs[0][1]})" for side, hrefs in links_of(row, links)]
    return f"; raw data: {', '.join(found)}" if found else ""


def table(rows: list[Judged], most_bytes: int = MOST_TABLE_BYTES) -> list[str]:
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    size = 0
    for number, row in enumerate(rows):
        line = "| " + " | ".join(in_markdown(cell) for cell in fields(row)) + " |"
        size += len(line.encode())
        if size > most_bytes:
            return [*lines, "", f"{len(rows) - number} more are on the page (verdict.html)."]
        lines.append(line)
    return lines


def open_table(rows: list[Judged]) -> list[str]:
    """The undecided rows, and what would decide them."""
    lines = ["| cell | metric | change | 95 % interval | what would decide |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row.cell, row.metric, change_of(row), interval_of(row), row.why]
        lines.append("| " + " | ".join(in_markdown(cell) for cell in cells) + " |")
    return lines


def folded(title: str, lines: list[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def part(title: str, rows: list[Judged]) -> list[str]:
    """A heading and a table; rows beyond MOST_ROWS are folded."""
    if not rows:
        return []
    lines = [f"### {title}", "", *table(rows[:MOST_ROWS]), ""]
    if len(rows) > MOST_ROWS:
        lines += folded(f"{len(rows) - MOST_ROWS} more", table(rows[MOST_ROWS:], MOST_TABLE_BYTES // 2))
    return lines


def reasons_of(verdict: Verdict) -> list[str]:
    """The reasons without those of regressions, which the headlines show."""
    told = {f"{row.cell} {row.metric}: {row.why}" for row in verdict.of("regression")}
    return [reason for reason in verdict.reasons if reason not in told and not reason.removesuffix("; measured twice") in told]


def where_to_look(verdict: Verdict, links: Links | None) -> list[str]:
    told = where.lines(verdict, links)
    return ["**Where to look**", "", *(f"- {in_markdown(line)}" for line in told), ""] if told else []


def found_from(verdict: Verdict) -> list[tuple[str, float]]:
    """(metric, the size that would have been found in its noisiest cell) for metrics that are the same."""
    sizes: dict[str, float] = {}
    for row in verdict.deciding:
        if row.verdict == "same" and 0 < row.finds <= row.limit and not has_no_percentage(row):
            sizes[row.metric] = max(row.finds, sizes.get(row.metric, 0.0))
    return sorted(sizes.items())


def as_markdown(verdict: Verdict, links: Links | None = None) -> str:
    worse = sorted(verdict.of("regression"), key=rank)
    lines = [f"## {in_markdown(headline(verdict))}", "", *bullets(worse, links), *([""] if worse else [])]
    lines += where_to_look(verdict, links)
    lines += [f"- {in_markdown(reason)}" for reason in short(reasons_of(verdict))]
    lines += ["", *(f"{in_markdown(line)}  " for line in head_lines(verdict)[:2])]
    if verdict.rows:
        finds = found_from(verdict)
        lines += ["", in_markdown(counts(verdict)), ""]
        if finds:
            lines += ["A worsening would have been found from: " + ", ".join(
                f"{in_markdown(metric)} {least(size)}" for metric, size in finds[:8]) + ".", ""]
    if told := suspicious_duplicates(verdict):
        lines += [in_markdown(told), ""]
    better = sorted((row for row in verdict.of("improvement") if is_shown(row)), key=rank)
    open_rows = sorted((row for row in verdict.of("undecided") if is_shown(row)), key=rank)
    lines += part("Worse", worse) + part("Better", better)
    if open_rows:
        lines += ["### Not decided", "", *open_table(open_rows[:MOST_ROWS]), ""]
    shown = {id(row) for row in [*worse, *better, *open_rows[:MOST_ROWS]]}
    rest = sorted((row for row in verdict.rows if id(row) not in shown), key=rank)
    if rest:
        lines += folded(f"{len(rest)} more: {REST}", table(rest, 2 * MOST_TABLE_BYTES))
    if verdict.rows:
        lines += folded("How to read it", [in_markdown(HOW_TO_READ)])
    lines += [f"- {in_markdown(note)}" for note in short(notes_told(verdict.notes))]
    return "\n".join(lines).rstrip() + "\n"
