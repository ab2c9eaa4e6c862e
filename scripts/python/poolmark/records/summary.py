# SPDX-License-Identifier: Apache-2.0
"""A suite's table, also as Markdown and CSV: a row for each measure, a column for each configuration.

With several repetitions a column has medians; the CSV has every cell. Incomplete cells are marked with "!". A figure that others may have
disturbed has a "?"; one that they took away is "withheld".
"""
import collections
import math
import re
import shutil
import statistics
from dataclasses import dataclass

from poolmark.records import accounts, phases
from poolmark.base import pairwise
from poolmark.base.forms import WITHHELD, CellData, Json, RecordData, sound_value, value_of
from poolmark.base.table import csv_text, markdown_table, markdown_text, text_table
from poolmark.base.units import plural, show

# (label, metric). Rows without values are left out. A metric that each phase has becomes a row for each phase.
ROWS = [
    ("connections", "clients.connected"),
    ("connects per second", "connect.rate"),
    ("connect p50", "connect.p50"),
    ("connect p99", "connect.p99"),
    ("connect p99.9", "connect.p99_9"),
    ("arrivals per second", "arrivals.rate"),
    ("arrival p50", "arrival.p50"),
    ("arrival p99", "arrival.p99"),
    ("longest wait of an arrival", "arrival.max"),
    ("arrival p99, pools expanding", "arrival_expanding.p99"),
    ("arrival p99, pools steady", "arrival_steady.p99"),
    ("arrivals while pools expanded", "arrival_expanding.count"),
    ("hits of all gets", "arrivals.pool_hit_rate"),
    ("SUBACK p50", "subscribe.p50"),
    ("SUBACK p99", "subscribe.p99"),
    ("UNSUBACK p99", "unsubscribe.p99"),
    ("replay of retained messages p50", "replay.p50"),
    ("replay of retained messages p99", "replay.p99"),
    ("subscriptions changed per second", "subscriptions.rate"),
    ("delivery p50", "delivery.p50"),
    ("delivery p99", "delivery.p99"),
    ("delivery p99.9", "delivery.p99_9"),
    ("delivery p99 before readers were slow", "delivery_before.p99"),
    ("delivery p99 after it", "delivery_after.p99"),
    ("recovery of slow readers, median", "recovery.p50"),
    ("recovery of slow readers, longest", "recovery.max"),
    ("slow readers that were disconnected", "slow.closed"),
    ("deliveries that slow readers missed", "slow.missed"),
    ("memory per slow reader", "slow.memory_per_reader_bytes"),
    ("ack p50", "ack.p50"),
    ("ack p99", "ack.p99"),
    ("memory at start", "memory.start_bytes"),
    ("memory with all connected", "memory.full_bytes"),
    ("memory with all subscriptions", "memory.subscribed_bytes"),
    ("memory at the peak", "memory.peak_bytes"),
    ("memory after", "memory.after_bytes"),
    ("memory growth an hour", "soak.memory_slope"),
    ("the same of its level", "soak.memory_growth"),
    ("fullest pool", "soak.pool_fullness"),
    ("gets served from the pools", "soak.reuse"),
    ("memory per connection", "memory.per_connection_bytes"),
    ("the same by RSS", "memory.per_connection_rss_bytes"),
    ("memory per subscription", "memory.per_subscription_bytes"),
    ("kernel memory per connection", "kernel.per_connection_bytes"),
    ("CPU per connection", "cpu.per_connection_ns"),
    ("CPU per arrival", "cpu.per_arrival_ns"),
    ("CPU per SUBSCRIBE or UNSUBSCRIBE", "cpu.per_change_ns"),
    ("CPU per message", "cpu.per_message_ns"),
    ("deliveries per second", "deliveries.rate"),
    ("CPU per delivery", "cpu.per_delivery_ns"),
    ("pool hit rate", "pool.hit_rate"),
    ("pool expansions", "pool.expansions"),
    ("longest expansion", "pool.longest_expansion_ns"),
    ("generator memory per client", "generator.per_client_bytes"),
    ("proven alive", "clients.alive"),
    ("clients failed", "clients.failed"),
    ("clients dropped", "clients.dropped"),
    ("clients that did not come back", "arrivals.failed"),
    ("subscriptions refused or lost", "subscriptions.failed"),
    ("messages lost", "messages.lost"),
    ("messages with another content", "messages.corrupt"),
    ("messages at the wrong clients", "messages.misdelivered"),
    ("messages out of order", "messages.out_of_order"),
    ("messages twice against their QoS", "messages.duplicates_excluded"),
    ("messages at another QoS", "messages.qos_changed"),
    ("messages under another topic", "messages.topic_changed"),
    ("messages with another RETAIN flag", "messages.retain_changed"),
    ("subscriptions at another QoS", "clients.qos_changed"),
    ("clean sessions called kept", "clients.session_unasked"),
    ("highest memory of the broker", "broker.memory_highest_bytes"),
    ("bound of that, by its options", "broker.memory_bound_bytes"),
    ("longest turn of the broker", "broker.longest_turn_ns"),
    ("end of the broker after SIGTERM", "attack.stop_ns"),
    ("rounds of the attack", "attack.rounds"),
    ("attacker's connections", "attack.connections"),
    ("bytes that it sent", "attack.sent_bytes"),
    ("refused to it", "attack.refused"),
]
# Metrics shown of a phase that publishes. Its few connections are only in the record.
OF_PUBLISHING = ("delivery.", "delivery_before.", "delivery_after.", "recovery.", "slow.", "deliveries.", "ack.", "cpu.per_message_ns", "cpu.per_delivery_ns")


# Columns of the table of steps: (head, metric after "step.N.").
STEP_COLUMNS = [("user memory", "user_bytes"), ("objects", "objects_bytes"), ("buffers", "buffers_bytes"),
                ("arenas", "arenas_bytes"), ("messages", "messages_bytes"), ("rest", "rest_bytes"),
                ("kernel memory", "kernel_bytes"), ("took", "took_ns"), ("CPU each", "cpu_per_connection_ns"),
                ("connect p99", "connect.p99"), ("delivery p50", "delivery.p50"), ("delivery p99", "delivery.p99")]


def stem(cell: CellData) -> str:
    return re.sub(r"\.\d+$", "", cell["id"])


def values(cells: list[CellData], metric: str) -> list[float]:
    found = (value_of(cell["metrics"], metric) for cell in cells)
    return [value for value in found if value is not None]


def is_shown(cells: list[CellData], metric: str) -> bool:
    """Whether a row of it says anything: a value, or that it is withheld."""
    return bool(values(cells, metric)) or any(_is_withheld(cell, metric) for cell in cells)


def _is_withheld(cell: CellData, metric: str) -> bool:
    return metric in cell["metrics"] and cell["metrics"][metric].get("why", "").startswith(WITHHELD)


def marked(text: str, cells: list[CellData], metric: str) -> str:
    """`text`: the median of the cells."""
    if not values(cells, metric) and any(_is_withheld(cell, metric) for cell in cells):
        return "withheld"
    return f"{text} ?" if any("doubt" in cell["metrics"].get(metric, ()) for cell in cells) else text


def columns(cells: list[CellData]) -> dict[str, list[CellData]]:
    """Groups the repetitions of each configuration, in the order of their first run."""
    grouped: dict[str, list[CellData]] = {}
    for cell in cells:
        grouped.setdefault(stem(cell), []).append(cell)
    return grouped


def short_names(names: list[str]) -> list[str]:
    """Names without the words that all share: malloc, fixed ... instead of classic-malloc-paho-10000 ..."""
    split = [name.split("-") for name in names]
    if len(names) < 2 or len({len(words) for words in split}) > 1:
        return names
    differ = [i for i in range(len(split[0])) if len({words[i] for words in split}) > 1]
    return ["-".join(words[i] for i in differ) for words in split]


def shared_words(names: list[str]) -> str:
    split = [name.split("-") for name in names]
    if len(names) < 2 or len({len(words) for words in split}) > 1:
        return ""
    return " ".join(words for i, words in enumerate(split[0]) if len({one[i] for one in split}) == 1)


def chosen(cells: list[CellData], label: str, metric: str) -> list[tuple[str, str]]:
    """(label, metric) of the rows for one of ROWS: for the whole cell, or for each phase that has it."""
    if metric in phases.summed():
        sums = f"{phases.CELL}.{metric}"
        return [(label, sums if any(sums in cell["metrics"] for cell in cells) else metric)]
    found: dict[str, str] = {}
    for cell in cells:
        found |= phases.variants(cell, metric)
    if "" in found and not metric.startswith(OF_PUBLISHING):
        return [(label, metric)]
    return [(f"{label}, {phase}" if phase else label, name) for phase, name in found.items()]


def by_phase(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sorts adjacent rows of messages by phase instead of by metric."""
    order: dict[str, int] = {}
    for label, _ in found:
        order.setdefault(label.partition(", ")[2], len(order))
    made: list[tuple[str, str]] = []
    block: list[tuple[str, str]] = []
    for label, metric in [*found, ("", "")]:
        if metric.split(".", 1)[-1].startswith(OF_PUBLISHING):
            block.append((label, metric))
        else:
            made += sorted(block, key=lambda row: order[row[0].partition(", ")[2]]) + [(label, metric)]
            block = []
    return made[:-1]


def of_some(text: str, count: int, of: int) -> str:
    """A median with the number of repetitions that it is of, where some have no value: those with one may be the better ones."""
    return f"{text} ({count} of {of})" if 0 < count < of else text


def rows(grouped: dict[str, list[CellData]]) -> list[list[str]]:
    table: list[list[str]] = []
    every = [cell for cells in grouped.values() for cell in cells]
    for label, metric in by_phase([row for label, metric in ROWS for row in chosen(every, label, metric)]):
        if not is_shown(every, metric):
            continue
        line = [label]
        for cells in grouped.values():
            found = values(cells, metric)
            unit = next((cell["metrics"][metric]["unit"] for cell in cells if metric in cell["metrics"]), "")
            line.append(marked(of_some(show(statistics.median(found) if found else None, unit), len(found), len(cells)), cells, metric))
        table.append(line)
    return table + limit_rows(grouped)


def limit_rows(grouped: dict[str, list[CellData]]) -> list[list[str]]:
    """Who limited the rate of each phase: of several repetitions each who did, with how many. Older records do not have it."""
    told = {phase["name"]: phase.get("several", False) for cells in grouped.values() for cell in cells for phase in cell.get("phases", [])
            if "limit" in phase}
    table = []
    for name, several in told.items():
        line = [f"limit, {name}" if several else "limit"]
        for cells in grouped.values():
            found = collections.Counter(phase["limit"] for cell in cells for phase in cell.get("phases", [])
                                        if phase["name"] == name and "limit" in phase)
            line.append(", ".join(by if count == len(cells) else f"{by} {count} of {len(cells)}" for by, count in found.most_common()) or "-")
        table.append(line)
    return table


def heads(grouped: dict[str, list[CellData]]) -> list[str]:
    marks = ["" if all(cell["status"] == "complete" for cell in cells) else "!" for cells in grouped.values()]
    return [name + mark for name, mark in zip(short_names(list(grouped)), marks, strict=True)]


def ratio_spread(ours: list[float], theirs: list[float]) -> tuple[float, float, float] | None:
    """(median, lowest, highest) of each repetition of one side over each of the other; None when there is no ratio."""
    if not ours or not theirs or min(theirs) <= 0:
        return None
    pairs = [one / other for one in ours for other in theirs]
    return statistics.median(pairs), min(pairs), max(pairs)


def alike(ours: list[float], theirs: list[float], within: float) -> str:
    """Whether two sides are the same within a share, by the interval of 95 % of their ratio. A count that is the same in every run has none."""
    if len({*ours, *theirs}) == 1:
        return "the same in every run"
    if min(*ours, *theirs) <= 0:
        return "undecided: a value is 0"
    found = sorted(math.log(one / other) for one in ours for other in theirs)
    low, high = (math.expm1(end) if math.isfinite(end) else end for end in pairwise.interval(found, [(len(theirs), len(ours))]))
    if not math.isfinite(low):
        return "undecided: it takes four runs of each"
    told = f"{100 * low:+.1f} to {100 * high:+.1f} %"
    least, most = 1 / (1 + within) - 1, within
    if least <= low and high <= most:
        return f"the same within {100 * within:g} % ({told})"
    return f"{'not the same' if high < least or low > most else 'undecided'}: {told}, where {100 * within:g} % are allowed"


@dataclass(frozen=True)
class Ratio:
    """One [[ratio]] of a suite, of these cells."""

    metric: str
    unit: str
    sides: tuple[str, str]      # what each is, such as 8 and 2
    ours: list[float]
    theirs: list[float]
    verdict: str                # of `within`; "": it was not asked for

    def middles(self) -> str:
        """Medians with their ranges."""
        return " / ".join(f"{show(statistics.median(found), self.unit)} ({show(min(found), self.unit)} to {show(max(found), self.unit)})"
                          for found in (self.ours, self.theirs))


def ratio_of(cells: list[CellData], ratio: Json, by_value: object = None) -> Ratio | None:
    """None where a side has no value, or a ratio would be asked for and there is none."""
    def side(wanted: Json) -> list[float]:
        matching = (cell for cell in cells if all(cell["config"].get(key) == value for key, value in wanted.items()))
        found = (sound_value(cell["metrics"], ratio["metric"]) for cell in matching)
        return [value for value in found if value is not None]

    more = {ratio["by"]: by_value} if ratio.get("by") else {}
    ours, theirs = side({**ratio["of"], **more}), side({**ratio["to"], **more})
    if not ours or not theirs or ("within" not in ratio and ratio_spread(ours, theirs) is None):
        return None
    unit = next(cell["metrics"][ratio["metric"]]["unit"] for cell in cells if ratio["metric"] in cell["metrics"])
    names = ["-".join(map(str, part.values())) for part in (ratio["of"], ratio["to"])]
    return Ratio(ratio["metric"], unit, (names[0], names[1]), ours, theirs, alike(ours, theirs, ratio["within"]) if "within" in ratio else "")


def ratio_line(cells: list[CellData], ratio: Json, by_value: object) -> str | None:
    """One [[ratio]] of the suite with its spread: each repetition of one side over each of the other."""
    told = ratio_of(cells, ratio, by_value)
    if told is None:
        return None
    what = f", {ratio['by']} {str(by_value).lower()}" if ratio.get("by") else ""
    spread = ratio_spread(told.ours, told.theirs)
    found = f" = {spread[0]:.2f} ({spread[1]:.2f} to {spread[2]:.2f})" if spread else ""
    verdict = f": {told.verdict}" if told.verdict else ""
    return (f"{told.metric}{what}: {told.middles()}{found} {' / '.join(told.sides)}, {len(told.ours)} and {len(told.theirs)} runs{verdict}")


def ratio_lines(cells: list[CellData], ratios: list[Json]) -> list[str]:
    lines: list[str] = []
    for ratio in ratios:
        by = ratio.get("by")
        by_values: list[str | None] = [*dict.fromkeys(str(cell["config"].get(by)) for cell in cells)] if by else [None]
        real: dict[str | None, object] = {str(cell["config"].get(by)): cell["config"].get(by) for cell in cells} if by else {}
        lines += [line for value in by_values if (line := ratio_line(cells, ratio, real.get(value)))]
    return lines


def step_tables(grouped: dict[str, list[CellData]]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(name, head, rows) for each configuration measured in steps; a row for each step."""
    tables = []
    for name, cells in grouped.items():
        counts = sorted({int(key.split(".")[1]) for cell in cells for key in cell["metrics"]
                         if re.match(r"step\.\d+\.", key)})
        columns = [(head, metric) for head, metric in STEP_COLUMNS
                   if any(is_shown(cells, f"step.{count}.{metric}") for count in counts)]
        if not columns:
            continue
        table = []
        for count in counts:
            line = [show(count, "1")]
            for _, metric in columns:
                found = values(cells, f"step.{count}.{metric}")
                middle = statistics.median(found) if found else None
                text = show(middle if middle is None or middle >= 0 else None, "B" if metric.endswith("bytes") else "ns")  # no size is below 0
                line.append(marked(of_some(text, len(found), len(cells)), cells, f"step.{count}.{metric}"))
            table.append(line)
        tables.append((name, ["connections", *(head for head, _ in columns)], table))
    return tables


FEW_CELLS = 3            # an anomaly of more cells is told once
AFFECT_ALL = ("busy", "throttled", "target_stopped", "other_clients", "not_reached", "late_receiver")  # anomalies of every figure: they come first


# Doubts that are not of others at the target, in a few words.
OF_RUN = {"target_stopped": "the target stood still meanwhile", "late_receiver": "the generator did not read in time",
          "unsettled": "memory still moved at a reading", "peak_missed": "memory was higher between two readings"}


def doubts(cell: CellData) -> str:
    """The anomalies by which figures of a cell may be disturbed; "" for none."""
    return " ".join(dict.fromkeys(one["doubt"] for one in cell["metrics"].values() if "doubt" in one))


def why_doubted(data: RecordData) -> str:
    """What the doubts of a run's figures are of, in a few words."""
    told = {word for cell in data.get("cells", []) for word in doubts(cell).split()}
    words = [text for what, text in OF_RUN.items() if what in told] + (["others used the target meanwhile"] if told - set(OF_RUN) else [])
    return " and ".join(words)


def notes(data: RecordData, cells: list[CellData] | None = None) -> list[str]:
    """Anomalies that a reader should know: once those that many cells have, a few others of each cell, or of these cells, and those of
    the run."""
    lines = []
    cells = data.get("cells", []) if cells is None else cells
    having: dict[str, list[str]] = {}
    for cell in cells:
        for one in {one["what"]: one for one in reversed(cell.get("anomalies", []))}.values():
            having.setdefault(one["what"], []).append(f"{cell['id']}: {one['text']}")
    many = {what: found for what, found in having.items() if len(found) > FEW_CELLS}
    for what in sorted(many, key=lambda one: one not in AFFECT_ALL):
        lines.append(f"{what}, in {len(many[what])} of {plural(len(cells), 'cell')}, as in {many[what][0]}")
    for cell in cells:
        told = sorted((one for one in cell.get("anomalies", []) if one["what"] not in many), key=lambda one: one["what"] not in AFFECT_ALL)
        lines += [f"{cell['id']}: {one['what']}: {one['text']}" for one in told[:3]]
        if len(told) > 3:
            lines.append(f"{cell['id']}: {len(told) - 3} more in run.json")
    if any(doubts(cell) for cell in data.get("cells", [])):
        lines.append(f"? and withheld: {why_doubted(data)}; a figure with ? may be disturbed, and comparisons leave it out")
    return lines + [f"{one['what']}: {one['text']}" for one in data.get("anomalies", [])]


def terminal(data: RecordData, ratios: list[Json]) -> str:
    grouped = columns(data.get("cells", []))
    names, width, parts = heads(grouped), shutil.get_terminal_size((100, 24)).columns, []
    body = rows(grouped)
    label = max((len(line[0]) for line in body), default=0)
    per_block = max(1, (width - label) // (max([10, *map(len, names)]) + 2))
    for first in range(0, len(names), per_block):
        chosen = slice(first + 1, first + 1 + per_block)
        parts.append(text_table([shared_words(list(grouped)), *names[first:first + per_block]],
                                [[line[0], *line[chosen]] for line in body]))
    parts += [f"{name}, step by step:\n" + text_table(head, table, "r" * len(head))
              for name, head, table in step_tables(grouped)]
    lines = ratio_lines(data.get("cells", []), ratios) + [f"! {line}" for line in notes(data)]
    return "\n\n".join([*parts, "\n".join(lines)] if lines else parts)


def markdown(data: RecordData, title: str, ratios: list[Json]) -> str:
    grouped = columns(data.get("cells", []))
    lines = [markdown_table([shared_words(list(grouped)) or "measure", *heads(grouped)], rows(grouped)), ""]
    for name, head, table in step_tables(grouped):
        lines += [f"**{markdown_text(name)}, step by step**", "", markdown_table(head, table, "r" * len(head)), ""]
    if by_account := {name: cells[0]["metrics"] for name, cells in zip(short_names(list(grouped)), grouped.values(), strict=True)
                      if accounts.has(cells[0]["metrics"])}:
        lines += ["**User memory by account**, the first run of each", "", markdown_table(*accounts.comparison(by_account)), ""]
    return page(data, title, lines, ratio_lines(data.get("cells", []), ratios), notes(data))


def page(data: RecordData, title: str, body: list[str], remarks: list[str], troubles: list[str]) -> str:
    """summary.md of any suite: the title, `body` (lines of Markdown), `remarks` and `troubles` (plain text), and the run."""
    repetitions = max((len(cells) for cells in columns(data.get("cells", [])).values()), default=1)
    lines = [f"# {markdown_text(title)}", "", *body]
    lines += [f"- {markdown_text(line)}" for line in remarks]
    if repetitions > 1:
        lines.append(f"- Medians of {repetitions} repetitions; each for itself is in summary.csv.")
    lines += [f"- {markdown_text(line)}" for line in troubles]
    return "\n".join([*lines, "", markdown_text(made_by(data)), ""])


def made_by(data: RecordData) -> str:
    """The run, its host and its build, in a sentence."""
    host, tool = data["host"], data["tool"]
    return (f"Run {data['id']}, {data['status']}; {host.get('cores')} cores of {host.get('cpu_model')}, {show(host.get('memory_bytes'), 'B')}, "
            f"{host.get('kernel')}; version {tool['version']}, commit {tool['commit'][:12]}{' with changes' if tool['dirty'] else ''}, "
            f"{tool['compiler']}.")


def of_unit(cell: CellData, name: str, unit: str) -> float | str | None:
    """A metric's value; "" when the cell has none of this name and unit."""
    metric = cell["metrics"].get(name)
    return "" if metric is None or metric["unit"] != unit else metric["value"]


def csv(data: RecordData) -> str:
    """A line for each cell. A column for each configuration key and for each metric with its unit; one for doubts, if there are any."""
    cells = data.get("cells", [])
    doubt = ["doubt"] if any(map(doubts, cells)) else []
    config = list(dict.fromkeys(key for cell in data.get("cells", []) for key in cell["config"]))
    metrics = dict.fromkeys((name, metric["unit"]) for cell in data.get("cells", []) for name, metric in cell["metrics"].items())
    table = [[cell["id"], cell["status"], cell["repetition"], *(doubts(cell) for _ in doubt), *(cell["config"].get(key, "") for key in config),
              *(of_unit(cell, name, unit) for name, unit in metrics)]
             for cell in cells]
    return csv_text(["cell", "status", "repetition", *doubt, *config, *(f"{name} [{unit}]" for name, unit in metrics)], table)
