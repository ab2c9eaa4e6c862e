# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark trend: shows nightly's history as text and as one self-contained page of small charts. Each chart is one
metric of one cell over the nights, with its change points."""
import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from poolmark.compare import change_points, history
from poolmark.base.draw import INLINED, SCHEMA, svgs
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import terminal as plain
from poolmark.base.forms import Json
from poolmark.ci.nightly import DEFAULT_HISTORY
from poolmark.base.units import plural
from poolmark.compare.how_much import in_unit, spread
from poolmark.compare.verdict_out import from_to
from poolmark.compare.verdict_page import STYLE, Draw, escape

# A series with its change points and its last night.
Found = tuple[history.Series, list[change_points.ChangePoint], change_points.LastNight | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--history", metavar="FILE", default=str(DEFAULT_HISTORY),
                        help="the SQLite file (results/runs/history.sqlite)")
    parser.add_argument("--metric", action="append", default=[], metavar="TEXT", help="only metrics with this in cell "
                        "or name; several times")
    parser.add_argument("--html", metavar="FILE", help="write the page here")


def spec(one: history.Series, points: Sequence[change_points.ChangePoint]) -> Json:
    """The chart of a metric over the nights that measured it; change points are dashed lines."""
    nights: list[Json] = [{"night": number, "date": plain(date), "value": value / scale_of(one.unit)}
                           for number, (date, value) in enumerate(zip(one.dates, one.values, strict=True), 1)]
    dates = json.dumps([row["date"][:10] for row in nights])
    x = {"field": "night", "type": "quantitative", "title": None, "scale": {"domain": [1, max(2, len(nights))], "padding": 8}, "axis": {
        "labelExpr": f"{dates}[datum.value - 1] || ''", "tickMinStep": 1, "tickCount": 4, "labelOverlap": "greedy", "grid": False}}
    y = {"field": "value", "type": "quantitative", "title": axis_unit(one.unit), "scale": {"zero": False, "padding": 8},
         "axis": {"tickCount": 4}}
    marks = [{"night": point.index + .5} for point in points]
    return {"$schema": SCHEMA, "width": 260, "height": 110, "config": INLINED, "data": {"values": nights}, "layer": [
        {"data": {"values": marks}, "mark": {"type": "rule", "strokeDash": [4, 3], "color": "#d9640f"}, "encoding": {"x": x}},
        {"mark": {"type": "line", "point": True, "color": "#2f8fd8"}, "encoding": {"x": x, "y": y}}]}


def scale_of(unit: str) -> float:
    """The divisor for an axis: ns are shown in microseconds, bytes in KiB."""
    return {"ns": 1e3, "B": 1024.0}.get(unit, 1.0)


def axis_unit(unit: str) -> str | None:
    return {"ns": "us", "B": "KiB", "1": None}.get(unit, plain(unit))


def nights_of(one: history.Series) -> str:
    return "".join(f"<tr><td>{escape(date)}</td><td>{escape(commit[:12])}</td><td>{escape(in_unit(value, one.unit))}</td></tr>"
                   for date, commit, value in zip(one.dates, one.commits, one.values, strict=True))


def page(found: list[Found], draw: Draw = svgs) -> str:
    """`draw`: turns specifications into SVG."""
    cards = "".join(
        f"<figure><figcaption>{escape(one.cell)} <b>{escape(one.metric)}</b><br>"
        f"{escape(last_told(one, last))}; {plural(len(one.values), 'night')}</figcaption>{svg}<details><summary>nights</summary>"
        f"<table>{nights_of(one)}</table></details></figure>"
        for (one, _, last), svg in zip(found, draw([spec(one, points) for one, points, _ in found]), strict=True))
    style = STYLE + "main { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }"
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>Poolmark: trend</title><style>{style}</style></head>'
            f"<body><h1>Trend</h1><p>Dashed: a change point.</p><main>{cards}</main></body></html>\n")


def last_told(one: history.Series, last: change_points.LastNight | None) -> str:
    """The last night beside the nights of its segment. A word like worse only where it differs by more than these do."""
    if last is None:
        return f"{in_unit(one.values[-1], one.unit)} last night"
    word = f", {from_to(last.median, last.value, one.unit, one.better)}" if last.differs else ""
    since = f" since {one.dates[len(one.values) - 1 - last.nights][:10]}" if last.nights < len(one.values) - 1 else ""
    return (f"{in_unit(last.value, one.unit)} last night, {in_unit(last.median, one.unit)} in the middle of {plural(last.nights, 'night')} "
            f"before{since}{word}")


def lines(found: list[Found]) -> list[str]:
    texts: list[str] = []
    for one, points, last in found:
        texts.append(plain(f"{one.cell} {one.metric}: {last_told(one, last)}; {plural(len(one.values), 'night')}" + spread_told(one)))
        texts += [f"  change point at {plain(one.dates[point.index])}, commit {plain(one.commits[point.index][:12])}: "
                  f"{from_to(point.before, point.after, one.unit, one.better)} (p = {point.p:.2g})" for point in points]
    return texts


def remarks(found: list[Found], back: list[tuple[str, str]]) -> list[str]:
    """What a reader must know about the series."""
    most = max(len(one.values) for one, *_ in found)
    texts: list[str] = []
    if most == 1:
        texts.append(f"one night so far: nothing to set it beside; a change point takes {2 * change_points.LEAST_SEGMENT} nights")
    elif most < 2 * change_points.LEAST_SEGMENT:
        texts.append(f"{most} nights so far: a change point takes {2 * change_points.LEAST_SEGMENT}")
    texts += [plain(f"{run} of {date} was added after a night of a later date: the clock was set back, or an older run was added "
                    "afterwards; nights stand by their dates") for run, date in back]
    return texts


def spread_told(one: history.Series) -> str:
    """How much repetitions of a night differ, for comparison with a step between two nights."""
    known = [deviation for deviation in one.deviations if deviation is not None]
    return f", one run of a night to the next {spread(statistics.median(known))}" if known else ""


def run(args: argparse.Namespace) -> int:
    if not Path(args.history).is_file():
        raise UsageError(f"{args.history}: there is no such history; nightly makes it")
    db = history.open_history(args.history)
    hosts = history.hosts(db)
    every = history.series(db, hosts[0]) if hosts else []
    back = history.out_of_order(db, hosts[0]) if hosts else []
    db.close()
    # All series are one family, whichever of them are shown.
    points = change_points.find_all([one.values for one in every])
    lasts = change_points.last_nights([one.values for one in every], points)
    found = [(one, changes, last) for one, changes, last in zip(every, points, lasts, strict=True)
             if not args.metric or any(text in f"{one.cell} {one.metric}" for text in args.metric)]
    if not found:
        raise UsageError(f"{args.history}: holds no such metric")
    print("\n".join([*lines(found), *remarks(found, back)]))
    if len(hosts) > 1:
        print(f"left out: {plural(len(hosts) - 1, 'other kind')} of host or build in this history; the newest is shown")
    for other in hosts[1:]:
        if named := history.unlike(hosts[0], other):
            print(f"  the hosts differ: {history.settings_told(hosts[0], other, named)}")
    if args.html:
        try:
            Path(args.html).write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise PoolmarkError(f"{args.html}: cannot be written: {error.strerror}") from error
    return 0
