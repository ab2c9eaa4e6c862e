# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark verify RUN...: checks that each record is unchanged since its run ended, and that its files give its figures.

It checks run.json against the schema and its seal, every file against its checksum, every metric against a new computation
from the raw files, every table beside the record against run.json, and a report that was made of it later (complaints.py).
Exit 0: all unchanged; 1: something changed; 2: something is not a record.
"""
import sys

from poolmark.base.errors import UsageError
from poolmark.records.read_record import Run, added_files, load
from poolmark.verify.complaints import complaints
from poolmark.verify import above
from poolmark.verify.account import Account
from poolmark.base.table import clean
from poolmark.base.units import plural

SHOWN = 50      # complaints printed for a run; a damaged file may cause thousands


def add_arguments(parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--present", action="store_true",
                        help="only files that are there: a committed run may leave its raw files out")


def told_figures(account: Account) -> str:
    left = [f"{len(names)} {reason}" for reason, names in account.left.items()]
    tables = [f"{plural(account.tables, 'table')} as run.json gives them"] if account.tables else []
    return "; ".join([f"{plural(account.count, 'figure')} computed again", *tables, *left])


def came_after(run: Run, account: Account, wrong: list[str]) -> list[str]:
    """Files that were added after the run's end and that nothing here knows. A report is compared with the record, if that is whole."""
    added = added_files(run) if run.data["status"] != "running" else []
    if not any(name.startswith("report/") for name in added):
        return added
    return above.module("report").check(run, added, account, wrong)


def verify(where, present: bool) -> int:
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
        part = f"{there} of {count} files" if there < count else plural(count, "file")
        print(f"{run.id}: good; {status}, {plural(len(cells), 'cell')}, {part} as recorded, {told_figures(account)}")
    if not run.sealed and not run.broken_seal and status != "running":
        print(f"{run.id}: has no seal (it was made before there were seals): an edit of what no file gives would not be found")
    return 1 if wrong else 0


def run(args) -> int:
    return max(verify(where, args.present) for where in args.runs)
