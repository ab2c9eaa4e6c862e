# SPDX-License-Identifier: Apache-2.0
"""The anomalies below a suite's table: what many cells have is told once. Eighteen cells said the same in fifty-four lines."""
from poolmark.records import summary


def run(kinds):
    return {"cells": [{"id": f"cell.{number}", "metrics": {}, "anomalies": [{"what": what, "text": f"text {number}"} for what in told]}
                      for number, told in enumerate(kinds)], "anomalies": [{"what": "budget", "text": "of the run"}]}


def test_an_anomaly_of_many_cells_is_told_once_with_their_number():
    found = summary.notes(run([["late", "late"]] * 3 + [["late", "busy"], ["busy"]] + [["busy", "slow"]] * 3))
    assert found == ["busy, in 5 of 8 cells, as in cell.3: text 3", "late, in 4 of 8 cells, as in cell.0: text 0", "cell.5: slow: text 5",
                     "cell.6: slow: text 6", "cell.7: slow: text 7", "budget: of the run"]


def test_those_of_few_cells_stand_with_each():
    assert summary.notes(run([["late"], ["late"], ["late"], []]))[:3] == [f"cell.{number}: late: text {number}" for number in range(3)]
