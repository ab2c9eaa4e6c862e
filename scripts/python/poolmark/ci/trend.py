# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark trend: the history that nightly keeps, as one self-contained page of small charts and as text: each
metric of each cell over the nights, change points marked."""
import statistics
from pathlib import Path

from poolmark.compare import change_points, history
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.ci.nightly import DEFAULT_HISTORY
from poolmark.base.units import plural
from poolmark.compare.verdict_out import from_to, in_unit, plain
from poolmark.compare.verdict_page import STYLE, escape

WIDTH, HEIGHT, EDGE = 320, 110, 14


def add_arguments(parser) -> None:
    parser.add_argument("--history", metavar="FILE", default=str(DEFAULT_HISTORY),
                        help="the SQLite file (results/runs/history.sqlite)")
    parser.add_argument("--metric", action="append", default=[], metavar="TEXT", help="only metrics with this in cell "
                        "or name; several times")
    parser.add_argument("--html", metavar="FILE", help="write the page here")


def chart(one: history.Series, points) -> str:
    low, high = min(one.values), max(one.values)
    span = (high - low) or abs(high) or 1
    step = (WIDTH - 2 * EDGE) / max(1, len(one.values) - 1)

    def at(index: int) -> tuple[float, float]:
        return EDGE + index * step, HEIGHT - EDGE - (one.values[index] - low) / span * (HEIGHT - 2 * EDGE)

    places = [at(index) for index in range(len(one.values))]
    marks = "".join(f'<line x1="{EDGE + (point.index - .5) * step:.1f}" x2="{EDGE + (point.index - .5) * step:.1f}" '
                    f'y1="0" y2="{HEIGHT}" stroke="var(--worse)" stroke-dasharray="4 3"/>' for point in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="var(--better)"><title>{escape(one.dates[index])} '
        f'{escape(one.commits[index][:12])}: {escape(in_unit(one.values[index], one.unit))}</title></circle>'
        for index, (x, y) in enumerate(places))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (f'<svg role="img" aria-label="{escape(one.cell)} {escape(one.metric)} over time" width="{WIDTH}" '
            f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{marks}'
            f'<polyline points="{line}" fill="none" stroke="var(--better)"/>{dots}</svg>')


def page(found: list) -> str:
    cards = "".join(
        f"<figure><figcaption>{escape(one.cell)} <b>{escape(one.metric)}</b><br>"
        f"{escape(in_unit(one.values[0], one.unit))} to {escape(in_unit(one.values[-1], one.unit))}, "
        f"{plural(len(one.values), 'night')}</figcaption>{chart(one, points)}</figure>" for one, points in found)
    style = STYLE + "main { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }"
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>Poolmark: trend</title><style>{style}</style></head>'
            f"<body><h1>Trend</h1><p>Dashed: a change point. Hover a point for date and commit.</p><main>{cards}</main>"
            "</body></html>\n")


def lines(found: list) -> list[str]:
    texts = []
    for one, points in found:
        first, last = one.values[0], one.values[-1]
        change = f" ({from_to(first, last, one.unit, one.better)})" if len(one.values) > 1 else ""
        texts.append(plain(f"{one.cell} {one.metric}: {in_unit(first, one.unit)} to {in_unit(last, one.unit)}{change} "
                           f"over {plural(len(one.values), 'night')}"
                           + spread_told(one)))
        texts += [f"  change point at {plain(one.dates[point.index])}, commit {plain(one.commits[point.index][:12])}: "
                  f"{from_to(point.before, point.after, one.unit, one.better)} (p = {point.p:.3f})" for point in points]
    return texts


def remarks(found: list, back: list[tuple[str, str]]) -> list[str]:
    """What a reader has to know of the series."""
    most = max(len(one.values) for one, _ in found)
    texts = []
    if most == 1:
        texts.append(f"one night so far: nothing to set it beside; a change point takes {2 * change_points.LEAST_SEGMENT} nights")
    elif most < 2 * change_points.LEAST_SEGMENT:
        texts.append(f"{most} nights so far: a change point takes {2 * change_points.LEAST_SEGMENT}")
    texts += [plain(f"{run} of {date} was added after a night of a later date: the clock was set back, or an older run was added "
                    "afterwards; nights stand by their dates") for run, date in back]
    return texts


def spread_told(one: history.Series) -> str:
    """How much repetitions differ within a night: what a step between two nights is to be held against."""
    known = [deviation for deviation in one.deviations if deviation is not None]
    return f", one run of a night to the next {statistics.median(known) * 100:.2g} %" if known else ""


def run(args) -> int:
    if not Path(args.history).is_file():
        raise UsageError(f"{args.history}: there is no such history; nightly makes it")
    db = history.open_history(args.history)
    hosts = history.hosts(db)
    every = history.series(db, hosts[0]) if hosts else []
    back = history.out_of_order(db, hosts[0]) if hosts else []
    db.close()
    wanted = [one for one in every if not args.metric or any(text in f"{one.cell} {one.metric}" for text in args.metric)]
    if not wanted:
        raise UsageError(f"{args.history}: holds no such metric")
    found = [(one, change_points.find(one.values)) for one in wanted]
    print("\n".join([*lines(found), *remarks(found, back)]))
    if len(hosts) > 1:
        print(f"left out: {plural(len(hosts) - 1, 'other kind')} of host or build in this history; the newest is shown")
    if args.html:
        try:
            Path(args.html).write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise PoolmarkError(f"{args.html}: cannot be written: {error.strerror}") from error
    return 0
