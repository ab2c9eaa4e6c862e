# SPDX-License-Identifier: Apache-2.0
"""What `scripts/poolmark limit` was asked for: its options, checked as a whole before anything starts.

    search = search_of(args)
    search.contenders, search.rules, search.bounds
    search.planned(contender, rate)     the cell of a contender's next trial
"""
import argparse
from dataclasses import dataclass, field
from pathlib import Path
from collections.abc import Mapping

from poolmark.base.errors import UsageError
from poolmark.base.faults import nearest
from poolmark.base.forms import Config, Json
from poolmark.base.options import count, span
from poolmark.base.paths import choose_build
from poolmark.base.units import plural
from poolmark.facts import described, plan
from poolmark.limits import bounds as bounds_of
from poolmark.limits.bounds import Bound
from poolmark.limits.search import Rules, Trial, rounded
from poolmark.run.suite import check_programs, raise_descriptor_limit
from poolmark.suites.suite_cells import CellPlan, cell_name
from poolmark.suites.suite_options import BROKER, LOADGEN, RUNNERS, is_option_value, load_words
from poolmark.suites.suite_set import value_of
from poolmark.suites.targets import option_words

FIRST_RATE = {"publish": 10_000, "connect": 1_000}
MOST_RATE = 10_000_000
OF_A_TRIAL = ("rate", "trial", "connections", "target", "strategy", "shape", "engine", "phases", "broker_options")  # keys of its configuration
# Options of broker and generator that the search sets.
OF_BROKER = {"pool", "shape"}
OWN = {"publish": {"publish-rate", "duration"}, "connect": {"rate", "connections"}}
# Schedules with one rate. When the last of so many connects is due at random, a rate that was missed cannot be told by it.
STEADY = {"publish": ("constant", "poisson"), "connect": ("constant",)}


@dataclass
class Contender:
    name: str
    config: Config
    broker: Json
    load: Json = field(default_factory=dict)    # its options of the generator, beside those of all contenders
    trials: list[Trial] = field(default_factory=list)
    over: bool = False

    @property
    def runs_already(self) -> bool:
        return str(self.config["target"]).startswith("mqtt://")


@dataclass
class Search:
    """All that was asked for, checked."""
    scenario: str
    bounds: list[Bound]
    rules: Rules
    trial_s: float
    load: Json
    contenders: list[Contender]
    build: Path
    descriptors: int
    seed: int

    def phase(self, rate: float) -> Json:
        made, word = {"name": self.scenario, "scenario": self.scenario}, f"{rate:.3f}".rstrip("0").rstrip(".")
        if self.scenario == "publish":
            return made | {"publish-rate": word, "duration": f"{self.trial_s:g}s"}
        return made | {"rate": word}

    def load_of(self, contender: Contender) -> Json:
        return {**self.load, **contender.load}

    def connections(self, contender: Contender, rate: float, most: int) -> int:
        """Of a trial. Connects end before --trial is over when one instance of a target has no room for more."""
        if self.scenario == "connect":
            return max(2, min(most, round(rate * self.trial_s)))
        return int(plan.divided(load_words(contender.config, self.load_of(contender), self.phase(rate)), self.descriptors, self.build)["clients"])

    def room(self, contender: Contender) -> int:
        """Connections that one instance of a target, on one port, has room for. More would be another target."""
        words = ["connect", "--engine", contender.config["engine"], "--connections", 2]
        return min(self.descriptors - plan.RESERVE, int(plan.divided(words, self.descriptors, self.build)["connections_per_route"]))

    def planned(self, contender: Contender, rate: float) -> CellPlan:
        number = len(contender.trials) + 1
        config = {**contender.config, "connections": self.connections(contender, rate, self.room(contender)), "rate": rate,
                  "trial": number}
        load = ({"settle": "0s"} if self.scenario == "connect" else {}) | self.load_of(contender)
        return CellPlan(f"{contender.name}/{number:02}", config, 1, contender.broker, load, [self.phase(rate)])


# --- what was asked for ------------------------------------------------------------------------------------------


def share(text: str) -> float:
    """5% as 0.05."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage; examples: 5%, 10%") from None
    if not 2 <= value <= 50:
        raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; it may be 2% to 50%")
    return value / 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", choices=sorted(FIRST_RATE), help="publish: messages a second; connect: connections a second")
    parser.add_argument("--bound", action="append", default=[], metavar="BOUND",
                        help="what has to hold: p99=20ms, p99.9=100ms, ack.p99=50ms; several times")
    parser.add_argument("--target", action="append", metavar="NAME|URI",
                        help="poolmark (the default), mosquitto, or mqtt://HOST:PORT, which runs already; several times")
    parser.add_argument("--strategy", metavar="NAME,...", help="of poolmark's broker: a contender each; all: every one")
    parser.add_argument("--shape", metavar="NAME", help="of poolmark's broker")
    parser.add_argument("--engine", default="raw", metavar="NAME", help="of the generator (raw)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="an option of the generator: pairs=50, qos=1, payload=1KiB, pattern=fan-in; broker.KEY=VALUE: of poolmark's "
                             "broker; STRATEGY.KEY=VALUE: of the broker with that strategy; several times")
    parser.add_argument("--loads", metavar="KEY=VALUE,...",
                        help="a contender for each value of an option, as the law of scale takes them (capacity): pairs=5,10,20,50,100, "
                             "broker.threads=1,2,3,4,6")
    parser.add_argument("--from", dest="start", type=count(1, MOST_RATE), metavar="RATE",
                        help="the first rate (10k messages, 1000 connections a second)")
    parser.add_argument("--least", type=count(1, MOST_RATE), metavar="RATE", help="no rate below is tried (what the percentiles need)")
    parser.add_argument("--most", type=count(1, MOST_RATE), default=MOST_RATE, metavar="RATE", help="no rate above is tried (10M)")
    parser.add_argument("--within", type=share, default=0.05, metavar="PERCENT", help="wanted width of the interval (5%%)")
    parser.add_argument("--repeat", type=count(1, 100), default=3, metavar="N", help="trials at each end of the interval (3)")
    parser.add_argument("--trials", type=count(4, 200), default=30, metavar="N", help="at most, of a contender (30)")
    parser.add_argument("--trial", type=span(0.1, 3600), default=5.0, metavar="D", help="what a trial measures, without its warm-up (5s)")
    parser.add_argument("--time-limit", type=span(1, 1e7), default=7200.0, metavar="D", help="no trial begins after that (2h)")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (results/runs/ID)")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")
    parser.add_argument("--seed", type=count(0, 2**53), default=1, metavar="N", help="for the record")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines of each contender's first trial, start nothing")
    parser.add_argument("--json", action="store_true", help="print run.json instead of the table")


def put_option(table: Json, program: str, own: set[str], known: Mapping[str, Json], given: str, name: str, value: object) -> None:
    """One --set, or a value of --loads. UsageError says what is wrong with `given`."""
    if name in own or name in RUNNERS[program]:
        raise UsageError(f"{given}: --{name} is what the search sets itself")
    if name not in known:
        raise UsageError(f"{given}: {name!r} is no option of {program}" + nearest(name, known))
    flag = known[name]["kind"] == "flag"
    if not is_option_value(value) or flag != isinstance(value, bool):
        raise UsageError(f"{given}: --{name} takes {'no value: true or false' if flag else 'a value'}")
    if known[name]["repeats"] and name in table:
        table[name] = [*(table[name] if isinstance(table[name], list) else [table[name]]), value]
    else:
        table[name] = value


def check_steady(option: str, scenario: str, load: Json) -> None:
    """UsageError for a schedule whose rate changes within a trial. `option`: that gave it."""
    schedule = load.get("schedule", "constant")
    if schedule not in STEADY[scenario]:
        raise UsageError(f"{option} schedule={schedule}: a trial has one rate from its beginning to its end; {' or '.join(STEADY[scenario])}")


def settings(args: argparse.Namespace, build: Path) -> tuple[Json, dict[str, Json]]:
    """(options of the generator, {"broker" or a strategy: options of the broker})."""
    load: Json = {}
    broker: dict[str, Json] = {}
    prefixes = {"broker", *described.strategies(build)}
    of_load, of_broker = described.options(described.loadgen(build)), described.options(described.broker(build))
    for text in args.set:
        key, equals, value = text.partition("=")
        before, dot, name = key.partition(".")
        if not equals or not key:
            raise UsageError(f"--set {text}: it takes KEY=VALUE")
        if dot and before not in prefixes:
            raise UsageError(f"--set {text}: {before!r} is neither broker nor a strategy" + nearest(before, prefixes))
        if dot:
            put_option(broker.setdefault(before, {}), BROKER, OF_BROKER, of_broker, f"--set {text}", name, value_of(value))
        else:
            put_option(load, LOADGEN, OWN[args.scenario], of_load, f"--set {text}", key, value_of(value))
    check_steady("--set", args.scenario, load)
    return load, broker


@dataclass(frozen=True)
class Loads:
    """The option of --loads and its values."""
    key: str            # without "broker."
    of_broker: bool
    values: tuple[Json, ...]    # {key: value}

    def of(self, one: Contender) -> list[Contender]:
        """A contender for each value."""
        made = []
        for value in self.values:
            config = one.config | value
            broker, load = ({**one.broker, **value}, one.load) if self.of_broker else (one.broker, {**one.load, **value})
            made.append(Contender(cell_name(config), config, broker, load))
        return made


def loads(args: argparse.Namespace, build: Path) -> Loads | None:
    """--loads, checked. None without it."""
    if not args.loads:
        return None
    key, equals, texts = args.loads.partition("=")
    before, dot, name = key.rpartition(".")
    if not equals or dot and before != "broker":
        raise UsageError(f"--loads {args.loads}: it takes KEY=VALUE,... of the generator, or broker.KEY=VALUE,...")
    if any(one.partition("=")[0] == key for one in args.set):
        raise UsageError(f"--loads {args.loads}: --set gives {key} too")
    if name in OF_A_TRIAL:
        raise UsageError(f"--loads {args.loads}: {name} is what a trial's configuration has for itself")
    program, own, known = (BROKER, OF_BROKER, described.broker(build)) if dot else (LOADGEN, OWN[args.scenario], described.loadgen(build))
    values: list[Json] = []
    for text in texts.split(","):
        value: Json = {}
        put_option(value, program, own, described.options(known), f"--loads {args.loads}", name, value_of(text))
        check_steady("--loads", args.scenario, value)
        values.append(value)
    return Loads(name, bool(dot), tuple(values))


def strategies(args: argparse.Namespace, build: Path) -> list[str | None]:
    known = described.strategies(build)
    if args.strategy == "all":
        return list(known)
    wanted = [word for word in (args.strategy or "").split(",") if word]
    for name in wanted:
        if name not in known:
            raise UsageError(f"--strategy {name!r}: there is no such strategy" + nearest(name, known))
    return list(wanted) or [None]


def contenders(args: argparse.Namespace, broker: dict[str, Json], build: Path) -> list[Contender]:
    found: list[Contender] = []
    targets: list[str] = args.target or ["poolmark"]
    chosen = strategies(args, build)
    several = loads(args, build)
    of_broker = several is not None and several.of_broker
    unused = [name for name, given in (("--strategy", args.strategy), ("--shape", args.shape), ("--set broker...", broker),
                                       ("--loads broker...", of_broker)) if given]
    if unused and "poolmark" not in targets:
        raise UsageError(f"{', '.join(unused)}: only of target poolmark, and it is not among the targets")
    strange = next((name for name in broker if name not in ("broker", *chosen)), None)
    if strange:
        raise UsageError(f"--set {strange}...: no contender has that strategy; --strategy names them")
    for target in targets:
        config: Config = {"target": target, "engine": args.engine}
        if target == "poolmark":
            more = {"shape": args.shape} if args.shape else {}
            for strategy in chosen:
                one = config | more | ({"strategy": strategy} if strategy else {})
                found.append(Contender(cell_name(one), one, {**broker.get("broker", {}), **broker.get(strategy or "", {})}))
        elif target == "mosquitto" or target.startswith("mqtt://"):
            found.append(Contender(cell_name(config), config, {}))
        else:
            raise UsageError(f"--target {target!r} is none; it may be poolmark, mosquitto or mqtt://HOST:PORT")
    if several is not None:
        found = [one for base in found for one in (several.of(base) if base.config["target"] == "poolmark" or not of_broker else [base])]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"{twice} would be measured twice; name each target, strategy and load once")
    return found


def least_rate(args: argparse.Namespace, found: list[Bound]) -> float:
    """The lowest rate whose trials have the samples that the bounds take."""
    return rounded(max(1.0, max(bound.samples for bound in found) / args.trial) * 1.01)


def rules_of(args: argparse.Namespace, found: list[Bound]) -> Rules:
    samples = least_rate(args, found)
    least = float(args.least or samples)
    if least < samples:
        raise UsageError(f"--least {args.least}: {plural(max(bound.samples for bound in found), 'sample')} are what "
                         f"{found[0].name if len(found) == 1 else 'the bounds'} take, so at a --trial of {args.trial:g} s the least is {samples:g}")
    if args.most < least:
        raise UsageError(f"--most {args.most} is below the least rate, {least:g} (--least, or what the percentiles need in --trial)")
    start = min(float(args.most), max(least, float(args.start or FIRST_RATE[args.scenario])))
    return Rules(start=start, least=least, most=float(args.most), within=args.within, repeat=args.repeat, trials=args.trials)


def check(search: Search) -> None:
    """UsageError when a program would refuse the options of a contender's first trial."""
    for contender in search.contenders:
        planned = search.planned(contender, search.rules.start)
        words = load_words(planned.config, planned.load, planned.phases[0])
        wrong = described.ask(LOADGEN, words, search.build)[1]
        if not wrong and contender.config["target"] == "poolmark":
            options = {"pool": planned.config.get("strategy"), "shape": planned.config.get("shape"), **planned.broker}
            wrong = described.ask(BROKER, option_words(options), search.build)[1]
        if wrong:
            raise UsageError(f"{contender.name}: {wrong}")
    lowest = min(str(search.load_of(one).get("qos", 0)) for one in search.contenders)
    if any(bound.latency == "ack" for bound in search.bounds) and lowest == "0":
        raise UsageError("--bound ack: there are no acknowledgements at QoS 0; --set qos=1")


def search_of(args: argparse.Namespace) -> Search:
    build = choose_build(args.build)
    check_programs(build)
    found = bounds_of.parse(args.bound, args.scenario)
    load, broker = settings(args, build)
    made = Search(args.scenario, found, rules_of(args, found), args.trial, load, contenders(args, broker, build), build,
                  raise_descriptor_limit(), args.seed)
    check(made)
    return made


