# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark suite NAME|FILE.toml: starts broker and generator for each cell, records the measurements, prints one table.

Exit 0: every cell complete; 1: a cell failed or is incomplete; 2: wrong call; 129, 130, 143: interrupted by a signal. After an
interruption the measurements are kept and the record says incomplete.
"""
import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

from poolmark.cluster import mpirun
from poolmark.facts import allocators, allowance, described, host, own_pools, quiet
from poolmark.records import tables
from poolmark.suites import suite_file
from poolmark.model import plot
from poolmark.run import dry_run
from poolmark.run.cell_run import CellRun
from poolmark.facts.children import Children, Interrupted
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import terminal
from poolmark.base.forms import Config
from poolmark.run.estimate import Estimate
from poolmark.facts.kernel_memory import MANY_FROM, drop_caches, settle
from poolmark.base.options import MOST_CONNECTIONS, MOST_REPETITIONS, count
from poolmark.base.paths import RUNS, build_dir, choose_build, for_people
from poolmark.facts.plan import Plan, make_plan
from poolmark.base.progress import Beat, Eta
from poolmark.records.read_record import Run
from poolmark.records.record import Cell, Record
from poolmark.suites.suite_cells import CellPlan
from poolmark.suites.suite_file import Suite
from poolmark.suites.suite_options import load_words, phases_text
from poolmark.suites.targets import Mosquitto, option_words
from poolmark.base.units import plural, show_bytes, show_count
from poolmark.verify import counters

PROGRAMS = ("poolmark-broker", "poolmark-loadgen")


def say(text: str) -> None:
    print(terminal(text), file=sys.stderr, flush=True)


def raise_descriptor_limit() -> int:
    """Raises the soft limit for the children, because mosquitto does not raise its own."""
    hard = host.descriptor_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return hard


def plan_for(planned: CellPlan, limit: int, build: Path) -> Plan:
    """A plan with room for the connections and for the probes beside them."""
    default = described.options(described.loadgen(build))["probe"]["default"]
    probes = [int(phase.get("probe", default)) for phase in planned.phases
              if described.takes(phase["scenario"], "probe", build)]
    return make_plan(planned.config["connections"] + max(probes, default=0), described.engine_of(planned.config, build), limit,
                     allowance.cores(), build=build,
                     calls=[load_words(planned.config, planned.load, phase) for phase in planned.phases])


def fits_here(config: Config) -> int:
    """The value of connections = "fit" on this host: as many as memory holds, at most a million."""
    return min(1_000_000, host.connections_that_fit(
        described.engine_of(config), described.shape_of(config), allowance.memory_bytes() or 0,
        host.descriptor_limit(), allowance.cores(), config.get("strategy")))


def check_programs(build: Path) -> None:
    missing = [name for name in PROGRAMS if not os.access(build / name, os.X_OK)]
    if missing:
        raise UsageError(f"{for_people(build)}: {' and '.join(missing)} not there; run make first, or name --build DIR")


def check_installed(suite: Suite, build: Path) -> None:
    """UsageError when another broker that some cell needs, or what starts its ranks, is not there."""
    if any(cell.config.get("target") == "mosquitto" for cell in suite.cells):
        Mosquitto.program()
    if any(cell.config.get("ranks") for cell in suite.cells):
        mpirun.need_programs(build)


def recorded_config(planned: CellPlan) -> Config:
    """A cell's configuration; its broker options and its phases become one line each. A pool's file is there by name and checksum."""
    config = dict(planned.config)
    options = {name: value for name, value in planned.broker.items() if name != "pool" or not own_pools.is_path(value)}
    if options:
        config["broker_options"] = " ".join(option_words(options))
    config["phases"] = phases_text(planned)
    return config


def keys_of(suite: Suite) -> set[str]:
    """Its cells, as power_told names them."""
    from poolmark.compare.power_told import key_of_config

    return {key_of_config(recorded_config(planned)) for planned in suite.cells}


def check_fits(suite: Suite, limit: int, build: Path) -> list[str]:
    """PoolmarkError when a cell does not fit this host. Returns the plans of cells that need several broker processes."""
    told = []
    for planned in {cell.id.rpartition(".")[0]: cell for cell in suite.cells}.values():
        plan = plan_for(planned, limit, build)
        for check in host.check_host(plan, described.shape_of(planned.config, build), planned.config.get("strategy")):
            if check.fits is False:
                raise PoolmarkError(
                    f"{planned.id}: {check.what}: {host.amount(check.found, check.unit)}, and "
                    f"{host.amount(check.needed, check.unit)} are needed; mend it: {check.mend}; or choose other cells "
                    "with --only, or fewer --connections")
        if plan.instances > 1:
            told.append(f"{planned.id.rpartition('.')[0]}: " + "; ".join(plan.sentences()))
    return told


def tell_cell(cell: Cell, seconds: float) -> None:
    rate, memory = cell.value("connect.rate"), cell.value("memory.per_connection_bytes")
    told = [f"{seconds:.0f} s", f"{show_count(rate)} connects/s" if rate is not None else "",
            f"{show_bytes(memory)} a connection" if memory is not None else ""]
    say(f"  {cell.data['status']}: {', '.join(word for word in told if word)}")
    for anomaly in cell.data["anomalies"]:
        if cell.data["status"] != "complete" or anomaly["what"] in ("busy", "throttled", "target_stopped", "late_receiver", counters.MORE):
            say(f"  ! {anomaly['what']}: {anomaly['text']}")


class Progress:
    """The progress shown while cells run."""

    def __init__(self, thought: Estimate, cells: list[CellPlan]) -> None:
        self.eta = Eta([thought.of(cell) for cell in cells])
        self.cell_run: CellRun | None = None
        self.beat = Beat(self.text)

    def text(self) -> str:
        now = self.cell_run.status.text() if self.cell_run else "the kernel gives back what the last cell took"
        return f"[{self.eta.done + 1}/{len(self.eta.thought_s)}] {now}; {self.eta.left()}"

    def say(self, text: str) -> None:
        self.beat.clear()
        say(text)


def run_cell(suite: Suite, record: Record, planned: CellPlan, build: Path, limit: int, children: Children,
             progress: Progress) -> None:
    started = time.monotonic()
    cell = record.cell(planned.id, recorded_config(planned), planned.repetition)
    try:
        progress.cell_run = CellRun(cell, planned, plan_for(planned, limit, build), build, suite.seed, children)
        progress.cell_run.run()
        if suite.sides.table and suite.sides.table["axis"] == "target" and progress.cell_run.backlog is not None:
            record.data["config"]["backlogs"].setdefault(planned.config["target"], progress.cell_run.backlog)
    finally:
        progress.cell_run = None
        cell.data["seconds"] = round(time.monotonic() - started, 1)
        progress.beat.clear()
        tell_cell(cell, cell.data["seconds"])


def fresh_kernel(suite: Suite, record: Record, connections: int) -> None:
    """Restores the kernel's memory to the state before earlier cells. Without the permission, the record says so once."""
    settle(connections)
    if not suite.drop_caches or connections < MANY_FROM:
        return
    if drop_caches():
        settle(connections)
    elif all(anomaly["what"] != "caches" for anomaly in record.data["anomalies"]):
        record.anomaly("caches", "not allowed to have the kernel give back unused caches (it takes root): what it kept of "
                                 "earlier work counts as base of a cell, or as memory that its first connections need not")


def run_cells(suite: Suite, record: Record, build: Path, limit: int, thought: Estimate) -> int:
    """Runs all cells one after the other; returns the exit code."""
    progress = Progress(thought, suite.cells)
    with Children() as children, progress.beat:
        begun = 0
        try:
            for planned in suite.cells:
                progress.eta.begin()
                fresh_kernel(suite, record, planned.config["connections"])
                begun += 1
                progress.say(f"[{begun}/{len(suite.cells)}] {planned.id}")
                run_cell(suite, record, planned, build, limit, children, progress)
                progress.eta.end()
                if begun == 1 and (text := progress.eta.off("cells")):
                    progress.say(f"  {text}")
        except Interrupted as interrupted:
            left = len(suite.cells) - begun
            record.anomaly("interrupted", str(interrupted) + (f"; {left} of {len(suite.cells)} cells were not begun" if left
                                                              else ""))
            return 128 + interrupted.number
    return 0 if all(cell["status"] == "complete" for cell in record.data["cells"]) else 1


def close(suite: Suite, record: Record) -> list[str]:
    """Writes the results of the run; returns texts about files that could not be written."""
    found = {cell["status"] for cell in record.data["cells"]}
    whole = len(record.data["cells"]) == len(suite.cells) and found <= {"complete", "failed"}
    status = "incomplete" if not whole or record.data["anomalies"] else "failed" if "failed" in found else "complete"
    for cell in record.data["cells"]:
        cell["status"] = "incomplete" if cell["status"] == "running" else cell["status"]
    record.tell_changes()
    record.data["status"] = status
    unwritten = []
    try:
        tables.write(record.folder, record.data, suite.title, suite.ratios)
    except PoolmarkError as error:
        unwritten.append(str(error))
        record.anomaly("disk", str(error))
        status = "incomplete"
    try:
        if suite.plot == "memory":
            plot.write(Run(record.folder, record.data), suite.title)
    except PoolmarkError as error:  # a picture of figures that are there
        print(f"memory.svg is left out: {error}", file=sys.stderr)
    try:
        record.close(status)
    except PoolmarkError as error:
        unwritten.append(str(error))
    return unwritten


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", nargs="?", metavar="NAME|FILE.toml", help=f"one of: {', '.join(suite_file.names())}")
    parser.add_argument("--list", action="store_true", help="name the suites, or the cells of one, and end")
    parser.add_argument("--dry-run", action="store_true", help="print every command line and start nothing")
    parser.add_argument("--only", metavar="RE", help="only cells whose name the regular expression finds")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (results/runs/ID)")
    parser.add_argument("--repetitions", type=count(1, MOST_REPETITIONS), metavar="N", help="instead of the suite's own")
    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), metavar="N", help="instead of the suite's own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="instead of the suite's own: duration=60s, qos1.payload=1KiB, shape=lean, broker.threads=2; checked "
                             "like the file; several times")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")
    parser.add_argument("--json", action="store_true", help="print run.json instead of the table")


def load_suite(args: argparse.Namespace, build: Path) -> Suite:
    """Checks the suite as a whole, so that nothing starts with a fault in it. Only --list works without the programs."""
    if not args.list or args.set:
        check_programs(build)
    there = all(os.access(build / name, os.X_OK) for name in PROGRAMS)
    return suite_file.load(args.suite, build=build if there else None, repetitions=args.repetitions,
                           connections=args.connections, only=args.only, sets=args.set, fit=fits_here, finds_targets=not args.list)


def estimated(args: argparse.Namespace) -> tuple[float, str]:
    """Seconds that this call should take, and by what they are known; for commands that call it."""
    build = build_dir(args.build)
    suite = load_suite(args, build)
    thought = Estimate(suite.name, build, RUNS)
    return sum(map(thought.of, suite.cells)), thought.by(suite.cells)


def print_commands(suite: Suite, build: Path, limit: int, out: str | None) -> None:
    """Prints every command line of the run, as far as it is known before a start."""
    folder, programs = Path(out or for_people(RUNS / "RUN")), Path(for_people(build))
    print(dry_run.EXPLAINED + ("" if out else f"; {folder}: the run's folder"))
    for planned in suite.cells:
        plan = plan_for(planned, limit, build)
        cell = dry_run.planned_cell(planned.id, planned.config, folder)
        dry_run.print_cell(CellRun(cell, planned, plan, programs, suite.seed, Children()), plan.sentences())


def tell_obstacles(suite: Suite, limit: int, build: Path) -> None:
    """Of a dry run: what this host lacks for the run itself."""
    try:
        check_installed(suite, build)
        check_fits(suite, limit, build)
    except PoolmarkError as error:
        say(f"it would not start here: {error}")


def tell_power(suite: Suite, record: Record) -> None:
    """With repetitions, says what a comparison would find. The import takes a second, so it is done only then."""
    if suite.repetitions > 1:
        from poolmark.compare import history, power_told

        what = f"suite:{suite.name}"
        for text in power_told.told_before(what, suite.repetitions, power_told.earlier(what, history.fingerprint(record.data), cells=keys_of(suite))):
            say(text)


def run(args: argparse.Namespace) -> int:
    if args.suite is None:
        if not args.list:
            raise UsageError(f"name a suite: {', '.join(suite_file.names())}")
        for name in suite_file.names():
            print(f"{name}: {suite_file.listed_title(name)}")
        return 0
    build = choose_build(args.build)
    suite = load_suite(args, build)
    if args.list:
        print("\n".join(cell.id for cell in suite.cells))
        return 0
    limit = raise_descriptor_limit()
    thought = Estimate(suite.name, build, RUNS)
    if args.dry_run:
        print_commands(suite, build, limit, args.out)
        say(f"{plural(len(suite.cells), 'cell')}, {thought.sentence(suite.cells)}")
        tell_obstacles(suite, limit, build)
        return 0
    if args.out and Path(args.out).is_dir() and any(Path(args.out).iterdir()):
        raise UsageError(f"--out {args.out}: is not empty; a run's folder holds that run and nothing else")
    check_installed(suite, build)
    plans = check_fits(suite, limit, build)
    config: Config = {"suite": suite.name, "title": suite.title, "only": args.only, "repetitions": suite.repetitions,
              "connections": args.connections, "set": args.set,
              "primary": suite_file.read(args.suite)[1].get("primary"), "ratios": suite.ratios, "plans": plans}
    if suite.sides.table:
        config |= {"beside": suite.sides.table, "impossible": suite.sides.impossible, "backlogs": {}}
    record = Record.create(suite.kind, suite=suite.name, folder=args.out, config=config, seed=suite.seed, build=build)
    say(f"{suite.title}: {plural(len(suite.cells), 'cell')}, {thought.sentence(suite.cells)}, into {for_people(record.folder)}")
    tell_power(suite, record)
    if text := quiet.load_text():
        say(text)
    if cleared := allocators.variables_set():
        say(f"{', '.join(cleared)} of this environment: taken off the measured programs")
    for text in plans:
        say(f"plan: {text}")
    code = 1
    try:
        code = run_cells(suite, record, build, limit, thought)
    finally:
        unwritten = close(suite, record)
    print(json.dumps(record.data, indent=1) if args.json else tables.terminal(record.data, suite.ratios))
    for text in unwritten:
        say(f"! {text}")
    if unwritten:
        say("the table above is what was measured; it is not in the record")
        return code or 1
    say(f"{record.data['status']}: {for_people(record.folder)}/summary.md, summary.csv, run.json")
    return code
