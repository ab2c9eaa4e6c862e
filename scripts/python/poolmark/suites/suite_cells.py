# SPDX-License-Identifier: Apache-2.0
"""Makes the cells of a checked suite file (suite_check.py). All functions are pure."""
import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from poolmark.base.errors import UsageError
from poolmark.base.forms import Config, Json
from poolmark.base.toml_values import shown
from poolmark.suites.suite_check import NAMED
from poolmark.base.units import parse_count

Fit = Callable[[Config], int]    # the number for connections = "fit"


@dataclass
class CellPlan:
    """One cell to measure, with everything known before its start."""
    id: str
    config: Config
    repetition: int
    broker: Json = field(default_factory=dict)
    load: Json = field(default_factory=dict)
    phases: list[Json] = field(default_factory=list)
    allocator: str | None = None  # the path of one that is a file; its name is in the config


def fill(value: Any, connections: int) -> Any:
    """Replaces "{2*connections}" and "{3*connections/4}" in an option by the number, at least 1."""
    if isinstance(value, list):
        return [fill(item, connections) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{(?:(\d+)\*)?connections(?:/([1-9]\d*))?\}",
                      lambda match: str(max(1, int(match[1] or 1) * connections // int(match[2] or 1))), value)
    return value


def cell_name(config: Config) -> str:
    """A short name for people: classic-malloc-paho-10000."""
    parts = []
    for key in NAMED:
        value = config.get(key)
        if value is None or key == "target" and value == "poolmark" or key == "allocator" and value == "glibc":
            continue
        parts.append(("sub" if value else "nosub") if key == "subscribe" else
                     str(value).replace("-", "_") if key in ("attack", "scenario") else f"{value}ranks" if key == "ranks" else str(value))
    parts += [f"{key}-{value}" for key, value in config.items() if key not in NAMED]
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", "-".join(parts)) or "cell"


def combinations(axes: Json, known_axes: Json, strategies: list[str] | None) -> list[Json]:
    """All combinations of the axes' values; the last axis changes fastest."""
    full = {name: list(values) for name, values in axes.items()}
    for name, values in known_axes.items():
        full.setdefault(name, [])
        full[name] += [value for value in values if name != "strategy" or strategies is None or value in strategies]
    return [dict(zip(full, values, strict=True)) for values in itertools.product(*full.values())]


def steps_up_to(steps: str, connections: int) -> str:
    """The steps below `connections`, and `connections` itself."""
    counts = sorted({parse_count(step) for step in steps.split(",")})
    return ",".join(map(str, [count for count in counts if count < connections] + [connections]))


def options_of(data: Json, group: Json, combination: Json) -> tuple[Config, Json, Json]:
    """(configuration, options of the broker, options of the load) of a cell, as the file has them."""
    config = {**data.get("config", {}), **group.get("config", {}), **combination}
    broker = {**data.get("broker", {}), **group.get("broker", {})}
    load = {**data.get("load", {}), **group.get("load", {})}
    config.setdefault("target", "poolmark")
    for override in data.get("override", []):
        if all(config.get(key) == value for key, value in override.get("when", {}).items()):
            config.update(override.get("config", {}))
            broker.update(override.get("broker", {}))
            load.update(override.get("load", {}))
    return config, broker, load


def make_cell(data: Json, group: Json, combination: Json, connections: int | None, fit: Fit) -> CellPlan:
    config, broker, load = options_of(data, group, combination)
    if connections is not None:
        config["connections"] = connections
    elif config.get("connections") == "fit":
        config["connections"] = fit(config)
    if "connections" not in config:
        raise UsageError(f"cell {cell_name(config)} has no connections: how many?")
    count = config["connections"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"connections is {shown(count)}; it must be a whole number of at least 1")
    phases: list[Json] = copy.deepcopy(group.get("phase") or data.get("phase") or [])
    for phase in phases:
        phase.update({key: fill(value, count) for key, value in phase.items()})
        if "steps" in phase:
            phase["steps"] = steps_up_to(str(phase["steps"]), count)
    return CellPlan(cell_name(config), config, 1, {key: fill(value, count) for key, value in broker.items()},
                    {key: fill(value, count) for key, value in load.items()}, phases)


def combined(data: Json, strategies: list[str] | None) -> Iterator[tuple[Json, Json]]:
    """(group, combination) of every cell. `strategies`: those of the broker, None when it was not asked."""
    for group in data.get("group") or [{}]:
        axes = {**data.get("axes", {}), **group.get("axes", {})}
        known = {**data.get("axes_if_known", {}), **group.get("axes_if_known", {})}
        for one in combinations(axes, known, strategies):
            yield group, one


def williams(count: int) -> list[list[int]]:
    """Half of a Williams design for `count` cells: with each order read backwards as well, every cell is at each place equally often, and
    follows each other cell equally often. The first order is 0, 1, 2, ... (E. J. Williams, Experimental designs balanced for the
    estimation of residual effects of treatments, Australian Journal of Scientific Research 2, 1949.)"""
    zigzag = [(i + 1) // 2 if i % 2 else (count - i // 2) % count for i in range(count)]
    place = {cell: i for i, cell in enumerate(zigzag)}
    shifts = count if count % 2 else count // 2     # of an even number, the other half of the orders are these backwards
    return [[place[(cell + shift) % count] for cell in zigzag] for shift in range(shifts)]


def interleaved(base: list[CellPlan], repetitions: int, in_pairs: bool) -> list[CellPlan]:
    """The cells in running order: forwards in one repetition, backwards in the next (A B B A), so that a slow drift of the host cancels. Then
    the next order of williams(), or else the last cell would always be measured twice in one spell of a host that is slow for a while.
    `in_pairs`: cells that are compared side by side stay neighbours, so the order of the file is the only one."""
    orders = [list(range(len(base)))] if in_pairs else williams(len(base))
    plans = []
    for repetition in range(1, repetitions + 1):
        order = orders[(repetition - 1) // 2 % len(orders)] if orders else []
        for cell in [base[i] for i in (order if repetition % 2 else reversed(order))]:
            plans.append(CellPlan(f"{cell.id}.{repetition}", cell.config, repetition, cell.broker, cell.load, cell.phases, cell.allocator))
    return plans
