# SPDX-License-Identifier: Apache-2.0
"""Measurements by benchmark and round, and how they become cells of a record."""
from dataclasses import dataclass, field

from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench_plan import DIRECT, DIRECT_SLAB, Bench, Group
from poolmark.bench.bench_report import Measured, unit_of
from poolmark.bench.full_speed import ENOUGH, Speed
from poolmark.base.forms import Taker

TIME = "time"


@dataclass
class Series:
    """One benchmark's figures: metric -> {round: value}."""

    bench: Bench
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    measured: dict[int, Measured] = field(default_factory=dict)  # by round
    speed: Speed = field(default_factory=Speed)

    def add(self, number: int, measured: Measured) -> None:
        """Replaces earlier figures of that round."""
        self.measured[number] = measured
        for metric, value in {TIME: measured.time_ns, **measured.counters}.items():
            self.values.setdefault(metric, {})[number] = value

    def full(self) -> set[int]:
        """The rounds that ran at the processor's full speed."""
        return {number for number, measured in self.measured.items() if not self.speed.missed(measured)}

    def of(self, metric: str = TIME) -> dict[int, float]:
        """Value by round: full-speed rounds only, when there are at least ENOUGH of them; otherwise all."""
        found, full = self.values.get(metric, {}), self.full()
        return {number: value for number, value in found.items() if number in full or len(full) < ENOUGH}

    def left_out(self, metric: str = "full_speed_share") -> float | None:
        """Share of operations left out of the figures because the processor was slow before them. None for workloads that leave
        nothing out."""
        found, chosen = self.of(metric), self.of("at_full_speed")
        shares = [1 - found[number] if chosen.get(number, 0) else 0.0 for number in found]
        return statistics.known(shares).median if shares else None

    def left_out_told(self) -> str:
        """left_out() for a table. "all slow": nothing was left out, since too little was at full speed; a plain 0 says that all was."""
        out, whole = self.left_out(), self.of("at_full_speed")
        if out is None:
            return "-"
        return "all slow" if whole and statistics.known(whole.values()).median == 0 else f"{out:.2f}"

    def spread(self, metric: str = TIME) -> statistics.Spread | None:
        return statistics.spread(self.of(metric).values())

    def known(self, metric: str = TIME) -> statistics.Spread:
        """As spread(), of a metric that has values."""
        return statistics.known(self.of(metric).values())

    def write(self, cell: Taker) -> None:
        """Writes medians as values, and the counted rounds as samples."""
        for metric in self.values:
            values = self.of(metric)
            unit, better = unit_of(metric)
            samples = [values[number] for number in sorted(values)]
            cell.metric(metric, statistics.known(samples).median, unit, better, samples)


def alike(*several: Series, metric: str = TIME) -> list[dict[int, float]]:
    """Value by round of series that are set against one another: of the rounds in which all of them ran at full speed, when there are
    ENOUGH of these, otherwise of all rounds. Series.of chooses for one series alone: then slow rounds of one contender would be
    compared with full-speed rounds of another."""
    full = set.intersection(*(series.full() for series in several))
    return [{number: value for number, value in series.values.get(metric, {}).items() if number in full or len(full) < ENOUGH}
            for series in several]


class Results:
    """`whole`: the benchmarks without a filter. It shows which contenders of a comparison were filtered out."""

    def __init__(self, benches: list[Bench], whole: list[Bench] | None = None, speed: Speed | None = None) -> None:
        self.series = {bench.name: Series(bench, speed=speed or Speed()) for bench in benches}
        self.interrupted = False
        self.planned: dict[Group, list[str]] = {}  # group -> all its contenders
        for bench in whole or benches:
            self.planned.setdefault(bench.group, []).append(bench.contender.name)

    def find(self, workload: str, contender: str, size: int, threads: int = 1) -> Series | None:
        """The series, if it has times."""
        for series in self.series.values():
            if series.bench.group == (workload, size, threads) and series.bench.contender.name == contender and \
                    series.of():
                return series
        return None

    def groups(self) -> dict[Group, list[Series]]:
        """Series that are compared with one another, in the order of the plan."""
        found: dict[Group, list[Series]] = {}
        for series in self.series.values():
            found.setdefault(series.bench.group, []).append(series)
        return found

    def fastest_allocator(self, workload: str, size: int, threads: int = 1, metric: str = TIME) -> Series | None:
        """The fastest allocator that is called directly, by a metric in ns. None unless all allocators of the plan were measured,
        because the fastest of a part need not be the fastest."""
        wanted = [name for name in self.planned.get((workload, size, threads), ()) if name.startswith(f"{DIRECT}-")
                  and name != DIRECT_SLAB]
        found = [one for name in wanted if (one := self.find(workload, name, size, threads)) is not None and one.of(metric)]
        if len(found) < len(wanted):
            return None
        return min(found, key=lambda one: one.known(metric).median) if found else None
