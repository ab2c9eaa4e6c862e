# SPDX-License-Identifier: Apache-2.0
"""Names of cells on a page: what distinguishes a cell from the others there, in everyday words.

    names(cells)["classic-slab-paho-10000"]    Name("slab", "slab", "")
    in the suite million                       Name("slab, raw", "slab", "raw")

A strategy has the same colour in all charts and pages. The rest of the name (`rest`) selects the dash.
"""
from collections.abc import Iterable
from dataclasses import dataclass

from poolmark.base.forms import CellData, Config
from poolmark.base.units import show_count
from poolmark.compare.pairing import stem

# Okabe and Ito's colours, for readers who do not distinguish red and green.
COLOURS = {"malloc": "#777777", "fixed": "#E69F00", "expand": "#0072B2", "sync": "#CC79A7", "slab": "#009E73",
           "blocks": "#56B4E9", "null": "#8C6D00", "mosquitto": "#D55E00"}
SPARE = ["#D55E00", "#56B4E9", "#8C6D00", "#000000", "#44AA99", "#882255"]
AXES = ("strategy", "target", "shape", "engine", "allocator", "connections", "subscribe", "pairs", "pattern", "publishers",
        "subscribers", "topics", "qos", "threads", "attack", "scenario", "client", "ranks", "broker_options")


@dataclass(frozen=True)
class Name:
    label: str       # the whole name: "expand, paho"
    strategy: str    # selects the colour
    rest: str        # selects the dash: "paho"; "" when the strategy is the whole name


def words(axis: str, value: object) -> str:
    if axis == "subscribe":
        return "subscribed" if value else "not subscribed"
    if axis == "connections" and isinstance(value, (int, float)):
        return show_count(value)
    if axis in ("ranks", "threads", "pairs"):
        return f"{value} {axis}"
    return str(value)


def contender(config: Config) -> str:
    """The strategy; for a broker without strategies, the broker's name."""
    return str(config.get("strategy") or config.get("target") or "")


def differing(configs: list[Config]) -> list[str]:
    """The axes in which cells differ, without strategy and target, which contender() covers."""
    found = [axis for axis in AXES if len({str(config.get(axis)) for config in configs}) > 1]
    return [axis for axis in found if axis not in ("strategy", "target") and (axis != "broker_options" or len(found) == 1)]


def _distinct(configs: Iterable[Config], axes: list[str]) -> bool:
    keys = [(contender(config), *(str(config.get(axis)) for axis in axes)) for config in configs]
    return len(set(keys)) == len(keys)


def names(cells: list[CellData]) -> dict[str, Name]:
    """Names by stem. Cells that the axes do not distinguish keep their identifiers."""
    by_stem = {stem(cell["id"]): cell.get("config", {}) for cell in cells}
    axes = differing(list(by_stem.values()))
    # Drop an axis that is not needed. The number of connections is, except in runs in steps, which pass through all numbers.
    steps = all(str(config.get("phases")).startswith("steps") for config in by_stem.values())
    for axis in ("broker_options", *(["connections"] if steps else []), "shape", "allocator", "engine"):
        fewer = [one for one in axes if one != axis]
        if axis in axes and _distinct(by_stem.values(), fewer):
            axes = fewer
    found: dict[str, Name] = {}
    for key, config in by_stem.items():
        strategy = contender(config)
        rest = ", ".join(words(axis, config[axis]) for axis in axes if config.get(axis) not in (None, ""))
        found[key] = Name(", ".join(filter(None, (strategy, rest))) or key, strategy or key, rest)
    labels = [name.label for name in found.values()]
    return {key: name if labels.count(name.label) == 1 else Name(key, name.strategy, key) for key, name in found.items()}


def colours(strategies: list[str]) -> dict[str, str]:
    """A colour for each strategy; those without their own take spare colours in turn."""
    spare = [colour for colour in SPARE if colour not in {COLOURS.get(one) for one in strategies}]
    others = [one for one in strategies if one not in COLOURS]
    return {one: COLOURS.get(one) or spare[others.index(one) % len(spare)] for one in strategies}
