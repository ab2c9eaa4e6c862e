# SPDX-License-Identifier: Apache-2.0
"""The door of records lets nothing through that dataclasses of the same fields would refuse: each field of a whole record is replaced by
values of every other type, and taken away. What the door then lets through is of the types of base/forms.py, to the last element; what it
refuses, it names."""
import copy
import json
import types
import typing

import pytest
from poolmark.base import forms
from poolmark.records import read_record

METRIC = {"value": 1.5, "unit": "ns", "better": "lower", "why": "of 3 samples", "doubt": "other_clients", "samples": [1.5, 2]}
ANOMALY = {"what": "busy", "text": "other processes had 20 %", "at_s": 1.5}
BOOKS = {name: 1 for name in forms.BooksData.__annotations__}
CELL = {
    "id": "slab.1", "config": {"strategy": "slab"}, "repetition": 1, "status": "complete", "metrics": {"connect.p99": METRIC}, "turn": 0,
    "command": ["suite"], "commands": [["broker", "--pool"]], "seconds": 1.5, "source": "suite-20260101T000000Z-0001",
    "phases": [{"name": "qos0", "scenario": "publish", "folder": "load-qos0", "prefix": "qos0.", "several": True, "limit": "target"}],
    "trial": {"verdict": "held", "by": "", "why": ["late"], "had": 1.5, "lost": 0, "lag_p99_ns": 1.5, "latencies": {}, "limit": None},
    "answer": {"kind": "limit", "by": "target", "wide": False, "low_held": 1, "low_tried": 1, "high_failed": 1, "high_tried": 1},
    "books": {"connect": BOOKS}, "files": {"latency": "cells/slab.1/latency.hlog"}, "anomalies": [ANOMALY],
    "entries": {"metrics": 1, "anomalies": {"late": 1}}}
STOP = {"pid": 1, "kind": "stopped", "looks": 1, "of_looks": 1, "ns": 1, "longest_ns": 1, "longest_from_ns": 0}
RECORD = {
    "schema": "poolmark.run/1", "id": "suite-20260101T000000Z-0001", "kind": "suite", "status": "complete", "started_utc": "2026-01-01T00:00:00Z",
    "tool": {"version": "0.2.0", "commit": "a" * 40, "dirty": None, "compiler": "cc", "flags": "-O2"}, "command": ["suite"], "host": {"cores": 2},
    "suite": "quick", "comparison": "x", "build": "build", "ended_utc": "2026-01-01T00:00:00Z", "seed": 1, "clock": "host", "target_stops": [STOP], "libraries": {"paho": None}, "config": {},
    "cells": [CELL], "metrics": {"connect.p99": METRIC}, "books": {"connect": BOOKS}, "summary": None, "anomalies": [ANOMALY], "counters": {"accepted": 1},
    "ranks": [{"rank": 0, "host": None, "clients": 1, "workers": 1, "clock": None, "lost": False, "ended": "", "counts": {}}], "readings": {"full": 3},
    "surroundings": {"tcp": {"start": {"drops": 1}, "end": {"drops": None}}}, "sources": [{"id": "x", "sha256": "a" * 64, "runs": ["y"]}], "seal": "run.json.sha256",
    "files": {"a": {"sha256": "a" * 64, "bytes": 1}}, "files_left_out": ["ranks/1"],
    "entries": {"metrics": 1, "anomalies": {"late": 1}}}
RECORD = json.loads(json.dumps(RECORD))     # no two of its parts are one object
GONE = object()
OTHERS = (None, True, 1, 1.0, 1.5, "a text", [], {}, [None], [1], ["a text"], {"a": None}, {"a": 1}, {"a": "a text"}, {"a": {}}, [[]], [{}], GONE)
UNIONS = (typing.Union, types.UnionType)


def fits(value, hint) -> bool:
    """Whether a value is of a type, its elements included. A float may be a whole number, as JSON writes 2.0 as 2."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.NotRequired, typing.Required):
        return fits(value, parts[0])
    if hint is typing.Any:
        return True
    if origin in UNIONS:
        return any(fits(value, one) for one in parts)
    if typing.is_typeddict(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        return isinstance(value, dict) and hint.__required_keys__ <= value.keys() and all(fits(value[name], hints[name]) for name in hints if name in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(key, parts[0]) and fits(one, parts[1]) for key, one in value.items())
    if origin is list:
        return isinstance(value, list) and all(fits(one, parts[0]) for one in value)
    return type(value) in ({float: (int, float)}.get(hint) or (hint,))


def places(value, hint, path=()):
    """The place of each value that has a type in forms.py."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.NotRequired, typing.Required):
        yield from places(value, parts[0], path)
        return
    if origin in UNIONS:
        yield from places(value, next(one for one in parts if fits(value, one)), path)
        return
    if path and hint is not typing.Any:
        yield path
    if typing.is_typeddict(hint):
        for name, one in typing.get_type_hints(hint, include_extras=True).items():
            yield from places(value[name], one, (*path, name))
    elif origin is dict:
        for key, one in value.items():
            yield from places(one, parts[1], (*path, key))
    elif origin is list:
        for number, one in enumerate(value):
            yield from places(one, parts[0], (*path, number))


def changed(path, other):
    made = copy.deepcopy(RECORD)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    if other is GONE:
        del parent[path[-1]]
    else:
        parent[path[-1]] = copy.deepcopy(other)
    return made


def test_the_record_has_every_field_that_has_a_type():
    assert fits(RECORD, forms.RecordData) and read_record.complaints(RECORD) == []
    for form, part in ((forms.RecordData, RECORD), (forms.CellData, CELL), (forms.MetricData, METRIC), (forms.TrialData, CELL["trial"]),
                       (forms.AnswerData, CELL["answer"]), (forms.PhaseData, CELL["phases"][0])):
        assert set(typing.get_type_hints(form)) == set(part)


@pytest.mark.parametrize("path", list(places(RECORD, forms.RecordData)), ids=lambda path: read_record.field_name(path))
def test_the_door_checks_what_a_dataclass_would(path):
    for other in OTHERS:
        made = changed(path, other)
        found = read_record.complaints(made, at_most=1)
        if found:
            assert found[0][0] in {read_record.field_name(path[:length]) for length in range(len(path) + 2)} or found[0][0].startswith(
                read_record.field_name(path)), (other, found)
        else:
            assert fits(made, forms.RecordData), (path, other)


def test_a_type_that_the_schema_does_not_check_would_be_found():
    """The comparison above can fail."""
    assert not fits({"value": 1.5, "unit": "ns", "better": "lower", "samples": ["x"]}, forms.MetricData) and fits(METRIC, forms.MetricData)
    assert not fits({"value": 1.5, "unit": "ns"}, forms.MetricData) and not fits(True, int) and not fits(1.0, int) and fits(1, float) and not fits(True, float)
    assert not fits({"a": 1}, dict[str, str]) and not fits([["a"], [1]], list[list[str]]) and fits(None, int | None)


@pytest.mark.parametrize("key, value", [("scenario", {}), ("scenario", ["publish"]), ("pattern", 1), ("schedule", None), ("duration_ns", "10s"),
                                        ("publish_rate_per_s", [1]), ("payload_bytes", {})])
def test_what_readers_compute_with_is_checked_in_the_configuration(key, value):
    made = {**RECORD, "config": {key: value}}
    assert read_record.complaints(made, at_most=1)[0][0] == f"config.{key}"
    assert not read_record.complaints({**RECORD, "config": {"another": value}}, at_most=1)
