# SPDX-License-Identifier: Apache-2.0
"""Checks data against a JSON Schema that is compiled once: a record is checked in a twelfth of the time that jsonschema takes (that of the quick suite), and a wrong
one costs no more than a right one.

    form = Schema(json.loads(text))
    form.fits(data)                     # True
    for fault in form.faults(data):     # in the order of the schema
        print(fault.place, fault.rule, fault.wanted, fault.value)

It knows the keywords that results/run.schema.json has, and refuses a schema with any other (ValueError). Two differences to jsonschema:
1.0 is no integer, since readers that count with it do not take it for one, and "$" in a pattern is the end, not a line's end before it.
tests/py/test_schema.py compares it with jsonschema.
"""
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from poolmark.base.forms import Place

Check = Callable[[Any], bool]
Part = tuple[Place, Any, "Schema"]          # of a value: where it is, what it is, and the form that it has to have

NOTES = {"$schema", "$id", "$defs", "title", "description"}     # keywords that demand nothing
TYPES = {"object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float), "null": (type(None),)}


@dataclass(frozen=True)
class Fault:
    place: Place
    rule: str           # the keyword
    wanted: Any         # its value
    value: Any          # what breaks it


class Schema:
    """A schema, or one inside of it. `whole`: the one that it stands in, for its $ref."""

    def __init__(self, told: Any, whole: "Schema | None" = None) -> None:
        self._named: dict[str, Schema] = {} if whole is None else whole._named
        self._defined: dict[str, Any] = told.get("$defs", {}) if whole is None else whole._defined
        self._rules: list[tuple[str, Any, Check, Callable[[Any], Iterator[Part]] | None]] = []
        for keyword, wanted in ({} if told is True else told).items():
            if keyword not in NOTES:
                self._rules.append((keyword, wanted, *self._compiled(keyword, wanted, told)))
        self._checks = [rule[2] for rule in self._rules]

    def fits(self, value: Any) -> bool:
        for check in self._checks:
            if not check(value):
                return False
        return True

    def faults(self, value: Any, place: Place = ()) -> Iterator[Fault]:
        for keyword, wanted, check, parts in self._rules:
            if check(value):
                continue
            if parts is None:
                yield Fault(place, keyword, wanted, value)
                continue
            for more, part, form in parts(value):
                yield from form.faults(part, (*place, *more))

    # --- compiling

    def _part(self, told: Any) -> "Schema":
        return Schema(told, self)

    def _reference(self, name: str) -> "Schema":
        if name not in self._named:
            self._named[name] = self._part(self._defined[name.removeprefix("#/$defs/")])
        return self._named[name]

    def _compiled(self, keyword: str, wanted: Any, told: Any) -> tuple[Check, Callable[[Any], Iterator[Part]] | None]:
        """Whether a value holds to a rule, and, of a rule for parts of it, what these are."""
        match keyword:
            case "$ref":
                form = self._reference(wanted)
                return form.fits, lambda value: iter([((), value, form)])
            case "properties":
                return self._properties(wanted)
            case "patternProperties" | "additionalProperties" | "propertyNames" | "items":
                return self._every(keyword, wanted, told)
            case "oneOf":
                forms = [self._part(one) for one in wanted]
                return (lambda value: sum(form.fits(value) for form in forms) == 1), None
        return _simple(keyword, wanted), None

    def _properties(self, wanted: dict[str, Any]) -> tuple[Check, Callable[[Any], Iterator[Part]]]:
        forms = {name: self._part(one) for name, one in wanted.items()}

        def check(value: Any) -> bool:
            if type(value) is dict:
                for name, form in forms.items():
                    if name in value and not form.fits(value[name]):
                        return False
            return True

        return check, lambda value: (((name,), value[name], form) for name, form in forms.items() if name in value)

    def _every(self, keyword: str, wanted: Any, told: Any) -> tuple[Check, Callable[[Any], Iterator[Part]] | None]:
        """A rule for each of some parts of a value."""
        if wanted is False:
            if keyword != "additionalProperties" or "patternProperties" in told:
                raise ValueError(f"a schema with {keyword!r}: false is not known here")
            names = set(told.get("properties", ()))
            return (lambda value: type(value) is not dict or not value.keys() - names), None
        parts = self._parts(keyword, wanted, told)

        def check(value: Any) -> bool:
            for _, part, form in parts(value):
                if not form.fits(part):
                    return False
            return True

        return check, parts

    def _parts(self, keyword: str, wanted: Any, told: Any) -> Callable[[Any], Iterator[Part]]:
        if keyword == "items":
            form = self._part(wanted)
            return lambda value: (((number,), one, form) for number, one in enumerate(value)) if type(value) is list else iter(())
        if keyword == "propertyNames":
            form = self._part(wanted)
            return lambda value: (((), name, form) for name in value) if type(value) is dict else iter(())
        patterns = [(_pattern(one), self._part(form)) for one, form in told.get("patternProperties", {}).items()]
        if keyword == "patternProperties":
            return lambda value: (((name,), one, form) for name, one in value.items() for pattern, form in patterns
                                  if pattern.search(name)) if type(value) is dict else iter(())
        form, names = self._part(wanted), set(told.get("properties", ()))
        return lambda value: (((name,), one, form) for name, one in value.items() if name not in names and
                              not any(pattern.search(name) for pattern, _ in patterns)) if type(value) is dict else iter(())


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text))


def _simple(keyword: str, wanted: Any) -> Check:
    """A rule for a value as a whole."""
    match keyword:
        case "type":
            types = frozenset(one for name in ([wanted] if isinstance(wanted, str) else wanted) for one in TYPES[name])
            return lambda value: type(value) in types
        case "const" | "enum":
            known = [(type(one), one) for one in ([wanted] if keyword == "const" else wanted)]
            return lambda value: (type(value), value) in known
        case "required":
            names = frozenset(wanted)
            return lambda value: type(value) is not dict or names <= value.keys()
        case "pattern":
            pattern = _pattern(wanted)
            return lambda value: type(value) is not str or pattern.search(value) is not None
        case "minimum":
            return lambda value: type(value) not in (int, float) or value >= wanted
        case "minLength":
            return lambda value: type(value) is not str or len(value) >= wanted
        case "maxLength":
            return lambda value: type(value) is not str or len(value) <= wanted
        case "minItems":
            return lambda value: type(value) is not list or len(value) >= wanted
        case "maxItems":
            return lambda value: type(value) is not list or len(value) <= wanted
    raise ValueError(f"a schema with the rule {keyword!r} is not known here")
