# SPDX-License-Identifier: Apache-2.0
"""How start-up, end and what comes to rank 0 grow with the number of ranks: measured with small ranks on this machine, forecast for more.

    points = measure([2, 4, 8, 16, 32, 64], 3, 20, build, folder, program, say)
    print(text(points, 100))

Start-up is from the start of mpirun to the first reading of memory, when all workers are there. The end is from the last reading to the end
of mpirun: latencies, counts and parts of the ranks come to rank 0, and the record is closed. Both take longer here than on hosts of their
own, where ranks do not share processors. The traffic is what passes between the ranks, all of it from or to rank 0, in a run that holds its
clients for HOLD_S. It is of another run, in which ranks talk by TCP, and is read where ranks and broker can have networks of their own, which
takes root.
"""
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.curves import read_csv
from poolmark.base.errors import PoolmarkError
from poolmark.base.table import csv_text, text_table
from poolmark.base.units import show_bytes
from poolmark.cluster import calls, mpirun, namespaces
from poolmark.cluster.asked import Asked
from poolmark.facts.children import Children
from poolmark.model.model import Line, fit_line
from poolmark.records.read_record import load
from poolmark.records.record import sha256
from poolmark.suites.targets import READY_S

GUARD_S = 600.0
HOLD_S = 5
OFF_S, OFF_BYTES = 0.02, 1000.0     # two measurements of the same differ by so much
FEWEST = 4                          # numbers of ranks: three for a line, one held out
RANKS, BROKER = "ranks", "broker"   # hosts
# Over a loopback that nobody else uses. More ranks than these were not tried there.
TCP_MOST = 64
LOOPBACK = ("--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo")


@dataclass(frozen=True)
class Point:
    """One run. Times in seconds."""
    ranks: int
    start_s: float
    end_s: float
    traffic_bytes: float        # NaN: not read
    run: str = ""               # the record of its times: its id,
    seal: str = ""              # and the checksum of its run.json

    def value(self, name: str) -> float:
        return float(getattr(self, name))


FIGURES = {"start_s": ("start-up", OFF_S), "end_s": ("end", OFF_S), "traffic_bytes": ("traffic of rank 0", OFF_BYTES)}


def steps_to(most: int) -> list[int]:
    """2, 4, 8 ... and the most."""
    found = [2]
    while 2 * found[-1] < most:
        found.append(2 * found[-1])
    return [*found, most]


def readings(folder: Path) -> tuple[int, int]:
    """Times of the first and the last reading, by the monotonic clock. PoolmarkError without them."""
    rows = read_csv(folder / "memory.csv", ("phase",))
    if not rows:
        raise PoolmarkError(f"{folder}: there is no reading in memory.csv")
    return rows[0]["at_ns"], rows[-1]["at_ns"]


class Place:
    """Where the ranks run: on a host of their own beside the broker's, where that can be made, otherwise on this machine."""

    def __init__(self, children: Children, build: Path, folder: Path, program: str) -> None:
        self.children, self.build, self.folder, self.program = children, build, folder, program
        self.hosts = None if namespaces.why_not() else namespaces.Hosts([RANKS, BROKER])
        self.target = ""

    def start_broker(self) -> None:
        address = self.hosts.address(BROKER) if self.hosts else "127.0.0.1"
        words = [*(self.hosts.prefix(BROKER) if self.hosts else []), str(self.build / "poolmark-broker"), "--listen", f"{address}:0"]
        broker = self.children.start("the broker", words, self.folder / "broker.log", read="stdout")
        self.children.read_until(broker, lambda line: line == "ready", READY_S)
        self.target = next(f"mqtt://{line.split()[1]}" for line in broker.lines if line.startswith("listening "))

    def passed_bytes(self) -> float:
        """What the loopback of the ranks' host has carried so far."""
        if self.hosts is None:
            return math.nan
        line = next(line for line in self.hosts.on(RANKS, "cat", "/proc/net/dev").splitlines() if line.strip().startswith("lo:"))
        return float(line.split(":")[1].split()[0])

    def run_once(self, ranks: int, clients: int, number: int) -> Point:
        name = f"ranks-{ranks}.{number}"
        start_s, end_s, _ = self.play(ranks, clients, name, ())
        traffic = self.play(ranks, clients, f"ranks-{ranks}-tcp.{number}", LOOPBACK)[2] if self.hosts and ranks <= TCP_MOST else math.nan
        return Point(ranks, start_s, end_s, traffic, load(self.folder / name).id, sha256(self.folder / name / "run.json"))

    def play(self, ranks: int, clients: int, name: str, more: Sequence[str]) -> tuple[float, float, float]:
        """(start-up, end, bytes passed)."""
        out = self.folder / name
        call = calls.make("connect", ["connect", "--engine", "raw", "--connections", str(ranks * clients), "--workers", "1", "--hold", f"{HOLD_S}s",
                                      "--quiet"], self.build)
        asked = Asked(ranks=ranks, targets=(self.target,), out=str(out), program=self.program)
        prefix = self.hosts.prefix(RANKS) if self.hosts else []
        before, began_ns = self.passed_bytes(), time.monotonic_ns()
        child = self.children.start("mpirun", [*prefix, *mpirun.command(mpirun.program_words(call, asked, False), asked, more)],
                                    out.with_name(f"{out.name}.log"))
        ended = self.children.wait(child, GUARD_S)
        ended_ns = time.monotonic_ns()
        code = self.children.stop(child)
        if ended is None or code != 0:
            raise PoolmarkError(f"{ranks} ranks: {child.how_it_ended()}; its log ends: {child.last_lines()}")
        first_ns, last_ns = readings(out)
        return (first_ns - began_ns) * 1e-9, (ended_ns - last_ns) * 1e-9, self.passed_bytes() - before


def measure(steps: Sequence[int], repetitions: int, clients: int, build: Path, folder: Path, program: str, say: Callable[[str], None]) -> list[Point]:
    """The points as far as they could be measured, several of each number of ranks, these in turn; says why not."""
    points: list[Point] = []
    with ExitStack() as open_ones:
        place = Place(open_ones.enter_context(Children()), build, folder, program)
        if place.hosts:
            open_ones.enter_context(place.hosts)
        else:
            say(f"the traffic is not read: {namespaces.why_not()}")
        place.start_broker()
        for number, ranks in [(number, ranks) for number in range(1, repetitions + 1) for ranks in steps]:
            try:
                points.append(place.run_once(ranks, clients, number))
            except PoolmarkError as error:
                say(str(error))
                break
            say(f"{ranks} ranks: start-up {points[-1].start_s:.2f} s, end {points[-1].end_s:.2f} s")
    return points


def line_of(points: Sequence[Point], name: str) -> Line:
    return fit_line([one.ranks for one in points], [one.value(name) for one in points], FIGURES[name][1])


def shown(name: str, value: float) -> str:
    if math.isnan(value):
        return "not read"
    return show_bytes(value) if name.endswith("_bytes") else f"{value:.2f} s"


def known(points: Sequence[Point], name: str) -> list[Point]:
    return [one for one in points if not math.isnan(one.value(name))]


def of_ranks(points: Sequence[Point], name: str, ranks: int) -> list[float]:
    return [one.value(name) for one in known(points, name) if one.ranks == ranks]


def numbers(points: Sequence[Point]) -> list[int]:
    """The numbers of ranks, rising."""
    return sorted({one.ranks for one in points})


def forecast_rows(points: Sequence[Point], to: int) -> list[list[str]]:
    """A row a figure: for so many hosts, its interval, and how far the largest runs were off when they were held out."""
    rows = []
    for name, (title, _) in FIGURES.items():
        measured = known(points, name)
        if len(numbers(measured)) < FEWEST:
            continue
        line, last = line_of(measured, name), numbers(measured)[-1]
        value, margin = line.at(to), line.margin(to)
        held = line_of([one for one in measured if one.ranks < last], name).at(last)
        middle = statistics.median(of_ranks(measured, name, last))
        off = f"{last} ranks: {round(100 * (held / middle - 1)):+d} %" if middle else "-"
        rows.append([title, shown(name, value), f"{shown(name, max(0.0, value - margin))} to {shown(name, value + margin)}", off])
    return rows


def told(points: Sequence[Point], name: str, ranks: int) -> str:
    """The median, and of several runs the least and the most."""
    values = of_ranks(points, name, ranks)
    if not values:
        return shown(name, math.nan)
    middle = shown(name, statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({shown(name, min(values))} to {shown(name, max(values))})"


def tables(points: Sequence[Point], to: int) -> list[tuple[list[str], list[list[str]], str]]:
    """(head, rows, alignment): what was measured, and the forecast, if there are enough numbers of ranks."""
    made = [(["ranks", "runs", *(title for title, _ in FIGURES.values())],
             [[str(ranks), str(sum(one.ranks == ranks for one in points)), *(told(points, name, ranks) for name in FIGURES)] for ranks in numbers(points)],
             "rrrrr")]
    if len(numbers(points)) >= FEWEST:
        made.append((["forecast", f"{to} hosts", "95 %", "held out, off by"], forecast_rows(points, to), "lrrr"))
    return made


def csv(points: Sequence[Point]) -> str:
    """Each run for itself, with the record that its times are of."""
    return csv_text(["ranks", "start_s", "end_s", "traffic_bytes", "run", "run_json_sha256"],
                    [[one.ranks, f"{one.start_s:.3f}", f"{one.end_s:.3f}", "" if math.isnan(one.traffic_bytes) else f"{one.traffic_bytes:.0f}", one.run, one.seal]
                     for one in points])


def text(points: Sequence[Point], to: int) -> str:
    shown_tables = [text_table(*table) for table in tables(points, to)]
    if len(shown_tables) == 1:
        shown_tables.append(f"no forecast: it takes {FEWEST} numbers of ranks, and {len(numbers(points))} were measured")
    return "\n\n".join(shown_tables)
