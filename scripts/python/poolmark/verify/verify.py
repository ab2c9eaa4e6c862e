# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark verify RUN...: checks that each record is unchanged since its run ended, and that its files give its figures.

--broker compares the counters of poolmark-brokers with the books of the generators that they served (counters.py), as a suite does for
its cells.

It checks run.json against the schema and its seal, every file against its checksum, every metric against a new computation
from the raw files or an equation with the books, every table beside the record against run.json, and a report that was made of it later
(complaints.py). A figure of which there is no second source is named: it is not
checked, or only against bounds that other figures and files give (bounds.py).
Exit 0: all unchanged; 1: something changed; 2: something is not a record.
"""
import argparse
import sys
from collections import Counter
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.forms import RecordData
from poolmark.records.read_record import Run, added_files, load
from poolmark.verify.complaints import complaints
from poolmark.verify import above
from poolmark.verify import counters
from poolmark.verify.account import BOUNDED, COUNTED, Account
from poolmark.base.table import clean
from poolmark.base.units import plural, show_count

SHOWN = 50      # complaints printed for a run; a damaged file may cause thousands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--present", action="store_true",
                        help="only files that are there: a committed run may leave its raw files out")
    parser.add_argument("--broker", action="append", default=[], metavar="RECORD",
                        help="the --record of a poolmark-broker that served all clients of these runs, from its start to its end, and no "
                             "others: its counters have to agree with their books; several times")


def told_figures(account: Account) -> str:
    left = [f"{len(names)} {reason}" for reason, names in account.left.items()]
    tables = [f"{plural(account.tables, 'table')} as run.json gives them"] if account.tables else []
    return "; ".join([f"{plural(account.count, 'figure')} computed again", *tables, *left])


def named(account: Account, reason: str) -> str:
    """The names of figures that were left for this reason, with how many have each: a suite has them of every phase."""
    names = Counter(name.rpartition(": ")[2] for name in account.left.get(reason, []))
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(names.items()))


def came_after(run: Run, account: Account, wrong: list[str]) -> list[str]:
    """Files that were added after the run's end and that nothing here knows. A report is compared with the record, if that is whole."""
    added = added_files(run) if run.data["status"] != "running" else []
    if not any(name.startswith("report/") for name in added):
        return added
    rest: list[str] = above.needed("report").check(run, added, account, wrong)
    return rest


def verify(where: Path | str, present: bool) -> int:
    try:
        run = load(where)
    except UsageError as error:
        print(f"poolmark verify: {clean(error)}", file=sys.stderr)
        return 2
    wrong, account = complaints(run, present)
    added = came_after(run, account, wrong)
    status, count = run.data["status"], len(run.data.get("files", {}))
    there = sum((run.folder / name).is_file() for name in run.data.get("files", {}))
    for text in wrong[:SHOWN]:
        print(f"{run.id}: {clean(text)}")
    if len(wrong) > SHOWN:
        print(f"{run.id}: {len(wrong) - SHOWN} more")
    if there < count and not present:
        print(f"{run.id}: {count - there} of {plural(count, 'file')} not there; --present checks the others, as of a committed run")
    if added:
        print(f"{run.id}: came after the run's end, not checked: {clean(', '.join(added))}")
    cells = run.data.get("cells", [])
    if not wrong:
        part = f"{there} of {plural(count, 'file')}" if there < count else plural(count, "file")
        print(f"{run.id}: good; {status}, {plural(len(cells), 'cell')}, {part} as recorded, {told_figures(account)}")
    if names := named(account, BOUNDED):
        print(f"{run.id}: {BOUNDED}: {plural(len(account.left[BOUNDED]), 'figure')}, for which other figures and files leave room: {clean(names)}")
    if names := named(account, COUNTED):
        count = len(account.left[COUNTED])
        print(f"{run.id}: {COUNTED}: {plural(count, 'figure')}, which rest{'s' if count == 1 else ''} on the seal alone: {clean(names)}")
    if not run.sealed and not run.broken_seal and status != "running":
        print(f"{run.id}: has no seal (it was made before there were seals): an edit of what no file gives would not be found")
    return 1 if wrong else 0


def _of_kind(where: Path | str, kind: str, what: str) -> RecordData:
    run = load(where)
    if run.data["kind"] != kind:
        raise UsageError(f"{run.id} is a record of kind {run.data['kind']}; {what}")
    return run.data


def beside_brokers(runs: list[str], brokers: list[str]) -> int:
    """Compares the counters of brokers with the runs against them; returns the exit code."""
    loads = [_of_kind(where, "load", "with --broker, the runs are those of poolmark-loadgen; a suite compares its own brokers") for where in runs]
    records = [_of_kind(where, "broker", "--broker names the --record of a poolmark-broker") for where in brokers]
    names = " ".join(one["id"] for one in records)
    every = counters.compared(records, loads, alone=True)
    if not every:
        raise UsageError(f"{names}: nothing to compare: a record of broker or generator is not finished, or its version kept no counters")
    found = counters.findings(every)
    for what, text in found:
        print(f"{names}: {what}: {clean(text)}")
    if not found:
        exact = [f"{show_count(one.counted)} {counters.WORDS[one.name]}" for one in every if one.range.exact() and one.counted]
        print(f"{names}: its counters agree with the books of {plural(len(loads), 'run')}; exactly: {', '.join(exact) or 'nothing'}")
    return 1 if found else 0


def run(args: argparse.Namespace) -> int:
    code = max(verify(where, args.present) for where in args.runs)
    return max(code, beside_brokers(args.runs, args.broker)) if args.broker else code
