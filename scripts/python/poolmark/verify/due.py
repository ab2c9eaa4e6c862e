# SPDX-License-Identifier: Apache-2.0
"""Metrics that a load's record must have: by its scenario and configuration, by its raw files and books, and by others of it that a program
always writes together.

    missing(record, figures)    texts, each with the name of a metric. `figures`: those that were computed again, {name: [values]}

A figure of 0, `*.censored` and `network.*` are among them. Of records of older versions, which wrote fewer, nothing is said here.
"""
import re
from collections.abc import Iterator, Mapping, Sequence

from poolmark.base.forms import RecordData
from poolmark.base.units import show_number
from poolmark.verify.counts import messages_of, parts_of
from poolmark.verify.entries import is_counted

Figures = Mapping[str, Sequence[float | None]]

KINDS = ("private", "pss", "rss")
PUBLISHING = ("publish", "soak", "slow")        # scenarios whose messages.* are counted together
ARRIVALS = tuple(f"arrivals.{name}" for name in ("count", "retries", "resumed", "not_sent", "failed", "unfinished"))
MESSAGES = tuple(f"messages.{name}" for name in ("sent", "received", "not_sent", "lost", "unfinished", "duplicates"))
CHANGES = tuple(f"subscriptions.{name}" for name in ("added", "removed", "not_sent", "failed"))
# Metrics that a program writes together, or none of them.
TOGETHER = (
    ("clients.connected", "clients.failed", "clients.dropped"), ("clients.bytes_sent", "clients.bytes_received"), ARRIVALS,
    (*CHANGES, "subscriptions.rate_asked", "subscriptions.unfinished"),
    (*(f"replay.{name}" for name in ("retained", "messages_due", "messages", "messages_lost")), "messages.duplicates"),
    tuple(f"slow.{name}" for name in ("readers", "closed", "due", "received", "missed")),
    tuple(f"soak.memory_{name}" for name in ("readings", "level_bytes", "slope", "slope_low", "slope_high", "growth")),
    ("generator.busiest_ran", "generator.busiest_waited"), ("generator.added_latency_p50", "generator.added_latency_p99"),
    ("kernel.page_table_growth_bytes", "generator.per_client_bytes", "generator.cpu_per_client_ns"),
)
# The same of a group of a mix in a phase, whose name comes before.
OF_PART = (("clients.connected", "clients.failed"), ("generator.busiest_ran", "generator.busiest_waited"), ARRIVALS, CHANGES, ("messages.sent", "messages.not_sent"),
           ("deliveries.expected", "messages.received", "messages.lost", "messages.duplicates", "messages.unfinished"),
           ("slow.due", "slow.received", "slow.missed", "slow.closed"))
OF_PHASE = ("seconds", "connections")
MIXED = (*MESSAGES, "deliveries.expected")
# Figures that follow from readings: of the scenarios that have them, though the readings of others would give them too.
_SLOPES = ("memory.per_connection_", "cpu.per_connection_", "kernel.per_connection_", "kernel.page_table_", "generator.per_client_",
           "generator.cpu_per_client_")
_RETURNING = ("cpu.per_arrival_", "memory.peak_", "memory.after_")
OF_READINGS: dict[str, tuple[str, ...]] = {
    "connect": _SLOPES, "steps": _SLOPES, "churn": _RETURNING, "burst": _RETURNING, "storm": _RETURNING,
    "subscribe": ("cpu.per_change_", "memory.per_subscription_", "memory.subscribed_", "memory.peak_", "memory.after_"),
    "publish": ("cpu.per_message_", "cpu.per_delivery_"), "slow": ("slow.memory_per_reader_", "slow.tcp_per_reader_", "memory.peak_", "memory.after_"),
    "soak": ("memory.peak_", "memory.after_"), "mix": ("memory.peak_", "memory.after_"),
}
OF_ALL = ("memory.start_", "memory.full_")
NOT_ITS = ("not_the_target", "not_all_watched")     # the target's memory is not judged
# Anomaly -> the metric that counts what it tells, which is there only when there was any.
COUNTED = {"corrupt": "messages.corrupt", "misdelivered": "messages.misdelivered", "foreign": "messages.foreign",
           "duplicates_excluded": "messages.duplicates_excluded", "out_of_order": "messages.out_of_order",
           "topic_changed": "messages.topic_changed", "retain_changed": "messages.retain_changed", "strange": "messages.foreign"}
NAMING, NAMED = ("resolution", "kernel_noise", "served_before"), re.compile(r"((?:memory|kernel|slow)\.\w+): ")     # of a figure
PRESSURE = tuple(f"pool.pressure_{name}" for name in ("back_bytes", "trims", "longest_ns"))     # of a broker with --pressure
VERDICTS = {"pool_above_90_percent": "soak.pool_fullness", "reuse_below_50_percent": "soak.reuse"}
RETRYING = ("connect", "publish", "steps", "subscribe", "slow")     # whose clients come back by --backoff


def together(where: str, metrics: Mapping[str, object], names: Sequence[str]) -> list[str]:
    there = next((name for name in names if name in metrics), None)
    return [f"{where}{name}: the record has {there}, and not this" for name in names if there and name not in metrics]


def _told(record: RecordData, what: str) -> list[str]:
    return [str(one.get("text")) for one in record.get("anomalies", []) if one.get("what") == what]


class _Load:
    def __init__(self, record: RecordData, figures: Figures) -> None:
        self.record, self.figures, self.metrics = record, figures, record.get("metrics", {})
        self.config, self.books = record.get("config", {}), record.get("books") or {}
        self.scenario = str(self.config.get("scenario"))

    def together(self) -> Iterator[tuple[str, str]]:
        groups = [("", names) for names in TOGETHER if not names[0].startswith("replay.") or self.config.get("retained") or self.scenario == "subscribe" and "retains" in self.books]
        if self.scenario in (*PUBLISHING, "mix"):
            groups.append(("", MIXED if self.scenario == "mix" else MESSAGES))
        for part in parts_of(self.books):
            groups += [(part, names) for names in OF_PART]
        groups += [(f"{name.removesuffix(one)}", OF_PHASE) for name in self.metrics if name.startswith("phase.") for one in OF_PHASE if name.endswith(f".{one}")]
        kinds = [f"memory.per_connection_{kind}_bytes" for kind in KINDS]
        groups.append(("", ("memory.per_connection_bytes", *(name for name in kinds if self.figures.get(name)))))
        for before, names in groups:
            there = next((name for name in names if f"{before}{name}" in self.metrics), None)
            for name in names if there else ():
                yield f"{before}{name}", f"the record has {before}{there}, and not this"

    def of_files(self) -> Iterator[tuple[str, str]]:
        starts = OF_READINGS.get(self.scenario, ()) + OF_ALL
        if any(_told(self.record, what) for what in NOT_ITS):
            starts = ()
        for name, values in self.figures.items():
            value = next((one for one in values if one is not None), None)
            last = name.rpartition(".")[2]
            if last == "count" and f"{name[:-5]}mean" in self.figures:
                yield f"{name[:-5]}censored", "latency.hlog has its latencies, the record does not have how many of them had not ended"
            if last.startswith("lag_") or name.startswith("network.") or name.startswith(starts) and value is not None or \
                    name.endswith(".throttled_ns") and value is not None:
                if name != "cpu.per_delivery_ns" or self.config.get("pattern", "pairs") != "pairs":
                    yield name, f"its files give {show_number(value)}, the record does not have it"
        readings = self.record.get("readings") or {}
        if "subscribed" in readings:
            yield "subscriptions.standing", "there is a reading 'subscribed', the record does not have it"

    def of_mix(self) -> Iterator[tuple[str, str]]:
        """Each group in each phase has clients.dropped; what one phase has of memory, all have."""
        pairs = [name.split(".")[:2] for name in self.metrics if name.endswith(".clients.dropped") and name.count(".") == 3]
        phases = [name.split(".")[1] for name in self.metrics if name.startswith("phase.") and name.endswith(".seconds")]
        for group in dict.fromkeys(group for group, _ in pairs):
            for phase in phases:
                yield f"{group}.{phase}.clients.dropped", "the group has it in other phases, and other groups in this"
        for part in parts_of(self.books):
            connects = self.books.get(f"{part}connects")
            if connects and connects["measured"]:
                yield f"{part}connect.rate", f"the books have {part}connects, the record does not have it"
            if f"{part}deliveries.expected" in self.metrics and self.record["status"] == "complete":
                yield f"{part}deliveries.rate", f"the record has {part}deliveries.expected, and not this"
        for last in ("memory_bytes", "cpu_seconds"):
            if self.record["status"] == "complete" and any(name.startswith("phase.") and name.endswith(f".{last}") for name in self.metrics):
                for phase in phases:
                    yield f"phase.{phase}.{last}", "the record has it of other phases"

    def of_books(self) -> Iterator[tuple[str, str]]:
        own = messages_of(self.record)
        if self.scenario in (*PUBLISHING, "mix") and f"{own}acks" in self.books:
            yield "messages.unacknowledged", f"the books have {own}acks, the record does not have it"
        for before in ("", *parts_of(self.books)):
            if f"{before}recoveries" in self.books:
                yield f"{before}slow.not_recovered", f"the books have {before}recoveries, the record does not have it"
            if before and f"{before}acks" in self.books:
                yield f"{before}messages.unacknowledged", f"the books have {before}acks, the record does not have it"

    def of_config(self) -> Iterator[tuple[str, str]]:
        def asked(rate: str, key: str, there: bool) -> Iterator[tuple[str, str]]:
            if self.config.get(key) and there:
                yield rate, f"config.{key} is {self.config[key]:g}, the record does not have it"

        yield from asked("connect.rate_asked", "rate_per_s", self.scenario not in ("publish", "mix"))
        yield from asked("messages.rate_asked", "publish_rate_per_s",
                         ("messages.seconds" if self.scenario == "publish" else "messages.sent") in self.metrics and self.scenario in PUBLISHING)
        yield from asked("arrivals.rate_asked", "arrival_rate_per_s", "arrivals.count" in self.metrics and self.scenario in ("churn", "burst", "soak"))
        if self.scenario == "publish" and self.config.get("pattern", "pairs") != "pairs":
            for name, beside in (("deliveries.expected", "messages.sent"), ("deliveries.rate", "messages.rate")):
                if beside in self.metrics:
                    yield name, f"config.pattern is {self.config['pattern']}, the record does not have it"
        ports = self.config.get("ports")
        if isinstance(ports, dict) and "per_route" in ports:
            yield "network.ports_passed_over", f"config.ports is {ports.get('way')}, the record does not have it"
        if self.config.get("backoff_ns") and self.scenario in RETRYING:
            yield "connect.retries", "config.backoff_ns is above 0, the record does not have it"

    def of_summary(self) -> Iterator[tuple[str, str]]:
        summary = self.record.get("summary") or {}
        if summary.get("idle_share") is not None:
            yield "cpu.idle_share", f"summary.idle_share is {summary['idle_share']:g}, the record does not have it"
        for one in self.record.get("anomalies", []):
            if (named := NAMED.match(str(one.get("text")))) and one["what"] in NAMING:
                yield named[1], f"an anomaly '{one['what']}' is of it, the record does not have it"
        verdicts = summary.get("verdicts") or {}
        for name, metric in VERDICTS.items() if self.scenario == "soak" else ():
            if (verdicts.get(name) or {}).get("verdict") not in (None, "not measured"):
                yield metric, f"summary.verdicts has {name}, the record does not have it"
        for what, metric in COUNTED.items() if self.scenario in ("publish", "slow", "mix") else ():
            if any("probe " not in text for text in _told(self.record, what)):
                yield metric, f"an anomaly '{what}' tells of some, the record does not have it"
        if any("probe " not in text for text in _told(self.record, "session_unasked")):
            yield "clients.session_unasked", "an anomaly 'session_unasked' tells of some, the record does not have it"
        changed = [text for what in ("qos_lowered", "qos_raised") for text in _told(self.record, what) if "probe " not in text]
        for word, metric in (("subscriptions asked", "clients.qos_changed"), ("deliveries came", "messages.qos_changed")):
            if any(word in text for text in changed) and (word != "deliveries came" or self.scenario in ("publish", "slow", "mix")):
                yield metric, "an anomaly tells of another QoS, the record does not have it"


def missing(record: RecordData, figures: Figures) -> list[str]:
    if record["status"] == "running" or not is_counted(record):
        return []
    load = _Load(record, figures)
    found: dict[str, str] = {}
    for part in (load.of_files, load.together, load.of_books, load.of_config, load.of_summary, *((load.of_mix,) if load.scenario == "mix" else ())):
        for name, why in part():
            if name not in load.metrics:
                found.setdefault(name, f"{name}: {why}")
    return list(found.values())
