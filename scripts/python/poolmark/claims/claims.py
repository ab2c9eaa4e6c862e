# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark claims: measures published figures about pools again and gives each a verdict.

The claims are in results/claims.toml. Runs that several claims read are made once (claims/sources), then each claim's own function
reads them (claims/measures), and claims/verdict.py says whether it holds. docs/claims.md goes through all of them.
"""
import argparse
import contextlib
import copy
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import terminal
from poolmark.base.faults import nearest
from poolmark.base.forms import CellData, Json, RecordData
from poolmark.base.options import MOST_REPETITIONS, count
from poolmark.base.paths import ROOT, RUNS, choose_build, for_people, need_checkout
from poolmark.base.progress import Beat, Eta, span
from poolmark.base.units import plural
from poolmark.claims import catalogue, document, measured, monitoring, tables, verdict
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measure, Source
from poolmark.claims.work import Work
from poolmark.facts import facts
from poolmark.facts.children import Children, Interrupted
from poolmark.facts.quiet import OthersClock, busy_text
from poolmark.records import record as records
from poolmark.records.read_record import Run, load, parse
from poolmark.run.suite import raise_descriptor_limit

REPETITIONS, QUICK_REPETITIONS = 5, 3
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench", "poolmark-hot")


def say(text: str) -> None:
    print(terminal(text), file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="only this claim; several times")
    parser.add_argument("--list", action="store_true", help="print the claims, and end")
    parser.add_argument("--dry-run", action="store_true", help="print the runs that would be made and their time, and end")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and connections; larger counts become forecasts")
    parser.add_argument("--repetitions", type=count(1, MOST_REPETITIONS), metavar="N",
                        help=f"of each measurement ({REPETITIONS}; with --quick {QUICK_REPETITIONS})")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (results/runs/ID)")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")
    parser.add_argument("--json", action="store_true", help="print run.json instead of the table")
    parser.add_argument("--again", metavar="RUN", help="measure nothing: judge the values of an earlier run again; exit code 1 where a "
                                                       "verdict differs from its record, or a measurement is not there. With --out a new "
                                                       "record of those values, by the rule as it is now")
    parser.add_argument("--beside", metavar="RUN", help="compare the verdicts with those of an earlier run (with --again: two runs, and "
                                                        "nothing is measured); exit code 1 where one holds and the other does not")
    parser.add_argument("--write-docs", action="store_true",
                        help="write the tables of docs/claims.md and README.md from results/reference/claims, and end")


def chosen(claims: dict[str, Claim], only: list[str]) -> dict[str, Claim]:
    if unknown := [name for name in only if name not in claims]:
        raise UsageError("; ".join(f"--only {name}: there is no such claim" + nearest(name, claims, "scripts/poolmark claims --list")
                                   for name in unknown))
    return {name: claim for name, claim in claims.items() if not only or name in only}


def needed_sources(claims: Iterable[str], measures: Mapping[str, Measure], sources: dict[str, Source]) -> list[Source]:
    """The runs that these claims read, each once, in the order of the list of runs."""
    wanted = {name for claim in claims for name in measures[claim].sources}
    return [one for name, one in sources.items() if name in wanted]


class Runner:
    """Makes the runs, one after the other, and keeps what each left."""

    def __init__(self, record: records.Record, sources: list[Source], work: Work) -> None:
        self.record, self.sources, self.work = record, sources, work
        self.found: Json = {}
        self.failed: dict[str, str] = {}
        self.eta = Eta([one.seconds(work) for one in sources])
        self.now = ""

    def told(self) -> str:
        return f"[{self.eta.done + 1}/{len(self.sources)}] {self.now}; {self.eta.left()}"

    def run_one(self, one: Source) -> None:
        cell = self.record.cell(one.name, {"run": one.name, "what": one.what}, 1)
        work = replace(self.work, folder=self.record.folder / "runs" / one.name, commands=[])
        began, others = time.monotonic(), OthersClock()
        status = "incomplete"
        try:
            work.folder.mkdir(parents=True)
            values = one.run(work)
            self.found[one.name] = values
            path = work.folder / "values.json"
            path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
            cell.file("values", path)
            status = "complete"
        except Interrupted as error:
            self.failed[one.name] = str(error)
            cell.anomaly("interrupted", str(error))
            raise
        except (PoolmarkError, OSError, ValueError, KeyError, StopIteration) as error:
            text = str(error) if isinstance(error, PoolmarkError) else f"{type(error).__name__}: {error}"
            text = text.replace(f"{self.record.folder}/", "")  # a record names no path of this machine
            self.failed[one.name] = text
            cell.anomaly("failed", text)
            say(f"! {one.name}: {text}")
            status = "failed"
        finally:
            cell.data["seconds"] = round(time.monotonic() - began, 1)
            for argv in work.commands:
                cell.command(argv)
            if busy := busy_text(others.percent(), "times are longer"):
                cell.anomaly("busy", busy)
            cell.finish(status)

    def run(self, beat: Beat) -> None:
        for number, one in enumerate(self.sources, 1):
            self.now = one.name
            self.eta.begin()
            beat.clear()
            say(f"[{number}/{len(self.sources)}] {one.name}: {one.what}")
            self.run_one(one)
            self.eta.end()


def busy_texts(cells: list[CellData]) -> dict[str, str]:
    """{run: what other programs had of the processors} of the runs that they disturbed."""
    return {cell["id"]: one["text"] for cell in cells for one in cell["anomalies"] if one["what"] == "busy"}


def judge_one(claim: Claim, measure: Measure, found: Json, failed: dict[str, str], busy: dict[str, str]) -> verdict.Judged:
    for name in measure.sources:
        if name not in found:
            return verdict.unmeasured(claim, f"The run {name} gave no values: {failed.get(name, 'it was not made')}.")
    try:
        return verdict.judge(claim, measure.function(found, claim), next((busy[name] for name in measure.sources if name in busy), ""))
    except (PoolmarkError, KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError, IndexError) as error:
        text = str(error) if isinstance(error, PoolmarkError) else f"{type(error).__name__}: {error}"
        return verdict.unmeasured(claim, f"The runs do not have what it takes: {text}.")


def judge_all(claims: dict[str, Claim], measures: Mapping[str, Measure], found: Json, failed: dict[str, str],
              busy: dict[str, str]) -> list[verdict.Judged]:
    return [judge_one(claim, measures[name], found, failed, busy) for name, claim in claims.items()]


def links_of(data: RecordData, files: Collection[str]) -> dict[str, str]:
    """{run: file that it left} for the links of a page. `files`: names of all files of the record."""
    links: dict[str, str] = {}
    for cell in data["cells"]:
        if path := cell["files"].get("values"):
            links[cell["id"]] = path
            for name in ("summary.md", "bench.md"):  # of a suite, of benchmarks
                if f"runs/{cell['id']}/run/{name}" in files:
                    links[f"{cell['id']}: {name}"] = f"runs/{cell['id']}/run/{name}"
    return links


def documents(data: RecordData, files: Collection[str], judged: list[verdict.Judged], watched: list[Json],
              measures: Mapping[str, Measure]) -> dict[str, str]:
    """{file name: text} of the tables of a record."""
    links, notes = links_of(data, files), notes_of(data["config"]["repetitions"], data["config"]["quick"])
    return {name: make(judged, watched, measures, links, notes) for name, make in (("claims.md", tables.as_markdown),
                                                                                  ("claims.html", tables.as_html))}


def write_results(record: records.Record, judged: list[verdict.Judged], watched: list[Json], measures: Mapping[str, Measure]) -> None:
    for one in judged:
        values = one.sequence or (one.measured.values if one.measured else ())
        record.metric(f"claim.{one.claim.id}", one.value, one.claim.unit[:100], samples=values)
        if one.value is None:
            record.data["metrics"][f"claim.{one.claim.id}"]["why"] = "a sequence" if one.sequence else one.why[:1000]
    record.data["summary"] = {"claims": [tables.as_values(one, measures) for one in judged], "monitoring": watched}
    missing = sum(one.verdict == verdict.UNMEASURED for one in judged)
    record.data["books"] = {"claims": {"attempted": len(judged), "measured": len(judged) - missing, "lost": 0, "failed": missing,
                                       "not_sent": 0, "unreadable": 0, "unfinished": 0}}
    there = {path.relative_to(record.folder).as_posix() for path in record.folder.glob("runs/*/run/*.md")}
    for name, text in documents(record.data, there, judged, watched, measures).items():
        (record.folder / name).write_text(text, encoding="utf-8")


def close(record: records.Record, judged: list[verdict.Judged], watched: list[Json], measures: Mapping[str, Measure], status: str) -> list[str]:
    """Writes tables and record. Returns what could not be written, and then the record is incomplete."""
    unwritten = []
    try:
        write_results(record, judged, watched, measures)
    except OSError as error:
        unwritten.append(f"{error.filename or 'the tables'}: cannot be written: {error.strerror}")
        record.anomaly("disk", unwritten[-1])
        for name in ("claims.md", "claims.html"):   # half a table is none
            with contextlib.suppress(OSError):
                (record.folder / name).unlink()
    try:
        record.close("incomplete" if unwritten else status)
    except PoolmarkError as error:
        unwritten.append(str(error))
    return unwritten


def print_dry_run(sources: list[Source], claims: Collection[str], measures: Mapping[str, Measure], work: Work) -> None:
    for one in sources:
        read_by = [name for name in claims if one.name in measures[name].sources]
        print(f"{one.name} ({span(one.seconds(work))}): {one.what}; for {', '.join(read_by)}")
    say(f"{len(sources)} runs for {len(claims)} claims, about {span(sum(one.seconds(work) for one in sources))}")


def notes_of(repetitions: int, quick: bool) -> list[str]:
    notes = [f"Runs were repeated {repetitions} times: median, with the extremes in parentheses. Micro-benchmarks have rounds: median "
             "and middle half. What is counted or computed has no spread."]
    if quick:
        notes.append("A quick run: fewer repetitions and connections than a verdict should rest on.")
    return notes


def earlier_values(earlier: Run) -> tuple[Json, dict[str, str]]:
    """({run: values}, {run: why there are none}) of a record of this command."""
    found: Json = {}
    failed: dict[str, str] = {}
    for cell in earlier.data["cells"]:
        name = cell["files"].get("values")
        if name:
            found[cell["id"]] = parse(earlier.file(name).read_text(encoding="utf-8"), earlier.folder / name)
        else:
            failed[cell["id"]] = "; ".join(one["text"] for one in cell["anomalies"] if one["what"] in ("failed", "interrupted")) or "it was not made"
    return found, failed


def recorded_verdicts(run: Run) -> dict[str, str]:
    return {one["id"]: one["verdict"] for one in (run.data.get("summary") or {}).get("claims", [])}


def earlier_run(where: str) -> Run:
    run = load(where)
    if run.data["kind"] != "claims":
        raise UsageError(f"{for_people(run.home)}: is a record of {run.data['kind']}, not of claims")
    return run


def compare_verdicts(judged: list[verdict.Judged], other: Run) -> int:
    """Says which verdicts of two runs differ. 1 when one holds and the other does not: then the rule promised too much."""
    theirs = recorded_verdicts(other)
    both = [one for one in judged if one.claim.id in theirs]
    differ = [one for one in both if one.verdict != theirs[one.claim.id]]
    turned = [one for one in differ if {one.verdict, theirs[one.claim.id]} == {verdict.HOLDS, verdict.FAILS}]
    for one in differ:
        say(f"{'!' if one in turned else ' '} {one.claim.id}: {one.verdict}; {for_people(other.home)}: {theirs[one.claim.id]}")
    say(f"{len(both)} claims are in both runs: {len(both) - len(differ)} with the same verdict, {len(differ) - len(turned)} where one run "
        f"could not tell, {len(turned)} where one holds and the other does not")
    return int(bool(turned) or not both)


def judged_record(earlier: Run, judged: list[verdict.Judged], watched: list[Json], measures: Mapping[str, Measure], out: str) -> records.Record:
    """A new record in `out` of the values of an earlier one, by today's rule: every file of it, other verdicts and tables."""
    if missing := [name for name in earlier.data["files"] if not (earlier.folder / name).exists()]:
        raise UsageError(f"--out {out}: {plural(len(missing), 'file')} of {for_people(earlier.home)} not there ({missing[0]}); a new record takes "
                         "the whole of a run")
    folder = Path(out).resolve()
    shutil.copytree(earlier.folder, folder, dirs_exist_ok=True)
    record = records.Record(folder, copy.deepcopy(earlier.data))
    record.data["host"] = dict(record.data["host"])     # of the measurement, not of today
    record.data["id"] = records.new_id("claims")
    record.data["config"]["judged_again"] = {"of": earlier.id, "commit": facts.tool(None).get("commit")}
    write_results(record, judged, watched, measures)
    record.close(earlier.data["status"])
    return record


def judge_again(args: argparse.Namespace, claims: dict[str, Claim], measures: Mapping[str, Measure], beside: Run | None) -> int:
    earlier = earlier_run(args.again)
    found, failed = earlier_values(earlier)
    recorded = recorded_verdicts(earlier)
    judged = judge_all({name: claim for name, claim in claims.items() if name in recorded or not recorded}, measures, found, failed,
                       busy_texts(earlier.data["cells"]))
    watched = monitoring.verdicts(found)
    if args.out:
        record = judged_record(earlier, judged, watched, measures, args.out)
        say(f"{record.data['status']}: {for_people(record.folder)}/claims.md, claims.html, run.json, judged again")
    print(json.dumps({"claims": [tables.as_values(one, measures) for one in judged], "monitoring": watched}, indent=1) if args.json
          else tables.terminal_text(judged, watched))
    differ = [one for one in judged if one.verdict != recorded.get(one.claim.id, one.verdict)]
    for one in differ:
        say(f"! {one.claim.id}: {one.verdict}; the record says {recorded[one.claim.id]}")
    missing = sum(one.verdict == verdict.UNMEASURED for one in judged)
    if missing or earlier.data["status"] != "complete":
        say(f"! {for_people(earlier.home)} is {earlier.data['status']}: {plural(missing, 'claim')} without a measurement")
    code = int(bool(missing) or earlier.data["status"] != "complete" or bool(differ) and not args.out)
    return (compare_verdicts(judged, beside) if beside else 0) or code


def refuse_together(args: argparse.Namespace) -> None:
    """UsageError for options of which one would say nothing."""
    given = [f"--{name.replace('_', '-')}" for name in ("only", "list", "dry_run", "quick", "repetitions", "out", "build", "json", "again", "beside",
                                                       "write_docs") if getattr(args, name)]
    for name, takes in (("--write-docs", ()), ("--list", ("--only",)), ("--again", ("--only", "--out", "--json", "--beside"))):
        if name in given and (others := [one for one in given if one not in (name, *takes)]):
            raise UsageError(f"{others[0]}: says nothing with {name}")
    if "--again" in given and "--out" in given and "--only" in given:
        raise UsageError("--only: a new record of --again has every claim of the earlier one")


def run(args: argparse.Namespace) -> int:
    refuse_together(args)
    if args.write_docs:
        need_checkout("writing docs/claims.md and README.md")
        print(document.write(ROOT))
        return 0
    _, claims = catalogue.load()
    if wrong := measured.unpaired(claims):
        raise PoolmarkError("; ".join(wrong))
    claims, measures = chosen(claims, args.only), measured.all_measures()
    if args.list:
        print("\n".join(f"{one.id}: {one.says}" for one in claims.values()))
        return 0
    if args.out and Path(args.out).is_dir() and any(Path(args.out).iterdir()):
        raise UsageError(f"--out {args.out}: is not empty; a run's folder holds that run and nothing else")
    beside = earlier_run(args.beside) if args.beside else None  # a wrong one is told before anything is measured
    if args.again:
        return judge_again(args, claims, measures, beside)
    build = choose_build(args.build)
    if missing := [name for name in PROGRAMS if not os.access(build / name, os.X_OK)]:
        raise UsageError(f"{for_people(build)}: {', '.join(missing)} not there; run make first, or name --build DIR")
    sources = needed_sources(claims, measures, measured.all_sources())
    repetitions = args.repetitions or (QUICK_REPETITIONS if args.quick else REPETITIONS)
    work = Work(build, RUNS, Children(), repetitions, args.quick)
    if args.dry_run:
        print_dry_run(sources, claims, measures, work)
        return 0
    raise_descriptor_limit()
    config = {"only": args.only, "quick": args.quick, "repetitions": repetitions, "claims_sha256": records.sha256(catalogue.FILE)}
    record = records.Record.create("claims", suite="claims", folder=args.out, config=config, seed=1, build=build)
    runner = Runner(record, sources, work)
    say(f"{len(claims)} claims, {len(sources)} runs, about {span(runner.eta.total())}, into {for_people(record.folder)}")
    code = 0
    with Children() as work.children, Beat(runner.told) as beat:
        try:
            runner.run(beat)
        except Interrupted as interrupted:
            record.anomaly("interrupted", f"{interrupted} in run {runner.now}")
            code = 128 + interrupted.number
        except PoolmarkError as error:      # the record cannot be written: what was measured is still judged and told
            say(f"! {error}")
            code = 1
    judged = judge_all(claims, measures, runner.found, runner.failed, busy_texts(record.data["cells"]))
    watched = monitoring.verdicts(runner.found)
    all_there = all(one.verdict != verdict.UNMEASURED for one in judged)
    unwritten = close(record, judged, watched, measures, "incomplete" if code or not all_there else "complete")
    print(json.dumps(record.data, indent=1) if args.json else tables.terminal_text(judged, watched))
    say(f"{record.data['status']}: {for_people(record.folder)}/claims.md, claims.html, run.json")
    for text in unwritten:
        say(f"! {text}")
    turned = compare_verdicts(judged, beside) if beside else 0
    return code or int(not all_there or bool(unwritten)) or turned
