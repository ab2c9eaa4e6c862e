# SPDX-License-Identifier: Apache-2.0
"""The first sentences of a page: the question, the answer in words, how sure it is, and what would change it.

The best strategy has the smallest product of three ratios to the best: memory with all connected, p99 of connects, CPU time of a
connection. Strategies that hold most of their memory from the start were configured for the number of connections. They are the
answer for users who know their peak; the other strategies are the answer for users who do not.
"""
import math

from poolmark.base.units import plural, show, show_count
from poolmark.records import phases
from poolmark.report.names import Name
from poolmark.report.source import Source, cells_of, median, values
from poolmark.report.trade_data import bench_contender

JUDGED = ("memory.full_bytes", "connect.p99", "cpu.per_connection_ns")
CLOSE = 1.2              # products within this factor are called close, as each of three figures is good to a tenth
PAID_BEFOREHAND = 0.7    # at least this share of the memory with all connected is held at the start


def shown(cells: list[dict], metric: str) -> str:
    """The median as text; with several runs also the lowest and the highest value."""
    value = median(cells, metric)
    if value is None:
        return "not known"
    unit = next(cell["metrics"][metric]["unit"] for cell in cells if metric in cell["metrics"])
    found = values(cells, metric)
    spread = f" ({show(min(found), unit)} to {show(max(found), unit)})" if len(found) > 1 else ""
    return f"{show(value, unit)}{spread}"


def scores(groups: dict[Name, list[dict]]) -> dict[Name, float]:
    """The product of the ratios to the best, over the metrics that every strategy has."""
    judged = [metric for metric in JUDGED if all((median(cells, metric) or 0) > 0 for cells in groups.values())]
    best = {metric: min(median(cells, metric) for cells in groups.values()) for metric in judged}
    return {name: math.prod(median(cells, metric) / best[metric] for metric in judged)
            for name, cells in groups.items()} if judged else {}


def beforehand(cells: list[dict]) -> bool:
    start, full = median(cells, "memory.start_bytes"), median(cells, "memory.full_bytes")
    return bool(start and full and start >= PAID_BEFOREHAND * full)


def _of_one_load(groups: dict[Name, list[dict]]) -> list[str]:
    """Answers for strategies that differ in nothing else, with the same number of connections."""
    config = next(iter(groups.values()))[0]["config"]
    count = show_count(config["connections"])
    found = scores(groups)
    told = {name: cells for name, cells in groups.items() if beforehand(cells)}
    at = f"{count} connections ({', '.join(str(config[key]) for key in ('engine', 'shape') if config.get(key))})"
    lines = []
    for names, head in (([name for name in groups if name not in told], f"For {at} choose {{}}, if you do not know your peak"),
                        (list(told), "Choose {} if you do: it takes memory for all of them at the start")):
        if found and names:
            best = min(names, key=lambda name: found[name])
            close = [name.label for name in names if name != best and found[name] <= CLOSE * found[best]]
            near = f" ({', '.join(close)} {'is' if len(close) == 1 else 'are'} close)" if close else ""
            lines.append(head.format(best.label) + near + f": {shown(groups[best], 'memory.full_bytes')}, connect p99 "
                         f"{shown(groups[best], 'connect.p99')}, {shown(groups[best], 'cpu.per_connection_ns')} of CPU a connection.")
    least, most = (pick(groups, key=lambda name: median(groups[name], "memory.full_bytes") or 0) for pick in (min, max))
    quick, slow = (pick(groups, key=lambda name: median(groups[name], "connect.p99") or 0) for pick in (min, max))
    return [*lines, f"{least.label} holds the least memory with all connected, {shown(groups[least], 'memory.full_bytes')}, "
            f"{most.label} the most, {shown(groups[most], 'memory.full_bytes')}; p99 of a connect is shortest with {quick.label}, "
            f"{shown(groups[quick], 'connect.p99')}, longest with {slow.label}, {shown(groups[slow], 'connect.p99')}."]


def _of_steps(name: Name, cells: list[dict]) -> str:
    last = max((int(metric.split(".")[1]) for metric in cells[0]["metrics"] if metric.startswith("step.")), default=0)
    at = f"step.{last}."
    latency = f"; a message took {shown(cells, at + 'delivery.p50')}, p99 {shown(cells, at + 'delivery.p99')}" \
        if median(cells, at + "delivery.p99") else ""
    return (f"{show_count(last)} connections with {name.label}: {shown(cells, at + 'user_bytes')} in the broker, "
            f"{shown(cells, 'memory.per_connection_bytes')} for one more; {shown(cells, 'kernel.per_connection_bytes')} of the "
            f"kernel's for both ends{latency}.")


def _of_a_load(metrics: dict) -> list[str]:
    counts = {name: (metrics.get(f"clients.{name}") or {}).get("value") for name in ("connected", "failed", "dropped")}
    if counts["connected"] is None:
        return []
    return [f"{plural(round(counts['connected']), 'client')} connected, {counts['failed'] or 0:.0f} failed, "
            f"{counts['dropped'] or 0:.0f} dropped."]


def _of_benchmarks(groups: dict[Name, list[dict]]) -> list[str]:
    lines = []
    cells = [cells for cells in groups.values() if cells[0]["config"].get("bytes") == 3072 and median(cells, "time")]
    for workloads, what in ((("lifo_touch_line", "lifo"), "An object taken, one line of it written, given back"),
                            (("burst_1000_touch_line", "burst_1000"), "A thousand at a time"),
                            (("remote_1_1_touch_line", "remote_1_1"), "One thread takes, another gives back")):
        workload = next((one for one in workloads if any(one == group[0]["config"]["workload"] for group in cells)), None)
        ours = {bench_contender(group[0]["config"]): group for group in cells if group[0]["config"]["workload"] == workload
                and (group[0]["config"].get("threads") or 1) <= 2 and group[0]["config"].get("strategy") not in ("null", "bare")}
        if len(ours) > 1:
            order = sorted(ours, key=lambda name: median(ours[name], "time"))
            times = {name: f"{median(ours[name], 'time'):.3g} ns" for name in order}
            rivals = [name for name in order if name.startswith("direct-") and name != "direct-slab"] or \
                [name for name in order if name.startswith("malloc")]
            beside = next((name for name in rivals if name != order[0]), order[1])
            untouched = "" if workload.endswith("_touch_line") else ", nothing written"
            lines.append(f"{what}{untouched} (3 072 bytes): fastest with {order[0]}, {times[order[0]]}; the fastest other allocator "
                         f"takes {times[beside]} ({beside}), {median(ours[beside], 'time') / median(ours[order[0]], 'time'):.3g} times as long.")
    return lines


def how_sure(groups: dict[Name, list[dict]], suite: str) -> str:
    runs = {len(cells) for cells in groups.values()}
    if runs == {1}:
        return (f"How sure: each ran once, so no interval can be given; times that differ by less than a fifth may be the same. "
                f"scripts/poolmark compare BASE CANDIDATE --run 'suite {suite}' gives a verdict.")
    return f"How sure: {min(runs)} runs each, with the lowest and the highest in brackets; where these overlap, nothing is told apart."


def trouble(source: Source, run) -> list[str]:
    lines = []
    if run.data["status"] != "complete":
        lines.append(f"This run is {run.data['status']}: read its figures as far as they go.")
    bad = dict.fromkeys(source.name(run, cell).label for cell in run.data.get("cells", []) if cell["status"] != "complete")
    if bad:
        lines.append(f"{plural(len(bad), 'configuration')} did not end as {'it' if len(bad) == 1 else 'they'} should: "
                     f"{', '.join(list(bad)[:5])}.")
    return lines


def losses(cells: list[dict]) -> str:
    def total(names: tuple[str, ...]) -> float:
        return sum((phases.whole(cell["metrics"], name) or {}).get("value") or 0 for cell in cells for name in names)

    clients, lost = total(("clients.failed", "clients.dropped")), total(("messages.lost",))
    if not clients and not lost:
        return "No client failed or was dropped, no message was lost."
    return f"{plural(round(clients), 'client')} failed or {'was' if clients == 1 else 'were'} dropped, " \
           f"{plural(round(lost), 'message')} {'was' if lost == 1 else 'were'} lost."


def answer(source: Source, run) -> list[str]:
    """The sentences; the answer comes first."""
    lines = trouble(source, run)
    groups: dict[Name, list[dict]] = {}
    for cell in cells_of(run):
        groups.setdefault(source.name(run, cell), []).append(cell)
    if not run.data.get("cells"):
        return lines + (_of_a_load(run.data.get("metrics", {})) or ["The tables hold what this record has."])
    configs = [cells[0]["config"] for cells in groups.values()]
    if any("workload" in config for config in configs):
        return lines + (_of_benchmarks(groups) or ["The tables hold what these benchmarks say."])
    steps = {name: cells for name, cells in groups.items() if any(metric.startswith("step.") for metric in cells[0]["metrics"])}
    if steps:
        lines += [_of_steps(name, cells) for name, cells in steps.items()]
    elif len(groups) > 1 and not any(name.rest for name in groups) and configs[0].get("connections"):
        lines += _of_one_load(groups)
    elif any(median(cells, "memory.full_bytes") for cells in groups.values()):
        lines += [f"{name.label}: {shown(cells, 'memory.full_bytes')} with all connected, connect p99 {shown(cells, 'connect.p99')}."
                  for name, cells in list(groups.items())[:8]]
    if any(median(cells, "memory.full_bytes") or median(cells, "connect.p99") for cells in groups.values()):
        lines += [how_sure(groups, str(run.data.get("suite") or "NAME")), losses(run.data["cells"])]
        lines.append("It holds for this load on this host; another shape, another engine or other numbers are a run of their own.")
    return lines if lines else ["This record has no figure by which strategies are compared; the tables hold what it has."]
