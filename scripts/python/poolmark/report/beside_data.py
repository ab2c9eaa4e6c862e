# SPDX-License-Identifier: Apache-2.0
"""Rows of the charts of a suite with two sides (records/beside.py): how much better a side is in each figure, and the times of both.

    better(source)           a row for each figure that both sides have and that has a direction
    times(source)            a row for each side of each figure that is a time
    side_colours(data)       side -> colour; the only strategy of a side has its own
"""
import math
import statistics
from collections.abc import Iterator

from poolmark.base.forms import Json, RecordData
from poolmark.base.units import show
from poolmark.records import beside, summary
from poolmark.records.beside import Line
from poolmark.records.read_record import Run
from poolmark.report.names import COLOURS, SPARE, contender
from poolmark.report.source import Source

NEITHER = "not told apart"
GREY = "#999999"


def runs_of(source: Source) -> list[Run]:
    return [run for run in source.runs if beside.asked(run.data)]


def sides_of(data: RecordData) -> list[str]:
    table = beside.asked(data)
    return [str(side) for side in table["sides"]] if table else []


def side_colours(data: RecordData) -> dict[str, str]:
    table = beside.asked(data) or {}
    found: dict[str, str] = {}
    for side in sides_of(data):
        ours = {contender(cell["config"]) for cell in data.get("cells", []) if str(cell["config"].get(table["axis"])) == side}
        own = COLOURS.get(ours.pop()) if len(ours) == 1 else None
        found[side] = own if own and own not in found.values() else next(one for one in SPARE if one not in found.values())
    return found


def _lines(source: Source) -> Iterator[tuple[Run, Line, Json]]:
    """Each figure, with the beginning of its row: its name, and the panel it is in."""
    runs = runs_of(source)
    for run in runs:
        for line in beside.lines(run.data):
            of = [*line.key[1:], *([run.id[-4:]] if len(runs) > 1 else [])]
            yield run, line, {"figure": f"{line.key[0]}: {beside.figure_label(line.metric)}", "of": ", ".join(of)}


def _drawable(*values: float) -> bool:
    """Whether a logarithmic axis has a place for all of them."""
    return all(value > 0 and math.isfinite(value) for value in values)


def better(source: Source) -> list[Json]:
    """How many times as good the first side is: above 1 it is better. Of times and bytes the other side's by its own, of rates its
    own by the other side's: the median of every ratio of two runs, with the lowest and the highest."""
    rows: list[Json] = []
    for run, line, row in _lines(source):
        ours, theirs = (side.values for side in line.sides)
        found = summary.ratio_spread(theirs, ours) if line.better == "lower" else summary.ratio_spread(ours, theirs)
        if line.better not in ("lower", "higher") or found is None or not _drawable(*found):
            continue
        won = line.won_by()
        rows.append(row | {"better": NEITHER if won is None else sides_of(run.data)[won], "times_as_good": found[0], "lowest": found[1],
                           "highest": found[2], "medians": " / ".join(side.text(line.unit) for side in line.sides)})
    return rows


def times(source: Source) -> list[Json]:
    """Medians of each side, with its lowest and highest run."""
    rows: list[Json] = []
    for run, line, row in _lines(source):
        for name, side in zip(sides_of(run.data), line.sides, strict=True):
            if line.unit == "ns" and side.values and _drawable(*side.values):
                rows.append(row | {"side": name, "time_ns": statistics.median(side.values), "shown": show(statistics.median(side.values), "ns"),
                                   "lowest_ns": min(side.values), "highest_ns": max(side.values), "runs": len(side.values)})
    return rows
