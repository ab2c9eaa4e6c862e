# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark account RUN...: user memory of the reference broker by account, and what is not accounted for.

A RUN is a suite's record, of which each cell is shown, or a broker's own. Of a broker that runs: `account --pid PID --record DIR`, where
DIR is its --record. It is asked for a line (SIGUSR1), and the kernel's view from outside (/proc/PID/smaps) is laid beside it.

--write renews the tables of docs/where-the-bytes-go.md from results/reference/; --check compares them. A table that nobody has measured
says so.
"""
import argparse
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from poolmark.account import mappings
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import CellData, MetricData, Metrics, Row, value_of
from poolmark.base.options import count
from poolmark.base.paths import ROOT, need_checkout
from poolmark.base.table import text_table
from poolmark.base.units import show, show_bytes, show_count
from poolmark.compare.pairing import stem
from poolmark.records import accounts
from poolmark.records.read_record import Run, load
from poolmark.report import names
from poolmark.verify import reference
from poolmark.verify.recompute import Replayed
from poolmark.verify.reference import UNKNOWN, record_of, source, table

DOCUMENT = Path("docs/where-the-bytes-go.md")
ANSWER_S, LOOK_S = 30.0, 0.05       # for a line of the broker: at most, and how often it is looked for
STRATEGIES = ("malloc", "fixed", "expand", "sync", "slab")
SHAPES = ("lean", "classic")


def of_broker(folder: Path) -> Metrics:
    """The metrics of a single broker, from its own record's file."""
    path = folder / accounts.FILE
    if not path.is_file():
        raise PoolmarkError(f"{path}: is not there: it takes a broker of this version with --record")
    taken = Replayed(folder.name)
    accounts.take(taken, [path])
    if not accounts.has(taken.data["metrics"]):
        raise PoolmarkError(f"{path}: has no line yet")
    return taken.data["metrics"]


def print_accounts(title: str, metrics: Mapping[str, MetricData]) -> bool:
    """False when more than the bound is not accounted for."""
    share = accounts.unaccounted(metrics) or 0.0
    print(f"{title}: {show_count(value_of(metrics, 'account.connections'))} connections\n")
    print(text_table(accounts.HEAD, accounts.table(metrics)) + "\n")
    print(text_table(accounts.HEAP_HEAD, accounts.heap(metrics)) + "\n")
    if abs(share) > accounts.BOUND:
        print(f"! {100 * share:.2f} % of PSS is not accounted for: more than {100 * accounts.BOUND:.0f} %\n")
    return abs(share) <= accounts.BOUND


def print_run(run: Run) -> bool:
    if run.data["kind"] == "broker":
        return print_accounts(run.id, of_broker(run.folder))
    cells = [cell for cell in run.data.get("cells", []) if accounts.has(cell["metrics"])]
    if not cells:
        raise PoolmarkError(f"{run.id}: no cell has its memory by account: it takes the reference broker of this version")
    return all([print_accounts(cell["id"], cell["metrics"]) for cell in cells])


# --- a broker that runs


def asked(rows: list[Row]) -> int:
    return sum(row["moment"] == "asked" for row in rows)


def ask(pid: int, folder: Path) -> Metrics:
    """Has the broker write a line, and returns the metrics of this line."""
    path = folder / accounts.FILE
    if not path.is_file():
        raise UsageError(f"--record {folder}: has no {accounts.FILE}: name the folder that the broker was given as --record")
    before = asked(accounts.read(path))
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError as error:
        raise UsageError(f"--pid {pid}: cannot be asked: {error.strerror}") from error
    until = time.monotonic() + ANSWER_S
    while asked(rows := accounts.read(path)) == before:
        if time.monotonic() > until:
            raise PoolmarkError(f"--pid {pid}: no line came to {path} within {ANSWER_S:.0f} s: is it the broker of that record?")
        time.sleep(LOOK_S)
    taken = Replayed(str(pid))
    accounts.add(taken, "account", [one for one in rows if one["moment"] == "asked"][-1:], (*accounts.ACCOUNTS, *accounts.SUMS))
    return taken.data["metrics"]


def print_process(pid: int, folder: Path) -> bool:
    metrics = ask(pid, folder)
    owners = mappings.by_owner(mappings.read(pid))
    swapped = sum(one.swap_bytes for one in owners)
    outside, told = sum(one.anonymous_bytes for one in owners) + swapped, value_of(metrics, "account.anonymous_bytes") or 0.0
    print(f"process {pid}: {show_count(value_of(metrics, 'account.connections'))} connections\n")
    print(text_table(accounts.HEAD, accounts.table(metrics)) + "\n")
    print(text_table(["as the kernel has it", "mappings", "size", "PSS", "anonymous", "in huge pages", "swapped out"], [
        [one.owner, show_count(one.mappings), *map(show_bytes, (one.size_bytes, one.pss_bytes, one.anonymous_bytes, one.huge_bytes, one.swap_bytes))]
        for one in owners]) + "\n")
    if swapped:
        print(f"! {show_bytes(swapped)} are swapped out: the accounts and their PSS have them, what is resident does not\n")
    apart = outside / told - 1 if told else 0.0
    # PSS changes when other processes map the same libraries; anonymous memory does not.
    print(f"anonymous by the broker {show_bytes(told)}, from outside, a moment later, {show_bytes(outside)}: {100 * apart:+.2f} %")
    share = accounts.unaccounted(metrics) or 0.0
    print(f"not accounted for: {100 * share:.2f} % of PSS")
    return abs(share) <= accounts.BOUND and abs(apart) <= accounts.BOUND


# --- the document


def cells_of(run: Run | None, **config: object) -> list[CellData]:
    return [cell for cell in (run.data["cells"] if run else []) if accounts.has(cell["metrics"])
            and all(cell["config"].get(key) == value for key, value in config.items())]


def markdown_comparison(columns: Mapping[str, Mapping[str, MetricData]]) -> str:
    head, rows = accounts.comparison(columns)
    return table(head, rows)


def by_strategy(shape: str, root: Path) -> str:
    """Bytes of a connection, a column for each strategy; the first repetition."""
    run = record_of("account", root)
    told = source(run, "scripts/poolmark suite account")
    columns: dict[str, Metrics] = {}
    for strategy in STRATEGIES:
        found = cells_of(run, strategy=strategy, shape=shape)
        columns[strategy] = found[0]["metrics"] if found else {}
    if not any(columns.values()):
        return told + table(["bytes a connection", *STRATEGIES], [[accounts.ACCOUNTS["objects"], *[UNKNOWN] * len(STRATEGIES)]])
    return told + markdown_comparison(columns)


def kept(root: Path) -> str:
    """What is kept without use: before churn, after it, and when all have left."""
    run = record_of("account", root)
    rows = [[shape, strategy, *row] for shape in SHAPES for strategy in STRATEGIES
            for cell in cells_of(run, strategy=strategy, shape=shape)[:1] for row in accounts.heap(cell["metrics"])]
    head = ["shape", "strategy", *accounts.HEAP_HEAD]
    return source(run, "scripts/poolmark suite account") + table(head, rows or [["-", "-", *[UNKNOWN] * len(accounts.HEAP_HEAD)]])


def named(cells: list[CellData]) -> dict[str, Metrics]:
    """The first repetition of each configuration, by the names of a report."""
    found: dict[str, Metrics] = {}
    known = names.names(cells)
    for cell in cells:
        found.setdefault(known[stem(cell["id"])].label, cell["metrics"])
    return found


def of_suite(name: str, root: Path) -> str:
    run = record_of(name, root)
    cells = cells_of(run)
    if not cells:
        return f"Nobody has measured this yet: `scripts/poolmark suite {name}`.\n"
    return source(run, f"scripts/poolmark suite {name}") + markdown_comparison(named(cells))


# What else a million that is not idle shows: (words, metric).
BUSY = (("connections", "clients.connected"), ("messages a second", "messages.rate"), ("asked for", "messages.rate_asked"),
        ("PSS, all connected", "account.pss_bytes"), ("PSS, the last time of that", "account.late.pss_bytes"),
        ("CPU for a message", "cpu.per_message_ns"),
        ("delivery p50", "delivery.p50"), ("delivery p99", "delivery.p99"), ("delivery p99.9", "delivery.p99_9"),
        ("messages lost", "messages.lost"), ("clients failed", "clients.failed"), ("clients dropped", "clients.dropped"))


def busy(root: Path) -> str:
    run = record_of("million-busy", root)
    columns = named(run.data["cells"]) if run else {}
    told = source(run, "scripts/poolmark suite million-busy")

    def value(metrics: Metrics, name: str) -> str:
        one = metrics.get(name)
        return "-" if one is None else show(one["value"], one["unit"])

    if not columns:
        return told + table(["", "figure"], [[words, UNKNOWN] for words, _ in BUSY])
    return told + table(["", *columns], [[words, *(value(metrics, name) for metrics in columns.values())] for words, name in BUSY])


TABLES = {"lean": lambda root: by_strategy("lean", root), "classic": lambda root: by_strategy("classic", root), "kept": kept,
          "million": lambda root: of_suite("million", root), "busy": busy}


def filled(text: str, root: Path) -> str:
    return reference.filled(text, DOCUMENT, "account", TABLES, root)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'; or a broker's record")
    parser.add_argument("--pid", type=count(1, 1 << 22), metavar="PID", help="a reference broker that runs; with --record")
    parser.add_argument("--record", metavar="DIR", help="the folder that this broker was given as --record")
    parser.add_argument("--write", action="store_true", help=f"renew the tables of {DOCUMENT}")
    parser.add_argument("--check", action="store_true", help="exit 1 when the document's tables differ")


def run(args: argparse.Namespace) -> int:
    if (args.pid is None) != (args.record is None):
        raise UsageError("--pid and --record go together: the broker's process, and the folder of its record")
    if sum(map(bool, (args.runs, args.pid, args.write or args.check))) != 1:
        raise UsageError("name runs, or --pid and --record of a broker that runs, or --write or --check")
    if args.write or args.check:
        need_checkout("writing or checking documents")
        return reference.renew(DOCUMENT, lambda text: filled(text, ROOT), args.write, "account")
    if args.pid is not None:
        return 0 if print_process(args.pid, Path(args.record)) else 1
    return 0 if all([print_run(load(where)) for where in args.runs]) else 1
