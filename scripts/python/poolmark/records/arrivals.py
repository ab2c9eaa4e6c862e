# SPDX-License-Identifier: Apache-2.0
"""Arrivals of a burst, told apart by whether their target was expanding a pool meanwhile.

An arrival is a line of arrivals.csv: from the intended time to CONNACK. An expansion is a line of its target's events.csv, from
`duration_ns` before `at_ns` to `at_ns`. Both clocks are the monotonic one of the host. An arrival during which any pool of its
target expanded, if only for a part of its time, is `expanding`; all others are `steady`. It may have waited for that
expansion or for something else: a connect that takes longer also meets more expansions.
"""
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path

from poolmark.base.curves import read_csv
from poolmark.base.errors import RecordError
from poolmark.base.forms import PhaseData, RecordData, Row, Taker
from poolmark.base.units import whole
from poolmark.records.hlog import percentile_rank, percentile_takes
from poolmark.records.read_record import load

PERCENTILES: tuple[tuple[str, float], ...] = (("p50", 50.0), ("p99", 99.0), ("p99_9", 99.9))


def expansions(path: Path) -> list[tuple[int, int]]:
    """(begin, end) of the expansions, in order and joined where they overlap."""
    found = sorted((row["at_ns"] - (row.get("duration_ns") or 0), row["at_ns"]) for row in read_csv(path, ("pool", "event"))
                   if row.get("event") == "expand" and row.get("at_ns") is not None)
    joined: list[tuple[int, int]] = []
    for begin, end in found:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def meets(spans: list[tuple[int, int]], ends: list[int], begin: int, end: int) -> bool:
    """Whether one of `spans` overlaps [begin, end]. `ends`: the ends of the spans, rising."""
    place = bisect_left(ends, begin)
    return place < len(spans) and spans[place][0] <= end


def split(rows: list[Row], events: list[Path], targets: int) -> dict[str, list[int]]:
    """{"expanding": latencies, "steady": latencies}. Each instance of the broker has one of `events`, and an equal share of the
    `targets` (addresses), in order."""
    spans = [expansions(path) for path in events]
    ends = [[end for _, end in one] for one in spans]
    share = max(1, targets // len(events))
    found: dict[str, list[int]] = {"expanding": [], "steady": []}
    for row in rows:
        instance, begin, end = min(row["target"] // share, len(events) - 1), row["intended_ns"], row["connected_ns"]
        found["expanding" if meets(spans[instance], ends[instance], begin, end) else "steady"].append(end - begin)
    return found


def have_one_clock(folders: Iterable[Path], read: Callable[[Path], RecordData]) -> bool:
    """False when the program of one of these records could not read its time namespace: its times may be by another clock than the others'."""
    return all(read(folder).get("clock", "host") is not None for folder in folders if (folder / "run.json").is_file())


BY_RANK = "rank p n to the nearest"    # in summary.percentiles of loads whose percentiles are all by hlog.percentile_rank


def percentile(values: list[int], percent: float, older: bool = False) -> int | None:
    """Of the sorted values the one of its rank; None with too few of them (hlog.percentile_takes). `older`: the least that `percent` of them do
    not exceed, as versions before had it."""
    if len(values) < percentile_takes(percent):
        return None
    if older:
        return values[max(0, math.ceil(len(values) * percent / 100 - 1e-6) - 1)]
    return values[percentile_rank(len(values), percent) - 1]


def instance_of(path: Path) -> int:
    """The number in broker-12/events.csv."""
    return whole(path.parent.name.rpartition("-")[2]) or 0


def gets_and_hits(path: Path, from_ns: int, to_ns: int) -> tuple[int, int]:
    """Gets and hits of a broker's pools between two instants, to the second: pools.csv has a line of each pool a second. No gets when
    a pool has no statistics."""
    first: dict[str, Row] = {}
    last: dict[str, Row] = {}
    for row in read_csv(path, ("pool", "strategy")):
        pool, at_ns = row["pool"], row["at_ns"] or 0
        if at_ns <= from_ns or pool not in first:
            first[pool] = row
        if pool not in last or (last[pool]["at_ns"] or 0) < to_ns:
            last[pool] = row
    if any(row.get("gets", 0) is None for row in last.values()):
        return 0, 0
    gets, hits = (sum((last[pool].get(name) or 0) - (first[pool].get(name) or 0) for pool in last) for name in ("gets", "hits"))
    return gets, hits


def read_data(folder: Path) -> RecordData:
    return load(folder).data


def take_hit_rate(cell: Taker, folder: Path, phase: PhaseData, pool_files: list[Path], read: Callable[[Path], RecordData] = read_data) -> None:
    """Adds arrivals.pool_hit_rate: of the target's pools, from the first to the last line of the phase's memory.csv. Without a value where these
    have no one clock."""
    if not have_one_clock([folder, *(path.parent for path in pool_files)], read):
        cell.metric(f"{phase['prefix']}arrivals.pool_hit_rate", None, "%", "higher")
        return
    times = [row["at_ns"] for row in read_csv(folder / "memory.csv", ("phase",)) if row.get("at_ns") is not None]
    counts = [gets_and_hits(path, min(times), max(times)) for path in pool_files if path.is_file()] if times else []
    gets, hits = sum(one[0] for one in counts), sum(one[1] for one in counts)
    cell.metric(f"{phase['prefix']}arrivals.pool_hit_rate", 100 * hits / gets if gets else None, "%", "higher")


def take(cell: Taker, folder: Path, phase: PhaseData, events: list[Path],
         read: Callable[[Path], RecordData] = read_data) -> None:
    """Adds arrival_expanding.* and arrival_steady.* of a phase. `events`: the events.csv of each instance of the broker. `read`
    returns the record in a folder. Where generator and brokers have no one clock, which arrivals met an expansion is not known: the numbers have no
    value, and there are no latencies."""
    if missing := [path for path in events if not path.is_file()]:
        raise RecordError(missing[0], "", "is not there: which arrivals met an expansion is not known")
    if not have_one_clock([folder, *(path.parent for path in events)], read):
        for name in ("expanding", "steady"):
            cell.metric(f"{phase['prefix']}arrival_{name}.count", None, "1", "none")
        return
    rows = [row for row in read_csv(folder / "arrivals.csv", ()) if None not in row.values()]
    data = read(folder)
    targets = sum(len(one.split(",")) for one in data.get("config", {}).get("targets") or [])
    older = BY_RANK not in str((data.get("summary") or {}).get("percentiles"))
    for name, values in split(rows, sorted(events, key=instance_of), targets).items():
        values.sort()
        prefix = f"{phase['prefix']}arrival_{name}"
        cell.metric(f"{prefix}.count", len(values), "1", "none")
        if not values:
            continue
        for short, percent in PERCENTILES:
            cell.metric(f"{prefix}.{short}", percentile(values, percent, older), "ns", "lower")
        cell.metric(f"{prefix}.max", values[-1], "ns", "lower")
        cell.metric(f"{prefix}.mean", sum(values) / len(values), "ns", "lower")
