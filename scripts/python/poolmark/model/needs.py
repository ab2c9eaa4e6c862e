# SPDX-License-Identifier: Apache-2.0
"""The answer to "what do I need?": figures, the limits of one host, how many hosts, what an upgrade buys, and what is not known.

    facts = answer(gather(runs, None), asked, committed=False)

`facts` is the JSON of the answer (results/capacity.schema.json); text, Markdown and the chart are made of it alone, so all have the same
figures. A figure has a value or a reason. What no run has measured is a gap with the command that measures it; nothing is invented.
"""
import math
from dataclasses import asdict, dataclass

from poolmark.base.forms import Json
from poolmark.base.units import show, show_bytes, show_count, show_ns
from poolmark.model import asked as asked_words
from poolmark.model import host_limits
from poolmark.model.asked import Asked, show_rate
from poolmark.model.choose import Chosen, choose
from poolmark.model.cpu import SAME_RATE
from poolmark.model.evidence import Connect, Evidence, Load, Memory
from poolmark.model.forecast import line_facts
from poolmark.model.host_limits import COMPUTED, FORECAST, MEASURED, UNKNOWN, Limit
from poolmark.model.parts import (CpuPart, Gap, MemoryPart, ScalePart, TailPart, cost_words, cpu_part, how_to_know_p99, memory_part,
                                  processors_of, scale_part, tail_part)
from poolmark.records.read_record import Run
from poolmark.records.record import sha256

SCHEMA = "poolmark.capacity/1"
MEMORY, PROCESSORS, LAW = "memory", "CPU", "the law of scale"
PROCESSOR = "processors"
CHART_STEPS = 40
MOST_SHARE = 1e9            # of a need that one host carries
LINEAR = "linear in processors, which no server is: an upper bound"


@dataclass(frozen=True)
class Figure:
    name: str
    value: float | None
    unit: str
    known: str
    basis: str
    low: float | None = None
    high: float | None = None


@dataclass
class Parts:
    asked: Asked
    chosen: Chosen
    cores: int
    memory_bytes: int
    own_cores: int                      # of the measured host
    memory: MemoryPart | None
    cpu: CpuPart
    scale: ScalePart | None
    tail: TailPart | None
    gaps: list[Gap]

    @property
    def usable_cores(self) -> float:
        return self.cores * (1 - self.asked.reserve)

    @property
    def budget_bytes(self) -> float:
        return self.memory_bytes * (1 - self.asked.reserve) - self.asked.spare_bytes

    def connect_cores(self) -> float:
        """Processors that the connects take."""
        return self.asked.connects * self.cpu.connect.value * 1e-9 if self.asked.connects and self.cpu.connect else 0.0

    def utilisation(self, rate: float, hosts: int = 1) -> float | None:
        """Of each host's processors."""
        if self.cpu.cost is None:
            return None
        return (self.cpu.cost.at(rate / hosts)[1] + self.connect_cores() / hosts) / self.cores


def parts_of(found: Evidence, asked: Asked, committed: bool) -> Parts:
    chosen = choose(found, asked, committed)
    host = chosen.run_of_host().data["host"]
    own_cores, own_memory = processors_of(host) or 1, host.get("memory_bytes")
    own_memory = own_memory if isinstance(own_memory, int) and own_memory > 0 else 1 << 30
    cpu, gaps = cpu_part(chosen, asked)
    memory = memory_part(chosen, asked, found.memory) if asked.connections is not None else None
    scale = scale_part(chosen, asked) if asked.rate is not None else None
    tail = tail_part(chosen, asked) if asked.p99_ns is not None else None
    gaps += [part for part in (memory, tail) if isinstance(part, Gap)]
    if isinstance(scale, Gap) and ((asked.cores or 1) > 1 or chosen.scale is not None):
        gaps.append(scale)
    elif isinstance(scale, Gap) and own_cores > 1:
        chosen.notes.append(f"the universal scalability law is not in this answer: {scale.why}. Measure it: {scale.measure}")
    return Parts(asked, chosen, asked.cores or own_cores, asked.memory_bytes or own_memory, own_cores,
                 memory if isinstance(memory, MemoryPart) else None, cpu, scale if isinstance(scale, ScalePart) else None,
                 tail if isinstance(tail, TailPart) else None, gaps)


# --- figures


def _with(value: float, half: float | None) -> tuple[float | None, float | None]:
    return (None, None) if half is None or not math.isfinite(half) else (max(0.0, value - half), value + half)


def memory_figures(parts: Parts) -> list[Figure]:
    memory, count = parts.memory, parts.asked.connections
    if memory is None or count is None:
        return []
    known = COMPUTED if memory.account or memory.processes > 1 else MEASURED if count <= memory.most else FORECAST
    user, kernel = memory.user_at(count), memory.kernel_at(count)
    line = memory.model.user
    basis = memory.account.arithmetic() + f", by account: {memory.account.words}" if memory.account else (
        f"{show_bytes(memory.base_bytes)} for one process" + (f" (of {memory.processes} that were measured together)" if memory.processes > 1 else "")
        + f" + n x {line.slope:.0f} B" + (" + the pools' reserve by their rule" if memory.model.rules else ""))
    whole = user + kernel + parts.asked.spare_bytes
    half = memory.margin(count)
    free = 1 - parts.asked.reserve
    kernel_line = memory.model.kernel
    kernel_half = kernel_line.margin(count) / 2 if kernel_line else None
    kernel_basis = f"n x {kernel_line.slope / 2:.0f} B, half of what both ends take" if kernel_line else ""
    low, high = _with(whole / free, None if half is None else half / free)
    return [
        Figure("memory of the server", user, "B", known, basis, *_with(user, memory.user_margin(count))),
        Figure("memory of the kernel", kernel, "B", MEASURED if count <= memory.most else FORECAST, kernel_basis, *_with(kernel, kernel_half)),
        Figure("memory of one host for all", whole / free, "B", known,
               f"({show_bytes(user)} + {show_bytes(kernel)} + {show_bytes(parts.asked.spare_bytes)} for the system)"
               + (f" / (1 - {100 * parts.asked.reserve:g} %)" if parts.asked.reserve else ""), low, high)]


def cpu_figures(parts: Parts) -> list[Figure]:
    asked, cost, connect = parts.asked, parts.cpu.cost, parts.cpu.connect
    figures, total, half = [], 0.0, 0.0
    known = MEASURED
    if asked.rate is not None and cost is not None:
        low, value, high = cost.at(asked.rate)
        known = MEASURED if asked.rate <= cost.rates[-1] * (1 + SAME_RATE) else FORECAST
        figures.append(Figure("CPU for messages", value, PROCESSOR, known, cost_words(cost), low, high))
        total, half = total + value, half + (high - value if high is not None else math.inf)
    if asked.connects is not None and connect is not None:
        value, width = parts.connect_cores(), asked.connects * connect.half * 1e-9
        figures.append(Figure("CPU for connects", value, PROCESSOR, MEASURED, f"{show_rate(asked.connects)} x {show_ns(connect.value)} a connect",
                              *_with(value, width)))
        total, half = total + value, half + width
    if asked.connections is not None and connect is not None:
        seconds = asked.connections * connect.value * 1e-9
        figures.append(Figure("CPU time to connect all", seconds, "s", COMPUTED, f"{show_count(asked.connections)} x {show_ns(connect.value)} a connect",
                              *_with(seconds, asked.connections * connect.half * 1e-9)))
    if total:
        free = 1 - asked.reserve
        figures.append(Figure("processors of one host for all", total / free, PROCESSOR, known,
                              f"{total:.3g}" + (f" / (1 - {100 * asked.reserve:g} %)" if asked.reserve else ""),
                              *_with(total / free, half / free)))
    return figures


def p99_figure(parts: Parts, hosts: int | None) -> tuple[list[Figure], Gap | None]:
    """p99 where the need is spread over `hosts` (None: over one)."""
    asked, rate = parts.asked, parts.asked.rate
    if asked.p99_ns is None or rate is None or parts.tail is None:
        return [], None
    hosts = hosts or 1
    used, relation = parts.utilisation(rate, hosts), parts.tail.relation
    name = f"p99 of deliveries on {show_count(hosts)} host{'' if hosts == 1 else 's'}"
    if used is None:
        return [Figure(name, None, "ns", UNKNOWN, "CPU time of a message is not known")], None
    at = relation.at(used)
    measure = how_to_know_p99(parts.chosen, asked)
    if at is None:
        why = f"each host is {100 * used:.3g} % busy there; p99 is not known beyond {100 * relation.most:.3g} %, the most that was measured"
        return [Figure(name, None, "ns", UNKNOWN, why)], Gap("p99 at that rate", why, measure)
    low, value, high = at
    holds = relation.holds(used, asked.p99_ns)
    verdict = {True: "held", False: "missed", None: "not decided: the bound is in the interval"}[holds]
    scatter = "" if relation.scatter is not None else "; one run at each rate tells no scatter"
    basis = f"at {100 * used:.3g} % of its processors; bound {show_ns(asked.p99_ns)}: {verdict}{scatter}"
    gap = None if holds is not None else Gap("whether p99 is held", f"at {100 * used:.3g} % busy it is between {show_ns(low)} and {show_ns(high)}", measure)
    return [Figure(name, value, "ns", MEASURED, basis, low, high)], gap


# --- limits of one host


def _known(most_measured: float, carried: float) -> str:
    return MEASURED if carried <= most_measured else FORECAST


def memory_limit(parts: Parts) -> list[Limit]:
    memory, count = parts.memory, parts.asked.connections
    if memory is None or count is None:
        return []
    carried = memory.carried_by(parts.budget_bytes)
    text = host_limits.memory_words(parts.memory_bytes, parts.asked.reserve, parts.asked.spare_bytes)
    low, high = (None, None) if memory.account else (memory.carried_by(parts.budget_bytes, -1), memory.carried_by(parts.budget_bytes, 1))
    known = COMPUTED if memory.account else _known(memory.most, carried)
    return [Limit(MEMORY, carried, "connections", carried / count, text, known, "more memory, a leaner shape, or more hosts", low, high)]


def cpu_limits(parts: Parts) -> list[Limit]:
    asked, cost = parts.asked, parts.cpu.cost
    if asked.rate is None:
        return connect_limits(parts)
    if cost is None:
        return []
    share = share_carried(parts, parts.usable_cores)
    carried = asked.rate * share
    text = f"{parts.cores}" + (f" x (1 - {100 * asked.reserve:g} %)" if asked.reserve else "") + " processors, at " + (
        f"{show_ns(1e9 * cost.message_s(carried))} a message" if 0 < carried < math.inf else "no message")
    text += ", connects included" if parts.connect_cores() else ""
    more = "" if parts.cores <= 1 else f"; {LINEAR}"
    low, high = (share_carried(parts, parts.usable_cores, end) for end in (2, 0))
    ends = (asked.rate * low, asked.rate * high) if cost.at(asked.rate)[0] is not None and high < MOST_SHARE else (None, None)
    limits = [Limit(PROCESSORS, carried, "messages/s", share, text + more, _known(cost.rates[-1], carried), "more processors or hosts", *ends)]
    if parts.scale is not None and parts.scale.axis == "threads" and parts.scale.law.fit is not None and parts.scale.law.fit.is_known_at(parts.cores):
        low, value, high = (one * (1 - asked.reserve) for one in parts.scale.law.fit.at(parts.cores))
        limits.append(Limit(LAW, value, "messages/s", value / asked.rate, f"the law at {parts.cores} threads, of rates that hold {parts.scale.bounds}",
                            _known(parts.scale.law.fit.most, parts.cores), "more processors, up to the law's peak, or hosts", low, high))
    return limits


def share_carried(parts: Parts, processors: float, end: int = 1) -> float:
    """The share of the messages and connects that takes so many processors. `end`: 0, 1, 2: by the low end of the cost's interval, by the
    cost, by the high end."""
    cost, rate, connects = parts.cpu.cost, parts.asked.rate or 0.0, parts.connect_cores()
    if cost is None or processors <= cost.base:
        return 0.0
    low, high = 0.0, MOST_SHARE
    for _ in range(100):
        middle = math.sqrt(max(low, 1e-12) * high)
        taken = cost.at(rate * middle)[end]
        low, high = (middle, high) if taken is not None and taken + connects * middle <= processors else (low, middle)
    return low


def connect_limits(parts: Parts) -> list[Limit]:
    """What the processors carry where connects alone are asked for."""
    connects, each = parts.asked.connects, parts.cpu.connect
    if connects is None or each is None:
        return []
    carried = parts.usable_cores / (each.value * 1e-9)
    text = f"{parts.usable_cores:.3g} / {show_ns(each.value)} a connect" + ("" if parts.cores <= 1 else f"; {LINEAR}")
    low, high = _with(each.value, each.half)
    ends = (None, None) if not low or not high else (carried * each.value / high, carried * each.value / low)
    return [Limit(PROCESSORS, carried, "connects/s", carried / connects, text, FORECAST, "more processors or hosts", *ends)]


def p99_limit(parts: Parts) -> list[Limit]:
    """The rate up to which p99 is known to hold the bound."""
    asked, cost = parts.asked, parts.cpu.cost
    if asked.p99_ns is None or asked.rate is None or parts.tail is None or cost is None:
        return []
    relation = parts.tail.relation
    used = relation.held_up_to(asked.p99_ns)
    if used is None:
        return [Limit("p99", 0.0, "messages/s", 0.0, f"at every measured utilisation p99 is above {show_ns(asked.p99_ns)} or too near", MEASURED,
                      "fewer messages a host")]
    share = share_carried(parts, used * parts.cores)
    missed = relation.missed_from(asked.p99_ns)
    text = f"held at {100 * used:.3g} % of {parts.cores} processors, " + (
        f"missed at {100 * missed:.3g} %" if missed is not None else "the most that was measured: beyond it is not known")
    return [Limit("p99", asked.rate * share, "messages/s", share, text, MEASURED if missed is not None else UNKNOWN,
                  "fewer messages a host" if missed is not None else "measure p99 at higher rates")]


# --- hosts


def _hosts(share: float | None) -> int | None:
    """Hosts for a need of which one carries `share`."""
    if share is None or share <= 0:
        return None
    return max(1, math.ceil(1 / share - 1e-9))


def _most_hosts(deciding: list[Limit], end: str) -> float | None:
    """Hosts by the ends of the limits' intervals; `end` "low": as each host carries least. None where a limit carries nothing there."""
    found = []
    for one in deciding:
        bound, share = getattr(one, end), one.share or 0.0
        if bound is not None and one.carries and math.isfinite(bound) and math.isfinite(one.carries):
            share *= bound / one.carries
        found.append(_hosts(share))
    return None if None in found else float(max(count for count in found if count is not None))


def _known_of_hosts(parts: Parts, hosts: int) -> str:
    """Whether the part of the need that each host has is one that was measured."""
    memory, cost, asked = parts.memory, parts.cpu.cost, parts.asked
    beyond = memory is not None and asked.connections is not None and asked.connections > hosts * memory.most
    beyond |= cost is not None and asked.rate is not None and asked.rate > hosts * cost.rates[-1] * (1 + SAME_RATE)
    return FORECAST if beyond else COMPUTED if memory is not None and memory.account else MEASURED


def hosts_needed(parts: Parts, limits: list[Limit]) -> Figure:
    """How many hosts carry the need by memory and processors, and what the figure rests on. Settings are mended, and p99 is told
    apart."""
    deciding = [one for one in limits if one.name in (MEMORY, PROCESSORS, LAW)]
    wanted = [(MEMORY, parts.asked.connections), (PROCESSORS, parts.asked.rate or parts.asked.connects)]
    missing = [name for name, need in wanted if need is not None and not any(one.name == name for one in deciding)]
    counts = {one.name: _hosts(one.share) for one in deciding}
    told = [f"{name}: " + (show_count(count) if count is not None else "no number of such hosts") for name, count in counts.items()]
    if missing or not deciding or None in counts.values():
        return Figure("hosts", None, "1", UNKNOWN, "; ".join([*told, *(f"{name}: not known" for name in missing)]))
    most = max(count for count in counts.values() if count is not None)
    low, high = (_most_hosts(deciding, end) for end in ("high", "low"))
    if all(one.low is None for one in deciding):
        low = high = None
    return Figure("hosts", float(most), "1", _known_of_hosts(parts, most), "; ".join(told), low, high)


def hosts_gap(parts: Parts, limits: list[Limit], hosts: Figure) -> Gap | None:
    """Why no number of hosts carries the need, where every part of it is known."""
    if hosts.value is not None or parts.gaps:
        return None
    nothing = [one for one in limits if one.name in (MEMORY, PROCESSORS, LAW) and _hosts(one.share) is None]
    told = [f"{one.name}: {one.arithmetic} carries nothing" for one in nothing] or [hosts.basis or "no part of the need is told"]
    if any(one.name == MEMORY for one in nothing) and parts.memory is not None:
        least = (parts.memory.base_bytes + parts.asked.spare_bytes) / (1 - parts.asked.reserve)
        told.append(f"what is missing is a host of more than {show_bytes(least)} (--memory), or less --spare and --reserve")
    return Gap("hosts", "; ".join(told), "")


def p99_hosts(limits: list[Limit]) -> list[Figure]:
    """Hosts over which the need is spread so far that p99 is known to hold."""
    found = next((one for one in limits if one.name == "p99"), None)
    count = _hosts(found.share) if found else None
    if found is None or count is None:
        return []
    return [Figure("hosts on which p99 is known to hold", float(count), "1", MEASURED, found.arithmetic)]


def upgrade_figures(parts: Parts) -> list[Figure]:
    """What the processors that were asked for buy over those of the measured host, by the law."""
    law = parts.scale.law.fit if parts.scale is not None and parts.scale.axis == "threads" else None
    if parts.asked.cores is None or law is None or parts.scale is None:
        return []
    figures = []
    for cores in dict.fromkeys((parts.own_cores, parts.cores)):
        low, value, high = law.at(cores)
        known = UNKNOWN if not law.is_known_at(cores) else _known(law.most, cores)
        basis = f"the law, of rates that hold {parts.scale.bounds}" if known != UNKNOWN else (
            f"the law's interval is too wide there: {show_rate(low)} to {show_rate(high)}")
        figures.append(Figure(f"rate of one host of {cores} processors", None if known == UNKNOWN else value, "1/s", known, basis,
                              None if known == UNKNOWN else low, None if known == UNKNOWN else high))
    peak = law.peak()
    if peak is not None:
        figures.append(Figure("processors past which more make it slower", peak, PROCESSOR, COMPUTED, "the peak of the law: ((1 - contention) / coherency)^(1/2)"))
    return figures


# --- the answer


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    if math.isinf(value):
        return "no bound"
    return f"{value:.3g}" if unit == PROCESSOR else show(value, unit)


def figure_facts(one: Figure) -> Json:
    interval = "" if one.low is None or one.high is None else f"{shown(one.low, one.unit)} to {shown(one.high, one.unit)}"
    return _finite(asdict(one)) | {"shown": shown(one.value, one.unit) + (f" {PROCESSOR}" if one.unit == PROCESSOR and one.value is not None else ""),
                                   "interval_shown": interval}


def limit_facts(one: Limit) -> Json:
    interval = "" if one.low is None or one.high is None else (
        f"{host_limits.show_carried(one.low, one.unit)} to {host_limits.show_carried(one.high, one.unit)}")
    return _finite(asdict(one)) | {"shown": host_limits.show_carried(one.carries, one.unit), "interval_shown": interval,
                                   "share_shown": host_limits.show_share(one.share)}


def _finite(facts: Json) -> Json:
    """JSON has no infinity: no bound is null there, and `shown` says it."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()}


def _steps_to(most: float) -> list[float]:
    """Rates for the line of a chart."""
    return [most * at / CHART_STEPS for at in range(CHART_STEPS + 1)]


def model_facts(parts: Parts) -> Json:
    memory, cost, held, scale = parts.memory, parts.cpu.cost, parts.cpu.held_out, parts.scale
    return {
        "memory": memory and {
            "cells": [one.cell["id"] for one in memory.cells], "user": line_facts(memory.model.user), "kernel": line_facts(memory.model.kernel),
            "points": [{"connections": step.connections, "bytes": step.user_bytes + (step.kernel_bytes or 0.0) / 2} for step in memory.model.steps],
            "account": memory.account and {"words": memory.account.words, "arithmetic": memory.account.arithmetic()},
            "held_out": memory.held_out and {"connections": memory.held_out.connections, "measured_bytes": memory.held_out.measured_bytes,
                                             "predicted_bytes": memory.held_out.predicted_bytes,
                                             "error_percent": memory.held_out.error_percent, "holds": memory.holds_check()}},
        "cpu": cost and {
            "form": cost.form, "base": cost.base, "alone_s": cost.alone, "saved_s": float(cost.coefficients[2]), "rates": list(cost.rates), "runs": cost.runs,
            "line": [{"rate": rate, "processors": cost.at(rate)[1]} for rate in _steps_to(max(parts.asked.rate or 0.0, cost.rates[-1]))],
            "points": [{"rate": one.rate, "processors": one.processors} for one in parts.chosen.loads if one.processors is not None],
            "held_out": held and {"rate": held.rate, "measured": held.measured, "predicted": held.predicted,
                                  "error_percent": held.error_percent, "holds": held.holds}},
        "law": scale and scale.law.fit and law_facts(scale),
        "p99": parts.tail and {"most_utilisation": parts.tail.relation.most, "scatter": parts.tail.relation.scatter,
                               "points": [{"utilisation": used, "p99_ns": value} for used, value in parts.tail.points]}}


def law_facts(scale: ScalePart) -> Json:
    law, held = scale.law.fit, scale.law.held_out
    if law is None:
        return {}
    return {"axis": scale.axis, "bounds": scale.bounds, "points": [{"load": load, "rate": rate} for load, rate in scale.law.points],
            **{name: dict(zip(("low", "value", "high"), (law.interval(name)[0], getattr(law, name), law.interval(name)[1]), strict=True))
               for name in ("first", "contention", "coherency")}, "peak": law.peak(),
            "held_out": held and {"load": held.load, "measured": held.measured, "predicted": held.predicted, "error_percent": held.error_percent,
                                  "holds": held.holds}}


def run_facts(run: Run) -> Json:
    host, tool = run.data["host"], run.data["tool"]
    return {"id": run.id, "sha256": sha256(run.folder / "run.json"), "started_utc": run.data["started_utc"], "commit": str(tool.get("commit")),
            "version": str(tool.get("version")), "cores": host.get("cores"), "cpu_model": host.get("cpu_model"), "kernel": host.get("kernel")}


def failed_checks(parts: Parts) -> list[str]:
    told = []
    if parts.memory is not None and parts.memory.held_out is not None and not parts.memory.holds_check():
        told.append(f"the model of memory does not hold: the step of {show_count(parts.memory.held_out.connections)} connections, predicted by the "
                    f"others, is off by {parts.memory.held_out.error_percent:+.1f} %")
    held = parts.cpu.held_out
    if parts.asked.rate is not None and held is not None and not held.holds:
        told.append(f"the model of CPU time does not hold: {show_rate(held.rate)}, predicted by the other rates, is off by {held.error_percent:+.1f} %")
    return told


def answer(found: Evidence, asked: Asked, committed: bool) -> Json:
    """The answer as JSON. UsageError when the question cannot be put to these runs."""
    parts = parts_of(found, asked, committed)
    settings = host_limits.settings(parts.chosen.run_of_host().data["host"], parts.memory_bytes, asked.sources, asked.connections) \
        if asked.connections is not None else []
    limits = [*memory_limit(parts), *cpu_limits(parts), *p99_limit(parts), *settings]
    hosts = hosts_needed(parts, limits)
    p99, gap = p99_figure(parts, round(hosts.value) if hosts.value is not None else None)
    gaps = parts.gaps + [one for one in (gap, hosts_gap(parts, limits, hosts)) if one]
    first, hard = host_limits.first_of(limits), host_limits.first_of([one for one in limits if not one.is_setting])
    wrong = failed_checks(parts)
    measured: list[Memory | Load | Connect] = [*parts.chosen.memory, *parts.chosen.loads, *parts.chosen.connects]
    used = dict.fromkeys(one.run.id for one in measured)
    scale = parts.chosen.scale
    used |= dict.fromkeys(one.run.id for one in ([*scale.points, *scale.others] if scale else []))
    return {
        "schema": SCHEMA, "asked": asdict(asked), "question": asked_words.words(asked), "bytes_taken_for": asked_words.memory_words(asked),
        "configuration": parts.chosen.kind.words(), "host": {"cores": parts.cores, "memory_bytes": parts.memory_bytes,
                                                            "as_measured": asked.cores is None and asked.memory_bytes is None},
        "figures": [figure_facts(one) for one in (*memory_figures(parts), *cpu_figures(parts), hosts, *p99, *p99_hosts(limits),
                                                  *upgrade_figures(parts))],
        "limits": [limit_facts(one) for one in limits], "first_limit": first and first.name,
        "first_limit_without_settings": hard and hard.name,
        "gaps": [asdict(one) for one in gaps], "checks_failed": wrong, "notes": parts.chosen.notes, "left_out": found.left_out_of(parts.chosen.kind),
        "models": model_facts(parts), "runs": [run_facts(run) for run in found.runs if run.id in used],
        "answered": not gaps and not wrong}
