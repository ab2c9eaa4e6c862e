# SPDX-License-Identifier: Apache-2.0
"""A suite's file without what is wrong in it, so that the rest can be checked as it will run: each fault is then told by itself, and none
waits until another is mended.

    clean, gone = without(data, faults.places)
    follows("--publishers is for the pattern fan-in", gone)     # whether that may only follow from what was left out
"""
import copy
import re
from collections.abc import Collection, Iterable
from typing import Any

from poolmark.base.forms import Json, Place

WHOLE = {"override": ("when",), "impossible": ("when", "why"), "phase": ("name", "scenario")}     # without these it is nothing
BESIDE = ("axis", "rows", "figures")    # without these there are no two sides
OPTIONS = {"broker", "load", "phase"}   # tables of programs' options
PRUNED = ("axes", "axes_if_known", "broker", "load")    # tables of which a key without a value is left out


def part_of(place: Place) -> Place:
    """What has to be left out for a fault at `place`."""
    if place[:1] == ("beside",):
        is_of_figure, is_needless = len(place) > 2 and place[1] == "figures", len(place) == 2 and place[1] not in BESIDE
        return place[:3] if is_of_figure or is_needless else place[:1]
    for table, needed in WHOLE.items():
        if table in place:
            at = place.index(table) + 2
            if len(place) <= at or place[at] in needed:
                return place[:at]
    return place


def _container(data: Json, path: Place) -> Any:
    """What holds the last of `path`; None when it is not there."""
    found: Any = data
    for key in path[:-1]:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def _leave_out(data: Json, path: Place) -> None:
    holder, key = _container(data, path), path[-1]
    if isinstance(holder, dict):
        holder.pop(key, None)
    elif isinstance(holder, list) and isinstance(key, int) and key < len(holder):
        del holder[key]


def _prune(table: Json) -> Iterable[str]:
    """Takes out the keys whose values are all gone."""
    for key in [key for key, value in table.items() if value == []]:
        del table[key]
        yield key


def without(data: Json, places: Iterable[Place]) -> tuple[Json, set[str]]:
    """(a copy of `data` without the parts that have faults, the keys that are gone)."""
    made = copy.deepcopy(data)
    parts = {part_of(place) for place in places if place}
    gone = {str(part[-1]) for part in parts if isinstance(part[-1], str)}
    for part in sorted((part for part in parts if isinstance(part[-1], str)), key=len, reverse=True):
        _leave_out(made, part)
    # Of lists from the end, and inner ones first, so that the places of the others hold.
    for part in sorted((part for part in parts if isinstance(part[-1], int)), key=lambda part: (len(part), part[-1]), reverse=True):
        _leave_out(made, part)
    for where in ([made], *(made.get(name) or [] for name in ("group", "override"))):
        for table in where:
            gone |= {key for name in PRUNED if isinstance(table.get(name), dict) for key in _prune(table[name])}
    return made, gone


def gone_beside(gone: Collection[str], places: Iterable[Place], tables: Collection[str], phase: Place = ()) -> set[str]:
    """Those of `gone` that a program would have got beside the options of `tables`: what is left out elsewhere, or in a phase other than
    that at `phase`, is none of its business."""
    found: set[str] = set()
    for part in map(part_of, places):
        elsewhere = "phase" in part and part[:len(phase)] != phase or OPTIONS & set(part) - set(tables)
        if not elsewhere and {"config", "axes", "axes_if_known", *tables} & set(part):
            found |= {one for one in part[-2:] if isinstance(one, str)}
    return found & set(gone)


def follows(text: str, gone: Collection[str]) -> bool:
    """Whether a program's fault names an option or a key that was left out: without it, it may be none."""
    return any(re.search(rf"(?<![a-z])(?<![a-z]-){re.escape(one)}(?![a-z-])", text, re.I) for one in gone)
