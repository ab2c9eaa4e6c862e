# SPDX-License-Identifier: Apache-2.0
"""The rounds of `scripts/poolmark soak`, their figures and the verdicts. All functions but read and write are pure.

rounds.csv has a line for each round: what the broker had when all clients of that round had left, and what was checked meanwhile.

    rows = read(folder / "rounds.csv")
    metrics = figures(rows, warm_up=2)      # the first two rounds are the warm-up
    verdicts(metrics, rows, warm_up=2)      # {"memory": {"verdict": "holds", "why": ...}, ...}
"""
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from poolmark.base.curves import read_csv
from poolmark.base.errors import RecordError
from poolmark.base.units import plural, show_bytes, show_count

MEMORY_PERCENT = 1.0    # more memory than after the warm-up is a leak
FEWEST = 2              # rounds after the warm-up, for a verdict
HOLDS, FAILS, UNTOLD = "holds", "does not hold", "cannot be told"


@dataclass
class Round:
    """None: not known."""
    round: int                      # from 1
    at_ns: int                      # monotonic clock, when the round had ended
    memory_bytes: int | None        # private memory of the broker
    descriptors: int | None
    objects_in_use: int | None      # of all pools
    messages_checked: int = 0
    messages_lost: int = 0          # did not arrive, arrived otherwise, or were not acknowledged
    clients_lost: int = 0           # failed or dropped, without those that were killed
    kills: int = 0
    records_not_complete: int = 0   # of the load generator


COLUMNS = [field.name for field in fields(Round)]


def line(row: Round) -> str:
    return ",".join("" if value is None else str(value) for value in asdict(row).values()) + "\n"


def read(path: Path) -> list[Round]:
    """RecordError when it is not such a file."""
    found = read_csv(path, ())
    for row in found:
        if list(row) != COLUMNS:
            raise RecordError(path, "line 1", f"has the columns {', '.join(row)}; they must be {', '.join(COLUMNS)}")
        if any(value is None for name, value in row.items() if name not in ("memory_bytes", "descriptors", "objects_in_use")):
            raise RecordError(path, "", f"round {row['round']} lacks a number")
    return [Round(**row) for row in found]


def _most(rows: list[Round], name: str) -> int | None:
    """The most of any row; None when one does not know it."""
    values = [getattr(row, name) for row in rows]
    return None if not values or None in values else max(values)


def figures(rows: list[Round], warm_up: int) -> dict[str, tuple[float | None, str, str]]:
    """{metric: (value, unit, better)}. `warm_up`: how many rounds are no part of the verdict."""
    warm, last = rows[:warm_up], rows[-1] if len(rows) > warm_up else None
    first_bytes, last_bytes = _most(warm, "memory_bytes"), last.memory_bytes if last else None
    more = 100 * (last_bytes - first_bytes) / first_bytes if first_bytes and last_bytes is not None else None
    before, after = _most(warm, "descriptors"), last.descriptors if last else None

    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows)

    return {"soak.rounds": (len(rows), "1", "none"), "soak.kills": (total("kills"), "1", "none"),
            "soak.messages_checked": (total("messages_checked"), "1", "higher"),
            "soak.messages_lost": (total("messages_lost"), "1", "lower"),
            "soak.clients_lost": (total("clients_lost"), "1", "lower"),
            "soak.memory_first_bytes": (first_bytes, "B", "none"), "soak.memory_last_bytes": (last_bytes, "B", "lower"),
            "soak.memory_more": (more, "%", "lower"),
            "soak.descriptors_more": (None if before is None or after is None else after - before, "1", "lower"),
            "soak.objects_left": (_most(rows, "objects_in_use"), "1", "lower")}


def _judge(holds: bool | None, why: str) -> dict[str, str]:
    return {"verdict": UNTOLD if holds is None else HOLDS if holds else FAILS, "why": why}


def verdicts(rows: list[Round], warm_up: int) -> dict[str, dict[str, str]]:
    """{name: {"verdict", "why"}} of the four promises. Of too few rounds none can be told."""
    value = {name: one[0] for name, one in figures(rows, warm_up).items()}
    enough = len(rows) >= warm_up + FEWEST
    few = f"{plural(max(0, len(rows) - warm_up), 'round')} after the warm-up; it takes {FEWEST}"
    more, descriptors, left = value["soak.memory_more"], value["soak.descriptors_more"], _most(rows, "objects_in_use")
    checked, lost, clients = (sum(getattr(row, name) for row in rows) for name in ("messages_checked", "messages_lost", "clients_lost"))
    broken = sum(row.records_not_complete for row in rows)

    def told(known: bool, holds: bool, why: str) -> dict[str, str]:
        return _judge(holds if enough and known else None, why if enough else few)

    return {
        "memory": told(more is not None, more is not None and more <= MEMORY_PERCENT, "it could not be read" if more is None else
                       f"{show_bytes(value['soak.memory_last_bytes'])} at the end, {show_bytes(value['soak.memory_first_bytes'])} after "
                       f"the warm-up: {more:+.2f} %, at most {MEMORY_PERCENT:+.0f} %"),
        "descriptors": told(descriptors is not None, descriptors is not None and descriptors <= 0, "they could not be counted"
                            if descriptors is None else f"{descriptors:+.0f} at the end against the warm-up"),
        "pools": told(left is not None, left == 0, "a pool keeps no statistics, or they could not be read" if left is None else
                      f"{plural(int(left), 'object')} in use when all clients have left, the most after any round"),
        "losses": told(bool(checked), lost == 0 and clients == 0 and broken == 0,
                       f"{show_count(lost)} of {show_count(checked)} messages lost, {plural(int(clients or 0), 'client')} failed or dropped, "
                       f"{plural(broken, 'record')} of the load not complete"),
    }
