# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark nightly: measures two builds interleaved, compares them, measures again what looks like a regression,
keeps the history and looks for change points in it, writes the report, exits with the verdict.

A regression counts only when a second, fresh measurement of the same cells shows it too.
Exit codes are compare's: 0 no regression, 1 regression, 2 undecided or invalid, 3 not comparable, 4 usage.
"""
import json
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from poolmark_lib import build_commit, change_points, compare, history, thresholds, verdict_out
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.interleave import SIDES, Job, measure, parse_job, run_job
from poolmark_lib.paths import ROOT, for_people
from poolmark_lib.record import new_id
from poolmark_lib.verdict import INVALID, OK, REGRESSION, Verdict
from poolmark_lib.verdict import compare as judge

# What a night runs when nothing else is said: the pools' headlines, and one live broker.
DEFAULT_JOBS = ("bench=^(lifo|burst_1000|remote_1_1)/", "suite:quick")
DEFAULT_HISTORY = ROOT / "results" / "runs" / "history.sqlite"


def add_arguments(parser) -> None:
    parser.error = lambda message: (parser.print_usage(sys.stderr),
                                    parser.exit(compare.USAGE, f"{parser.prog}: {message}\n"))
    parser.epilog = compare.EXIT_CODES
    for side, default in zip(SIDES, ("HEAD~1", "HEAD")):
        group = parser.add_mutually_exclusive_group()
        group.add_argument(f"--{side}", metavar="COMMIT", default=None, help=f"the commit to build ({default})")
        group.add_argument(f"--{side}-build", metavar="DIR", help="or a build that is there")
    parser.add_argument("--run", action="append", metavar="WHAT", help="bench, bench=PATTERN, suite:NAME or "
                        "suite:NAME=PATTERN; several times (" + " and ".join(DEFAULT_JOBS) + ")")
    parser.add_argument("--repetitions", type=int, default=9, metavar="N", help="runs of each build (9; at least 4)")
    parser.add_argument("--history", metavar="FILE", default=str(DEFAULT_HISTORY),
                        help="the SQLite file to append to (results/runs/history.sqlite); 'none' keeps none")
    parser.add_argument("--thresholds", metavar="FILE", help="budgets, as for compare")
    parser.add_argument("--out", metavar="DIR", help="where to write (results/runs/ID)")
    parser.add_argument("--seed", type=int, default=1)


def pick_builds(args, scratch: Path) -> dict[str, build_commit.Build]:
    builds = {}
    for side, default in zip(SIDES, ("HEAD~1", "HEAD")):
        folder = getattr(args, f"{side}_build")
        builds[side] = (build_commit.existing(folder) if folder else
                        build_commit.of_commit(getattr(args, side) or default, scratch))
    return builds


def again(rows, jobs: list[Job]) -> list[Job]:
    """The jobs cut down to the cells of these rows."""
    names = sorted({row.cell for row in rows})
    bench = [name for name in names if "/" in name]
    suite = [name for name in names if "/" not in name]
    cut = []
    for job in jobs:
        wanted = bench if job.what == "bench" else suite
        if wanted:
            cut.append(Job(job.what, "^(" + "|".join(map(re.escape, wanted)) + ")($|[./])", job.extra))
    return cut


def confirm(found: Verdict, second: Verdict) -> None:
    """Takes back every regression that the second measurement does not show."""
    shown = {(row.cell, row.metric) for row in second.of("regression")}
    for row in found.of("regression"):
        if (row.cell, row.metric) not in shown:
            row.verdict, row.broken = "same", ""
            row.why = "looked like a regression; measured again, it was none"
            found.notes.append(f"{row.cell} {row.metric}: looked like a regression of "
                               f"{verdict_out.percent(row.effect.change)}; measured again, it was none")
    found.reasons = [f"{row.cell} {row.metric}: {row.why}; measured twice" for row in found.of("regression")]
    if not found.reasons:
        found.code = OK


def recent_changes(db, run: dict, nights: int = 14) -> list[str]:
    """Change points of the last nights, worsenings first."""
    texts = []
    for one in history.series(db, history.fingerprint(run)):
        for point in change_points.find(one.values):
            if point.index >= len(one.values) - nights:
                text = verdict_out.from_to(point.before, point.after, one.unit, one.better)
                texts.append((not point.is_worse(one.better), f"{one.cell} {one.metric}: {text} since "
                              f"{one.dates[point.index]}, commit {one.commits[point.index][:12]} (p = {point.p:.3f})"))
    return [text for _, text in sorted(texts)]


def night(builds, jobs, args, folder: Path, *, run=run_job, say=print) -> tuple[Verdict, list[str]]:
    """Measures, judges, confirms, remembers; everything but the writing of the result."""
    budgets = thresholds.load(args.thresholds) if args.thresholds else []
    sides = measure(builds, jobs, args.repetitions, folder, seed=args.seed, run=run, say=say)
    found = judge(sides["base"].data, sides["candidate"].data, budgets=budgets, seed=args.seed)
    suspects = found.of("regression")
    if found.code == REGRESSION and suspects:
        say(f"{len(suspects)} metrics look like a regression; measuring again" if len(suspects) > 1 else
            "1 metric looks like a regression; measuring again")
        second = measure(builds, again(suspects, jobs), args.repetitions, folder / "again", seed=args.seed + 1000,
                         run=run, say=say)
        confirm(found, judge(second["base"].data, second["candidate"].data, budgets=budgets, seed=args.seed))
        if found.code == OK and any(side.data["status"] != "complete" for side in sides.values()):
            found.code = INVALID
            found.reasons = ["a run was not complete"]
    changes = []
    if args.history != "none":
        db = history.open_history(args.history)
        history.append(db, sides["candidate"].data, found.word)
        changes = recent_changes(db, sides["candidate"].data)
        db.close()
    return found, changes


def write_result(found: Verdict, changes: list[str], folder: Path) -> None:
    compare.write(found, {kind: folder / name for kind, name in compare.WRITERS.items()}, folder / "base",
                  folder / "candidate")
    if changes:
        with open(folder / compare.WRITERS["markdown"], "a", encoding="utf-8") as file:
            file.write("\n### Change points of the last nights\n\n")
            file.writelines(f"- {verdict_out.in_markdown(text)}\n" for text in changes)
    (folder / "change-points.json").write_text(json.dumps(changes, indent=1) + "\n", encoding="utf-8")


def write_report(folder: Path) -> None:
    """The page of both sides; a report that cannot be made does not change the verdict, and says so."""
    import subprocess

    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "poolmark"), "report", str(folder / "base"),
                           str(folder / "candidate"), "--out", str(folder / "report")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"poolmark nightly: no report: {done.stderr.strip()}", file=sys.stderr)


def stop(_signal, _frame) -> None:
    """SIGTERM ends a night as Ctrl-C does: builds and work trees are removed, what was measured stays."""
    raise KeyboardInterrupt


def run(args) -> int:
    if args.repetitions < 4:
        raise compare.CompareUsage(f"--repetitions {args.repetitions}: it takes at least 4 for any verdict")
    folder = Path(args.out) if args.out else ROOT / "results" / "runs" / new_id("nightly")
    if folder.exists() and any(folder.iterdir()):
        raise compare.CompareUsage(f"{folder}: is not empty; name another folder")
    try:
        jobs = [parse_job(text) for text in args.run or DEFAULT_JOBS]
    except UsageError as error:
        raise compare.CompareUsage(str(error)) from error
    scratch = Path(tempfile.mkdtemp(prefix="poolmark-nightly-"))
    signal.signal(signal.SIGTERM, stop)
    try:
        builds = pick_builds(args, scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found, changes = night(builds, jobs, args, folder.resolve())
    except UsageError as error:
        raise compare.CompareUsage(str(error)) from error
    except PoolmarkError as error:
        print(f"poolmark nightly: incomplete: {error}; what was measured is in {for_people(folder)}", file=sys.stderr)
        return INVALID
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_result(found, changes, folder)
    write_report(folder)
    print(verdict_out.as_table(found))
    for text in changes:
        print(f"change point: {verdict_out.plain(text)}")
    print(f"\n{for_people(folder)}/{compare.WRITERS['html']}")
    return found.code
