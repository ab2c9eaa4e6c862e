# SPDX-License-Identifier: Apache-2.0
"""A mix, as people write it: a TOML file of client groups and phases (docs/mix.md has the keys).

    title             text
    [group.NAME]      role, connections and the other keys of a group
    [[phase]]         name, duration, settle, and GROUP = "ACT", or GROUP = { do = "ACT", ... }; all = ... is for every group that
                      the phase does not name

    mix = mix_file.load("office.toml", build)          # or "office": scripts/mixes/office.toml
    mix.plain         the form that `poolmark-loadgen mix --mix` reads: the same keys as options (loadgen/scenarios/mix_plan.h)
    mix.planned       what the generator makes of it: every rate and number, as the record will have them

The keys are the generator's own (`--describe`), which also checks their values and what may be in which phase. This module finds the
lines: every fault of the file's form and of its values (mix_values.py) is reported at once. Of what groups and phases are to each other
the generator tells its first fault, and the next ones as far as they do not follow from it.
"""
import functools
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import FileFaults, Faults, nearest
from poolmark.base.forms import Json, Place
from poolmark.base.paths import MIXES, for_people
from poolmark.facts import described
from poolmark.suites import mix_values
from poolmark.base.toml_text import read_text
from poolmark.base.toml_values import plain, shown

LOADGEN = "poolmark-loadgen"
TOP = ("title", "group", "phase")
ALL = "all"                                                     # every group that a phase does not name
FILES = ("users", "payload-file", "payload-template")           # values that are files, relative to the mix


@dataclass
class Mix:
    path: Path
    plain: Json
    planned: Json      # "config" and "plan" of the generator's description

    def text(self) -> str:
        return text_of(self.plain)


def text_of(plain: Json) -> str:
    return json.dumps(plain, indent=1) + "\n"


def names() -> list[str]:
    return sorted(path.stem for path in MIXES.glob("*.toml"))


def find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix == ".toml":
        return path
    if "/" in str(name) or not (MIXES / f"{name}.toml").is_file():
        raise UsageError(f"there is no mix {str(name)!r}{nearest(name, names())}; or name a .toml file")
    return MIXES / f"{name}.toml"


def keys_of(build: Path | None) -> dict[str, dict[str, Json]]:
    """{"group": {name: row}, "phase": ..., "act": ...} as the generator describes them."""
    keys = next((one["keys"] for one in described.scenarios(build).values() if "keys" in one), None)
    if keys is None:
        raise PoolmarkError(f"this {LOADGEN} has no scenario mix; build it again")
    return {part: {row["name"]: row for row in rows} for part, rows in keys.items()}


def written(value: object) -> str:
    """A number as the generator reads it, which knows no exponents."""
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return plain(value)


class Reader:
    """Makes the plain form of a file that is TOML."""

    def __init__(self, path: Path, data: Json, faults: Faults, keys: Json):
        self.path, self.data, self.faults, self.keys = path, data, faults, keys
        self.groups = [name for name in data["group"]] if isinstance(data.get("group"), dict) else []

    def table(self, value: Any, place: Place, what: str) -> Json:
        if isinstance(value, dict):
            return value
        self.faults.add(place, f"{what} is {shown(value)}; it must be a table")
        return {}

    def word(self, row: Json, value: Any, place: Place) -> list[str]:
        """A key as an option."""
        name, flag = row["name"], row["kind"] == "flag"
        if flag != isinstance(value, bool):
            if name == "clean" and isinstance(value, bool):
                return ["--clean", str(value).lower()]
            self.faults.add(place, f"{name} is {shown(value)}; it {'is true or false' if flag else 'takes a value'}")
        elif flag:
            return [f"--{name}"] if value else []
        elif not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            self.faults.add(place, f"{name} is {shown(value)}; it must be a text or a number")
        elif name in FILES:
            return [f"--{name}", os.path.join(self.path.parent, str(value))]
        else:
            return [f"--{name}", written(value)]
        return []

    def words(self, table: Json, part: str, place: Place) -> list[str]:
        found: list[str] = []
        for name, value in table.items():
            row = self.keys[part].get(name)
            if row:
                found += self.word(row, value, (*place, name))
            elif name == "password":
                self.faults.add((*place, name), "a password would stand in the record; users names a file that has it")
            else:
                what = {"group": "a group", "act": "what a group does"}[part]
                self.faults.add((*place, name), f"{name!r} is not a key of {what}", self.keys[part], name)
        return found

    def group(self, name: str) -> Json:
        place = ("group", name)
        table = self.table(self.data["group"][name], place, f"group {name}")
        return {"name": name, "options": self.words(table, "group", place)}

    def act(self, group: str, value: Any, place: Place) -> Json:
        table = {"do": value} if isinstance(value, str) else self.table(value, place, group)
        return {"group": group, "options": self.words(table, "act", place)}

    def phase(self, number: int, value: Any) -> Json:
        place = ("phase", number)
        table = self.table(value, place, "phase")
        name = table.get("name")
        if name is None:
            self.faults.add(place, "phase: 'name' is missing: what is it called?")
        elif not isinstance(name, str):
            self.faults.add((*place, "name"), f"a phase's name is {shown(name)}; it must be a text")
        options: list[str] = []
        acts: list[Json] = []
        known = [*self.groups, ALL, "name", *self.keys["phase"]]
        for key, one in table.items():
            if key in self.keys["phase"]:
                options += self.word(self.keys["phase"][key], one, (*place, key))
            elif key in self.groups:
                acts.append(self.act(key, one, (*place, key)))
            elif key not in ("name", ALL):
                self.faults.add((*place, key), f"{key!r} is no group and no key of a phase", known, key)
        if ALL in table:
            acts += [self.act(group, table[ALL], (*place, ALL)) for group in self.groups if group not in table]
        return {"name": str(name), "options": options, "acts": acts}

    def plain(self) -> Json:
        for key in self.data:
            if key not in TOP:
                self.faults.add((key,), f"{key!r} is not a key there", TOP, key)
        if not isinstance(self.data.get("title", ""), str):
            self.faults.add(("title",), f"title is {shown(self.data['title'])}; it must be text")
        self.table(self.data.get("group", {}), ("group",), "group")
        if not self.groups:
            self.faults.add((), "group: there is none: [group.NAME]")
        if ALL in self.groups:
            self.faults.add(("group", ALL), f"a group cannot be called {ALL!r}, which means every group in a phase")
        phases = self.data.get("phase")
        if not isinstance(phases, list) or not phases:
            self.faults.add(("phase",) if phases else (), "phase: there is none: [[phase]]")
            phases = []
        return {"title": str(self.data.get("title", "")), "groups": [self.group(name) for name in self.groups],
                "phases": [self.phase(number, table) for number, table in enumerate(phases)]}


def named(wrong: str) -> re.Match[str] | None:
    """Phase, group and key that a fault of the generator names. Every part may be absent, so it always matches."""
    return re.match(r"(?:phase ([a-z0-9_-]+)(?:: | ))?(?:group \"?([a-z0-9_-]+)\"?(?:: | ))?(?:--([a-z-]+))?", wrong)


def place_of(wrong: str, plain: Json, data: Json) -> tuple[Place, str]:
    """(place in the file, text) of a fault that the generator names by phase, group and key."""
    found = named(wrong)
    phase, group, key = found.groups() if found else (None, None, None)
    numbers = [number for number, one in enumerate(plain["phases"]) if one["name"] == phase]
    place: Place = ()
    if numbers:
        place = ("phase", numbers[0])
    if group:
        there = bool(numbers) and group not in data["phase"][numbers[0]]
        place = (*place, ALL if there else group) if place else ("group", group)
    place += (key,) if key and place else ()
    return place, wrong[:found.start(3) - 2] + wrong[found.start(3):] if found and key else wrong


# What a group does without a change to what others, or later phases, can do.
BY_ITSELF = ("churn", "storm", "subscribe", "unsubscribe", "slow")
MOST_ASKED = 100    # faults of what groups and phases are to each other


def without(plain: Json, wrong: str) -> Json | None:
    """The mix without the act of which this fault is; None when other faults could follow from that."""
    found = named(wrong)
    phase, group = found.group(1, 2) if found else (None, None)
    left: Json = json.loads(json.dumps(plain))
    for one in left["phases"]:
        acts = [act for act in one["acts"] if one["name"] == phase and act["group"] == group]
        if acts and acts[0]["options"][:1] == ["--do"] and acts[0]["options"][1] in BY_ITSELF:
            one["acts"].remove(acts[0])
            if not one["acts"] and "--duration" not in one["options"]:
                one["options"] += ["--duration", "1s"]     # a phase without either is a fault
            return left
    return None


def ask(file: Path, words: list[str], build: Path | None) -> tuple[Json | None, str]:
    """The generator's description of a run by this plain form, or its error."""
    told, wrong = described.ask(LOADGEN, ["mix", "--mix", file, *words], build)
    return told, wrong.removeprefix(f"--mix {file}: ")


def read(path: Path, build: Path | None) -> tuple[Json, Json, Faults]:
    """(plain form, TOML, faults, of which there are none yet)."""
    text, data = read_text(path)
    faults = Faults(for_people(path), text)
    plain = Reader(path, data, faults, keys_of(build)).plain()
    faults.end()
    return plain, data, faults


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="poolmark-mix-")  # removed when this process ends


def remove_files() -> None:
    """Removes what plain_file made, now: for a process that becomes another program."""
    if _folder.cache_info().currsize:
        _folder().cleanup()
        _folder.cache_clear()


def plain_file(name: str | Path, build: Path | None = None) -> Path:
    """A file with the plain form, for command lines of this process. One content has one name."""
    return _file_of(read(find(name), build)[0], find(name).stem)


def _file_of(plain: Json, stem: str) -> Path:
    text = text_of(plain)
    file = Path(_folder().name) / f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    if not file.exists():
        file.write_text(text, encoding="utf-8")
    return file


def value_faults(path: Path, data: Json, faults: Faults, words: list[str], build: Path | None) -> dict[Place, str]:
    """Adds every fault of a value to `faults`; their places and texts."""
    keys = keys_of(build)
    reader, found = Reader(path, data, faults, keys), dict[Place, str]()
    for place, text, hint in mix_values.faults(data, reader.word, keys, lambda plain: ask(_file_of(plain, "value"), words, build)[1]):
        faults.add(place, text + hint)
        found[place] = text
    return found


def load(name: str | Path, build: Path | None, words: Sequence[str] = ()) -> Mix:
    """Reads and checks a file. `words`: further options of the generator, such as the engine. UsageError names every fault."""
    path = find(name)
    text, data = read_text(path)
    faults = Faults(for_people(path), text)
    plain = Reader(path, data, faults, keys_of(build)).plain()
    if faults:
        value_faults(path, data, faults, list(words), build)
        faults.end()
    told, wrong = ask(_file_of(plain, path.stem), list(words), build)
    if told is None:
        place, _ = place_of(wrong, plain, data)
        if not place and not re.match("phase|group", wrong):
            raise UsageError(f"{for_people(path)}: {wrong}")
        of_values = value_faults(path, data, faults, list(words), build)
        relations(plain, data, wrong, lambda left: ask(_file_of(left, "left"), list(words), build)[1], of_values, faults)
        faults.end()
    assert told is not None     # a fault has ended it
    return Mix(path, plain, {"config": told["config"], "plan": told["plan"]})


def relations(plain: Json, data: Json, wrong: str, asked: mix_values.Ask, of_values: dict[Place, str], faults: Faults) -> None:
    """Adds the generator's fault `wrong`, and those that it tells when what a group does is left out for it."""
    left: Json | None = plain
    for _ in range(MOST_ASKED):
        if not wrong or left is None:
            return
        place, said = place_of(wrong, plain, data)
        if place not in of_values and said not in of_values.values():
            faults.add(place, said)
        left = without(left, wrong)
        wrong = asked(left) if left is not None else ""


def faults_of(name: str | Path, build: Path | None, words: Sequence[str] = ()) -> list[str]:
    """Every fault of a file, each a text with file and line; [] for none."""
    try:
        load(name, build, words)
    except FileFaults as error:
        return error.found
    except UsageError as error:
        return [str(error)]
    return []
