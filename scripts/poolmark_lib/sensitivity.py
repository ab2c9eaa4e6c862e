# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark sensitivity: the experiment that shows what a comparison is worth on this host.

Many comparisons, each from fresh interleaved runs: of a build with itself (how often is something raised that is not
there?), with a build whose gets cost 5 % more, with builds whose objects take 5 % and 2 % more bytes (how often is it
found?). The handicaps are compiled in (make HANDICAP_GET=5, HANDICAP_BYTES=2): pools/handicap.h says what they cost, and
why gets are compared with a build of HANDICAP_GET=0.

Writes a record (suite "sensitivity"), sensitivity.md and sensitivity.csv: one line a comparison. Exit code 0 when it ran to
its end, whatever it found.
"""
import argparse
import csv
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from poolmark_lib import build_commit, facts
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.interleave import SIDES, Job, measure, run_job
from poolmark_lib.options import count
from poolmark_lib.paths import ROOT, for_people
from poolmark_lib.record import Record
from poolmark_lib.verdict import OK, REGRESSION, WORDS, compare
from poolmark_lib.verdict_out import percent

MICRO = Job("bench", r"^lifo/(slab|expand|fixed)/3072$")
LIVE = Job("suite:sensitivity")


@dataclass(frozen=True)
class Trial:
    """One question, asked many times."""

    name: str
    text: str
    job: Job
    base: tuple[str, ...]            # what the baseline is built with
    variables: tuple[str, ...]       # what the candidate is built with
    metrics: tuple[str, ...]         # what is judged
    wanted: int                      # the verdict that is right
    repetitions: int


TRIALS = (
    Trial("get-self", "a build with itself, micro-benchmarks", MICRO, (), (), ("time",), OK, 10),
    Trial("get-5-percent", "gets that cost 5 % more, micro-benchmarks", MICRO, ("HANDICAP_GET=0",),
          ("HANDICAP_GET=5",), ("time",), REGRESSION, 10),
    Trial("bytes-self", "a build with itself, bytes for a connection", LIVE, (), (), ("memory.per_connection_bytes",), OK,
          8),
    Trial("bytes-5-percent", "objects of 5 % more bytes, bytes for a connection", LIVE, (), ("HANDICAP_BYTES=5",),
          ("memory.per_connection_bytes",), REGRESSION, 8),
    Trial("bytes-2-percent", "objects of 2 % more bytes, bytes for a connection", LIVE, (), ("HANDICAP_BYTES=2",),
          ("memory.per_connection_bytes",), REGRESSION, 8),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--comparisons", type=count(1, 10_000), default=20, metavar="N", help="of each kind (20)")
    parser.add_argument("--only", action="append", choices=[trial.name for trial in TRIALS], help="one kind; several times")
    parser.add_argument("--repetitions", type=count(1, 10_000), metavar="N",
                        help="runs of each build in a comparison (10, or 8 for bytes)")
    parser.add_argument("--out", metavar="DIR", help="where to write (results/runs/ID)")
    parser.add_argument("--seed", type=int, default=1)


def builds_for(trials, scratch: Path) -> dict[tuple[str, ...], build_commit.Build]:
    """One build of this checkout for each set of variables."""
    made = {}
    for variables in {variables for trial in trials for variables in (trial.base, trial.variables)}:
        folder = scratch / ("build" + "".join("-" + word.lower().replace("=", "-") for word in variables))
        folder.mkdir()
        build_commit.make(ROOT, folder, list(variables), scratch / f"{folder.name}.log")
        made[variables] = build_commit.Build(" ".join(variables) or "plain", folder, list(variables))
    return made


def one_comparison(trial: Trial, builds, folder: Path, repetitions: int, seed: int, run=run_job) -> dict:
    sides = measure({"base": builds[trial.base], "candidate": builds[trial.variables]}, [trial.job], repetitions, folder,
                    seed=seed, run=run)
    verdict = compare(sides["base"].data, sides["candidate"].data, seed=seed, judged=trial.metrics)
    changes = {f"{row.cell} {row.metric}": {"change": row.effect.change, "low": row.effect.low, "high": row.effect.high,
                                            "q": row.q, "floor": row.floor, "verdict": row.verdict}
               for row in verdict.rows}
    return {"verdict": WORDS[verdict.code], "right": verdict.code == trial.wanted, "rows": changes,
            "regressions": len(verdict.of("regression")), "metrics": len(verdict.rows), "reasons": verdict.reasons}


def lines_of(results: dict[str, list[dict]]) -> list[list[str]]:
    lines = []
    for trial in TRIALS:
        found = results.get(trial.name, [])
        if found:
            raised = sum(one["verdict"] == WORDS[REGRESSION] for one in found)
            undecided = sum(one["verdict"] not in (WORDS[REGRESSION], WORDS[OK]) for one in found)
            changes = sorted(row["change"] for one in found for row in one["rows"].values())
            spread = f"{percent(changes[0])} to {percent(changes[-1])}" if changes else "-"
            middle = percent(changes[len(changes) // 2]) if changes else "-"
            lines.append([trial.text, str(len(found)), str(raised), str(undecided), middle, spread])
    return lines


HEADS = ["compared", "comparisons", "called a regression", "undecided", "change seen, median", "change seen, range"]


def as_markdown(results: dict[str, list[dict]], record: Record) -> str:
    rows = [HEADS, ["---"] * len(HEADS), *lines_of(results)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return (f"# What a comparison finds\n\nRun {record.id}, commit {record.data['tool']['commit'][:12]}. Each comparison is "
            "made of fresh runs of both builds, interleaved A B B A; a comparison counts as a regression when its verdict "
            f"is one.\n\n{table}\n")


def write_results(record: Record, results: dict[str, list[dict]]) -> None:
    (record.folder / "sensitivity.md").write_text(as_markdown(results, record), encoding="utf-8")
    with open(record.folder / "sensitivity.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "comparison", "verdict", "cell_and_metric", "change", "low", "high", "q", "floor",
                         "metric_verdict"])
        for name, found in results.items():
            for number, one in enumerate(found, 1):
                for row, values in one["rows"].items():
                    writer.writerow([name, number, one["verdict"], row, *(f"{values[key]:.6g}" for key in
                                    ("change", "low", "high", "q", "floor")), values["verdict"]])


def note(record: Record, trial: Trial, number: int, found: dict) -> None:
    cell = record.cell(f"{trial.name}.{number}", {"trial": trial.name, "handicap": " ".join(trial.variables) or "none"}, number)
    cell.metric("regressions", found["regressions"], "1")
    cell.metric("right", int(found["right"]), "1", "higher")
    for name, row in found["rows"].items():
        cell.metric("change." + "".join(c if c.isalnum() or c in "_.-" else "_" for c in name), row["change"], "1")
    cell.finish("complete")


def experiment(record: Record, trials, args, *, builds, run=run_job, say=print) -> dict[str, list[dict]]:
    """Comparison by comparison, the kinds in turn: a drift of the host meets all of them. What was measured is written
    after each."""
    results: dict[str, list[dict]] = {trial.name: [] for trial in trials}
    for number in range(1, args.comparisons + 1):
        for trial in trials:
            with tempfile.TemporaryDirectory(prefix="poolmark-sensitivity-") as scratch:
                found = one_comparison(trial, builds, Path(scratch), args.repetitions or trial.repetitions,
                                       args.seed + 1000 * number, run)
            results[trial.name].append(found)
            note(record, trial, number, found)
            say(f"{number} of {args.comparisons}: {trial.text}: {found['verdict']}"
                + ("" if found["right"] else " (not what it should say)"))
            write_results(record, results)
    return results


def run(args) -> int:
    if args.comparisons < 1 or (args.repetitions is not None and args.repetitions < 4):
        raise UsageError("--comparisons takes 1 or more, --repetitions 4 or more")
    trials = [trial for trial in TRIALS if not args.only or trial.name in args.only]
    record = Record.create("nightly", suite="sensitivity", folder=args.out, seed=args.seed,
                           config={"comparisons": args.comparisons, "sides": list(SIDES),
                                   "repetitions": {trial.name: args.repetitions or trial.repetitions for trial in trials}})
    scratch = Path(tempfile.mkdtemp(prefix="poolmark-builds-"))
    try:
        builds = builds_for(trials, scratch)
        record.data["tool"] = facts.tool(builds[trials[0].base].folder)
        results = experiment(record, trials, args, builds=builds)
    except (PoolmarkError, KeyboardInterrupt) as error:
        record.anomaly("stopped", str(error) or "interrupted")
        record.close("incomplete")
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record.data["summary"] = {"table": [HEADS, *lines_of(results)]}
    record.close("complete")
    print()
    print((record.folder / "sensitivity.md").read_text(encoding="utf-8"))
    print(f"{for_people(record.folder)}/sensitivity.csv")
    return 0
