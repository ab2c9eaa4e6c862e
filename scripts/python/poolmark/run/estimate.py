# SPDX-License-Identifier: Apache-2.0
"""Estimates how long a suite will take: from the last run of its cells on this host, otherwise from its options.

    thought = Estimate(name, build, RUNS)
    thought.of(planned)      seconds of one cell
    thought.sentence(cells)  "about 2 min 40 s in all, by run suite-20260101T000000Z-abcd"
"""
import json
import re
from pathlib import Path
from typing import Any

from poolmark.facts import described
from poolmark.suites import mix_file, mix_told, suite_options
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.progress import span
from poolmark.run.attacker import PREPARE_S, attack_of
from poolmark.suites.suite_cells import CellPlan
from poolmark.base.units import parse_count, parse_seconds, plural

CONNECTS_PER_S = 7_000      # of a small host that has both ends
START_S, PHASE_S = 1.5, 1.5  # start of a target; start and end of a generator with its workers
LEVEL_S = 2.0               # usual time until a target's memory is level
PROBE_S = 3.5
SOAK_S = 3600.0             # loadgen/scenarios/soak.c: its duration by default
LOOKED_AT = 20              # so many newest runs are searched


def seconds(value: Any) -> float:
    return parse_seconds(value) if isinstance(value, str) else float(value or 0)


class Options:
    """The options of a phase, with the generator's defaults."""

    def __init__(self, planned: CellPlan, phase: Json, build: Path) -> None:
        self.given = suite_options.load_options(planned.config, planned.load, phase)
        self.known = described.options(described.loadgen(build))

    def span(self, name: str) -> float:
        return seconds(self.given.get(name, self.known[name]["default"]))

    def rate(self, name: str) -> float:
        value = self.given.get(name, self.known[name]["default"])
        return float(parse_count(value)) if isinstance(value, str) else float(value)

    def count(self, name: str) -> int:
        return parse_count(str(self.given.get(name, self.known[name]["default"])))


def clients_of_pattern(options: Options) -> int:
    """As loadgen/scenarios/publish.c has it."""
    pattern = str(options.given.get("pattern", options.known["pattern"]["default"]))
    if pattern == "pairs":
        return 2 * (options.count("pairs") or 100)
    fallback = {"fan-in": (100, 1), "fan-out": (1, 100)}.get(pattern) or 2 * (parse_count(pattern.rpartition(":")[2]),)
    return sum(options.count(name) or number for name, number in zip(("publishers", "subscribers"), fallback, strict=True))


def of_arrivals(options: Options, scenario: str, level: float) -> float:
    """A scenario in which clients come back: what it holds, and the arrivals."""
    held = options.count("connections") / CONNECTS_PER_S
    if scenario == "storm":
        return 2 * held + 2 * level
    if scenario in ("churn", "soak"):
        lasts = options.span("duration") if scenario == "churn" or "duration" in options.given else SOAK_S
        return held + lasts + 2 * level
    one = options.count("burst") / CONNECTS_PER_S + options.span("stay") + options.span("calm") + level
    return held + level + options.count("repeat") * one


def mix_of(planned: CellPlan, phase: Json, build: Path) -> mix_file.Mix:
    return mix_file.load(phase["mix"], build, ["--engine", described.engine_of(planned.config)])


def connections_of(planned: CellPlan, phase: Json, build: Path) -> int:
    """The connections that a phase makes."""
    options = Options(planned, phase, build)
    given = options.count("connections") if "connections" in options.given else 0
    if phase["scenario"] == "publish":
        return max(given, clients_of_pattern(options))
    if "mix" in phase:
        return int(mix_of(planned, phase, build).planned["config"]["connections"])
    return given or (1000 if phase["scenario"] == "subscribe" else planned.config["connections"])


def of_phase(planned: CellPlan, phase: Json, build: Path) -> float:
    options = Options(planned, phase, build)
    if phase["scenario"] == "publish":
        connections = max(options.count("connections"), clients_of_pattern(options))
        return PHASE_S + connections / CONNECTS_PER_S + options.span("warmup") + options.span("duration")
    if "mix" in phase:
        return PHASE_S + mix_told.seconds(mix_of(planned, phase, build))
    level = min(LEVEL_S, options.span("settle"))
    if phase["scenario"] == "steps":
        steps = len(str(phase["steps"]).split(",")) if "steps" in phase else 4
        probe = PROBE_S if options.count("probe") else 0
        return PHASE_S + int(planned.config["connections"]) / CONNECTS_PER_S + steps * (level + probe) + level
    if phase["scenario"] == "slow":
        return PHASE_S + sum(options.span(name) for name in ("before", "duration", "after")) + 2 * level
    if phase["scenario"] == "subscribe":
        connections = options.count("connections") or 1000
        filters = options.count("filters") or (1 if options.count("retained") else 10)     # as loadgen/scenarios/subscribe.c
        changes = 2 * options.count("repeat") * filters * connections
        return PHASE_S + connections / CONNECTS_PER_S + changes / options.rate("subscribe-rate") + 3 * level
    if "leave" in described.scenarios(build)[phase["scenario"]]["options"]:
        return PHASE_S + of_arrivals(options, phase["scenario"], level)
    return PHASE_S + int(planned.config["connections"]) / CONNECTS_PER_S + options.span("hold") + 2 * level


def of_options(planned: CellPlan, build: Path) -> float:
    attack_s = PREPARE_S if attack_of(planned.config) else 0
    return START_S + attack_s + sum(of_phase(planned, phase, build) for phase in planned.phases)


def stem(cell_id: str) -> str:
    return re.sub(r"\.\d+$", "", cell_id)


def earlier(name: str, runs: Path) -> tuple[dict[tuple[str, str], float], str]:
    """({(cell, phases): seconds}, id) of the newest run of the suite that has times."""
    try:
        newest = sorted(runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)[:LOOKED_AT]
    except OSError:
        return {}, ""
    for path in newest:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.get("suite") != name:
                continue
            found = {(stem(cell["id"]), str(cell["config"].get("phases"))): float(cell["seconds"]) for cell in data["cells"]
                     if isinstance(cell.get("seconds"), (int, float)) and cell["status"] == "complete"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue        # not a record, or one that is being written
        if found:
            return found, str(data.get("id"))
    return {}, ""


class Estimate:
    def __init__(self, name: str, build: Path, runs: Path) -> None:
        self.build = build
        self.found, self.run = earlier(name, runs)

    def before(self, planned: CellPlan) -> float | None:
        """What the earlier run took for it."""
        return self.found.get((stem(planned.id), suite_options.phases_text(planned)))

    def of(self, planned: CellPlan) -> float:
        before = self.before(planned)
        if before is not None:
            return before
        try:
            return of_options(planned, self.build)
        except PoolmarkError:
            return 60.0

    def by(self, cells: list[CellPlan]) -> str:
        """Where the estimate comes from."""
        known = sum(self.before(cell) is not None for cell in cells)
        options = "the suite's options, on a quiet host"
        if known == 0:
            return options
        return f"run {self.run}" + (f" for {known} of {plural(len(cells), 'cell')}, else {options}" if known < len(cells) else "")

    def sentence(self, cells: list[CellPlan]) -> str:
        return f"about {span(sum(map(self.of, cells)))} in all, by {self.by(cells)}"
