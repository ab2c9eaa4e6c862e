# SPDX-License-Identifier: Apache-2.0
"""Reads memory.csv and pools.csv as numbers, and takes memory figures from them. The columns: results/README.md.

User memory is the target's private memory. PSS changes when other processes share the target's libraries. Where private
memory was not read, PSS is used, then RSS; `user_is` names the source. Memory at n connections is the median of the
readings while exactly n were open.
"""
import csv
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import RecordError
from poolmark.base.forms import RecordData, Row
from poolmark.base.units import signed

# Sources of user memory, the best first: the first that was read is used.
USER_COLUMNS = ("target_private_bytes", "target_pss_bytes", "target_rss_bytes")

LEVEL_BYTES, LEVEL_SHARE = 1 << 16, 0.001   # largest difference of two readings of a level target, as in loadgen/run.c
SOCKET_BYTES = 1024                         # least kernel memory of a connection: its socket alone takes more


def user_bytes(row: Row) -> int | None:
    return next((row[name] for name in USER_COLUMNS if row.get(name) is not None), None)


def kernel_bytes(row: Row) -> int | None:
    """Slab and TCP memory of the whole host."""
    slab = row.get("kernel_slab_bytes")
    return None if slab is None else slab + (row.get("kernel_tcp_bytes") or 0)


def read_csv(path: Path, text_columns: tuple[str, ...]) -> list[Row]:
    """Rows as dictionaries of numbers; None for an empty field. A last line that was cut off is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(path, "", f"cannot be read: {error}") from error
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        lines = lines[:-1]
    rows: list[Row] = []
    reader = csv.reader(lines)
    try:
        every = list(reader)
    except csv.Error as error:
        raise RecordError(path, f"line {reader.line_num}", str(error)) from error
    head = every[0] if every else None
    if not head:
        raise RecordError(path, "line 1", "there is no header")
    for number, cells in enumerate(every[1:], start=2):
        if len(cells) != len(head):
            raise RecordError(path, f"line {number}", f"has {len(cells)} fields, the header has {len(head)}")
        row: Row = {}
        for name, cell in zip(head, cells, strict=True):
            value = cell if name in text_columns else signed(cell) if cell else None
            if cell and value is None:
                raise RecordError(path, f"line {number}, {name}", f"{cell[:40]!r} is not a whole number")
            row[name] = value
        rows.append(row)
    return rows


@dataclass
class Point:
    """What was measured while exactly `connections` were open; None where nothing was read."""
    connections: int
    user_bytes: float | None
    rss_bytes: float | None
    kernel_bytes: float | None      # slab and TCP, of the whole host
    page_table_bytes: float | None
    cpu_ns: float | None            # CPU time of the target so far, at the first reading of this point
    generator_bytes: float | None
    at_ns: int
    last_ns: int
    user_is: str                    # private, pss or rss; "" where nothing was read


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


class MemoryCurve:
    def __init__(self, path: Path) -> None:
        self.rows = read_csv(path, ("phase",))
        for name in ("at_ns", "connections", "target_rss_bytes", "target_pss_bytes", "kernel_slab_bytes"):
            if self.rows and name not in self.rows[0]:
                raise RecordError(path, "line 1", f"the column {name} is missing")

    def most(self) -> int:
        return max((row["connections"] or 0 for row in self.rows), default=0)

    def at(self, connections: int) -> Point | None:
        """The point at `connections`, while connections grow: readings while clients leave do not count."""
        rows = []
        for row in self.rows:
            if (row["connections"] or 0) > connections:
                break
            if row["connections"] == connections:
                rows.append(row)
        if not rows:
            return None
        user = {name: _median(row.get(name) for row in rows) for name in USER_COLUMNS}
        user_is = next((name for name, value in user.items() if value is not None), "")
        cpu = next((row.get("target_cpu_ns") for row in rows if row.get("target_cpu_ns") is not None), None)
        return Point(connections, user.get(user_is), user["target_rss_bytes"], _median(map(kernel_bytes, rows)),
                     _median(row.get("kernel_page_table_bytes") for row in rows), cpu,
                     _median(row.get("generator_pss_bytes") for row in rows), rows[0]["at_ns"], rows[-1]["at_ns"],
                     user_is.removeprefix("target_").removesuffix("_bytes"))

    def reading(self, record: RecordData, name: str) -> Row | None:
        """The line that a load's record names "start", "low" or "full"; None when the record or the file has none."""
        at_ns = (record.get("readings") or {}).get(name)
        return next((row for row in self.rows if row["at_ns"] == at_ns), None) if at_ns is not None else None

    def points(self, counts: Iterable[int]) -> list[Point]:
        """The points at 0 and at `counts` that have readings."""
        found = [self.at(count) for count in sorted({0, *counts})]
        return [point for point in found if point is not None]


def pool_totals(paths: list[Path]) -> Row | None:
    """The last line of each pool of each instance, added up; None when there is no line. A column that is empty for one of them, whose
    strategy keeps no statistics, is None."""
    totals: Row = {}
    longest = 0
    unknown: set[str] = set()
    found = False
    for path in paths:
        last = {row["pool"]: row for row in read_csv(path, ("pool", "strategy"))}
        for row in last.values():
            found = True
            unknown |= {name for name, value in row.items() if value is None}
            longest = max(longest, row.get("longest_expansion_ns") or 0)
            for name, value in row.items():
                if isinstance(value, int) and name != "at_ns":
                    totals[name] = totals.get(name, 0) + value
    if not found:
        return None
    totals["longest_expansion_ns"] = longest
    totals.update(dict.fromkeys(unknown))
    return totals


def pools_at(paths: list[Path], at_ns: int) -> dict[str, dict[str, int | None]]:
    """Each pool's numbers at an instant, added over instances: the last line at or before it. None: not known."""
    sums: dict[str, dict[str, int | None]] = {}
    for path in paths:
        last: dict[str, Row] = {}
        for row in read_csv(path, ("pool", "strategy")):
            if (row["at_ns"] or 0) <= at_ns or row["pool"] not in last:
                last[row["pool"]] = row
        for pool, row in last.items():
            into = sums.setdefault(pool, {"object_bytes": row.get("object_bytes")})
            for name in ("owned", "in_use", "bytes_owned", "overhead_bytes"):
                value, sum_ = row.get(name, 0), into.get(name, 0)
                into[name] = None if value is None or sum_ is None else sum_ + value
    return sums
