# SPDX-License-Identifier: Apache-2.0
"""Dataclasses made of JSON at the door: each field is there and of its type, or a RecordError names the file and the field.

    @dataclass(frozen=True)
    class Count:
        count: int
        dirty: bool | None

    made(Count, parse(text, path), path)        # Count(count=3, dirty=None)

For files beside run.json that one reader owns. A record itself has a schema, and stays a dictionary: base/forms.py says why. Types of
fields: str, int, float (whole numbers too), bool, X | None, tuple[X, ...] for a list, and dataclasses. A field with a default may be
missing; fields that the class does not have are left out.
"""
import dataclasses
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from poolmark.base.errors import RecordError
from poolmark.base.forms import Place
from poolmark.records.read_record import field_name

Made = TypeVar("Made")
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}


def made(form: type[Made], value: object, name: Path | str) -> Made:
    """`value`, as parse() gave it, as a `form`. `name`: of the file, for an error."""
    result: Made = _made(form, value, name, ())
    return result


def _made(form: Any, value: Any, name: Path | str, place: Place) -> Any:
    if isinstance(form, types.UnionType):       # X | None
        kind, = (one for one in typing.get_args(form) if one is not types.NoneType)
        return None if value is None else _made(kind, value, name, place)
    if typing.get_origin(form) is tuple and isinstance(value, list):
        kind = typing.get_args(form)[0]
        return tuple(_made(kind, one, name, (*place, number)) for number, one in enumerate(value))
    if dataclasses.is_dataclass(form) and isinstance(value, dict):
        return _object(form, value, name, place)
    if form is float and type(value) is int:
        return float(value)
    if type(value) is form:
        return value
    wanted = WORDS.get(typing.get_origin(form) or form, "an object")
    raise RecordError(name, field_name(place), f"{reprlib.repr(value)} is not {wanted}")


def _object(form: Any, value: dict[str, Any], name: Path | str, place: Place) -> Any:
    kinds, found = typing.get_type_hints(form), {}
    for field in dataclasses.fields(form):
        if field.name in value:
            found[field.name] = _made(kinds[field.name], value[field.name], name, (*place, field.name))
        elif field.default is dataclasses.MISSING:
            raise RecordError(name, field_name(place), f"{field.name!r} is missing")
    return form(**found)
