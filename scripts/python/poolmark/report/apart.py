# SPDX-License-Identifier: Apache-2.0
"""Which configurations of a page are told apart in a figure. Its sentences and its tables ask here, so that both say the same.

    alike(one, other, "connect.p99")        whether two configurations may be the same in it
    best(groups, "connect.p99", "lower")    the best, and what is not told apart from it
    contrast(groups, "connect.p99", "p99 of a connect", "shortest", "longest")

With several runs, two configurations are told apart where their ranges, lowest to highest, do not overlap. With one run each, times and
rates are where they differ by more than a fifth, user memory where it differs by more than a hundredth, counts where they differ.
"""
from collections.abc import Iterable, Mapping

from poolmark.base.forms import CellData
from poolmark.base.units import show
from poolmark.report.names import Name
from poolmark.report.source import median, values

Groups = Mapping[Name, list[CellData]]

SAME_MEMORY, SAME_OTHERS = 1.01, 1.2    # factors
SAME_POINTS = 1.0                       # of percentages


def unit_of(cells: Iterable[CellData], metric: str) -> str:
    return next((cell["metrics"][metric]["unit"] for cell in cells if metric in cell["metrics"]), "")


def shown(cells: list[CellData], metric: str) -> str:
    """The median as text; with several runs that differ also the lowest and the highest value."""
    value = median(cells, metric)
    if value is None:
        return "not known"
    unit, found = unit_of(cells, metric), values(cells, metric)
    low, high = show(min(found), unit), show(max(found), unit)
    return show(value, unit) + (f" ({low} to {high})" if low != high else "")


def alike(one: list[CellData], other: list[CellData], metric: str) -> bool:
    """False where one of both has no value."""
    ours, theirs = values(one, metric), values(other, metric)
    if not ours or not theirs:
        return False
    if max(len(ours), len(theirs)) > 1:
        return min(ours) <= max(theirs) and min(theirs) <= max(ours)
    low, high = sorted((ours[0], theirs[0]))
    match unit_of(one, metric):
        case "ns" | "B" | "1/s":
            return high <= low * (SAME_MEMORY if "memory." in metric else SAME_OTHERS)
        case "%":
            return high - low < SAME_POINTS
    return low == high


def known(groups: Groups, metric: str) -> dict[Name, float]:
    """Medians of the configurations that have one and whose cells are complete."""
    return {name: value for name, cells in groups.items() if (value := median(cells, metric)) is not None
            and all(cell["status"] == "complete" for cell in cells)}


def best(groups: Groups, metric: str, better: str) -> set[Name]:
    """The names with the best value and those that are not told apart from it; none where that is every one, or where no value is better
    than another."""
    found = {name: value for name, cells in groups.items() if (value := median(cells, metric)) is not None}
    if better not in ("lower", "higher") or len(found) < 2:
        return set()
    first = (min if better == "lower" else max)(found, key=lambda name: found[name])
    near = {name for name in found if alike(groups[first], groups[name], metric)}
    return near if len(near) < len(found) else set()


def listed(names: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def contrast(groups: Groups, metric: str, what: str, low: str = "least", high: str = "most") -> str:
    """A sentence without its full stop: which configurations have the least of it, and which the most. "" with fewer than two figures."""
    found = known(groups, metric)
    if len(found) < 2:
        return ""
    least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
    near = [name for name in found if alike(groups[least], groups[name], metric)]
    if most in near:
        return f"{what} is not told apart: {shown(groups[least], metric)} with {least.label}, {shown(groups[most], metric)} with {most.label}"
    far = [name for name in found if name not in near and alike(groups[most], groups[name], metric)]
    return (f"{what} is {low} with {listed(name.label for name in near)}, {shown(groups[least], metric)}, and {high} with "
            f"{listed(name.label for name in far)}, {shown(groups[most], metric)}")
