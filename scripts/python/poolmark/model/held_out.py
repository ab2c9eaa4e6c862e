# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity RUN... --check: the experiment of the capacity model. Each point is held out in turn, predicted from the others,
and compared with what was measured.

    memory      each step of at least two fifths of the largest, by a model of the other steps: within 3 %. At smaller ones the rest of the
                host moves the kernel's memory by more
    CPU         each rate but the lowest, by the other rates: within 10 %
    p99         each rate, by the relation of the other rates at the utilisation that they predict: on the right side of a bound, in 19 of
                20 forecasts. Bounds are fixed beforehand: 1, 2, 5 of each decade, from half of the lowest measured p99 to twice the highest.
                A forecast "not known" is counted as such, and is no forecast
    law         the largest load of `limit`, by the law of the other loads: within 10 %

`suite forecast` makes a run for it. Exit 0: all of that holds; 1: it does not, or nothing was there to check.
"""
import argparse
import json
import math
from dataclasses import asdict, dataclass

from poolmark.base.errors import PoolmarkError
from poolmark.base.table import clean, markdown_table, markdown_text, text_table
from poolmark.base.units import plural, show_bytes, show_count, show_ns
from poolmark.model import cpu, tail
from poolmark.model.asked import Asked, show_rate
from poolmark.model.choose import choose
from poolmark.model.evidence import Evidence, Load, Memory, gather
from poolmark.model.forecast import TOLERANCE_PERCENT
from poolmark.model.model import hold_out
from poolmark.model.predicted import Predicted
from poolmark.model.parts import ScalePart, scale_part, utilisation_of
from poolmark.model.steps import LEAST_STEPS, of_steps
from poolmark.records.read_record import Run
from poolmark.verify.withheld import no_figures as no_figures_of

LEAST_SHARE = 0.4           # of the largest step, for a step to be held out
RIGHT_SHARE = 0.95          # of the forecasts of p99
DECADE = (1, 2, 5)
SHOWN = 5                   # of what was left out
HEAD = ["configuration", "what", "held out", "measured", "predicted", "off", ""]


@dataclass(frozen=True)
class Point(Predicted):
    """One held-out point with a figure."""
    configuration: str
    what: str               # "memory", "CPU", "law"
    place: str
    measured: float
    predicted: float
    unit: str
    most_percent: float


@dataclass(frozen=True)
class Side:
    """One forecast of a side: p99 at a rate against a bound."""
    configuration: str
    rate: float
    bound_ns: float
    measured_ns: float
    held: bool | None       # forecast; None: not known

    @property
    def right(self) -> bool | None:
        return None if self.held is None else self.held == (self.measured_ns <= self.bound_ns)


def of_memory(found: list[Memory]) -> tuple[list[Point], list[str]]:
    """(points, why others are none)"""
    points, why = [], []
    groups: dict[str, list[Memory]] = {}
    for one in found:
        if no_figures_of(of_steps(one.cell)):
            continue
        groups.setdefault(f"{one.kind.words()}, {one.engine}, {one.instances}", []).append(one)
    for group in groups.values():
        first = group[0]
        steps = sorted((step for one in group for step in one.steps), key=lambda step: step.connections)
        counts = sorted({step.connections for step in steps})
        if len(counts) <= LEAST_STEPS:
            continue
        for count in counts:
            if count < LEAST_SHARE * counts[-1]:
                continue
            try:
                held = hold_out(steps, first.cell["config"], first.instances, count)
            except PoolmarkError as error:
                why.append(f"{first.kind.words()}: {error}")
                continue
            points.append(Point(first.kind.words(), "memory", f"{show_count(count)} connections", held.measured_bytes, held.predicted_bytes, "B",
                                TOLERANCE_PERCENT))
    return points, list(dict.fromkeys(why))


def _groups(loads: list[Load]) -> dict[str, list[Load]]:
    groups: dict[str, list[Load]] = {}
    for one in loads:
        groups.setdefault(f"{one.kind.words()}, QoS {one.qos}, payload {one.payload}", []).append(one)
    return groups


def _at(rate: float, one: Load) -> bool:
    return rate <= one.rate <= rate * (1 + cpu.SAME_RATE)


def of_cpu(loads: list[Load]) -> list[Point]:
    points = []
    for name, group in _groups(loads).items():
        known = [(one.rate, one.cpu_ns) for one in group if one.cpu_ns is not None]
        for rate in cpu.distinct([rate for rate, _ in known])[1:]:
            held = cpu.hold_out(known, rate)
            if held is not None:
                points.append(Point(name, "CPU", f"{show_rate(rate)}", held.measured, held.predicted, "processors", cpu.TOLERANCE_PERCENT))
    return points


def bounds_for(lowest_ns: float, highest_ns: float) -> list[float]:
    """1, 2, 5 of each decade from half of the lowest to twice the highest."""
    first, last = math.floor(math.log10(lowest_ns / 2)), math.ceil(math.log10(2 * highest_ns))
    every = [digit * 10.0 ** decade for decade in range(first, last + 1) for digit in DECADE]
    return [one for one in every if lowest_ns / 2 <= one <= 2 * highest_ns]


def of_p99(loads: list[Load]) -> list[Side]:
    sides = []
    for name, group in _groups(loads).items():
        known = [one for one in group if one.p99_ns is not None and one.cpu_ns is not None and utilisation_of(one) is not None]
        if not known:
            continue
        bounds = bounds_for(min(one.p99_ns or 0.0 for one in known), max(one.p99_ns or 0.0 for one in known))
        for rate in cpu.distinct([one.rate for one in known]):
            out = [one for one in known if _at(rate, one)]
            rest = [one for one in known if one not in out]
            relation = tail.fit([(utilisation_of(one) or 0.0, one.p99_ns or 0.0) for one in rest])
            cost = cpu.message_cost([(one.rate, one.cpu_ns or 0.0) for one in rest])
            if relation is None or cost is None:
                continue
            # The utilisation is a forecast too: of the processors that a measured one was a share of.
            processors = (out[0].processors or 0.0) / (utilisation_of(out[0]) or 1.0)
            used = cost.at(rate)[1] / processors
            sides += [Side(name, rate, bound, one.p99_ns or 0.0, relation.holds(used, bound)) for one in out for bound in bounds]
    return sides


def of_law(found: Evidence) -> list[Point]:
    points = []
    for strategy in dict.fromkeys(one.kind.strategy for one in found.limits):
        asked = Asked(strategy=strategy, rate=1.0)
        try:
            part = scale_part(choose(Evidence(found.runs, limits=found.limits), asked, False), asked)
        except PoolmarkError:       # several targets without a strategy: a question has to name one
            continue
        if isinstance(part, ScalePart) and part.law.held_out is not None:
            held = part.law.held_out
            points.append(Point(str(strategy), "law", f"{show_count(held.load)} {part.axis}", held.measured, held.predicted, "1/s", 10.0))
    return points


def show_value(value: float, unit: str) -> str:
    return show_bytes(value) if unit == "B" else f"{value:.3g}" if unit == "processors" else show_rate(value)


def rows(points: list[Point]) -> list[list[str]]:
    return [[one.configuration, one.what, one.place, show_value(one.measured, one.unit), show_value(one.predicted, one.unit),
             f"{one.error_percent:+.1f} %", "" if one.holds else f"MORE THAN {one.most_percent:g} %"] for one in points]


def side_rows(sides: list[Side]) -> list[list[str]]:
    """A line for each configuration and rate: how many forecasts were right."""
    found: dict[tuple[str, float], list[Side]] = {}
    for one in sides:
        found.setdefault((one.configuration, one.rate), []).append(one)
    return [[name, "p99", show_rate(rate), " to ".join(dict.fromkeys(show_ns(value) for value in (min(one.measured_ns for one in group),
                                                                                               max(one.measured_ns for one in group)))),
             f"{sum(one.right is True for one in group)} right, {sum(one.right is False for one in group)} wrong, "
             f"{sum(one.right is None for one in group)} not known", "", ""] for (name, rate), group in found.items()]


def verdicts(points: list[Point], sides: list[Side], left_out: int = 0) -> list[tuple[str, bool]]:
    """Sentences, and whether each is as it should be. `left_out`: measurements that count for nothing here."""
    told = []
    for what in ("memory", "CPU", "law"):
        group = [one for one in points if one.what == what]
        if group:
            within = sum(one.holds for one in group)
            told.append((f"{what}: {within} of {len(group)} held-out points within {group[0].most_percent:g} %", within == len(group)))
    decided = [one for one in sides if one.right is not None]
    if decided:
        right = sum(one.right is True for one in decided)
        told.append((f"p99: {right} of {len(decided)} forecasts on the right side of the bound ({100 * right / len(decided):.1f} %; 19 of 20 are "
                     f"95 %); {len(sides) - len(decided)} not known", right >= RIGHT_SHARE * len(decided)))
    elif sides:
        told.append((f"p99: no forecast: all {len(sides)} not known", False))
    if told and left_out and not any(one.what == "CPU" for one in points):
        told.append((f"CPU and p99: nothing could be held out, {plural(left_out, 'measurement')} left out", False))
    if not told:
        told.append(("nothing to hold out: it takes four steps, four rates, or five loads", False))
    return told


def judged(runs: list[Run], only: str | None) -> tuple[list[Point], list[Side], list[str], list[tuple[str, bool]]]:
    """(points, sides, what was left out, verdicts) of runs."""
    found = gather(runs, only)
    memory, why = of_memory(found.memory)
    points = [*memory, *of_cpu(found.loads), *of_law(found)]
    sides = of_p99(found.loads)
    left_out = found.left_out_of(None)
    return points, sides, left_out, [*verdicts(points, sides, len(left_out)), *((f"memory of {one}", False) for one in why)]


def run(args: argparse.Namespace, runs: list[Run]) -> int:
    """`args`: only, json, markdown. Returns the exit code."""
    points, sides, left_out, told = judged(runs, args.only)
    if args.json:
        print(json.dumps({"schema": "poolmark.held-out/1", "runs": [one.id for one in runs],
                          "points": [asdict(one) | {"error_percent": one.error_percent, "holds": one.holds} for one in points],
                          "sides": [asdict(one) | {"right": one.right} for one in sides],
                          "verdicts": [{"text": text, "holds": holds} for text, holds in told], "left_out": left_out}, indent=1))
    else:
        table, plain = (markdown_table, markdown_text) if args.markdown else (text_table, clean)
        every = rows(points) + side_rows(sides)
        if every:
            print(table(HEAD, every, "lllrrrl") + "\n")
        dash = "- " if args.markdown else ""
        print("\n".join(dash + plain(text) for text, _ in told))
        if left_out:
            more = f"; and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
            print("\n" + dash + plain(f"left out: {'; '.join(left_out[:SHOWN])}{more}"))
        print("\n" + dash + plain(f"Rests on {', '.join(one.id for one in runs)}"))
    return 0 if all(holds for _, holds in told) else 1
