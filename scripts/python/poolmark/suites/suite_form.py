# SPDX-License-Identifier: Apache-2.0
"""The form of a suite's file: which tables there are, and which are lists of tables.

    data = understood(data, faults)     # as it was meant: what is in a table of another name or kind can be checked as well

A table with a misspelt name ([confg], [[phases]]), a list where one table belongs ([[config]]) and a table where a list belongs ([phase])
are faults. Each is then read as what was meant, so that it hides no fault within it. What cannot be read as anything is left out.
"""
from collections.abc import Mapping
from typing import Any

from poolmark.base.faults import Faults, likely
from poolmark.base.forms import Json, Place
from poolmark.base.toml_values import shown

Kinds = Mapping[str, type[object]]     # key -> the type of its value

KEYS: Kinds = {"title": str, "kind": str, "repetitions": int, "seed": int, "plot": str, "drop_caches": bool, "refusals": bool, "primary": list,
               "config": dict, "axes": dict, "axes_if_known": dict, "broker": dict, "load": dict, "phase": list, "group": list,
               "override": list, "ratio": list, "beside": dict, "impossible": list}
GROUP_KEYS: Kinds = {key: KEYS[key] for key in ("config", "axes", "axes_if_known", "broker", "load", "phase")}
OVERRIDE_KEYS: Kinds = {"when": dict, "config": dict, "broker": dict, "load": dict}
RATIO_KEYS: Kinds = {"metric": str, "of": dict, "to": dict, "by": str, "within": float}
BESIDE_KEYS: Kinds = {"axis": str, "rows": list, "difference": bool, "figures": dict}
IMPOSSIBLE_KEYS: Kinds = {"when": dict, "why": str}
# The tables of a list that have keys of their own. A phase's keys are the generator's options.
WITHIN: Mapping[str, Kinds] = {"group": GROUP_KEYS, "override": OVERRIDE_KEYS, "ratio": RATIO_KEYS, "impossible": IMPOSSIBLE_KEYS}
VALUES = ("primary", "rows")    # lists of values, not of tables


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


class _Reader:
    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def one_table(self, value: Any, meant: Place, written: Place) -> Json | None:
        """A table; of a list of tables all of them together."""
        if isinstance(value, dict):
            return value
        if not _is_list_of_tables(value):
            self.faults.add(meant, f"{meant[-1]} is {shown(value)}; it must be a table")
            return None
        self.faults.add(meant, f"{meant[-1]} is a list of tables, [[{written[-1]}]]; it must be one table, [{meant[-1]}]")
        made: Json = {}
        for i, table in enumerate(value):
            for key in table:
                self.faults.stands_at((*meant, key), (*written, i, key))
            made |= table
        return made

    def tables(self, value: Any, meant: Place, written: Place) -> list[Any] | None:
        """A list of tables; of one table a list with it. Elements that are no tables stay where they are, as {}."""
        key = str(meant[-1])
        if isinstance(value, dict):
            self.faults.add(meant, f"{key} is one table, [{written[-1]}]; it must be a list of tables, [[{key}]]")
            self.faults.stands_at((*meant, 0), written)
            return [value]
        if not isinstance(value, list):
            self.faults.add(meant, f"{key} is {shown(value)}; it must be a list of tables, [[{key}]]")
            return None
        for i, one in enumerate(value):
            if not isinstance(one, dict):
                self.faults.add((*meant, i), f"{key} is a list of tables, [[{key}]]; one is {shown(one)}")
        return [one if isinstance(one, dict) else {} for one in value]

    def value(self, kind: type[object], value: Any, meant: Place, written: Place) -> Any:
        """None where nothing can be read of it."""
        key = str(meant[-1])
        if kind is dict:
            return self.one_table(value, meant, written)
        if kind is not list or key in VALUES:
            return value        # of these the check of their values says what is wrong
        found = self.tables(value, meant, written)
        if found is None or key not in WITHIN:
            return found
        return [self.read(one, WITHIN[key], (*meant, i)) for i, one in enumerate(found)]

    def read(self, table: Json, keys: Kinds, path: Place) -> Json:
        made: Json = {}
        for key, value in table.items():
            name, meant, written = key, (*path, key), (*path, key)
            if key not in keys:
                self.faults.add(written, f"{key!r} is not a key there", keys)
                guess = likely(key, keys)
                if guess is None or guess in table or guess in made or keys[guess] not in (dict, list) or guess in VALUES:
                    continue
                name, meant = guess, (*path, guess)
                self.faults.stands_at(meant, written)
            found = self.value(keys[name], value, meant, written)
            if found is not None:
                made[name] = found
        return made


def understood(data: Json, faults: Faults) -> Json:
    return _Reader(faults).read(data, KEYS, ())
