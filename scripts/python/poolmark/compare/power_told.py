# SPDX-License-Identifier: Apache-2.0
"""Says before a comparison what n repetitions can find, from the spread of repetitions in an earlier record.

    scripts/poolmark compare --power RUN                a table for a record
    told_before(what, ...)                              the first line of compare --run and nightly

The earlier record is the newest one under results/runs that has the same cells, in the same configuration, on this kind of host. Without
such a record the line says that nothing is known.
"""
import dataclasses
import json
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolmark.compare import primary
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import CellData, Config, RecordData
from poolmark.compare.pairing import by_config, stem, values
from poolmark.base.paths import RUNS
from poolmark.base.units import plural
from poolmark.compare.permutation import least_repetitions
from poolmark.compare.power import deviation_of, finds
from poolmark.records.read_record import Run, load
from poolmark.compare.how_much import spread
from poolmark.compare.verdict import ALPHA_PRIMARY
from poolmark.compare.verdict_out import least

COUNTS = (4, 6, 9, 13, 19)
NEWEST = 15     # so many newest records are searched
LAST_NIGHTS = 14


@dataclass
class Spread:
    """A primary metric and its cell with the largest spread."""

    metric: str
    cell: str
    deviation: float
    repetitions: int


def spreads(run: RecordData) -> tuple[list[Spread], int]:
    """Each primary metric with its noisiest cell; and the number of tests."""
    patterns = primary.named_by(run)
    found: dict[str, Spread] = {}
    metrics: set[str] = set()
    tests = 0
    for cells in by_config(run).values():
        names, cell = cells[0]["metrics"], stem(cells[0]["id"])
        for metric, one in names.items():
            if one["better"] == "none" or primary.role(cell, metric, names, patterns) != primary.PRIMARY:
                continue
            tests += 1
            metrics.add(metric)
            measured = values(cells, metric)
            deviation = deviation_of(measured)
            if deviation is not None and (metric not in found or deviation > found[metric].deviation):
                found[metric] = Spread(metric, cell, deviation, len(measured))
    return sorted(found.values(), key=lambda one: one.metric), tests + (len(metrics) if len(by_config(run)) > 1 else 0)


def table(run: RecordData, counts: Sequence[int] = COUNTS) -> list[list[str]]:
    found, tests = spreads(run)
    head = ["metric", "most restless cell", "one run to the next", *(f"{count} runs find" for count in counts)]
    return [head, *([one.metric, one.cell, spread(one.deviation),
                     *(least(finds(one.deviation, count, tests, ALPHA_PRIMARY)) for count in counts)] for one in found)]


def is_like(run: Run, what: str, fingerprint: str | None) -> bool:
    from poolmark.compare.history import alike, fingerprint as of

    kind, _, name = what.partition(":")
    data = run.data
    fits = "workload" in str(data.get("cells", [])[:1]) if kind == "bench" else data.get("suite") == Path(name).stem
    return fits and (fingerprint is None or alike(of(data), fingerprint))


def key_of_config(config: Config) -> str:
    return json.dumps(config, sort_keys=True)


def key_of(cell: CellData) -> str:
    """The configuration of a cell of a suite; a benchmark's name has all of its own."""
    return stem(cell["id"]) if "workload" in cell["config"] else key_of_config(cell["config"])


def of_cells(run: Run, cells: Collection[str]) -> Run | None:
    """The record with these cells alone; None when it lacks one. Other numbers of connections, or another engine, differ otherwise."""
    kept = [cell for cell in run.data.get("cells", []) if key_of(cell) in cells]
    if {key_of(cell) for cell in kept} != set(cells):
        return None
    data = run.data.copy()
    data["cells"] = kept
    return dataclasses.replace(run, data=data)


def earlier(what: str, fingerprint: str | None = None, folder: Path = RUNS, cells: Collection[str] | None = None) -> Run | None:
    """The newest record of `bench` or `suite:NAME` with enough repetitions for a spread. `cells`: only one that has all of these (key_of), and
    only these of it."""
    files = sorted([*folder.glob("*/run.json"), *folder.glob("*/base/run.json")], key=lambda path: -path.stat().st_mtime)
    for path in files[:NEWEST]:
        try:
            found = load(path.parent)
        except PoolmarkError:
            continue
        run = found if cells is None else of_cells(found, cells)
        if run is not None and not run.broken_seal and is_like(run, what, fingerprint) and spreads(run.data)[0]:
            return run
    return None


def by_nights(found: list[Spread], nights: dict[tuple[str, str], list[float]]) -> int:
    """Replaces the deviation of one run by the median of it and the last nights', which depends less on chance. Returns the
    largest number of nights of any metric."""
    most = 0
    for one in found:
        known = nights.get((one.cell, one.metric), [])[-LAST_NIGHTS:]
        if known:
            one.deviation, most = statistics.median([*known, one.deviation]), max(most, len(known))
    return most


def told_before(what: str, repetitions: int, run: Run | None, nights: dict[tuple[str, str], list[float]] | None = None) -> list[str]:
    """The text printed before a comparison. `nights`: history.nights()."""
    few = least_repetitions(ALPHA_PRIMARY)
    if repetitions < few:
        return [f"power: {repetitions} repetitions can find nothing here, {few} would"]
    if run is None:
        return [f"power: no earlier run of these cells of {what} is known here, which would tell how much repetitions differ; what {repetitions} of them "
                "find is known afterwards (the column \"finds\")"]
    found, tests = spreads(run.data)
    count = by_nights(found, nights or {})
    more = f" and {plural(count, 'night')} of the history" if count else ""
    return [f"power: by {run.id}{more}, {repetitions} repetitions a side find 19 times in 20: " + ", ".join(
        f"{one.metric} {least(finds(one.deviation, repetitions, tests, ALPHA_PRIMARY))}" for one in found)]
