# SPDX-License-Identifier: Apache-2.0
"""compare --run: measures two builds interleaved and judges them. nightly uses the same functions.

A side is a folder with the programs, or a commit that is built first.
"""
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from poolmark.facts import build_commit
from poolmark.compare import power_told, sequential
from poolmark.base.errors import UsageError
from poolmark.compare.interleave import SIDES, Job, Sides, check_file, check_job, parse_job
from poolmark.base.paths import RUNS, build_dir
from poolmark.records.record import new_id
from poolmark.base.units import plural
from poolmark.compare.verdict import Verdict

DEFAULT_REPETITIONS = 6


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def stop(_signal, _frame) -> None:
    """SIGTERM ends a comparison as Ctrl-C does: builds and work trees are removed, measurements stay."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def scratch_folder(prefix: str):
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


def jobs_of(texts) -> list[Job]:
    jobs = [parse_job(text) for text in texts]
    for job in jobs:
        check_file(job)
    return jobs


def plan_lines(builds, jobs: list[Job], args) -> list[str]:
    """What will run, and what it can find. UsageError for a job that measures nothing."""
    lines, fingerprint = [], fingerprint_of(builds["candidate"])
    from poolmark.compare import history

    known = history.nights(getattr(args, "history", RUNS / "history.sqlite"), fingerprint)
    most = sequential.LOOKS[-1] if args.until_sure else args.repetitions
    for job in jobs:
        cells = check_job(job, builds["candidate"].folder)
        lines.append(f"{' '.join(job.words)}: {plural(len(cells), 'cell')}, {'up to ' if args.until_sure else ''}{most} runs of "
                     "each build, interleaved")
        lines += power_told.told_before(job.what, most, power_told.earlier(job.what, fingerprint), known)
    return lines


def fingerprint_of(build) -> str | None:
    """The fingerprint in the history for measurements of this build on this host."""
    from poolmark.facts import facts
    from poolmark.compare import history

    try:
        return history.fingerprint({"host": facts.host(), "tool": facts.tool(build.folder)})
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def measure_and_judge(sides: Sides, repetitions: int, until_s: float | None, judge) -> tuple[Verdict, dict]:
    """The verdict and the two records it is about. `judge(base, candidate, share)` makes a verdict of two records."""
    records: dict = {}

    def of_all(share: float) -> Verdict:
        records.update(sides.joined())
        return judge(records["base"].data, records["candidate"].data, share)

    if until_s is None:
        sides.extend(repetitions)
        return of_all(1.0), records
    return sequential.until_sure(sides.extend, of_all, until_s, say=sides.say), records


def run(args, judge) -> tuple[Verdict | None, Path]:
    """Runs compare --run; the verdict is None for --dry-run."""
    jobs = jobs_of(args.run)
    folder = empty_folder(args.out, "compare")
    with scratch_folder("poolmark-compare-") as scratch:
        builds = {side: a_build(getattr(args, side), scratch) for side in SIDES}
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
