# SPDX-License-Identifier: Apache-2.0
"""[beside] and [[impossible]] of a suite's file: two sides measured in turn, in one table (records/beside.py).

    [beside]
    axis = "target"                     # a key of the cells with two values: the sides
    rows = ["scenario", "engine"]       # keys of the cells; the first says which figures
    difference = true                   # also how much more the first side has
    [beside.figures]
    churn = ["arrival.p99"]             # for the cells with scenario = "churn"

    [[impossible]]                      # cells that are not made, and the table says why
    when = { scenario = "reset", engine = "paho" }
    why = "the library sends a DISCONNECT whenever it closes a connection"
"""
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from poolmark.base.faults import Faults, likely
from poolmark.base.forms import Json, Place
from poolmark.base.toml_values import shown
from poolmark.suites.suite_cells import CellPlan
from poolmark.suites.suite_check import Check
from poolmark.suites.suite_form import BESIDE_KEYS, IMPOSSIBLE_KEYS


@dataclass
class TwoSides:
    table: Json | None = None                               # for the record: [beside] with its sides
    impossible: list[Json] = field(default_factory=list)    # {"id", "config", "why"} of each cell that is not made


def is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def check_keys(check: Check, beside: Json) -> None:
    """Checks that cells have the keys by which they are told apart. A misspelt one becomes what was meant, so that it hides nothing."""
    known = check.cell_keys()
    axis, rows = beside.get("axis"), beside.get("rows")
    places: list[tuple[Place, Any, Any]] = [(("beside", "axis"), beside, "axis")] if isinstance(axis, str) else []
    if isinstance(rows, list) and is_texts(rows):
        places += [(("beside", "rows", i), rows, i) for i in range(len(rows))]
    for place, holder, at in places:
        if holder[at] in known:
            continue
        check.faults.add(place, f"no cell has a {holder[at]!r}", known, holder[at])
        if meant := likely(holder[at], known):
            holder[at] = meant
            check.mended.add(place)


def check_form(check: Check) -> None:
    """Checks what needs the file alone."""
    for i, one in enumerate(check.tables(check.data, "impossible")):
        check.keys(one, IMPOSSIBLE_KEYS, ("impossible", i))
        for key in ("when", "why"):
            if not one.get(key) and not check.was_told(("impossible", i), key):
                check.faults.add(("impossible", i), f"impossible: {key!r} is missing")
    if "beside" not in check.data:
        return
    beside = check.table(check.data, "beside")
    if not beside:
        check.faults.add(("beside",), "beside is a table with axis, rows and figures")
        return
    for key, value in beside.items():
        if key not in BESIDE_KEYS:
            check.faults.add(("beside", key), f"{key!r} is not a key there", BESIDE_KEYS)
        elif not isinstance(value, BESIDE_KEYS[key]) or key == "rows" and not is_texts(value):
            check.faults.add(("beside", key), f"{key} is {shown(value)}; it must be "
                             + {"axis": "a text", "rows": "a list of texts", "difference": "true or false"}.get(key, "a table"))
    for key in ("axis", "rows", "figures"):
        if key not in beside and not check.was_told(("beside",), key):
            check.faults.add(("beside",), f"beside: {key!r} is missing")
    for name, metrics in check.table(beside, "figures").items():
        if not is_texts(metrics):
            check.faults.add(("beside", "figures", name), f"{name} is {shown(metrics)}; it must be a list of names of metrics")
    check_keys(check, beside)


def sides_of(table: Json, base: list[CellPlan], faults: Faults, gone: Collection[str], mended: Collection[Place]) -> Json:
    """[beside] with its sides, in the order of the file. Adds a fault for each way in which the cells are not as it says; of a key whose values
    have faults of their own nothing is said."""
    axis, rows = table["axis"], table["rows"]
    touched = {part for place in faults.places - set(mended) if "when" not in place for part in place} | set(gone)
    for key in (axis, *rows):
        without = next((cell for cell in base if key not in cell.config), None)
        if without and key not in gone:
            faults.add(("beside", "axis" if key == axis else "rows"), f"cell {without.id} has no {key!r}")
    sides = list(dict.fromkeys(str(cell.config[axis]) for cell in base if axis in cell.config))
    if len(sides) != 2 and sides and axis not in touched:
        faults.add(("beside", "axis"), f"{axis} has {len(sides)} values in the cells ({', '.join(sides)}); beside takes two")
    named = dict.fromkeys(str(cell.config[rows[0]]) for cell in base if rows[0] in cell.config)
    for name in table["figures"] if rows[0] not in touched else ():
        if name not in named:
            faults.add(("beside", "figures", name), f"no cell has {rows[0]} = {name!r}", named, name)
    for name in named:
        if name not in table["figures"] and rows[0] not in touched and name not in gone:
            faults.add(("beside", "figures"), f"figures: there are none for {rows[0]} = {name!r}")
    return {**table, "sides": sides}


def split(data: Json, base: list[CellPlan], faults: Faults, gone: Collection[str],
          mended: Collection[Place] = ()) -> tuple[list[CellPlan], TwoSides]:
    """(the cells to make, what the record says of the others). `data` has no faults of form; `gone`: keys that were left out for theirs."""
    found = TwoSides()
    if "beside" in data:
        found.table = sides_of(data["beside"], base, faults, gone, mended)
    keys = [data["beside"]["axis"], *data["beside"]["rows"]] if "beside" in data else []
    kept: list[CellPlan] = []
    for cell in base:
        why = next((one["why"] for one in data.get("impossible", [])
                    if all(cell.config.get(key) == value for key, value in one["when"].items())), None)
        if why is None:
            kept.append(cell)
        else:
            found.impossible.append({"id": cell.id, "config": {key: cell.config.get(key) for key in keys}, "why": why})
    return kept, found
