# SPDX-License-Identifier: Apache-2.0
"""The phases of a cell and the names of their metrics.

With one phase, a cell has the generator's metrics unchanged. With several, metrics of a publishing phase start with its name:
qos0.delivery.p99, qos1.messages.lost. Metrics of the phase that connects have no prefix; when several phases connect, each has
its own. `cell.` starts the names of sums over all phases: cell.messages.lost. Metrics of the target (pool.*) and of steps belong
to the cell as a whole.

    prefix_of(phase, phases)                "" or "qos1."
    whole(metrics, "messages.lost")         the cell's metric: the sum, or that of the only phase
    variants(cell, "delivery.p99")          {"": ...} or {"qos0": "qos0.delivery.p99", "qos1": ...}
"""
import functools

from poolmark.base.forms import CellData, Json, MetricData, Metrics, PhaseData, Taker, value_of
from poolmark.facts import described
from poolmark.facts import metrics as catalogue

CELL = "cell"
# Faults of these are bad in any phase; a cell is judged by their sums. What was unfinished when a run ended early is told by its end.
SUMMED_GROUPS, NOT_SUMMED = ("clients", "arrivals", "subscriptions", "messages"), ".unfinished"


@functools.cache
def summed() -> tuple[str, ...]:
    """The metrics of which a cell with several phases has sums."""
    return tuple(name for name in catalogue.faults(*SUMMED_GROUPS) if not name.endswith(NOT_SUMMED))


def publishes(phase: Json) -> bool:
    """Whether a phase publishes: its scenario has the option publish-rate in the generator's description."""
    return described.takes(phase["scenario"], "publish-rate")


def prefix_of(phase: Json, phases: list[Json]) -> str:
    """`phases`: all phases of the cell's plan, whether they ran or not."""
    if len(phases) == 1:
        return ""
    connecting = sum(not publishes(one) for one in phases)
    return f"{phase['name']}." if publishes(phase) or connecting > 1 else ""


def recorded(phase: Json, phases: list[Json], folder: str) -> PhaseData:
    """A phase in the form of a cell's record."""
    return {"name": phase["name"], "scenario": phase["scenario"], "folder": folder, "prefix": prefix_of(phase, phases),
            "several": len(phases) > 1}


def take(cell: Taker, phase: PhaseData, metrics: Metrics) -> None:
    """Adds a phase's metrics to the cell under their names there, and updates the cell's sums. `phase`: from recorded()."""
    for name, metric in metrics.items():
        cell.data["metrics"][f"{phase['prefix']}{name}"] = metric
    if not phase["several"]:
        return
    for name in summed():
        if name in metrics:
            metric = metrics[name]
            # A part that is not known is not 0: neither is the sum then.
            key, value = f"{CELL}.{name}", metric["value"]
            before = value_of(cell.data["metrics"], key) if key in cell.data["metrics"] else 0
            known = cell.data["metrics"].get(key)
            doubt = metric.get("doubt") or (known.get("doubt") if known else None)
            cell.metric(key, None if before is None or value is None else before + value, metric["unit"], metric["better"])
            if doubt and cell.data["metrics"][key]["value"] is not None:
                cell.data["metrics"][key]["doubt"] = doubt


def whole(metrics: Metrics, name: str) -> MetricData | None:
    """The metric for the whole cell."""
    return metrics.get(f"{CELL}.{name}") or metrics.get(name)


def names_of(cell: CellData) -> list[str]:
    return [phase["name"] for phase in cell.get("phases") or []]


def _older(metric: str, phase: str) -> str:
    """The older name, before metrics began with the phase's name: delivery_qos0.p99."""
    group, _, rest = metric.partition(".")
    return f"{group}_{phase}.{rest}"


def variants(cell: CellData, metric: str) -> dict[str, str]:
    """{phase: name} of a metric in a cell; phase "" for a name without a phase."""
    metrics = cell["metrics"]
    found: dict[str, str] = {}
    older = [key.removeprefix("latency_") for key in cell.get("files", {}) if key.startswith("latency_")]
    for phase in dict.fromkeys([*names_of(cell), *older]):
        for name in (f"{phase}.{metric}", _older(metric, phase)):
            if name in metrics:
                found.setdefault(phase, name)
    if metric in metrics and not any(name == _older(metric, phase) for phase, name in found.items()):
        found = {"": metric, **found}       # older records repeat the last phase's without a name
    return found


def split(cell: CellData, name: str) -> tuple[str, str]:
    """(phase, metric) of a name in a cell; phase "" for none, "cell" for a sum."""
    first, _, rest = name.partition(".")
    return (first, rest) if rest and (first == CELL or first in names_of(cell)) else ("", name)
