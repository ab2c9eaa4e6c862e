# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark kernel: kernel memory of a connection, by part and by state, and what options of a server save.

It makes connections over loopback with plain sockets, brings them into a state, and reads the kernel's slab caches before and
after (account/slabs.py). Both ends are on this host, so a figure is of both; `client` and `server` are told apart by what comes
with accept. Each state is made --repetitions times in a process of its own; the table has medians. States that leave TIME-WAIT
behind are made once, at the end. The record has slabinfo of before and after, from which verify computes each figure again. Root
only: the kernel shows its caches to nobody else.

The pages of large packets are in no cache. `accounted` is what TCP counts against net.ipv4.tcp_mem for queued data, pages and
packets together (/proc/net/sockstat).

Other programs use the same caches. What grows and is no part of a connection is the column `other`. When it is more than 5 % of a
state, or when the repetitions of a state differ by more than 5 %, the record has an anomaly: repeat it on a quiet host.
"""
import argparse
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path

from poolmark.account import slabs, states
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import Metrics, RecordData
from poolmark.base.options import count
from poolmark.base.paths import for_people
from poolmark.base.progress import Beat, Eta
from poolmark.base.table import csv_text, markdown_table, text_table
from poolmark.facts import kernel_memory
from poolmark.records.record import Cell, Record, metric

STATE_S = 2.5               # for the first estimate
OTHER_SHARE = SPREAD_SHARE = 0.05
LEAST_CONNECTIONS = 2000    # fewer are lost in what the caches of each CPU hold
SURE_CONNECTIONS = 1000     # below, an object of a connection may be a place that was free before: some 100 B of each part
LEAST_OF_STATE = 200
SPARE_DESCRIPTORS = 64
SETTLE_S = 0.3              # caches of each CPU and what is freed by RCU
SOCKSTAT = Path("/proc/net/sockstat")
GROUPS = "merged.json"
FILES = {"slabinfo": slabs.SLABINFO, "sockstat": SOCKSTAT}      # kept of before and after
CSV, MARKDOWN = "kernel.csv", "kernel.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=count(LEAST_CONNECTIONS, 1_000_000), default=8000, metavar="N",
                        help="of a state (8000); two descriptors each")
    parser.add_argument("--only", action="append", choices=[state.name for state in states.STATES], metavar="STATE",
                        help="one state; several times")
    parser.add_argument("--repetitions", type=count(1, 1000), default=3, metavar="N", help="of each state (3)")
    parser.add_argument("--out", metavar="DIR", help="where to write (results/runs/ID)")
    parser.add_argument("--list", action="store_true", help="print the states and end")


def chosen(names: list[str] | None) -> list[states.State]:
    return [state for state in states.STATES if not names or state.name in names]


def turns(wanted: list[states.State], repetitions: int) -> list[tuple[int, states.State]]:
    """(repetition, state) in the order in which they are made."""
    several = [(number, state) for number in range(1, repetitions + 1) for state in wanted if not state.once]
    return several + [(1, state) for state in wanted if state.once]


def connections_of(state: states.State, connections: int) -> int:
    return max(min(connections, LEAST_OF_STATE), connections // state.share)


def check_room(connections: int) -> None:
    import resource

    have = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if have != resource.RLIM_INFINITY and 2 * connections + SPARE_DESCRIPTORS > have:
        raise UsageError(f"--connections {connections} take {2 * connections + SPARE_DESCRIPTORS} descriptors, and a process may "
                         f"have {have}: at most {(have - SPARE_DESCRIPTORS) // 2}")


def child(state: states.State, connections: int, folder: Path) -> None:
    """In a process of its own: writes slabinfo of before and after. Its sockets end with it."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = {f"before.{name}": path.read_bytes() for name, path in FILES.items()}
    held = states.hold(state, connections)
    time.sleep(SETTLE_S)
    after = {f"after.{name}": path.read_bytes() for name, path in FILES.items()}
    for name, content in (before | after).items():
        (folder / name).write_bytes(content)
    del held


def in_child(state: states.State, connections: int, folder: Path) -> None:
    """PoolmarkError says what a state lacked."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            child(state, connections, folder)
            os._exit(0)
        except BaseException as error:
            os.write(write_end, str(error).encode()[:2000])
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if status:
        raise PoolmarkError(said or f"its process ended with status {status}")


def accounted_bytes(sockstat: str) -> int:
    """ValueError when the text has no such count: that is not 0."""
    match = re.search(r"^TCP: .*\bmem (\d+)", sockstat, re.M)
    if match is None:
        raise ValueError("sockstat has no count of the pages of TCP")
    return int(match[1]) * slabs.PAGE_BYTES


def of_cell(folder: Path, connections: int) -> Metrics:
    """The metrics of a cell from its raw files: bytes a connection of each part, and their sum without `other`."""
    groups = {name: frozenset(names) for name, names in json.loads((folder / GROUPS).read_text(encoding="utf-8")).items()}
    text = {f"{when}.{name}": (folder / f"{when}.{name}").read_text(encoding="ascii") for when in ("before", "after") for name in FILES}
    grown = slabs.growth(slabs.parse(text["before.slabinfo"]), slabs.parse(text["after.slabinfo"]), groups)
    made = {f"kernel.{part}_bytes": metric(more / connections, "B", "none" if part == "other" else "lower")
            for part, more in grown.items()}
    made["kernel.connection_bytes"] = metric(sum(more for part, more in grown.items() if part != "other") / connections, "B", "lower")
    accounted = accounted_bytes(text["after.sockstat"]) - accounted_bytes(text["before.sockstat"])
    made["kernel.accounted_bytes"] = metric(accounted / connections, "B", "lower")
    return made


def measure(cell: Cell, state: states.State, connections: int, groups: dict[str, frozenset[str]]) -> None:
    (cell.folder / GROUPS).write_text(json.dumps({name: sorted(names) for name, names in sorted(groups.items())}), encoding="utf-8")
    kernel_memory.settle(kernel_memory.SETTLE_FROM)
    in_child(state, connections, cell.folder)
    for name in (*(f"{when}.{name}" for when in ("before", "after") for name in FILES), GROUPS):
        cell.file(name.replace(".", "_"), cell.folder / name)
    cell.data["metrics"] = of_cell(cell.folder, connections)
    if connections < SURE_CONNECTIONS:
        cell.anomaly("few", f"of {connections} connections: what is queued is told, the other parts only to some hundred bytes, as places "
                            "that were free before may have served them")
    other, whole = cell.value("kernel.other_bytes"), cell.value("kernel.connection_bytes")
    if other is not None and whole is not None and abs(other) > OTHER_SHARE * abs(whole):
        cell.anomaly("other", f"{other:+.0f} B a connection in caches that are no part of one: other programs worked meanwhile, or the "
                              "kernel keeps something in a cache that is not known here")


def tell_spread(record: Record) -> None:
    """An anomaly for each state whose repetitions differ: another program made or ended connections meanwhile."""
    values: dict[str, list[float]] = {}
    for cell in record.data["cells"]:
        if cell["status"] == "complete":
            value = cell["metrics"]["kernel.connection_bytes"]["value"]
            values.setdefault(cell["config"]["state"], []).extend([] if value is None else [value])
    for state, found in values.items():
        if max(found) - min(found) > SPREAD_SHARE * abs(statistics.median(found)):
            record.anomaly("spread", f"{state}: {min(found):.0f} to {max(found):.0f} B a connection in {len(found)} repetitions: other "
                                     "programs made or ended connections meanwhile")


def medians(data: RecordData) -> dict[str, dict[str, float]]:
    """State -> figure -> median over its repetitions."""
    values: dict[str, dict[str, list[float]]] = {}
    for cell in data["cells"]:
        if cell["status"] == "complete":
            for name, one in cell["metrics"].items():
                if one["value"] is not None:
                    values.setdefault(cell["config"]["state"], {}).setdefault(name, []).append(one["value"])
    return {state: {name: statistics.median(found) for name, found in named.items()} for state, named in values.items()}


def state_rows(found: dict[str, dict[str, float]]) -> tuple[list[str], list[list[str]]]:
    columns = ("connection", *slabs.PARTS, "accounted", "other")
    head = ["state", "both ends", *columns[1:]]
    rows = [[state.name, *(f"{found[state.name][f'kernel.{part}_bytes']:.0f}" for part in columns)]
            for state in states.STATES if state.name in found and not state.against]
    return head, rows


def end_rows(found: dict[str, dict[str, float]]) -> list[list[str]]:
    """Client and server apart: a queued connection has the client's end whole, of the server's only the socket and the request.
    Both sockets are of one size."""
    if not {"queued", "accepted", "idle"} <= found.keys():
        return []
    queued, idle = found["queued"], found["idle"]
    client = queued["kernel.connection_bytes"] - queued["kernel.socket_bytes"] / 2 - queued["kernel.request_bytes"]
    return [["client, in no epoll set", f"{client:.0f}"],
            ["server, in one epoll set", f"{idle['kernel.connection_bytes'] - client:.0f}"]]


def option_rows(found: dict[str, dict[str, float]]) -> list[list[str]]:
    rows = []
    for state in states.STATES:
        if state.against in found and state.name in found:
            ours, theirs = (found[name]["kernel.connection_bytes"] for name in (state.name, state.against))
            rows.append([state.text, state.against, f"{ours:.0f}", f"{ours - theirs:+.0f}"])
    return rows


def tables(found: dict[str, dict[str, float]]) -> list[tuple[str, list[str], list[list[str]]]]:
    head, rows = state_rows(found)
    return [(title, heads, lines) for title, heads, lines in (
        ("Kernel memory of a connection, bytes", head, rows),
        ("The ends of an idle connection", ["end", "bytes"], end_rows(found)),
        ("Options of the server", ["option", "compared with", "both ends, bytes", "difference"], option_rows(found))) if lines]


def documents(data: RecordData) -> dict[str, str]:
    """{file name: text} of the tables of a record."""
    found = medians(data)
    shown = [f"# Kernel memory of a connection\n\nRun {data['id']}: {data['config']['connections']} connections over loopback, "
             "medians. Each figure is bytes a connection, of both ends, in the kernel's slab caches.\n"]
    shown += [f"## {title}\n\n{markdown_table(head, rows)}\n" for title, head, rows in tables(found)]
    shown += ["## The states\n\n" + markdown_table(["state", "what it is"], [[state.name, state.text] for state in states.STATES
                                                                            if state.name in found], "ll") + "\n"]
    shown += ["## The parts\n\n" + markdown_table(["part", "what it is", "caches"], [
        [part, text, ", ".join(caches)] for part, (caches, text) in slabs.PARTS.items()], "lll") + "\n"]
    rows = [[state, name, f"{value:.1f}"] for state, named in found.items() for name, value in named.items()]
    return {MARKDOWN: "\n".join(shown), CSV: csv_text(["state", "figure", "bytes"], rows)}


def write(record: Record) -> None:
    record.tell_changes()
    for name, text in documents(record.data).items():
        (record.folder / name).write_text(text, encoding="utf-8")


def run(args: argparse.Namespace) -> int:
    wanted = chosen(args.only)
    if args.list:
        print(text_table(["state", "what it is"], [[state.name, state.text] for state in wanted], "ll"))
        return 0
    slabs.read()
    check_room(max(connections_of(state, args.connections) for state in wanted))
    groups = slabs.merged()
    record = Record.create("kernel", suite="kernel", folder=args.out, config={"connections": args.connections,
                                                                              "repetitions": args.repetitions})
    planned = turns(wanted, args.repetitions)
    eta = Eta([STATE_S] * len(planned))
    worst = "complete"
    try:
        for repetition, state in planned:
            connections = connections_of(state, args.connections)
            cell = record.cell(f"{state.name}.{repetition}", {"state": state.name, "connections": connections}, repetition)
            eta.begin()
            try:
                with Beat(lambda: f"{state.name}; {eta.left()}"):
                    measure(cell, state, connections, groups)
                cell.finish("complete")
            except (PoolmarkError, OSError, ValueError, KeyError) as error:
                cell.anomaly("failed", str(error))
                cell.finish("failed")
                worst = "incomplete"
                print(f"poolmark kernel: {state.name}: {error}", file=sys.stderr)
            eta.end()
    except KeyboardInterrupt:
        record.anomaly("stopped", "interrupted")
        record.close("incomplete")
        raise
    tell_spread(record)
    write(record)
    record.close(worst)
    for title, head, rows in tables(medians(record.data)):
        print(f"{title}\n\n{text_table(head, rows)}\n")
    for anomaly in [*record.data["anomalies"], *(one for cell in record.data["cells"] for one in cell["anomalies"])]:
        print(f"! {anomaly['text']}")
    print(f"{worst}: {for_people(record.folder)}/{MARKDOWN}, {CSV}, run.json")
    return 0 if worst == "complete" else 1
