# SPDX-License-Identifier: Apache-2.0
"""A cluster on one machine, from its start to its faults: what a run on several hosts promises, tried on hosts of network namespaces.

    connections of raw and of paho, held while pairs publish at QoS 0, 1 and 2      nothing lost, one record, books that balance
    the link of the last host goes down half-way                                   rank_lost, incomplete, books that balance
    the last rank is killed half-way                                               the same

Each case has its record, which the promises are checked against.
"""
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from poolmark.base.errors import PoolmarkError, RecordError
from poolmark.base.forms import RecordData, value_of
from poolmark.base.table import text_table
from poolmark.base.units import show, show_count
from poolmark.cluster import calls, mpirun
from poolmark.cluster.calls import Call
from poolmark.cluster.stage import PROBES, Stage
from poolmark.facts.children import Child
from poolmark.records.read_record import load

GUARD_S = 1800.0        # only what hangs reaches it
FAULT_GUARD_S = 300.0   # a run that lost a rank ends long before its own end; this is how long it may take
FAULT_LASTS = "1h"      # so it cannot have ended by itself
LOST = "rank_lost"
CUT, KILL = "cut", "kill"
NAME = "rehearsal"      # what the command calls it


@dataclass(frozen=True)
class Size:
    ranks: int
    raw: int                # connections a rank
    paho: int
    pairs: int              # publishing, of these
    rate: int               # messages a second, all together
    seconds: float


@dataclass(frozen=True)
class Case:
    name: str
    engine: str
    clients: int
    words: tuple[str, ...]
    fault: str = ""         # CUT or KILL

    def promise(self) -> str:
        return {"": "nothing lost, one record, books that balance", CUT: "the last host's link goes down half-way: rank_lost, incomplete",
                KILL: "the last rank is killed half-way: rank_lost, incomplete"}[self.fault]


@dataclass
class Verdict:
    case: Case
    wrong: list[str] = field(default_factory=list)
    took_s: float = 0.0
    figures: dict[str, str] = field(default_factory=dict)


def cases(size: Size) -> list[Case]:
    def publish(engine: str, each: int, qos: int, seconds: str) -> tuple[str, ...]:
        return ("publish", "--engine", engine, "--connections", str(each * size.ranks), "--pairs", str(size.pairs * size.ranks), "--qos", str(qos),
                "--publish-rate", str(size.rate), "--duration", seconds)

    found = [Case(f"{engine}-qos{qos}", engine, each * size.ranks, publish(engine, each, qos, f"{size.seconds:g}s"))
             for engine, each in (("raw", size.raw), ("paho", size.paho)) if each for qos in (0, 1, 2)]
    few = max(2 * size.pairs, min(size.raw, 1000))
    return found + [Case(name, "raw", few * size.ranks, publish("raw", few, 1, FAULT_LASTS), fault)
                    for name, fault in (("link-down", CUT), ("rank-killed", KILL))]


# --- promises


def balance(record: RecordData) -> list[str]:
    """The lines of the books that do not balance."""
    wrong = []
    for name, line in record.get("books", {}).items():
        rest = line["measured"] + line["lost"] + line["failed"] + line["not_sent"] + line["unreadable"] + line["unfinished"]
        if rest != line["attempted"]:
            wrong.append(f"books: {name}: {line['attempted']} attempted, the rest is {rest}")
    return wrong


def count(record: RecordData, name: str) -> float | None:
    return value_of(record["metrics"], name)


def whole(case: Case, code: int, record: RecordData) -> list[str]:
    """What is not as promised of a run without a fault."""
    wrong = [] if code == 0 else [f"exit code {code}"]
    wrong += [] if record["status"] == "complete" else [f"its record is {record['status']}"]
    wanted = {"clients.connected": case.clients, "clients.failed": 0, "clients.dropped": 0, "messages.lost": 0, "messages.not_sent": 0}
    wrong += [f"{name} is {show_count(count(record, name))}, not {show_count(value)}" for name, value in wanted.items()
              if count(record, name) != value]
    if not count(record, "messages.received"):
        wrong.append("no message arrived")
    return wrong + balance(record)


def with_fault(case: Case, code: int, record: RecordData, rank: int) -> list[str]:
    """The same of a run that lost that rank."""
    wrong = ["exit code 0"] if code == 0 else []
    wrong += [] if record["status"] == "incomplete" else [f"its record is {record['status']}"]
    told = [one["text"] for one in record.get("anomalies", []) if one["what"] == LOST]
    if not any(re.search(rf"\brank {rank}\b", text) for text in told):
        wrong.append(f"no anomaly {LOST} names rank {rank}: {'; '.join(told) or 'there is none'}")
    return wrong + balance(record)


# --- playing


def publishes(text: str) -> bool:
    """Whether a line of --json says that messages arrive."""
    try:
        return bool(json.loads(text[text.index("{"):]).get("messages_received"))
    except ValueError:
        return False


def strike(stage: Stage, case: Case, child: Child) -> None:
    """Waits until messages flow, and then does the fault to the last rank."""
    stage.children.read_until(child, publishes, GUARD_S)
    rank = stage.ranks - 1
    if case.fault == CUT:
        stage.hosts.cut(stage.host_of(rank))
    else:
        stage.kill(rank)


def figures(record: RecordData) -> dict[str, str]:
    found = {}
    for name, title in (("clients.connected", "connected"), ("connect.p99", "connect p99"), ("messages.received", "messages"),
                        ("messages.lost", "lost"), ("delivery.p99", "delivery p99")):
        metric = record["metrics"].get(name)
        found[title] = "-" if metric is None else show(metric["value"], metric["unit"])
    return found


def run_case(stage: Stage, case: Case) -> Verdict:
    verdict, begun = Verdict(case), time.monotonic()
    call: Call = calls.make(case.name, [*case.words, "--json", "--quiet"], stage.build)
    child = stage.start(call, case.name, PROBES if case.fault else ())
    stage.await_start(child, case.name)
    if case.fault:
        strike(stage, case, child)
    ended = stage.children.wait(child, FAULT_GUARD_S if case.fault else GUARD_S, watch=stage.brokers)
    code = stage.children.stop(child)
    mpirun.wait_for_record(stage.folder / case.name)
    verdict.took_s = time.monotonic() - begun
    if ended is not child:
        verdict.wrong.append("it did not end by itself" if ended is None else f"{ended.name} ended before it")
    try:
        record = load(stage.folder / case.name).data
    except RecordError as error:
        verdict.wrong.append(f"{error}; its log ends: {child.last_lines()}")
        return verdict
    verdict.figures = figures(record)
    verdict.wrong += with_fault(case, code, record, stage.ranks - 1) if case.fault else whole(case, code, record)
    return verdict


def play(stage: Stage, case: Case, size: Size, broker: Sequence[str], say: Callable[[str], None]) -> Verdict:
    """Plays one case on brokers of its own. A program that does not do its part is a broken promise, no error."""
    say(f"{case.name}: {show_count(case.clients)} {case.engine} clients: {case.promise()}")
    try:
        stage.start_brokers(case.clients, case.engine, broker)
        verdict = run_case(stage, case)
    except PoolmarkError as error:
        verdict = Verdict(case, [str(error)])
    finally:
        stage.stop_brokers()
        if case.fault == CUT:
            stage.hosts.mend(stage.host_of(size.ranks - 1))
    say(f"  {'as promised' if not verdict.wrong else 'NOT as promised: ' + '; '.join(verdict.wrong)} ({verdict.took_s:.0f} s)")
    return verdict


def table_parts(verdicts: list[Verdict]) -> tuple[list[str], list[list[str]], str]:
    """(head, rows, alignment)."""
    head = ["case", "clients", "connected", "connect p99", "messages", "lost", "delivery p99", "seconds", "verdict"]
    rows = [[one.case.name, show_count(one.case.clients), *(one.figures.get(name, "-") for name in head[2:7]), f"{one.took_s:.0f}",
             "as promised" if not one.wrong else "; ".join(one.wrong)] for one in verdicts]
    return head, rows, "lrrrrrrrl"


def table(verdicts: list[Verdict]) -> str:
    return text_table(*table_parts(verdicts))
