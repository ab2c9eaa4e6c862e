# SPDX-License-Identifier: Apache-2.0
"""The calls of the generator that a run on several hosts makes: one for a scenario, one for each phase of a suite's cells.

    calls = of_scenario(["connect", "--connections", "1M"], build)
    calls, broker = of_suite("idle", build, only="slab")
"""
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.faults import nearest
from poolmark.base.units import parse_count
from poolmark.facts import described
from poolmark.records.attacked import CALM
from poolmark.suites import suite_file
from poolmark.suites.suite_cells import CellPlan
from poolmark.suites.suite_options import load_words
from poolmark.suites.targets import option_words

LOADGEN, MPI = "poolmark-loadgen", "poolmark-loadgen-mpi"
# What the launcher itself gives to each call, and what is of one host.
LAUNCHERS_OWN = {"target": "--target before the scenario", "record": "--out before the scenario", "share": "--share before the scenario"}


@dataclass(frozen=True)
class Call:
    """One call of the generator, without targets and without a folder."""
    name: str                   # of its folder, where there are several
    words: tuple[str, ...]
    engine: str
    clients: int                # of all ranks together
    pairs: bool                 # clients come in pairs that stay on one rank
    workers: int = 0            # of each rank, asked for; 0: not
    clients_per_worker: int = 0     # the same

    def unit(self) -> int:
        return 2 if self.pairs else 1

    def share(self, ranks: int) -> int:
        """The most clients that a rank gets where shares are even."""
        return math.ceil(math.ceil(self.clients / ranks) / self.unit()) * self.unit()


def mpi_program(build: Path, asked: str | None) -> str:
    """The generator for ranks: as asked, else the built one where it is there, else by its name in PATH."""
    built = build / MPI
    return asked or (str(built) if os.access(built, os.X_OK) else MPI)


def without(words: Sequence[str], option: str) -> tuple[list[str], str | None]:
    """(the words without that option and its value, the value; None: it is not there)."""
    for at, word in enumerate(words):
        if word == option and at + 1 < len(words):
            return [*words[:at], *words[at + 2:]], words[at + 1]
        if word.startswith(f"{option}="):
            return [*words[:at], *words[at + 1:]], word.partition("=")[2]
    return list(words), None


def for_one(words: Sequence[str]) -> tuple[list[str], str | None]:
    """The words of a call as one rank may take them: --workers are of each rank, and one rank alone may not have enough."""
    return without(words, "--workers")


def make(name: str, words: Sequence[str], build: Path) -> Call:
    """UsageError in the generator's own words when it would not take the call."""
    alone, workers = for_one(words)
    asked = 0
    if workers is not None:     # it reads the number: none of these clients are too many for one worker
        told, wrong = described.ask(LOADGEN, ["connect", "--connections", "2", "--workers", workers], build)
        if told is None:
            raise UsageError(wrong)
        asked = parse_count(workers)
    told, wrong = described.ask(LOADGEN, alone, build)
    if told is None:
        raise UsageError(wrong)
    plan, config = told["plan"], told["config"]
    each = int(plan["clients_per_worker"]) if without(words, "--clients-per-worker")[1] is not None else 0
    return Call(name, tuple(words), str(config["engine"]), int(plan["clients"]), str(config.get("pattern")) == "pairs", asked, each)


def of_scenario(words: Sequence[str], build: Path) -> list[Call]:
    scenarios = described.scenarios(build)
    if words[0] not in scenarios:
        raise UsageError(f"{words[0]!r} is no scenario of {LOADGEN}{nearest(words[0], [*scenarios, 'suite', 'rehearsal', 'forecast'])}")
    for word in words[1:]:
        name = word.removeprefix("--").partition("=")[0]
        if word.startswith("--") and name in LAUNCHERS_OWN:
            raise UsageError(f"{word}: the launcher gives it to each call; say {LAUNCHERS_OWN[name]}")
    return [make(words[0], words, build)]


def broker_words(cell: CellPlan) -> list[str]:
    """The options of the reference broker that a cell wants; none where its target runs already."""
    if cell.config.get("target", "poolmark") != "poolmark":
        return []
    return option_words({"pool": cell.config.get("strategy"), "shape": cell.config.get("shape"), **cell.broker})


def of_suite(name: str, build: Path, only: str | None = None, connections: int | None = None,
             sets: Sequence[str] = ()) -> tuple[list[Call], list[str]]:
    """(calls, options of the broker that all of them want). The hosts' brokers are started by people: cells that want several kinds
    cannot follow one another here."""
    suite = suite_file.load(name, build=build, only=only, connections=connections, sets=sets)
    kinds = {cell.id: (broker_words(cell), cell.config.get("allocator", "glibc")) for cell in suite.cells}
    first = suite.cells[0]
    for cell in suite.cells:
        if cell.config.get("ranks"):
            raise UsageError(f"suite {suite.name}: {cell.id} has ranks of its own: scripts/poolmark suite {suite.name} starts them on this machine")
        if kinds[cell.id] != kinds[first.id]:
            raise UsageError(f"suite {suite.name}: {first.id} and {cell.id} want different brokers ({' '.join(kinds[first.id][0])}; "
                             f"{' '.join(kinds[cell.id][0])}), and one is running: choose by --only")
        if cell.config.get("attack", CALM) != CALM:
            raise UsageError(f"suite {suite.name}: {cell.id} has an attacker beside the load, which is of one host; choose by --only")
    made = [make(f"{cell.id}/{phase['name']}", load_words(cell.config, cell.load, phase), build)
            for cell in suite.cells for phase in cell.phases]
    return made, kinds[first.id][0]


def refuse_mixes(calls: Sequence[Call]) -> None:
    """Of a suite: the plain form of a mix is a file of this process, which is gone when a job starts, and on no other host."""
    for call in calls:
        if call.words[0] == "mix":
            raise UsageError(f"{call.name} plays a mix, which every host reads from a file: scripts/poolmark mix NAME --plain > FILE, the same FILE on "
                             "every host, and then mix --mix FILE in place of the suite")
