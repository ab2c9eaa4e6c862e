# SPDX-License-Identifier: Apache-2.0
"""Which metrics decide a comparison.

- primary: the few metrics that a suite (`primary = [...]`) or `--judge` names. They decide.
- other: all further metrics with a better direction. Shown; they decide only when clearly worse.
- duplicate: repeats another metric of its cell (uncorrected latencies, mean and max, RSS beside PSS, the last phase's latency
  again without its name). Shown, and in no family.

A pattern is a name with * and ?; "CELL:METRIC" limits it to cells.
"""
import fnmatch
import re
from collections.abc import Collection

from poolmark.base.forms import RecordData
from poolmark.facts import described
from poolmark.suites import suite_file
from poolmark.base.errors import PoolmarkError, UsageError

PRIMARY, OTHER, DUPLICATE = "primary", "other", "duplicate"

# Benchmarks: the metric that each workload exists for; otherwise the time of an operation.
BENCH = ("*:time", "blowup/*:peak_ratio", "blowup/*:after_*_ratio", "bleed/*:owned_ratio", "cold/*:faults_each",
         "grow/*:p99_99_ns", "shrink/*:p99_99_ns")
_DUPLICATES = re.compile(r"uncorrected|\.(mean|max|count)(_ns)?$|_rss_bytes$|^any_speed_")
_PHASED = re.compile(r"^(delivery|ack|messages)\.([a-z0-9_]+)$")


def is_duplicate(metric: str, names: Collection[str]) -> bool:
    """`names`: all metrics of its cell."""
    if _DUPLICATES.search(metric):
        return True
    found = _PHASED.match(metric)
    if not found:
        return False
    group, rest = found.groups()
    return any(name.startswith((f"{group}_", f"{group}.")) and name.endswith(f".{rest}") and name != metric and
               "uncorrected" not in name for name in names)


def matches(pattern: str, cell: str, metric: str) -> bool:
    cells, colon, metrics = pattern.rpartition(":")
    if colon and not fnmatch.fnmatchcase(cell, cells):
        return False
    return fnmatch.fnmatchcase(metric, metrics)


def is_exact(pattern: str) -> bool:
    return not set(pattern) & set("*?[")


def named(patterns: list[str]) -> list[str]:
    """Those that name one metric."""
    return [pattern for pattern in patterns if is_exact(pattern.rpartition(":")[2])]


def named_by(run: RecordData) -> list[str]:
    """The patterns of a record: its own, else those of the suite's file today, else the catalogue's. Of runs of suites that were joined with
    benchmarks also those of benchmarks."""
    own = run.get("config", {}).get("primary")
    benches = ["workload" in cell["config"] for cell in run.get("cells", [])]
    if isinstance(own, list) and own:
        mixed = run.get("kind") != "bench" and any(benches)
        return [*(str(pattern) for pattern in own), *(BENCH if mixed else ())]
    if run.get("kind") == "bench" or any(benches[:1]):
        return list(BENCH)
    try:
        found = suite_file.read(str(run.get("suite")))[1].get("primary")
    except UsageError:
        found = None
    return list(found or catalogue())


def catalogue() -> list[str]:
    """The generator's primary metrics, in every phase that has them. Connects of named phases are left out, because those few
    connections only help to measure. All metrics when there is no generator to ask."""
    try:
        names = [one["name"] for one in described.loadgen()["metrics"] if one["primary"]]
    except PoolmarkError:
        return ["*"]
    return [*names, *(f"*.{name}" for name in names if not name.startswith("connect."))]


def role(cell: str, metric: str, names: Collection[str], patterns: list[str]) -> str:
    """A duplicate is primary only when a pattern without * and ? names it."""
    duplicate = is_duplicate(metric, names)
    for pattern in patterns:
        if matches(pattern, cell, metric) and (not duplicate or is_exact(pattern.rpartition(":")[2])):
            return PRIMARY
    return DUPLICATE if duplicate else OTHER


def patterns_for(base: RecordData, candidate: RecordData, judge: list[str]) -> list[str]:
    """`judge`: the asked patterns. "all" means every metric but duplicates, "primary" the suite's own: of both runs, since a candidate
    that names fewer would hide what it made worse."""
    own = list(dict.fromkeys([*named_by(candidate), *named_by(base)]))
    if not judge:
        return own
    patterns: list[str] = []
    for one in judge:
        patterns += ["*"] if one == "all" else own if one == "primary" else in_phases(one, candidate)
    return patterns


def in_phases(pattern: str, run: RecordData) -> list[str]:
    """A metric that exists only with the name of a phase before it means that metric of every phase."""
    cells, colon, name = pattern.rpartition(":")
    known = {metric for cell in run.get("cells", []) for metric in cell["metrics"]}
    return [pattern] if not is_exact(name) or name in known else [f"{cells}{colon}*.{name}"]
