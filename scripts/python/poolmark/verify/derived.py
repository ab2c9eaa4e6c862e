# SPDX-License-Identifier: Apache-2.0
"""Compares the tables beside a record (summary.md, summary.csv, bench.md ...) with what run.json and the raw files give now.

    check(run, account)          adds the faults to account.wrong, and what could not be compared to account.left
    compare(name, found, made, account, whole)

A record of this very commit, without changes, must give each table as it is, line for line (`whole`). Another version may have worded or
arranged a table otherwise: then rows are compared by their labels, columns by their names, and lines that have no counterpart are
counted as of another version.
"""
import csv
import functools
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from poolmark.account import kernel
from poolmark.base.errors import PoolmarkError
from poolmark.facts import facts
from poolmark.records import tables
from poolmark.limits import told
from poolmark.records.read_record import Run
from poolmark.verify import above, bench_again
from poolmark.verify.account import Account

OTHER_VERSION = "of tables as another version made them"
NOT_MADE = "tables that cannot be made again"
SHOWN = 5       # differences named for one file
WRONG_DATA = (KeyError, TypeError, AttributeError, ValueError, IndexError, ZeroDivisionError, OverflowError)
# The columns that name a row of a table; a file without an entry is compared row by row.
KEYS = {"summary.csv": ("cell",), "bench.csv": ("benchmark", "metric"), "kernel.csv": ("state", "figure"),
        "sensitivity.csv": ("trial", "comparison", "cell", "metric")}


@functools.cache
def _this_commit() -> str:
    return facts.tree_commit()[0]


def same_version(data: Mapping[str, Any]) -> bool:
    """Whether this very version made the record: then its tables are compared word for word."""
    commit = data["tool"]["commit"]
    return data["tool"]["dirty"] is False and bool(commit != "unknown" and commit == _this_commit())


# --- two texts


def _marked(text: str) -> list[tuple[str, str, str]]:
    """(head of its table, label, line) of each line; head and label are empty outside of tables."""
    lines = [line.strip() for line in text.splitlines()]
    found: list[tuple[str, str, str]] = []
    head = ""
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            # A blank line within a table is a template's; a table ends with other text.
            head = head if not line else ""
        elif number + 1 < len(lines) and not set(_next(lines, number)) - set("|-: "):
            head = line
        label = line.split("|")[1].strip().strip("*") if line.startswith("|") and head else ""
        if line:
            found.append((head if line.startswith("|") else "", label, line))
    return found


def _next(lines: list[str], number: int) -> str:
    """The next line that is not blank; a text that is no rule of a table when there is none."""
    return next((line for line in lines[number + 1:] if line), "x") if lines[number].startswith("|") else "x"


def _quoted(line: str) -> str:
    return line if len(line) <= 160 else line[:157] + "..."


def _markdown(name: str, found: str, made: str, whole: bool) -> tuple[list[str], list[str]]:
    """(faults, lines of another version). Which fields are marked as the best (**) is a version's own."""
    if not whole:
        found, made = found.replace("**", ""), made.replace("**", "")
    theirs, ours = _marked(found), _marked(made)
    extra, gone = Counter(theirs), Counter(ours)
    extra, gone = extra - gone, gone - extra
    instead = {(head, label): line for head, label, line in gone if head}
    wrong: list[str] = []
    other: list[str] = []
    for head, label, line in extra:
        there = instead.pop((head, label), None)
        if there is not None:
            wrong.append(f"{name}: says {_quoted(line)!r}, and the record gives {_quoted(there)!r}")
        else:
            (wrong if whole else other).append(f"{name}: says {_quoted(line)!r}, which the record does not give")
    if whole:
        wrong += [f"{name}: lacks {_quoted(line)!r}" for head, label, line in gone if not head or (head, label) in instead]
    return wrong, other


def _same_field(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False


def _rows(text: str, keys: tuple[str, ...]) -> tuple[list[str], dict[tuple[str, ...], dict[str, str]]]:
    """(columns, {key: row}). ValueError for a line of another number of fields, and for two rows of one key."""
    reader = csv.DictReader(io.StringIO(text))
    columns = list(reader.fieldnames or [])
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has another number of fields than the header")
        key = tuple(row.get(one, "") for one in keys) if keys else (str(number),)
        if key in rows:
            raise ValueError(f"two rows are of {', '.join(key)}")
        rows[key] = row
    return columns, rows


def _csv(name: str, found: str, made: str, whole: bool) -> tuple[list[str], list[str]]:
    keys = KEYS.get(name, ())
    try:
        columns, rows = _rows(found, keys)
    except (ValueError, csv.Error) as error:
        return [f"{name}: {error}"], []
    wanted, expected = _rows(made, keys)
    if keys and not set(keys) <= set(columns):
        return [f"{name}: the column {next(key for key in keys if key not in columns)} is missing"], []
    wrong: list[str] = []
    other: list[str] = []
    for key in [*rows, *(key for key in expected if key not in rows)]:
        if key not in rows or key not in expected:
            text = f"{name}: row {', '.join(key)}: " + ("the record does not give it" if key in rows else "is missing")
            (wrong if keys or whole else other).append(text)
            continue
        wrong += [f"{name}: row {', '.join(key)}, {column}: says {_quoted(rows[key][column])!r}, and the record gives "
                  f"{_quoted(expected[key][column])!r}" for column in wanted if column in rows[key]
                  and not _same_field(rows[key][column], expected[key][column])]
    for column in set(columns) ^ set(wanted):
        (wrong if whole else other).append(f"{name}: column {column}: " + ("the record does not give it" if column in columns
                                                                          else "is missing"))
    return wrong, other


def compare(name: str, found: str, made: str, account: Account, whole: bool) -> None:
    """`name`: the file's own, without its folder. `whole`: it has to be as it is made now, line for line."""
    if found == made:
        account.tables += 1
        return
    if name.endswith(".csv"):
        wrong, other = _csv(name, found, made, whole)
    elif name.endswith(".md"):
        wrong, other = _markdown(name, found, made, whole)
    else:
        wrong, other = ([f"{name}: is not as the record gives it"], []) if whole else ([], [name])
    account.tables += not wrong
    account.wrong += wrong[:SHOWN] + ([f"{name}: {len(wrong) - SHOWN} more differences"] if len(wrong) > SHOWN else [])
    for text in other:
        account.leave(OTHER_VERSION, text)


# --- the tables of a record


def _suite(run: Run) -> dict[str, str]:
    config = run.data.get("config", {})
    title = str(config.get("title") or run.data.get("suite"))
    return tables.documents(run.data, title, config.get("ratios") or [])


def _limit(run: Run) -> dict[str, str]:
    return {"limit.md": told.markdown(run.data), "limit.csv": told.csv(run.data)}


NAMES = {"suite": tables.NAMES, "bench": ("bench.md", "bench.csv"), "kernel": (kernel.MARKDOWN, kernel.CSV),
         "claims": ("claims.md", "claims.html"), "limit": ("limit.md", "limit.csv"), "sensitivity": ("sensitivity.md", "sensitivity.csv")}
MAKERS: dict[str, Callable[[Run], dict[str, str]]] = {
    "suite": _suite, "bench": bench_again.documents, "kernel": lambda run: kernel.documents(run.data), "limit": _limit}


def _kind(data: Mapping[str, Any]) -> str:
    if data["kind"] == "nightly":
        return "sensitivity" if data.get("suite") == "sensitivity" else ""
    return "suite" if data["kind"] == "steps" else str(data["kind"])


def check(run: Run, account: Account, where: str = "") -> None:
    kind = _kind(run.data)
    there = [name for name in NAMES.get(kind, ()) if (run.folder / name).is_file()]
    if not there or run.data["status"] == "running":
        return
    try:
        made = MAKERS[kind](run) if kind in MAKERS else above.needed(kind).documents(run)
        whole = same_version(run.data)
    except (PoolmarkError, *WRONG_DATA) as error:
        account.leave(NOT_MADE, f"{where}{', '.join(there)}: {error}")
        return
    before = len(account.wrong)
    for name in there:
        if name not in made:
            account.leave(NOT_MADE, where + name)
            continue
        try:
            with open(run.folder / name, encoding="utf-8", newline="") as file:
                compare(name, file.read(), made[name], account, whole)
        except (OSError, UnicodeDecodeError) as error:
            account.wrong.append(f"{name}: cannot be read: {error}")
    account.wrong[before:] = [where + text for text in account.wrong[before:]]
