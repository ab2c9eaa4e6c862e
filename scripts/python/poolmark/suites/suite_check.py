# SPDX-License-Identifier: Apache-2.0
"""Checks a suite's file completely before anything starts. Each fault is reported with its line and the most similar known name.

This module checks keys, types, names and references. suite_options.py checks the programs' options.
"""
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from poolmark.attack.attacks import ATTACKS
from poolmark.facts import allocators, described, own_pools
from poolmark.base.faults import DID_YOU_MEAN, Faults, likely, nearest
from poolmark.base.forms import Json, Place
from poolmark.base.options import MOST_CONNECTIONS, MOST_REPETITIONS
from poolmark.base.toml_values import plain, shown
from poolmark.records.attacked import CALM
from poolmark.records.bare import BARE, GENERATOR
from poolmark.suites.suite_form import GROUP_KEYS, KEYS, OVERRIDE_KEYS, RATIO_KEYS, Kinds

STEPS = "steps"
KINDS, PLOTS = ("suite", STEPS), ("memory",)
# The keys of a cell, in the order of its name.
NAMED = ("target", "shape", "strategy", "engine", "allocator", "connections", "subscribe", "attack", "scenario", "client", "ranks")
IN_TITLE = ("engine", "shape", "strategy", "allocator", "target")      # beside connections
MOST_RANKS = 4096       # of the generator (loadgen/ranks_frames.h)
TYPES: dict[type[object], str] = {str: "text", int: "a whole number", float: "a number such as 0.1", bool: "true or false", dict: "a table", list: "a list"}
CELL = "cell"           # prefix of metrics of a whole cell, so no phase may have this name


def kind_of(value: object) -> type[object]:
    """The type by which values of cells are compared: 1 is 1.0, and neither is "1" or true."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float
    return type(value)


def is_type(value: object, kind: type[object]) -> bool:
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


class Check:
    """The check of one file. `data`: as suite_form.understood() has it. `build`: the programs to ask; None skips checks that need them."""

    def __init__(self, data: Json, faults: Faults, build: Path | None) -> None:
        self.data, self.faults, self.build = data, faults, build
        self.finds_targets = True           # whether the names of targets are looked up
        self.written: dict[str, set[str]] = {}       # values in the file before --set
        self.own: dict[str, own_pools.OwnPool] = {}  # pools from libraries, by the names of their strategies
        self.mended: set[Place] = set()     # places of faults that are read as they were meant, and hide nothing
        self.libraries: dict[str, str] = {}  # paths of allocators that are files, by their names
        self.parts: list[tuple[Place, Json]] = [((), data), *((("group", i), group) for i, group in enumerate(self.tables(data, "group")))]

    @staticmethod
    def tables(where: Json, key: str) -> list[Json]:
        """The tables of an array of tables. Other elements become {}; keys() reports them."""
        found = where.get(key)
        return [one if isinstance(one, dict) else {} for one in found] if isinstance(found, list) else []

    def keys(self, table: Json, allowed: Kinds, path: Place) -> None:
        for key, value in table.items():
            if key not in allowed:
                self.faults.add((*path, key), f"{key!r} is not a key there", allowed)
            elif not is_type(value, allowed[key]):
                self.faults.add((*path, key), f"{key} is {shown(value)}; it must be {TYPES[allowed[key]]}")

    def is_sound(self, path: Place) -> bool:
        """Whether there is no fault at or within a part of the file so far. What is missing there may only be misspelt."""
        return all(place[:len(path)] != path for place in self.faults.places)

    def was_told(self, path: Place, key: str, known: Collection[str] = ()) -> bool:
        """Whether what a table lacks is there, and has a fault of its own: it is of another kind or, where `known` keys are given, misspelt. Then
        the table is not mended."""
        there = {str(place[len(path)]) for place in self.faults.places if place[:len(path)] == path and len(place) > len(path)}
        told = key in there or bool(known) and any(one not in known and likely(one, (key,)) for one in there)
        self.mended -= {place for place in self.mended if told and place[:len(path)] == path}
        return told

    def one_of(self, path: Place, value: object, known: Collection[object], what: str) -> None:
        if value not in known:
            self.faults.add(path, f"{what} {shown(value)} is not known", known, value)

    # --- the whole file

    def top(self) -> None:
        self.keys(self.data, KEYS, ())
        for key in ("repetitions", "seed"):
            if is_type(self.data.get(key), int) and self.data[key] < 1:
                self.faults.add((key,), f"{key} is {self.data[key]}; it must be at least 1")
        if is_type(self.data.get("repetitions"), int) and self.data["repetitions"] > MOST_REPETITIONS:
            self.faults.add(("repetitions",), f"repetitions is {self.data['repetitions']}; it may be at most {MOST_REPETITIONS}")
        if isinstance(self.data.get("title"), str):
            for name in re.findall(r"\{([^{}]*)\}", self.data["title"]):
                if name not in ("connections", *IN_TITLE):
                    self.faults.add(("title",), f"{{{name}}} in a title becomes nothing", ("connections", *IN_TITLE), name)
        primary = self.data.get("primary")
        if isinstance(primary, list):
            if not primary:
                self.faults.add(("primary",), "primary is empty: no metric would decide a comparison; leave it out for the catalogue's")
            for i, one in enumerate(primary):
                if not isinstance(one, str) or not one.strip():
                    self.faults.add(("primary", i), f"primary has {shown(one)}; it is a list of names and patterns of metrics")
        if isinstance(self.data.get("kind"), str):
            self.one_of(("kind",), self.data["kind"], KINDS, "kind")
        if isinstance(self.data.get("plot"), str):
            self.one_of(("plot",), self.data["plot"], PLOTS, "plot")
        measures = self.data.get("phase") or all(group.get("phase") for group in self.tables(self.data, "group") or [{}])
        if not measures and self.is_sound(("phase",)) and self.is_sound(("group",)):
            self.faults.add((), "phase: there is none, so nothing would be measured")

    def measures_steps(self) -> bool:
        """Whether some phase has the scenario steps, or one that may have been meant for it."""
        scenarios = [str(one.get("scenario")) for _, part in self.parts for one in self.tables(part, "phase")]
        return any(one == STEPS or likely(one, (STEPS,)) for one in scenarios) or not self.is_sound(("phase",))

    def axes(self, part: Json, path: Place) -> None:
        seen: dict[str, set[str]] = {}
        for key in ("axes", "axes_if_known"):
            for name, values in self.table(part, key).items():
                if not isinstance(values, list) or not values:
                    self.faults.add((*path, key, name), f"{name} is {shown(values)}; an axis is a list of values")
                    continue
                before = seen.setdefault(name, set())
                for i, value in enumerate(values):
                    if shown(value) in before:
                        self.faults.add((*path, key, name, i), f"{name} has {shown(value)} twice: two cells would be the same")
                        self.mended.add((*path, key, name, i))
                    before.add(shown(value))

    def ratio(self, ratio: Json, path: Place) -> None:
        self.keys(ratio, RATIO_KEYS, path)
        for key in ("metric", "of", "to"):
            if not ratio.get(key) and not self.was_told(path, key, RATIO_KEYS):
                self.faults.add(path, f"ratio: {key!r} is missing")
        if ratio.get("of") and ratio.get("of") == ratio.get("to"):
            self.faults.add((*path, "to"), "ratio: 'of' and 'to' are the same cells, whose ratio is 1")
        if isinstance(ratio.get("within"), float) and not 0 < ratio["within"] < 1:
            self.faults.add((*path, "within"), f"within is {ratio['within']:g}; it is a share above 0 and below 1, such as 0.1")

    def structure(self) -> None:
        self.top()
        for path, part in self.parts:
            if path:
                self.keys(part, GROUP_KEYS, path)
            self.phases(part, path)
            self.twice(part, path)
            self.axes(part, path)
        if self.data.get("kind") == STEPS and not self.measures_steps():
            self.faults.add(("kind",), "kind is 'steps', and no phase has scenario 'steps': there would be no curve over connections")
        for i, override in enumerate(self.tables(self.data, "override")):
            self.keys(override, OVERRIDE_KEYS, ("override", i))
            sound = self.is_sound(("override", i))
            if not override.get("when") and sound:
                self.faults.add(("override", i), "override: 'when' is missing: where does it apply?")
            if not any(override.get(key) for key in OVERRIDE_KEYS if key != "when") and sound:
                self.faults.add(("override", i), "override: it changes nothing; give config, broker or load")
        for i, ratio in enumerate(self.tables(self.data, "ratio")):
            self.ratio(ratio, ("ratio", i))

    def twice(self, part: Json, path: Place) -> None:
        """A key of [config] that an axis of the same cells has as well would count for nothing. Axes of the whole file are those of its
        groups too."""
        for key in self.table(part, "config"):
            axis = next((axes for axes in ("axes", "axes_if_known") for one in (part, self.data) if key in self.table(one, axes)), None)
            if axis:
                self.faults.add((*path, "config", key), f"{key} is in [config] and in [{axis}]: the axis gives it to each cell, so this value "
                                                        "counts for nothing; leave one of both out")

    @staticmethod
    def table(part: Json, key: str) -> Json:
        found = part.get(key)
        return found if isinstance(found, dict) else {}

    def phases(self, part: Json, path: Place) -> None:
        seen: set[object] = set()
        steps = 0
        for i, phase in enumerate(self.tables(part, "phase")):
            here = (*path, "phase", i)
            name = phase.get("name")
            if name is None:
                self.faults.add(here, "phase: 'name' is missing: what is it called?")
            elif not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_-]+", name):
                self.faults.add((*here, "name"), f"a phase's name is {shown(name)}; it must be of a-z, 0-9, _ and -")
            elif name in seen or name == CELL:
                self.faults.add((*here, "name"), f"the phase's name {name!r} is taken"
                                + (": metrics of the cell as a whole have it" if name == CELL else ""))
            seen.add(str(name))
            steps += phase.get("scenario") == "steps"
            if steps > 1 and phase.get("scenario") == "steps":
                self.faults.add((*here, "scenario"), "a cell has one phase of steps; this is a second one")
            if "scenario" not in phase:
                self.faults.add(here, "phase: 'scenario' is missing: what does it do?")
            elif not isinstance(phase["scenario"], str):
                self.faults.add((*here, "scenario"), f"scenario is {shown(phase['scenario'])}; it must be text")

    # --- the cells

    def programs_choices(self) -> dict[str, set[str]]:
        """The values of keys that are not the file's to say."""
        found: dict[str, set[str]] = {"target": {"poolmark", "mosquitto"}, "attack": {CALM, *ATTACKS}, "client": {GENERATOR, BARE}, "allocator": {*allocators.LIBRARIES, *self.libraries},
                                 "subscribe": {"true", "false"}}
        if self.build:
            found |= {"strategy": {*described.strategies(self.build), *self.own}, "shape": set(described.shapes(self.build)),
                      "engine": set(described.engines(self.build))}
        return found

    def choices(self) -> dict[str, set[str]]:
        """All values that a key of config takes or could take. An override may be for a value that no cell has at present."""
        found = self.programs_choices()
        for part in [*(one for _, one in self.parts), *self.tables(self.data, "override")]:
            for key, value in self.table(part, "config").items():
                found.setdefault(key, set()).add(plain(value))
            for axes in ("axes", "axes_if_known"):
                for key, values in self.table(part, axes).items():
                    found.setdefault(key, set()).update(map(plain, values if isinstance(values, list) else []))
        return found

    def offered(self, key: str, choices: Collection[str]) -> list[str]:
        """Those of the values of `key` that have no fault."""
        faulty = {plain(value) for path, name, value in self.values() if name == key and not self.is_sound(path)}
        return sorted(set(choices) - (faulty - self.programs_choices().get(key, set())))

    def own_keys(self) -> set[str]:
        """Keys beside NAMED by which the file selects cells."""
        whens = [self.table(one, "when") for name in ("override", "impossible") for one in self.tables(self.data, name)]
        return {key for when in whens for key in when}

    def cell_keys(self) -> list[str]:
        """The keys that cells may have, and some cell has or could have."""
        return [key for key in self.choices() if key in NAMED or key in self.own_keys()]

    def values(self) -> list[tuple[Place, str, Any]]:
        """(path, key, value) for all values that a cell's config may get."""
        found: list[tuple[Place, str, Any]] = []
        overrides: list[tuple[Place, Json]] = [(("override", i), one) for i, one in enumerate(self.tables(self.data, "override"))]
        for path, part in self.parts + overrides:
            found += [((*path, "config", key), key, value) for key, value in self.table(part, "config").items()]
            found += [((*path, axes, key, i), key, value) for axes in ("axes", "axes_if_known") for key, values in self.table(part, axes).items()
                      if isinstance(values, list) for i, value in enumerate(values)]
        return found

    def config(self) -> None:
        """Checks keys and values of config. Other keys are allowed when an override selects cells by them."""
        whens: list[tuple[Place, Json]] = [(("override", i, "when"), self.table(one, "when"))
                                           for i, one in enumerate(self.tables(self.data, "override"))]
        whens += [(("impossible", i, "when"), self.table(one, "when")) for i, one in enumerate(self.tables(self.data, "impossible"))]
        own, known = self.own_keys(), self.cell_keys()
        for path, key, value in self.values():
            if key not in NAMED and key not in own:
                self.faults.add(path[:-1] if isinstance(path[-1], int) else path, f"{key!r} is not a key of a cell", NAMED, key)
            elif not isinstance(value, (str, int, float)):
                self.faults.add(path, f"{key} is {shown(value)}; it must be a text, a number, true or false")
            elif key == "strategy" and "axes_if_known" in path:
                self.if_known(path, value)
            else:
                self.value(path, key, value)
        kinds: dict[str, set[type[object]]] = {}
        for _, key, value in self.values():
            kinds.setdefault(key, set()).add(kind_of(value))
        choices = self.choices()
        for key, values in self.written.items():
            choices.setdefault(key, set()).update(values)
        sides: list[tuple[Place, Json]] = [(("ratio", i, key), self.table(one, key)) for i, one in enumerate(self.tables(self.data, "ratio"))
                 for key in ("of", "to")]
        for path, wanted in whens + sides:
            for key, value in wanted.items():
                if key not in choices:
                    self.faults.add((*path, key), f"no cell has a {key!r}", known)
                elif plain(value) not in choices[key]:
                    self.faults.add((*path, key), f"no cell has {key} = {shown(value)}", self.offered(key, choices[key]), value)
                elif key in kinds and kind_of(value) not in kinds[key]:
                    self.faults.add((*path, key), f"{key} is {shown(value)}, and no cell has it as {TYPES.get(type(value), 'a number')}")
        for i, ratio in enumerate(self.tables(self.data, "ratio")):
            if isinstance(ratio.get("by"), str):
                self.one_of(("ratio", i, "by"), ratio["by"], known, "axis")

    def if_known(self, path: Place, value: object) -> None:
        """A strategy that this broker does not list is left out. One that is nearly a name of it is a mistake."""
        known = [*described.strategies(self.build), *self.own] if self.build else []
        if not isinstance(value, str) or value not in known and nearest(value, known).startswith(DID_YOU_MEAN):
            self.faults.add(path, f"strategy {shown(value)} is not known", known, value)

    def target(self, path: Place, value: str) -> None:
        """Addresses of brokers, as the generator reads them."""
        is_name = any(not re.fullmatch(r"\[.*|[\d.]+(:.*)?", one.removeprefix("mqtt://")) for one in value.split(","))
        if self.build and value.startswith("mqtt://") and (self.finds_targets or not is_name):
            if wrong := described.ask("poolmark-loadgen", ["connect", "--target", value], self.build)[1]:
                self.faults.add(path, wrong)

    def value(self, path: Place, key: str, value: Any) -> None:
        if key == "subscribe" and not isinstance(value, bool):
            self.faults.add(path, f"subscribe is {shown(value)}; it must be true or false")
        elif key == "connections" and value != "fit" and (not is_type(value, int) or not 1 <= value <= MOST_CONNECTIONS):
            self.faults.add(path, f"connections is {shown(value)}; it must be a whole number of at least 1" +
                            (f" and at most {MOST_CONNECTIONS}" if is_type(value, int) and value > 1 else "") + ", or \"fit\"")
        elif key == "ranks" and (not is_type(value, int) or not 1 <= value <= MOST_RANKS):
            self.faults.add(path, f"ranks is {shown(value)}; it must be a whole number from 1 to {MOST_RANKS}")
        elif key == "attack":
            self.one_of(path, value, (CALM, *ATTACKS), "attack")
        elif key == "client":
            self.one_of(path, value, (GENERATOR, BARE), "client")
        elif key == "scenario" and not re.fullmatch(r"[a-z0-9-]+", str(value)):
            self.faults.add(path, f"scenario is {shown(value)}; the name of a row must be of a-z, 0-9 and -")
        elif key == "allocator":
            if not allocators.is_path(str(value)):  # a file that cannot be read is a fault already
                self.one_of(path, value, [*allocators.LIBRARIES, *self.libraries], "allocator")
        elif key == "target" and value not in ("poolmark", "mosquitto") and not str(value).startswith("mqtt://"):
            self.faults.add(path, f"target {shown(value)} is none; it may be poolmark, mosquitto or mqtt://HOST:PORT",
                            ("poolmark", "mosquitto"), value)
        elif key == "target":
            self.target(path, str(value))
        elif self.build and key == "engine":
            self.one_of(path, value, described.engines(self.build), "engine")
        elif self.build and key == "strategy":
            if not own_pools.is_path(value):  # a file that is no pool is a fault already
                self.one_of(path, value, [*described.strategies(self.build), *self.own], "strategy")
        elif self.build and key == "shape":
            wrong = described.ask("poolmark-broker", ["--shape", value], self.build)[1]
            if wrong:
                self.faults.add(path, f"shape {wrong.removeprefix('--shape: ')}", described.shapes(self.build), value)
