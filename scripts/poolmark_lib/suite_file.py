# SPDX-License-Identifier: Apache-2.0
"""A suite's file, scripts/suites/NAME.toml, and the cells that it makes.

    title, kind = "suite"|"steps", repetitions, seed, plot = "memory", drop_caches = true|false
    [config]          what every cell is: target, shape, strategy, engine, allocator, connections, ... Comparisons pair by it
    [axes]            name = [values]: a cell for each combination, laid over config
    [axes_if_known]   more values of an axis; strategies are taken when the broker lists them
    [broker]          options of poolmark-broker (name without dashes; a list repeats it; true is a flag)
    [load]            options of poolmark-loadgen, for every phase
    [[phase]]         one call of the generator: name, scenario, and options for it alone
    [[group]]         cells apart: each may have its own config, axes, axes_if_known, broker, load, phase
    [[override]]      when = {...} of config, then config, broker, load to lay over where it is so
    [[ratio]]         metric, of = {...}, to = {...}, by = "axis": printed with its spread

"{connections}" and "{2*connections}" in an option become numbers, "{connections}" in the title the most that a cell has.
connections = "fit" is what the host's memory holds.
"""
import copy
import itertools
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from poolmark_lib.errors import UsageError
from poolmark_lib.paths import SUITES
from poolmark_lib.units import show_count

KEYS = {"title", "kind", "repetitions", "seed", "plot", "drop_caches", "config", "axes", "axes_if_known", "broker",
        "load", "phase", "group", "override", "ratio"}
GROUP_KEYS = {"config", "axes", "axes_if_known", "broker", "load", "phase"}
SCENARIOS = ("connect", "publish", "steps")
# Parts of a cell's name, in order; other axes are added as NAME-VALUE.
NAMED = ("target", "shape", "strategy", "engine", "allocator", "connections", "subscribe")


@dataclass
class CellPlan:
    """One cell to measure: everything known before it starts."""
    id: str
    config: dict
    repetition: int
    broker: dict = field(default_factory=dict)
    load: dict = field(default_factory=dict)
    phases: list = field(default_factory=list)


@dataclass
class Suite:
    name: str
    title: str
    kind: str
    repetitions: int
    seed: int
    plot: str | None
    drop_caches: bool     # unused names, inodes and slabs of the kernel, before a cell of many connections
    ratios: list
    cells: list[CellPlan]


def names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read(name_or_file: str) -> tuple[str, dict]:
    """(name, its TOML). UsageError names the file and the key that is wrong."""
    path = Path(name_or_file)
    if path.suffix != ".toml":
        if path.is_file():
            raise UsageError(f"{name_or_file}: a suite's file ends in .toml")
        path = SUITES / f"{name_or_file}.toml"
        if "/" in name_or_file or not path.is_file():
            raise UsageError(f"there is no suite {name_or_file!r}; there are: {', '.join(names())}; or name a .toml file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    check(data, str(path))
    return path.stem, data


def _check_keys(table, allowed: set, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: is no table")
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise UsageError(f"{where}: {unknown[0]!r} is not a key there; there are: {', '.join(sorted(allowed))}")


def _check_axes(axes, where: str) -> None:
    for name, values in (axes.items() if isinstance(axes, dict) else [("", None)]):
        if not isinstance(values, list) or not values:
            raise UsageError(f"{where}.{name}: an axis is a list of values")


def _check_part(part: dict, where: str) -> None:
    for key in ("config", "broker", "load"):
        if not isinstance(part.get(key, {}), dict):
            raise UsageError(f"{where}.{key}: is no table")
    for key in ("axes", "axes_if_known"):
        _check_axes(part.get(key, {}), f"{where}.{key}")
    for i, phase in enumerate(part.get("phase", [])):
        if not isinstance(phase, dict) or phase.get("scenario") not in SCENARIOS:
            raise UsageError(f"{where}.phase[{i}].scenario: must be one of {', '.join(SCENARIOS)}")
        if not re.fullmatch(r"[a-z0-9_-]+", str(phase.get("name", ""))):
            raise UsageError(f"{where}.phase[{i}].name: must be of a-z, 0-9, _ and -")
        if any(other["name"] == phase["name"] for other in part["phase"][:i]):
            raise UsageError(f"{where}.phase[{i}].name: {phase['name']!r} is taken")


def check(data: dict, where: str) -> None:
    _check_keys(data, KEYS, where)
    if data.get("kind", "suite") not in ("suite", "steps"):
        raise UsageError(f"{where}: kind: must be suite or steps")
    if not isinstance(data.get("drop_caches", False), bool):
        raise UsageError(f"{where}: drop_caches: must be true or false")
    for key in ("repetitions", "seed"):
        if not isinstance(data.get(key, 1), int) or isinstance(data.get(key), bool) or data.get(key, 1) < 1:
            raise UsageError(f"{where}: {key}: must be a whole number of at least 1")
    _check_part(data, where)
    for i, group in enumerate(data.get("group", [])):
        _check_keys(group, GROUP_KEYS, f"{where}: group[{i}]")
        _check_part(group, f"{where}: group[{i}]")
    for i, override in enumerate(data.get("override", [])):
        _check_keys(override, {"when", "config", "broker", "load"}, f"{where}: override[{i}]")
    for i, ratio in enumerate(data.get("ratio", [])):
        _check_keys(ratio, {"metric", "of", "to", "by"}, f"{where}: ratio[{i}]")
    if not data.get("phase") and not all(group.get("phase") for group in data.get("group", [{}])):
        raise UsageError(f"{where}: phase: there is none, so nothing would be measured")


def fill(value, connections: int):
    """"{2*connections}" in an option to its number."""
    if isinstance(value, list):
        return [fill(item, connections) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{(?:(\d+)\*)?connections\}", lambda match: str(int(match[1] or 1) * connections), value)
    return value


def cell_name(config: dict) -> str:
    """classic-malloc-paho-10000: what a person would call it."""
    parts = []
    for key in NAMED:
        value = config.get(key)
        if value is None or key == "target" and value == "poolmark" or key == "allocator" and value == "glibc":
            continue
        parts.append(("sub" if value else "nosub") if key == "subscribe" else str(value))
    parts += [f"{key}-{value}" for key, value in config.items() if key not in NAMED]
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", "-".join(parts)) or "cell"


def title_of(name: str, data: dict, counts: list) -> str:
    """The title; `counts` are the cells' connections, of which it names the most."""
    most = max((count for count in counts if isinstance(count, int)), default=None)
    return str(data.get("title", name)).replace("{connections}", show_count(most) if most else "N")


def listed_title(name: str) -> str:
    """The title of a suite as its file has it, without the cells."""
    data = read(name)[1]
    parts = [data, *data.get("group", [])]
    return title_of(name, data, [part.get("config", {}).get("connections") for part in parts])


def combinations(axes: dict, known_axes: dict, strategies: list[str] | None) -> list[dict]:
    """Every combination of the axes' values; the last axis runs fastest."""
    full = {name: list(values) for name, values in axes.items()}
    for name, values in known_axes.items():
        full.setdefault(name, [])
        full[name] += [value for value in values if name != "strategy" or strategies is None or value in strategies]
    return [dict(zip(full, values, strict=True)) for values in itertools.product(*full.values())]


def steps_up_to(steps: str, connections: int) -> str:
    """The steps below `connections`, and `connections` itself."""
    counts = sorted({int(step) for step in steps.split(",")})
    return ",".join(map(str, [count for count in counts if count < connections] + [connections]))


def make_cell(data: dict, group: dict, combination: dict, connections, fit) -> CellPlan:
    config = {**data.get("config", {}), **group.get("config", {}), **combination}
    broker = {**data.get("broker", {}), **group.get("broker", {})}
    load = {**data.get("load", {}), **group.get("load", {})}
    config.setdefault("target", "poolmark")
    for override in data.get("override", []):
        if all(config.get(key) == value for key, value in override.get("when", {}).items()):
            config.update(override.get("config", {}))
            broker.update(override.get("broker", {}))
            load.update(override.get("load", {}))
    if connections is not None:
        config["connections"] = connections
    elif config.get("connections") == "fit":
        config["connections"] = fit(config)
    count = config.get("connections", 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"connections is {count!r}; it must be a whole number of at least 1")
    phases = copy.deepcopy(group.get("phase") or data.get("phase", []))
    for phase in phases:
        phase.update({key: fill(value, count) for key, value in phase.items()})
        if "steps" in phase:
            phase["steps"] = steps_up_to(phase["steps"], count)
    return CellPlan(cell_name(config), config, 1, {key: fill(value, count) for key, value in broker.items()},
                    {key: fill(value, count) for key, value in load.items()}, phases)


def load(name_or_file: str, *, strategies: list[str] | None = None, repetitions: int | None = None,
         connections: int | None = None, only: str | None = None, fit=lambda config: 0) -> Suite:
    """The suite with its cells in the order in which they are to run: A B B A ... over the repetitions.

    `strategies`: what the broker knows, None when it was not asked. `fit(config)` answers connections = "fit".
    """
    name, data = read(name_or_file)
    base: list[CellPlan] = []
    for group in data.get("group") or [{}]:
        axes = {**data.get("axes", {}), **group.get("axes", {})}
        known = {**data.get("axes_if_known", {}), **group.get("axes_if_known", {})}
        base += [make_cell(data, group, one, connections, fit) for one in combinations(axes, known, strategies)]
    twice = [cell.id for cell in base if sum(other.id == cell.id for other in base) > 1]
    if twice:
        raise UsageError(f"suite {name}: two cells are called {twice[0]}; make an axis of what differs")
    try:
        wanted = re.compile(only or "")
    except re.error as error:
        raise UsageError(f"--only {only!r}: not a regular expression: {error}") from error
    base = [cell for cell in base if wanted.search(cell.id)]
    if not base:
        raise UsageError(f"suite {name}: --only {only!r} matches none of its cells; --list names them")
    count = repetitions or data.get("repetitions", 1)
    cells = []
    for repetition in range(1, count + 1):
        for cell in base if repetition % 2 else reversed(base):
            cells.append(CellPlan(f"{cell.id}.{repetition}", cell.config, repetition, cell.broker, cell.load, cell.phases))
    title = title_of(name, data, [cell.config["connections"] for cell in base])
    return Suite(name, title, data.get("kind", "suite"), count, data.get("seed", 1), data.get("plot"),
                 data.get("drop_caches", False), data.get("ratio", []), cells)
