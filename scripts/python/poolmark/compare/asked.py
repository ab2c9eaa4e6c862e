# SPDX-License-Identifier: Apache-2.0
"""What a budget is to a verdict, and what is said of budgets and names that judge nothing."""
import fnmatch
from collections.abc import Sequence
from typing import Protocol

from poolmark.base.forms import MetricData, RecordData
from poolmark.compare.pairing import Direction, Judged


class Budget(Protocol):
    """A bound that a metric has to hold; thresholds.py reads them."""

    @property
    def metric(self) -> str: ...

    @property
    def cell(self) -> str: ...

    @property
    def max(self) -> float | None: ...

    @property
    def min(self) -> float | None: ...

    @property
    def max_worse_percent(self) -> float | None: ...

    def covers(self, cell: str, metric: str, unit: str) -> bool: ...

    def broken_by(self, value: float, unit: str) -> tuple[str, str] | None: ...


def has_bound(budget: Budget) -> bool:
    return budget.max is not None or budget.min is not None


def direction_by(budgets: Sequence[Budget]) -> Direction:
    """A metric without a better direction gets one by its bound: max, less is better; min, more is."""
    def direction(cell: str, metric: str, one: MetricData) -> str:
        bounds = [budget for budget in budgets if one["better"] == "none" and has_bound(budget) and budget.covers(cell, metric, one["unit"])]
        return one["better"] if not bounds else "lower" if bounds[0].max is not None else "higher"

    return direction


def idle_budgets(budgets: Sequence[Budget], rows: list[Judged], candidate: RecordData) -> list[str]:
    """Budgets that cover nothing that both runs measured: they are not kept, they are not looked at."""
    undirected = {name for cell in candidate["cells"] for name, one in cell["metrics"].items() if one["better"] == "none"}
    return [f"budget of {budget.metric} in cells {budget.cell}: "
            + ("neither more nor less of it is worse: give it max or min" if any(fnmatch.fnmatchcase(name, budget.metric) for name in undirected)
               else "no such metric was measured in both runs") for budget in budgets
            if not any(budget.covers(row.cell, row.metric, row.unit) for row in rows)]


def unmatched_why(pattern: str, candidate: RecordData) -> str:
    wanted = pattern.rpartition(":")[2]
    known = [name for cell in candidate["cells"] for name, one in cell["metrics"].items() if one["better"] == "none"]
    return ("neither more nor less of it is worse; a budget with max or min judges it (--thresholds)"
            if any(fnmatch.fnmatchcase(name, wanted) for name in known) else "no metric of both has such a name")
