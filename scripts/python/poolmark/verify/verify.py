# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark verify RUN...: checks that each record is unchanged since its run ended, and that its files give its figures.

It checks run.json against the schema and its seal, every file against its checksum, and every metric against a new computation
from the raw files. Exit 0: all unchanged; 1: something changed; 2: something is not a record.
"""
import sys

from poolmark.base.errors import UsageError
from poolmark.records.read_record import Run, added_files, check_files, load
from poolmark.verify.counts import cell_complaints
from poolmark.verify.recompute import Account, again
from poolmark.base.table import clean
from poolmark.base.units import plural

SHOWN = 50      # complaints printed for a run; a damaged file may cause thousands


def add_arguments(parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--present", action="store_true",
                        help="only files that are there: a committed run may leave its raw files out")


def complaints(run: Run, present: bool = False) -> tuple[list[str], Account]:
    """The faults of a record and its files, and the account of its figures. `present`: missing files are no fault."""
    wrong = check_files(run, present)
    account = again(run)
    wrong += account.wrong + cell_complaints(run.data)
    if run.data["status"] == "running":
        wrong.append("run.json: says it is still running; a run that was killed stays so, without checksums")
    return wrong, account


def told_figures(account: Account) -> str:
    left = [f"{len(names)} {reason}" for reason, names in account.left.items()]
    return f"{plural(account.count, 'figure')} computed again" + "".join(f"; {text}" for text in left)


def verify(where, present: bool) -> int:
    try:
        run = load(where)
    except UsageError as error:
        print(f"poolmark verify: {clean(error)}", file=sys.stderr)
        return 2
    wrong, account = complaints(run, present)
    status, count = run.data["status"], len(run.data.get("files", {}))
    there = sum((run.folder / name).is_file() for name in run.data.get("files", {}))
    for text in wrong[:SHOWN]:
        print(f"{run.id}: {clean(text)}")
    if len(wrong) > SHOWN:
        print(f"{run.id}: {len(wrong) - SHOWN} more")
    if there < count and not present:
        print(f"{run.id}: {count - there} of {plural(count, 'file')} not there; --present checks the others, as of a committed run")
    added = added_files(run) if status != "running" else []
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
