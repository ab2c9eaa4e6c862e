# SPDX-License-Identifier: Apache-2.0
"""Which runs a record rests on: a merge has others in it, and these may be merges too.

    ways(data)              of each run in it, how it got there: (record, merge in it, run)
    counted_twice(records)  a sentence: a run that these records, taken together, have more than once; "" when there is none
    shared(one, other)      a sentence: what two records both have; "" when nothing

A run is known by its id, and by its programs' records: each of these has an id of its own, so no two runs have one with the same checksum.
The second finds a run under another name, and merges of merges from before `sources` named the runs of a source.
"""
from collections.abc import Sequence
from pathlib import PurePosixPath

from poolmark.base.forms import RecordData

Way = tuple[str, ...]
SHOWN = 3


def ways(data: RecordData) -> list[Way]:
    """From the record's own id to the run's; of a record that is no merge, its id alone."""
    found: list[Way] = []
    for one in data.get("sources", []):
        way = (data["id"], one["id"])
        found += [(*way, name) for name in one["runs"]] if one.get("runs") else [way]
    return found or [(data["id"],)]


def runs_in(data: RecordData) -> set[str]:
    """The ids of the record, of all that it was joined from, and of the runs that its cells name."""
    return {name for way in ways(data) for name in way} | {cell["source"] for cell in data.get("cells", []) if "source" in cell}


def _programs(data: RecordData) -> dict[str, list[str]]:
    """{checksum: the files with it} of the records of programs, and of rounds of benchmarks."""
    found: dict[str, list[str]] = {}
    for name, one in data.get("files", {}).items():
        file = PurePosixPath(name)
        if len(file.parts) > 1 and (file.name == "run.json" or file.name.startswith("round_")) and one["bytes"]:
            found.setdefault(one["sha256"], []).append(name)
    return found


def _named(way: Way, several: bool) -> str:
    inside = way[:-1] if several else way[1:-1]
    return f"in {', in '.join(reversed(inside))}" if inside else "by itself"


def counted_twice(records: Sequence[RecordData]) -> str:
    several = len(records) > 1
    found: dict[str, list[Way]] = {}
    for data in records:
        for way in ways(data):
            found.setdefault(way[-1], []).append(way)
    for name, every in found.items():
        if len(every) > 1:
            return f"the run {name} is there {len(every)} times: {' and '.join(_named(way, several) for way in every[:SHOWN])}"
    files: dict[str, list[str]] = {}
    for data in records:
        for checksum, names in _programs(data).items():
            files.setdefault(checksum, []).extend(f"{data['id']}: {name}" if several else name for name in names)
    same = next((names for names in files.values() if len(names) > 1), None)
    return f"one run is there {len(same)} times, by whatever names: {' and '.join(same[:SHOWN])} are one file" if same else ""


def shared(one: RecordData, other: RecordData) -> str:
    both = sorted(runs_in(one) & runs_in(other)) if one["id"] != other["id"] else []
    if both:
        return ", ".join(both)
    ours, theirs = _programs(one), _programs(other)
    checksum = next((checksum for checksum in ours if checksum in theirs), None)
    return f"one run ({ours[checksum][0]} and {theirs[checksum][0]} are one file)" if checksum else ""
