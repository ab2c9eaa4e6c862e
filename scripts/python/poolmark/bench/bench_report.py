# SPDX-License-Identifier: Apache-2.0
"""Reads Google Benchmark's JSON of one process and checks that its one benchmark is the requested one."""
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import described
from poolmark.facts.allocators import is_path
from poolmark.bench.bench_plan import Bench
from poolmark.base.errors import RecordError
from poolmark.base.forms import Json

MAX_BYTES = 16 << 20

# Keys of Google Benchmark itself; every other number is a counter.
OWN = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions", "repetition_index",
       "threads", "iterations", "real_time", "cpu_time", "time_unit", "label", "error_occurred", "error_message",
       "aggregate_name", "aggregate_unit", "big_o", "rms", "items_per_second", "bytes_per_second"}


class NoFigure(Exception):
    """The benchmark skipped itself and gave a reason."""


@dataclass(frozen=True)
class Measured:
    time_ns: float
    counters: dict[str, float]
    allocator_version: str = ""  # as the allocator reports it


def is_catalogued(metric: str) -> bool:
    return described.metric_of(metric, described.bench()["metrics"]) is not None


def unit_of(metric: str) -> tuple[str, str]:
    """(unit, better) from the program's catalogue; ("1", "none") for a metric that is not in it."""
    row = described.metric_of(metric, described.bench()["metrics"])
    return (row["unit"], row["better"]) if row else ("1", "none")


def read_json(path: Path) -> Json:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(path, "", f"is larger than {MAX_BYTES >> 20} MiB")
        # A number of more digits than a float has is none: figures() takes finite ones.
        data = json.loads(path.read_text(encoding="utf-8"), parse_int=lambda digits: int(digits) if len(digits) <= 20 else math.inf)
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(path, "", f"is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordError(path, "", "is not a JSON object")
    return data


def check_context(path: Path, data: Json, bench: Bench) -> None:
    """Checks that the loaded allocator and its settings are the requested ones. Older programs report GLIBC_TUNABLES only."""
    context, contender = data.get("context"), bench.contender
    if not isinstance(context, dict):
        raise RecordError(path, "context", "is missing")
    found = context.get("allocator")
    if is_path(contender.allocator):
        if found == "glibc":
            raise RecordError(path, "context.allocator", f"is 'glibc': {Path(contender.allocator).name} takes no program's malloc")
    elif found != contender.allocator:
        raise RecordError(path, "context.allocator", f"is {str(found)[:80]!r}; {bench.name} asked for {contender.allocator!r}")
    pool = contender.pool
    if pool and context.get(f"pool.{pool.strategy}") != f"{pool.file} {pool.sha256}":
        raise RecordError(path, f"context.pool.{pool.strategy}",
                          f"is {str(context.get(f'pool.{pool.strategy}'))[:400]!r}; {pool.file} with SHA-256 {pool.sha256} was to be measured: "
                          "was it changed meanwhile?")
    wanted = {"allocator_environment": contender.told(), "glibc_tunables": dict(contender.variables).get("GLIBC_TUNABLES", "")}
    for key, value in wanted.items():
        if key in context and context[key] != value:
            raise RecordError(path, f"context.{key}", f"is {str(context[key])[:160]!r}; {bench.name} asked for {value!r}")
    if "allocator_environment" not in context and "glibc_tunables" not in context:
        raise RecordError(path, "context", "does not say what the allocator was told")


def check_books(path: Path, counters: dict[str, float]) -> None:
    """Samples due = measured + left out (for a reason known before the sample) + failed."""
    due = counters.get("samples_due")
    if due is None:
        return
    parts = [counters.get(f"samples_{part}", 0.0) for part in ("measured", "left_out", "failed")]
    if due != sum(parts):
        raise RecordError(path, "benchmarks[0].samples_due",
                          f"is {due:.0f}; {parts[0]:.0f} were measured, {parts[1]:.0f} left out, {parts[2]:.0f} failed")


def read(path: Path, bench: Bench) -> Measured:
    """RecordError names the file and the field when the report is wrong. NoFigure when the benchmark was skipped."""
    data = read_json(path)
    check_context(path, data, bench)
    return figures(path, data, bench.program_name)


def figures(path: Path, data: Json, name: str) -> Measured:
    """The figures of the report's single benchmark, which must have this name."""
    found = data.get("benchmarks")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        raise RecordError(path, "benchmarks", "is not a list of one benchmark")
    one = found[0]
    if one.get("name") != name:
        raise RecordError(path, "benchmarks[0].name", f"is {str(one.get('name'))[:80]!r}, not {name!r}")
    if one.get("error_occurred"):
        raise NoFigure(str(one.get("error_message") or "no reason given")[:500])
    counters: dict[str, float] = {}
    for key, value in one.items():
        if key not in OWN and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            if re.fullmatch(r"[A-Za-z0-9_]{1,64}", key):
                counters[key] = float(value)
    per_op = counters.pop("per_op", None)
    if per_op is None or per_op < 0:
        raise RecordError(path, "benchmarks[0].per_op", "is missing: there is no time per operation")
    check_books(path, counters)
    version = data.get("context", {}).get("allocator_version")
    return Measured(per_op * 1e9, counters, version if isinstance(version, str) else "")
