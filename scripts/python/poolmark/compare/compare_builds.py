# SPDX-License-Identifier: Apache-2.0
"""compare --run: measures two builds interleaved and judges them. nightly uses the same functions.

A side is a folder with the programs, or a commit that is built first.
"""
import argparse
import contextlib
import fnmatch
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from poolmark.facts import build_commit, comparable, described, facts, quiet
from poolmark.compare import job_time, power_told, sequential, thresholds
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import nearest
from poolmark.base.progress import Beat
from poolmark.bench.in_turn import SIDES
from poolmark.compare.interleave import ROUNDS, Job, Sides, check_file, check_job, check_planned, parse_job, rounds_for
from poolmark.compare.pairing import NOT_COMPLETE, stem
from poolmark.base.paths import RUNS, build_dir, for_people
from poolmark.records.read_record import Run
from poolmark.records.record import new_id
from poolmark.base.units import plural
from poolmark.suites import suite_file
from poolmark.suites.suite_metrics import is_of
from poolmark.compare.verdict import INVALID, NOT_COMPARABLE, Judge, Verdict

DEFAULT_REPETITIONS = 6
DEFAULT_ROUNDS = DEFAULT_REPETITIONS * ROUNDS     # of benchmarks alone: they are short


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def heard(text: str, tell: Callable[[str], object] = say) -> Iterator[None]:
    """Tells what begins, and tells it again while it lasts."""
    tell(text)
    with Beat(lambda: f"still {text}"):
        yield


def stop(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a comparison as Ctrl-C does: builds and work trees are removed, measurements stay."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder for builds of commits."""
    scratch = Path(tempfile.mkdtemp(prefix=prefix))
    signal.signal(signal.SIGTERM, stop)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def a_build(text: str, scratch: Path) -> build_commit.Build:
    if Path(text).is_dir():
        return build_commit.existing(text)
    return build_commit.of_commit(text, scratch)


def default_build() -> Path:
    return build_dir(None)


def empty_folder(out: str | None, kind: str) -> Path:
    folder = Path(out) if out else RUNS / new_id(kind)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name another folder")
    return folder


def at_hand(*folders: Path | str | None) -> Path | None:
    """A build that is there: the first of these folders that has the programs, or the checkout's own."""
    for folder in (*folders, default_build()):
        with contextlib.suppress(UsageError):
            if folder is not None and Path(folder).is_dir():
                return build_commit.existing(folder).folder
    return None


def jobs_of(texts: Iterable[str], *folders: Path | str | None) -> list[Job]:
    """`folders`: builds that may be there already."""
    jobs, build = [parse_job(text) for text in texts], at_hand(*folders)
    for number, job in enumerate(jobs):
        if job in jobs[:number]:
            raise UsageError(f"--run {' '.join(job.words)}: is given twice; --repetitions says how often")
        check_file(job, build)
    return jobs


def repetitions_of(asked: int | None, jobs: list[Job]) -> int:
    """The number asked for, or the usual one."""
    return asked or (DEFAULT_ROUNDS if sequential.times_of(jobs) > 1 else DEFAULT_REPETITIONS)


class NotComparable(PoolmarkError):
    exit_code = NOT_COMPARABLE


def check_alike(builds: Mapping[str, build_commit.Build], allowed: Collection[str]) -> None:
    """NotComparable when the verdict would be that in any case, since the builds were not made alike: said before hours of runs."""
    base, candidate = ({"tool": facts.tool(builds[side].folder)} for side in SIDES)
    if found := [one for one in comparable.build_differences(base, candidate) if one[0] not in allowed]:
        raise NotComparable("the builds cannot be compared, and nothing was measured:\n  " + "\n  ".join(
            f"{fact} differs: {comparable.in_words(ours)} in the baseline, {comparable.in_words(theirs)} in the candidate (--allow {fact} compares them "
            "nevertheless)" for fact, ours, theirs in found))


def plan_lines(builds: Mapping[str, build_commit.Build], jobs: list[Job], args: argparse.Namespace) -> list[str]:
    """What will run, for how long, and what it can find. UsageError for a job that measures nothing."""
    lines: list[str] = []
    all_s, fingerprint = 0.0, fingerprint_of(builds["candidate"])
    from poolmark.compare import history

    known = history.nights(getattr(args, "history", RUNS / "history.sqlite"), fingerprint)
    looks = [count * sequential.times_of(jobs) for count in sequential.LOOKS]
    most = looks[-1] if args.until_sure else args.repetitions
    every: list[str] = []
    for job in jobs:
        cells = check_job(job, builds["candidate"].folder)
        check_planned(job, builds)
        every += map(stem, cells)
        one_s, by = job_time.seconds_of(job, builds["candidate"].folder)
        times = rounds_for(jobs) if job.is_bench else 1
        all_s += one_s * times
        lines.append(f"{' '.join(job.words)}: {plural(len(cells), 'cell')}, {'up to ' if args.until_sure else ''}{most * times} "
                     f"{'rounds' if job.is_bench else 'runs'} of each build, interleaved, "
                     f"{job_time.told(one_s * times, looks[0], most, args.until_sure)}, by {by}")
        earlier = power_told.earlier(job.what, fingerprint, cells=job_time.cells_of(job, builds["candidate"].folder, cells))
        lines += power_told.told_before(job.what, most * times, earlier, known)
    job_time.check_until(args.until_sure, len(SIDES) * looks[0] * all_s, f"{looks[0]} {'rounds' if sequential.times_of(jobs) > 1 else 'runs'} of each build")
    check_asked(args, every, jobs, builds["candidate"].folder)
    if len(jobs) > 1:
        lines.append(f"all of it: {job_time.told(all_s, looks[0], most, args.until_sure)}")
    return lines + ([text] if (text := quiet.load_text()) else [])


def measured_by(jobs: list[Job], build: Path) -> list[str]:
    """Metrics, by their names in the catalogue, that cells of the jobs can have."""
    names = [NOT_COMPLETE]
    for job in jobs:
        if job.is_bench:
            names += [one["name"] for one in described.catalogue(build) if one["program"] == "poolmark-bench"]
        else:
            names += suite_file.measurable(job.what.partition(":")[2], build, job_time.arguments(job, build).set)
    return names


def check_asked(args: argparse.Namespace, cells: list[str], jobs: list[Job], build: Path) -> None:
    """UsageError with each name of --judge and of a budget that no cell of the jobs has; found now, and not after they have run."""
    here = measured_by(jobs, build)
    known = [*(metric["name"] for metric in described.catalogue(build)), NOT_COMPLETE]
    asked = [(f"{args.thresholds}: budget of {one.metric}", one.cell, one.metric)
             for one in (thresholds.load(args.thresholds) if args.thresholds else [])]
    for pattern in args.judge:
        cell, _, metric = pattern.rpartition(":")
        if pattern not in ("all", "primary"):
            asked.append((f"--judge {pattern}", cell, metric))
    wrong: list[str] = []
    for where, cell, metric in asked:
        if not described.is_measured(metric, known):
            wrong.append(f"{where}: no program measures {metric!r}{nearest(metric, known)}")
        elif not args.allow_missing and not any(is_of(metric, one) for one in here):
            wrong.append(f"{where}: no cell of --run can have {metric!r}{nearest(metric, here)}")
        if cell and not args.allow_missing and not any(fnmatch.fnmatchcase(one, cell) for one in cells):
            wrong.append(f"{where}: no cell of --run is called {cell!r}{nearest(cell, cells)}")
    if wrong:
        raise UsageError("\n".join(wrong))


def fingerprint_of(build: build_commit.Build) -> str | None:
    """The fingerprint in the history for measurements of this build on this host."""
    from poolmark.compare import history

    try:
        return history.fingerprint({"host": facts.host(), "tool": facts.tool(build.folder)})
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def measure_and_judge(sides: Sides, repetitions: int, until_s: float | None, judge: Judge) -> tuple[Verdict, dict[str, Run]]:
    """The verdict and the two records it is about. `judge(base, candidate, share)` makes a verdict of two records."""
    records: dict[str, Run] = {}

    def of_all(share: float) -> Verdict:
        with heard("reading the runs of both builds", sides.say):
            records.update(sides.joined())
        data = records["base"].data
        names = {(stem(cell["id"]), name) for cell in data["cells"] for name, one in cell["metrics"].items() if one["better"] != "none"}
        with heard(f"judging {plural(len(names), 'metric')} of {plural(len({cell for cell, _ in names}), 'cell')}", sides.say):
            return judge(data, records["candidate"].data, share)

    try:
        if until_s is None:
            sides.extend(repetitions)
            return of_all(1.0), records
        times = sequential.times_of(sides.suites + sides.benches)
        return sequential.until_sure(sides.extend, of_all, until_s, times=times, say=sides.say), records
    except KeyboardInterrupt:
        return cut_short(sides, of_all), records


def cut_short(sides: Sides, of_all: Callable[[float], Verdict]) -> Verdict:
    """The verdict of an interrupted comparison: what was measured whole is joined and judged, and it decides nothing."""
    have = sides.keep_whole()
    if not have:
        raise PoolmarkError(f"interrupted before both builds were measured once; the runs so far are in {for_people(sides.folder)}/runs")
    found = of_all(1.0)
    end_early(found, f"incomplete: interrupted after {plural(have, 'repetition')} of each build; the rows are of these and decide nothing")
    return found


def end_early(found: Verdict, reason: str) -> None:
    found.incomplete = True
    found.code = NOT_COMPARABLE if found.code == NOT_COMPARABLE else INVALID
    found.reasons.insert(0, reason)


def run(args: argparse.Namespace, judge: Judge) -> tuple[Verdict | None, Path]:
    """Runs compare --run; the verdict is None for --dry-run."""
    jobs = jobs_of(args.run, args.candidate, args.base)
    args.repetitions = repetitions_of(args.repetitions, jobs)
    folder = empty_folder(args.out, "compare")
    with scratch_folder("poolmark-compare-") as scratch:
        builds = {side: a_build(getattr(args, side), scratch) for side in SIDES}
        check_alike(builds, args.allow)
        for line in plan_lines(builds, jobs, args):
            say(line)
        if args.dry_run:
            for job in jobs:
                print(job.ask(builds["candidate"].folder, "--dry-run").stdout.rstrip())
            return None, folder
        folder.mkdir(parents=True, exist_ok=True)
        sides = Sides(builds, jobs, folder.resolve(), seed=args.seed, say=say)
        found, _ = measure_and_judge(sides, args.repetitions, args.until_sure, judge)
    return found, folder
