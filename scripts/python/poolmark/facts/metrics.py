# SPDX-License-Identifier: Apache-2.0
"""What a metric is by its name: the catalogue as this version ships it (results/metrics.json).

    row("qos1.messages.lost")["fault"]              True
    may_be_negative("soak.memory_slope", "B/h")     True

The programs own the catalogue (base/metric.h); `scripts/poolmark describe --write` makes the file of what they say, and a test fails where
both differ. Readers of records need no programs: a record is judged alike on each machine.
"""
import fnmatch
import functools
import json
from typing import Any

from poolmark.base.forms import Json
from poolmark.base.paths import METRICS
from poolmark.facts import described

SCHEMA = "poolmark.metrics/1"
TRAITS = ("primary", "signed", "fault", "if_any", "tail")     # base/metric.h says what each means
# Units of what cannot be below 0, unless the catalogue calls a metric a difference or a slope.
NEVER_NEGATIVE = ("ns", "s", "B", "1", "count", "1/s", "%")
# Differences and slopes that commands of this package make, which no program has in its catalogue.
DIFFERENCES = ("claim.*", "kernel.*_bytes")


def text_of(catalogue: list[Json]) -> str:
    """The content of results/metrics.json: a line for each metric."""
    rows = [{**{key: one[key] for key in ("name", "unit", "better")}, "traits": [trait for trait in TRAITS if one[trait]]} for one in catalogue]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f'{{\n "schema": "{SCHEMA}",\n "metrics": [\n{lines}\n ]\n}}\n'


@functools.cache
def catalogue() -> list[Json]:
    """All metrics: name, unit, better, and each of TRAITS as true or false."""
    rows: list[dict[str, Any]] = json.loads(METRICS.read_text(encoding="utf-8"))["metrics"]
    return [{**{key: row[key] for key in ("name", "unit", "better")}, **{trait: trait in row["traits"] for trait in TRAITS}} for row in rows]


@functools.lru_cache(maxsize=1 << 16)
def row(name: str) -> Json | None:
    """The catalogue's row of a metric, whose name may begin with its phase; None for a metric that it does not have."""
    return described.metric_of(name, catalogue())


def _has(name: str, trait: str) -> bool:
    found = row(name)
    return found is not None and bool(found[trait])


def is_fault(name: str) -> bool:
    """Whether it counts what went wrong, and is 0 where nothing did."""
    return _has(name, "fault")


def is_if_any(name: str) -> bool:
    """Whether it is only there where it is above 0."""
    return _has(name, "if_any")


def is_tail(name: str) -> bool:
    return _has(name, "tail")


@functools.cache
def faults(*groups: str) -> tuple[str, ...]:
    """The faults whose names begin with one of these words ("messages"), in the catalogue's order."""
    return tuple(one["name"] for one in catalogue() if one["fault"] and one["name"].partition(".")[0] in groups)


def may_be_negative(name: str, unit: str) -> bool:
    found = row(name)
    if found is not None and (found["name"] == name or not _is_difference(name)):
        return bool(found["signed"])
    return _is_difference(name) or unit not in NEVER_NEGATIVE


def _is_difference(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in DIFFERENCES)
