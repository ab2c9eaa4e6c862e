# SPDX-License-Identifier: Apache-2.0
"""--set KEY=VALUE on a suite's command line. It replaces values of the file before the check, so it is checked like the file.

    duration=60s         an option of the generator, in each phase whose scenario takes it
    qos1.duration=60s    the same in one phase
    load.keep-alive=60
    broker.threads=2
    shape=lean           a key of the cells; replaces an axis of that name too
    repetitions=3
    seed=7
"""
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from poolmark.facts import described
from poolmark.base.faults import Faults
from poolmark.base.forms import Json, Place
from poolmark.base.toml_text import beyond
from poolmark.suites.suite_check import NAMED
from poolmark.suites.suite_options import BROKER, LOADGEN, RUNNERS

NUMBERS = ("repetitions", "seed")


def value_of(text: str) -> Any:
    """The value as TOML (60, true, ["a", "b"]), otherwise as text."""
    try:
        value = tomllib.loads(f"x = {text}")["x"]
        return text if beyond([value]) is not None else value
    except (ValueError, RecursionError):    # no TOML, or a number of more digits than Python reads
        return text


def _tables(data: Json, key: str) -> list[tuple[Place, Json]]:
    found = data.get(key)
    return [((key, i), one) for i, one in enumerate(found) if isinstance(one, dict)] if isinstance(found, list) else []


class Setting:
    """One --set. Each method returns whether it handled the key."""

    def __init__(self, data: Json, text: str, faults: Faults, build: Path | None) -> None:
        self.data, self.faults, self.build = data, faults, build
        self.where = f"--set {text}"
        self.key, self.equals, value = text.partition("=")
        self.value = value_of(value)

    def put(self, table: Json, key: str, path: Place) -> None:
        table[key] = self.value
        self.faults.came_from((*path, key), self.where)

    def parts(self) -> list[tuple[Place, Json]]:
        return [((), self.data), *_tables(self.data, "group")]

    def top(self) -> bool:
        if self.key in NUMBERS:
            self.put(self.data, self.key, ())
        return self.key in NUMBERS

    def config(self) -> bool:
        if self.key not in NAMED:
            return False
        axes = [(path, part) for path, part in self.parts() if self.key in part.get("axes", {})]
        for path, part in axes:
            part["axes"][self.key] = [self.value]
            self.faults.came_from((*path, "axes", self.key), self.where)
            part.get("axes_if_known", {}).pop(self.key, None)
        for path, part in self.parts() + _tables(self.data, "override"):
            if self.key in part.get("config", {}):
                self.put(part["config"], self.key, (*path, "config"))
            if not axes:
                part.get("axes_if_known", {}).pop(self.key, None)
        if not axes:
            self.put(self.data.setdefault("config", {}), self.key, ("config",))
        return True

    def options(self) -> bool:
        """broker.NAME, load.NAME: replaced wherever set, and set for all cells."""
        table, _, name = self.key.partition(".")
        if table not in ("broker", "load") or not name:
            return False
        for path, part in _tables(self.data, "group") + _tables(self.data, "override"):
            if name in part.get(table, {}):
                self.put(part[table], name, (*path, table))
        self.put(self.data.setdefault(table, {}), name, (table,))
        return True

    def phases(self) -> bool:
        """NAME in every phase that takes it; PHASE.NAME in one."""
        phase, _, name = self.key.rpartition(".")
        found = False
        scenarios: dict[str, Json] = described.scenarios(self.build) if self.build else {}
        for path, part in self.parts():
            for place, one in _tables(part, "phase"):
                takes = name in scenarios.get(str(one.get("scenario")), {"options": [name]})["options"]
                if one.get("name") == phase or not phase and takes:
                    self.put(one, name, (*path, *place))
                    found = True
        return found

    def option_of(self) -> str | None:
        """TABLE.KEY where the key is an option of a program that a suite may set."""
        for table, program, told in (("broker", BROKER, described.broker), ("load", LOADGEN, described.loadgen)):
            if self.build and self.key in described.options(told(self.build)) and self.key not in RUNNERS[program]:
                return f"{table}.{self.key}"
        return None

    def apply(self) -> None:
        if not self.equals or not self.key:
            self.faults.came_from(("set",), self.where)
            self.faults.add(("set",), "it takes KEY=VALUE")
            return
        if self.top() or self.config() or self.options() or self.phases():
            return
        names = [one.get("name") for _, part in self.parts() for _, one in _tables(part, "phase")]
        known: list[str] = [*NUMBERS, *NAMED, *(described.options(described.loadgen(self.build)) if self.build else ())]
        known += [f"{name}.{key}" for name in names for key in known] if "." in self.key else []
        self.faults.came_from(("set", self.key), self.where)
        if meant := self.option_of():
            self.faults.add(("set", self.key), f"{self.key!r}: no phase takes it", [meant], meant)
            return
        self.faults.add(("set", self.key), f"{self.key!r} is nothing that a suite has, and no phase takes it", known, self.key)


def apply(data: Json, sets: Iterable[str], faults: Faults, build: Path | None) -> None:
    seen: set[str] = set()
    for text in sets:
        one = Setting(data, text, faults, build)
        if one.key in seen:
            faults.came_from(("set", text), one.where)
            faults.add(("set", text), f"{one.key!r} is set twice; one of both would count for nothing")
        seen.add(one.key)
        one.apply()
