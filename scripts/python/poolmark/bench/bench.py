# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark bench: micro-benchmarks of every strategy and of the allocators that programs would use instead.

Each repetition of each benchmark runs in its own process. So no run inherits another's heap, and each has its own memory
layout. Repetitions run in rounds, each in random order. Every Google Benchmark JSON is kept and its allocator checked. The
results become one record (results/README.md), bench.csv and bench.md.

With --beside two builds are measured in turn (in_turn.py). Otherwise a measurement with too little at full speed is repeated at
the end of its round while there is time. For benchmarks whose threads wait for one another, rounds go on until the ratio is known
well enough (bench_narrow.py).
"""
import argparse
import importlib
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts import allocators, own_pools
from poolmark.bench import bench_narrow, bench_report, bench_tables, full_speed, in_turn
from poolmark.bench import bench_plan as plan
from poolmark.bench.attempt import Attempt, bench_command, shown
from poolmark.bench.bench_headlines import headlines
from poolmark.bench.bench_plan import Bench
from poolmark.bench.bench_results import Results
from poolmark.bench.bench_time import enough_s, thought_s, told_before
from poolmark.facts.children import Children, Interrupted
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.forms import Config, Json
from poolmark.bench.full_speed import Speed
from poolmark.bench.noise import Noise, Say, Teller
from poolmark.base.options import count, span
from poolmark.base.paths import RUNS, choose_build, for_people, need_checkout
from poolmark.base.progress import Beat, Eta
from poolmark.base.progress import span as span_text
from poolmark.base.units import plural
from poolmark.records.record import Cell, Record, new_id

PROGRAM = "poolmark-bench"
GRACE_S = 20.0  # a started round may exceed the deadline by this time
SECOND_LEAST_S = 30.0  # second attempts may take as long as the first ones, and at least this time
RUN_TIMEOUT_S = 300.0
DEFAULT_BUDGET_S = 585.0  # ten minutes with start and end
BUDGETS_S = {"wear": 240.0, "full": 1e9}    # of sets that have another; 1e9 is none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", choices=plan.SETS, default="default", help="headlines: what a server does, three to ten minutes; "
                        "default: at most ten, with what stands beside them; wear: memory after long use, mixed sizes, huge pages "
                        "(four minutes); full: every workload, size, thread count and contender (hours; --filter picks some)")
    parser.add_argument("--filter", metavar="RE", help="only benchmarks whose name, WORKLOAD/CONTENDER/BYTES[/threads:N], "
                                                       "the regular expression finds")
    parser.add_argument("--repetitions", type=count(1, 1000), metavar="N", help=f"rounds ({plan.REPETITIONS} of the "
                        f"headlines, {plan.REPETITIONS_BESIDE} of the others; workloads that wait take fewer)")
    parser.add_argument("--min-time", type=span(1e-6, 3600), default=0.03, metavar="TIME", help="least time of one measurement (30ms)")
    parser.add_argument("--again", type=count(0, 1000), default=full_speed.AGAIN, metavar="N",
                        help="measure again so often, if there is time, what found too little at the processor's full "
                             f"speed ({full_speed.AGAIN})")
    parser.add_argument("--full-speed", type=span(1e-12, 1e-3), metavar="TIME",
                        help="time of one addition at the processor's full speed, as an earlier run of this host found it "
                             "(summary.step_ns of its record, as 0.33ns); measured for a second otherwise")
    parser.add_argument("--narrow", type=count(0, 1000), default=bench_narrow.PERCENT, metavar="PERCENT",
                        help="rounds of remote_1_1 go on until the ratio to the fastest allocator is known to so many per cent, "
                             f"or there are {bench_narrow.ROUNDS_MAX}; those of crowd and realtime until it is known whether the aim is "
                             f"reached, or there are {bench_narrow.DECIDED_MAX} ({bench_narrow.PERCENT}; 0: as many as the others)")
    parser.add_argument("--allocator", action="append", default=[], metavar="PATH",
                        help="measure this shared library too, as direct-NAME; its checksum is recorded (more than once: more)")
    parser.add_argument("--pool", action="append", default=[], metavar="FILE",
                        help="measure the strategy of this shared library too (pool_plugin.h); its checksum is recorded (more than "
                             "once: more)")
    parser.add_argument("--budget", type=span(1, 1e7), metavar="TIME", help="end after this time with the rounds there are (585s; 240s with "
                                                         "--set wear; without end with --set full)")
    parser.add_argument("--seed", type=count(0, 2**53), metavar="N", help="seed of the order (drawn, and recorded)")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (results/runs/ID)")
    parser.add_argument("--build", metavar="DIR", help="where the program is ($POOLMARK_BUILD, build)")
    parser.add_argument("--beside", metavar="DIR",
                        help="measure this build as well, in turn with the other; the run's folder then has two records for compare, base "
                             "and candidate, and nothing is left out for the processor's speed")
    parser.add_argument("--list", action="store_true", help="name what would run, and end")
    parser.add_argument("--write", action="store_true", help="measure nothing: renew the tables of docs/benchmarks.md from results/reference")
    parser.add_argument("--check", action="store_true", help="measure nothing: exit 1 when these tables differ")
    parser.add_argument("--dry-run", action="store_true", help="print every command line and start nothing")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Runner:
    """Runs the rounds of a plan into a record."""

    def __init__(self, record: Record, program: Path, benches: list[Bench], whole: list[Bench],
                 min_time_s: float, again: int, narrow: int = 0, full_speed_ns: float = 0.0) -> None:
        self.record, self.program, self.min_time_s, self.again, self.narrow = record, program, min_time_s, again, narrow
        self.speed, self.full_speed_ns = Speed(), full_speed_ns
        self.results = Results(benches, whole, self.speed)
        self.kept: dict[tuple[str, int], Attempt] = {}  # (benchmark, round) -> the attempt whose figures count
        self.tried: dict[tuple[str, int], int] = {}  # (benchmark, round) -> attempts so far
        self.cells: dict[str, Cell] = {}
        self.versions: dict[str, str] = {}  # contender -> version of its allocator
        self.planned = self.failures = 0  # measurements that were due; those without a figure
        self.slower = 1.0  # measured over estimated time
        self.now, self.runs = "the processor's full speed", 0  # current run, its number
        self.deadline, self.eta = float("inf"), Eta([])
        self.noise, self.side = Noise(), ""     # of two builds in turn both have one Noise, and each its side
        self.say: Say = say

    def learn_speed(self, children: Children) -> None:
        """Finds the processor's full speed, and whether the program knows of it."""
        self.speed.step_ns = self.full_speed_ns or full_speed.ask(self.program, self.record.folder, children)
        self.record.data["config"].setdefault("windows", "full speed" if self.speed.step_ns else "any")

    def cell(self, bench: Bench) -> Cell:
        if bench.name not in self.cells:
            self.cells[bench.name] = self.record.cell(f"{bench.name}.1", bench.config())
        return self.cells[bench.name]

    def failed(self, bench: Bench, what: str, text: str) -> None:
        series = self.results.series[bench.name]
        self.failures += 1
        if not series.failures:
            self.record.anomaly(what, f"{bench.name}: {text}")
            self.say(f"{self.side}{bench.name}: {text}")
        series.failures.append(text)
        self.cell(bench).anomaly(what, text)

    def measure(self, attempt: Attempt, report: Path, children: Children) -> bench_report.Measured:
        """Runs one process. The caller reports its errors."""
        bench, again = attempt.bench, attempt.number > 1
        log, words = report.with_suffix(".log"), bench.contender.words()
        argv = bench_command(self.program, bench, self.min_time_s * (full_speed.LONGER if again else 1), report,
                             attempt.trace(report), self.speed.flags(again, attempt.heap_shift(self.record.data["seed"] or 0)))
        self.cell(bench).command([*(["env", *words] if words else []), for_people(self.program), *shown(argv[1:], bench)])
        self.now, self.runs = f"{bench.name}{', again' if again else ''}", self.runs + 1
        child = children.start(bench.name, argv, log, env=bench.contender.environment())
        in_time = children.wait(child, RUN_TIMEOUT_S) is not None
        code = children.stop(child)
        if not in_time:
            raise PoolmarkError(f"did not end within {RUN_TIMEOUT_S:.0f} s")
        if code < 0 or code == 2 or not report.is_file():
            raise PoolmarkError(f"{child.how_it_ended()}: {child.last_lines(2)}")
        measured = bench_report.read(report, bench)
        self.speed.hear(measured)
        self.versions[bench.contender.name] = measured.allocator_version
        log.unlink(missing_ok=True)
        return measured

    def keep(self, attempt: Attempt, measured: bench_report.Measured, report: Path) -> None:
        cell, key = self.cell(attempt.bench), (attempt.bench.name, attempt.round)
        cell.file(f"round_{attempt.round}", report)
        if trace := attempt.trace(report):
            cell.file("trace", trace)
        self.results.series[attempt.bench.name].add(attempt.round, measured)
        if key in self.kept:
            self.discard(self.kept[key])
        self.kept[key] = attempt

    def discard(self, attempt: Attempt) -> None:
        report = self.cell(attempt.bench).folder / attempt.file_name
        for path in (report, report.with_suffix(".log"), attempt.trace(report)):
            if path:
                path.unlink(missing_ok=True)

    def run_one(self, bench: Bench, number: int, children: Children) -> None:
        attempt = Attempt(bench, number)
        report = self.cell(bench).folder / attempt.file_name
        self.tried[bench.name, number] = 1
        try:
            self.keep(attempt, self.measure(attempt, report, children), report)
        except bench_report.NoFigure as error:
            self.failed(bench, "skipped", str(error))
        except RecordError as error:
            self.failed(bench, "report", str(error))
        except PoolmarkError as error:
            self.failed(bench, "process", str(error))

    def run_again(self, bench: Bench, number: int, children: Children) -> None:
        """Repeats a measurement that had too little at full speed, for longer, and keeps the better one. After an error, which
        is reported, the earlier figure stays."""
        self.tried[bench.name, number] += 1
        attempt = Attempt(bench, number, self.tried[bench.name, number])
        report = self.cell(bench).folder / attempt.file_name
        try:
            measured = self.measure(attempt, report, children)
            if self.speed.rank(measured) > self.speed.rank(self.results.series[bench.name].measured[number]):
                self.keep(attempt, measured, report)
        except (bench_report.NoFigure, PoolmarkError) as error:
            self.cell(bench).anomaly("again", f"round {number}: {error}")
            self.say(f"{self.side}{bench.name}, again: {error}")
        finally:
            if self.kept.get((bench.name, number)) is not attempt:
                self.discard(attempt)

    def missed(self) -> list[tuple[Bench, int]]:
        """Measurements with too little at full speed that may be repeated. Benchmarks with the fewest full-speed rounds first."""
        found = [(series, number) for series in self.results.series.values() for number, measured in series.measured.items()
                 if self.speed.missed(measured) and self.tried[series.bench.name, number] <= self.again]
        return [(series.bench, number) for series, number in sorted(found, key=lambda one: len(one[0].full()))]

    def make_good(self, children: Children, until: float, rounds: set[int] | None = None) -> None:
        """Repeats missed measurements (of these rounds) while there is time."""
        for bench, number in self.missed():
            if time.monotonic() + full_speed.PATIENCE_S + bench.estimate_s(self.min_time_s * full_speed.LONGER) > until:
                return
            if rounds is None or number in rounds:
                self.run_again(bench, number, children)

    def run_round(self, number: int, benches: list[Bench], children: Children, deadline: float, spare_s: float) -> bool:
        """False when time ran out before the end of the round. `spare_s`: time for second attempts, bounded by the time of the
        first ones."""
        began = time.monotonic()
        self.planned += len(benches)
        for bench in benches:
            if time.monotonic() > deadline + GRACE_S:
                return False
            self.run_one(bench, number, children)
        took_s = time.monotonic() - began
        self.slower = took_s / sum(bench.estimate_s(self.min_time_s) for bench in benches)
        self.make_good(children, time.monotonic() + min(spare_s, max(took_s, SECOND_LEAST_S)), {number})
        self.write_cells()
        self.record.save()
        return True

    def told(self) -> str:
        """Progress text. The budget may end the run before all rounds are done."""
        left_s = min(self.eta.left_s(), max(0.0, self.deadline - time.monotonic()))
        return f"round {self.eta.done + 1} of {len(self.eta.thought_s)}, run {self.runs}: {self.now}; about {span_text(left_s)} left"

    def run(self, rounds: list[list[Bench]], budget_s: float) -> int:
        """Runs all rounds; returns the exit code."""
        start = time.monotonic()
        deadline = start + budget_s - bench_narrow.reserve_s(self, budget_s)
        self.deadline, self.eta = start + budget_s, Eta(thought_s(rounds, self.min_time_s, self.again))
        beat = Beat(self.told)
        with Children() as children, beat:
            number = 0
            try:
                self.learn_speed(children)
                for number, benches in enumerate(rounds, 1):
                    began = time.monotonic()
                    self.eta.begin()
                    benches = self.headlines_first(number, rounds, deadline - began)
                    if number > 1 and began + self.estimate_s(benches) > deadline:
                        self.out_of_time(number - 1, len(rounds), budget_s)
                        break
                    left_s = deadline - began - sum(self.estimate_s(later) for later in rounds[number - 1:])
                    if not self.run_round(number, benches, children, deadline, max(0.0, left_s) / (len(rounds) - number + 1)):
                        self.out_of_time(number - 1, len(rounds), budget_s)
                        break
                    self.eta.end()
                    beat.clear()
                    say(f"round {number} of {len(rounds)}: {len(benches)} runs in {time.monotonic() - began:.0f} s")
                    if number == 1 and len(rounds) > 1:
                        say(self.told_fit(rounds, deadline - time.monotonic(), budget_s))
                now = time.monotonic()
                until = min(deadline, now + max(now - start, SECOND_LEAST_S))
                for _ in range(self.again):
                    self.make_good(children, until)
                bench_narrow.go_on(self, children, len(rounds), start + budget_s)
            except Interrupted as interrupted:
                self.results.interrupted = True
                self.record.anomaly("interrupted", f"{interrupted} in round {number} of {len(rounds)}")
                return 128 + interrupted.number
        return 1 if any(series.failures for series in self.results.series.values()) else 0

    def estimate_s(self, benches: list[Bench]) -> float:
        """Estimated time of one round without second attempts."""
        return self.slower * sum(bench.estimate_s(self.min_time_s) for bench in benches)

    def headlines_first(self, number: int, rounds: list[list[Bench]], left_s: float) -> list[Bench]:
        """The benchmarks of a round. Other rows are left out when with them the remaining rounds of the headlines would not fit."""
        benches = rounds[number - 1]
        own = [bench for bench in benches if plan.is_headline(bench)]
        ahead = [bench for later in rounds[number:] for bench in later if plan.is_headline(bench)]
        if number == 1 or not own or len(own) == len(benches) or self.estimate_s(benches) + self.estimate_s(ahead) <= left_s:
            return benches
        text = f"round {number}: {plural(len(benches) - len(own), 'row')} beside the headlines left out, for the headlines' rounds to fit"
        self.record.anomaly("budget", text)
        say(text)
        return own

    def told_fit(self, rounds: list[list[Bench]], left_s: float, budget_s: float) -> str:
        """Text after the first round, which showed the speed of this host."""
        later_s = [self.estimate_s(benches) for benches in rounds[1:]]
        fit = 1 + sum(sum(later_s[:number]) <= left_s for number in range(1, len(rounds)))
        if fit == len(rounds):
            return f"at this host's speed all {len(rounds)} rounds fit"
        return (f"at this host's speed {fit} of {len(rounds)} rounds fit the budget; with --budget "
                f"{enough_s(budget_s - left_s + sum(later_s))}s, or with --set headlines, all would")

    def out_of_time(self, done: int, asked: int, budget_s: float) -> None:
        text = f"{done} of {asked} whole rounds fit the budget of {budget_s:.0f} s"
        self.record.anomaly("budget", text)
        say(text)

    def write_cells(self) -> None:
        for name, cell in self.cells.items():
            self.results.series[name].write(cell)

    def tell_slow(self) -> None:
        found = [measured for series in self.results.series.values() for measured in series.measured.values()]
        missed = sum(map(self.speed.missed, found))
        slow = sum(0 < len(series.measured) and len(series.full()) < min(full_speed.ENOUGH, len(series.measured))
                   for series in self.results.series.values())
        if missed:
            text = (f"{missed} of {len(found)} measurements found too little at the processor's full speed; "
                    + (f"they are in the figures of {slow} of {len(self.results.series)} benchmarks, which say more of the host "
                       "for it" if slow else "they are in no figure"))
            self.record.anomaly("slow", text)
            self.say(f"{self.side}{text}")

    def close_books(self) -> None:
        """Each measurement of a started round is measured, failed, or not started for lack of time."""
        measured = sum(len(series.measured) for series in self.results.series.values())
        self.record.data["books"] = {"measurements": {
            "attempted": self.planned, "measured": measured, "lost": 0, "failed": self.failures,
            "not_sent": self.planned - len(self.tried), "unreadable": 0,
            "unfinished": len(self.tried) - measured - self.failures}}

    def allocators(self) -> list[Json]:
        """For each contender with its own allocator: the allocator, the version it reports, its environment variables."""
        found = {series.bench.contender for series in self.results.series.values() if series.measured}
        on = sorted((one for one in found if one.strategy in (plan.DIRECT, plan.WRAPPED)), key=lambda one: one.name)
        return [{"contender": one.name, "what": allocators.TITLES.get(one.allocator, allocators.shown(one.allocator) or "glibc"),
                 "library": allocators.shown(one.allocator), "version": self.versions.get(one.name, ""), "variables": one.told(),
                 "sha256": allocators.checksum(one.allocator)} for one in on]

    def tell_uncatalogued(self) -> None:
        unknown = sorted({metric for series in self.results.series.values() for metric in series.values
                          if not bench_report.is_catalogued(metric)})
        if unknown:
            self.record.anomaly("catalogue", f"the program's catalogue has no {', '.join(unknown)}: their unit is not known")

    def tell_noise(self) -> None:
        for what, text in self.noise.findings:
            self.record.anomaly(what, text)
            self.say(text)

    def close(self, code: int) -> str:
        self.write_cells()
        self.tell_noise()
        self.tell_slow()
        self.tell_uncatalogued()
        for name, series in self.results.series.items():
            cell = self.cell(series.bench)
            cell.data["status"] = "failed" if series.failures else "complete" if series.of() else "incomplete"
        found = {cell.data["status"] for cell in self.cells.values()}
        self.close_books()
        status = "incomplete" if code > 1 or "incomplete" in found else "failed" if found == {"failed"} else "complete"
        books = self.record.data["books"]["measurements"]
        if books["not_sent"] or books["unfinished"]:
            status = "incomplete"
            self.record.anomaly("books", f"measurements: of {books['attempted']}, {books['measured']} measured, "
                                         f"{books['not_sent']} not begun, {books['unfinished']} not ended")
        if "failed" in found and status == "complete":
            status = "incomplete"
        self.record.data["status"] = status
        self.record.data["config"]["allocators"] = self.allocators()
        self.record.data["summary"] = {
            "others_cpu_percent": self.noise.percent, "step_ns": self.speed.step_ns or None,
            "narrow": bench_narrow.told(self), "decided": bench_narrow.told_decided(self),
            # Of a part of the set: which contenders a headline would have needed. verify makes the headlines again.
            "planned": [{"workload": workload, "bytes": size, "threads": threads, "contenders": names}
                        for (workload, size, threads), names in self.results.planned.items()]
            if self.record.data["config"].get("filter") else None,
            "headlines": [{"name": one.name, "median": one.value.median, "q1": one.value.q1, "q3": one.value.q3,
                           "low": one.value.sure_low, "high": one.value.sure_high, "confidence": one.value.confidence,
                           "rounds": one.value.count, "unit": one.unit, "aim": one.target} for one in headlines(self.results) if one.value]}
        self.record.tell_changes()
        bench_tables.write(self.results, self.record.folder, self.record.data)
        self.record.close(status)
        return status


def dry_run(program: Path, rounds: list[list[Bench]], min_time_s: float) -> None:
    for number, benches in enumerate(rounds, 1):
        for bench in benches:
            report = Path("cells") / f"{bench.name}.1" / f"{number}.json"
            argv = bench_command(Path(for_people(program)), bench, min_time_s, report, Attempt(bench, number).trace(report), [])
            print(" ".join([*bench.contender.words(), *argv]))
    total = sum(bench.estimate_s(min_time_s) for benches in rounds for bench in benches)
    say(f"{sum(map(len, rounds))} runs in {plural(len(rounds), 'round')}, about {total:.0f} s")


@dataclass
class Plan:
    """What one program is to measure."""

    program: Path
    benches: list[Bench]        # selected and possible here
    whole: list[Bench]          # of the set
    rounds: list[list[Bench]]
    told: list[tuple[str, str]] # what cannot be measured here: (anomaly, text)
    pools: list[Json]           # from libraries

    @classmethod
    def of(cls, args: argparse.Namespace, build: str | None, seed: int) -> "Plan":
        program = choose_build(build) / PROGRAM
        if not os.access(program, os.X_OK):
            raise UsageError(f"{for_people(program)} is not there; make builds it")
        on, missing = plan.installed(plan.added(args.allocator, program))
        own = own_pools.for_bench(args.pool, program.parent)
        every = plan.expand(plan.listed(program, own.values()), on, own)
        benches, impossible = plan.possible(plan.select(every, args.set, args.filter))
        return cls(program, benches, plan.select(every, args.set, None), plan.rounds(benches, args.repetitions, seed),
                   [("allocator", text) for text in missing] + [("privilege", text) for text in impossible],
                   [pool.told() for pool in own.values()])

    def runner(self, args: argparse.Namespace, seed: int, budget_s: float, folder: Path | str | None,
               command: list[str] | None = None, say: Say = say) -> Runner:
        """Makes the record and says what cannot be measured."""
        cleared = allocators.variables_set()
        config: Config = {"selection": args.set, "filter": args.filter, "repetitions": args.repetitions,
                          "min_time_s": args.min_time, "again": args.again, "narrow_percent": args.narrow,
                          "budget_s": None if budget_s >= 1e9 else budget_s, "variables_cleared": cleared,
                          "contenders": sorted({bench.contender.name for bench in self.benches})}
        if self.pools:
            config["pools"] = self.pools
        record = Record.create("bench", suite=args.set, folder=folder, config=config, seed=seed, build=self.program.parent,
                               command=command)
        for what, text in self.told:
            record.anomaly(what, text)
            say(text)
        if cleared:
            say(f"measured without what the environment tells allocators: {', '.join(cleared)}")
        narrow = args.narrow if (args.repetitions or plan.REPETITIONS) >= bench_narrow.ROUNDS_LEAST else 0
        return Runner(record, self.program, self.benches, self.whole, args.min_time, args.again, narrow, (args.full_speed or 0.0) * 1e9)


def run_in_turn(args: argparse.Namespace, ours: Plan, seed: int) -> int:
    """Measures two builds; each has its record in the run's folder."""
    args.again = args.narrow = 0    # repetitions of one build alone would not be in turn
    theirs, comparison = Plan.of(args, args.beside, seed), new_id("compare")
    folder, budget_s = Path(args.out) if args.out else RUNS / new_id("bench"), args.budget or 1e9
    rounds = plan.rounds(list({bench.name: bench for bench in [*ours.benches, *theirs.benches]}.values()), args.repetitions, seed)
    blocks_s = [2 * sum(bench.estimate_s(args.min_time) for _, bench in block) for block in in_turn.blocks(rounds)]
    command = [".." if word == args.out else word for word in sys.argv]  # the record's folder is inside
    teller, noise = Teller(say), Noise()    # what both builds have to say of the host is said once
    runners = [one.runner(args, seed, budget_s, folder / side, command, teller) for one, side in zip((ours, theirs), in_turn.SIDES, strict=True)]
    for runner, side in zip(runners, in_turn.SIDES, strict=True):
        runner.noise, runner.say, runner.side = noise, teller, f"{side}: "
        in_turn.begin(runner, comparison, len(rounds))
    say(f"{plural(len(rounds[0]), 'benchmark')} of two builds in turn, {plural(len(rounds), 'round')}, about "
        f"{span_text(min(budget_s, sum(blocks_s)))} in all, into {for_people(folder)}")
    code, found = 130, ["incomplete"]
    try:
        code = in_turn.run(runners, rounds, blocks_s, time.monotonic() + budget_s, seed)
    finally:
        found = [runner.close(code) for runner in runners]
    say(f"{found[0]}, {found[1]}: {for_people(folder)}/base, {for_people(folder)}/candidate; scripts/poolmark compare judges the two")
    return code or int(found != ["complete", "complete"])


# Tables of documents come of a later layer, which this one names and does not import (as verify/above.py does).
DOCUMENT = "poolmark.report.bench_document"


def run(args: argparse.Namespace) -> int:
    if args.write or args.check:
        need_checkout("writing or checking documents")
        return int(importlib.import_module(DOCUMENT).renew(args.write))
    seed = args.seed if args.seed is not None else secrets.randbelow(2**31)
    budget_s = args.budget or BUDGETS_S.get(args.set, DEFAULT_BUDGET_S)
    ours = Plan.of(args, args.build, seed)
    if args.list:
        print("\n".join(bench.name for bench in ours.benches))
        return 0
    if args.dry_run:
        dry_run(ours.program, ours.rounds, args.min_time)
        if text := told_before(ours.rounds, args.min_time, budget_s):
            say(text)
        return 0
    if args.beside:
        return run_in_turn(args, ours, seed)
    runner = ours.runner(args, seed, budget_s, args.out)
    folder = runner.record.folder
    total_s = min(budget_s, sum(thought_s(ours.rounds, args.min_time, args.again)))
    say(f"{len(ours.benches)} benchmarks, {sum(map(len, ours.rounds))} runs, about {span_text(total_s)} in all, into {for_people(folder)}")
    if text := told_before(ours.rounds, args.min_time, budget_s):
        say(text)
    code, status = 130, "incomplete"
    try:
        code = runner.run(ours.rounds, budget_s)
    finally:
        status = runner.close(code)
    print(bench_tables.terminal(runner.results, bool(args.filter) or args.set in plan.SETS_WITHOUT_HEADLINES))
    say(f"{status}: {for_people(folder)}/bench.md, bench.csv, run.json")
    return code or int(status != "complete")
