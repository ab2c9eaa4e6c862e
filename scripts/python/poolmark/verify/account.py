# SPDX-License-Identifier: Apache-2.0
"""The account of a check: which figures of a record its files give again, which they contradict, and which they do not give."""
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import build_dir
from poolmark.base.units import show_number
from poolmark.facts import described
from poolmark.verify.bounds import Bound

COUNTED = "not checked: no second source"      # counted by the program alone, in no other file and in no equation
BOUNDED = "checked against bounds alone"       # other figures and files leave it only so much room (bounds.py)
UNNAMED = "of a version that did not name the readings they are of"
ABSENT = "whose raw files are not there"
UNKNOWN = "not known, as an anomaly says"
SPOILED = "of files that were spoiled while the run wrote them, as the record says"
OLDER = "of several phases, named as an older version did"


@dataclass
class Account:
    count: int = 0
    tables: int = 0     # texts beside the record that are as it gives them
    wrong: list[str] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, name: str) -> None:
        self.left.setdefault(reason, []).append(name)

    def compare(self, where: str, name: str, recorded: float | None, candidates: Sequence[float | None]) -> None:
        """`candidates`: the values from the files, one for each definition that a record may follow."""
        if any(same(recorded, one) for one in candidates):
            self.count += 1
        else:
            self.wrong.append(f"{where}{name}: the record says {show_number(recorded)}, its files give "
                              f"{' or '.join(dict.fromkeys(map(show_number, candidates)))}")

    def within(self, where: str, name: str, recorded: float | None, bound: Bound) -> None:
        if text := bound.told(recorded):
            self.wrong.append(f"{where}{name}: {text}")
        else:
            self.leave(BOUNDED, where + name)

    def add(self, other: "Account") -> None:
        self.count += other.count
        self.tables += other.tables
        self.wrong += other.wrong
        for reason, names in other.left.items():
            self.left.setdefault(reason, []).extend(names)


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def beside_catalogue(where: str, metrics: Mapping[str, Mapping[str, Any]], program: str) -> list[str]:
    """Metrics whose unit or direction differs from the program's catalogue. Unknown metrics (of older versions), and all metrics
    of a program that is not built, are not checked."""
    try:
        catalogue = [one for one in described.catalogue(build_dir(None)) if one["program"] == program]
    except PoolmarkError:
        return []
    wrong: list[str] = []
    for name, one in metrics.items():
        known = described.metric_of(name, catalogue) or {}
        wrong += [f"{where}{name}: the record says {key} {one[key]!r}, the catalogue says {known[key]!r}"
                  for key in ("unit", "better") if known and known[key] != one[key]]
    return wrong


def lacks(where: str, metrics: Mapping[str, object], made: Mapping[str, float | None]) -> list[str]:
    """Figures that the files give, and that the record does not have."""
    return [f"{where}{name}: its files give it, the record does not have it" for name in made if name not in metrics]


def against(account: Account, where: str, name: str, one: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Compares a metric of a cell with the one made from its files."""
    account.compare(where, name, one["value"], [made["value"]])
    account.wrong += [f"{where}{name}: the record says {key} {one.get(key)!r}, its files say {made.get(key)!r}"
                      for key in ("unit", "better", "doubt") if one.get(key) != made.get(key)]
    told, found = one.get("samples"), made.get("samples")
    if told is not None and found is not None and (len(told) != len(found) or not all(map(same, told, found))):
        account.wrong.append(f"{where}{name}: the record's {len(told)} samples are not the {len(found)} that its files give")
