# SPDX-License-Identifier: Apache-2.0
"""The figures of a cell in which an attacker works beside the load (suite `attack`), and of the calm cell beside it.

attack.json in the cell's folder has what the runner counted: the attack, its rounds, connections, bytes and refusals, and how long the
broker took to end. The broker's own record has its highest memory and the bound that it computed. The suite takes both into the cell, and
verify takes them again.
"""
import json
from pathlib import Path

from poolmark.base.errors import RecordError
from poolmark.base.forms import CellData, Json, Taker, value_of
from poolmark.records import phases
from poolmark.records.read_record import load, parse

FILE = "attack.json"
GOAL_NS = 10_000_000    # of the p99 of others under any attack
CALM = "calm"           # the cell without an attack
COUNTS = {"rounds": "1", "connections": "1", "sent_bytes": "B", "refused": "1"}
LONGEST_TURN = "broker.longest_turn_ns"     # of records since there is such a figure
MEMORY = {"broker.memory_highest_bytes": "lower", "broker.memory_bound_bytes": "none"}
# What others feel: (words, metric). A cell has those that its phases measure.
OTHERS = (("delivery", "delivery.p99"), ("arrival", "arrival.p99"))


def write(folder: Path, told: Json) -> None:
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> Json:
    try:
        told: Json = parse(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(path, "", f"cannot be read: {error}") from error
    numbers = {key: told.get(key) for key in (*COUNTS, "stop_ns")} if isinstance(told, dict) else {"": told}
    for key, value in numbers.items():
        if value is not None and (not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0):
            raise RecordError(path, key, f"is {value!r}; it must be a number of at least 0")
    return told


def take(cell: Taker, folder: Path, pool_files: list[Path]) -> None:
    """Takes the cell's figures from its folder; nothing of a cell without attack.json. `pool_files`: pools.csv of each of the broker's
    instances, beside which is its record. RecordError when a file cannot be read."""
    if not (folder / FILE).is_file():
        return
    told = _read(folder / FILE)
    for name, unit in COUNTS.items():
        if told.get(name) is not None:
            cell.metric(f"attack.{name}", told[name], unit, "none")
    cell.metric("attack.stop_ns", told.get("stop_ns"), "ns", "lower")
    records = [load(path.parent).data["metrics"] for path in pool_files]
    for name, better in MEMORY.items():
        found = [value for metrics in records if (value := value_of(metrics, name)) is not None]
        if records:
            cell.metric(name, None if len(found) < len(records) else sum(found), "B", better)
    turns = [value for metrics in records if (value := value_of(metrics, LONGEST_TURN)) is not None]
    if turns:
        cell.metric(LONGEST_TURN, max(turns), "ns", "lower")


def others(cell: CellData) -> dict[str, float]:
    """{"delivery": p99 in ns, "arrival": p99 in ns} of those that are not the attacker, as far as the cell has them: the worst of its
    phases."""
    found = {}
    for words, metric in OTHERS:
        values = [cell["metrics"][name]["value"] for name in phases.variants(cell, metric).values()]
        known = [value for value in values if value is not None]
        if known:
            found[words] = max(known)
    return found


def attack_of(cell: CellData) -> str | None:
    """The attack of a cell, CALM for none; None of a cell of another suite."""
    attack = cell.get("config", {}).get("attack")
    return attack if isinstance(attack, str) else None
