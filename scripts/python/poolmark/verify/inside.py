# SPDX-License-Identifier: Apache-2.0
"""Values inside a load's record that its files or its own command have too: times of readings, steps, what was asked for.

    of_load(run)        texts
"""
import math
from collections.abc import Callable
from pathlib import Path

from poolmark.base.curves import USER_COLUMNS, MemoryCurve, read_csv
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import RecordData
from poolmark.base.units import parse_count, parse_seconds, show_number
from poolmark.records import trend
from poolmark.records.read_record import Run
from poolmark.verify import anomalies
from poolmark.verify.expected import spoiled


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return parse_count(text)


# Option -> (key of config, how its value is read, scenarios whose configuration is just that; () for all).
ASKED: dict[str, tuple[str, Callable[[str], float], tuple[str, ...]]] = {
    "connections": ("connections", parse_count, ("connect", "churn", "storm", "soak", "subscribe")),
    "duration": ("duration_ns", lambda text: 1e9 * parse_seconds(text), ()), "warmup": ("warmup_ns", lambda text: 1e9 * parse_seconds(text), ()),
    "pairs": ("pairs", parse_count, ()), "publishers": ("publishers", parse_count, ()), "subscribers": ("subscribers", parse_count, ("publish",)),
    "qos": ("qos", float, ()), "rate": ("rate_per_s", _rate, ()), "publish-rate": ("publish_rate_per_s", _rate, ()),
    "churn-rate": ("arrival_rate_per_s", _rate, ()), "subscribe-rate": ("subscribe_rate_per_s", _rate, ()),
}


def _options(command: list[str]) -> dict[str, str]:
    """The last value of each option."""
    found: dict[str, str] = {}
    for word, after in zip(command, [*command[1:], ""], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name] = value if equals else after
    return found


def _asked(record: RecordData) -> list[str]:
    config, options = record.get("config", {}), _options(record["command"])
    wrong: list[str] = []
    if config.get("scenario") == "mix" or "open" in options:
        return []
    for name, (key, read, scenarios) in ASKED.items():
        value = config.get(key)
        if name not in options or not isinstance(value, (int, float)) or scenarios and config.get("scenario") not in scenarios:
            continue
        try:
            asked = read(options[name])
        except (PoolmarkError, ValueError):
            continue
        if asked and not math.isclose(asked, value, rel_tol=1e-9):
            wrong.append(f"config.{key}: the record says {show_number(value)}, and its command asked for --{name} {options[name]}")
    return wrong


def _steps(run: Run) -> list[str]:
    told, path = run.data.get("steps"), run.folder / "steps.csv"
    if not isinstance(told, list) or not path.is_file() or path.name in spoiled(run.data):
        return []
    rows = read_csv(path, ())
    if len(rows) != len(told):
        return [f"steps: the record has {len(told)}, steps.csv has {len(rows)}"]
    return [f"steps: {name} of the step of {row.get('connections')} connections: the record says {one.get(name)}, steps.csv says {value}"
            for row, one in zip(rows, told, strict=True) if isinstance(one, dict) for name, value in row.items() if one.get(name) != value]


def _readings(run: Run) -> list[str]:
    path = run.folder / "memory.csv"
    if not path.is_file() or path.name in spoiled(run.data):
        return []
    times = {row.get("at_ns") for row in read_csv(path, ("phase",))}
    return [f"readings.{name}: memory.csv has no line of {at_ns}" for name, at_ns in (run.data.get("readings") or {}).items() if at_ns not in times]


def verdict_complaints(path: Path, record: RecordData) -> list[str]:
    """Verdicts of a soak that its memory.csv contradicts."""
    if not (record.get("summary") or {}).get("verdicts"):
        return []
    curve = MemoryCurve(path)
    full = curve.reading(record, "full") or {}
    return trend.complaints(record, trend.of_rows(curve.rows, next((name for name in USER_COLUMNS if full.get(name) is not None),
                                                                   USER_COLUMNS[-1])))


def swap_complaints(path: Path, record: RecordData) -> list[str]:
    """Readings that memory figures are of, with swapped memory of which no anomaly tells."""
    told = {one.get("what") for one in record.get("anomalies", [])}
    if "memory.full_bytes" not in record.get("metrics", {}) or told & {"swapped", "swap_not_counted", anomalies.MANY}:
        return []
    curve = MemoryCurve(path)
    return [f"memory.csv: {swapped} B of the target are swapped out at the reading {name}, and no anomaly says so" for name in ("start", "full")
            if (swapped := (curve.reading(record, name) or {}).get("target_swap_bytes"))]


def of_load(run: Run) -> list[str]:
    path = run.folder / "memory.csv"
    read = path.is_file() and path.name not in spoiled(run.data)
    return _readings(run) + _steps(run) + _asked(run.data) + (verdict_complaints(path, run.data) + swap_complaints(path, run.data) if read else [])
