# SPDX-License-Identifier: Apache-2.0
"""The published claims (results/claims.toml): read and checked. The file is never edited to fit a measurement.

    claims = catalogue.load()
    claims["startup-time"].high        1.0

A claim has a range (`low`, `high`, either may be open) or a sequence (`expect`). UsageError when the file is not as it should be.
"""
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolmark.base.errors import UsageError
from poolmark.base.forms import Json
from poolmark.base.paths import SCHEMA

FILE = SCHEMA.parent / "claims.toml"
TEXTS = ("id", "system", "source", "says", "metric", "unit", "setup")
FIELDS = {*TEXTS, "low", "high", "expect"}


@dataclass(frozen=True)
class Claim:
    id: str
    system: str
    source: str
    says: str
    metric: str
    unit: str
    setup: str
    low: float | None = None
    high: float | None = None
    expect: tuple[float, ...] = ()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _faults(row: Json, where: str, systems: Json) -> list[str]:
    found = [f"{where}: {name} is missing or empty" for name in TEXTS if not isinstance(row.get(name), str) or not row[name].strip()]
    found += [f"{where}: there is no field {name!r}" for name in sorted(set(row) - FIELDS)]
    found += [f"{where}: {name} is {row[name]!r}, not a number" for name in ("low", "high") if name in row and not _is_number(row[name])]
    if found:
        return found
    if row["system"] not in systems:
        found.append(f"{where}: system is {row['system']!r}; there are: {', '.join(systems)}")
    expect = row.get("expect")
    if expect is not None and (not isinstance(expect, list) or not expect or not all(map(_is_number, expect))):
        found.append(f"{where}: expect is not a list of numbers")
    if (expect is None) == ("low" not in row and "high" not in row):
        found.append(f"{where}: a claim has a range (low, high) or a sequence (expect), one of the two")
    if "low" in row and "high" in row and row["low"] > row["high"]:
        found.append(f"{where}: low {row['low']} is above high {row['high']}")
    return found


def parse(text: str, name: Path | str) -> tuple[dict[str, str], dict[str, Claim]]:
    """({system: what it is}, {id: claim}), in the file's order. UsageError names every fault."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not TOML: {error}") from error
    systems, rows = data.get("system"), data.get("claim")
    if not isinstance(systems, dict) or not isinstance(rows, list) or not rows:
        raise UsageError(f"{name}: needs a table [system] and claims [[claim]]")
    faults: list[str] = []
    claims: dict[str, Claim] = {}
    for number, row in enumerate(rows, 1):
        where = f"claim {number}" + (f" ({row['id']})" if isinstance(row.get("id"), str) else "")
        found = _faults(row, where, systems)
        if not found and row["id"] in claims:
            found = [f"{where}: there is a claim of this id already"]
        faults += found
        if not found:
            fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
            claims[row["id"]] = Claim(**fields)
    if faults:
        raise UsageError(f"{name}: " + "; ".join(faults))
    return systems, claims


def load(path: Path | None = None) -> tuple[dict[str, str], dict[str, Claim]]:
    path = path or FILE
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def number_text(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if not math.isfinite(value):
        return "unbounded"
    if value == round(value) and abs(value) < 1e7:
        return str(round(value))
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def claimed_text(claim: Claim) -> str:
    """What was claimed, in one short text."""
    if claim.expect:
        return ", ".join(map(number_text, claim.expect))
    unit = claim.unit.partition(",")[0]
    unit = "" if unit == "ratio" else f" {unit}"
    if claim.low is None:
        return f"at most {number_text(claim.high or 0.0)}{unit}"
    if claim.high is None:
        return f"at least {number_text(claim.low)}{unit}"
    if claim.low == claim.high:
        return f"{number_text(claim.low)}{unit}"
    return f"{number_text(claim.low)} to {number_text(claim.high)}{unit}"
