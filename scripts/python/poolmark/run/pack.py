# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark pack RUN...: compresses records that are kept; --undo brings the files back.

run.json and the raw files go into run.zip. The seal and the tables for people (Markdown, CSV and SVG in the run's folder itself) stay
beside it, and so does what was added after the run's end. Every command reads a packed record as any other. Seal and checksums are of the
unpacked contents and stay as they were: packing changes no figure and hides no edit. A record that is not as it was when its run ended
is not packed.
"""
import argparse

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.paths import for_people
from poolmark.base.table import clean
from poolmark.base.units import plural
from poolmark.records import packed
from poolmark.records.read_record import Run, check_files, load

FOR_PEOPLE = (".md", ".csv", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--undo", action="store_true", help="unpack: the folder is as before it was packed")


def raw_files(run: Run) -> list[str]:
    """The files of a record's list that go into run.zip, as far as they are there."""
    return [name for name in run.data.get("files", {})
            if (run.folder / name).is_file() and not (run.folder / name).is_symlink() and ("/" in name or not name.endswith(FOR_PEOPLE))]


def pack(run: Run) -> str:
    """Packs one record; returns what was done."""
    if run.packed_in:
        packed.tidy(run.packed_in)
        return f"{for_people(run.packed_in)}: is packed"
    if run.data["status"] == "running":
        raise UsageError(f"{for_people(run.folder)}: has not ended; it is not packed")
    if wrong := check_files(run, present=True):
        raise PoolmarkError(f"{for_people(run.folder)}: is not as it was when its run ended: {clean('; '.join(wrong[:3]))}; it is not packed")
    names = raw_files(run)
    before = sum((run.folder / name).stat().st_size for name in [packed.RECORD, *names])
    after = packed.pack(run.folder, names).stat().st_size
    return f"{for_people(run.folder)}: {plural(1 + len(names), 'file')} of {before / 1e6:.2f} MB in {packed.PACKED} of {after / 1e6:.2f} MB"


def unpack(run: Run) -> str:
    """Undoes pack(); returns what was done."""
    if run.packed_in is None:
        return f"{for_people(run.folder)}: is not packed"
    packed.unpack(run.packed_in, run.folder)
    return f"{for_people(run.packed_in)}: is as before it was packed"


def run(args: argparse.Namespace) -> int:
    runs = [load(where) for where in args.runs]
    if len({one.home.resolve() for one in runs}) < len(runs):
        raise UsageError("a run was named twice")
    for one in runs:
        print((unpack if args.undo else pack)(one))
    return 0
