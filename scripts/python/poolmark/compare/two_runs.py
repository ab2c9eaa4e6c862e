# SPDX-License-Identifier: Apache-2.0
"""The verdict on two runs that are there, for every reader of two runs: the command `compare`, and a page of two runs.

    verdict = of_runs(base, candidate, plainly, [text for run in (base, candidate) if (text := damage(run))])
    first_screen(verdict)       the verdict in sentences
"""
from collections.abc import Sequence

from poolmark.base.forms import RecordData
from poolmark.compare import pairing
from poolmark.compare.verdict import INVALID, NOT_COMPARABLE, OK, REGRESSION, Judge, Verdict, compare
from poolmark.compare.verdict_markdown import MOST_HEADLINES, headline, headlines, reasons_of, told
from poolmark.compare.verdict_out import counts, short
from poolmark.records.read_record import Run

ONE_AFTER_THE_OTHER = ("the two runs were measured one after the other: a drift of the host between them counts as a difference of the builds; "
                       "--run measures both in turn")
# Trials of a search have rates that followed from earlier trials, so there is nothing to pair them with.
A_SEARCH = ("is a search for the highest rate; its answer has an interval, and two searches are compared by these (limit.md); name both as "
            "contenders of one search, where they take turns")
# What an exit code means.
MEANINGS = {OK: "no metric that decides is worse by a size that would have been found 19 times in 20",
            REGRESSION: "a metric is worse beyond the noise, or a budget is broken",
            INVALID: "nothing is proven worse, and not everything is decided",
            NOT_COMPARABLE: "there is no pair of figures to judge, or the candidate lacks some, so nothing is said of either run"}
MOST_REASONS = 3


def is_search(data: RecordData) -> bool:
    return data["kind"] == "limit"


def apart(base: RecordData, candidate: RecordData) -> bool:
    """True when one run ended before the other began. False for runs that were joined from interleaved runs."""
    if base["id"] == candidate["id"] or pairing.in_turn(base, candidate):
        return False
    if "nightly" in (base["kind"], candidate["kind"]) and "comparison" not in base:  # joined before records said of which
        return False
    return str(base["ended_utc"]) <= candidate["started_utc"] or str(candidate["ended_utc"]) <= base["started_utc"]


def withdraw(verdict: Verdict, damaged: Sequence[str]) -> None:
    """There is no verdict on a record that is not as it was: its figures may be anything."""
    if damaged:
        verdict.code = NOT_COMPARABLE if verdict.code == NOT_COMPARABLE else INVALID
        verdict.reasons = [*damaged, *verdict.reasons]


def plainly(base: RecordData, candidate: RecordData, share: float = 1.0) -> Verdict:
    """By the suite's primary metrics, without budgets: as `compare BASE CANDIDATE` judges."""
    return compare(base, candidate, share=share)


def of_runs(base: Run, candidate: Run, judge: Judge, damaged: Sequence[str]) -> Verdict:
    """`damaged`: a sentence for each of both that is damaged (verify/complaints.py)."""
    verdict = judge(base.data, candidate.data, 1.0)
    if apart(base.data, candidate.data):
        verdict.notes.append(ONE_AFTER_THE_OTHER)
    withdraw(verdict, damaged)
    return verdict


def first_screen(verdict: Verdict) -> list[str]:
    """The answer; what changed, by how much, how sure; how many tests say what; why it is not more; what it means."""
    lines = [f"{headline(verdict)}."]
    for words, rows in (("Worse", verdict.of("regression")), ("Better", [row for row in verdict.of("improvement") if row.decides])):
        lines += [f"{words}: {told(row)}." for row in headlines(rows)[:MOST_HEADLINES]]
    if verdict.rows:
        lines.append(f"{counts(verdict)}.")
    lines += [f"{text}." for text in short(reasons_of(verdict), MOST_REASONS)]
    lines.append(f"Exit code {verdict.code} of compare: {MEANINGS[verdict.code]}.")
    return lines + [f"Note: {text}." for text in verdict.notes if text == ONE_AFTER_THE_OTHER]
