# SPDX-License-Identifier: Apache-2.0
"""compare and nightly: what a sound test cannot say is not "same", not kept, not withdrawn."""
import numpy
import pytest
from scipy import stats
from test_compare import make_run

from poolmark.ci import nightly
from poolmark.compare import sequential, verdict, verdict_markdown
from poolmark.compare.pairing import Judged
from poolmark.compare.thresholds import Budget


def row_of(found, cell="cell-0", metric="connect.p99"):
    return next(row for row in found.rows if (row.cell, row.metric) == (cell, metric))


def ends_with(values, bound):
    """"broken" or "kept", as --until-sure would end by this budget; "" when it never does."""
    for count, share in zip(sequential.LOOKS, sequential.SHARES, strict=True):
        row = Judged("c", {}, "connect.p99", "ns", "lower", [1.0] * count, values[:count])
        broken, unsure = verdict.apply_bounds(row, [Budget("connect.p99", max=bound)], share, 1)
        if not unsure:
            return "broken" if broken else "kept"
    return ""


def test_looks_at_a_budget_are_wrong_no_more_often_than_one():
    """The true median is the bound itself, so either answer is wrong. One look by the median would give one each time."""
    generator = numpy.random.default_rng(21)
    ends = [ends_with(list(generator.normal(0, 1, 19)), 0.0) for _ in range(400)]
    most = stats.binom.ppf(.999, 400, verdict.ALPHA)
    assert ends.count("broken") <= most and ends.count("kept") <= most
    assert ends_with([9.0] * 19, 0.0) == "broken" and ends_with([-9.0] * 19, 0.0) == "kept"


def test_an_early_look_calls_no_budget_kept_by_four_values():
    budgets = [Budget("connect.p99", cell="cell-0", max=1e9)]

    def at(share, repetitions):
        return verdict.compare(make_run(seed=1, repetitions=repetitions), make_run(seed=2, repetitions=repetitions), budgets=budgets, share=share)

    early = row_of(at(.45, 4))
    assert early.verdict == "undecided" and early.why == "within its budget, in 4 of 4 repetitions: too few to be sure"
    assert at(1.0, 9).code == verdict.OK and "too few" not in row_of(at(.45, 9)).why


def test_many_budgets_share_the_error_rate():
    budgets = [Budget("connect.p99", max=1.0)]
    base, candidate = make_run(seed=1, repetitions=9, cells=40), make_run(seed=2, repetitions=9, cells=40)
    assert row_of(verdict.compare(base, candidate, budgets=budgets, share=.1375)).verdict == "undecided"
    assert row_of(verdict.compare(base, candidate, budgets=budgets, share=1.0)).verdict == "regression"


def test_a_bound_that_is_unsure_hides_no_regression_of_another_test():
    """A row that waited for its max was taken out of all other tests."""
    found = verdict.compare(make_run(seed=1), make_run(seed=2, scale=1.3), budgets=[Budget("connect.p99", max=1.3e6)], share=.1375)
    assert row_of(found).verdict == "regression" and "p =" in row_of(found).why
    both = [Budget("connect.p99", max=1.3e6, max_worse_percent=5)]
    assert "the budget is 5.0 %" in row_of(verdict.compare(make_run(seed=1), make_run(seed=2, scale=1.3), budgets=both, share=.1375)).why


def with_noise(run, seed):
    """A second primary metric that nothing can be said of."""
    generator = numpy.random.default_rng(seed)
    for cell in run["cells"]:
        cell["metrics"]["memory.full_bytes"] = {"value": float(numpy.exp(generator.normal(0, 2))), "unit": "B", "better": "lower"}
    return run


def test_a_max_is_not_kept_by_the_repetitions_that_have_a_value():
    """Of a metric that is not primary, too."""
    base, candidate = with_noise(make_run(seed=1, cells=1), 3), with_noise(make_run(seed=2, cells=1), 4)
    for cell in candidate["cells"][:3]:
        cell["metrics"]["memory.full_bytes"]["value"] = None
    found = verdict.compare(base, candidate, budgets=[Budget("memory.full_bytes", max=1e9)])
    row = row_of(found, metric="memory.full_bytes")
    assert row.verdict == "undecided" and "3 repetitions without a value" in row.why and found.code == verdict.INVALID


def lossy(seed, lost):
    run = make_run(seed=seed, repetitions=len(lost), cells=1)
    for cell, value in zip(run["cells"], lost, strict=True):
        cell["metrics"]["messages.lost"] = {"value": value, "unit": "1", "better": "lower"}
    return run


@pytest.mark.parametrize("ours, theirs, word", [
    ([0] * 6, [0, 0, 0, 0, 0, 500], "undecided"), ([0] * 19, [0] * 18 + [1], "undecided"),
    ([1] + [0] * 5, [5_000_000] + [0] * 5, "undecided"), ([0] * 6, [0] * 6, "same"), ([500] + [0] * 5, [0] * 5 + [400], "same")])
def test_losses_in_few_runs_are_not_the_same(ours, theirs, word):
    """An interval of medians is 0 to 0 there."""
    found = verdict.compare(lossy(1, ours), lossy(2, theirs), judged=["messages.lost"])
    row = row_of(found, metric="messages.lost")
    assert row.verdict == word, row.why
    assert (found.code == verdict.OK) == (word == "same")


def test_each_name_of_judge_has_to_be_there():
    found = verdict.compare(make_run(seed=1), make_run(seed=2), judged=["connect.p99", "conect.p99"])
    assert found.code == verdict.NOT_COMPARABLE and found.reasons == ["--judge conect.p99: no metric of both has such a name"]
    assert verdict.compare(make_run(seed=1), make_run(seed=2), judged=["connect.p99", "cell-7:*"], allow_missing=True).code == verdict.OK


def test_a_withdrawn_regression_leaves_undecided_what_was_undecided():
    """It made the night "no regression", whatever the other primary metrics were."""
    judged = ["connect.p99", "memory.full_bytes"]
    first = verdict.compare(with_noise(make_run(seed=1, cells=1), 3), with_noise(make_run(seed=2, cells=1, scale=1.2), 4), judged=judged)
    assert first.code == verdict.REGRESSION and row_of(first, metric="memory.full_bytes").verdict == "undecided"
    second = verdict.compare(make_run(seed=5, cells=1), make_run(seed=6, cells=1), judged=judged[:1])
    nightly.confirm(first, second)
    assert row_of(first).verdict == "same" and first.code == verdict.INVALID
    assert any("memory.full_bytes" in reason for reason in first.reasons)


@pytest.mark.parametrize("spread, scale, word", [(.3, 1.0, "same"), (.3, 1.05, "undecided"), (.01, 1.0, "same")])
def test_a_second_measurement_withdraws_what_it_excludes(spread, scale, word):
    """It withdrew +20 % of a tail because its own +5 % was nearer to none, or because it had found no doubling."""
    first = verdict.compare(make_run(seed=1, cells=1), make_run(seed=2, cells=1, scale=1.2))
    second = verdict.compare(make_run(seed=5, cells=1, spread=spread), make_run(seed=6, cells=1, spread=spread, scale=scale))
    row_of(second).verdict = word
    excluded = row_of(second).at_worst <= row_of(first).worse[0] / 2
    assert excluded == (spread == .01)
    nightly.confirm(first, second)
    assert row_of(first).verdict == ("same" if excluded else "undecided")
    assert first.code == (verdict.OK if excluded else verdict.INVALID)


def test_losses_from_none_are_not_withdrawn_by_half():
    """Half of infinitely much more is never reached again."""
    first = verdict.compare(lossy(1, [0] * 6), lossy(2, [500, 400, 600, 500, 300, 200]), judged=["messages.lost"])
    assert first.code == verdict.REGRESSION
    second = verdict.compare(lossy(3, [0] * 6), lossy(4, [0, 0, 0, 500, 400, 0]), judged=["messages.lost"])
    assert row_of(second, metric="messages.lost").verdict == "undecided"
    nightly.confirm(first, second)
    assert row_of(first, metric="messages.lost").verdict == "undecided" and first.code == verdict.INVALID


def test_a_primary_metric_without_a_value_on_both_sides_is_no_clean_bill():
    base, candidate = with_noise(make_run(seed=1), 3), with_noise(make_run(seed=2), 4)
    for cell in base["cells"] + candidate["cells"]:
        cell["metrics"]["memory.full_bytes"]["value"] = None
    named = verdict.compare(base, candidate, judged=["connect.p99", "memory.full_bytes"])
    assert named.code == verdict.INVALID and "cell-0 memory.full_bytes: a primary metric that was measured on neither side" in named.reasons
    assert verdict.compare(base, candidate, judged=["all"]).code == verdict.OK     # nobody asked for this one


def test_losses_in_more_runs_are_told_by_the_runs_and_first():
    """Their medians do not differ, so the comment said "+0.0 % (0 to 0)", below all else that was worse."""
    base, candidate = lossy(1, [0] * 12), lossy(2, [0] * 7 + [300, 500, 700, 800, 600])
    for cell in candidate["cells"]:
        cell["metrics"]["connect.p99"]["value"] *= 1.2
    found = verdict.compare(base, candidate, judged=["connect.p99", "messages.lost"])
    text = verdict_markdown.as_markdown(found)
    assert found.code == verdict.REGRESSION and "+0.0 %" not in text.split("###")[0]
    assert text.startswith("## Regression: messages.lost more often: 2900 in 5 of 12 runs, 0 in 12 of the baseline in cell-0, and 1 more\n")


def test_the_headline_of_an_undecided_comparison_says_what_looks_worse():
    candidate = make_run(seed=4, repetitions=4, spread=.05, cells=12)
    for cell in candidate["cells"][:4]:
        cell["metrics"]["connect.p99"]["value"] *= 1.1
    found = verdict.compare(make_run(seed=1, repetitions=4, spread=.05, cells=12), candidate)
    assert found.code == verdict.INVALID and any(row.suspicious for row in found.deciding)
    assert verdict_markdown.as_markdown(found).startswith("## Undecided: connect.p99 looks worse, +")


def test_a_candidate_cannot_take_a_metric_from_the_primary_ones():
    base, candidate = with_noise(make_run(seed=1), 3), with_noise(make_run(seed=2), 4)
    base["config"] |= {"primary": ["connect.p99", "memory.full_bytes"]}
    candidate["config"] |= {"primary": ["connect.p99"]}
    assert row_of(verdict.compare(base, candidate), metric="memory.full_bytes").role == "primary"


def with_some_worse(repetitions, some, times, metric="connect.p99"):
    base, candidate = (make_run(seed=seed, repetitions=repetitions, cells=1, spread=.002, metric=metric) for seed in (1, 2))
    for cell in candidate["cells"][:some]:
        cell["metrics"][metric]["value"] *= times
    return verdict.compare(base, candidate)


@pytest.mark.parametrize("metric, repetitions, some, times", [("connect.p99", 96, 19, 100), ("connect.p99", 40, 18, 3),
                                                              ("memory.per_connection_bytes", 96, 19, 100)])
def test_a_minority_of_runs_that_is_worse_than_any_of_the_baselines_is_not_the_same(metric, repetitions, some, times):
    found = with_some_worse(repetitions, some, times, metric)
    assert found.code != verdict.OK and f"in {some} of {repetitions} runs worse than in any" in row_of(found, metric=metric).why


def test_one_odd_run_is_not_such_a_minority():
    assert row_of(with_some_worse(40, 1, 3)).worse_than_all(verdict.ALPHA) == ""
    assert with_some_worse(96, 0, 1).code == verdict.OK


def test_what_the_printed_interval_leaves_open_is_not_the_same():
    found = row_of(with_some_worse(19, 6, 3))
    assert found.worse[2] > 1.9 and found.verdict == "undecided"
