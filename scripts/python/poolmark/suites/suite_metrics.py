# SPDX-License-Identifier: Apache-2.0
"""Which metrics the cells of a suite can have, and whether those that its file names are among them.

    Measurable(check).run()     # adds a fault for each of its primary metrics, ratios and figures that no cell can have

A scenario says what its runs measure (`measures` in --describe); with several phases a metric's name begins with its phase, by the rule of
records/phases.py. The broker and an attack beside the load measure of the cell as a whole.
"""
import fnmatch
from collections.abc import Iterable
from pathlib import Path

from poolmark.base.faults import likely, nearest
from poolmark.base.forms import Json, Place
from poolmark.facts import described
from poolmark.records import phases
from poolmark.suites.suite_check import Check

OF_THE_CELL = ("step.",)            # of a scenario, and never with its phase
BROKERS, ATTACKS = "poolmark-broker", ("attack.", "broker.")    # the broker's own figures are taken beside an attack
FEW = 60        # a longer name is no help as a guess


def is_of(pattern: str, name: str) -> bool:
    """Whether a name or a pattern with * and ? can mean the catalogue's `name`, in which N stands for a number and other words in
    capitals for any word."""
    wanted, words = pattern.split("."), name.split(".")
    if len(wanted) == len(words):
        same = [one if word.isupper() and (word != "N" or one.isdigit() or set(one) & set("*?[")) else word
                for one, word in zip(wanted, words, strict=True)]
        name = ".".join(same)
    return fnmatch.fnmatchcase(name, pattern)


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def scenarios_that_measure(name: str, build: Path | None) -> list[str]:
    return [one for one, told in described.scenarios(build).items()
            if matches_any(name, told.get("measures", []))]


class Measurable:
    """`check` has the file; its programs are there."""

    def __init__(self, check: Check) -> None:
        self.check, self.build = check, check.build
        self.catalogue = described.catalogue(self.build)
        self.scenarios = described.scenarios(self.build)
        self.loads = [one["name"] for one in described.loadgen(self.build)["metrics"]]
        self.options = {name for _, part in check.parts for table in (check.table(part, "load"), *check.tables(part, "phase")) for name in table}
        self.options |= {name for one in check.tables(check.data, "override") for name in check.table(one, "load")}
        self.names = list(dict.fromkeys([*self.of_target(), *(name for part in self.parts() for name in self.of_part(part))]))

    def parts(self) -> list[list[Json]]:
        """The phases of each group of cells."""
        tables = self.check.tables
        top = tables(self.check.data, "phase")
        return [tables(group, "phase") or top for group in tables(self.check.data, "group") or [{}]]

    def of_scenario(self, scenario: str) -> list[str]:
        """What it measures with the options that the file has. All metrics of one that is not known, or does not say: its fault is told at its
        own line."""
        told = self.scenarios.get(scenario, {})
        without = [pattern for option, patterns in told.get("measures_with", {}).items() if option not in self.options for pattern in patterns]
        patterns = [pattern for pattern in told.get("measures", ["*"]) if pattern not in without]
        return [name for name in self.loads if matches_any(name, patterns) and not matches_any(name, without)]

    def scenario(self, phase: Json) -> str:
        """The scenario of a phase; of a misspelt one that which was meant."""
        written = str(phase.get("scenario"))
        return written if written in self.scenarios else likely(written, self.scenarios) or written

    def of_part(self, part: list[Json]) -> list[str]:
        found: list[str] = []
        sound = [{"name": str(one.get("name")), "scenario": self.scenario(one)} for one in part]
        for phase in sound:
            prefix = phases.prefix_of(phase, sound)
            names = self.of_scenario(phase["scenario"])
            found += [name if name.startswith(OF_THE_CELL) else f"{prefix}{name}" for name in names]
            if len(sound) > 1:
                found += [f"{phases.CELL}.{name}" for name in phases.summed() if name in names]
        return found

    def of_target(self) -> list[str]:
        values = self.check.values()
        targets = [value for _, key, value in values if key == "target"]
        if targets and "poolmark" not in targets:
            return []
        attacked = any(key == "attack" for _, key, _ in values)
        names = [one["name"] for one in self.catalogue if one["program"] == BROKERS] + [name for name in self.loads if name.startswith(ATTACKS)]
        return [name for name in names if attacked or not name.startswith(ATTACKS)]

    def why(self, pattern: str) -> str:
        """Whose a metric is that some program measures."""
        found = next((one for text in (pattern, pattern.partition(".")[2]) for one in self.catalogue if is_of(text, one["name"])), None)
        if found and found["program"] not in (BROKERS, "poolmark-loadgen"):
            return f"; it is of {found['program']}"
        owners = scenarios_that_measure(found["name"], self.build) if found else []
        here = {self.scenario(phase) for part in self.parts() for phase in part}
        if owners and not here & set(owners):
            return f"; scenario {' and '.join(owners)} {'measures' if len(owners) == 1 else 'measure'} it"
        return nearest(pattern, self.names if len(pattern) < FEW else ())

    def fault(self, path: Place, pattern: str) -> None:
        """Adds a fault where no program, or no cell of this suite, measures what is named."""
        faults, known = self.check.faults, [one["name"] for one in self.catalogue]
        prefixes = {str(phase.get("name")) for part in self.parts() for phase in part} | {phases.CELL}
        if any(is_of(pattern, name) for name in self.names):
            return
        if not described.is_measured(pattern, known, prefixes):
            faults.add(path, f"no program measures {pattern!r}", known if len(pattern) < FEW else (), pattern)
        elif self.names:
            faults.add(path, f"no cell of this suite can have {pattern!r}{self.why(pattern)}")

    def run(self) -> None:
        data, tables = self.check.data, self.check.tables
        for i, ratio in enumerate(tables(data, "ratio")):
            if isinstance(ratio.get("metric"), str):
                self.fault(("ratio", i, "metric"), ratio["metric"])
        for i, pattern in enumerate(data["primary"] if isinstance(data.get("primary"), list) else []):
            if isinstance(pattern, str) and pattern.strip():
                self.fault(("primary", i), pattern.rpartition(":")[2])
        figures = self.check.table(self.check.table(data, "beside"), "figures")
        for name, metrics in figures.items():
            for i, metric in enumerate(metrics if isinstance(metrics, list) else []):
                if isinstance(metric, str):
                    self.fault(("beside", "figures", name, i), metric)
