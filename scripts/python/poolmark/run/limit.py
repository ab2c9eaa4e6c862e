# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark limit publish|connect --bound p99=20ms: the highest rate that holds the bound with nothing lost, by search with
repetition, with its interval.

Each trial is a cell of the run: a fresh target, a generator at one rate (open loop), and all files of both. Contenders take turns, a
trial each, forwards and backwards (A B B A), so that a drift of the host affects all alike. limits/search.py chooses the rates and
decides; limits/verdict.py judges a trial; docs/find-limit.md explains both.
"""
import argparse
import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import AnswerData, TrialData
from poolmark.base.paths import RUNS, for_people
from poolmark.base.progress import Beat, Eta, span
from poolmark.base.units import plural
from poolmark.facts import kernel_memory
from poolmark.facts.children import Children, Interrupted
from poolmark.limits import told
from poolmark.limits.search import HELD, NOTHING, UNCLEAR, answer, in_vain, next_rate
from poolmark.limits.verdict import judge
from poolmark.records.record import Cell, Record
from poolmark.run import dry_run, estimate, limit_asked
from poolmark.run.cell_run import CellRun
from poolmark.run.limit_asked import Contender, Search, search_of
from poolmark.run.suite import plan_for, recorded_config, say

TRIAL_S = 2.0                       # start and end of a trial's programs, at least
REST_HELD_S, REST_S = 1.0, 5.0      # between trials of a target that goes on running: after one that held, after any other
PORTS_S = 65.0                      # TIME-WAIT lasts a minute
MARKDOWN, CSV = "limit.md", "limit.csv"

add_arguments = limit_asked.add_arguments


class Progress:
    """The line shown while trials run."""

    def __init__(self, search: Search) -> None:
        planned = search.planned(search.contenders[0], search.rules.start)
        try:
            self.trial_s = max(search.trial_s + TRIAL_S, estimate.of_options(planned, search.build))
        except PoolmarkError:
            self.trial_s = 2 * search.trial_s + TRIAL_S
        self.cell_run: CellRun | None = None
        self.search, self.resting = search, False
        self.eta = Eta([])
        self.left_is()
        self.beat = Beat(self.text)

    def left_is(self) -> None:
        """Call when a contender had a trial or is done."""
        left = sum(self.search.rules.trials - len(one.trials) for one in self.search.contenders if not one.over)
        self.eta.thought_s[self.eta.done:] = [self.trial_s] * left

    def text(self) -> str:
        now = self.cell_run.status.text() if self.cell_run else "the target rests" if self.resting else "between two trials"
        return f"[trial {self.eta.done + 1}] {now}; at most {span(self.eta.left_s())} left"

    def say(self, text: str) -> None:
        self.beat.clear()
        say(text)


def rest(contender: Contender, search: Search, verdict: str, connections: int) -> None:
    """A target that goes on running gets time to empty its queues, and its clients ports that are not in TIME-WAIT."""
    kernel_memory.settle(connections)
    if not contender.runs_already:
        return
    time.sleep(REST_HELD_S if verdict == HELD else REST_S)
    if search.scenario == "connect":
        room, limit = search.room(contender), time.monotonic() + PORTS_S
        while kernel_memory.closing_sockets() + connections > room and time.monotonic() < limit:
            time.sleep(0.2)


def run_trial(search: Search, record: Record, contender: Contender, rate: float, children: Children, progress: Progress) -> Cell:
    planned, started = search.planned(contender, rate), time.monotonic()
    cell = record.cell(planned.id, recorded_config(planned), 1)
    try:
        progress.cell_run = CellRun(cell, planned, plan_for(planned, search.descriptors, search.build), search.build, search.seed, children,
                                    watch_running=True)
        progress.cell_run.run()
    finally:
        progress.cell_run = None
        cell.data["seconds"] = round(time.monotonic() - started, 1)
        cell.data["trial"] = cast(TrialData, judge(cell.folder / "load", search.scenario, search.bounds, cell.data["anomalies"]))
        contender.trials.append(told.trial_of(cell.data))
    with contextlib.suppress(PoolmarkError):    # the search goes on; close() reports what could not be written
        record.save()
    return cell


def turn(search: Search, record: Record, contender: Contender, children: Children, progress: Progress) -> None:
    """One trial of a contender; marks it as over when its search is."""
    rate = next_rate(search.rules, contender.trials)
    contender.over = rate is None
    if contender.over and in_vain(contender.trials):
        record.anomaly("vain", f"{contender.name}: two trials in succession measured nothing, and its search ended: "
                               f"{'; '.join(record.data['cells'][-1].get('trial', {}).get('why', []))}")
    if rate is not None:
        progress.eta.begin()
        cell = run_trial(search, record, contender, rate, children, progress)
        progress.say(told.trial_line(cell.data))
        progress.resting = contender.runs_already
        rest(contender, search, cell.data["trial"]["verdict"], cell.data["config"]["connections"])
        progress.resting = False
        progress.eta.end()
    progress.left_is()


def run_trials(search: Search, record: Record, time_limit_s: float) -> int:
    """Runs all searches; returns the exit code of an interruption, or 0."""
    progress, limit = Progress(search), time.monotonic() + time_limit_s
    with Children() as children, progress.beat:
        try:
            number = 0
            while not all(one.over for one in search.contenders):
                for contender in search.contenders if number % 2 == 0 else reversed(search.contenders):
                    if time.monotonic() > limit:
                        record.anomaly("time", f"--time-limit of {span(time_limit_s)} is over; a search did not end")
                        return 0
                    if not contender.over:
                        turn(search, record, contender, children, progress)
                number += 1
        except Interrupted as interrupted:
            record.anomaly("interrupted", str(interrupted))
            return 128 + interrupted.number
    return 0


# --- the answers -------------------------------------------------------------------------------------------------


def write_answers(search: Search, record: Record) -> None:
    for contender in search.contenders:
        found = answer(search.rules, contender.trials)
        cell = record.cell(contender.name, contender.config, 1)
        cell.data["metrics"] = told.metrics_of(found, contender.trials)
        cell.data["answer"] = cast(AnswerData, told.facts_of(found))
        cell.finish("failed" if found.kind == NOTHING else "complete")


def close(record: Record) -> list[str]:
    """Writes tables and record; returns texts about what could not be written."""
    kinds = [cell["answer"]["kind"] for cell, _ in told.cells_of(record.data)]
    cut = any(one["what"] != "vain" for one in record.data["anomalies"])
    status = "failed" if NOTHING in kinds and not cut else "incomplete" if record.data["anomalies"] else "complete"
    unwritten = []
    try:
        (record.folder / MARKDOWN).write_text(told.markdown(record.data), encoding="utf-8")
        (record.folder / CSV).write_text(told.csv(record.data), encoding="utf-8")
    except OSError as error:
        unwritten.append(f"{MARKDOWN}: cannot be written: {error.strerror}")
        record.anomaly("disk", unwritten[-1])
        status = "incomplete"
    try:
        record.close(status)
    except PoolmarkError as error:
        unwritten.append(str(error))
    return unwritten


def print_commands(search: Search, out: str | None) -> None:
    folder = Path(out or for_people(RUNS / "RUN"))
    print(dry_run.EXPLAINED + ("" if out else f"; {folder}: the run's folder"))
    for contender in search.contenders:
        planned = search.planned(contender, search.rules.start)
        made = plan_for(planned, search.descriptors, search.build)
        cell = dry_run.planned_cell(planned.id, planned.config, folder)
        dry_run.print_cell(CellRun(cell, planned, made, Path(for_people(search.build)), search.seed, Children()), made.sentences())


def run(args: argparse.Namespace) -> int:
    search = search_of(args)
    if args.dry_run:
        print_commands(search, args.out)
        return 0
    if args.out and Path(args.out).is_dir() and any(Path(args.out).iterdir()):
        raise UsageError(f"--out {args.out}: is not empty; a run's folder holds that run and nothing else")
    config = {"scenario": search.scenario, "bounds": [bound.text() for bound in search.bounds], "rules": asdict(search.rules),
              "trial_s": search.trial_s, "set": args.set, "loads": args.loads, "time_limit_s": args.time_limit}
    record = Record.create("limit", suite="limit", folder=args.out, config=config, seed=search.seed, build=search.build)
    most_s = Progress(search).eta.total()
    say(f"{', '.join(bound.shown() for bound in search.bounds)}: {plural(len(search.contenders), 'contender')}, at most "
        f"{plural(search.rules.trials, 'trial')} each, {span(most_s)} in all, into {for_people(record.folder)}")
    code = 1
    try:
        code = run_trials(search, record, args.time_limit)
    finally:
        write_answers(search, record)
        unwritten = close(record)
    print(json.dumps(record.data, indent=1) if args.json else told.terminal(record.data))
    for text in unwritten:
        say(f"! {text}")
    say(f"{record.data['status']}: {for_people(record.folder)}/{MARKDOWN}, {CSV}, run.json")
    clear = all(cell["answer"]["kind"] not in (NOTHING, UNCLEAR) for cell, _ in told.cells_of(record.data))
    return code or (0 if clear and record.data["status"] == "complete" and not unwritten else 1)
