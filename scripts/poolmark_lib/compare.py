# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark compare BASE CANDIDATE: pairs two runs by configuration, judges every metric, gives one verdict.

Exit codes: 0 no regression, 1 regression, 2 undecided or invalid, 3 not comparable, 4 usage.
"""
import json
import os
import sys
from pathlib import Path

from poolmark_lib import thresholds, verdict_out
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.read_record import load
from poolmark_lib.verdict import compare

USAGE = 4
EXIT_CODES = "exit codes: 0 no regression, 1 regression, 2 undecided or invalid, 3 not comparable, 4 usage"
WRITERS = {"markdown": "verdict.md", "json": "verdict.json", "junit": "verdict.xml", "html": "verdict.html"}


class CompareUsage(PoolmarkError):
    exit_code = USAGE


def add_arguments(parser) -> None:
    parser.error = lambda message: (parser.print_usage(sys.stderr),
                                    parser.exit(USAGE, f"{parser.prog}: {message}\n"))
    parser.epilog = EXIT_CODES
    parser.add_argument("base", metavar="BASE", help="the run to compare with: its folder, run.json or id")
    parser.add_argument("candidate", metavar="CANDIDATE", help="the run to judge")
    parser.add_argument("--thresholds", metavar="FILE", help="budgets, TOML: [[budget]] metric, cell, max, min, "
                        "max_worse_percent; max and min are numbers in the metric's own unit: ns for latencies and times "
                        "(1 ms is 1000000), B for bytes, 1/s for rates, %% for pool.hit_rate, 1 for counts")
    parser.add_argument("--allow", action="append", default=[], metavar="FACT",
                        help="compare although this fact differs (host.kernel, tool.flags, config.X ...)")
    parser.add_argument("--judge", action="append", default=[], metavar="METRIC", help="what decides, instead of the suite's "
                        "primary metrics: a name, a pattern, CELL:METRIC, 'all', 'primary'; several times")
    parser.add_argument("--all", action="store_true", help="show the metrics without a change as well")
    parser.add_argument("--seed", type=int, default=1, help="of the permutations (1)")
    for name, default in WRITERS.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the verdict as {name} ({default} with --out)")
    parser.add_argument("--out", metavar="DIR", help="write all of them into this folder")


def links_from(page: Path, base: Path, candidate: Path) -> dict[str, str]:
    """The run folders as seen from a page, so that a click leads to the raw data."""
    return {side: os.path.relpath(folder.resolve(), page.resolve().parent)
            for side, folder in (("base", base), ("candidate", candidate))}


def write(verdict, paths: dict[str, Path], base: Path, candidate: Path) -> None:
    from poolmark_lib import verdict_markdown, verdict_page

    for kind, path in paths.items():
        links = links_from(path, base, candidate)
        content = {"markdown": lambda: verdict_markdown.as_markdown(verdict, links),
                   "json": lambda: json.dumps(verdict_out.as_json(verdict), indent=1) + "\n",
                   "junit": lambda: verdict_out.as_junit(verdict),
                   "html": lambda: verdict_page.as_html(verdict, links)}[kind]()
        try:
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        except OSError as error:
            raise CompareUsage(f"{path}: cannot be written: {error.strerror}") from error


def output_paths(args) -> dict[str, Path]:
    """Where to write what. Makes the folder of --out; that of a file named by itself has to be there."""
    named = {kind: Path(getattr(args, kind)) for kind in WRITERS if getattr(args, kind)}
    for kind, path in named.items():
        if not path.parent.is_dir():
            raise CompareUsage(f"--{kind} {path}: the folder {path.parent} is not there")
    if not args.out:
        return named
    try:
        Path(args.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompareUsage(f"--out {args.out}: cannot be made: {error.strerror}") from error
    return {kind: Path(args.out) / name for kind, name in WRITERS.items()} | named


def run(args) -> int:
    try:
        budgets = thresholds.load(args.thresholds) if args.thresholds else []
        base, candidate = load(args.base), load(args.candidate)
        paths = output_paths(args)
    except UsageError as error:
        raise CompareUsage(str(error)) from error
    verdict = compare(base.data, candidate.data, budgets=budgets, allowed=args.allow, seed=args.seed,
                      judged=args.judge)
    print(verdict_out.as_table(verdict, args.all))
    write(verdict, paths, base.folder, candidate.folder)
    return verdict.code
