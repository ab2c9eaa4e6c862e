# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark compare BASE CANDIDATE: pairs two runs by configuration, judges every metric, gives one verdict.

With --run it measures two builds itself, interleaved. With --power it says what comparisons would find.
Exit codes: 0 no regression, 1 regression, 2 undecided, invalid or interrupted, 3 not comparable, 4 usage.
"""
import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from poolmark.compare import compare_builds, power_told, thresholds, two_runs, verdict_out
from poolmark.compare.interleave import ROUNDS
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import terminal as plain
from poolmark.base.forms import RecordData
from poolmark.base.options import A_RUN, MOST_REPETITIONS, count, meant, span
from poolmark.base.paths import for_people
from poolmark.base.progress import Beat
from poolmark.records.read_record import Run, load
from poolmark.verify.complaints import damage
from poolmark.compare.verdict import INVALID, Judge, Verdict, compare

USAGE = 4
EXIT_CODES = "exit codes: 0 no regression, 1 regression, 2 undecided, invalid or interrupted (what was measured is kept and judged), 3 not comparable, 4 usage"
WRITERS = {"markdown": "verdict.md", "json": "verdict.json", "junit": "verdict.xml", "html": "verdict.html"}


class CompareUsage(PoolmarkError):
    exit_code = USAGE


def end_with_usage(parser: argparse.ArgumentParser) -> None:
    """A wrong call ends with exit code 4, since 2 means undecided."""
    def error(message: str) -> NoReturn:
        parser.print_usage(sys.stderr)
        parser.exit(USAGE, f"{parser.prog}: {message}{meant(parser, message)}\n")

    parser.error = error  # type: ignore[assignment]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    end_with_usage(parser)
    parser.epilog = EXIT_CODES
    parser.add_argument("base", metavar="BASE", nargs="?", help="the run to compare with: its folder, run.json or id; with "
                        "--run a build's folder or a commit")
    parser.add_argument("candidate", metavar="CANDIDATE", nargs="?", help="the run to judge; with --run a build or a commit")
    add_judging(parser)
    parser.add_argument("--allow", action="append", default=[], metavar="FACT",
                        help="compare although this fact differs (host.kernel, tool.flags, config.X ...)")
    parser.add_argument("--all", action="store_true", help="show the metrics without a change as well")
    parser.add_argument("--power", metavar="RUN", help="say what comparisons of 4, 6, 9 ... repetitions would find, from how much "
                        "that run's repetitions differ, and end")
    for name, default in WRITERS.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the verdict as {name} ({default} with --out)")
    parser.add_argument("--out", metavar="DIR", help="write all of them into this folder; with --run the runs as well")
    measuring = parser.add_argument_group("measuring", "two builds, interleaved, instead of two runs that are there")
    measuring.add_argument("--run", action="append", metavar=A_RUN, help="\"suite quick --only slab\", \"bench --filter RE\", or "
                           "short suite:quick=slab, suite:FILE.toml, bench=RE; several times")
    add_amount(measuring, None)
    measuring.add_argument("--dry-run", action="store_true", help="print every command line and what it could find, measure nothing; commits that are not built are built, "
                                "since the programs check their options")


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Options that nightly has too."""
    parser.add_argument("--thresholds", metavar="FILE", help="budgets, TOML: [[budget]] metric, cell, max, min, "
                        "max_worse_percent; max and min have a unit (\"60ms\", \"20KiB\", \"10k/s\", \"99%%\"), or are numbers in the metric's own: ns for "
                        "latencies and times, B for bytes, 1/s for rates, %% for pool.hit_rate, 1 for counts")
    parser.add_argument("--judge", action="append", default=[], metavar="METRIC", help="what decides, instead of the suite's "
                        "primary metrics: a name, a pattern, CELL:METRIC, 'all', 'primary'; several times")
    parser.add_argument("--allow-missing", action="store_true", help="compare what both have although the candidate lacks cells or "
                        "primary metrics of the baseline (without it: not comparable)")
    parser.add_argument("--seed", type=int, default=1, help="of the permutations and of what is measured (1)")


def add_amount(parser: argparse._ActionsContainer, repetitions: int | None) -> None:
    """None: what compare_builds.repetitions_of says."""
    told = repetitions or f"{compare_builds.DEFAULT_REPETITIONS}; of benchmarks alone {compare_builds.DEFAULT_ROUNDS}"
    parser.add_argument("--repetitions", type=count(2, MOST_REPETITIONS), default=repetitions, metavar="N",
                        help=f"runs of each build, with {ROUNDS} times as many rounds of benchmarks; of benchmarks alone, rounds ({told})")
    parser.add_argument("--until-sure", type=span(1, 7 * 86400), metavar="D", help="instead: 4, 6, 9, 13, 19 runs of "
                        f"each build ({ROUNDS} times as many rounds of benchmarks) until it is decided, for so long at "
                        "most (1800s); each look at the data has its share of the error rates")


def links_from(page: Path, base: Path, candidate: Path) -> dict[str, str]:
    """The run folders relative to a page, for links to the raw data."""
    return {side: os.path.relpath(folder.resolve(), page.resolve().parent)
            for side, folder in (("base", base), ("candidate", candidate))}


def write(verdict: Verdict, paths: dict[str, Path], base: Path, candidate: Path) -> None:
    from poolmark.compare import verdict_markdown, verdict_page

    for kind, path in paths.items():
        links = links_from(path, base, candidate)
        makers: dict[str, Callable[[], str | bytes]] = {
            "markdown": lambda: verdict_markdown.as_markdown(verdict, links),
            "json": lambda: json.dumps(verdict_out.as_json(verdict), indent=1) + "\n",
            "junit": lambda: verdict_out.as_junit(verdict),
            "html": lambda: verdict_page.as_html(verdict, links)}
        content = makers[kind]()
        try:
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        except OSError as error:
            raise CompareUsage(f"{path}: cannot be written: {error.strerror}") from error


def named_outputs(args: argparse.Namespace) -> dict[str, Path]:
    """The files that are named by themselves; their folders must exist."""
    named = {kind: Path(getattr(args, kind)) for kind in WRITERS if getattr(args, kind)}
    for kind, path in named.items():
        if not path.parent.is_dir():
            raise CompareUsage(f"--{kind} {path}: the folder {path.parent} is not there")
        if path.is_dir():
            raise CompareUsage(f"--{kind} {path}: is a folder; name a file")
    return named


def output_paths(args: argparse.Namespace) -> dict[str, Path]:
    """The files to write. Makes the folder of --out."""
    named = named_outputs(args)
    if not args.out:
        return named
    try:
        Path(args.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompareUsage(f"--out {args.out}: cannot be made: {error.strerror}") from error
    return {kind: Path(args.out) / name for kind, name in WRITERS.items()} | named


def tell_power(name: str) -> int:
    run = load(name)
    rows = power_told.table(run.data)
    if len(rows) == 1:
        raise CompareUsage(f"{name}: no primary metric of it has three repetitions, so nothing is known of how they differ")
    print("\n".join(verdict_out.columns([[plain(cell) for cell in row] for row in rows], 2)))
    print("\nworsenings of that size are found 19 times in 20, with so many runs of each build; the widest cell of each metric")
    return 0


def check_call(args: argparse.Namespace) -> None:
    if args.candidate is None:
        raise CompareUsage("name BASE and CANDIDATE, or --power RUN")
    if not args.run and (args.until_sure or args.dry_run):
        raise CompareUsage("--until-sure and --dry-run measure builds: say what with --run")
    if args.until_sure and args.repetitions:
        raise CompareUsage("--until-sure and --repetitions: one of them; --until-sure chooses the number by itself")


def check_comparable_kind(*runs: Run) -> None:
    for run in runs:
        if two_runs.is_search(run.data):
            raise CompareUsage(f"{run.id} {two_runs.A_SEARCH}")


def run(args: argparse.Namespace) -> int:
    try:
        if args.power:
            return tell_power(args.power)
        check_call(args)
        budgets = thresholds.load(args.thresholds) if args.thresholds else []

        def judge(base: RecordData, candidate: RecordData, share: float = 1.0) -> Verdict:
            return compare(base, candidate, budgets=budgets, allowed=args.allow, seed=args.seed, judged=args.judge, share=share,
                           allow_missing=args.allow_missing)

        if args.run:
            named_outputs(args)     # before the measurement
            return run_builds(args, judge)
        base, candidate = load(args.base), load(args.candidate)
        check_comparable_kind(base, candidate)
        paths = output_paths(args)
    except UsageError as error:
        raise CompareUsage(str(error)) from error
    with Beat(lambda: "still reading and judging both runs"):
        damaged = [text for run in {one.home: one for one in (base, candidate)}.values() if (text := damage(run))]
        verdict = two_runs.of_runs(base, candidate, judge, damaged)
    print(verdict_out.as_table(verdict, args.all))
    write(verdict, paths, base.home, candidate.home)
    return verdict.code


def run_builds(args: argparse.Namespace, judge: Judge) -> int:
    try:
        verdict, folder = compare_builds.run(args, judge)
    except (UsageError, compare_builds.NotComparable):
        raise
    except PoolmarkError as error:
        print(f"poolmark compare: incomplete: {error}", file=sys.stderr)
        return INVALID
    if verdict is None:
        return 0
    args.out = str(folder)
    print(verdict_out.as_table(verdict, args.all), flush=True)
    with compare_builds.heard("writing the verdict"):
        write(verdict, output_paths(args), folder / "base", folder / "candidate")
    print(f"\n{for_people(folder)}/{WRITERS['html']}")
    return verdict.code
