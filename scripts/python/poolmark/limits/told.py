# SPDX-License-Identifier: Apache-2.0
"""Answers and trials of a search as text, tables, Markdown, CSV and metrics of a record. A record's cell is either a trial (it has
`trial`) or the answer of a contender (the cell with the contender's name).

    cells_of(data)      [(answer's cell, its trials' cells)]
"""
import math
from collections.abc import Iterator

from poolmark.base.escape import terminal as clean
from poolmark.base.forms import CellData, Json, Metrics, RecordData, value_of
from poolmark.base.table import csv_text, markdown_table, markdown_text, text_table
from poolmark.base.units import plural, show, show_count, show_ns
from poolmark.limits.belief import CONFIDENCE
from poolmark.limits.bounds import parse
from poolmark.limits.search import ASKED, AT_LEAST, BELOW, ENDED, HELD, LIMIT, NOTHING, TARGET, UNCLEAR, Answer, Trial, rounded
from poolmark.records.record import metric

WHO = {"target": "the target", "generator": "the generator", "host": "the host that both share", "others": "other programs on the host",
       ASKED: "--most", ENDED: "the end of the search"}


def metrics_of(found: Answer, trials: list[Trial]) -> Metrics:
    """The metrics of an answer's cell."""
    return {"limit.rate": metric(found.rate, "1/s", "higher"), "limit.low": metric(found.low, "1/s", "higher"),
            "limit.high": metric(found.high, "1/s", "none"), "limit.mixed_percent": metric(found.mixed_percent, "%"),
            "limit.trials": metric(len(trials), "1"), "limit.held": metric(sum(one.verdict == HELD for one in trials), "1"),
            "limit.not_measured": metric(sum(one.verdict == NOTHING for one in trials), "1")}


def facts_of(found: Answer) -> Json:
    """An answer's part of the record that is no number: `answer` of its cell."""
    return {"kind": found.kind, "by": found.by, "wide": found.wide, "low_held": found.low_held, "low_tried": found.low_tried,
            "high_failed": found.high_failed, "high_tried": found.high_tried}


def trial_of(cell: CellData) -> Trial:
    return Trial(float(cell["config"]["rate"]), cell["trial"]["verdict"], cell["trial"]["by"])


def cells_of(data: RecordData) -> Iterator[tuple[CellData, list[CellData]]]:
    """Each contender's answer with its trials, in their order."""
    trials: dict[str, list[CellData]] = {}
    for cell in data.get("cells", []):
        if "trial" in cell:
            trials.setdefault(cell["id"].rpartition("/")[0], []).append(cell)
    for cell in data.get("cells", []):
        if "answer" in cell:
            yield cell, trials.get(cell["id"], [])


def _value(cell: CellData, name: str) -> float | None:
    return value_of(cell["metrics"], name)


def _rate(value: float | None) -> str:
    return "-" if value is None else show(value, "1/s")


def _value_rate(cell: CellData, name: str) -> str:
    """A rate of an answer, with the three digits that rates are tried to."""
    value = _value(cell, name)
    return _rate(value and rounded(value, {"limit.low": math.floor, "limit.high": math.ceil}.get(name, round)))


def _claim(cell: CellData) -> str:
    found, low, high = cell["answer"], _value_rate(cell, "limit.low"), _value_rate(cell, "limit.high")
    kind, who, rate = found["kind"], WHO.get(found["by"], "nobody"), _value_rate(cell, "limit.rate")
    if kind == LIMIT:
        return f"holds {rate} ({100 * CONFIDENCE:.0f} % interval {low} to {high}); past that {who} is the limit"
    if kind == AT_LEAST and found["by"] == ASKED:
        return f"holds at least {low}: no higher rate was tried (--most)"
    if kind == AT_LEAST and found["by"] == ENDED:
        return f"holds at least {low}: the search ended before it knew a rate that does not hold"
    if kind == AT_LEAST:
        return f"holds at least {low}: from about {rate} the limit was {who}, and not the target"
    if kind == BELOW:
        return f"does not hold {high}, the lowest rate that was tried; the limit was {who}"
    if kind == UNCLEAR:
        return f"is not clear: from {low} to {high} trials hold and fail by chance" + (
            "" if found["by"] == TARGET else f", and the limit of those that did not hold was {who}")
    return "was not measured: no trial measured anything"


def sentence(cell: CellData) -> str:
    """The answer in words."""
    found, told = cell["answer"], _claim(cell)
    if found["low_tried"] and found["high_tried"]:
        told += (f"; {found['low_held']} of {found['low_tried']} trials at or below the interval held, "
                 f"{found['high_failed']} of {found['high_tried']} at or above it did not")
    return told + ("; the interval is wider than was asked for: more --trials, or a quieter host, narrow it" if found["wide"] else "")


HEAD = ["", "highest rate", "from", "to", "limit", "trials", "held"]


def answer_row(cell: CellData) -> list[str]:
    found = cell["answer"]
    rate = {LIMIT: _value_rate(cell, "limit.rate"), AT_LEAST: f"at least {_value_rate(cell, 'limit.low')}",
            BELOW: f"below {_value_rate(cell, 'limit.high')}", UNCLEAR: "not clear"}.get(found["kind"], "not measured")
    return [cell["id"], rate, _value_rate(cell, "limit.low"), _value_rate(cell, "limit.high"), found["by"] or "-",
            show_count(_value(cell, "limit.trials")), show_count(_value(cell, "limit.held"))]


def _latency_names(data: RecordData) -> list[str]:
    return list(dict.fromkeys(name for cell in data.get("cells", []) for name in cell.get("trial", {}).get("latencies", {})))


def trial_head(data: RecordData) -> list[str]:
    return ["trial", "asked", "had", *_latency_names(data), "lost", "late p99", "limit", "verdict"]


def trial_row(cell: CellData, names: list[str]) -> list[str]:
    one = cell["trial"]
    return [cell["id"].rpartition("/")[2], _rate(cell["config"]["rate"]), _rate(one["had"]),
            *(show_ns(one["latencies"].get(name)) for name in names), show_count(one["lost"]), show_ns(one["lag_p99_ns"]),
            str((one["limit"] or {}).get("by", "-")), one["verdict"]]


def trial_line(cell: CellData) -> str:
    """One trial in a line, while the search runs."""
    one = cell["trial"]
    latencies = [f"{name} {show_ns(value)}" for name, value in one["latencies"].items()]
    why = f": {'; '.join(one['why'])}" if one["why"] else f": {', '.join(latencies)}"
    return f"{cell['id']}: {_rate(cell['config']['rate'])} {one['verdict']}{why}"


def terminal(data: RecordData) -> str:
    found = [cell for cell, _ in cells_of(data)]
    lines = [clean(f"{cell['id']} {sentence(cell)}") for cell in found]
    return "\n\n".join([text_table(HEAD, [answer_row(cell) for cell in found]), "\n".join(lines)])


def markdown(data: RecordData) -> str:
    config, names = data["config"], _latency_names(data)
    found = list(cells_of(data))
    shown = ", ".join(bound.shown() for bound in parse(config["bounds"], config["scenario"]))
    lines = ["# Highest rate within bounds", "",
             markdown_text(f"Scenario {config['scenario']}; {shown}; nothing lost; trials of {config['trial_s']:g} s."), "",
             markdown_table(["contender", *HEAD[1:]], [answer_row(cell) for cell, _ in found]), ""]
    lines += [f"- {markdown_text(cell['id'])} {markdown_text(sentence(cell))}" for cell, _ in found]
    for cell, trials in found:
        lines += ["", f"## {markdown_text(cell['id'])}: {plural(len(trials), 'trial')}", "",
                  markdown_table(trial_head(data), [trial_row(one, names) for one in trials]), ""]
        lines += [f"- {markdown_text(one['id'].rpartition('/')[2])}: {markdown_text('; '.join(one['trial']['why']))}" for one in trials
                  if one["trial"]["why"]]
    host, tool = data["host"], data["tool"]
    lines += ["", markdown_text(f"Run {data['id']}; {host.get('cores')} cores of {host.get('cpu_model')}, {host.get('kernel')}; "
                                f"version {tool['version']}, commit {tool['commit'][:12]}{' with changes' if tool['dirty'] else ''}."), ""]
    return "\n".join(lines)


def csv(data: RecordData) -> str:
    """A line for each trial."""
    names = _latency_names(data)
    rows = [[cell["id"].rpartition("/")[0], cell["id"].rpartition("/")[2], cell["config"]["rate"], one["had"],
             *(one["latencies"].get(name, "") for name in names), one["lost"], one["lag_p99_ns"], (one["limit"] or {}).get("by", ""),
             one["verdict"], one["by"], "; ".join(one["why"])]
            for cell in data.get("cells", []) if (one := cell.get("trial"))]
    return csv_text(["contender", "trial", "rate_asked_per_s", "rate_had_per_s", *(f"{name}_ns" for name in names), "lost", "lag_p99_ns",
                     "limit", "verdict", "by", "why"], rows)
