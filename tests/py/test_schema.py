# SPDX-License-Identifier: Apache-2.0
"""The compiled schema says of a record what jsonschema says of it: the same verdict, the same first field, the same rule."""
import json
import random

import hostile
import jsonschema
import pytest
from conftest import ROOT

from poolmark.records import read_record
from poolmark.records.schema import Schema

TOLD = json.loads((ROOT / "results/run.schema.json").read_text(encoding="utf-8"))
INTEGER = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
JUDGE = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=INTEGER)


def by_jsonschema(told, value):
    return [(tuple(error.absolute_path), error.validator) for error in JUDGE(told).iter_errors(value)]


def ours(told, value):
    form = Schema(told)
    found = [(fault.place, fault.rule) for fault in form.faults(value)]
    assert form.fits(value) == (not found)
    return found


def test_changed_records_get_the_verdict_of_jsonschema(tmp_path):
    originals = hostile.Originals(tmp_path, ROOT / "results/reference", random.Random(7), ("idle", "kernel"), variants=2)
    form, judge = Schema(TOLD), JUDGE(TOLD)
    wrong = 0
    for number in range(300):
        rng = random.Random(number)
        original = rng.choice(originals.all)
        data = json.loads(original.files["run.json"])
        hostile.spoil_json(data, rng, original.records["run.json"])
        theirs = next(((tuple(error.absolute_path), error.validator) for error in judge.iter_errors(data)), None)
        found = next(((fault.place, fault.rule) for fault in form.faults(data)), None)
        assert found == theirs and form.fits(data) == (theirs is None), number
        wrong += found is not None
    assert 30 < wrong < 270


@pytest.mark.parametrize("told, values", [
    ({"type": ["integer", "null"], "minimum": 1}, [1, 0, None, True, 1.0, "1", []]),
    ({"type": "number", "minimum": 0}, [0, -0.5, True, None, 2**70]),
    ({"enum": ["a", None]}, ["a", None, "b", 0, False, []]),
    ({"const": "x"}, ["x", "y", None, {}]),
    ({"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 3}, ["aa", "a", "aaaa", "ab", 3]),
    ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}, [[], ["a"], ["a", 1], ["a", "b", "c"], {}, "ab"]),
    ({"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}}, "additionalProperties": False},
     [{}, {"a": "x", "b": 1}, {"a": "x"}, {"a": 1, "b": 1, "c": 1}, [], None]),
    ({"properties": {"a": True}, "patternProperties": {"_ns$": {"type": "number"}}, "additionalProperties": {"type": "null"}},
     [{"a": 1}, {"x_ns": 1}, {"x_ns": "1"}, {"b": None}, {"b": 1}, 7]),
    ({"propertyNames": {"pattern": "^[a-z]+$", "maxLength": 3}}, [{"a": 1}, {"A": 1}, {"abcd": 1}, {}]),
    ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/t"}], "$defs": {"t": {"type": "string", "pattern": "^x"}}}, [None, "x", "y", 1]),
    ({"$ref": "#/$defs/t", "description": "d", "$defs": {"t": {"items": {"$ref": "#/$defs/u"}}, "u": {"type": "integer"}}}, [[1], ["a"], 1])])
def test_each_rule_is_as_in_jsonschema(told, values):
    for value in values:
        theirs = by_jsonschema(told, value)
        found = ours(told, value)
        # Of `required`, jsonschema has a fault for each name that is missing.
        assert found == list(dict.fromkeys(theirs)), value


def test_a_line_end_behind_an_id_is_refused():
    """jsonschema takes it: there, "$" is also before it."""
    told = {"pattern": "^[a-z]+$"}
    assert by_jsonschema(told, "a\n") == [] and ours(told, "a\n") == [((), "pattern")]


@pytest.mark.parametrize("told", [{"if": {}}, {"items": False}, {"additionalProperties": False, "patternProperties": {"a": True}}, {"type": "date"}])
def test_a_schema_with_another_rule_is_not_taken(told):
    with pytest.raises((ValueError, KeyError)):
        Schema(told)


def test_the_schema_of_records_is_known_as_a_whole():
    assert read_record.form_of_records().fits(json.loads("{}")) is False
    assert {fault.rule for fault in read_record.form_of_records().faults({})} == {"required"}
