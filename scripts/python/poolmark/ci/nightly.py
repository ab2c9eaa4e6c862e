# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark nightly: measures two builds interleaved, compares them, keeps the history, finds change points in it and
writes the report.

Suspected regressions are measured again. A regression counts only when this second measurement of the same cells shows it too.
Exit codes are compare's: 0 no regression, 1 regression, 2 undecided, invalid or interrupted, 3 not comparable, 4 usage.
"""
import argparse
import json
import math
import re
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from poolmark.facts import build_commit
from poolmark.compare import change_points, compare, compare_builds, history, how_much, thresholds, verdict_out
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import markdown as in_markdown
from poolmark.base.escape import terminal as plain
from poolmark.base.forms import RecordData
from poolmark.base.options import A_RUN
from poolmark.bench.in_turn import SIDES
from poolmark.compare.interleave import Job, RunJob, Sides, measure
from poolmark.compare.pairing import COMBINED, Judged
from poolmark.base.paths import COMMAND, RUNS, for_people
from poolmark.compare.permutation import least_repetitions
from poolmark.compare.verdict import ALPHA_PRIMARY, INVALID, OK, REGRESSION, Verdict, decide
from poolmark.compare.verdict import compare as judge

# The default jobs: the pools' headlines and one live broker.
DEFAULT_JOBS = ("bench=^(lifo|burst_1000|remote_1_1)/(direct-slab|slab|fixed|expand|sync|blocks)/3072", "suite:quick")
AGAIN = "builds of commits come before; cells that look worse are measured once more, in as much time again at most"
MOST_CHANGES = 20       # in a summary; change-points.json has all
DEFAULT_HISTORY = RUNS / "history.sqlite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    compare.end_with_usage(parser)
    parser.epilog = compare.EXIT_CODES
    for side, default in zip(SIDES, ("HEAD~1", "HEAD")):
        group = parser.add_mutually_exclusive_group()
        group.add_argument(f"--{side}", metavar="COMMIT", default=None, help=f"the commit to build ({default})")
        group.add_argument(f"--{side}-build", metavar="DIR", help="or a build that is there")
    parser.add_argument("--run", action="append", metavar=A_RUN, help="bench, bench=PATTERN, suite:NAME, suite:NAME=PATTERN, "
                        "suite:FILE.toml, or the words of a command, \"suite quick --only slab\"; several times ("
                        + " and ".join(DEFAULT_JOBS) + ")")
    compare.add_amount(parser, 9)
    parser.add_argument("--dry-run", action="store_true", help="say what would be built, every command line and what it could "
                        "find; build and measure nothing")
    parser.add_argument("--history", metavar="FILE", default=str(DEFAULT_HISTORY),
                        help="the SQLite file to append to (results/runs/history.sqlite); 'none' keeps none")
    compare.add_judging(parser)
    parser.add_argument("--out", metavar="DIR", help="where to write (results/runs/ID)")


def pick_builds(args: argparse.Namespace, scratch: Path) -> dict[str, build_commit.Build]:
    builds: dict[str, build_commit.Build] = {}
    for side, default in zip(SIDES, ("HEAD~1", "HEAD")):
        folder = getattr(args, f"{side}_build")
        builds[side] = (build_commit.existing(folder) if folder else
                        build_commit.of_commit(getattr(args, side) or default, scratch))
    return builds


def again(rows: Sequence[Judged], jobs: list[Job]) -> list[Job]:
    """The jobs, limited to the cells of these rows. Whole when a row is over all cells or a job has further options."""
    names = sorted({row.cell for row in rows})
    if any(row.role == COMBINED for row in rows) or any(job.extra for job in jobs):
        return jobs
    bench = [name for name in names if "/" in name]
    suite = [name for name in names if "/" not in name]
    cut = []
    for job in jobs:
        wanted = bench if job.what == "bench" else suite
        if wanted:
            cut.append(Job(job.what, "^(" + "|".join(map(re.escape, wanted)) + ")($|[./])", job.extra))
    return cut


def confirm(found: Verdict, second: Verdict) -> None:
    """Withdraws each regression that the second measurement excludes, and decides again. One that it did not measure, or could not decide,
    is undecided: a candidate that no longer starts has not become better. All else that the first measurement left open stays open."""
    for row in found.of("regression"):
        other = again_of(row, second)
        verdict = other.verdict if other else "not measured"
        if verdict == "regression":
            continue
        row.broken = ""
        if other and is_excluded(row, other):
            row.verdict, row.why = "same", "looked like a regression; measured again, it was none"
        else:
            row.verdict, row.why, row.unconfirmed = "undecided", f"looked like a regression; measured again, it is {verdict}", True
        found.notes.append(f"{row.cell} {row.metric}: looked like a regression of {how_much.change_of(row)}; measured again, it "
                           + ("was none" if row.verdict == "same" else f"is {verdict}"))
    decide_again(found)


def again_of(row: Judged, second: Verdict) -> Judged | None:
    """The same row of the second measurement."""
    return next((one for one in [*second.rows, *second.shown_by_cells] if (one.cell, one.metric) == (row.cell, row.metric)), None)


def decide_again(found: Verdict) -> None:
    decide(found)
    twice = {f"{row.cell} {row.metric}: {row.why}" for row in found.of("regression")}
    found.reasons = [f"{reason}; measured twice" if reason in twice else reason for reason in found.reasons]


def is_excluded(row: Judged, other: Judged) -> bool:
    """Whether the second measurement excludes half of the worsening that the first one saw, or of a worsening from 0 all. Its estimate
    alone excludes nothing, nor does "the same" of a metric of which only a doubling counts. A budget is kept or it is not."""
    if other.verdict == "improvement" or other.verdict == "same" and row.by_budget:
        return True
    half = row.worse[0] / 2 if math.isfinite(row.worse[0]) else 0.0
    return other.verdict in ("same", "undecided") and other.at_worst <= half and not other.much_more


def recent_changes(db: sqlite3.Connection, run: RecordData, nights: int = 14) -> list[str]:
    """Change points of the last nights, worsenings first."""
    texts: list[tuple[bool, str]] = []
    every = history.series(db, history.fingerprint(run))
    for one, points in zip(every, change_points.find_all([one.values for one in every]), strict=True):
        for point in points:
            if point.index >= len(one.values) - nights:
                text = verdict_out.from_to(point.before, point.after, one.unit, one.better)
                texts.append((not point.is_worse(one.better), f"{one.cell} {one.metric}: {text} since "
                              f"{one.dates[point.index]}, commit {one.commits[point.index][:12]} (p = {point.p:.2g})"))
    return [text for _, text in sorted(texts)]


def night(builds: Mapping[str, build_commit.Build], jobs: list[Job], args: argparse.Namespace, folder: Path, *, run: RunJob | None = None,
          say: Callable[[str], object] = print) -> tuple[Verdict, list[str]]:
    """Measures, judges, confirms, updates the history. write_result() writes the result."""
    budgets = thresholds.load(args.thresholds) if args.thresholds else []

    def judge_both(base: RecordData, candidate: RecordData, share: float = 1.0, *, a_part: bool = False) -> Verdict:
        return judge(base, candidate, budgets=budgets, seed=args.seed, judged=args.judge, share=share,
                     allow_missing=args.allow_missing or a_part)

    sides = Sides(builds, jobs, folder, seed=args.seed, run=run, say=say)
    found, records = compare_builds.measure_and_judge(sides, args.repetitions, args.until_sure, judge_both)
    suspects = found.of("regression")
    if found.code == REGRESSION and suspects:
        say(f"{len(suspects)} metrics look like a regression; measuring again" if len(suspects) > 1 else
            "1 metric looks like a regression; measuring again")
        try:
            jobs_again = again(suspects, jobs)
            rounds_each = sides.rounds_each if all(job.is_bench for job in jobs_again) else 1
            second = measure(builds, jobs_again, sides.done // 2 * rounds_each, folder / "again", seed=args.seed + 1000, run=run, say=say)
            confirm(found, judge_both(second["base"].data, second["candidate"].data, a_part=True))
        except KeyboardInterrupt:
            compare_builds.end_early(found, "incomplete: interrupted while the regression was measured again")
    changes: list[str] = []
    if args.history != "none" and not found.incomplete:
        db = history.open_history(args.history)
        history.append(db, records["candidate"].data, found.word)
        changes = recent_changes(db, records["candidate"].data)
        db.close()
    return found, changes


def write_result(found: Verdict, changes: list[str], folder: Path) -> None:
    compare.write(found, {kind: folder / name for kind, name in compare.WRITERS.items()}, folder / "base",
                  folder / "candidate")
    if changes:
        with open(folder / compare.WRITERS["markdown"], "a", encoding="utf-8") as file:
            file.write("\n### Change points of the last nights\n\n")
            file.writelines(f"- {in_markdown(text)}\n" for text in verdict_out.short(changes, MOST_CHANGES))
    (folder / "change-points.json").write_text(json.dumps(changes, indent=1) + "\n", encoding="utf-8")


def write_report(folder: Path) -> None:
    """The page of both sides. When it cannot be made, a message says so and the verdict stays."""
    import subprocess

    done = subprocess.run([sys.executable, str(COMMAND), "report", str(folder / "base"),
                           str(folder / "candidate"), "--out", str(folder / "report")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"poolmark nightly: no report: {done.stderr.strip()}", file=sys.stderr)


def dry_run(args: argparse.Namespace, jobs: list[Job]) -> int:
    """Builds nothing. The jobs are checked on the existing build of this checkout."""
    here = build_commit.existing(args.candidate_build or args.base_build or compare_builds.default_build())
    for side, default in zip(SIDES, ("HEAD~1", "HEAD")):
        folder = getattr(args, f"{side}_build")
        told = f"the build {folder}" if folder else f"commit {build_commit.commit_of(getattr(args, side) or default)[:12]}, built"
        print(f"# {side}: {told}")
    for line in [*compare_builds.plan_lines({"candidate": here}, jobs, args), AGAIN]:
        print(f"# {line}")
    for job in jobs:
        print(job.ask(here.folder, "--dry-run").stdout.rstrip())
    return OK


def check_call(args: argparse.Namespace) -> tuple[list[Job], Path]:
    least = least_repetitions(ALPHA_PRIMARY)
    if args.repetitions < least:
        raise UsageError(f"--repetitions {args.repetitions}: can find nothing; it takes at least {least} for any verdict")
    if args.thresholds:
        thresholds.load(args.thresholds)
    if args.history != "none" and (not args.dry_run or Path(args.history).exists()):
        history.open_history(args.history).close()      # one that cannot be used is told before hours of measuring
    return compare_builds.jobs_of(args.run or DEFAULT_JOBS, args.candidate_build, args.base_build), compare_builds.empty_folder(args.out, "nightly")


def run_night(args: argparse.Namespace, jobs: list[Job], folder: Path) -> tuple[Verdict, list[str]]:
    with compare_builds.scratch_folder("poolmark-nightly-") as scratch:
        builds = pick_builds(args, scratch)
        for line in [*compare_builds.plan_lines(builds, jobs, args), AGAIN]:
            print(line, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        return night(builds, jobs, args, folder.resolve(), say=lambda text: print(text, flush=True))


def run(args: argparse.Namespace) -> int:
    try:
        jobs, folder = check_call(args)
        if args.dry_run:
            return dry_run(args, jobs)
        found, changes = run_night(args, jobs, folder)
    except UsageError as error:
        raise compare.CompareUsage(str(error)) from error
    except PoolmarkError as error:
        print(f"poolmark nightly: incomplete: {error}; what was measured is in {for_people(folder)}", file=sys.stderr)
        return INVALID
    with compare_builds.heard("writing the verdict and the report"):
        write_result(found, changes, folder)
        write_report(folder)
    print(verdict_out.as_table(found))
    for text in changes:
        print(f"change point: {plain(text)}")
    print(f"\n{for_people(folder)}/{compare.WRITERS['html']}")
    return found.code
