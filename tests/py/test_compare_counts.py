# SPDX-License-Identifier: Apache-2.0
"""compare: losses stand first, and what was 0 is told as counts and never in per cent."""
import re

import numpy
import pytest
from test_compare import make_run

from poolmark.compare import pairing, verdict, verdict_markdown, verdict_out, verdict_page
from poolmark.compare.thresholds import Budget

DECIDE = ["connect.p99", "delivery.p99", "messages.lost", "clients.failed"]


def lossy(values, seed):
    """Six cells with noisy tails; the fourth loses messages in some repetitions."""
    run, rng = make_run(seed=seed, repetitions=len(values), cells=6, spread=.3), numpy.random.default_rng(seed)
    for cell in run["cells"]:
        lost = values[cell["repetition"] - 1] if cell["id"].startswith("cell-3") else 0
        cell["metrics"] |= {"delivery.p99": {"value": 1e5 * float(numpy.exp(rng.normal(0, .4))), "unit": "ns", "better": "lower"},
                            "messages.lost": {"value": lost, "unit": "1", "better": "lower"},
                            "clients.failed": {"value": 0, "unit": "1", "better": "lower"}}
        cell["status"] = "incomplete" if lost else "complete"
    return run


def of(base, candidate, **options):
    return verdict.compare(lossy(base, 1), lossy(candidate, 2), judged=DECIDE, **options)


def lost(found):
    return next(row for row in found.rows if row.metric == "messages.lost" and row.cell == "cell-3")


def everything(found):
    found.notes.clear()
    return [verdict_out.as_table(found, True), verdict_markdown.as_markdown(found), verdict_page.as_html(found, draw=lambda specs: [str(specs)]),
            verdict_out.as_junit(found).decode(), *(row.why for row in found.rows)]


@pytest.mark.parametrize("some", [1, 2, 3])
def test_a_loss_in_some_runs_is_the_first_reason_and_says_how_much(some):
    """It stood behind seven tails that were too noisy, "and 12 more"; of three in six it said that a quieter host would help."""
    found = of([0] * 6, [500] * some + [0] * (6 - some))
    told = f"{500 * some} in {some} of 6 runs, 0 in 6 of the baseline"
    assert found.code == verdict.INVALID and len(found.reasons) > 8
    assert found.reasons[1].startswith(f"cell-3 messages.lost: {told}: too few runs to tell (p = ")
    assert verdict_markdown.headline(found).startswith(f"Undecided: messages.lost looks worse, more often: {told} in cell-3")
    row = next(line for line in verdict_out.as_table(found).splitlines() if line.startswith("undecided"))
    assert re.search(rf"cell-3 +messages.lost +0 in 6 +{500 * some} in {some} of 6 +more often", row) and row.split()[-2] == "-"


def test_a_loss_that_is_proven_is_the_first_reason_as_well():
    found = of([0] * 6, [500] * 6)
    assert found.code == verdict.REGRESSION and re.fullmatch(
        r"cell-3 messages.lost: p = 0.00\d+, 3000 in 6 runs, 0 in 6 of the baseline", found.reasons[0])


def test_an_interval_of_counts_is_in_counts():
    """It was -20000.0 % to +60000.0 %, and a count cannot fall by more than all of it."""
    found = of([0, 3, 0, 900, 2, 0], [400, 500, 600, 700, 450, 550])
    row = lost(found)
    assert verdict_out.fields(row)[3:7] == ["1", "525", "+499", "-200 to +600"]
    assert row.why.startswith("3200 in 6 runs, 905 in 3 of 6 of the baseline: looks worse (p = ")


def test_beside_a_baseline_of_nothing_no_per_cent_is_printed():
    for found in (of([0] * 6, [0] * 6), of([0] * 6, [500] * 6), of([0] * 6, [5, 0, 0, 0, 0, 0]), of([0, 0, 0, 4], [0, 1, 0, 0])):
        assert not any("%" in text for text in [*verdict_out.fields(lost(found)), lost(found).why]), verdict_out.fields(lost(found))


def test_nothing_infinite_is_printed():
    """Four runs at a first look have no interval: "it may be inf % worse", of eight identical zeros as well."""
    budgets = [Budget("messages.lost", max_worse_percent=5), Budget("connect.p99", cell="cell-1", max_worse_percent=5)]
    for found in (of([0] * 4, [0] * 4, share=.45), of([0] * 4, [500] * 4, share=.45), of([0] * 6, [500] * 6, budgets=budgets),
                  of([0] * 3, [500] * 3, budgets=budgets), of([0] * 6, [0] * 5 + [9], budgets=budgets)):
        for text in everything(found):
            assert not re.search(r"\b(inf|nan)\b", text), re.search(r".{60}\b(inf|nan)\b.{20}", text)
    calm = verdict.compare(*(make_run(seed=seed, repetitions=4, metric="memory.full_bytes", unit="B") for seed in (1, 2)), share=.45)
    assert calm.rows[0].why.startswith("4 repetitions give no interval, 5 do; 5 repetitions would find "), calm.rows[0].why
    assert lost(of([0] * 4, [0] * 4, share=.45)).why == "0 in 4 runs, 0 in 4 of the baseline: 4 repetitions give no interval, 5 do"


def test_a_time_from_nothing_is_told_by_its_difference():
    base, candidate = (make_run(seed=seed, metric="pool.longest_expansion_ns", level=level, repetitions=6, cells=1) for seed, level in ((1, 0), (2, 4e6)))
    found = verdict.compare(base, candidate, judged=["*"])
    assert found.code == verdict.REGRESSION and found.rows[0].why.endswith(", 0 ns to 3.996 ms"), found.rows[0].why


def test_what_some_runs_have_is_counted_over_all_of_them():
    assert [pairing.in_some(values) for values in ([0.0] * 6, [0.0, 3.0, 4.0], [2.0, 2.0])] == ["0 in 6", "7 in 2 of 3", "4 in 2"]
