# SPDX-License-Identifier: Apache-2.0
"""Faults of a mix's values, all at once: the generator, which stops at its first fault, is asked about each name and each value by itself.

    for place, text, hint in faults(data, words_of, keys, ask):

A question has one group or one act with that key, beside its role or what it does where that is known. So the answer is about the value,
or says that such a group does not use the key; what groups and phases must be to each other is not asked here.
"""
import re
from collections.abc import Callable, Iterator
from typing import Any

from poolmark.base.faults import DID_YOU_MEAN, nearest
from poolmark.base.forms import Json, Place

HEADS = {"group": "role", "act": "do", "phase": ""}     # the key by which others are used
ANY = "x"                                               # a name that is right
Words = Callable[[Json, Any, Place], list[str]]         # a key as an option (mix_file.Reader.word)
Ask = Callable[[Json], str]                             # the generator's error about a plain form; "" for none
Fault = tuple[Place, str, str]                          # where it is, its text, and what may have been meant


def _plain(part: str, options: list[str], name: str = ANY) -> Json:
    """A mix with the options of one group, phase or act."""
    of = {part: options}
    acts = [{"group": ANY, "options": of["act"]}] if part == "act" else []
    return {"title": "", "groups": [{"name": name if part == "group" else ANY, "options": of.get("group", [])}],
            "phases": [{"name": name if part == "phase" else ANY, "options": of.get("phase", []), "acts": acts}]}


class Table:
    """The keys of a group, of a phase, or of what a group does in it."""

    def __init__(self, part: str, table: Json, place: Place, name: str, keys: Json, words: Words, ask: Ask):
        self.part, self.place, self.name, self.keys, self.ask = part, place, name, keys[part], ask
        self.options = {key: words(self.keys[key], value, (*place, key)) for key, value in table.items() if key in self.keys}
        self.values = table

    def fault(self, key: str, beside: list[str]) -> Fault | None:
        found = re.match(rf"(?:(?:phase|group) \"?{ANY}\"?: )*--{key}: (.*)", self.ask(_plain(self.part, [*beside, *self.options[key]])), re.S)
        if not found:
            return None
        hint = nearest(self.values[key], self.keys[key].get("choices") or ())
        return (*self.place, key), f"{self.name}: {key}: {found[1]}", hint if hint.startswith(DID_YOU_MEAN) else ""

    def faults(self) -> Iterator[Fault]:
        head = HEADS[self.part]
        wrong = self.fault(head, []) if head in self.options else None
        if wrong:
            yield wrong
        beside = self.options[head] if head in self.options and not wrong else []
        for key in self.options:
            if key != head and (one := self.fault(key, beside)):
                yield one


def _name(part: str, name: str, place: Place, ask: Ask) -> Iterator[Fault]:
    wrong = ask(_plain(part, [], name))
    if wrong.startswith(f'{part} "{name[:40]}"'):
        yield place, wrong, ""


def _table(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def faults(data: Json, words: Words, keys: Json, ask: Ask) -> Iterator[Fault]:
    """`data`: the TOML of a mix; what is no table or has no name is passed over. `keys`: as mix_file.keys_of."""
    of_groups = {name: table for name, table in _table(data.get("group")).items() if isinstance(table, dict)}
    groups = list(of_groups)
    for name, table in of_groups.items():
        yield from _name("group", name, ("group", name), ask)
        yield from Table("group", table, ("group", name), f"group {name}", keys, words, ask).faults()
    phases = data.get("phase")
    for number, phase in enumerate(phases if isinstance(phases, list) else []):
        if not isinstance(phase, dict) or not isinstance(phase.get("name"), str):
            continue
        place: Place = ("phase", number)
        yield from _name("phase", phase["name"], place, ask)
        yield from Table("phase", phase, place, f"phase {phase['name']}", keys, words, ask).faults()
        for key in phase:
            group = key if key in groups else next((one for one in groups if one not in phase), None) if key == "all" else None
            if group is None:
                continue
            act = {"do": phase[key]} if isinstance(phase[key], str) else _table(phase[key])
            yield from Table("act", act, (*place, key), f"phase {phase['name']}: group {group}", keys, words, ask).faults()
