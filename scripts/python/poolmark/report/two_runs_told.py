# SPDX-License-Identifier: Apache-2.0
"""The first screen of a page of two runs: the verdict of `compare` on them, in its words, with its rows as a table.

    told = verdict_of(source)       None for a page of one run, or of more than two
"""
from dataclasses import dataclass, field

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import CALLED
from poolmark.compare import two_runs, verdict_out
from poolmark.compare.verdict import Verdict
from poolmark.report.report_text import Field, Table
from poolmark.report.source import Source

KINDS = ("suite", "steps", "bench", "load", "soak", "merge", "limit")     # records whose figures `compare` pairs; of a search it says why not
MOST_ROWS = 40


@dataclass(frozen=True)
class Told:
    lines: list[str]                    # the answer first
    tables: list[Table] = field(default_factory=list)


def table_of(verdict: Verdict) -> Table:
    """What decides and what changed."""
    rows = [row for row in verdict_out.sorted_rows(verdict, True) if row.decides or verdict_out.is_shown(row)]
    title = "What decides, and what changed" + (f": the first {MOST_ROWS} of {len(rows)} rows" if len(rows) > MOST_ROWS else "")
    return Table(title, verdict_out.HEADS, [[Field(text) for text in verdict_out.fields(row)] for row in rows[:MOST_ROWS]])


def verdict_of(source: Source) -> Told | None:
    if len(source.runs) != 2 or any(run.data["kind"] not in KINDS for run in source.runs):
        return None
    base, candidate = source.runs
    if (base.data["kind"], base.data.get("suite")) != (candidate.data["kind"], candidate.data.get("suite")):
        return Told(["These two runs are of different suites: there is no verdict on them."])
    if two_runs.is_search(base.data):
        return Told([f"There is no verdict on these two runs: each {two_runs.A_SEARCH}."])
    damaged = [text for run in source.runs if (text := source.unsound.get(run.id, ""))]
    try:
        verdict = two_runs.of_runs(base, candidate, two_runs.plainly, damaged)
    except PoolmarkError as error:
        return Told([f"There is no verdict on these two runs: {error}."])
    whole = f"All of it, with options for budgets and other metrics: {CALLED} compare {base.id} {candidate.id}"
    answer, *rest = two_runs.first_screen(verdict)
    return Told([answer, f"The baseline is {base.id}, the candidate {candidate.id}.", *rest, whole], [table_of(verdict)] if verdict.rows else [])
