# SPDX-License-Identifier: Apache-2.0
"""Budgets for a comparison (compare --thresholds FILE, TOML):

    [[budget]]
    metric = "memory.per_connection_bytes"   # a name, or a pattern with * and ?
    cell = "*slab*"                          # a pattern of cell names; all cells when left out
    max = "4600B"                            # upper bound of the candidate's median
    min = 10000                              # lower bound of it
    max_worse_percent = 5                    # bound of the worsening against the baseline

max and min are texts with a unit, "60ms", "20KiB", "10k/s", "99%", or bare numbers in the metric's unit in run.json: ns for latencies and
times (1 ms is 1000000), B for bytes, 1/s for rates, % for pool.hit_rate, 1 for counts. A bound with a unit is for metrics of that unit. Only the median of the candidate counts for them; a look of --until-sure wants a sign test
of its repetitions besides, for "broken" and for "kept". max_worse_percent is the accepted
worsening. It is broken when the whole 95 % interval of the change is beyond it, and kept when the whole interval is within it.
Otherwise the metric is undecided. No other test decides then.
"""
import fnmatch
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import described
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import Faults, likely
from poolmark.base.forms import Json, Place
from poolmark.base.toml_text import read_text
from poolmark.base.units import parse_bytes, parse_count, parse_seconds
from poolmark.compare.how_much import in_unit

BUDGET = "budget"
BOUNDS = ("max", "min")
KEYS: Mapping[str, type[object] | tuple[type[object], ...]] = {
    "metric": str, "cell": str, "max": (int, float, str), "min": (int, float, str), "max_worse_percent": (int, float)}
WITH_UNITS = 'a number, or one with a unit: "60ms", "20KiB", "10k/s", "99%"'


def with_unit(text: str) -> tuple[float, str]:
    """A bound with a unit, in the unit of run.json, and that unit: "60ms" is (6e7, "ns")."""
    text = text.replace(" ", "")
    if re.fullmatch(r"[\d.]+(ns|us|ms|s|m|h)", text):
        return parse_seconds(text) * 1e9, "ns"
    if re.fullmatch(r"[\d.]+([kKMG]?i?B)", text):
        return float(parse_bytes(text)), "B"
    if re.fullmatch(r"[\d.]+[kKMG]?/s", text):
        return float(parse_count(text.removesuffix("/s"))), "1/s"
    if re.fullmatch(r"\d+(\.\d+)?%", text):
        return float(text[:-1]), "%"
    raise UsageError(f"{text!r} is not {WITH_UNITS}")


@dataclass(frozen=True)
class Budget:
    metric: str
    cell: str = "*"
    max: float | None = None
    min: float | None = None
    max_worse_percent: float | None = None
    unit: str | None = None     # of max and min, where they have one; the budget is for metrics of this unit

    def covers(self, cell: str, metric: str, unit: str) -> bool:
        return (fnmatch.fnmatchcase(metric, self.metric) and fnmatch.fnmatchcase(cell, self.cell)
                and (self.unit is None or unit == self.unit or self.unit == "ns" and unit == "s"))

    def bound(self, which: str, unit: str) -> float | None:
        """max or min in the unit of the metric. Times of some metrics are in seconds."""
        value: float | None = getattr(self, which)
        return value / 1e9 if value is not None and self.unit == "ns" and unit == "s" else value

    def broken_by(self, value: float, unit: str) -> tuple[str, str] | None:
        """("over budget" or "under budget", reason) when `value` breaks it."""
        high, low = self.bound("max", unit), self.bound("min", unit)
        if high is not None and value > high:
            return "over budget", f"{in_unit(value, unit)} is over the budget of {in_unit(high, unit)}"
        if low is not None and value < low:
            return "under budget", f"{in_unit(value, unit)} is under the budget of {in_unit(low, unit)}"
        return None


def _check_units(faults: Faults, where: Place, table: Json, units: dict[str, str]) -> None:
    """Bounds with a unit: a metric that the pattern may mean has to have it."""
    found: set[str] = set()
    for key in BOUNDS:
        if not isinstance(table.get(key), str):
            continue
        try:
            unit = with_unit(table[key])[1]
        except UsageError as error:
            faults.add((*where, key), f"{key} = {error}")
            continue
        found.add(unit)
        metric = str(table.get("metric"))
        have = {one for name, one in units.items() if described.is_measured(metric, [name])}
        if have and not have & ({"ns", "s"} if unit == "ns" else {unit}):
            faults.add((*where, key), f"{key} = {table[key]!r} is not in the unit of {metric}: {', '.join(sorted(have))}")
    if len(found) > 1 or found and any(isinstance(table.get(key), (int, float)) for key in BOUNDS):
        faults.add(where, "max and min are in different units; give both the same")


def _in_its_unit(bound: object) -> tuple[float, str] | None:
    """A bound and its unit, "" of a bare number; None for what is no bound."""
    if isinstance(bound, str):
        try:
            return with_unit(bound)
        except UsageError:
            return None
    return (float(bound), "") if isinstance(bound, (int, float)) and not isinstance(bound, bool) else None


def _check_order(faults: Faults, where: Place, table: Json) -> None:
    low, high = _in_its_unit(table.get("min")), _in_its_unit(table.get("max"))
    if low and high and low[1] == high[1] and low[0] > high[0]:
        faults.add((*where, "min"), f"min = {table['min']!r} is above max = {table['max']!r}: no value is within")


def _check(faults: Faults, where: Place, table: Json, units: dict[str, str]) -> None:
    names = list(units)
    for key, value in table.items():
        if key not in KEYS:
            faults.add((*where, key), f"'{key}' is not known", KEYS, key)
        elif not isinstance(value, KEYS[key]) or isinstance(value, bool):
            kind = "text" if KEYS[key] is str else WITH_UNITS.removeprefix("a ") if key in BOUNDS else "number"
            faults.add((*where, key), f"{key} = {value!r} is not a {kind}")
        elif not isinstance(value, str) and not math.isfinite(value):
            faults.add((*where, key), f"{key} = {value!r} is not finite")
        elif key == "max_worse_percent" and value < 0:
            faults.add((*where, key), f"max_worse_percent = {value} is below 0")
    _check_units(faults, where, table, units)
    metric = table.get("metric")
    given = {likely(key, KEYS) for key in table}    # a key that is only misspelt is not missing
    if "metric" not in given:
        faults.add(where, "'metric' is missing")
    elif isinstance(metric, str) and names and not described.is_measured(metric, names):
        faults.add((*where, "metric"), f"no program measures {metric!r}", names, metric)
    _check_order(faults, where, table)
    if not {"max", "min", "max_worse_percent"} & given:
        faults.add(where, "says no limit; give max, min or max_worse_percent")


def _units() -> dict[str, str]:
    """All known metrics with their units. Empty when the programs are not built; names are then not checked."""
    try:
        return {metric["name"]: metric["unit"] for metric in described.catalogue()}
    except PoolmarkError:
        return {}


def _budget(table: Json) -> Budget:
    units = {key: with_unit(table[key]) for key in BOUNDS if isinstance(table.get(key), str)}
    fields: Json = table | {key: value for key, (value, _) in units.items()} | {"unit": next((unit for _, unit in units.values()), None)}
    return Budget(**fields)


def _tables(data: Json, faults: Faults) -> list[tuple[Place, Json]]:
    """(place, table) of each budget, also of those in a table that is only called otherwise, such as [[budgets]], or in one [budget]: what
    is wrong with them is told at once."""
    found: list[tuple[Place, Json]] = []
    for key, value in data.items():
        if key != BUDGET:
            faults.add((key,), f"{key!r} is not a key there: a file of budgets has [[{BUDGET}]] tables and nothing else", (BUDGET,), key)
            if likely(key, (BUDGET,)) is None:
                continue
        elif not isinstance(value, list):
            faults.add((key,), f"{BUDGET} is {'a table' if isinstance(value, dict) else repr(value)}; it must be a list of tables, [[{BUDGET}]]")
        if isinstance(value, dict):
            found.append(((key,), value))
        for number, table in enumerate(value if isinstance(value, list) else []):
            if isinstance(table, dict):
                found.append(((key, number), table))
            else:
                faults.add((key, number), f"{key} is a list of tables, [[{BUDGET}]]; one is {table!r}")
    return found


def load(path: Path | str) -> list[Budget]:
    """Reads the budgets. Reports all faults of the file at once, with their lines."""
    text, data = read_text(Path(path))
    faults, units = Faults(str(path), text), _units()
    tables = _tables(data, faults)
    if not tables and not faults:
        raise UsageError(f"{path}: has no budget; leave --thresholds out")
    for place, table in tables:
        _check(faults, place, table, units)
    faults.end()
    return [_budget(table) for _, table in tables]
