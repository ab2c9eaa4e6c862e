# SPDX-License-Identifier: Apache-2.0
"""compare --thresholds: budgets, how they decide, and what is wrong with a file of them."""
import pytest
from test_compare import make_run

from poolmark.base.errors import UsageError
from poolmark.compare import thresholds, verdict, verdict_markdown, verdict_out


def test_an_early_look_needs_more_than_the_middle_of_four_to_break_a_budget(tmp_path):
    """A sequential comparison looks often. One value on the wrong side must not end it."""
    file = tmp_path / "budgets.toml"
    file.write_text('[[budget]]\nmetric = "connect.p99"\ncell = "cell-2"\nmax = 2000000\n')
    budgets = thresholds.load(file)

    def row(share, repetitions):
        found = verdict.compare(make_run(seed=1, repetitions=repetitions), make_run(seed=2, repetitions=repetitions),
                                budgets=budgets, share=share)
        return next(row for row in found.rows if (row.cell, row.metric) == ("cell-2", "connect.p99"))
    assert row(1.0, 4).verdict == "regression"
    assert row(0.45, 4).verdict == "undecided" and "in 4 of 4 repetitions: too few to be sure" in row(0.45, 4).why
    assert row(0.45, 9).verdict == "regression"


def test_budgets_say_what_is_accepted_and_what_is_not(tmp_path):
    file = tmp_path / "budgets.toml"
    file.write_text('[[budget]]\nmetric = "connect.*"\nmax_worse_percent = 10\n')
    five = verdict.compare(make_run(seed=1), make_run(seed=2, scale=1.05), budgets=thresholds.load(file))
    assert five.code == verdict.OK
    file.write_text('[[budget]]\nmetric = "connect.p99"\ncell = "cell-2"\nmax = 2000000\n')
    over = verdict.compare(make_run(seed=1), make_run(seed=2), budgets=thresholds.load(file))
    assert over.code == verdict.REGRESSION and [row.cell for row in over.of("regression")] == ["cell-2"]


@pytest.mark.parametrize("text, names", [
    ("[[budget]]\nmax = 1\n", "metric"), ("[[budget]]\nmetric = 'x'\n", "no limit"),
    ("[[budget]]\nmetric = 'x'\nmax = 'y'\n", "max"), ("[[budget]]\nmetric='x'\nmaximum=1\n", "maximum"),
    ("[[budget]]\nmetric='connect.p99'\nmax=1\n[[budget]]\nmetric='memory.per_conection_bytes'\nmax=nan\n",
     r"b.toml:5: no program measures 'memory.per_conection_bytes'; did you mean 'memory.per_connection_bytes'\?"),
    ("[[budget]]\nmetric='x'\nmax=1\nmin=2\n", "min = 2 is above max = 1"), ("budget = []\n", "has no budget"),
    ("[[budget]]\nmetric='x'\nmax=nan\n", "finite"), ("x = 1\n", "budget"), ("[[", "TOML")])
def test_a_broken_budget_file_is_named(tmp_path, text, names):
    file = tmp_path / "b.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=names) as caught:
        thresholds.load(file)
    assert "b.toml" in str(caught.value)


def test_a_budget_is_decided_by_the_intervals_near_end(tmp_path):
    file = tmp_path / "budgets.toml"

    def at(percent, scale):
        file.write_text(f'[[budget]]\nmetric = "connect.p99"\nmax_worse_percent = {percent}\n')
        return verdict.compare(make_run(seed=1, cells=1), make_run(seed=2, scale=scale, cells=1),
                               budgets=thresholds.load(file))

    assert at(5, 1.10).code == verdict.REGRESSION and "at least" in at(5, 1.10).reasons[0]
    assert at(5, 1.05).code == verdict.INVALID and "budget of 5.0 % is within" in "".join(at(5, 1.05).reasons)
    assert at(8, 1.05).code == verdict.OK


def test_a_broken_budget_is_said_in_units(tmp_path):
    file = tmp_path / "budgets.toml"
    file.write_text('[[budget]]\nmetric = "connect.p99"\nmax = 1000\n')
    found = verdict.compare(make_run(seed=1, cells=1, spread=0), make_run(seed=2, cells=1, spread=0),
                            budgets=thresholds.load(file))
    assert "1 ms is over the budget of 1 us" in found.reasons[0]
    assert "over budget" in verdict_out.as_table(found) and "Hodges-Lehmann" in verdict_markdown.as_markdown(found)
    assert verdict_out.in_unit(10054.2, "1/s") == "10 054/s" and verdict_out.in_unit(0.00123, "1") == "0.00123"


@pytest.mark.parametrize("budget", ['metric = "delivery.p99"\nmax = 1', 'metric = "connect.p99"\ncell = "no-such-*"\nmax = 1e9'])
def test_a_budget_that_covers_nothing_is_not_kept(tmp_path, budget):
    file = tmp_path / "budgets.toml"
    file.write_text(f"[[budget]]\n{budget}\n")
    found = verdict.compare(make_run(seed=1), make_run(seed=2), budgets=thresholds.load(file))
    assert found.code == verdict.INVALID and any("no such metric was measured in both runs" in reason for reason in found.reasons)
    assert verdict.compare(make_run(seed=1), make_run(seed=2), budgets=thresholds.load(file), allow_missing=True).code == verdict.OK


def test_a_budget_is_not_kept_by_the_repetitions_that_have_a_value(tmp_path):
    file = tmp_path / "budgets.toml"
    file.write_text('[[budget]]\nmetric = "connect.p99"\nmax_worse_percent = 50\n')
    candidate = make_run(seed=2, cells=1)
    for cell in candidate["cells"][:3]:
        cell["metrics"]["connect.p99"]["value"] = None
        cell["metrics"]["clients.failed"] = {"value": 0, "unit": "1", "better": "lower"}
    found = verdict.compare(make_run(seed=1, cells=1), candidate, budgets=thresholds.load(file))
    row = next(row for row in found.rows if row.metric == "connect.p99")
    assert row.verdict == "undecided" and row.why.startswith("3 repetitions without a value")


def test_bounds_have_units(tmp_path):
    file = tmp_path / "budgets.toml"

    def at(bound):
        file.write_text(f'[[budget]]\nmetric = "connect.p99"\nmax = {bound}\n')
        return verdict.compare(make_run(seed=1, cells=1), make_run(seed=2, cells=1), budgets=thresholds.load(file))

    assert at('"500us"').code == verdict.REGRESSION and "is over the budget of 500 us" in at('"500us"').reasons[0]
    assert at('"60ms"').code == at('"0.06 s"').code == at(60_000_000).code == verdict.OK
    assert thresholds.with_unit("20KiB") == (20480.0, "B") and thresholds.with_unit("10k/s") == (10_000.0, "1/s")
    assert thresholds.with_unit("99.5%") == (99.5, "%")


def test_a_pattern_with_a_unit_covers_only_metrics_of_that_unit():
    budget = thresholds.Budget("connect.*", max=6e7, unit="ns")
    assert budget.covers("x", "connect.p99", "ns") and budget.covers("x", "connect.seconds", "s") and not budget.covers("x", "connect.rate", "1/s")
    assert budget.broken_by(0.07, "s")[0] == "over budget" and budget.broken_by(0.05, "s") is None


@pytest.mark.parametrize("bound, says", [('"60 furlongs"', "is not a number, or one with a unit"), ('"60"', "with a unit"),
                                         ('"20KiB"', "is not in the unit of connect.p99: ns"), ("true", "with a unit"),
                                         ('"60ms"\nmin = 4', "in different units")])
def test_wrong_units_are_faults_of_the_file(tmp_path, bound, says):
    file = tmp_path / "b.toml"
    file.write_text(f'[[budget]]\nmetric = "connect.p99"\nmax = {bound}\n')
    with pytest.raises(UsageError, match=says):
        thresholds.load(file)


@pytest.mark.parametrize("low, high", [('"60ms"', '"10ms"'), ('"1s"', '"999ms"'), ("2", "1")])
def test_a_min_above_its_max_is_a_fault_in_any_unit(tmp_path, low, high):
    file = tmp_path / "b.toml"
    file.write_text(f'[[budget]]\nmetric = "connect.p99"\nmin = {low}\nmax = {high}\n')
    with pytest.raises(UsageError, match=r"1 fault, nothing was started\n.*b\.toml:3: min = .* is above max"):
        thresholds.load(file)


@pytest.mark.parametrize("head", ["[[budgets]]", "[budget]", "[[budgt]]"])
def test_a_table_of_another_name_or_kind_hides_no_fault_within_it(tmp_path, head):
    file = tmp_path / "b.toml"
    file.write_text(f'{head}\nmetric = "connect.p98"\nmax = "60 furlongs"\nmaxi = 1\n\n[x]\ny = 1\n')
    with pytest.raises(UsageError) as caught:
        thresholds.load(file)
    told = str(caught.value)
    assert "b.toml:1: " in told and "b.toml:3: max = " in told and "b.toml:4: 'maxi' is not known" in told and "b.toml:6: 'x' is not a key" in told
    assert "is missing" not in told and "says no limit" not in told
    assert len(told.splitlines()) in (5, 6)     # the metric's name is only known with the programs


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path):
    file = tmp_path / "b.toml"
    file.write_bytes('[[budget]]\nmetric = "connect.p99"\n# Größe\nmax = 1\n'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"b\.toml:3: byte 0xf6 is not UTF-8"):
        thresholds.load(file)
