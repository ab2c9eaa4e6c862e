# SPDX-License-Identifier: Apache-2.0
"""Google Benchmark's JSON of one process run: the one benchmark in it, checked against what was asked for."""
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from poolmark_lib.bench_plan import Bench
from poolmark_lib.errors import RecordError

MAX_BYTES = 16 << 20

# Keys of the library's own; every other number is a counter.
OWN = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions", "repetition_index",
       "threads", "iterations", "real_time", "cpu_time", "time_unit", "label", "error_occurred", "error_message",
       "aggregate_name", "aggregate_unit", "big_o", "rms", "items_per_second", "bytes_per_second"}


class NoFigure(Exception):
    """The benchmark said why it has none."""


@dataclass(frozen=True)
class Measured:
    time_ns: float
    counters: dict[str, float]


def unit_of(counter: str) -> tuple[str, str]:
    """(unit, which way is good) of a counter, by its name."""
    if counter in ("longest_ns", "p99_999_ns", "longest_put_ns", "longest_sweep_ns", "longest_expansion_ns"):
        return "ns", "none"  # one or two values of a run decide it: for reading, not for a verdict
    if counter.startswith("any_speed_") or counter == "step_ns":
        return "ns", "none"  # what the host did to it; for reading as well
    if counter.endswith("_ns"):
        return "ns", "lower"
    if counter in ("live_bytes", "huge_bytes"):
        return "B", "none"
    if counter.endswith("_bytes"):
        return "B", "lower"
    if counter.endswith("_ratio") or counter.startswith("faults"):
        return "1", "lower"
    return "1", "none"


def read_json(path: Path) -> dict:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(path, "", f"is larger than {MAX_BYTES >> 20} MiB")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(path, "", f"is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordError(path, "", "is not a JSON object")
    return data


def check_context(path: Path, data: dict, bench: Bench) -> None:
    """The allocator that was loaded, and its tuning, are what was asked for."""
    context = data.get("context")
    if not isinstance(context, dict):
        raise RecordError(path, "context", "is missing")
    wanted = {"allocator": bench.contender.allocator, "glibc_tunables": bench.contender.tunables}
    for key, value in wanted.items():
        if context.get(key) != value:
            raise RecordError(path, f"context.{key}", f"is {str(context.get(key))[:80]!r}; {bench.name} asked for {value!r}")


def read(path: Path, bench: Bench) -> Measured:
    """RecordError names the file and the field when it is not what such a run writes; NoFigure when it was skipped."""
    data = read_json(path)
    check_context(path, data, bench)
    found = data.get("benchmarks")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        raise RecordError(path, "benchmarks", "is not a list of one benchmark")
    one = found[0]
    if one.get("name") != bench.program_name:
        raise RecordError(path, "benchmarks[0].name", f"is {str(one.get('name'))[:80]!r}, not {bench.program_name!r}")
    if one.get("error_occurred"):
        raise NoFigure(str(one.get("error_message") or "no reason given")[:500])
    counters = {}
    for key, value in one.items():
        if key not in OWN and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            if re.fullmatch(r"[A-Za-z0-9_]{1,64}", key):
                counters[key] = float(value)
    per_op = counters.pop("per_op", None)
    if per_op is None or per_op < 0:
        raise RecordError(path, "benchmarks[0].per_op", "is missing: there is no time per operation")
    return Measured(per_op * 1e9, counters)
