# SPDX-License-Identifier: Apache-2.0
"""The first sentences of a page of benchmarks: the fastest contender of each headline, the fastest other allocator, and how sure both are.

A benchmark is its workload, the size of its objects and its number of threads; figures of different benchmarks are never compared.
"""
from poolmark.base.forms import CellData
from poolmark.base.units import plural, show_count
from poolmark.bench import bench_statistics as statistics
from poolmark.report.apart import Groups, listed
from poolmark.report.trade_data import bench_contender

BYTES = 3072
# Workloads, of which the first that was measured is told, and what one does.
HEADLINES = ((("lifo_touch_line", "lifo"), "An object taken and given back"),
             (("burst_1000_touch_line", "burst_1000"), "A thousand taken, then all given back"),
             (("remote_1_1_touch_line", "remote_1_1"), "One thread takes, another gives back"))
FLOORS = ("null", "bare", "ready")      # strategies that are no contenders
WORDS = {"direct-slab": "slab compiled in (direct-slab)"}


def times_of(cells: list[CellData]) -> list[float]:
    """Times of all rounds, in ns."""
    found: list[float] = []
    for cell in cells:
        one = cell["metrics"].get("time")
        if one and one["value"]:
            found += one.get("samples") or [one["value"]]
    return [time for time in found if time > 0]


def spreads(groups: Groups, workload: str) -> dict[str, statistics.Spread]:
    """The contenders of a workload with the fewest threads that it was measured with."""
    ours = [cells for cells in groups.values() if cells[0]["config"].get("workload") == workload
            and cells[0]["config"].get("bytes") == BYTES and cells[0]["config"].get("strategy") not in FLOORS]
    fewest = min((_threads(cells) for cells in ours), default=1)
    return {bench_contender(cells[0]["config"]): found for cells in ours if _threads(cells) == fewest
            and (found := statistics.spread(times_of(cells)))}


def _threads(cells: list[CellData]) -> int:
    found = cells[0]["config"].get("threads")
    return found if isinstance(found, int) else 1


def overlap(one: statistics.Spread, other: statistics.Spread) -> bool:
    return one.sure_low <= other.sure_high and other.sure_low <= one.sure_high


def told(found: statistics.Spread) -> str:
    return f"{found.median:.3g} ns ({found.sure_low:.3g} to {found.sure_high:.3g})"


def rival_of(order: list[str]) -> str:
    """The fastest allocator called directly, or the fastest strategy malloc, that is not the first; the second where there is none."""
    rivals = [name for name in order if name.startswith("direct-") and name != "direct-slab"] or \
        [name for name in order if name.startswith("malloc")]
    return next((name for name in rivals if name != order[0]), order[1])


def sentence(what: str, found: dict[str, statistics.Spread]) -> str:
    order = sorted(found, key=lambda name: found[name].median)
    first, rival = order[0], rival_of(order)
    near = [name for name in order[1:] if name != rival and overlap(found[first], found[name])]
    also = f", not told apart from {listed(near)}" if near else ""
    apart = "" if not overlap(found[first], found[rival]) else ", which is not told apart"
    return (f"{what} ({show_count(BYTES)} bytes): fastest with {WORDS.get(first, first)}, {told(found[first])}{also}; the fastest other "
            f"allocator, {rival}, takes {told(found[rival])}, {found[rival].median / found[first].median:.3g} times as long{apart}.")


def answer(groups: Groups) -> list[str]:
    """[] when no headline has two contenders."""
    lines: list[str] = []
    rounds: list[int] = []
    nothing: tuple[str, dict[str, statistics.Spread]] = ("", {})
    for workloads, what in HEADLINES:
        measured = ((one, spreads(groups, one)) for one in workloads)
        workload, found = next(((one, found) for one, found in measured if found), nothing)
        if len(found) > 1:
            written = "one line of it written" if workload.endswith("_touch_line") else "nothing written"
            lines.append(sentence(f"{what}, {written}", found))
            rounds += [one.count for one in found.values()]
    if lines:
        least, most = min(rounds), max(rounds)
        many = f"{least} to {plural(most, 'round')}" if least != most else plural(most, "round")
        lines.append(f"How sure: medians of {many}. In brackets the interval that holds the true median with 95 %; with fewer than six rounds "
                     "the lowest and the highest. Contenders whose intervals overlap are not told apart.")
    return lines
