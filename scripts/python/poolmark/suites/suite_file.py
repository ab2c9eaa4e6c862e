# SPDX-License-Identifier: Apache-2.0
"""A suite's file, scripts/suites/NAME.toml.

    title, kind = "suite"|"steps", repetitions, seed, plot = "memory", drop_caches = true|false, refusals = true|false
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
cell, "{engine}", "{shape}", "{strategy}", "{allocator}" and "{target}" what the cells have. connections = "fit" is the number that fits the host's memory. Other keys in config or axes let overrides select cells.

The whole file is checked before anything starts: its form (suite_form.py), keys and names (suite_check.py), options (suite_options.py), metrics
(suite_metrics.py), and the cells of all that has no fault so far (suite_clean.py). So every fault is told at once.
"""
import contextlib
import fnmatch
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import described
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import Faults, likely
from poolmark.base.forms import Config, Json, Place
from poolmark.base.paths import SUITES, for_people
from poolmark.suites import suite_beside
from poolmark.suites.suite_beside import TwoSides
from poolmark.suites.suite_broker import BrokerCheck
from poolmark.suites.suite_cells import CellPlan, Fit, cell_name, combined, interleaved, make_cell, options_of
from poolmark.suites.suite_check import IN_TITLE, NAMED, Check
from poolmark.suites.suite_clean import without
from poolmark.suites.suite_form import understood
from poolmark.suites.suite_metrics import Measurable
from poolmark.suites import suite_pools
from poolmark.suites.suite_options import CellCheck, OptionCheck
from poolmark.suites.suite_set import apply
from poolmark.base.toml_text import read_text
from poolmark.base.toml_values import plain
from poolmark.base.units import show_count

STAND_IN = 1000     # connections of a cell that has none, for the check of its other options


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
    data = understood(data, faults)
    Check(data, faults, None).structure()
    faults.end()
    return path.stem, data


def title_of(name: str, data: Json, configs: Collection[Config]) -> str:
    """The title of a suite whose cells have these configurations: with the largest number of connections, and with their engines, shapes
    and so on."""
    most = max((count for config in configs if isinstance(count := config.get("connections"), int)), default=None)
    title = str(data.get("title", name)).replace("{connections}", show_count(most) if most else "N")
    for key in IN_TITLE:
        values = dict.fromkeys(plain(config[key]) for config in configs if key in config)
        title = title.replace(f"{{{key}}}", " and ".join(values) or key)
    return title


def most_steps(name: str) -> int:
    """The largest number of steps of a phase in the suite's file; 0 for a suite without steps."""
    data = read(name)[1]
    phases = [phase for part in (data, *data.get("group", [])) for phase in part.get("phase", [])]
    return max((len(str(phase["steps"]).split(",")) for phase in phases if "steps" in phase), default=0)


def listed_title(name: str) -> str:
    """The title from the suite's file, without making cells."""
    data = read(name)[1]
    parts = [data, *data.get("group", [])]
    configs = [part.get("config", {}) for part in parts]
    axes = [{key: value} for part in parts for key, values in part.get("axes", {}).items() if isinstance(values, list) for value in values]
    return title_of(name, data, [*configs, *axes])


def check(checked: Check, faults: Faults, build: Path | None) -> None:
    """Checks everything that needs only the file."""
    checked.structure()
    checked.config()
    suite_beside.check_form(checked)
    if build:
        OptionCheck(checked).run()
        Measurable(checked).run()


@dataclass
class Named:
    """A cell's name, and what it was made of."""
    name: str
    group: int
    axes: Json


def with_lists(data: Json) -> Json:
    """The file's tables of axes and groups, where an axis that is no list is one value."""
    def of(part: Json) -> Json:
        return {**part, **{axes: {key: value if isinstance(value, list) else [value] for key, value in part[axes].items()}
                           for axes in ("axes", "axes_if_known") if axes in part}}

    return {**of(data), **({"group": [of(group) for group in data["group"]]} if data.get("group") else {})}


class Cells:
    """Makes the cells of a file, and checks what needs them. Of a file that has faults the cells are those of its other parts."""

    def __init__(self, data: Json, faults: Faults, build: Path | None, strategies: list[str] | None, connections: int | None, fit: Fit) -> None:
        self.data, self.faults, self.build, self.strategies = data, faults, build, strategies
        self.connections, self.fit = connections, fit

    def made(self, data: Json, gone: Collection[str]) -> list[CellPlan]:
        """Every cell once. One without a number of connections has one here, so that the rest of it is checked."""
        base: list[CellPlan] = []
        for group, one in combined(data, self.strategies):
            try:
                base.append(make_cell(data, group, one, self.connections, self.fit))
            except UsageError as error:
                if "connections" not in gone and all(place != ("config",) for place in self.faults.places):
                    self.faults.add(("config",), str(error))
                with contextlib.suppress(UsageError):
                    base.append(make_cell(data, group, one, STAND_IN, self.fit))
        return base

    def written(self) -> list[Named]:
        """The cells as the file has them, with all faults."""
        found: list[Named] = []
        data = with_lists(self.data)
        for group, one in combined(data, self.strategies):
            config = options_of(data, group, one)[0]
            if self.connections is not None:
                config["connections"] = self.connections
            elif config.get("connections") == "fit" and not self.faults:
                config["connections"] = self.fit(config)
            found.append(Named(cell_name(config), next((i for i, other in enumerate(data.get("group") or []) if other is group), 0), one))
        return found

    def place_of(self, one: Named, other: Named) -> Place:
        """What should tell two cells apart."""
        if one.group != other.group:
            return ("group", one.group)
        data = with_lists(self.data)
        groups: list[tuple[Place, Json]] = [(("group", i), group) for i, group in enumerate(data.get("group") or [])]
        for path, part in [*groups[one.group:one.group + 1], ((), data)]:
            for axes in ("axes", "axes_if_known"):
                for key, value in one.axes.items():
                    values = part.get(axes, {}).get(key, [])
                    if value != other.axes.get(key) and value in values:
                        return (*path, axes, key, values.index(value))
        return ()

    def check_names(self, cells: list[Named]) -> None:
        """Two cells of one name. Of a value that an axis has twice it is told there."""
        first: dict[str, Named] = {}
        told: set[str] = set()
        for one in cells:
            other = first.setdefault(one.name, one)
            if other is not one and (other.group, other.axes) != (one.group, one.axes) and one.name not in told:
                told.add(one.name)
                self.faults.add(self.place_of(one, other), f"two cells are called {one.name}; make an axis of what differs")

    def check_primary(self, names: list[str]) -> None:
        """CELL:METRIC of a cell that is not made decides nothing."""
        for i, pattern in enumerate(self.data["primary"] if isinstance(self.data.get("primary"), list) else []):
            cells = str(pattern).rpartition(":")[0]
            if cells and not any(fnmatch.fnmatchcase(name, cells) for name in names):
                self.faults.add(("primary", i), f"no cell is called {cells!r}", names, cells)

    def run(self, mended: Collection[Place], as_in_file: bool, give: Callable[[list[CellPlan]], None]) -> tuple[list[CellPlan], TwoSides]:
        """(the cells, what the record says of those that are not made); UsageError with every fault of the file. `mended`: places of faults
        that are read as they were meant. `as_in_file`: no other cells than the file's were asked for."""
        faulty, data, gone = bool(self.faults), self.data, set[str]()
        if faulty:
            data, gone = without(self.data, self.faults.places - set(mended))
            gone |= {meant for one in gone if (meant := likely(one, self.known()))}
        try:
            base = self.made(data, gone)
        except (PoolmarkError, TypeError, ValueError, KeyError, AttributeError, OverflowError):
            self.faults.end()
            raise
        gone -= {key for key in NAMED if key != "connections" and all(key in cell.config for cell in base)}
        give(base)
        written = self.written()
        if as_in_file:
            self.check_primary([*(one.name for one in written), *(cell.id for cell in base)])
        self.check_names(written)
        kept, sides = suite_beside.split(data, base, self.faults, gone, mended)
        if base and not kept:
            self.faults.add(("impossible", 0), "with these nothing is left to measure: every cell is called impossible")
        if self.build:
            check_cells = CellCheck(self.data, self.faults, self.build, gone)
            for cell in kept:
                check_cells.cell(cell)
            BrokerCheck(self.data, self.faults, self.build, gone).run(kept, as_in_file)
        self.faults.end()
        return kept, sides

    def known(self) -> list[str]:
        """Names that a misspelt key may have been meant for."""
        return [*NAMED, *(one for told in ((described.broker(self.build), described.loadgen(self.build)) if self.build else ())
                          for one in described.options(told))]


def choose(base: list[CellPlan], only: str | None, name: str) -> list[CellPlan]:
    try:
        wanted = re.compile(only or "")
    except re.error as error:
        raise UsageError(f"--only {only!r}: not a regular expression: {error}") from error
    chosen = [cell for cell in base if wanted.search(cell.id)]
    if not chosen:
        raise UsageError(f"suite {name}: --only {only!r} matches none of its cells; --list names them")
    return chosen


def measurable(name_or_file: str, build: Path, sets: Sequence[str] = ()) -> list[str]:
    """Names and patterns of the metrics that cells of the suite can have, as far as its file is sound."""
    path = find(name_or_file)
    text, data = read_text(path)
    faults = Faults(for_people(path), text)
    data = understood(data, faults)
    apply(data, sets, faults, build)
    return Measurable(Check(data, faults, build)).names


def load(name_or_file: str, *, build: Path | None = None, repetitions: int | None = None, connections: int | None = None,
         only: str | None = None, sets: Sequence[str] = (), fit: Fit = lambda config: 1, finds_targets: bool = True) -> Suite:
    """The suite, with its cells in running order.

    `build`: the programs that check their options; None checks only the structure of the file. `sets`: KEY=VALUE from the
    command line. `fit(config)` returns the number for connections = "fit". `finds_targets`: a target whose name is not found is a fault.
    """
    path = find(name_or_file)
    text, data = read_text(path)
    name, faults = path.stem, Faults(for_people(path), text)
    data = understood(data, faults)
    checked = Check(data, faults, build)
    checked.mended, checked.finds_targets = set(faults.places), finds_targets
    checked.written = checked.choices()
    apply(data, sets, faults, build)
    checked.own, checked.libraries = suite_pools.resolve_pools(data, faults, build), suite_pools.resolve_allocators(data, faults, build)
    check(checked, faults, build)
    cells = Cells(data, faults, build, [*described.strategies(build), *checked.own] if build else None, connections, fit)
    base, sides = cells.run(checked.mended, not sets and connections is None, lambda base: suite_pools.give(base, checked.own, checked.libraries))
    base = choose(base, only, name)
    sides.impossible = [one for one in sides.impossible if re.search(only or "", one["id"])]
    count = repetitions or int(data.get("repetitions", 1))
    title = title_of(name, data, [cell.config for cell in base])
    return Suite(name, title, data.get("kind", "suite"), count, data.get("seed", 1), data.get("plot"),
                 data.get("drop_caches", False), data.get("ratio", []),
                 interleaved(base, count, in_pairs=sides.table is not None), sides)
