# SPDX-License-Identifier: Apache-2.0
"""The programs' descriptions of themselves (`--describe`, base/describe.h): strategies, shapes, engines, scenarios, options,
metrics. Python code does not repeat any of it.

    described.broker(build)["strategies"]
    described.loadgen(build)["engines"]
    described.catalogue(build)

Each command line is asked once. The answer is shared, so callers must not change it.
"""
import contextlib
import fnmatch
import functools
import json
import os
import resource
import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import Config, Json
from poolmark.base.paths import INSTALLED, build_dir, for_people

SCHEMA = "poolmark.describe/1"
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")
TIMEOUT_S = 60


def _under(limit: int | None) -> Callable[[], None] | None:
    """For a child: sets the descriptor limit that the answer is for, up to the hard limit."""
    if limit is None:
        return None
    asked = limit

    def lower() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(OSError, ValueError):
            wanted = asked if hard == resource.RLIM_INFINITY else min(asked, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))

    return lower


@functools.lru_cache(maxsize=4096)
def _call(path: str, words: tuple[str, ...], limit: int | None, _changed: int) -> tuple[int, str, str]:
    try:
        done = subprocess.run([path, *words, "--describe"], capture_output=True, text=True, timeout=TIMEOUT_S,
                              preexec_fn=_under(limit))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PoolmarkError(f"{path} --describe: {error}") from error
    return done.returncode, done.stdout, done.stderr


class Told(dict[str, Any]):
    """An object of a description. A key that it lacks is an error that names the program: one of another version may be measured
    as well, as the other build of a comparison is."""

    path: str  # of the program, set by each description's own class

    def __missing__(self, key: str) -> Any:
        raise PoolmarkError(f"{for_people(Path(self.path))} --describe does not say {key!r}: it is of another version than this "
                            "command. Build it again, or use the scripts of its own checkout")


@functools.lru_cache(maxsize=64)
def _parsed(text: str, path: str) -> Json:
    told: Json = json.loads(text, object_hook=type("ToldByOne", (Told,), {"path": path}))
    return told


def ask(program: str, words: Iterable[object] = (), build: Path | None = None, limit: int | None = None, *,
        again: bool = False) -> tuple[Json | None, str]:
    """(description with these options, "") or (None, the program's error message). `limit`: of descriptors. `again`: the host may
    have changed since the last answer."""
    path = (build or build_dir(None)) / program
    if not os.access(path, os.X_OK):
        raise UsageError(f"{for_people(path)} is not there; {'install it again' if INSTALLED else 'run make first'}, or name --build DIR")
    asked = (str(path), tuple(map(str, words)), limit, path.stat().st_mtime_ns)
    code, out, err = _call.__wrapped__(*asked) if again else _call(*asked)
    if code != 0:
        return None, err.strip().removeprefix(f"{program}: ")
    try:
        described = _parsed(out, str(path))
    except ValueError as error:
        raise PoolmarkError(f"{for_people(path)} --describe: not JSON: {error}") from error
    if described.get("schema") != SCHEMA:
        raise PoolmarkError(f"{for_people(path)} --describe: its schema is {described.get('schema')!r}, not {SCHEMA!r}")
    return described, ""


def _plain(program: str, build: Path | None) -> Json:
    described, wrong = ask(program, (), build)
    if described is None:
        raise PoolmarkError(f"{program} --describe: {wrong}")
    return described


def broker(build: Path | None = None) -> Json:
    return _plain("poolmark-broker", build)


def loadgen(build: Path | None = None) -> Json:
    return _plain("poolmark-loadgen", build)


def bench(build: Path | None = None) -> Json:
    return _plain("poolmark-bench", build)


def strategies(build: Path | None = None) -> list[str]:
    """Strategies for a broker; `null` is for benchmarks only."""
    return [one["name"] for one in broker(build)["strategies"] if one["serves"]]


def engines(build: Path | None = None) -> dict[str, Json]:
    return {one["name"]: one for one in loadgen(build)["engines"]}


def shapes(build: Path | None = None) -> dict[str, Json]:
    return {one["name"]: one for one in broker(build)["shapes"]}


def scenarios(build: Path | None = None) -> dict[str, Json]:
    return {one["name"]: one for one in loadgen(build)["scenarios"]}


def takes(scenario: str, option: str, build: Path | None = None) -> bool:
    """Whether a scenario of the generator has this option. What a scenario is for is told by its options, not by its name."""
    return option in scenarios(build).get(scenario, {"options": []})["options"]


def options(described: Json) -> dict[str, Json]:
    return {one["name"]: one for one in described["options"]}


def engine_of(config: Config, build: Path | None = None) -> str:
    """The engine of a cell; the generator's default when the configuration has none."""
    return str(config.get("engine") or options(loadgen(build))["engine"]["default"])


def shape_of(config: Config, build: Path | None = None) -> str:
    return str(config.get("shape") or options(broker(build))["shape"]["default"])


def catalogue(build: Path | None = None) -> list[Json]:
    """All metrics of the three programs: name, unit, better, primary, definition, program."""
    return [{**metric, "program": told["program"]} for told in (loadgen(build), broker(build), bench(build))
            for metric in told["metrics"]]


@functools.lru_cache(maxsize=32)
def _by_length(names: tuple[str, ...]) -> dict[int, list[tuple[int, list[str]]]]:
    """{number of words: (place in `names`, words) of each row}."""
    rows: dict[int, list[tuple[int, list[str]]]] = {}
    for place, name in enumerate(names):
        rows.setdefault(name.count(".") + 1, []).append((place, name.split(".")))
    return rows


def _is_of(wanted: list[str], words: list[str]) -> bool:
    for one, word in zip(wanted, words, strict=True):
        if one != word and not (word.isdigit() if one == "N" else one.isupper() and word != ""):
            return False
    return True


def metric_of(name: str, metrics: list[Json]) -> Json | None:
    """The catalogue's row of a metric. In a cell with several phases the name starts with the phase's name or with `cell`
    (records/phases.py). In a row's name N stands for a number, another word in capitals for any word."""
    rows, words = _by_length(tuple([metric["name"] for metric in metrics])), name.split(".")
    for part in (words, words[1:]):
        for place, wanted in rows.get(len(part), ()):
            if _is_of(wanted, part):
                return metrics[place]
    return None


def is_measured(pattern: str, names: list[str], phases: Collection[str] | None = None) -> bool:
    """Whether a name, or a pattern with * and ?, can match an existing metric. `phases`: the prefixes that are allowed; None
    allows any word."""
    known: list[Json] = [{"name": name} for name in names]
    if set(pattern) & set("*?["):
        before = phases if phases is not None else (pattern.partition(".")[0],)
        return any(fnmatch.fnmatchcase(name, pattern) for plain in names
                   for name in (plain, *(f"{phase}.{plain}" for phase in before)))
    found = metric_of(pattern, known)
    if found is None or phases is None:
        return found is not None
    return len(pattern.split(".")) == len(found["name"].split(".")) or pattern.partition(".")[0] in phases
