# SPDX-License-Identifier: Apache-2.0
"""Runs one cell of a suite: starts its target, runs its phases, ends both, and adds their results to the record."""
import os
import signal
import time
from pathlib import Path

from poolmark.cluster import calls, mpirun
from poolmark.cluster.asked import Asked
from poolmark.records import attacked, bare, phases
from poolmark.facts import described, listeners
from poolmark.run import estimate
from poolmark.run.attacker import Attacker, attack_of, beside
from poolmark.facts.children import Child, Children
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import Json
from poolmark.records.measures import phase_folder, take_phase, take_target
from poolmark.facts.plan import Plan
from poolmark.facts.quiet import OthersClock, ThrottleClock, busy_text, charges_interrupts
from poolmark.records.record import Cell
from poolmark.suites.suite_cells import CellPlan
from poolmark.suites.suite_options import BARE_CLIENT, bare_words, load_options
from poolmark.suites.targets import Target, make_target, option_words
from poolmark.base.progress import span
from poolmark.base.units import show_bytes, show_count
from poolmark.verify import counters, withheld

# Added to three times the estimated time of a phase; only a guard against a hanging generator.
PHASE_GUARD_S = 1800.0
# How long the generator may run after the end of a broker, to count the losses.
AFTERMATH_S = 30.0
# The generator ends within a second of SIGINT, but a thousand workers on a busy machine need longer to write their results.
GENERATOR_STOP_S = 60.0


class Status:
    """The progress of the current cell in one line: its phase, and the last line of the memory.csv that the generator writes."""

    def __init__(self, cell_id: str) -> None:
        self.cell_id, self.wanted, self.thought_s, self.started = cell_id, 0, 0.0, time.monotonic()
        self.phase = "start"
        self.memory: Path | None = None

    def enter(self, phase: str, memory: Path | None = None, wanted: int = 0, thought_s: float = 0.0) -> None:
        """`wanted`: the phase's own connections. `thought_s`: its estimated time; 0 when there is none."""
        self.phase, self.memory, self.started = phase, memory, time.monotonic()
        self.wanted, self.thought_s = wanted, thought_s

    def text(self) -> str:
        told = f"{self.cell_id}: {self.phase} {time.monotonic() - self.started:.0f} s"
        told += f" of about {span(self.thought_s)}" if self.thought_s else ""
        fields = last_line(self.memory).split(",") if self.memory else []
        if len(fields) > 4 and fields[2].isdigit():
            of = f" of {show_count(self.wanted)}" if fields[1] == "connect" and int(fields[2]) <= self.wanted else ""
            told += f", {fields[1]}: {show_count(int(fields[2]))}{of} connections"
            told += target_memory(fields)
        return told


def target_memory(fields: list[str]) -> str:
    """The memory in a line of memory.csv: private memory if this line has it, otherwise RSS. Tables show private memory, which
    is read less often."""
    for kind, place in (("private", 5), ("RSS", 3)):
        if len(fields) > place and fields[place].isdigit():
            return f", broker {show_bytes(int(fields[place]))} {kind}"
    return ""


def last_line(path: Path) -> str:
    """The last complete line of a file that is being written; "" when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().split(b"\n")
    except OSError:
        return ""
    return lines[-2].decode("utf-8", errors="replace") if len(lines) > 1 else ""


class CellRun:
    """Runs one cell, from the start of its target to its metrics."""

    def __init__(self, cell: Cell, planned: CellPlan, plan: Plan, build: Path, seed: int, children: Children, watch_running: bool = False) -> None:
        """`watch_running`: a target of this host that ran before is watched as one that is started."""
        self.cell, self.planned, self.plan, self.build, self.seed = cell, planned, plan, build, seed
        self.children, self.watch_running = children, watch_running
        self.target: Target = make_target(cell, build, plan, planned.broker, planned.allocator)
        attack = attack_of(planned.config)
        self.attacker = Attacker(cell, attack) if attack else None
        self.whole, self.good = True, True  # nothing was lost; nothing failed
        self.over = False                   # True after a loss that makes further phases impossible
        self.status = Status(planned.id)
        self.is_bare = planned.config.get("client") == bare.BARE
        self.program = BARE_CLIENT if self.is_bare else "poolmark-loadgen"
        self.backlog: int | None = None     # connects that wait in the target's listener, at most
        self.serving: list[int] | None = []     # processes of a target that ran before; None: they cannot be seen

    def lost(self, what: str, text: str, over: bool = False) -> None:
        self.whole = False
        self.over = self.over or over
        self.cell.anomaly(what, text)

    def failed(self, what: str, text: str) -> None:
        self.good = False
        self.cell.anomaly(what, text)

    def load_folder(self, phase: Json) -> Path:
        return self.cell.folder / phase_folder(self.planned.phases.index(phase), phase["name"])

    def is_fresh(self, phase: Json) -> bool:
        """Whether the target will have served nobody when the phase begins: it was started for this cell, and no phase was before."""
        return self.target.starts and not self.attacker and self.planned.phases[0] is phase

    def load_argv(self, phase: Json, folder: Path) -> list[str]:
        config = self.cell.data["config"]
        if self.is_bare:
            return [str(self.build / BARE_CLIENT), *bare_words(self.planned.load, phase),
                    *option_words({"target": self.target.urls[0], "watch-pid": self.target.pids, "record": folder})]
        options: Json = {"target": ",".join(self.target.urls), **load_options(config, self.planned.load, phase)}
        known = described.scenarios(self.build).get(phase["scenario"], {"options": ()})["options"]
        if "watch-record" in known:
            options["watch-record"] = self.target.records()
        if "fresh-target" in known and self.is_fresh(phase):
            options["fresh-target"] = True
        options.update({**beside(config), "watch-pid": self.target.pids, "seed": self.seed, "record": folder, "quiet": True})
        words, ranks = [phase["scenario"], *option_words(options)], config.get("ranks")
        if ranks:
            return mpirun.command([str(self.build / calls.MPI), *words], Asked(ranks=ranks))
        return [str(self.build / calls.LOADGEN), *words]

    def watch(self, load: Child, name: str, guard_s: float) -> None:
        """Waits for the end of the generator. After the end of a broker it gets AFTERMATH_S to count the losses."""
        brokers = [child for child in self.target.processes if child.returncode is None]
        ended = self.children.wait(load, guard_s, watch=brokers)
        while ended is not None and ended is not load:
            self.children.stop(ended)
            self.lost("broker", f"{name}: {ended.how_it_ended()}; its log ends: {ended.last_lines()}", over=True)
            brokers.remove(ended)
            ended = self.children.wait(load, AFTERMATH_S, watch=brokers)
        if ended is None:
            self.lost("timeout", f"{name}: the generator did not end by itself and was stopped", over=True)
        code = self.children.stop(load, signal.SIGINT, GENERATOR_STOP_S)
        if code < 0 or code > 1:
            self.lost("generator", f"{name}: {load.how_it_ended()}; its log ends: {load.last_lines()}", over=True)
        elif code == 1:
            self.failed("clients", f"{name}: {self.what_failed(load)}")

    def what_failed(self, load: Child) -> str:
        """Of a client that ended with exit code 1."""
        if self.is_bare:
            return f"the bare client lost messages or a connection; its log ends: {load.last_lines()}"
        said = load.last_lines()
        return "the generator ended with exit code 1" + (f"; its log ends: {said}" if said else ": its anomalies say what failed")

    def phase(self, phase: Json) -> None:
        name, folder = phase["name"], self.load_folder(phase)
        argv = self.load_argv(phase, folder)
        self.cell.command(argv)
        load = None
        try:
            load = self.children.start(self.program, argv, self.cell.folder / f"{name}.log")
            thought_s = estimate.of_phase(self.planned, phase, self.build)
            self.status.enter(name, folder / "memory.csv", estimate.connections_of(self.planned, phase, self.build), thought_s)
            self.watch(load, name, PHASE_GUARD_S + 3 * thought_s)
        finally:
            if load is not None:
                self.children.stop(load, signal.SIGINT, GENERATOR_STOP_S)
            self.take(phase, folder)

    def take(self, phase: Json, folder: Path) -> None:
        """Takes the generator's files as far as they are readable."""
        suffix = "" if folder.name == "load" else f"_{phase['name']}"
        for key, name in (("latency", "latency.hlog"), ("memory", "memory.csv"), ("steps", "steps.csv"),
                          ("arrivals", "arrivals.csv"), ("record", "run.json"), ("bare", bare.FILE)):
            self.cell.file(f"{key}{suffix}", folder / name)
        if self.is_bare:
            self.take_bare(phase, folder)
            return
        if not (folder / "run.json").is_file():
            self.lost("record", f"{phase['name']}: the generator left no record", over=True)
            return
        taken = phases.recorded(phase, self.planned.phases, folder.name)
        self.cell.phase(taken)
        try:
            run = take_phase(self.cell, folder, taken)
            if limit := (run.data.get("summary") or {}).get("limit"):
                taken["limit"] = str(limit["by"])
            if run.data["status"] == "failed":
                self.failed("clients", f"{phase['name']}: the generator's record says failed")
            elif run.data["status"] != "complete":
                self.lost("generator", f"{phase['name']}: the generator's record says {run.data['status']}")
        except UsageError as error:
            self.lost("record", str(error))

    def take_bare(self, phase: Json, folder: Path) -> None:
        """Takes the files of the bare client. What it lost is told by its exit code."""
        if not bare.is_there(folder):
            self.lost("record", f"{phase['name']}: the bare client left no figures", over=True)
            return
        taken = phases.recorded(phase, self.planned.phases, folder.name)
        self.cell.phase(taken)
        try:
            bare.take(self.cell, folder, taken)
        except UsageError as error:
            self.lost("record", f"{phase['name']}: {error}", over=True)

    def start(self) -> None:
        self.target.start(self.children)
        if not self.target.starts and self.watch_running:
            self.target.running = self.serving or []
        if self.target.processes:
            self.backlog = listeners.backlog(int(self.target.urls[0].rpartition(":")[2]))
        if self.attacker:
            self.status.enter("attack")
            self.attacker.start(self.children, self.target.urls)

    def stop(self) -> None:
        """Ends attacker and target. In a suite of attacks attack.json says what was counted, and how long the target took."""
        told: Json = {"attack": self.planned.config.get("attack")}
        if self.attacker and self.attacker.child:
            try:
                told |= self.attacker.stop(self.children)
            except PoolmarkError as error:
                self.lost("attack", str(error))
        begun_ns = time.monotonic_ns()
        for text in self.target.stop(self.children):
            self.failed("broker", text)
        if told["attack"] and self.target.processes:
            told["stop_ns"] = time.monotonic_ns() - begun_ns
            try:
                attacked.write(self.cell.folder, told)
            except OSError as error:
                self.lost("disk", f"{attacked.FILE}: {error.strerror}")
            self.cell.file("attack", self.cell.folder / attacked.FILE)

    def after(self) -> None:
        """Takes the results that exist only after the target's end: its pools, its allocator, what an attack left."""
        try:
            pool_files = [folder / "pools.csv" for folder in self.target.records()]
            take_target(self.cell, self.cell.folder, self.cell.data.get("phases", []), pool_files)
            attacked.take(self.cell, self.cell.folder, pool_files)
            wanted, found = self.cell.data["config"].get("allocator"), self.target.allocator_found()
            wrong = found in (None, "glibc") if self.planned.allocator else found != wanted
            if wanted and self.target.processes and wrong:
                self.failed("allocator", f"{wanted} was asked for; loaded was {found or 'not to be found out'}")
        except UsageError as error:
            self.lost("record", str(error))
        self.compare_counters()

    def compare_counters(self) -> None:
        """What the brokers counted against what the clients of all phases did: clients of others, and acts that never came. Figures that
        others may be in are withheld or marked."""
        try:
            found = counters.of_cell(self.cell.folder, self.cell.data)
        except UsageError as error:
            self.lost("record", str(error))
            return
        for what, text in found:
            if what == counters.FEWER:
                self.lost(what, text)
            else:
                self.cell.anomaly(what, text)
        withheld.in_cell(self.cell.data)

    def tell_busy(self, others: OthersClock) -> None:
        """Call after the end of all processes of the cell. Of a target that was running before, its processes are no others."""
        text = busy_text(others.percent(), "the cell is slower")
        if text and self.serving is not None:
            self.cell.anomaly("busy", text)
        elif text:
            self.cell.anomaly("busy_unknown", f"whether others than the target were under way is not known, since its processes cannot be seen (another "
                                              f"user's, or behind a proxy): {text}, if these were not the target's")

    def run(self) -> None:
        """Measures the cell. Metrics and status are always in the record afterwards."""
        finished = started = False
        self.serving = [] if self.target.starts else listeners.owners(self.target.urls)
        others, throttle = OthersClock(interrupts=charges_interrupts(), besides=self.serving or ()), ThrottleClock()
        try:
            self.start()
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
            self.status.enter("end")
            self.stop()
            for child in self.target.processes:
                if child.log_lost:
                    self.lost("disk", f"the log of {child.name} is not whole: {child.log_lost}")
            self.tell_busy(others)
            if stopped := throttle.text():
                self.cell.anomaly("throttled", stopped)
            if started:
                self.after()
            if not finished:
                self.lost("interrupted", "the run ended here")
            self.cell.finish("incomplete" if not self.whole else "complete" if self.good else "failed")
