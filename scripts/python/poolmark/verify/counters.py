# SPDX-License-Identifier: Apache-2.0
"""The brokers' own counters beside the books of the generators that they served: the last independent check of both.

    compared(brokers, loads)    each counter with its bounds, of the records of all brokers of a target and all runs against it
    findings(compared)          [(anomaly, text)]: counters that are out of bounds
    of_cell(folder, cell)       the same of a cell of a suite, by its files
    complaints(folder, cell)    texts: such anomalies that the cell lacks, or has without a reason

A broker of a cell serves its phases and nobody else, from its start to its end. The suite itself opens no connection (it waits for the
broker's word `ready`), and no engine connects again by itself. What a broker counted beyond what these can have done was
somebody else's: `other_clients`. What it counted less than these call measured never reached it: `not_reached`. For each counter the
books give the least that it may say and the most:

    counter                  least                                   most
    opened, answered         connects that got a CONNACK             connects begun: retries, arrivals and probes too
    PUBLISHes received       those whose deliveries came, or that    all handed to the engine; a sign of life is one where the engine
      by QoS                 were acknowledged                       cannot ping
    PUBLISHes sent           deliveries that came, replays           deliveries due, duplicates, misdelivered; no bound where wills, retained
                                                                     messages, kept sessions or own topics may add some
    bytes received           0                                       bytes that the clients sent (engine raw, a complete run)
    bytes sent               bytes that the clients received         no bound: what a closing client left unread is not known

Least and most are equal, and so the counter is exact, when no connect failed and no message is missing. Between them lies what was
under way when a client, a worker or the run ended. Bytes are bounds only: those in a socket that was reset are in no broker's count.

A run that says what else loads its target on purpose (--beside) has no most. A scenario that is not in SCENARIOS has only the bounds that
hold for any. A record that is still `running` (its program was killed),
has no counters (another broker, an older version) or is not there leaves nothing to compare.
"""
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolmark.base.forms import CellData
from poolmark.base.units import show_count
from poolmark.records.read_record import load

MORE, FEWER = "other_clients", "not_reached"
BEGINNINGS = {MORE: "counted by the target itself: ", FEWER: "not counted by the target: "}
WORDS = {"opened": "connections opened", "connects_answered": "CONNECTs answered", "messages_received": "PUBLISH packets received",
         "received_qos_0": "PUBLISH packets of QoS 0 received", "received_qos_1": "PUBLISH packets of QoS 1 received",
         "received_qos_2": "PUBLISH packets of QoS 2 received", "messages_sent": "PUBLISH packets sent",
         "bytes_received": "bytes received", "bytes_sent": "bytes sent"}
DELIVERIES = ("deliveries", "warm_up_deliveries", "slow_deliveries", "replayed")
OF_OTHERS = ("foreign", "strange")      # anomalies: messages that none of the books has
# Engine -> whether it can ping, so that a sign of life (--prove) is no message. The generator's --describe says so too, and
# tests/py/test_counters_beside_books.py compares the two; here it is for records of hosts without the program.
PINGS = {"raw": True, "paho": False}
# Those of which it is known how their books have their messages: one QoS, a delivery for each message at least, no others'.
SCENARIOS = ("connect", "publish", "steps", "churn", "burst", "storm", "subscribe", "soak", "slow")
# Metrics of a broker's record, and the counters that each is the sum of.
METRICS = {"broker.connections_accepted": ("accepted",), "broker.messages_received": ("messages_received",),
           "broker.messages_sent": ("messages_sent",), "broker.long_turns": ("long_turns",), "broker.messages_dropped": ("messages_dropped",),
           "broker.connections_refused": ("refused_limit", "refused_pool", "refused_memory", "refused_descriptors"),
           "broker.connections_closed_for_cause": ("protocol_errors", "closed_packet_size", "closed_topic_levels", "closed_no_memory")}


@dataclass(frozen=True)
class Range:
    """What a counter may say."""
    least: float = 0
    most: float = 0     # math.inf: there is no bound

    def __add__(self, other: "Range") -> "Range":
        return Range(self.least + other.least, self.most + other.most)

    def exact(self) -> bool:
        return self.least == self.most


# --- what the clients did ----------------------------------------------------------------------------------------


class _Load:
    """A load's record, read."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        config = record.get("config")
        self.config = config if isinstance(config, dict) else {}

    def line(self, source: str, *columns: str) -> float:
        book = (self.record.get("books") or {}).get(source) or {}
        return sum(book.get(column) or 0 for column in columns)

    def value(self, name: str) -> float | None:
        value: float | None = (self.record.get("metrics", {}).get(name) or {}).get("value")
        return value

    def has(self, anomalies: tuple[str, ...]) -> bool:
        return any(one.get("what") in anomalies for one in self.record.get("anomalies", []))

    def is_known(self) -> bool:
        return self.config.get("scenario") in SCENARIOS

    def lost_workers(self) -> bool:
        """A worker that was killed may have sent a message that it had not counted."""
        summary = self.record.get("summary") or {}
        return any(isinstance(reasons := summary.get(name), dict) and reasons.get("worker_died") for name in ("failed", "dropped"))

    def connects(self) -> Range:
        # One that a run which ended early calls not sent may have been with the engine, which began it all the same.
        begun = self.line("connects", "attempted") + self.line("arrivals", "attempted") - self.line("arrivals", "not_sent")
        retries = self.value("arrivals.retries") if self.line("arrivals", "attempted") else 0
        begun += self.value("connect.retries") or 0
        return Range(sum(self.line(source, "measured", "unreadable") for source in ("connects", "arrivals")),
                     math.inf if retries is None else begun + retries)

    def due(self, prefix: str) -> float:
        """Deliveries that were due, of messages that were sent."""
        return sum(self.line(prefix + source, "attempted") - self.line(prefix + source, "not_sent") for source in DELIVERIES)

    def came(self, prefix: str) -> float:
        return sum(self.line(prefix + source, "measured", "unreadable") for source in DELIVERIES)

    def publishes(self, prefix: str) -> Range:
        """Each message has one delivery at least, so at most as many did not reach the target as deliveries did not come. What the target
        has acknowledged has reached it."""
        warm = f"{prefix}warm_up_publishes"
        if warm in (self.record.get("books") or {}):
            sent = self.line(warm, "measured")
        else:       # of pairs, whose messages have one delivery each
            sent = self.line(f"{prefix}warm_up_deliveries", "attempted") - self.line(f"{prefix}warm_up_deliveries", "not_sent")
        sent += self.line(f"{prefix}publishes", "measured")
        reached = sent - (self.due(prefix) - self.came(prefix)) if self.is_known() else 0
        return Range(max(reached, self.line(f"{prefix}acks", "measured", "unreadable"), 0),
                     math.inf if sent and self.lost_workers() else sent)

    def signs_of_life(self) -> Range:
        """Those that are messages, of QoS 1: of an engine that cannot ping."""
        pings = PINGS.get(str(self.config.get("engine")))
        return Range(0, 0) if pings else Range(self.line("signs_of_life", "measured") if pings is False else 0,
                                               self.line("signs_of_life", "attempted"))

    def retains(self) -> Range:
        """Messages of QoS 1 that are to be retained, and empty ones that remove them. What was acknowledged has reached the target."""
        sent = self.line("retains", "attempted") - self.line("retains", "not_sent")
        return Range(self.line("retains", "measured"), math.inf if sent and self.lost_workers() else sent)

    def deliveries(self) -> Range:
        parts = ("", "probe_")
        identity = self.config.get("identity")
        more = not self.is_known() or not isinstance(identity, dict) or identity.get("will") or identity.get("topic") or self.config.get("retain") \
            or self.config.get("clean_session") is not True or self.has(OF_OTHERS) or self.lost_workers()
        most = math.inf if more else sum(map(self.due, parts)) + sum(self.value(f"messages.{name}") or 0 for name in ("duplicates", "misdelivered"))
        return Range(sum(map(self.came, parts)), most)

    def by_qos(self) -> dict[str, Range] | None:
        """None: the record does not say the QoS of its messages."""
        found = {f"received_qos_{qos}": Range() for qos in range(3)}
        own = self.config.get("qos")
        for prefix, qos in (("", own), ("probe_", 0 if self.config.get("scenario") == "steps" else own)):
            publishes = self.publishes(prefix)
            if publishes.most and not (self.is_known() and type(qos) is int and 0 <= qos <= 2):
                return None
            if publishes.most:
                found[f"received_qos_{qos}"] += publishes
        found["received_qos_1"] += self.signs_of_life() + self.retains()
        return found


def of_load(record: Mapping[str, Any], alone: bool = False) -> dict[str, Range] | None:
    """What the target's counters may say of a run. None: its record is not finished, or has no books. `alone`: all runs against the target
    are compared together, so those that share it too."""
    if record.get("kind") != "load" or record.get("status") == "running" or "connects" not in (record.get("books") or {}):
        return None
    run = _Load(record)
    connects, qos = run.connects(), run.by_qos()
    sent, received = run.value("clients.bytes_sent"), run.value("clients.bytes_received")
    # A run that ended early wrote its record before its clients ended: they may have sent a little more.
    most_sent = sent if record["status"] == "complete" and sent is not None else math.inf
    found = {"opened": connects, "connects_answered": connects,
             "messages_received": run.publishes("") + run.publishes("probe_") + run.signs_of_life() + run.retains(),
             **(qos or {f"received_qos_{one}": Range(0, math.inf) for one in range(3)}),
             "messages_sent": run.deliveries(), "bytes_received": Range(0, most_sent),
             "bytes_sent": Range(received or 0, math.inf)}
    others = bool(run.config.get("beside")) and not alone
    return {name: Range(one.least, math.inf if others else one.most) for name, one in found.items()}


# --- what the brokers counted ------------------------------------------------------------------------------------


def of_brokers(records: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """The sums of all instances. None: one is not finished, or counts nothing of this."""
    found = dict.fromkeys(WORDS, 0)
    for record in records:
        counters = record.get("counters") or {}
        if record.get("kind") != "broker" or record.get("status") == "running" or not set(WORDS) - {"received_qos_0"} <= set(counters):
            return None
        counters = {**counters, "received_qos_0": counters["messages_received"] - counters["received_qos_1"] - counters["received_qos_2"]}
        for name in WORDS:
            found[name] += counters[name]
    return found if records else None


def metrics_of(record: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Metrics of a broker's record that its counters give."""
    counters = record.get("counters") or {}
    return {name: [sum(counters[one] for one in parts)] for name, parts in METRICS.items() if set(parts) <= set(counters)}


# --- both --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    name: str
    counted: int
    range: Range

    def more(self) -> str:
        return f"{show_count(self.counted)} {WORDS[self.name]}, {show_count(self.range.most)} at most of this run's clients"

    def fewer(self) -> str:
        return f"{show_count(self.counted)} {WORDS[self.name]}, {show_count(self.range.least)} at least by what was measured"


def compared(brokers: Sequence[Mapping[str, Any]], loads: Sequence[Mapping[str, Any]], alone: bool = False) -> list[Compared]:
    """Each counter with its range; [] where there is nothing to compare. `alone`: as of_load()."""
    counted, every = of_brokers(brokers), [of_load(one, alone) for one in loads]
    ranges = [one for one in every if one is not None]
    if counted is None or not ranges or len(ranges) < len(every):
        return []
    found = []
    for name in WORDS:
        total = Range()
        for one in ranges:
            total += one[name]
        found.append(Compared(name, counted[name], total))
    return found


def findings(every: list[Compared]) -> list[tuple[str, str]]:
    """[(anomaly, text)]: at most one of each kind."""
    more = [one.more() for one in every if one.counted > one.range.most]
    fewer = [one.fewer() for one in every if one.counted < one.range.least]
    found = []
    if more:
        found.append((MORE, f"{BEGINNINGS[MORE]}{'; '.join(more)}. Somebody else used the target during the run, and what that cost is in "
                            "its figures"))
    if fewer:
        found.append((FEWER, f"{BEGINNINGS[FEWER]}{'; '.join(fewer)}. Connections or messages that count as measured never reached it"))
    return found


def records_of(folder: Path, cell: CellData) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """(brokers, loads) of a cell; ([], []) when not all of them are there."""
    programs = [words[0].rpartition("/")[2] for words in cell.get("commands", []) if words]
    brokers = sorted(folder.glob("broker*/run.json"))
    loads = [folder / phase["folder"] / "run.json" for phase in cell.get("phases") or []]
    if len(brokers) != programs.count("poolmark-broker") or len(loads) != programs.count("poolmark-loadgen") \
            or not all(path.is_file() for path in loads):
        return [], []
    return [load(path).data for path in brokers], [load(path).data for path in loads]


def of_cell(folder: Path, cell: CellData) -> list[tuple[str, str]]:
    """`folder`: the cell's own. PoolmarkError when a record cannot be read."""
    return findings(compared(*records_of(folder, cell)))


def complaints(folder: Path, cell: CellData) -> list[str]:
    """As of_cell, for a cell that has ended: what it does not say, or says otherwise."""
    if cell.get("status") == "running" or not (every := compared(*records_of(folder, cell))):
        return []
    found = dict(findings(every))
    told = {what for what, beginning in BEGINNINGS.items() for one in cell.get("anomalies", [])
            if one.get("what") == what and str(one.get("text")).startswith(beginning)}
    wrong = [f"{cell['id']}: anomalies: by its files there is a '{what}', and the cell does not have it: {text}"
             for what, text in found.items() if what not in told]
    wrong += [f"{cell['id']}: anomalies: the cell has a '{what}' {BEGINNINGS[what]!r}, and its files do not give it"
              for what in sorted(told - found.keys())]
    if FEWER in found and cell.get("status") == "complete":
        wrong.append(f"{cell['id']}: status: the cell is complete, and by its files there is a '{FEWER}'")
    return wrong
