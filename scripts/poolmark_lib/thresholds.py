# SPDX-License-Identifier: Apache-2.0
"""Budgets for a comparison (compare --thresholds FILE, TOML):

    [[budget]]
    metric = "memory.per_connection_bytes"   # a name, or a pattern with * and ?
    cell = "*slab*"                          # of cells with such a name; all when left out
    max = 4600                               # the candidate's median may be at most this, in the metric's unit
    min = 10000                              # or at least this
    max_worse_percent = 5                    # or: worse than the baseline by at most so much

max and min are bare numbers in the metric's own unit, that of its name and of run.json: ns for latencies and times (1 ms is
1000000), B for bytes, 1/s for rates, % for pool.hit_rate, 1 for counts. They are kept or broken by the candidate alone.
max_worse_percent says which worsening is accepted for that metric. It is broken when the whole 95 % interval of the change is
beyond it, kept when the whole interval is within, and undecided when it lies inside. No other test decides then.
"""
import fnmatch
import math
import tomllib
from dataclasses import dataclass

from poolmark_lib.errors import UsageError
from poolmark_lib.verdict_out import in_unit

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
        """("over budget" or "under budget", why) when `value` breaks it."""
        if self.max is not None and value > self.max:
            return "over budget", f"{in_unit(value, unit)} is over the budget of {in_unit(self.max, unit)}"
        if self.min is not None and value < self.min:
            return "under budget", f"{in_unit(value, unit)} is under the budget of {in_unit(self.min, unit)}"
        return None


def _budget(path, number: int, table) -> Budget:
    where = f"{path}: budget {number}"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: is no table")
    for key, value in table.items():
        if key not in KEYS:
            raise UsageError(f"{where}: '{key}' is not known; there are {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise UsageError(f"{where}: {key} = {value!r} is not a {'text' if KEYS[key] is str else 'number'}")
        if not isinstance(value, str) and not math.isfinite(value):
            raise UsageError(f"{where}: {key} = {value!r} is not finite")
    if "metric" not in table:
        raise UsageError(f"{where}: 'metric' is missing")
    if not {"max", "min", "max_worse_percent"} & table.keys():
        raise UsageError(f"{where}: says no limit; give max, min or max_worse_percent")
    if table.get("max_worse_percent", 0) < 0:
        raise UsageError(f"{where}: max_worse_percent = {table['max_worse_percent']} is below 0")
    return Budget(**table)


def load(path) -> list[Budget]:
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    unknown = [key for key in data if key != "budget"]
    if unknown or not isinstance(data.get("budget"), list):
        raise UsageError(f"{path}: holds [[budget]] tables and nothing else" +
                         (f"; '{unknown[0]}' is not one" if unknown else ""))
    return [_budget(path, number, table) for number, table in enumerate(data["budget"], 1)]
