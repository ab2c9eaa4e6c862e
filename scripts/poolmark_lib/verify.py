# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark verify RUN...: is each record as it was when its run ended?

Checks run.json against the schema and every file against its checksum. Exit 0: all as it was; 1: something is not;
2: something is no record at all.
"""
import sys

from poolmark_lib.errors import UsageError
from poolmark_lib.read_record import added_files, check_files, load
from poolmark_lib.units import plural


def add_arguments(parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--present", action="store_true",
                        help="only files that are there: a committed run may leave its raw files out")


def verify(where, present: bool) -> int:
    try:
        run = load(where)
    except UsageError as error:
        print(f"poolmark verify: {error}", file=sys.stderr)
        return 2
    wrong = check_files(run, present)
    status, count = run.data["status"], len(run.data.get("files", {}))
    there = sum((run.folder / name).is_file() for name in run.data.get("files", {}))
    if status == "running":
        wrong.append("run.json: says it is still running; a run that was killed stays so, without checksums")
    for text in wrong:
        print(f"{run.id}: {text}")
    if there < count and not present:
        print(f"{run.id}: {count - there} of {plural(count, 'file')} not there; --present checks the others, as of a committed run")
    added = added_files(run) if status != "running" else []
    if added:
        print(f"{run.id}: came after the run's end, not checked: {', '.join(added)}")
    cells = run.data.get("cells", [])
    if not wrong:
        part = f"{there} of {count} files" if there < count else plural(count, "file")
        print(f"{run.id}: good; {status}, {plural(len(cells), 'cell')}, {part} as recorded")
    return 1 if wrong else 0


def run(args) -> int:
    return max(verify(where, args.present) for where in args.runs)
