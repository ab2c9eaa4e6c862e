# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark robustness: the tables of docs/robustness.md and the short one of README.md, each line with the command that repeats it.

Figures come from results/reference/: the record `attack` of the suite, the record `soak`, and counts.json, which --measure writes. A
line whose figure nobody has measured says so. --write renews the tables in the documents; --check compares them, exit code 1.
"""
import argparse
import functools
import json
import os
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from poolmark.attack.attacks import ATTACKS, about
from poolmark.base.errors import PoolmarkError, RecordError
from poolmark.base.forms import CellData
from poolmark.base.paths import ROOT, need_checkout
from poolmark.base.units import show, show_bytes, show_count
from poolmark.facts import facts
from poolmark.records import attacked, phases
from poolmark.records.read_record import parse
from poolmark.records.record import utc_now
from poolmark.records.typed import made
from poolmark.verify import reference
from poolmark.verify.reference import REFERENCE, UNKNOWN, record_of, source, table

DOCUMENT = Path("docs/robustness.md")
DOCUMENTS = (DOCUMENT, Path("README.md"))
COUNTS = "robustness/counts.json"
OWN = ("results/reference/robustness", *map(str, DOCUMENTS))    # what these commands write: it changes no program


@dataclass(frozen=True)
class Line:
    """A count that a command gives: the sum of the numbers that `pattern` finds in its output, when it ends with exit code 0."""
    what: str
    command: tuple[str, ...]
    pattern: str


@dataclass(frozen=True)
class Count:
    """A count that was taken, in counts.json."""

    count: int
    command: str
    commit: str
    dirty: bool | None
    ended_utc: str
    seconds: float


FAULTS = ("/usr/bin/python3", "-m", "pytest", "-q", "tests/honesty")
LINES = {
    "fuzz": Line("inputs of the MQTT codec by libFuzzer, under ASan and UBSan", ("make", "fuzz", "FUZZ_SECONDS=600"),
                 r"number_of_executed_units:\s*(\d+)"),
    "connection": Line("inputs of whole connections by libFuzzer, under ASan and UBSan", ("make", "fuzz-connection", "FUZZ_SECONDS=600"),
                       r"number_of_executed_units:\s*(\d+)"),
    "options": Line("command lines of broker and generator by libFuzzer, under ASan and UBSan", ("make", "fuzz-options", "FUZZ_SECONDS=600"),
                    r"number_of_executed_units:\s*(\d+)"),
    "pools": Line("rounds of random calls, threads and failures of every pool, under ASan",
                  ("make", "fuzz-pools", "B=build/fuzz-pools", "CHECK=1", "SAN=address", "FUZZ_SECONDS=600"), r"^(\d+) rounds$"),
    "records": Line("records changed at random and read, no traceback and nothing printed that is not safe to show", ("make", "fuzz-records", "RECORDS=1000000"),
                    r"^(\d+) changed records: "),
    "suites": Line("files of suites and mixes changed at random and read", ("make", "fuzz-suites", "SUITES=100000"), r"^(\d+) changed files: "),
    "allocations": Line("allocations of the broker that failed, each once", ("make", "faults"), r"^(\d+) allocations and \d+ calls failed"),
    "calls": Line("system calls of the broker that failed, each once", ("make", "faults"), r"^\d+ allocations and (\d+) calls failed"),
    "kills": Line("kills of the broker at writes of its state file, nothing acknowledged lost", ("make", "kills"), r"^(\d+) kills in "),
    "faults": Line("faults injected into real runs, each a test", FAULTS, r"^(\d+) passed"),
    "model": Line("states of slab's protocol and of the hot pool's waiters, every interleaving", ("make", "model"), r": (\d+) states"),
    "count": Line("messages at QoS 0, 1 and 2 that mosquitto_sub counted, none lost, none twice", ("make", "count", "MESSAGES=1000000"),
                  r"mosquitto_sub got (\d+) once"),
}


# --- counts


def counted(line: Line, output: str) -> int:
    """PoolmarkError when the output has no such number."""
    found = re.findall(line.pattern, output, re.M)
    if not found:
        raise PoolmarkError(f"{' '.join(line.command)}: its output has no number of the form {line.pattern!r}")
    return sum(map(int, found))


def read_counts(root: Path) -> dict[str, Count]:
    """{name of a line: its count}"""
    path = root / REFERENCE / COUNTS
    if not path.is_file():
        return {}
    try:
        found = parse(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(path, "", f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise RecordError(path, "", "is not a JSON object")
    return {name: made(Count, found[name], path) for name in LINES if name in found}


def measure(name: str, root: Path) -> str:
    """Runs the command of a line, and writes its count into counts.json, with those of other lines of the same command."""
    line, begun = LINES[name], time.monotonic()
    commit, dirty, _ = facts.tree_commit(*OWN)
    done = subprocess.run(line.command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        raise PoolmarkError(f"{' '.join(line.command)}: exit code {done.returncode}: nothing is counted; its output ends: "
                            f"{' | '.join(done.stdout.splitlines()[-5:])}")
    command = " ".join(line.command)
    counts = {other: counted(one, f"{command}\n{done.stdout}") for other, one in LINES.items() if one.command == line.command}
    path = root / REFERENCE / COUNTS
    seconds = round(time.monotonic() - begun, 1)
    known = read_counts(root) | {other: Count(count, command, commit, dirty, utc_now(), seconds) for other, count in counts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({name: asdict(one) for name, one in known.items()}, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
    return "\n".join(f"{show_count(count)}: {LINES[other].what}" for other, count in counts.items())


# --- tables


def tried(root: Path) -> str:
    counts = read_counts(root)
    return table(["what", "how many", "repeat it"], [
        [line.what, show_count(counts[name].count) + f", commit {counts[name].commit[:12]}" if name in counts else UNKNOWN,
         f"`{' '.join(line.command)}`"] for name, line in LINES.items()])


SOAK = (("hours of soak", "seconds"), ("rounds", "soak.rounds"), ("clients ended by SIGKILL", "soak.kills"),
        ("messages checked", "soak.messages_checked"), ("messages lost", "soak.messages_lost"),
        ("clients failed or dropped, without those", "soak.clients_lost"), ("memory, end against warm-up", "soak.memory_more"),
        ("descriptors, end against warm-up", "soak.descriptors_more"), ("objects in use when all have left", "soak.objects_left"))


def soak(root: Path) -> str:
    run = record_of("soak", root)

    def value(name: str) -> str:
        if run is None:
            return UNKNOWN
        if name == "seconds":
            return f"{run.data['config']['seconds'] / 3600:.3g}"
        one = run.data["metrics"][name]
        return f"{one['value']:+.2f} %" if one["unit"] == "%" and one["value"] is not None else show(one["value"], one["unit"])

    return source(run, "make soak") + table(["what", "figure"], [[words, value(name)] for words, name in SOAK])


def worst(cells: list[CellData], name: str) -> float | None:
    """The largest value of a metric in the repetitions of a cell; of a count that is summed over phases, that sum."""
    found = [one["value"] for cell in cells if (one := phases.whole(cell["metrics"], name)) and one["value"] is not None]
    return max(found, default=None)


def attack_row(attack: str, cells: list[CellData]) -> list[str]:
    what = "no attack" if attack == attacked.CALM else about(attack)
    if not cells:
        return [f"`{attack}`", what, *[UNKNOWN] * 6]
    felt = [max((found for cell in cells if (found := attacked.others(cell).get(words)) is not None), default=None)
            for words, _ in attacked.OTHERS]
    highest, bound = (worst(cells, name) for name in attacked.MEMORY)
    counts = [worst(cells, name) for name in ("clients.failed", "clients.dropped", "messages.lost")]
    return [f"`{attack}`", what, *(show(one, "ns") for one in felt), show(worst(cells, attacked.LONGEST_TURN), "ns"), " / ".join(map(show_count, counts)),
            f"{show_bytes(highest)} of {show_bytes(bound)}", show(worst(cells, "attack.stop_ns"), "ns")]


def attacks(root: Path) -> str:
    run = record_of("attack", root)
    cells: dict[str | None, list[CellData]] = {}
    for cell in run.data["cells"] if run else []:
        cells.setdefault(attacked.attack_of(cell), []).append(cell)
    return source(run, "scripts/poolmark suite attack") + table(
        ["attack", "what it does", "delivery p99", "arrival p99", "longest turn", "failed / dropped / lost", "highest memory, of its bound",
         "end after SIGTERM"], [attack_row(attack, cells.get(attack, [])) for attack in (attacked.CALM, *ATTACKS)])


# --- the short table of README.md

# (what, names of counts, command)
TRIED = (
    ("bad inputs by fuzzers, under sanitizers: the codec, whole connections, command lines", ("fuzz", "connection", "options"),
     "make fuzz fuzz-connection fuzz-options"),
    ("records of runs, and suites, changed at random and read: no traceback", ("records", "suites"), "make fuzz-records fuzz-suites"),
    ("allocations of the broker, and system calls, that failed, each once", ("allocations", "calls"), "make faults"),
    ("kills of the broker while it writes its state: nothing acknowledged lost", ("kills",), "make kills"),
    ("faults injected into real runs, each noticed", ("faults",), "/usr/bin/python3 -m pytest -q tests/honesty"),
    ("messages that mosquitto_sub counted: none lost, none twice", ("count",), "make count"),
)


def _soak_row(root: Path) -> list[str]:
    run = record_of("soak", root)
    if run is None:
        return ["hours of soak with clients that are killed", UNKNOWN, "`make soak`"]
    value = {name: one["value"] for name, one in run.data["metrics"].items()}
    more = value["soak.memory_more"]
    return ["hours of soak with clients that are killed",
            f"{run.data['config']['seconds'] / 3600:.3g}; {show_count(value['soak.messages_checked'])} messages, {show_count(value['soak.messages_lost'])} lost; memory at "
            f"the end {'-' if more is None else f'{more:+.2f} %'}, descriptors {show_count(value['soak.descriptors_more'])} more, objects in use "
            f"{show_count(value['soak.objects_left'])}", "`make soak`"]


def _attack_row(root: Path) -> list[str]:
    """The worst of all attacks: what others felt, and the highest memory, as a share of its bound."""
    run = record_of("attack", root)
    words = "others while one attacks, the worst: p99 of a delivery, of an arrival; the broker's highest memory, of the bound that it computed"
    command = "`scripts/poolmark suite attack`"
    if run is None:
        return [words, UNKNOWN, command]
    named = [(attack, cell) for cell in run.data["cells"] if (attack := attacked.attack_of(cell)) not in (None, attacked.CALM)]
    told: list[str] = []
    for what, _ in attacked.OTHERS:
        felt = max(((found[what], attack) for attack, cell in named if what in (found := attacked.others(cell))), default=None)
        told.append(f"{show(felt[0], 'ns')} (`{felt[1]}`)" if felt else "-")
    memory: list[tuple[float, str]] = []
    for attack, cell in named:
        highest, bound = (worst([cell], name) for name in attacked.MEMORY)
        if highest is not None and bound:
            memory.append((highest / bound, f"{show_bytes(highest)} of {show_bytes(bound)} (`{attack}`)"))
    return [words, "; ".join([", ".join(told), max(memory, default=(0.0, "-"))[1]]), command]


def short(root: Path) -> str:
    counts = read_counts(root)
    rows = [[what, " + ".join(show_count(counts[name].count) if name in counts else UNKNOWN for name in names), f"`{command}`"] for what, names, command in TRIED]
    return table(["tried", "how many", "repeat it"], [*rows, _soak_row(root), _attack_row(root)])


TABLES = {"tried": tried, "soak": soak, "attacks": attacks, "short": short}


def filled(text: str, root: Path, document: Path = DOCUMENT) -> str:
    """The document with its tables. UsageError for a block of an unknown name."""
    return reference.filled(text, document, "robustness", TABLES, root)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--measure", choices=sorted(LINES), help="run the command of this line, which may take long, and keep its count")
    parser.add_argument("--write", action="store_true", help=f"renew the tables of {' and '.join(map(str, DOCUMENTS))}")
    parser.add_argument("--check", action="store_true", help="exit 1 when the documents' tables differ")


def run(args: argparse.Namespace) -> int:
    need_checkout("the page of robustness")
    if args.measure:
        print(measure(args.measure, ROOT))
    if not args.write and not args.check:
        if not args.measure:
            print("\n".join(make(ROOT) for make in TABLES.values()), end="")
        return 0
    return max(reference.renew(document, functools.partial(filled, root=ROOT, document=document), args.write, "robustness") for document in DOCUMENTS)
