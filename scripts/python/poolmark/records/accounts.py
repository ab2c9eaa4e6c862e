# SPDX-License-Identifier: Apache-2.0
"""User memory of the reference broker by account: from account.csv of its instances to a cell's metrics, and from these to tables.

    take(cell, [folder / "account.csv" ...])       metrics account.objects_bytes ... of a cell
    rows = table(cell["metrics"])                  a line for each account: words, bytes, bytes a connection, share

A line of account.csv is the process at one time (`broker/bytes.h`). Of each instance three count: `full`, the first of those with the most
connections, to 1 %; `late`, the last of these; `end`, when the broker ended. Instances are added up. The accounts add up to PSS;
`rest` is what is not accounted for.
"""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.curves import read_csv
from poolmark.base.errors import RecordError
from poolmark.base.forms import MetricData, Row, Taker, value_of
from poolmark.base.units import show_bytes, show_count

FILE = "account.csv"
TEXT_COLUMNS = ("moment",)
LEVEL_SHARE = 0.01      # of the most connections: as many, for `full` and `late`
BOUND = 0.01            # of PSS: what may be not accounted for

# The accounts in the order of tables. tests/py/test_accounts.py compares them with the broker's catalogue.
ACCOUNTS = {
    "objects": "objects of connections", "arenas": "arena blocks, with the sessions", "buffers": "read and write buffers",
    "messages": "messages", "sessions": "queues and windows of sessions", "subscriptions": "subscriptions and the tree of filters",
    "retained": "tree of retained topics", "tables": "tables of sessions and connections", "loops": "event loops",
    "reserve": "reserve of the pools", "bookkeeping": "bookkeeping of the pools", "rounding": "headers and rounding of the allocator",
    "free": "free in the heap", "program": "the program before its pools", "stacks": "stacks", "data": "data of program and libraries",
    "code": "code and other pages of files", "rest": "not accounted for"}
SUMS = {"pss": "all: PSS", "anonymous": "of it anonymous", "huge": "of that in huge pages"}
OF_MOMENTS = ("free", "reserve", "rest", *SUMS)     # also told of `late` and `end`


@dataclass(frozen=True)
class Moments:
    full: Row
    late: Row
    end: Row


def read(path: Path) -> list[Row]:
    """The lines of account.csv. RecordError when a column is missing or a line is broken."""
    rows = read_csv(path, TEXT_COLUMNS)
    for name in ("at_ns", "connections", *(f"{one}_bytes" for one in (*ACCOUNTS, *SUMS))):
        if any(row.get(name) is None for row in rows):
            raise RecordError(path, name, "has no value in some line")
    return rows


def moments(rows: list[Row]) -> Moments | None:
    """None without a line. Lines of the end come after the clients have left, so `end` is not `full` unless nobody ever came."""
    if not rows:
        return None
    most = max(row["connections"] for row in rows)
    level = [row for row in rows if row["connections"] >= (1 - LEVEL_SHARE) * most]
    served = [row for row in level if row["moment"] != "end"] or level
    return Moments(served[0], served[-1], rows[-1])


def add(cell: Taker, prefix: str, rows: list[Row], names: Iterable[str]) -> None:
    """The metrics of one line of each instance."""
    for name in names:
        cell.metric(f"{prefix}.{name}_bytes", sum(row[f"{name}_bytes"] for row in rows), "B")
    cell.metric(f"{prefix}.connections", sum(row["connections"] for row in rows), "1")


def take(cell: Taker, files: list[Path]) -> None:
    """Takes the metrics of all instances. Nothing of a broker that wrote none (an older version, or it could not read its memory)."""
    if not files or not all(path.is_file() for path in files):
        return
    known = [one for path in files if (one := moments(read(path))) is not None]
    if len(known) < len(files):
        return
    add(cell, "account", [one.full for one in known], (*ACCOUNTS, *SUMS))
    add(cell, "account.late", [one.late for one in known], OF_MOMENTS)
    add(cell, "account.end", [one.end for one in known], OF_MOMENTS)


def has(metrics: Mapping[str, MetricData]) -> bool:
    return value_of(metrics, "account.pss_bytes") is not None


def each(metrics: Mapping[str, MetricData], name: str) -> float | None:
    """Bytes a connection of an account; None without connections."""
    value, connections = value_of(metrics, f"account.{name}_bytes"), value_of(metrics, "account.connections")
    return value / connections if value is not None and connections else None


def unaccounted(metrics: Mapping[str, MetricData]) -> float | None:
    """What no account has, as a share of PSS; below 0 where the accounts have more than there is."""
    rest, whole = value_of(metrics, "account.rest_bytes"), value_of(metrics, "account.pss_bytes")
    return rest / whole if rest is not None and whole else None


@dataclass(frozen=True)
class Line:
    name: str
    words: str
    bytes: float
    each: float | None
    share: float        # of PSS


def lines(metrics: Mapping[str, MetricData]) -> list[Line]:
    """Accounts without a byte are left out, except `rest`."""
    whole = value_of(metrics, "account.pss_bytes") or 0.0
    found = []
    for name, words in (ACCOUNTS | SUMS).items():
        value = value_of(metrics, f"account.{name}_bytes")
        if value is not None and (value != 0 or name == "rest"):
            found.append(Line(name, words, value, each(metrics, name), value / whole if whole else 0.0))
    return found


HEAD = ["account", "bytes", "a connection", "share"]


def table(metrics: Mapping[str, MetricData]) -> list[list[str]]:
    return [[one.words, show_bytes(one.bytes), show_bytes(one.each), f"{100 * one.share:.1f} %"] for one in lines(metrics)]


def shown(value: float | None) -> str:
    """Bytes of a connection: all digits, for they are added up; one decimal where they are few."""
    return "-" if value is None else f"{value:.1f}" if abs(value) < 10 and value != round(value) else show_count(value)


def comparison(columns: Mapping[str, Mapping[str, MetricData]]) -> tuple[list[str], list[list[str]]]:
    """(head, rows): bytes a connection, a column for each configuration. Rows without a byte in any are left out."""
    head = ["bytes a connection", *columns]
    rows = [[words, *(shown(each(metrics, name)) for metrics in columns.values())] for name, words in (ACCOUNTS | SUMS).items()
            if name == "rest" or any(value_of(metrics, f"account.{name}_bytes") for metrics in columns.values())]
    rows.append(["not accounted for, of PSS", *("-" if (share := unaccounted(metrics)) is None else f"{100 * share:.2f} %"
                                                for metrics in columns.values())])
    return head, rows


def heap(metrics: Mapping[str, MetricData]) -> list[list[str]]:
    """What is kept without use: free heap and reserve when all were connected, at the last time of that, and at the end."""
    found = []
    for prefix, words in (("account", "all connected"), ("account.late", "the last time of that"), ("account.end", "at the end")):
        values = [value_of(metrics, f"{prefix}.{name}_bytes") for name in ("free", "reserve", "huge", "anonymous", "pss")]
        if values[-1] is not None:
            found.append([words, show_count(value_of(metrics, f"{prefix}.connections")), *map(show_bytes, values)])
    return found


HEAP_HEAD = ["when", "connections", "free in the heap", "reserve", "in huge pages", "anonymous", "PSS"]
