# SPDX-License-Identifier: Apache-2.0
"""Figures that a load's record withholds though its files would give them: an anomaly says that they would not be those of the
connections, arrivals or messages."""
from collections.abc import Mapping, Sequence

from poolmark.base.forms import AnomalyData, RecordData

# Anomaly -> the beginnings of the names of the metrics that it withholds. The table of loadgen/withheld.c; the generator's --describe
# prints that one, and tests/py/test_withheld.py compares the two. Here it is for records of hosts without the program.
_MEMORY, _KERNEL, _CPU = "memory.per_connection_", "kernel.per_connection_", "cpu.per_"
_OF_OTHERS = ("memory.peak_bytes", "memory.after_bytes", "memory.subscribed_bytes", "memory.per_subscription_", "slow.memory_per_reader_")
WITHHELD: dict[str, tuple[str, ...]] = {
    "other_hosts": (_KERNEL, "generator.per_client_", "generator.cpu_per_client_"),
    "not_the_target": ("memory.", _CPU),
    "not_all_watched": ("memory.", _CPU),
    "served_before": (_MEMORY,),
    "kernel_noise": (_KERNEL,),
    "failed_share": (_MEMORY, _KERNEL, _CPU, "generator.per_client_", "generator.cpu_per_client_"),
    "target_busy": (_CPU,),
    "other_clients": (_MEMORY, *_OF_OTHERS, _KERNEL, _CPU),
    "beside": (_MEMORY, *_OF_OTHERS, _KERNEL, _CPU),
}
# The parts of a forecast, and the figure of the record that each is.
PARTS = {"user": "memory.per_connection_bytes", "kernel": "kernel.per_connection_bytes"}


def withheld(record: RecordData) -> tuple[str, ...]:
    """The beginnings of the names of metrics that an anomaly of the record withholds."""
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    return tuple(start for what, starts in WITHHELD.items() if what in told for start in starts)


# Of latencies that have no value in some parts of a run, the numbers of samples stay (loadgen/withheld.c).
COUNTS = (".count", ".censored")


def of_parts(record: RecordData) -> tuple[str, ...]:
    """The same of figures of some parts of the run, such as the phases of a mix: `summary.withheld` names them."""
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    parts = (record.get("summary") or {}).get("withheld")
    if not isinstance(parts, dict):
        return ()
    return tuple(start for what, starts in parts.items() if what in told and isinstance(starts, list) for start in starts if isinstance(start, str))


class Withheld:
    """What a record withholds: of all of the run, and of parts of it."""

    def __init__(self, record: RecordData) -> None:
        self.all, self.parts = withheld(record), of_parts(record)

    def has(self, metric: str) -> bool:
        """Whether an anomaly of the record says that this metric has no value."""
        return metric.startswith(self.all) or not metric.endswith(COUNTS) and metric.startswith(self.parts)


def reason_of(metric: Mapping[str, object] | None) -> str:
    """The name of the anomaly that a metric without a value gives as the reason; "" where it gives none."""
    before, _, what = str((metric or {}).get("why") or "").partition("see the anomaly ")
    return "" if before else what


def withholds(what: str, metric: str) -> bool:
    """Whether this anomaly withholds this metric of a cell, which may have its phase's name in front."""
    return any(metric.startswith(start) or f".{start}" in metric for start in WITHHELD.get(what, ()))


def no_figures(anomalies: Sequence[AnomalyData]) -> dict[str, str]:
    """"user" or "kernel" -> why there is no figure of it for a connection: an anomaly withholds the record's own."""
    found: dict[str, str] = {}
    for one in anomalies:
        for part, metric in PARTS.items():
            if withholds(str(one.get("what")), metric):
                found.setdefault(part, one.get("text", ""))
    return found
