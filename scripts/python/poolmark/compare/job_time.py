# SPDX-License-Identifier: Apache-2.0
"""How long the jobs of a comparison should take: one run by the job's own estimate, times the runs of both builds.

The modules of the commands are named and loaded when needed, as cli.py does, since they come after this layer.
"""
import argparse
import importlib
import math
from pathlib import Path
from typing import Any

from poolmark.base.errors import UsageError
from poolmark.base.options import make_parser
from poolmark.base.progress import span
from poolmark.bench.in_turn import SIDES
from poolmark.compare.interleave import Job
from poolmark.compare.pairing import stem

MODULES = {"suite": "run.suite", "bench": "bench.bench_estimate"}     # each has add_arguments(parser) and estimated(args)
LATE = 1.1      # times --until-sure: a first look of up to so long is begun all the same


def module_of(job: Job) -> Any:
    return importlib.import_module(f"poolmark.{MODULES[job.words[0]]}")


def arguments(job: Job, build: Path) -> argparse.Namespace:
    """Of one run of the job's command. The job was checked before."""
    parser = make_parser()
    module_of(job).add_arguments(parser)
    return parser.parse_args([*job.words[1:], "--build", str(build), "--repetitions", "1"])


def seconds_of(job: Job, build: Path) -> tuple[float, str]:
    """Of one run on one build; of benchmarks: of one round; and by what they are known. The job was checked before."""
    module, args = module_of(job), arguments(job, build)
    if not job.is_bench:
        seconds, by = module.estimated(args)
        return float(seconds), str(by)
    args.again, args.budget = 0, args.budget or math.inf    # as bench --beside measures
    seconds, by = module.estimated(args)
    return max(0.0, float(seconds) - float(module.START_S)), str(by)


def cells_of(job: Job, build: Path, names: list[str]) -> set[str]:
    """The cells that the job would measure, as power_told.key_of names them; `names`: as check_job does."""
    if job.is_bench:
        return set(map(stem, names))
    module = module_of(job)
    return set(module.keys_of(module.load_suite(arguments(job, build), build)))


def check_until(until_s: float | None, first_s: float, what: str) -> None:
    """UsageError where --until-sure ends clearly before its first look could. `what`: "4 runs of each build"."""
    if until_s is not None and first_s > LATE * until_s:
        raise UsageError(f"--until-sure {span(until_s)}: the first look needs {what}, about {span(first_s)}; give it that time, or fewer cells")


def told(one_s: float, least: int, most: int, until_s: float | None) -> str:
    """"about 20 min", or with --until-sure the times of the fewest and of the most repetitions."""
    runs = len(SIDES)
    if until_s is None:
        return f"about {span(runs * most * one_s)}"
    first, last = runs * least * one_s, min(until_s, runs * most * one_s)
    return f"about {span(first)}" + (f" to {span(last)}" if last > first else "")
