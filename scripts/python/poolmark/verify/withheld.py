# SPDX-License-Identifier: Apache-2.0
"""Figures that a load's record withholds though its files would give them: an anomaly says that they would not be those of the
connections, arrivals or messages. And those of a suite's cell whose target others used, as its brokers' own counters say."""
import re
from collections.abc import Mapping, Sequence

from poolmark.base.forms import WITHHELD as TAKEN_AWAY
from poolmark.base.forms import AnomalyData, CellData, MetricData, RecordData, sound_value
from poolmark.verify.counters import BEGINNINGS, MORE

# Anomaly -> the beginnings of the names of the metrics that it withholds. The table of loadgen/withheld.c; the generator's --describe
# prints that one, and tests/py/test_withheld.py compares the two. Here it is for records of hosts without the program.
_MEMORY, _KERNEL, _CPU = "memory.per_connection_", "kernel.per_connection_", "cpu.per_"
_OF_OTHERS = ("memory.peak_bytes", "memory.after_bytes", "memory.subscribed_bytes", "memory.per_subscription_", "slow.memory_per_reader_")
WITHHELD: dict[str, tuple[str, ...]] = {
    "other_hosts": (_KERNEL, "generator.per_client_", "generator.cpu_per_client_", "slow.tcp_per_reader_"),
    "not_the_target": ("memory.", _CPU),
    "not_all_watched": ("memory.", _CPU),
    "target_replaced": ("memory.", _CPU, "soak.memory_", "slow.memory_per_reader_"),
    "swap_not_counted": (_MEMORY, "memory.per_subscription_", "slow.memory_per_reader_"),
    "served_before": (_MEMORY,),
    "kernel_noise": (_KERNEL,),
    "failed_share": (_MEMORY, _KERNEL, _CPU, "generator.per_client_", "generator.cpu_per_client_"),
    "target_busy": (_CPU,),
    "other_clients": (_MEMORY, *_OF_OTHERS, _KERNEL, _CPU),
    "subscribers_lost": ("memory.per_subscription_",),
    "slow_closed": ("slow.memory_per_reader_", "slow.tcp_per_reader_"),
    "beside": (_MEMORY, *_OF_OTHERS, _KERNEL, _CPU),
}
# What stands on the target of a cell: others are in it. Of a step, all but what the generator measured itself.
OF_TARGET = ("memory.", "kernel.", "cpu.per_", "account.", "pool.", "soak.", "slow.memory_per_reader_", "slow.tcp_per_reader_", "arrivals.pool_hit_rate",
             "broker.memory_highest_")
OF_STEP = re.compile(r"step\.\d+\.(?!took_ns$|connect\.|delivery\.)")
# The parts of a forecast, and the figure of the record that each is.
PARTS = {"user": "memory.per_connection_bytes", "kernel": "kernel.per_connection_bytes"}


def withheld(record: RecordData) -> tuple[str, ...]:
    """The beginnings of the names of metrics that an anomaly of the record withholds."""
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    return tuple(start for what, starts in WITHHELD.items() if what in told for start in starts)


# Of latencies that have no value in some parts of a run, the numbers of samples stay (loadgen/withheld.c).
COUNTS = (".count", ".censored")


def of_parts(record: RecordData) -> tuple[str, ...]:
    """The same of figures of some parts of the run, such as the phases of a mix: `summary.withheld` names them."""
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    parts = (record.get("summary") or {}).get("withheld")
    if not isinstance(parts, dict):
        return ()
    return tuple(start for what, starts in parts.items() if what in told and isinstance(starts, list) for start in starts if isinstance(start, str))


class Withheld:
    """What a record withholds: of all of the run, and of parts of it."""

    def __init__(self, record: RecordData) -> None:
        self.all, self.parts = withheld(record), of_parts(record)

    def has(self, metric: str) -> bool:
        """Whether an anomaly of the record says that this metric has no value."""
        return metric.startswith(self.all) or not metric.endswith(COUNTS) and metric.startswith(self.parts)


PASSING = "connections of others to the target came and ended meanwhile"     # sentences of loadgen/costs.c
UNHEARD = "left no trace"
MARKED = "they are marked as doubtful"      # of resets that nobody heard though somebody listened


# Figures of memory that rest on single readings (loadgen/run_settle.c).
OF_READINGS = ("memory.full_", "memory.after_bytes", "memory.subscribed_bytes", "memory.per_", "slow.memory_per_reader_")
OF_MOMENT = "marked as doubtful"        # versions before did not mark them
AFTER_PHASE = re.compile(r'after "([^"]*)"')


def _of_moments(record: RecordData) -> dict[str, tuple[str, ...]]:
    """{anomaly: the beginnings of the names of the figures that are of one moment, or lack one}."""
    found: dict[str, tuple[str, ...]] = {}
    for one in record.get("anomalies", []):
        text = str(one.get("text")) if isinstance(one, dict) else ""
        if OF_MOMENT not in text:
            continue
        if one.get("what") == "peak_missed":
            found["peak_missed"] = ("memory.peak_bytes",)
        elif one.get("what") == "unsettled":
            phase = AFTER_PHASE.match(text)
            of_phase = (f"phase.{phase[1]}.memory_bytes",) if phase and record.get("config", {}).get("scenario") == "mix" else ()
            found["unsettled"] = found.get("unsettled", OF_READINGS) + of_phase
    return found


def _suffers_from_stops(name: str, one: MetricData) -> bool:
    """The rule of loadgen/summary.c."""
    return one["better"] != "none" and one["unit"] != "B" and not name.startswith("soak.")


def _suffers_from_reading(name: str, one: MetricData) -> bool:
    """The rule of loadgen/receiving.c."""
    return one["better"] != "none" and not name.startswith("cpu.") and (one["unit"] == "ns" and "delivery" in name or "messages.lost" in name)


def wrong_doubts(record: RecordData) -> list[str]:
    """Doubts of a load's figures that its anomalies do not demand, and those that are missing. Records from before `surroundings` had none."""
    anomalies = [one for one in record.get("anomalies", []) if isinstance(one, dict)]
    said = [str(one.get("text")) for one in anomalies if one.get("what") == "other_connections"]
    told = any(PASSING in text or (UNHEARD in text and MARKED in text) for text in said) or any(
        one.get("what") == "kept_sessions" and MARKED in str(one.get("text")) for one in anomalies)
    stopped = any(one.get("what") == "target_stopped" for one in anomalies)
    reading = any(one.get("what") == "late_receiver" for one in anomalies)
    wrong: list[str] = []
    known, moments = Withheld(record), _of_moments(record)
    for name, one in record.get("metrics", {}).items():
        wanted = told and record.get("config", {}).get("scenario") != "mix" and name.startswith(WITHHELD["other_clients"])
        if stopped and one["value"] is not None and "doubt" not in one and _suffers_from_stops(name, one):
            wrong.append(f"{name}: the target stood still meanwhile, and it has no doubt")
        if reading and one["value"] is not None and "doubt" not in one and _suffers_from_reading(name, one):
            wrong.append(f"{name}: the generator did not read in time, and it has no doubt")
        moment = next((what for what, starts in moments.items() if name.startswith(starts)), None)
        if moment and one["value"] is not None and "doubt" not in one and not known.has(name):
            wrong.append(f"{name}: by an anomaly '{moment}' it may be of one moment, and it has no doubt")
        of_run = moment or stopped and _suffers_from_stops(name, one) or reading and _suffers_from_reading(name, one)
        if "doubt" in one and not told and not of_run:
            wrong.append(f"{name}: has a doubt ({one['doubt']}), and no anomaly says why")
        elif wanted and one["value"] is not None and "doubt" not in one and not known.has(name) and "surroundings" in record:
            wrong.append(f"{name}: by an anomaly others may be in it, and it has no doubt")
    return wrong


def reason_of(metric: Mapping[str, object] | None) -> str:
    """The name of the anomaly that a metric without a value gives as the reason; "" where it gives none."""
    before, _, what = str((metric or {}).get("why") or "").partition("see the anomaly ")
    return "" if before else what


def withholds(what: str, metric: str) -> bool:
    """Whether this anomaly withholds this metric of a cell, which may have its phase's name in front."""
    return any(metric.startswith(start) or f".{start}" in metric for start in WITHHELD.get(what, ()))


def no_figures(anomalies: Sequence[AnomalyData]) -> dict[str, str]:
    """"user" or "kernel" -> why there is no figure of it for a connection: an anomaly withholds the record's own."""
    found: dict[str, str] = {}
    for one in anomalies:
        for part, metric in PARTS.items():
            if withholds(str(one.get("what")), metric):
                found.setdefault(part, one.get("text", ""))
    return found


def others_counted(cell: CellData) -> bool:
    """Whether its brokers' counters told of clients that are not the cell's."""
    return any(one.get("what") == MORE and str(one.get("text")).startswith(BEGINNINGS[MORE]) for one in cell.get("anomalies", []))


def in_cell(cell: CellData) -> None:
    """Takes the values away that stand on a target which others used, and marks those of the generators' own books that a comparison
    would judge. In which phase the others came is not known: it holds for all. Does nothing for a cell without others."""
    if not others_counted(cell):
        return
    prefixes = {"", *(phase.get("prefix", "") for phase in cell.get("phases") or [])}
    for name, one in cell["metrics"].items():
        made: MetricData = {"value": one["value"], "unit": one["unit"], "better": one["better"]}
        if OF_STEP.match(name) or any(name.startswith(prefix) and name.removeprefix(prefix).startswith(OF_TARGET) for prefix in prefixes):
            made["value"], made["why"] = None, f"{TAKEN_AWAY}see the anomaly {MORE} of the cell"
        elif one["value"] is not None and one["better"] != "none":
            made["doubt"] = MORE
        else:
            continue
        cell["metrics"][name] = made


def reasons(cell: CellData, metric: str) -> dict[str, str]:
    """{anomaly: text} of a cell for which a metric has no value that counts: it withholds or marks this metric, or names it."""
    one = cell["metrics"].get(metric)
    if sound_value(cell["metrics"], metric) is not None:
        return {}
    of_cell = one is not None and ("doubt" in one or one.get("why", "").startswith(TAKEN_AWAY))
    return {told["what"]: told["text"] for told in cell.get("anomalies", [])
            if withholds(told["what"], metric) or metric in told["text"] or told["what"] in (reason_of(one), one.get("doubt") if one else None)
            or of_cell and told["what"] == MORE}
