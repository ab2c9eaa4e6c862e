# SPDX-License-Identifier: Apache-2.0
"""Budgets for a comparison (compare --thresholds FILE, TOML):

    [[budget]]
    metric = "memory.per_connection_bytes"   # a name, or a pattern with * and ?
    cell = "*slab*"                          # a pattern of cell names; all cells when left out
    max = 4600                               # upper bound of the candidate's median, in the metric's unit
    min = 10000                              # lower bound of it
    max_worse_percent = 5                    # bound of the worsening against the baseline

max and min are bare numbers in the metric's unit in run.json: ns for latencies and times (1 ms is 1000000), B for bytes, 1/s for
rates, % for pool.hit_rate, 1 for counts. Only the median of the candidate counts for them; a look of --until-sure wants a sign test
of its repetitions besides. max_worse_percent is the accepted
worsening. It is broken when the whole 95 % interval of the change is beyond it, and kept when the whole interval is within it.
Otherwise the metric is undecided. No other test decides then.
"""
import fnmatch
import math
import tomllib
from dataclasses import dataclass

from poolmark.facts import described
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import Faults
from poolmark.compare.verdict_out import in_unit

KEYS = {"metric": str, "cell": str, "max": (int, float), "min": (int, float), "max_worse_percent": (int, float)}


@dataclass(frozen=True)
class Budget:
    metric: str
    cell: str = "*"
    max: float | None = None
    min: float | None = None
    max_worse_percent: float | None = None

    def covers(self, cell: str, metric: str) -> bool:
        return fnmatch.fnmatchcase(metric, self.metric) and fnmatch.fnmatchcase(cell, self.cell)

    def broken_by(self, value: float, unit: str) -> tuple[str, str] | None:
        """("over budget" or "under budget", reason) when `value` breaks it."""
        if self.max is not None and value > self.max:
            return "over budget", f"{in_unit(value, unit)} is over the budget of {in_unit(self.max, unit)}"
        if self.min is not None and value < self.min:
            return "under budget", f"{in_unit(value, unit)} is under the budget of {in_unit(self.min, unit)}"
        return None


def _check(faults: Faults, where: tuple, table, names: list[str]) -> None:
    for key, value in table.items():
        if key not in KEYS:
            faults.add((*where, key), f"'{key}' is not known", KEYS, key)
        elif not isinstance(value, KEYS[key]) or isinstance(value, bool):
            faults.add((*where, key), f"{key} = {value!r} is not a {'text' if KEYS[key] is str else 'number'}")
        elif not isinstance(value, str) and not math.isfinite(value):
            faults.add((*where, key), f"{key} = {value!r} is not finite")
        elif key == "max_worse_percent" and value < 0:
            faults.add((*where, key), f"max_worse_percent = {value} is below 0")
    metric = table.get("metric")
    if metric is None:
        faults.add(where, "'metric' is missing")
    elif isinstance(metric, str) and names and not described.is_measured(metric, names):
        faults.add((*where, "metric"), f"no program measures {metric!r}", names, metric)
    if not {"max", "min", "max_worse_percent"} & table.keys():
        faults.add(where, "says no limit; give max, min or max_worse_percent")


def _names() -> list[str]:
    """All known metric names. Empty when the programs are not built; names are then not checked."""
    try:
        return [metric["name"] for metric in described.catalogue()]
    except PoolmarkError:
        return []


def load(path) -> list[Budget]:
    """Reads the budgets. Reports all faults of the file at once, with their lines."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    unknown = [key for key in data if key != "budget"]
    tables = data.get("budget")
    if unknown or not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise UsageError(f"{path}: holds [[budget]] tables and nothing else" +
                         (f"; '{unknown[0]}' is not one" if unknown else ""))
    faults, names = Faults(str(path), text), _names()
    for number, table in enumerate(tables):
        _check(faults, ("budget", number), table, names)
    faults.end()
    return [Budget(**table) for table in tables]
