# SPDX-License-Identifier: Apache-2.0
"""The types of a record's parts (base/forms.py) are those of results/run.schema.json, which checks each record when it is read."""
import json
import types
import typing

import pytest
from conftest import ROOT
from poolmark.base import forms

SCHEMA = json.loads((ROOT / "results/run.schema.json").read_text(encoding="utf-8"))
DEFINED = SCHEMA["$defs"]
CELL = DEFINED["cell"]["properties"]
PARTS = [
    (forms.RecordData, SCHEMA), (forms.ToolData, SCHEMA["properties"]["tool"]), (forms.CellData, DEFINED["cell"]),
    (forms.MetricData, DEFINED["metric"]), (forms.AnomalyData, DEFINED["anomalies"]["items"]), (forms.PhaseData, CELL["phases"]["items"]),
    (forms.TrialData, CELL["trial"]), (forms.AnswerData, CELL["answer"]), (forms.BooksData, DEFINED["books"]["additionalProperties"]),
    (forms.FileData, SCHEMA["properties"]["files"]["additionalProperties"]),
    (forms.SourceData, SCHEMA["properties"]["sources"]["items"]),
]
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null", dict: "object", list: "array"}


def python_types(hint) -> set[str]:
    """JSON's words for the values of a type."""
    if typing.get_origin(hint) in (typing.NotRequired, typing.Required):
        return python_types(typing.get_args(hint)[0])
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*map(python_types, typing.get_args(hint)))
    return {"object" if typing.is_typeddict(hint) else JSON_TYPES[typing.get_origin(hint) or hint]}


def schema_types(part: dict) -> set[str]:
    """The types that the schema allows."""
    if "$ref" in part:
        return schema_types(DEFINED[part["$ref"].rpartition("/")[2]])
    if "oneOf" in part:
        return set().union(*map(schema_types, part["oneOf"]))
    values = part.get("enum", [part["const"]] if "const" in part else [])
    told = part.get("type", sorted({JSON_TYPES[type(value)] for value in values}))
    return {told} if isinstance(told, str) else set(told)


@pytest.mark.parametrize("form, part", PARTS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_form_has_the_fields_of_the_schema(form, part):
    hints = typing.get_type_hints(form, include_extras=True)
    assert set(hints) == set(part["properties"])
    assert set(form.__required_keys__) == set(part.get("required", []))
    for name, hint in hints.items():
        assert python_types(hint) == schema_types(part["properties"][name]), name


def test_a_wrong_form_is_found():
    """The comparison above can fail."""
    assert python_types(typing.NotRequired[list[str] | None]) == {"array", "null"} != schema_types({"type": "array"})
    assert schema_types({"$ref": "#/$defs/sha256"}) == python_types(str) == {"string"} == schema_types({"enum": ["a", "b"]})
    assert python_types(forms.CellData) == python_types(forms.Config) == {"object"}
