# SPDX-License-Identifier: Apache-2.0
"""Measures two builds interleaved, A B B A B A A B or its mirror by lot, and joins the runs of each side to one record.

Each run of a suite starts its own processes. Benchmarks are so short that one run measures both builds, each benchmark of
the one right after that of the other (bench --beside); a round is then what a run of a suite is. A job is a Poolmark command that takes
--build, --out and --repetitions.
"""
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.facts.build_commit import Build, last_line
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import CellData, Config, Json
from poolmark.base.paths import COMMAND, WORK, for_people
from poolmark.base.progress import Eta
from poolmark.base.units import plural
from poolmark.compare import rounds_in_turn
from poolmark.facts import comparable
from poolmark.bench.in_turn import SIDES
from poolmark.records.read_record import Run, load
from poolmark.suites import suite_file
from poolmark.records.record import Record, new_id

TAKEN = ("--build", "--beside", "--out", "--repetitions", "--seed", "--full-speed", "--list", "--dry-run")  # set here, not by a job
SILENCE_S = 10.0        # longest time without a message while a job runs


@dataclass(frozen=True)
class Job:
    """`bench` or `suite:NAME`, a pattern for its cells, further options."""

    what: str
    only: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def is_bench(self) -> bool:
        return self.what == "bench"

    @property
    def words(self) -> list[str]:
        """The command without the options that depend on build or run."""
        kind, _, name = self.what.partition(":")
        only = ["--filter" if kind == "bench" else "--only", self.only] if self.only else []
        return [kind, *([name] if name else []), *only, *self.extra]

    def command(self, build: Path, out: Path) -> list[str]:
        """One run of a suite."""
        return [sys.executable, str(COMMAND), *self.words, "--build", str(build), "--out", str(out), "--repetitions", "1"]

    def command_of_both(self, builds: Mapping[str, Build], out: Path, seed: int, rounds: int) -> list[str]:
        """One run of benchmarks on both builds."""
        base, candidate = (str(builds[side].folder) for side in SIDES)
        return [sys.executable, str(COMMAND), *self.words, "--build", base, "--beside", candidate, "--out", str(out),
                "--repetitions", str(rounds), "--seed", str(seed)]

    def ask(self, build: Path, word: str) -> subprocess.CompletedProcess[str]:
        """Calls it with --list or --dry-run; measures nothing."""
        return subprocess.run([sys.executable, str(COMMAND), *self.words, "--build", str(build), "--repetitions", "1", word],
                              cwd=WORK, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def parse_job(text: str) -> Job:
    """bench, bench=PATTERN, suite:NAME, suite:FILE.toml=PATTERN, or the words of a command: "suite quick --only slab"."""
    if text.startswith(("suite ", "bench ")):
        return _from_words(text)
    what, _, only = text.partition("=")
    kind, colon, name = what.partition(":")
    if kind not in ("bench", "suite") or (kind == "suite") != bool(name) or (kind == "bench" and colon):
        raise UsageError(f"--run {text}: it takes bench, bench=PATTERN, suite:NAME, suite:NAME=PATTERN, suite:FILE.toml, or the "
                         "words of a command, \"suite NAME --only RE ...\"")
    return Job(what, only or None)


def _from_words(text: str) -> Job:
    try:
        kind, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--run {text}: {error}") from error
    taken = next((word for word in words if word.partition("=")[0] in TAKEN), None)
    if taken:
        raise UsageError(f"--run {text}: {taken} is not for here; builds, repetitions and folders are the comparison's")
    if kind == "bench":
        return Job("bench", None, tuple(words))
    if not words or words[0].startswith("-"):
        raise UsageError(f"--run {text}: name the suite first")
    return Job(f"suite:{words[0]}", None, tuple(words[1:]))


def check_file(job: Job, at_hand: Path | None = None) -> None:
    """UsageError for a suite whose file has keys that no suite has. Needs no programs, so it comes before builds are made. With a build at
    hand the error has the faults that its programs find as well."""
    kind, _, name = job.what.partition(":")
    if kind != "suite":
        return
    try:
        suite_file.read(name)
    except UsageError:
        if at_hand is not None:
            check_job(job, at_hand)
        raise


def check_job(job: Job, build: Path) -> list[str]:
    """The cells that the job would measure. UsageError for a wrong job, before anything starts."""
    done = job.ask(build, "--list")
    cells = done.stdout.split("\n")[:-1]
    if done.returncode or not cells:
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith("usage:")]
        raise UsageError(f"--run {' '.join(job.words)}: " + ("\n  ".join(said) or "measures nothing"))
    return cells


def check_planned(job: Job, builds: Mapping[str, Build]) -> None:
    """UsageError when one of the builds cannot plan the job's cells: it may be of a version whose programs say less than this command
    needs. Found before the first run, not by the first run of that build."""
    for side, build in builds.items():
        done = job.ask(build.folder, "--dry-run")
        if done.returncode:
            said = "\n  ".join(done.stderr.strip().splitlines()[-8:])
            raise UsageError(f"--run {' '.join(job.words)} on the {'baseline' if side == 'base' else side}, {for_people(build.folder)}: {said}")


def order(repetitions: int, seed: int = 1) -> list[str]:
    """Of each eight runs A B B A B A A B or its mirror: a drift of the host affects both sides alike, and a disturbance of each fourth
    run as well. Which of the two is drawn. More repetitions begin with the order of fewer."""
    rng = random.Random(seed)
    firsts = [rng.randrange(2) for _ in range(repetitions // 4 + 1)]
    return [SIDES[(number + 1) // 2 % 2 ^ number // 4 % 2 ^ firsts[number // 8]] for number in range(2 * repetitions)]


def run_command(argv: list[str], out: Path, what: str) -> None:
    """Runs it to its end. Its output goes to a file beside its records. A run with failed cells counts, because its record says so."""
    out.parent.mkdir(parents=True, exist_ok=True)
    log_path = Path(f"{out}.log")
    with open(log_path, "wb") as log:
        child = subprocess.Popen(argv, cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            while child.poll() is None:
                try:
                    child.wait(SILENCE_S)
                except subprocess.TimeoutExpired:
                    print(f"    {last_line(log_path)}", file=sys.stderr, flush=True)
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if not list(out.glob("run.json")) + list(out.glob("*/run.json")):
        end = log_path.read_text(errors="replace").splitlines()[-8:]
        raise PoolmarkError(f"{what} left no record (exit {child.returncode}):\n  " + "\n  ".join(end))


def run_job(job: Job, build: Build, out: Path, _seed: int) -> Run:
    """One run of a suite on one build. A run without a record raises PoolmarkError."""
    run_command(job.command(build.folder, out), out, f"{job.what} on {build.name}")
    return load(out)


def run_both(job: Job, builds: Mapping[str, Build], out: Path, seed: int, rounds: int) -> dict[str, Run]:
    """So many rounds of benchmarks on both builds, in turn; the record of each. An interrupted run closes its records first."""
    run_command(job.command_of_both(builds, out, seed, rounds), out, f"{job.what} on both builds")
    return {side: load(out / side) for side in SIDES}


def files_of_cell(run: Run, cell: CellData) -> list[str]:
    """All files in the folder of a cell, with the records of its programs and their seals, so that verify can compute it again."""
    inside = [name for name in run.data.get("files", {}) if name.startswith(f"cells/{cell['id']}/")]
    return list(dict.fromkeys([*cell.get("files", {}).values(), *inside]))


def copy_of_files(run: Run, cell: CellData, record: Record) -> Path:
    """Copies the files of a cell; the folder, in the record, where they are."""
    raw = Path("raw") / run.id
    for name in files_of_cell(run, cell):
        target = record.folder / raw / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.file(name), target)
    return raw


def host_of_all(runs: Sequence[Run]) -> Json:
    """The host of the first run, with the facts that were changed until the last one: `compare` then knows that there is not one host."""
    host: Json = dict(runs[0].data["host"])
    for run in runs:
        changed = run.data["host"].get("changed", {})
        found = comparable.host_differences({**host, "changed": {}}, run.data["host"])
        if found:
            host["changed"] = {key: [ours, changed.get(key, [theirs])[-1]] for key, ours, theirs in found} | host.get("changed", {})
    return host


def join(runs: Sequence[Run], in_turn: Sequence[Run], folder: Path, comparison: str, jobs: int, build: str) -> Run:
    """Joins the runs of one side: each run of a suite becomes a repetition of its cells, each round of `in_turn` a round of one
    benchmark. Their files are copied. Both sides have the same `comparison`, and each cell of a suite knows in which turn of its side it
    was measured, with `jobs` runs in a turn."""
    every = [*runs, *in_turn]
    first = every[0].data
    config: Config = rounds_in_turn.config_of(in_turn)
    primary = list(dict.fromkeys(pattern for run in runs for pattern in run.data.get("config", {}).get("primary") or []))
    config |= {"primary": primary} if primary else {}
    record = Record.create("nightly", folder=folder, command=first["command"], seed=first.get("seed"), config=config)
    record.data["tool"], record.data["host"], record.data["libraries"] = first["tool"], host_of_all(every), first.get("libraries", {})
    record.data["suite"], record.data["comparison"], record.data["build"] = first.get("suite"), comparison, build
    seen: dict[str, int] = {}
    for number, run in enumerate(runs):
        for cell in run.data.get("cells", []):
            stem = re.sub(r"\.\d+$", "", cell["id"])
            seen[stem] = seen.get(stem, 0) + 1
            made = record.cell(f"{stem}.{seen[stem]}", cell["config"], seen[stem])
            made.data["metrics"], made.data["status"], made.data["commands"] = cell["metrics"], cell["status"], cell.get("commands", [])
            made.data["anomalies"], made.data["source"], made.data["turn"] = cell.get("anomalies", []), run.id, number // jobs
            made.data["command"] = run.data.get("command", [])
            if "phases" in cell:
                made.data["phases"] = cell["phases"]
            raw = copy_of_files(run, cell, record)
            made.data["files"] = {key: (raw / name).as_posix() for key, name in cell.get("files", {}).items()}
    rounds_in_turn.join(record, in_turn, lambda run, cell: copy_of_files(run, cell, record))
    whole = all(run.data["status"] == "complete" for run in every)
    record.close("complete" if whole else "incomplete")
    return load(record.folder)


ROUNDS = 8      # of benchmarks for each run of a suite: a round is short, and finds less
RunJob = Callable[[Job, Build, Path, int], Run]
RunBoth = Callable[[Job, Mapping[str, Build], Path, int, int], dict[str, Run]]


def rounds_for(jobs: Sequence[Job]) -> int:
    """Rounds of benchmarks for each repetition: ROUNDS beside suites; 1 of benchmarks alone, where a repetition is a round."""
    return ROUNDS if len({job.is_bench for job in jobs}) > 1 else 1


class Sides:
    """The measurements of both sides. `run(job, build, out, seed)` does one of a suite, `both(job, builds, out, seed, rounds)` the
    rounds of benchmarks; tests replace them."""

    def __init__(self, builds: Mapping[str, Build], jobs: list[Job], folder: Path, *, seed: int, run: RunJob | None = None,
                 both: RunBoth | None = None, say: Callable[[str], object] = lambda text: None) -> None:
        self.builds, self.folder, self.seed, self.say = builds, folder, seed, say
        self.suites, self.benches = [job for job in jobs if not job.is_bench], [job for job in jobs if job.is_bench]
        self.run, self.both = run or run_job, both or run_both
        self.rounds_each = rounds_for(jobs)   # of benchmarks, for each repetition
        self.runs: dict[str, list[Run]] = {side: [] for side in SIDES}      # of suites
        self.in_turn: dict[Job, list[dict[str, Run]]] = {job: [] for job in self.benches}
        self.done, self.eta, self.comparison = 0, Eta([]), new_id("compare")

    def left(self) -> str:
        """Time left; empty until a first run has shown how long one takes."""
        return f", {self.eta.left()}" if self.eta.done else ""

    def extend(self, repetitions: int) -> None:
        """Measures until each side has that number of repetitions: runs of suites, with ROUNDS of benchmarks for each."""
        for job in self.benches:
            self.measure_in_turn(job, (repetitions - self.done // len(SIDES)) * self.rounds_each)
        sides = order(repetitions, self.seed)
        self.eta.thought_s += [1.0] * (len(sides) * len(self.suites) - len(self.eta.thought_s))
        for number, side in enumerate(sides[self.done:], self.done + 1):
            for job in self.suites:
                self.say(f"{number} of {len(sides)}: {job.what.replace(':', ' ')} on {side}{self.left()}")
                self.eta.begin()
                name = re.sub(r"[^a-z0-9]+", "-", job.what.lower())
                out = self.folder / "runs" / f"{number:03}-{side}-{self.suites.index(job)}-{name}"
                self.runs[side].append(self.run(job, self.builds[side], out, self.seed + number))
                self.eta.end()
            self.done = number

    def measure_in_turn(self, job: Job, rounds: int) -> None:
        """So many more rounds of it. What an interrupted run has measured is kept."""
        out = self.folder / "runs" / f"{self.done:03}-both-{self.benches.index(job)}-bench"
        self.say(f"{' '.join(job.words)} on both builds in turn, {plural(rounds, 'round')}")
        try:
            self.in_turn[job].append(self.both(job, self.builds, out, self.seed + self.done, rounds))
        except KeyboardInterrupt:
            if all((out / side / "run.json").is_file() for side in SIDES):
                self.in_turn[job].append({side: load(out / side) for side in SIDES})
            raise

    def keep_whole(self) -> int:
        """Drops the runs of a turn that was not measured whole; returns the number of repetitions that both sides have."""
        sides = order(self.done, self.seed)[:self.done]
        for side in SIDES:
            self.runs[side] = self.runs[side][:sides.count(side) * len(self.suites)]
        found = [min(sides.count(side) for side in SIDES)] if self.suites else []
        return min(found + [rounds_in_turn.count_of(pairs) // self.rounds_each for pairs in self.in_turn.values()])

    def joined(self) -> dict[str, Run]:
        """One record a side, written again from all runs so far."""
        for side in SIDES:
            shutil.rmtree(self.folder / side, ignore_errors=True)
        return {side: join(self.runs[side], [pair[side] for pairs in self.in_turn.values() for pair in pairs], self.folder / side,
                           self.comparison, len(self.suites), Path(self.builds[side].name).name or side) for side in SIDES}


def measure(builds: Mapping[str, Build], jobs: list[Job], repetitions: int, folder: Path, *, seed: int, run: RunJob | None = None,
            say: Callable[[str], object] = lambda text: None) -> dict[str, Run]:
    """Measures both sides; returns their records."""
    sides = Sides(builds, jobs, folder, seed=seed, run=run, say=say)
    sides.extend(repetitions)
    return sides.joined()
