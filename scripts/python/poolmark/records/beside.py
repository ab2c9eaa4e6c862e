# SPDX-License-Identifier: Apache-2.0
"""The table of a suite that measures two sides in turn ([beside] in its file): a row for each figure of each scenario, a column for
each side, and the ratio of the first side to the second with its spread.

    asked(data)         the suite's [beside], None of another suite:
                        {"axis": "target", "sides": ["poolmark", "mosquitto"], "rows": ["scenario", "engine"],
                         "figures": {"churn": ["arrival.p99"]}, "difference": false}
    terminal(data), markdown(data, title), csv(data)
    shown(data)         (heads, rows) of the table, for a page

Everything is of run.json, so that `verify` makes the tables again. `config.impossible` of the record has the cells that were not made,
each with the reason; `config.backlogs` has how many connects wait in a side's listener.
"""
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from poolmark.base.forms import CellData, Config, Json, RecordData
from poolmark.base.table import csv_text, markdown_table, text_table
from poolmark.base.units import plural, show, show_count
from poolmark.records import summary

FILE = "beside.csv"
NOT_POSSIBLE = "not possible"
LABELS = {metric: label for label, metric in summary.ROWS} | {
    "messages.rate": "messages per second", "arrivals.seconds": "all are back after", "schedule.lag_p99": "behind the schedule, p99",
    "user_bytes": "user memory"}


def figure_label(metric: str) -> str:
    """For people: of `arrival.p99` its label, of `sensors.day.ack.p99` "ack p99 (sensors day)", of `step.1000.user_bytes` likewise."""
    words = metric.split(".")
    for at in range(len(words)):
        label = LABELS.get(".".join(words[at:]))
        if label:
            return f"{label} ({' '.join(words[:at])})" if at else label
    return metric


@dataclass
class Side:
    """What one side had of one figure."""

    values: list[float] = field(default_factory=list)
    runs: int = 0
    whole: bool = True      # every run is complete
    why: str = ""           # why it was not possible
    doubt: bool = False     # a figure may be disturbed

    def text(self, unit: str) -> str:
        if self.why:
            return f"{NOT_POSSIBLE}: {self.why}"
        middle = statistics.median(self.values) if self.values else None
        return summary.of_some(show(middle, unit), len(self.values), self.runs) + ("" if self.whole else "!") + (" ?" if self.doubt else "")


@dataclass
class Line:
    """A figure of a scenario, with both sides."""

    key: tuple[str, ...]    # the values of `rows`
    metric: str
    unit: str
    better: str             # lower, higher or none
    sides: list[Side]

    def label(self) -> str:
        figure = f": {figure_label(self.metric)}" if self.metric else ""
        return ", ".join(self.key) + figure

    def ratio(self) -> tuple[float, float, float] | None:
        return summary.ratio_spread(self.sides[0].values, self.sides[1].values)

    def won_by(self) -> int | None:
        """The side that is better in every ratio: 0 or 1; None when the ratios are on both sides of 1, or there is none."""
        found = self.ratio()
        if found is None or self.better not in ("lower", "higher") or found[1] <= 1 <= found[2]:
            return None
        return int((found[1] > 1) == (self.better == "lower"))

    def difference(self) -> float | None:
        """Of the medians: how much more the first side has."""
        ours, theirs = (side.values for side in self.sides)
        return statistics.median(ours) - statistics.median(theirs) if ours and theirs else None


def _texts(value: object, least: int = 1) -> bool:
    return isinstance(value, list) and len(value) >= least and all(isinstance(one, str) for one in value)


def asked(data: RecordData) -> Json | None:
    found = data.get("config", {}).get("beside")
    if not isinstance(found, dict) or not isinstance(found.get("axis"), str) or not _texts(found.get("rows")):
        return None
    figures, sides = found.get("figures"), found.get("sides")
    right = isinstance(figures, dict) and all(map(_texts, figures.values())) and _texts(sides, 2) and len(found["sides"]) == 2
    return found if right else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def impossible(data: RecordData) -> list[Json]:
    return [one for one in _list(data.get("config", {}).get("impossible"))
            if isinstance(one, dict) and isinstance(one.get("config"), dict) and isinstance(one.get("why"), str)]


def _key(rows: list[str], config: Config) -> tuple[str, ...]:
    return tuple(str(config.get(name)) for name in rows)


def _side(cells: list[CellData], why: str, metric: str) -> Side:
    return Side(summary.values(cells, metric), len(cells), all(cell["status"] == "complete" for cell in cells), why,
                any("doubt" in cell["metrics"].get(metric, ()) for cell in cells))


def lines(data: RecordData) -> Iterator[Line]:
    """In the order of the suite's figures. What was neither measured nor impossible, as with --only, has no line."""
    table = asked(data)
    assert table is not None
    grouped: dict[tuple[str, ...], dict[str, list[CellData]]] = {}
    for cell in data.get("cells", []):
        grouped.setdefault(_key(table["rows"], cell["config"]), {}).setdefault(str(cell["config"].get(table["axis"])), []).append(cell)
    reasons: dict[tuple[str, ...], dict[str, str]] = {}
    for one in impossible(data):
        reasons.setdefault(_key(table["rows"], one["config"]), {})[str(one["config"].get(table["axis"]))] = one["why"]
    order = list(table["figures"])
    keys = [*grouped, *(key for key in reasons if key not in grouped)]
    for key in sorted(keys, key=lambda key: order.index(key[0]) if key[0] in order else len(order)):
        cells, why = grouped.get(key, {}), reasons.get(key, {})
        for metric in table["figures"].get(key[0], []) if cells else [""]:
            of = [_side(cells.get(side, []), why.get(side, ""), metric) for side in table["sides"]]
            known = next((cell["metrics"][metric] for found in cells.values() for cell in found if metric in cell["metrics"]), None)
            yield Line(key, metric, known["unit"] if known else "", known["better"] if known else "none", of)


def _ratio_texts(line: Line) -> list[str]:
    found = line.ratio()
    return ["-", "-"] if found is None else [f"{found[0]:.2f}", f"{found[1]:.2f} to {found[2]:.2f}"]


def _difference_text(line: Line) -> str:
    more = line.difference()
    return "-" if more is None else f"{'-' if more < 0 else '+'}{show(abs(more), line.unit)}"


def shown(data: RecordData) -> tuple[list[str], list[list[str]]]:
    table = asked(data)
    assert table is not None
    head = ["measure", *table["sides"], "ratio", "lowest to highest", *(["difference"] if table.get("difference") else [])]
    return head, [[line.label(), *(side.text(line.unit) for side in line.sides), *_ratio_texts(line),
                   *([_difference_text(line)] if table.get("difference") else [])] for line in lines(data)]


def answer(data: RecordData) -> str:
    """One sentence: in how many figures each side is better."""
    table, every = asked(data), list(lines(data))
    assert table is not None
    judged = [line for line in every if line.better in ("lower", "higher") and line.ratio() is not None]
    won = Counter(line.won_by() for line in judged)
    sides = table["sides"]
    return (f"{sides[0]} beside {sides[1]}: of {plural(len(judged), 'figure')} that both have, {sides[0]} is better in {won[0]} and {sides[1]} "
            f"in {won[1]}, each by every ratio of two of their runs; in {won[None]} the ratios are on both sides of 1, which tells nothing.")


def remarks(data: RecordData) -> list[str]:
    found = data.get("config", {}).get("backlogs")
    backlogs = found if isinstance(found, dict) else {}
    told = ", ".join(f"{side} {show_count(count)}" for side, count in backlogs.items() if isinstance(count, int))
    return [f"Connects that wait in a listener, at most (its backlog): {told}."] if told else []


def troubles(data: RecordData) -> list[str]:
    """Cells that are not complete, with what was noticed; of all others only how often."""
    bad = [cell for cell in data.get("cells", []) if cell["status"] != "complete"]
    found = summary.notes(data, bad)
    counted = Counter(one["what"] for cell in data.get("cells", []) if cell["status"] == "complete" for one in cell.get("anomalies", []))
    if counted:
        found.append("Noticed in complete cells (run.json has each): " + ", ".join(f"{what} {count}" for what, count in counted.items()))
    return found


def shortened(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """(the rows of `shown` without reasons, the reason of each row that has one): a narrow table, and what stands below it."""
    reasons = {row[0]: cell.removeprefix(f"{NOT_POSSIBLE}: ") for row in rows for cell in row[1:] if cell.startswith(NOT_POSSIBLE)}
    short = [[NOT_POSSIBLE if cell.startswith(NOT_POSSIBLE) else cell for cell in row] for row in rows]
    return short, [f"{name}: {NOT_POSSIBLE}: {why}" for name, why in reasons.items()]


def terminal(data: RecordData) -> str:
    head, rows = shown(data)
    short, reasons = shortened(rows)
    told = reasons + remarks(data) + [f"! {text}" for text in troubles(data)]
    return "\n\n".join([text_table(head, short), *(["\n".join(told)] if told else [])])


def markdown(data: RecordData, title: str) -> str:
    head, rows = shown(data)
    what = f"Cells with a ! are not complete. {plural(len(rows), 'row')}; {FILE} has them with lowest and highest of each side."
    return summary.page(data, title, [markdown_table(head, rows), ""], [*remarks(data), what], troubles(data))


def csv(data: RecordData) -> str:
    table = asked(data)
    assert table is not None
    head = [*table["rows"], "figure", "unit"]
    for side in table["sides"]:
        head += [f"{side} {what}" for what in ("runs", "median", "lowest", "highest", "why not")]
    made: list[list[object]] = []
    for line in lines(data):
        row: list[object] = [*line.key, line.metric, line.unit]
        for side in line.sides:
            known = side.values
            row += [len(known), *((statistics.median(known), min(known), max(known)) if known else ("", "", "")), side.why]
        row += line.ratio() or ("", "", "")
        more = line.difference()
        made.append([*row, "" if more is None else more])
    return csv_text([*head, "ratio", "ratio lowest", "ratio highest", "difference"], made)
