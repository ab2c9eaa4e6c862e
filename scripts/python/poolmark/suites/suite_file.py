# SPDX-License-Identifier: Apache-2.0
"""A suite's file, scripts/suites/NAME.toml.

    title, kind = "suite"|"steps", repetitions, seed, plot = "memory", drop_caches = true|false
    primary           [patterns] of the metrics that decide a comparison
    [config]          configuration of all cells: target, shape, strategy, engine, allocator, connections, subscribe, attack.
                      Comparisons pair cells by it
                      attack: an attacker that works beside the load, by its name (scripts/poolmark attack --list), or calm
                      ranks: the generator is so many ranks on this machine, by mpirun (docs/ten-million-connections.md)
                      A strategy may be a file with a pool of your own, ./mine.so; an allocator
                      any shared library, /opt/lib/libother.so
    [axes]            name = [values]: a cell for each combination, added to config
    [axes_if_known]   more values of an axis; a strategy is used only when the broker lists it
    [broker]          options of poolmark-broker (names without dashes; a list repeats the option; true is a flag)
    [load]            options of poolmark-loadgen for every phase
    [[phase]]         one call of the generator: name, scenario, its own options
    [[group]]         separate cells, each group with its own config, axes, axes_if_known, broker, load, phase
    [[override]]      when = {...} selects cells by config; its config, broker, load then add or replace values there
    [[ratio]]         metric, of = {...}, to = {...}, by = "axis", within = 0.1: printed with its spread, and whether both are the same within that
    [beside]          two sides in one table, a row for each figure (suite_beside.py)
    [[impossible]]    when = {...} selects cells that are not made; why: the reason that the table gives

"{connections}", "{2*connections}" and "{connections/4}" in an option become numbers. "{connections}" in the title becomes the largest number of any
cell. connections = "fit" is the number that fits the host's memory. Other keys in config or axes let overrides select cells.

The whole file is checked before a cell is made: suite_check.py, suite_options.py.
"""
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import described
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import Faults
from poolmark.base.forms import Json
from poolmark.base.paths import SUITES, for_people
from poolmark.suites import suite_beside
from poolmark.suites.suite_beside import TwoSides
from poolmark.suites.suite_cells import CellPlan, Fit, base_cells, interleaved
from poolmark.suites.suite_check import Check
from poolmark.suites import suite_pools
from poolmark.suites.suite_options import OptionCheck, check_cell, without_pools
from poolmark.suites.suite_set import apply
from poolmark.suites.toml_text import read_text
from poolmark.base.units import show_count


@dataclass
class Suite:
    name: str
    title: str
    kind: str
    repetitions: int
    seed: int
    plot: str | None
    drop_caches: bool     # free the kernel's unused names, inodes and slabs before a cell of many connections
    ratios: list[Json]
    cells: list[CellPlan]
    sides: TwoSides


def names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def find(name_or_file: str) -> Path:
    path = Path(name_or_file)
    if path.suffix == ".toml":
        return path
    if path.is_file():
        raise UsageError(f"{name_or_file}: a suite's file ends in .toml")
    path = SUITES / f"{name_or_file}.toml"
    if "/" in name_or_file or not path.is_file():
        raise UsageError(f"there is no suite {name_or_file!r}; there are: {', '.join(names())}; or name a .toml file")
    return path


def read(name_or_file: str) -> tuple[str, Json]:
    """(name, its TOML) with checked structure. The error lists all faults."""
    path = find(name_or_file)
    text, data = read_text(path)
    faults = Faults(for_people(path), text)
    Check(data, faults, None).structure()
    faults.end()
    return path.stem, data


def title_of(name: str, data: Json, counts: Iterable[object]) -> str:
    """The title, with the largest of `counts` (connections of the cells)."""
    most = max((count for count in counts if isinstance(count, int)), default=None)
    return str(data.get("title", name)).replace("{connections}", show_count(most) if most else "N")


def most_steps(name: str) -> int:
    """The largest number of steps of a phase in the suite's file; 0 for a suite without steps."""
    data = read(name)[1]
    phases = [phase for part in (data, *data.get("group", [])) for phase in part.get("phase", [])]
    return max((len(str(phase["steps"]).split(",")) for phase in phases if "steps" in phase), default=0)


def listed_title(name: str) -> str:
    """The title from the suite's file, without making cells."""
    data = read(name)[1]
    parts = [data, *data.get("group", [])]
    return title_of(name, data, [part.get("config", {}).get("connections") for part in parts])


def check(checked: Check, faults: Faults, build: Path | None) -> None:
    """Checks everything that needs only the file."""
    checked.structure()
    checked.config()
    suite_beside.check_form(checked)
    if build:
        OptionCheck(checked).run()
        checked.metrics()
        suite_beside.check_figures(checked, build)


def are_lists(axes: object) -> bool:
    return not isinstance(axes, dict) or all(isinstance(values, list) for values in axes.values())


def check_cells(data: Json, base: list[CellPlan], faults: Faults, build: Path | None) -> None:
    """Checks what needs the cells. Of a file that has faults already, command lines are not asked again: they would tell these twice."""
    faulty = bool(faults)
    if not base and not faulty and data.get("impossible"):
        faults.add(("impossible", 0), "with these nothing is left to measure: every cell is called impossible")
    for number, cell in enumerate(base):
        if any(cell.id == other.id for other in base[:number]):
            if not faulty or are_lists(data.get("axes")):   # of a text as an axis each letter is a value
                faults.add((), f"two cells are called {cell.id}; make an axis of what differs")
        elif build and faulty:
            without_pools(data, cell, faults)
        elif build:
            check_cell(data, cell, faults, build)
    faults.end()


def cells_of(data: Json, faults: Faults, strategies: list[str] | None, connections: int | None, fit: Fit) -> list[CellPlan]:
    """The cells. Of a file with faults as far as there are any: its faults say why not."""
    try:
        return base_cells(data, strategies, connections, fit)
    except UsageError as error:
        if not faults:
            faults.add(("config",), str(error))
        faults.end()
        raise
    except (PoolmarkError, TypeError, ValueError, KeyError, AttributeError, OverflowError):
        faults.end()
        raise


def check_primary(data: Json, base: list[CellPlan], faults: Faults) -> None:
    """CELL:METRIC of a cell that is not made decides nothing."""
    for i, pattern in enumerate(data["primary"] if isinstance(data.get("primary"), list) else []):
        cells = str(pattern).rpartition(":")[0]
        if cells and not any(fnmatch.fnmatchcase(cell.id, cells) for cell in base):
            faults.add(("primary", i), f"no cell is called {cells!r}", [cell.id for cell in base], cells)


def choose(base: list[CellPlan], only: str | None, name: str) -> list[CellPlan]:
    try:
        wanted = re.compile(only or "")
    except re.error as error:
        raise UsageError(f"--only {only!r}: not a regular expression: {error}") from error
    chosen = [cell for cell in base if wanted.search(cell.id)]
    if not chosen:
        raise UsageError(f"suite {name}: --only {only!r} matches none of its cells; --list names them")
    return chosen


def load(name_or_file: str, *, build: Path | None = None, repetitions: int | None = None, connections: int | None = None,
         only: str | None = None, sets: Sequence[str] = (), fit: Fit = lambda config: 1) -> Suite:
    """The suite, with its cells in running order.

    `build`: the programs that check their options; None checks only the structure of the file. `sets`: KEY=VALUE from the
    command line. `fit(config)` returns the number for connections = "fit".
    """
    path = find(name_or_file)
    text, data = read_text(path)
    name, faults = path.stem, Faults(for_people(path), text)
    checked = Check(data, faults, build)
    checked.written = checked.choices()
    try:
        apply(data, sets, faults, build)
    except (TypeError, ValueError, KeyError, AttributeError):   # of a file whose parts are no tables
        checked.structure()
        faults.end()
        raise
    checked.own, checked.libraries = suite_pools.resolve_pools(data, faults, build), suite_pools.resolve_allocators(data, faults)
    check(checked, faults, build)
    base = cells_of(data, faults, [*described.strategies(build), *checked.own] if build else None, connections, fit)
    suite_pools.give(base, checked.own, checked.libraries)
    if not sets and connections is None:    # other cells than the file's may be asked for
        check_primary(data, base, faults)
    base, sides = suite_beside.split(data, base, faults)
    check_cells(data, base, faults, build)
    base = choose(base, only, name)
    sides.impossible = [one for one in sides.impossible if re.search(only or "", one["id"])]
    count = repetitions or int(data.get("repetitions", 1))
    title = title_of(name, data, [cell.config["connections"] for cell in base])
    return Suite(name, title, data.get("kind", "suite"), count, data.get("seed", 1), data.get("plot"),
                 data.get("drop_caches", False), data.get("ratio", []),
                 interleaved(base, count, in_pairs=sides.table is not None), sides)
