# SPDX-License-Identifier: Apache-2.0
"""Checks a suite's options against the programs: first each option with its line, then all options of each cell together.

The programs' own parsers check the values (`--describe`), so faults have their wording.
"""
import math
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from poolmark.base.faults import Faults, likely
from poolmark.base.forms import Config, Json, Place
from poolmark.base.paths import need_checkout
from poolmark.base.toml_values import shown
from poolmark.facts import described
from poolmark.records.bare import BARE
from poolmark.base.errors import UsageError
from poolmark.suites import mix_file
from poolmark.suites.suite_check import Check
from poolmark.suites.suite_cells import CellPlan, fill
from poolmark.suites.suite_clean import follows, gone_beside
from poolmark.suites.targets import MOSQUITTO_FLAGS, SHARED, option_words, wrong_for_mosquitto

BROKER, LOADGEN, BARE_CLIENT = "poolmark-broker", "poolmark-loadgen", "bare-client"
# Options that the runner sets; a suite must not set them as well.
RUNNERS = {BROKER: {"listen", "record", "metrics", "list-pools"},
           LOADGEN: {"target", "engine", "watch-pid", "watch-record", "record", "quiet", "seed", "beside", "fresh-target", "share", "only-watch"}}
EXAMPLE = 100_000_000   # number for "{2*connections}" in the check: larger than any other step


def is_option_value(value: object) -> bool:
    """Whether TOML's value can be an option: a text, a number, a flag, or a list of texts and numbers."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, (str, int, float)) and not isinstance(one, bool) for one in value)
    return isinstance(value, (str, int, bool)) or isinstance(value, float) and math.isfinite(value)


def wrong_braces(value: object) -> str:
    """What is wrong with "{conections}" in an option; "" for nothing. Braces with other words are the option's own."""
    for text in value if isinstance(value, list) else [value]:
        for inside in re.findall(r"\{([\w+*/. -]+)\}", text) if isinstance(text, str) else ():
            words = re.findall("[A-Za-z_]+", inside)
            if words and (words == ["connections"] or likely(words[0], ("connections",))) and fill(f"{{{inside}}}", 1) == f"{{{inside}}}":
                return f"{{{inside}}} becomes no number" + ("; it may be {connections}, {2*connections} or {connections/4}" if words == ["connections"]
                                                            else "; did you mean 'connections'?")
    return ""


# Options that say how many clients there are: one may only be right together with another.
PATTERN = "pattern"     # a scenario with this one has as many clients as its pattern needs, whatever its cell holds beside them
CLIENTS = (PATTERN, "pairs", "publishers", "subscribers", "mix")


def ablest_engine(build: Path | None) -> str:
    engines = described.engines(build)
    return max(engines, key=lambda one: len(engines[one]["capabilities"]))


def ablest_strategy(build: Path | None) -> str:
    wanted = {"preheats", "bounded", "background", "grows", "shrinks"}
    return str(max(described.broker(build)["strategies"], key=lambda one: len(wanted & set(one["capabilities"])))["name"])


class OptionCheck:
    def __init__(self, check: Check) -> None:
        self.check, self.faults, self.build = check, check.faults, check.build
        self.scenarios = described.scenarios(self.build)
        self.able = ablest_engine(self.build)     # each cell's own engine is checked with the cell

    def parts(self, key: str) -> list[tuple[Place, Json]]:
        """All tables of that key: in the file, in groups, in overrides."""
        check = self.check
        overrides: list[tuple[Place, Json]] = [(("override", i), one) for i, one in enumerate(check.tables(check.data, "override"))]
        return [((*path, key), check.table(part, key)) for path, part in check.parts + overrides if check.table(part, key)]

    def is_known(self, program: str, path: Place, name: str, value: object) -> bool:
        options = described.options(described.broker(self.build) if program == BROKER else described.loadgen(self.build))
        free = [one for one in options if one not in RUNNERS[program]]
        if name in RUNNERS[program]:
            self.faults.add(path, f"--{name} is what the suite sets itself"
                            + (": it stands in [config]" if name == "engine" else ""))
        elif name == "password":
            self.faults.add(path, "password would stand in the record and in the list of processes; users names a file that has it")
        elif name not in options:
            self.faults.add(path, f"{name!r} is no option of {program}", free, name)
        elif not is_option_value(value):
            self.faults.add(path, f"{name} is {shown(value)}; an option is a text, a number, true, or a list of them")
        elif options[name]["kind"] == "flag" and not isinstance(value, bool):
            self.faults.add(path, f"{name} is {shown(value)}; --{name} takes no value: true or false")
        elif options[name]["kind"] != "flag" and isinstance(value, bool):
            self.faults.add(path, f"{name} is {str(value).lower()}; --{name} takes a value")
        elif wrong := wrong_braces(value):
            self.faults.add(path, f"{name}: {wrong}")
        elif isinstance(value, list) and not options[name]["repeats"]:
            self.faults.add(path, f"{name} is a list; --{name} is given once")
        else:
            return True
        return False

    def is_of_mosquitto(self, path: Place) -> bool:
        """Whether the table at `path` is of an [[override]] for target mosquitto."""
        if path[0] != "override":
            return False
        return bool(self.check.table(self.check.tables(self.check.data, "override")[int(path[1])], "when").get("target") == "mosquitto")

    def broker(self) -> None:
        """Checks broker options with a strategy that has all capabilities. Each cell's own strategy is checked with the cell."""
        able = ablest_strategy(self.build)
        for path, table in self.parts("broker"):
            for name, value in table.items():
                if self.is_of_mosquitto(path):
                    if wrong := wrong_for_mosquitto(name, value):
                        self.faults.add((*path, name), wrong)
                    continue
                if not self.is_known(BROKER, (*path, name), name, value):
                    continue
                for i, one in enumerate(value if isinstance(value, list) else [value]):
                    place: Place = (*path, name, i) if isinstance(value, list) else (*path, name)
                    words = [] if name == "pool" else ["--pool", able]
                    wrong = described.ask(BROKER, [*words, *option_words({name: fill(one, EXAMPLE)})], self.build)[1]
                    if wrong:
                        self.faults.add(place, wrong)

    def stand_ins(self, scenarios: list[str], name: str) -> list[str]:
        """Of scenarios that are not known: one that takes the option, the one that is likely meant first. A value is checked with it, so that
        its fault is told together with the scenario's."""
        meant = [guess for one in scenarios if (guess := likely(one, self.scenarios))]
        return [one for one in (*meant, *self.scenarios) if name in self.scenarios[one]["options"]][:1]

    def wrong_value(self, scenario: str, name: str, value: Any, table: Json) -> str:
        """What is wrong with a value in a scenario; "" for nothing. `table`: where it stands; an option may need others of there."""
        alone = {name: fill(value, EXAMPLE)}
        others = {one: fill(table[one], EXAMPLE) for one in CLIENTS if one in table and one != name and is_option_value(table[one])}

        def told(options: Json) -> str:
            try:
                words = option_words(with_plain_mix(options))
            except UsageError as error:     # of the mix, whose faults are told at its own line
                return str(error)
            return described.ask(LOADGEN, [scenario, "--engine", self.able, *words], self.build)[1]

        wrong = told(alone)
        if wrong and others and f"--{name}:" not in wrong:
            together = told(others | alone)
            return "" if together and together == told(others) else together    # the others' fault is told at their line
        return wrong

    def load_value(self, path: Place, name: str, value: Any, scenarios: list[str], table: Json) -> None:
        """`scenarios`: those that would get the option. It must be valid for each; a fault is reported once."""
        if not self.is_known(LOADGEN, path, name, value):
            return
        known = [one for one in scenarios if one in self.scenarios] or self.stand_ins(scenarios, name)
        if name == "mix" and set(known) == {"mix"}:
            for text in mix_file.faults_of(str(fill(value, EXAMPLE)), self.build, ["--engine", self.able]):
                self.faults.add(path, f"mix: {text}")
            return
        for i, one in enumerate(value if isinstance(value, list) else [value]):
            wrong = next((text for scenario in known if (text := self.wrong_value(scenario, name, one, table))), "")
            if wrong:
                self.faults.add((*path, i) if isinstance(value, list) else path, wrong)

    def load(self) -> None:
        everywhere = [str(phase.get("scenario")) for _, part in self.check.parts for phase in self.check.tables(part, "phase")]
        for path, table in self.parts("load"):
            inside = self.check.tables(self.check.data["group"][path[1]], "phase") if path[0] == "group" else []
            for name, value in table.items():
                self.load_value((*path, name), name, value, [str(one.get("scenario")) for one in inside] or everywhere,
                                table)

    def phases(self) -> None:
        for path, part in self.check.parts:
            for i, phase in enumerate(self.check.tables(part, "phase")):
                here = (*path, "phase", i)
                if isinstance(phase.get("scenario"), str) and phase["scenario"] not in self.scenarios:
                    self.faults.add((*here, "scenario"), f"scenario {shown(phase['scenario'])} is not known", self.scenarios,
                                    phase["scenario"])
                for name, value in phase.items():
                    if name not in ("name", "scenario"):
                        self.load_value((*here, name), name, value, [str(phase.get("scenario"))], phase)

    def seed(self) -> None:
        seed = self.check.data.get("seed", 1)
        if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 1:  # anything else is a fault already
            wrong = described.ask(LOADGEN, ["connect", "--seed", seed], self.build)[1]
            if wrong:
                self.faults.add(("seed",), wrong)

    def run(self) -> None:
        self.seed()
        self.broker()
        self.load()
        self.phases()


def place_of(data: Json, plan: CellPlan, key: str) -> Place:
    """The place in the file of a key of a cell's config, for a fault of the whole cell."""
    for i, override in enumerate(data.get("override", [])):
        if key in override.get("config", {}) and all(plan.config.get(name) == value
                                                     for name, value in override.get("when", {}).items()):
            return ("override", i, "config", key)
    for i, group in enumerate(data.get("group", [])):
        for part in ("config", "axes"):
            if key in group.get(part, {}):
                return ("group", i, part, key)
    return ("axes", key) if key in data.get("axes", {}) else ("config", key)


def without_pools(data: Json, plan: CellPlan, faults: Faults) -> None:
    target = plan.config.get("target", "poolmark")
    if target == "poolmark":
        return
    for key in ("strategy", "shape"):
        if key in plan.config:
            faults.add(place_of(data, plan, key), f"target {target} has no pools of ours: {key} = {shown(plan.config[key])} would "
                                                  "change nothing there; set it for target poolmark alone, by an [[override]]")
    where: Place = ("broker",) if "broker" in data else place_of(data, plan, "target")
    for name, value in plan.broker.items():
        if target == "mosquitto" and name in SHARED and (wrong := wrong_for_mosquitto(name, value)):
            faults.add((*where, name), wrong)
    unused = [name for name in plan.broker if target != "mosquitto" or name not in (*SHARED, *MOSQUITTO_FLAGS)]
    if unused:
        faults.add(where, f"target {target} is not poolmark-broker: its options ({', '.join(unused)}) would change nothing there")
    if target != "mosquitto" and plan.config.get("allocator", "glibc") != "glibc":
        faults.add(place_of(data, plan, "allocator"), f"target {target} runs already: no allocator can be chosen for it")


def bare_words(load: Json, phase: Json) -> list[str]:
    """The bare client's options of a phase; their names are the generator's."""
    return option_words({key: value for key, value in {**load, **phase}.items() if key not in ("name", "scenario")})


def wrong_for_bare(plan: CellPlan, phase: Json, build: Path | None) -> str | None:
    """What is wrong with a phase for the bare client."""
    if phase["scenario"] != "publish":
        return f"client {BARE} can only publish; scenario {phase['scenario']} is for the generator"
    need_checkout(f"client {BARE}, which is not installed,")
    return described.ask(BARE_CLIENT, bare_words(plan.load, phase), build)[1] or None


def together(name: str) -> set[str]:
    """An option with those that are only right beside it."""
    return {name, *(CLIENTS if name in CLIENTS else ())}


def each_wrong(ask: Callable[[Json], str], options: Json) -> Iterator[str]:
    """The faults of a command line. A program tells its first; it is asked again without the option that this names."""
    left, gone = dict(options), set[str]()
    while wrong := ask(left):
        if follows(wrong, gone):
            return
        yield wrong
        named = re.match(r"--([a-z-]+)", wrong)
        if not named or named[1] not in left:
            return
        gone |= together(named[1])
        del left[named[1]]


class CellCheck:
    """Checks the complete command lines of each cell's programs. One fault of several cells is told once. `gone`: keys that are left out of
    the cells, since they have faults of their own; what may only follow from that is not told."""

    def __init__(self, data: Json, faults: Faults, build: Path | None, gone: Collection[str] = ()) -> None:
        self.data, self.faults, self.build = data, faults, build
        self.gone, self.places = set(gone), set(faults.places)
        self.told: set[tuple[Place, str]] = set()

    def gone_beside(self, tables: Collection[str], phase: Place = ()) -> set[str]:
        return {one for name in gone_beside(self.gone, self.places, tables, phase) for one in together(name)}

    def add(self, place: Place, where: str, wrong: str, gone: Collection[str]) -> None:
        if (place, wrong) not in self.told and not follows(wrong, gone):
            self.faults.add(place, f"{where}: {wrong}")
        self.told.add((place, wrong))

    def broker(self, plan: CellPlan) -> None:
        options = {"pool": ablest_strategy(self.build) if "strategy" in self.gone else plan.config.get("strategy"),
                   "shape": plan.config.get("shape"), **plan.broker}
        gone = self.gone_beside(("broker",))
        for wrong in each_wrong(lambda left: described.ask(BROKER, option_words(left), self.build)[1], options):
            self.add(place_of(self.data, plan, "strategy"), f"cell {plan.id}", wrong, gone)

    def phase(self, plan: CellPlan, phase: Json) -> None:
        place = place_of_phase(self.data, phase)
        engine = ablest_engine(self.build) if "engine" in self.gone else described.engine_of(plan.config, self.build)
        options = {**load_options(plan.config, plan.load, phase), "engine": engine}
        gone = self.gone_beside(("load", "phase"), place)
        found = list(each_wrong(lambda left: described.ask(LOADGEN, [phase["scenario"], *option_words(left)], self.build)[1], options))
        of_mix = mix_file.faults_of(phase["mix"], self.build, ["--engine", engine]) if found and "mix" in phase else []
        for text in of_mix:     # of all cells with that engine
            self.add(place, f"engine {engine}, phase {phase['name']}", text, gone)
        if of_mix:
            return
        if not found and not {"client", "engine"} & self.gone and plan.config.get("client") == BARE and (wrong := wrong_for_bare(plan, phase, self.build)):
            found = [wrong]
        for wrong in found:
            self.add(place, f"cell {plan.id}, phase {phase['name']}", wrong, gone)

    def cell(self, plan: CellPlan) -> None:
        without_pools(self.data, plan, self.faults)
        if plan.config.get("target", "poolmark") == "poolmark" and "target" not in self.gone:
            self.broker(plan)
        for phase in plan.phases:
            self.phase(plan, phase)


def place_of_phase(data: Json, phase: Json) -> Place:
    parts: list[tuple[Place, Json]] = [((), data), *((("group", i), group) for i, group in enumerate(data.get("group", [])))]
    for path, part in parts:
        for i, one in enumerate(part.get("phase", [])):
            if one.get("name") == phase["name"]:
                return (*path, "phase", i)
    return ()


def with_plain_mix(options: Json) -> Json:
    """The generator reads a mix in its plain form, people write TOML."""
    return {**options, "mix": str(mix_file.plain_file(options["mix"]))} if "mix" in options else options


def load_options(config: Config, load: Json, phase: Json) -> Json:
    """The generator's options of one phase, except those that are known only when the target runs."""
    options: Json = {"engine": described.engine_of(config)}
    known = described.scenarios().get(phase["scenario"], {"options": ["subscribe"]})["options"]
    if "connections" in known and PATTERN not in known and not {"connections"} & (load.keys() | phase.keys()):
        options["connections"] = config["connections"]
    if "subscribe" in config and "subscribe" in known:
        options["subscribe"] = config["subscribe"]
    options.update(load)
    options.update({key: value for key, value in phase.items() if key not in ("name", "scenario")})
    return with_plain_mix(options)


def load_words(config: Config, load: Json, phase: Json) -> list[str]:
    return [phase["scenario"], *option_words(load_options(config, load, phase))]


def phases_text(planned: CellPlan) -> str:
    """A cell's phases with their options in one line, for its record."""
    return "; ".join(
        " ".join([phase["scenario"], *option_words({key: value for key, value in {**planned.load, **phase}.items()
                                                    if key not in ("name", "scenario")})]) for phase in planned.phases)
