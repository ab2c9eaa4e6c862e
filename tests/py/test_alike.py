# SPDX-License-Identifier: Apache-2.0
"""`within` of a [[ratio]]: two sides are called the same only when all of their ratio's interval is near 1."""
import random

import pytest

from poolmark.base import pairwise
from poolmark.records import summary

FIVE = [100.0, 101.0, 99.0, 100.5, 99.5]


def scaled(by):
    return [by * value for value in FIVE]


@pytest.mark.parametrize("ours, within, told", [
    (scaled(1.0), 0.05, "the same within 5 % (-1.5 to +1.5 %)"),
    (scaled(1.5), 0.1, "not the same: +"),
    (scaled(0.5), 0.1, "not the same: -"),
    (scaled(1.1), 0.1, "undecided: +"),          # part of its interval is beyond
    (scaled(1.0), 0.01, "undecided: -"),         # the noise is more than is allowed
    ([0.0, *FIVE], 0.5, "undecided: a value is 0"),
])
def test_a_verdict_is_by_the_interval(ours, within, told):
    assert summary.alike(ours, FIVE, within).startswith(told)


def test_three_runs_of_each_have_no_interval():
    assert summary.alike(FIVE[:3], FIVE[:3], 0.5) == "undecided: it takes four runs of each"


def test_a_share_is_as_much_above_as_below():
    assert summary.alike(scaled(1.18), FIVE, 0.25).startswith("the same") and summary.alike(FIVE, scaled(1.18), 0.25).startswith("the same")
    assert summary.alike(scaled(1.4), FIVE, 0.25).startswith("not") and summary.alike(FIVE, scaled(1.4), 0.25).startswith("not")


def test_what_differs_by_the_bound_is_seldom_called_the_same():
    """An equivalence test at 2.5 %: of 400 pairs of sides that differ by just as much as is allowed, few are called the same."""
    draw, same = random.Random(4), 0
    for _ in range(400):
        ours, theirs = ([draw.lognormvariate(0, 0.03) for _ in range(6)] for _ in range(2))
        same += summary.alike([1.1 * value for value in ours], theirs, 0.1).startswith("the same")
    assert same <= 20       # 10 are expected, and 20 are three standard deviations more


def test_a_ratio_says_its_verdict():
    def cell(ranks, value):
        return {"config": {"ranks": ranks}, "metrics": {"connect.p50": {"value": value, "unit": "ns", "better": "lower"}}}

    cells = [cell(ranks, 1000 * value) for ranks in (2, 8) for value in FIVE]
    ratio = {"metric": "connect.p50", "of": {"ranks": 8}, "to": {"ranks": 2}}
    assert summary.ratio_line(cells, ratio, None).endswith("8 / 2, 5 and 5 runs")
    assert summary.ratio_line(cells, {**ratio, "within": 0.05}, None).endswith("8 / 2, 5 and 5 runs: the same within 5 % (-1.5 to +1.5 %)")


@pytest.mark.parametrize("ours, theirs, told", [
    ([0.0] * 6, [0.0] * 6, ": 0 (0 to 0) / 0 (0 to 0) 8 / 2, 6 and 6 runs: the same in every run"),
    ([8000.0] * 3, [8000.0] * 3, ": 8 000 (8 000 to 8 000) / 8 000 (8 000 to 8 000) = 1.00 (1.00 to 1.00) 8 / 2, 3 and 3 runs: the same in every run"),
    ([0.0, 0.0, 0.0, 3.0], [0.0] * 4, ": 0 (0 to 3) / 0 (0 to 0) 8 / 2, 4 and 4 runs: undecided: a value is 0")])
def test_counts_are_the_same_when_no_run_has_another(ours, theirs, told):
    cells = [{"config": {"ranks": ranks}, "metrics": {"messages.lost": {"value": value, "unit": "1", "better": "lower"}}}
             for ranks, values in ((8, ours), (2, theirs)) for value in values]
    ratio = {"metric": "messages.lost", "of": {"ranks": 8}, "to": {"ranks": 2}}
    assert summary.ratio_line(cells, {**ratio, "within": 0.01}, None) == f"messages.lost{told}"
    assert (summary.ratio_line(cells, ratio, None) is None) == (min(theirs) == 0)      # it has no ratio, and no verdict was asked for


def test_the_orders_of_mann_whitney_are_counted_exactly():
    assert pairwise.mann_whitney(2, 2) == (1, 1, 2, 1, 1)
    assert sum(pairwise.mann_whitney(10, 12)) == 646646     # 22 over 10
    # Beyond the exact bound: as near to it as a normal distribution is.
    assert pairwise.rank_of_limit([(50, 50)]) == pytest.approx(pairwise.rank_of_limit([(51, 51)]), rel=0.06)
