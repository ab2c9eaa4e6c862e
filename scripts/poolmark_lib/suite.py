# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark suite NAME|FILE.toml: starts broker and generator for each cell, records what they measured, prints
one table.

Exit 0: every cell complete; 1: a cell failed or is incomplete; 2: wrong call; 130, 143: interrupted (what was measured
is kept, the record says incomplete).
"""
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from poolmark_lib import allowance, dry_run, host, phases, plot, suite_file, summary
from poolmark_lib.children import Child, Children, Interrupted
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.kernel_memory import MANY_FROM, drop_caches, settle
from poolmark_lib.measures import phase_folder, take_phase, take_target
from poolmark_lib.options import MOST_CONNECTIONS, MOST_REPETITIONS, count
from poolmark_lib.paths import RUNS, build_dir, for_people
from poolmark_lib.plan import Plan, make_plan
from poolmark_lib.quiet import OthersClock, busy_text, charges_interrupts
from poolmark_lib.read_record import Run
from poolmark_lib.record import Cell, Record
from poolmark_lib.suite_cells import CellPlan
from poolmark_lib.suite_file import Suite
from poolmark_lib.suite_options import load_options, load_words
from poolmark_lib.targets import Target, make_target, option_words
from poolmark_lib.units import show_bytes, show_count

PROGRAMS = ("poolmark-broker", "poolmark-loadgen")
PROBES = 100        # what the generator has without --probe
# Longer than a phase can take if all goes well, whatever the machine: only a guard against one that hangs.
PHASE_GUARD_S = 1800.0
# How long the generator may go on after a broker died, to count what was lost.
AFTERMATH_S = 30.0
# It ends within a second of SIGINT, but a thousand workers on a busy machine take longer to write down what they know.
GENERATOR_STOP_S = 60.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def raise_descriptor_limit() -> int:
    """Children inherit it: mosquitto does not raise its own."""
    hard = host.descriptor_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return hard


class Progress:
    """One line on a terminal, renewed each second, out of the memory.csv that the generator is writing."""

    def __init__(self, name: str, wanted: int):
        self.name, self.wanted, self.started = name, wanted, time.monotonic()
        self.shown = sys.stderr.isatty()

    def show(self, memory: Path) -> None:
        if not self.shown:
            return
        fields = last_line(memory).split(",")
        told = f"  {self.name} {time.monotonic() - self.started:4.0f} s"
        if len(fields) > 4 and fields[2].isdigit():
            told += f"  {fields[1]}: {show_count(int(fields[2]))} of {show_count(self.wanted)} connections"
            told += f", broker {show_bytes(int(fields[3]))}" if fields[3].isdigit() else ""
        print(f"\r\x1b[K{told}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def last_line(path: Path) -> str:
    """The last whole line of a file that is being written; "" when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().split(b"\n")
    except OSError:
        return ""
    return lines[-2].decode("utf-8", errors="replace") if len(lines) > 1 else ""


class CellRun:
    """One cell, from the start of its target to its metrics."""

    def __init__(self, cell: Cell, planned: CellPlan, plan: Plan, build: Path, seed: int, children: Children):
        self.cell, self.planned, self.plan, self.build, self.seed = cell, planned, plan, build, seed
        self.children = children
        self.target: Target = make_target(cell, build, plan, planned.broker)
        self.whole, self.good = True, True  # nothing was lost; nothing failed
        self.over = False                   # what is gone, no further phase can do without

    def lost(self, what: str, text: str, over: bool = False) -> None:
        self.whole = False
        self.over = self.over or over
        self.cell.anomaly(what, text)

    def failed(self, what: str, text: str) -> None:
        self.good = False
        self.cell.anomaly(what, text)

    def load_folder(self, phase: dict) -> Path:
        return self.cell.folder / phase_folder(self.planned.phases.index(phase), phase["name"])

    def load_argv(self, phase: dict, folder: Path) -> list[str]:
        config = self.cell.data["config"]
        options = {"target": ",".join(self.target.urls), **load_options(config, self.planned.load, phase)}
        if phase["scenario"] == "steps":
            options["watch-record"] = self.target.records()
        options.update({"watch-pid": self.target.pids, "seed": self.seed, "record": folder, "quiet": True})
        return [str(self.build / "poolmark-loadgen"), phase["scenario"], *option_words(options)]

    def wait(self, load: Child, limit_s: float, brokers: list[Child], progress: Progress, memory: Path) -> Child | None:
        """As Children.wait, with progress meanwhile."""
        deadline = time.monotonic() + limit_s
        ended = None
        while ended is None and time.monotonic() < deadline:
            progress.show(memory)
            ended = self.children.wait(load, min(1.0, limit_s), watch=brokers)
        return ended

    def watch(self, load: Child, name: str, memory: Path) -> None:
        """Until the generator ends. A broker that dies meanwhile leaves it AFTERMATH_S to count the loss."""
        brokers = [child for child in self.target.processes if child.returncode is None]
        progress = Progress(name, self.cell.data["config"]["connections"])
        ended = self.wait(load, PHASE_GUARD_S, brokers, progress, memory)
        while ended is not None and ended is not load:
            self.children.stop(ended)
            self.lost("broker", f"{name}: {ended.how_it_ended()}; its log ends: {ended.last_lines()}", over=True)
            brokers.remove(ended)
            ended = self.wait(load, AFTERMATH_S, brokers, progress, memory)
        progress.clear()
        if ended is None:
            self.lost("timeout", f"{name}: the generator did not end by itself and was stopped", over=True)
        code = self.children.stop(load, signal.SIGINT, GENERATOR_STOP_S)
        if code < 0 or code > 1:
            self.lost("generator", f"{name}: {load.how_it_ended()}; its log ends: {load.last_lines()}", over=True)
        elif code == 1:
            self.failed("clients", f"{name}: the generator reports clients that failed or were dropped")

    def phase(self, phase: dict) -> None:
        name, folder = phase["name"], self.load_folder(phase)
        argv = self.load_argv(phase, folder)
        self.cell.command(argv)
        load = None
        try:
            load = self.children.start("poolmark-loadgen", argv, self.cell.folder / f"{name}.log")
            self.watch(load, name, folder / "memory.csv")
        finally:
            if load is not None:
                self.children.stop(load, signal.SIGINT, GENERATOR_STOP_S)
            self.take(phase, folder)

    def take(self, phase: dict, folder: Path) -> None:
        """What the generator left, as far as it can be read."""
        suffix = "" if folder.name == "load" else f"_{phase['name']}"
        for key, name in (("latency", "latency.hlog"), ("memory", "memory.csv"), ("steps", "steps.csv"), ("record", "run.json")):
            self.cell.file(f"{key}{suffix}", folder / name)
        if not (folder / "run.json").is_file():
            self.lost("record", f"{phase['name']}: the generator left no record", over=True)
            return
        taken = phases.recorded(phase, self.planned.phases, folder.name)
        self.cell.phase(taken)
        try:
            run = take_phase(self.cell, folder, taken)
            if run.data["status"] == "failed":
                self.failed("clients", f"{phase['name']}: the generator's record says failed")
            elif run.data["status"] != "complete":
                self.lost("generator", f"{phase['name']}: the generator's record says {run.data['status']}")
        except UsageError as error:
            self.lost("record", str(error))

    def after(self) -> None:
        """What is known only once the target has ended: pools, and which allocator it ran on."""
        try:
            take_target(self.cell, self.cell.folder, self.cell.data.get("phases", []),
                        [folder / "pools.csv" for folder in self.target.records()])
            wanted, found = self.cell.data["config"].get("allocator"), self.target.allocator_found()
            if wanted and self.target.processes and found != wanted:
                self.failed("allocator", f"{wanted} was asked for; loaded was {found or 'not to be found out'}")
        except UsageError as error:
            self.lost("record", str(error))

    def tell_busy(self, others: OthersClock) -> None:
        """Once all that the cell started has ended. A target that runs already is not ours, so its time cannot be told
        from that of others."""
        text = busy_text(others.percent(), "the cell is slower") if self.target.processes else None
        if text:
            self.cell.anomaly("busy", text)

    def run(self) -> None:
        """Measures the cell; its metrics and status are in the record afterwards, whatever happened."""
        finished = started = False
        others = OthersClock(interrupts=charges_interrupts())
        try:
            self.target.start(self.children)
            started = True
            for phase in self.planned.phases:
                self.phase(phase)
                if self.over:
                    break
            finished = True
        except PoolmarkError as error:
            self.failed("start", str(error))
            finished = True
        except OSError as error:
            self.lost("disk", f"{error.filename or self.cell.id}: {error.strerror}")
            finished = True
        finally:
            for text in self.target.stop(self.children):
                self.failed("broker", text)
            for child in self.target.processes:
                if child.log_lost:
                    self.lost("disk", f"the log of {child.name} is not whole: {child.log_lost}")
            self.tell_busy(others)
            if started:
                self.after()
            if not finished:
                self.lost("interrupted", "the run ended here")
            self.cell.finish("incomplete" if not self.whole else "complete" if self.good else "failed")


def plan_for(planned: CellPlan, limit: int, build: Path) -> Plan:
    """Room for the connections and for the probes beside them."""
    probes = [int(phase.get("probe", PROBES)) for phase in planned.phases if phase["scenario"] == "steps"]
    return make_plan(planned.config["connections"] + max(probes, default=0), planned.config.get("engine", "paho"), limit,
                     allowance.cores(), build=build,
                     calls=[load_words(planned.config, planned.load, phase) for phase in planned.phases])


def fits_here(config: dict) -> int:
    """What connections = "fit" means on this host: as many as memory holds, a million at most."""
    return min(1_000_000, host.connections_that_fit(
        config.get("engine", "raw"), config.get("shape", "lean"), allowance.memory_bytes() or 0,
        host.descriptor_limit(), allowance.cores(), config.get("strategy")))


def check_programs(build: Path) -> None:
    missing = [name for name in PROGRAMS if not os.access(build / name, os.X_OK)]
    if missing:
        raise UsageError(f"{for_people(build)}: {' and '.join(missing)} not there; run make first, or name --build DIR")


def recorded_config(planned: CellPlan) -> dict:
    """A cell's configuration with the options that are not of it by name, as one line each."""
    config = dict(planned.config)
    if planned.broker:
        config["broker_options"] = " ".join(option_words(planned.broker))
    config["phases"] = "; ".join(
        " ".join([phase["scenario"], *option_words({key: value for key, value in {**planned.load, **phase}.items()
                                                    if key not in ("name", "scenario")})]) for phase in planned.phases)
    return config


def check_fits(suite: Suite, limit: int, build: Path) -> list[str]:
    """Says before anything starts what would not fit; gives the plans of cells that need several processes."""
    told = []
    for planned in {cell.id.rpartition(".")[0]: cell for cell in suite.cells}.values():
        plan = plan_for(planned, limit, build)
        for check in host.check_host(plan, planned.config.get("shape", "lean"), planned.config.get("strategy")):
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
        if cell.data["status"] != "complete" or anomaly["what"] == "busy":
            say(f"  ! {anomaly['what']}: {anomaly['text']}")


def run_cell(suite: Suite, record: Record, planned: CellPlan, build: Path, limit: int, children: Children) -> None:
    started = time.monotonic()
    cell = record.cell(planned.id, recorded_config(planned), planned.repetition)
    try:
        plan = plan_for(planned, limit, build)
        CellRun(cell, planned, plan, build, suite.seed, children).run()
    finally:
        tell_cell(cell, time.monotonic() - started)


def fresh_kernel(suite: Suite, record: Record, connections: int) -> None:
    """The kernel as if there had been no cell before; when that is not allowed, the record says so, once."""
    settle(connections)
    if not suite.drop_caches or connections < MANY_FROM:
        return
    if drop_caches():
        settle(connections)
    elif all(anomaly["what"] != "caches" for anomaly in record.data["anomalies"]):
        record.anomaly("caches", "not allowed to have the kernel give back unused caches (it takes root): what it kept of "
                                 "earlier work counts as base of a cell, or as memory that its first connections need not")


def run_cells(suite: Suite, record: Record, build: Path, limit: int) -> int:
    """All cells, one after the other; gives the exit code."""
    with Children() as children:
        begun = 0
        try:
            for planned in suite.cells:
                fresh_kernel(suite, record, planned.config["connections"])
                begun += 1
                say(f"[{begun}/{len(suite.cells)}] {planned.id}")
                run_cell(suite, record, planned, build, limit, children)
        except Interrupted as interrupted:
            left = len(suite.cells) - begun
            record.anomaly("interrupted", str(interrupted) + (f"; {left} of {len(suite.cells)} cells were not begun" if left
                                                              else ""))
            return 128 + interrupted.number
    return 0 if all(cell["status"] == "complete" for cell in record.data["cells"]) else 1


def close(suite: Suite, record: Record) -> list[str]:
    """Writes what the run leaves; gives what could not be written."""
    found = {cell["status"] for cell in record.data["cells"]}
    whole = len(record.data["cells"]) == len(suite.cells) and found <= {"complete", "failed"}
    status = "incomplete" if not whole or record.data["anomalies"] else "failed" if "failed" in found else "complete"
    record.data["status"] = status
    unwritten = []
    try:
        summary.write(record.folder, record.data, suite.title, suite.ratios)
        if suite.plot == "memory":
            plot.write(Run(record.folder, record.data), suite.title)
    except PoolmarkError as error:
        unwritten.append(str(error))
        record.anomaly("disk", str(error))
        status = "incomplete"
    try:
        record.close(status)
    except PoolmarkError as error:
        unwritten.append(str(error))
    return unwritten


def add_arguments(parser) -> None:
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


def load_suite(args, build: Path) -> Suite:
    """Checked as a whole: nothing is started with a fault in it. Only --list does without the programs."""
    if not args.list or args.set:
        check_programs(build)
    there = all(os.access(build / name, os.X_OK) for name in PROGRAMS)
    return suite_file.load(args.suite, build=build if there else None, repetitions=args.repetitions,
                           connections=args.connections, only=args.only, sets=args.set, fit=fits_here)


def print_commands(suite: Suite, build: Path, limit: int, out: str | None) -> None:
    """Every command line of the run, as far as it is known before a start."""
    folder, programs = Path(out or for_people(RUNS / "RUN")), Path(for_people(build))
    print(dry_run.EXPLAINED + ("" if out else f"; {folder}: the run's folder"))
    for planned in suite.cells:
        plan = plan_for(planned, limit, build)
        cell = dry_run.planned_cell(planned.id, planned.config, folder)
        dry_run.print_cell(CellRun(cell, planned, plan, programs, suite.seed, None), plan.sentences())


def run(args) -> int:
    if args.suite is None:
        if not args.list:
            raise UsageError(f"name a suite: {', '.join(suite_file.names())}")
        for name in suite_file.names():
            print(f"{name}: {suite_file.listed_title(name)}")
        return 0
    build = build_dir(args.build)
    suite = load_suite(args, build)
    if args.list:
        print("\n".join(cell.id for cell in suite.cells))
        return 0
    limit = raise_descriptor_limit()
    if args.dry_run:
        print_commands(suite, build, limit, args.out)
        return 0
    if args.out and Path(args.out).is_dir() and any(Path(args.out).iterdir()):
        raise UsageError(f"--out {args.out}: is not empty; a run's folder holds that run and nothing else")
    plans = check_fits(suite, limit, build)
    config = {"suite": suite.name, "title": suite.title, "only": args.only, "repetitions": suite.repetitions,
              "connections": args.connections, "set": args.set, "plans": plans}
    record = Record.create(suite.kind, suite=suite.name, folder=args.out, config=config, seed=suite.seed, build=build)
    say(f"{suite.title}: {len(suite.cells)} cells, into {for_people(record.folder)}")
    for text in plans:
        say(f"plan: {text}")
    code = 1
    try:
        code = run_cells(suite, record, build, limit)
    finally:
        unwritten = close(suite, record)
    print(json.dumps(record.data, indent=1) if args.json else summary.terminal(record.data, suite.ratios))
    for text in unwritten:
        say(f"! {text}")
    if unwritten:
        say("the table above is what was measured; it is not in the record")
        return code or 1
    say(f"{record.data['status']}: {for_people(record.folder)}/summary.md, summary.csv, run.json")
    return code
