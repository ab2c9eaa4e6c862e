# SPDX-License-Identifier: Apache-2.0
"""The first sentences of a page: the question, the answer in words, how sure it is, and what would change it.

A strategy is rated by the product of three ratios to the best: memory with all connected, p99 of connects, CPU time of a
connection. These are what a connection costs; latencies of messages hardly depend on the strategy, and the table has them.
Only strategies with all three figures, whose cells are complete, are rated; the others are named. Strategies that hold most of
their memory from the start were configured for the number of connections. They are the answer for users who know their peak;
the other strategies are the answer for users who do not.
"""
import math
import re
from operator import truediv

from poolmark.base.forms import CellData, Config, Metrics, value_of
from poolmark.base.paths import CALLED
from poolmark.base.units import plural, show, show_bytes, show_count
from poolmark.records import attacked, bare, beside, phases, summary
from poolmark.records.read_record import Run
from poolmark.report import bench_answer
from poolmark.report.apart import Groups, contrast, listed, shown
from poolmark.report.names import Name
from poolmark.report.source import Source, cells_of, median

JUDGED = ("memory.full_bytes", "connect.p99", "cpu.per_connection_ns")
STEP = re.compile(r"step\.(\d+)\.")
CLOSE = 1.25             # products within this factor are not told apart: six figures, each good to a tenth, are in their ratio
FEWEST_RUNS = 4          # of each side, for a test that can find anything
MOST_LOADS = 3           # with a sentence each
SAME = 0.01              # accounts that differ by less are not told apart
BUSY = "busy"            # the anomaly of a cell, or of a run of benchmarks
PAID_BEFOREHAND = 0.7    # at least this share of the memory with all connected is held at the start


def scores(groups: Groups) -> dict[Name, float]:
    """The product of the ratios to the best, of each strategy that can be rated."""
    rated = {name: [median(cells, metric) or 0.0 for metric in JUDGED] for name, cells in groups.items()
             if all(cell["status"] == "complete" for cell in cells)}
    rated = {name: figures for name, figures in rated.items() if min(figures) > 0}
    best = [min(column) for column in zip(*rated.values(), strict=True)]
    return {name: math.prod(map(truediv, figures, best)) for name, figures in rated.items()}


def beforehand(cells: list[CellData], prefix: str = "") -> bool:
    """Whether most of the memory was there before the first connection. `prefix`: of the phase's metrics."""
    start, full = median(cells, f"{prefix}memory.start_bytes"), median(cells, f"{prefix}memory.full_bytes")
    return bool(start and full and start >= PAID_BEFOREHAND * full)


def costs(cells: list[CellData]) -> str:
    return (f"{shown(cells, 'memory.full_bytes')}, connect p99 {shown(cells, 'connect.p99')}, "
            f"{shown(cells, 'cpu.per_connection_ns')} of CPU a connection")


def choice(names: list[Name], found: dict[Name, float], groups: dict[Name, list[CellData]], at: str, when: str) -> str:
    """One sentence: the best of these strategies, or those that are too close to tell apart."""
    best = min(names, key=lambda name: found[name])
    close = sorted((name for name in names if found[name] <= CLOSE * found[best]), key=lambda name: found[name])
    if len(close) == 1:
        return f"{at} choose {best.label}, if you {when}: {costs(groups[best])}."
    return (f"{at}, if you {when}: {', '.join(name.label for name in close[:-1])} or {close[-1].label}, which are too close to tell "
            f"apart. " + "; ".join(f"{name.label} {costs(groups[name])}" for name in close) + ".")


def extremes(groups: Groups) -> list[str]:
    lines = [contrast(groups, "memory.full_bytes", "memory with all connected"),
             contrast(groups, "connect.p99", "p99 of a connect", "shortest", "longest")]
    return [capital("; ".join(filter(None, lines)) + ".")] if any(lines) else []


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _load_of(config: Config) -> tuple[str, ...]:
    return tuple(str(config.get(key)) for key in ("connections", "shape", "engine"))


def loads_of(groups: dict[Name, list[CellData]]) -> dict[str, dict[Name, list[CellData]]]:
    """The strategies under each load, by what the names say of it; empty where strategies are not alone in what differs, where there are
    too many loads for a sentence each, or where one of several has nothing to rate."""
    found: dict[str, dict[Name, list[CellData]]] = {}
    for name, cells in groups.items():
        doubt = " ?" if " ?" in name.label else ""
        found.setdefault(name.rest, {})[Name(name.strategy + doubt, name.strategy, "")] = cells
    told = all(len(part) > 1 and len({_load_of(cells[0]["config"]) for cells in part.values()}) == 1 and
               all(isinstance(cells[0]["config"].get("connections"), (int, float)) for cells in part.values()) for part in found.values())
    told = told and len(found) <= MOST_LOADS and (len(found) == 1 or all(scores(part) or _each_user(part) or _peaks(part) for part in found.values()))
    return found if told else {}


def _each_user(groups: Groups) -> dict[Name, float]:
    """Anonymous memory of a connection, by account, of each strategy that has it: PSS depends on who else maps the same libraries."""
    return {name: own / count for name, cells in groups.items()
            if (own := median(cells, "account.anonymous_bytes")) and (count := median(cells, "account.connections"))}


def _at(groups: Groups, rest: str) -> str:
    config = next(iter(groups.values()))[0]["config"]
    load = [str(config[key]) for key in ("engine", "shape") if config.get(key)]
    load += [words for words in rest.split(", ") if words and words not in [*load, show_count(config["connections"])]]
    return f"For {show_count(config['connections'])} connections ({', '.join(load)})"


def _of_accounts(groups: Groups, rest: str) -> list[str]:
    """Of a suite that measures memory by account, and rates nothing."""
    found = _each_user(groups)
    if len(found) < 2:
        return []
    most, low = max(found, key=lambda name: found[name]), min(found.values())
    least = listed(name.label for name, value in found.items() if value <= (1 + SAME) * low)
    spare = sum(median(groups[most], f"account.{name}_bytes") or 0.0 for name in ("reserve", "bookkeeping"))
    spare *= found[most] / (median(groups[most], "account.anonymous_bytes") or math.inf)
    return [f"{_at(groups, rest)} anonymous memory is least with {least}, {show_bytes(low)} a connection, and most with {most.label}, "
            f"{show_bytes(found[most])}, of which its pools keep {show_bytes(spare)} beside what is in use."]


def _peaks(groups: Groups) -> dict[str, float]:
    """Each phase in which clients leave and come back, with the most memory that a strategy took in it."""
    found: dict[str, float] = {}
    for cells in groups.values():
        for phase, name in phases.variants(cells[0], "memory.peak_bytes").items():
            found[phase] = max(found.get(phase, 0.0), median(cells, name) or 0.0)
    return found


def _of_lives(groups: Groups, rest: str) -> list[str]:
    """The phase that took most memory: what stays afterwards decides between strategies, then what it took, then how long clients waited."""
    peaks = _peaks(groups)
    phase = max(peaks, key=lambda one: peaks[one], default="")
    prefix = f"{phase}." if phase else ""
    told = [contrast(groups, f"{prefix}memory.after_bytes", "memory afterwards"),
            contrast(groups, f"{prefix}memory.peak_bytes", "memory at its peak"),
            contrast(groups, f"{prefix}arrival.max", "the longest wait of an arrival", "shortest", "longest")]
    where = _at(groups, rest) + (f", phase {phase}" if phase else "")
    return [f"{where}: {'; '.join(filter(None, told))}."] if any(told) else []


def _unrated(groups: Groups, rest: str) -> list[str]:
    """Of strategies that lack a figure by which they are rated."""
    lives, accounts = _of_lives(groups, rest), _of_accounts(groups, rest)
    return lives + accounts if len(_peaks(groups)) > 1 else accounts + lives


def _of_one_load(groups: dict[Name, list[CellData]], rest: str) -> list[str]:
    """Answers for strategies that differ in nothing else, with the same number of connections. `rest`: what else a page's names say of
    the load."""
    found = scores(groups)
    if not found and (lines := _unrated(groups, rest)):
        return lines
    at = _at(groups, rest)
    lines = []
    told = [name for name in found if beforehand(groups[name])]
    if untold := [name for name in found if name not in told]:
        lines.append(choice(untold, found, groups, at, "do not know your peak"))
    if told:
        lines.append(choice(told, found, groups, at, "know your peak") + " The memory for all of them was there at the start. "
                     "More connections than that, or an --initial for fewer, would show how a strategy grows.")
    if left := [name.label for name in groups if name not in found]:
        lines.append(f"Not rated, because a figure is not known or the cell is not complete: {', '.join(left)}.")
    return lines + extremes(groups)


def _of_same_loads(groups: dict[Name, list[CellData]]) -> list[str]:
    """Of runs in steps: strategies that differ in nothing else."""
    loads: dict[str, dict[Name, list[CellData]]] = {}
    for name, cells in groups.items():
        loads.setdefault(name.rest, {})[Name(name.strategy, name.strategy, "")] = cells
    told = [(rest, contrast(part, "memory.full_bytes", "memory with all connected")) for rest, part in loads.items()]
    return [capital(f"{f'{rest}: ' if rest and len(loads) > 1 else ''}{text}.") for rest, text in told if text]


def _of_steps(name: Name, cells: list[CellData]) -> str:
    last = max((int(found[1]) for metric in cells[0]["metrics"] if (found := STEP.match(metric))), default=0)
    at = f"step.{last}."
    latency = f"; a message took {shown(cells, at + 'delivery.p50')}, p99 {shown(cells, at + 'delivery.p99')}" \
        if median(cells, at + "delivery.p99") else ""
    return (f"{show_count(last)} connections with {name.label}: {shown(cells, at + 'user_bytes')} in the broker, "
            f"{shown(cells, 'memory.per_connection_bytes')} for one more; {shown(cells, 'kernel.per_connection_bytes')} of the "
            f"kernel's for both ends{latency}.")


def _of_a_load(metrics: Metrics) -> list[str]:
    counts = {name: value_of(metrics, f"clients.{name}") for name in ("connected", "failed", "dropped")}
    if counts["connected"] is None:
        return []
    others = [f"how many {name} is not known" if counts[name] is None else f"{counts[name]:.0f} {name}" for name in ("failed", "dropped")]
    return [f"{plural(round(counts['connected']), 'client')} connected, {', '.join(others)}."]


def _of_attacks(groups: dict[Name, list[CellData]]) -> list[str]:
    """What others felt under each attack: calm, the worst, and how many keep the goal."""
    attacks = {cells[0]["config"]["attack"]: cells for cells in groups.values() if attacked.attack_of(cells[0])}
    lines = []
    for words, _ in attacked.OTHERS:
        found = {attack: max(values) for attack, cells in attacks.items()
                 if (values := [figures[words] for cell in cells if words in (figures := attacked.others(cell))])}
        calm = found.pop(attacked.CALM, None)
        if not found:
            continue
        worst, kept = max(found, key=lambda attack: found[attack]), sum(value <= attacked.GOAL_NS for value in found.values())
        beside = f" ({show(calm, 'ns')} without one)" if calm is not None else ""
        lines.append(f"{words.capitalize()} p99 of others under an attack: at most {show(found[worst], 'ns')}, with {worst}{beside}; "
                     f"{kept} of {plural(len(found), 'attack')} within {show(attacked.GOAL_NS, 'ns')}.")
    return lines


def how_sure(groups: Groups, suite: str) -> str:
    runs = {len(cells) for cells in groups.values()}
    if runs == {1}:
        return (f"How sure: each ran once, so no interval can be given; times that differ by less than a fifth may be the same. "
                f"{CALLED} suite {suite} --repetitions {FEWEST_RUNS} tells how far runs differ.")
    few = f" Fewer than {FEWEST_RUNS} runs prove little, also where brackets do not overlap." if min(runs) < FEWEST_RUNS else ""
    return f"How sure: {min(runs)} runs each, with the lowest and the highest in brackets; where these overlap, nothing is told apart.{few}"


def trouble(source: Source, run: Run) -> list[str]:
    lines = []
    if run.data["status"] != "complete":
        lines.append(f"This run is {run.data['status']}: read its figures as far as they go.")
    bad = dict.fromkeys(source.name(run, cell).label for cell in run.data.get("cells", []) if cell["status"] != "complete")
    if bad:
        lines.append(f"{plural(len(bad), 'configuration')} did not end as {'it' if len(bad) == 1 else 'they'} should: "
                     f"{', '.join(list(bad)[:5])}.")
    others = dict.fromkeys(source.name(run, cell).label for cell in run.data.get("cells", []) if set(summary.doubts(cell).split()) - set(summary.OF_RUN))
    if others:
        lines.append(f"Others used the target of {plural(len(others), 'configuration')} meanwhile: {', '.join(list(others)[:5])}. Figures "
                     f"that they are in are withheld; those with a ? may be disturbed.")
    for what, text in summary.OF_RUN.items():
        if own := dict.fromkeys(source.name(run, cell).label for cell in run.data.get("cells", []) if what in summary.doubts(cell).split()):
            lines.append(f"In {plural(len(own), 'configuration')} {text}: {', '.join(list(own)[:5])}. Figures with a ? may be disturbed by that.")
    return lines


def disturbed(source: Source, run: Run) -> list[str]:
    """Where other programs had part of the processors: times are longer there."""
    cells = cells_of(run)
    busy = dict.fromkeys(source.name(run, cell).label for cell in cells if any(one["what"] == BUSY for one in cell.get("anomalies", [])))
    every = {source.name(run, cell).label for cell in cells}
    if busy:
        where = "every configuration" if len(busy) == len(every) > 1 else listed(list(busy)[:5]) + (" and others" if len(busy) > 5 else "")
        return [f"Other programs had more than a tenth of the processors' time while {where} ran: times are longer there than on a quiet host."]
    if any(one["what"] == BUSY for one in run.data.get("anomalies", [])):
        return ["Other programs had more than a tenth of the processors' time meanwhile: times are longer than on a quiet host."]
    return []


def losses(cells: list[CellData]) -> str:
    """Counts over all cells. A count that a cell does not have is not 0."""
    def value(cell: CellData, name: str) -> float | None:
        metric = phases.whole(cell["metrics"], name)
        return metric["value"] if metric else None

    def total(*names: str) -> float:
        return sum(value(cell, name) or 0 for cell in cells for name in names)

    unknown = sum(value(cell, "clients.failed") is None or value(cell, "clients.dropped") is None
                  or value(cell, "messages.lost") is None and phases.whole(cell["metrics"], "messages.lost") is not None for cell in cells)
    clients, lost = total("clients.failed", "clients.dropped"), total("messages.lost")
    told = f"What {unknown} of {plural(len(cells), 'cell')} lost is not known." if unknown else ""
    if not clients and not lost:
        return told or "No client failed or was dropped, no message was lost."
    return f"{plural(round(clients), 'client')} failed or {'was' if clients == 1 else 'were'} dropped, " \
           f"{plural(round(lost), 'message')} {'was' if lost == 1 else 'were'} lost.{' ' + told if told else ''}"


def answer(source: Source, run: Run) -> list[str]:
    """The sentences; the answer comes first."""
    lines = trouble(source, run)
    groups: dict[Name, list[CellData]] = {}
    for cell in cells_of(run):
        groups.setdefault(source.name(run, cell), []).append(cell)
    if not run.data.get("cells"):
        return lines + (_of_a_load(run.data.get("metrics", {})) or ["The tables hold what this record has."])
    if beside.asked(run.data):
        counting = [cell for cell in run.data["cells"] if cell["config"].get("client") != bare.BARE]   # the bare client has no such counts
        once = ["How sure: each ran once, so no interval can be given; another run may turn any of them."] \
            if all(len(cells) == 1 for cells in groups.values()) else []
        return [*lines, beside.answer(run.data), *once, *disturbed(source, run), losses(counting)]
    if any("workload" in cells[0]["config"] for cells in groups.values()):
        return lines + (bench_answer.answer(groups) or ["The tables hold what these benchmarks say."]) + disturbed(source, run)
    lines += _compared(groups)
    if any(_has(cells, metric) for cells in groups.values() for metric in JUDGED[:2]) or _each_user(groups):
        lines += [how_sure(groups, str(run.data.get("suite") or "NAME")), *disturbed(source, run), losses(run.data["cells"])]
        lines.append("It holds for this load on this host; another shape, another engine or other numbers are a run of their own.")
    return lines if lines else ["This record has no figure by which strategies are compared; the tables hold what it has."]


def _has(cells: list[CellData], metric: str) -> bool:
    """Whether the metric has a value, in some phase."""
    return any(value_of(cell["metrics"], name) is not None for cell in cells for name in phases.variants(cell, metric).values())


def _compared(groups: dict[Name, list[CellData]]) -> list[str]:
    """What a suite's configurations say beside each other."""
    if any(attacked.attack_of(cells[0]) for cells in groups.values()):
        return _of_attacks(groups)
    if steps := {name: cells for name, cells in groups.items() if any(map(STEP.match, cells[0]["metrics"]))}:
        return [_of_steps(name, cells) for name, cells in steps.items()] + _of_same_loads(steps)
    if loads := loads_of(groups):
        return [line for rest, part in loads.items() for line in _of_one_load(part, rest)]
    if any(median(cells, "memory.full_bytes") for cells in groups.values()):
        return [f"{name.label}: {shown(cells, 'memory.full_bytes')} with all connected, connect p99 {shown(cells, 'connect.p99')}."
                for name, cells in list(groups.items())[:8]]
    return []
