# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark sensitivity: measures how reliable comparisons are on this host.

It runs many comparisons, each as a process of its own with the command that README prints: `compare BUILD BUILD --run ...`. A
build is compared with itself, to count false alarms. It is also compared with builds that have a handicap, to count how often
that is found: gets 5 % slower, 2 % more bytes, p99 of connects about doubled, one message in a million lost. Handicaps are
compiled in; see pools/handicap.h and broker/mqtt/handicap.h.

Results are written as they come: comparisons.jsonl has a line for each comparison with its command. A record (suite
"sensitivity"), sensitivity.md and sensitivity.csv are made from it. --resume continues an interrupted experiment. Exit code 0
when all comparisons ran, whatever they found.
"""
import argparse
import csv
import io
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poolmark.facts import build_commit, facts
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import RecordData
from poolmark.base.options import count
from poolmark.base.paths import ROOT, for_people, need_checkout
from poolmark.base.progress import Beat, Eta, span
from poolmark.records import summary
from poolmark.records.read_record import load
from poolmark.records.record import Record
from poolmark.compare import comparisons
from poolmark.compare.compare_builds import stop
from poolmark.compare.comparisons import STATE, Comparison, Results
from poolmark.compare.verdict import OK, REGRESSION, WORDS
from poolmark.compare.how_much import percent

# One worker: the start of several, all on the same cores, makes p99 of connects in half of the runs that of the start.
QUICK = "suite quick --only malloc --connections 2000 --set engine=raw --set load.workers=1 --set load.clients-per-worker=2000 " \
        "--set connect.hold=100ms --set connect.settle=200ms --set connect.rate=2000 --set warmup=100ms --set duration=300ms"
FLOOD = "suite quick --only malloc --connections 200 --set engine=raw --set load.workers=1 --set broker.threads=1 " \
        "--set connect.hold=100ms --set connect.settle=200ms --set warmup=100ms --set pairs=10 " \
        "--set payload=32 --set publish-rate=0 --set duration=700ms --set drain=500ms"
GETS = "bench --filter ^lifo/slab/3072$ --min-time 0.2"
GETS_SHORT = "bench --filter ^lifo/slab/3072$"     # of 30 ms, so that two neighbours have the same host
TO_BE_MEASURED = "HANDICAP_CONNECT=measured"  # microseconds that double the p99 on this host
TO_BE_CHOSEN = "   # a number: 2 p99 - p50 of connects on this host, in us; the experiment measures it"
MOST_WAIT_US = 20_000  # a loop that waits longer, 10 times a second and for all its clients, falls behind
Builds = Mapping[tuple[str, ...], Path]     # make variables -> the build with them
Call = Callable[[list[str], Path], int]     # (command, log) -> exit code
CSV, MARKDOWN = "sensitivity.csv", "sensitivity.md"


@dataclass(frozen=True)
class Trial:
    """One kind of comparison, repeated many times."""

    name: str
    text: str
    what: str                        # --run of the comparison
    base: tuple[str, ...]            # make variables of the baseline
    variables: tuple[str, ...]       # make variables of the candidate
    metric: str                      # the metric that the handicap changes; "" for a build with itself
    wanted: int                      # the right exit code
    repetitions: int
    seconds: float                   # of one comparison, for the first estimate

    def command(self, base: str, candidate: str, repetitions: int) -> list[str]:
        return ["scripts/poolmark", "compare", base, candidate, "--run", self.what, "--repetitions", str(repetitions)]


TRIALS = (
    Trial("self", "a build with itself, `quick`", QUICK, (), (), "", OK, 4, 69),
    Trial("self-bench", "a build with itself, `bench`", GETS, (), (), "", OK, 8, 24),
    Trial("get-5-percent", "gets that cost 5 % more, `bench`", GETS, ("HANDICAP_GET=0",), ("HANDICAP_GET=5",), "time",
          REGRESSION, 8, 42),
    Trial("self-bench-rounds", "a build with itself, `bench`, more and shorter rounds", GETS_SHORT, (), (), "", OK, 96, 30),
    Trial("get-5-percent-rounds", "gets that cost 5 % more, `bench`, more and shorter rounds", GETS_SHORT, ("HANDICAP_GET=0",),
          ("HANDICAP_GET=5",), "time", REGRESSION, 96, 30),
    Trial("bytes-2-percent", "objects of 2 % more bytes, `quick`", QUICK, (), ("HANDICAP_BYTES=2",),
          "memory.per_connection_bytes", REGRESSION, 4, 70),
    Trial("connect-p99", "p99 of connect doubled (one in 50 waits), `quick`", QUICK, (), (TO_BE_MEASURED,), "connect.p99",
          REGRESSION, 5, 87),
    Trial("loss", "one message in a million lost, `quick`", FLOOD, (), ("HANDICAP_LOSS=1000000",), "cell.messages.lost",
          REGRESSION, 4, 67),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--comparisons", type=count(1, 10_000), default=20, metavar="N", help="of each kind (20)")
    parser.add_argument("--only", action="append", choices=[trial.name for trial in TRIALS], help="one kind; several times")
    parser.add_argument("--repetitions", type=count(4, 10_000), metavar="N",
                        help="runs of each build in a comparison (4; 5 for connects, 8 and 96 for benchmarks)")
    parser.add_argument("--out", metavar="DIR", help="where to write (results/runs/ID)")
    parser.add_argument("--resume", metavar="DIR", help="go on with the experiment in this folder, of the same commit")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and how long they will take; run nothing")
    parser.add_argument("--seed", type=int, default=1)


def folder_name(variables: tuple[str, ...]) -> str:
    return "build" + "".join("-" + word.lower().replace("handicap_", "").replace("=", "-") for word in variables)


def builds_for(trials: Sequence[Trial], scratch: Path) -> dict[tuple[str, ...], Path]:
    """One build of this checkout for each set of variables."""
    made: dict[tuple[str, ...], Path] = {}
    for variables in dict.fromkeys(variables for trial in trials for variables in (trial.base, trial.variables)):
        made[variables] = scratch / folder_name(variables)
        if (made[variables] / "poolmark-bench").exists():
            continue
        print(f"building {' '.join(variables) or 'without a handicap'}", file=sys.stderr, flush=True)
        folder = scratch / folder_name(variables)
        folder.mkdir(exist_ok=True)
        build_commit.make(ROOT, folder, list(variables), scratch / f"{folder.name}.log")
    return made


def doubling_us(plain: Path) -> int:
    """The wait of one connect in fifty that doubles the 99th percentile. The upper half of those connects is then the last
    hundredth. It takes the usual time plus the wait, so the wait is 2 p99 - p50."""
    with tempfile.TemporaryDirectory(prefix="poolmark-sensitivity-") as scratch:
        argv = ["scripts/poolmark", *shlex.split(QUICK), "--build", str(plain), "--out", f"{scratch}/out", "--repetitions", "5"]
        code = call(argv, Path(scratch) / "log")
        if code:
            raise PoolmarkError(f"{shlex.join(argv)}: exit {code}")
        cells = load(f"{scratch}/out").data["cells"]
    p50, p99 = (statistics.median(summary.values(cells, name)) for name in ("connect.p50", "connect.p99"))
    wait_us = max(1, round((2 * p99 - p50) / 1000))
    if wait_us > MOST_WAIT_US:
        raise PoolmarkError(f"one connect in 100 takes {p99 / 1e6:.0f} ms here, at 2 000 a second: the host is too busy for this "
                            "experiment")
    return wait_us


def calibrated(trials: Sequence[Trial], done: Results, scratch: Path) -> list[Trial]:
    """The trials with the measured wait. A resumed experiment keeps the wait of its earlier comparisons."""
    if not any(TO_BE_MEASURED in trial.variables for trial in trials):
        return list(trials)
    known = next((one.variables for found in done.values() for one in found if "HANDICAP_CONNECT" in str(one.variables)), None)
    if not known:
        plain = builds_for([trial for trial in TRIALS if trial.name == "self"], scratch)[()]
        with Beat(lambda: "measuring how long a connect takes here"):
            known = (f"HANDICAP_CONNECT={doubling_us(plain)}",)
        print(f"p99 doubles with {known[0]}", file=sys.stderr, flush=True)
    return [replace(trial, variables=known) if TO_BE_MEASURED in trial.variables else trial for trial in trials]


def call(argv: list[str], log: Path) -> int:
    """Runs a command as a user would start it."""
    with open(log, "wb") as file:
        return subprocess.run([sys.executable, *argv], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.STDOUT, check=False).returncode


def one_comparison(trial: Trial, builds: Builds, repetitions: int, seed: int, commit: str, run: Call = call) -> Comparison:
    """Runs the command and reads its exit code and verdict.json. `commit`: of the builds."""
    with tempfile.TemporaryDirectory(prefix="poolmark-sensitivity-") as scratch:
        out, log = Path(scratch) / "out", Path(scratch) / "log"
        argv = [*trial.command(str(builds[trial.base]), str(builds[trial.variables]), repetitions), "--seed", str(seed)]
        began = time.monotonic()
        code = run([*argv, "--out", str(out)], log)
        if not (out / "verdict.json").is_file():
            end = log.read_text(errors="replace").splitlines()[-6:] if log.is_file() else []
            raise PoolmarkError(f"{shlex.join(argv)}: exit {code}, and no verdict:\n  " + "\n  ".join(end))
        found = comparisons.told(out / "verdict.json")
    rows = tuple(row for row in found.metrics if row.role in ("primary", "combined") or row.verdict == "regression")
    return Comparison(trial.name, trial.variables, code, code == trial.wanted, time.monotonic() - began, found.reasons, rows, commit)


def found_it(trial: Trial, one: Comparison) -> bool:
    """True for a regression of the handicap's metric. A regression of another metric would be chance."""
    return one.exit_code == REGRESSION and any(row.metric == trial.metric and row.verdict == "regression" for row in one.rows)


MEDIANS = "means of the middle two"     # summary.medians; records without it have the upper of the middle two


def changes_of(trial: Trial, found: list[Comparison], older: bool = False) -> tuple[str, str]:
    """(median, range) of the changes seen in the handicap's metric; differences when there are no relative changes. `older`: by the rule of
    versions before."""
    middle = statistics.median_high if older else statistics.median
    rows = [row for one in found for row in one.rows if row.metric == trial.metric]
    shares = sorted(row.change for row in rows if row.change is not None)
    if shares:
        return percent(middle(shares)), f"{percent(shares[0])} to {percent(shares[-1])}"
    sizes = sorted(row.difference for row in rows if row.difference is not None)
    return (f"{middle(sizes):+g}", f"{sizes[0]:+g} to {sizes[-1]:+g}") if sizes else ("-", "-")


HEADS = ["compared", "runs a side", "comparisons", "called a regression", "of that metric", "undecided", "change seen, median",
         "change seen, range"]


def share_of(count: int, of: int) -> str:
    """The count and the exact 95 % interval of its share (Clopper and Pearson, Biometrika 26, 1934)."""
    from scipy import special  # here, as in base/distributions.py

    low = special.betaincinv(count, of - count + 1, 0.025) if count else 0.0
    high = special.betaincinv(count + 1, of - count, 0.975) if count < of else 1.0
    return f"{count} ({low:.0%} to {high:.0%})".replace("%", " %")


def lines_of(trials: Sequence[Trial], results: Results, repetitions: int | None = None, older: bool = False) -> list[list[str]]:
    lines: list[list[str]] = []
    for trial in trials:
        found = results.get(trial.name, [])
        if found:
            raised = share_of(sum(one.exit_code == REGRESSION for one in found), len(found))
            ours = share_of(sum(found_it(trial, one) for one in found), len(found)) if trial.metric else "-"
            undecided = sum(one.exit_code not in (REGRESSION, OK) for one in found)
            lines.append([trial.text, str(repetitions or trial.repetitions), str(len(found)), raised, ours, str(undecided),
                          *changes_of(trial, found, older)])
    return lines


def is_older(data: RecordData) -> bool:
    """Whether the record has medians by the rule of versions before."""
    told = data.get("summary") or {}
    return "table" in told and "medians" not in told


def as_markdown(trials: Sequence[Trial], results: Results, data: RecordData, repetitions: int | None) -> str:
    rows = [HEADS, ["---"] * len(HEADS), *lines_of(trials, results, repetitions, is_older(data))]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    commands = "\n\n".join(
        f"{trial.text}:\n\n" + "\n".join(f"    {line}" for line in commands_of(trial, repetitions))
        for trial in trials if results.get(trial.name))
    return (f"# What a comparison finds\n\nRun {data['id']}, commit {data['tool']['commit'][:12]}. Each comparison is a "
            "command of its own, of fresh runs of both builds, interleaved, judged by its exit code: 1 is a "
            f"regression, 2 undecided. In brackets: the exact 95 % interval of the share.\n\n{table}\n\n## The commands\n\n{commands}\n")


def commands_of(trial: Trial, repetitions: int | None) -> list[str]:
    """The commands for repeating one of them."""
    base, candidate = (folder_name(variables) for variables in (trial.base, trial.variables))
    makes = dict.fromkeys(f"make B={folder_name(variables)} {' '.join(variables)}".rstrip()
                          + (TO_BE_CHOSEN if TO_BE_MEASURED in variables else "")
                          for variables in (trial.base, trial.variables) if variables)
    return [*makes, shlex.join(trial.command(base, candidate, repetitions or trial.repetitions))]


def as_csv(results: Results) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "comparison", "exit_code", "cell", "metric", "change", "low", "high", "difference", "p", "finds",
                     "metric_verdict"])
    for name, found in results.items():
        for number, one in enumerate(found, 1):
            for row in one.rows:
                numbers = ["" if value is None else f"{value:.6g}" for value in
                           (row.change, row.low, row.high, row.difference, row.q, row.finds)]
                writer.writerow([name, number, one.exit_code, row.cell, row.metric, *numbers, row.verdict])
    return out.getvalue()


def documents(data: RecordData, trials: Sequence[Trial], results: Results, repetitions: int | None) -> dict[str, str]:
    """{file name: text} of the tables of a record."""
    return {MARKDOWN: as_markdown(trials, results, data, repetitions), CSV: as_csv(results)}


def write_results(record: Record, trials: Sequence[Trial], results: Results, repetitions: int | None) -> None:
    for name, text in documents(record.data, trials, results, repetitions).items():
        (record.folder / name).write_text(text, encoding="utf-8")


def figures(one: Comparison) -> dict[str, int]:
    """The metrics of a comparison's cell."""
    return {"regressions": sum(row.verdict == "regression" for row in one.rows), "right": int(one.right)}


def note(record: Record, trial: Trial, number: int, found: Comparison) -> None:
    cell = record.cell(f"{trial.name}.{number}", {"trial": trial.name, "handicap": " ".join(trial.variables) or "none"}, number)
    for name, better in (("regressions", "none"), ("right", "higher")):
        cell.metric(name, figures(found)[name], "1", better)
    cell.finish("complete")


def read_state(folder: Path, commit: str) -> Results:
    """The comparisons that are done."""
    path = folder / STATE
    if not path.is_file():
        raise UsageError(f"--resume {folder}: there is no {STATE}, so no experiment to go on with")
    results = comparisons.read(path)
    for one in (one for found in results.values() for one in found):
        if one.commit != commit:
            raise UsageError(f"--resume {folder}: was begun with commit {one.commit[:12]}, this is {commit[:12]}")
    return results


class Experiment:
    def __init__(self, record: Record, trials: Sequence[Trial], args: argparse.Namespace, builds: Builds, *, done: Results | None = None,
                 run: Call = call, say: Callable[[str], object] = print) -> None:
        self.record, self.trials, self.args, self.builds, self.run, self.say = record, trials, args, builds, run, say
        self.results: Results = {trial.name: list((done or {}).get(trial.name, [])) for trial in trials}
        for number, trial in self.turns():
            if number <= len(self.results[trial.name]):
                note(record, trial, number, self.results[trial.name][number - 1])
        self.eta = Eta([trial.seconds for _, trial in self.missing()])

    def turns(self) -> list[tuple[int, Trial]]:
        """All kinds take turns, so that a drift of the host affects all of them."""
        return [(number, trial) for number in range(1, self.args.comparisons + 1) for trial in self.trials]

    def missing(self) -> list[tuple[int, Trial]]:
        return [(number, trial) for number, trial in self.turns() if number > len(self.results[trial.name])]

    def compare(self, trial: Trial, number: int) -> None:
        repetitions = self.args.repetitions or trial.repetitions
        self.eta.begin()
        with Beat(lambda: f"{number} of {self.args.comparisons}: {trial.text}; {self.eta.left()}"):
            found = one_comparison(trial, self.builds, repetitions, self.args.seed + 1000 * number, self.record.data["tool"]["commit"], self.run)
        self.eta.end()
        with open(self.record.folder / STATE, "a", encoding="utf-8") as file:
            file.write(comparisons.line(found))
        self.results[trial.name].append(found)
        note(self.record, trial, number, found)
        write_results(self.record, self.trials, self.results, self.args.repetitions)
        self.say(f"{number} of {self.args.comparisons}: {trial.text}: {WORDS.get(found.exit_code, found.exit_code)}"
                 + ("" if found.right else f" (not what it should say: {'; '.join(found.reasons[:2])})")
                 + f"; {span(found.seconds)}, {self.eta.left()}")

    def go(self) -> Results:
        for number, trial in self.missing():
            self.compare(trial, number)
        write_results(self.record, self.trials, self.results, self.args.repetitions)
        return self.results


def dry_run(trials: Sequence[Trial], args: argparse.Namespace) -> int:
    for trial in trials:
        print(f"# {args.comparisons} times, about {span(trial.seconds * args.comparisons)}: {trial.text}")
        print("\n".join(commands_of(trial, args.repetitions)))
    print(f"# about {span(sum(trial.seconds for trial in trials) * args.comparisons)} in all, and a minute for each build")
    return 0


def open_record(args: argparse.Namespace, trials: Sequence[Trial], commit: str) -> tuple[Record, Results]:
    """A new record, or with --resume a record made again from the finished comparisons."""
    done = read_state(Path(args.resume), commit) if args.resume else {}
    kept = (Path(args.resume) / STATE).read_bytes() if args.resume else b""
    if args.resume:
        for name in ("run.json", CSV, MARKDOWN, STATE):
            (Path(args.resume) / name).unlink(missing_ok=True)
        shutil.rmtree(Path(args.resume) / "cells", ignore_errors=True)
    record = Record.create("nightly", suite="sensitivity", folder=args.resume or args.out, seed=args.seed,
                           config={"comparisons": args.comparisons, "repetitions": {
                               trial.name: args.repetitions or trial.repetitions for trial in trials}})
    if args.resume:
        (record.folder / STATE).write_bytes(kept[:kept.rfind(b"\n") + 1])
    return record, done


def run(args: argparse.Namespace) -> int:
    need_checkout("building Poolmark with handicaps")
    trials = [trial for trial in TRIALS if not args.only or trial.name in args.only]
    if args.dry_run:
        return dry_run(trials, args)
    if args.resume and args.out:
        raise UsageError("--resume names the folder; leave out --out")
    scratch = Path(tempfile.mkdtemp(prefix="poolmark-builds-"))
    signal.signal(signal.SIGTERM, stop)
    record = None
    try:
        commit = facts.tool()["commit"]
        trials = calibrated(trials, read_state(Path(args.resume), commit) if args.resume else {}, scratch)
        builds = builds_for(trials, scratch)
        record, done = open_record(args, trials, commit)
        record.data["tool"] = facts.tool(builds[trials[0].base])
        experiment = Experiment(record, trials, args, builds, done=done, say=lambda text: print(text, flush=True))
        print(f"{for_people(record.folder)}: about {span(experiment.eta.left_s())}", flush=True)
        results = experiment.go()
    except (PoolmarkError, KeyboardInterrupt) as error:
        if record is not None:
            record.anomaly("stopped", str(error) or "interrupted")
            record.close("incomplete")
            print(f"what was compared is kept: scripts/poolmark sensitivity --resume {for_people(record.folder)}",
                  file=sys.stderr)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record.data["summary"] = {"medians": MEDIANS, "table": [HEADS, *lines_of(trials, results, args.repetitions)]}
    record.close("complete")
    print()
    print((record.folder / MARKDOWN).read_text(encoding="utf-8"))
    print(f"{for_people(record.folder)}/{CSV}")
    return 0
