# SPDX-License-Identifier: Apache-2.0
"""Figures and anomalies that a load's record must have by its own files and books, and lacks: somebody took them out, and sealed it anew.

    of_load(record, figures)    texts. `figures`: those that were computed again, {name: [values]}
"""
from collections.abc import Mapping, Sequence

from poolmark.base.forms import RecordData
from poolmark.base.units import show_number
from poolmark.records.read_record import has_seals
from poolmark.verify.anomalies import MANY
from poolmark.verify.counts import NOT_WHOLE, bounds_of

OF_LATENCY = ("p50", "p99", "p99_9", "max", "mean", "count")
# Readings of memory that a record names, and the figure that each is.
OF_READINGS = {"start": "memory.start_bytes", "full": "memory.full_bytes", "after": "memory.after_bytes", "subscribed": "memory.subscribed_bytes"}
# Of counts that follow from the books: those that a run has whenever they are above 0. A mix has the others of its groups alone.
COUNTS = ("messages.", "deliveries.", "clients.", "arrivals.", "subscriptions.", "replay.")
COUNTS_OF_MIX = ("messages.", "clients.", "arrivals.")


def of_load(record: RecordData, figures: Mapping[str, Sequence[float | None]]) -> list[str]:
    metrics, mix = record.get("metrics", {}), record.get("config", {}).get("scenario") == "mix"
    sealed = has_seals(record)  # records of before list fewer figures
    if record["status"] == "running":
        return []
    wrong = [f"{name}: latency.hlog gives {show_number(found[0])}, the record does not have it" for name, found in figures.items()
             if name not in metrics and name.rpartition(".")[2] in (OF_LATENCY if sealed else OF_LATENCY[:1])]
    if not sealed:
        return wrong
    wrong += [f"{name}: its books give {low:g}, the record does not have it" for name, (low, _) in bounds_of(record).items()
              if low > 0 and name not in metrics and name.startswith(COUNTS_OF_MIX if mix else COUNTS)]
    wrong += [f"{name}: memory.csv gives {show_number(figures[name][0])} at the reading {reading!r}, the record does not have it"
              for reading, name in OF_READINGS.items() if reading in (record.get("readings") or {}) and name not in metrics
              and figures.get(name) and figures[name][0] is not None]
    wrong += [f"{one}: the record has {other}, and not this" for group in ("messages", "connect", "arrivals", "subscriptions")
              for one, other in ((f"{group}.rate", f"{group}.seconds"), (f"{group}.seconds", f"{group}.rate"))
              if one not in metrics and other in metrics and not mix]
    return wrong + _of_books(record)


def _of_books(record: RecordData) -> list[str]:
    """Lines that are not whole and that no anomaly names."""
    told = [one for one in record.get("anomalies", []) if isinstance(one, dict)]
    if any(one.get("what") == MANY for one in told):
        return []
    texts = [str(one.get("text")) for one in told if one.get("what") == "books"]
    return [f"anomalies: books.{source} is not whole, and no anomaly 'books' says so" for source, line in (record.get("books") or {}).items()
            if any(line.get(column) for column in NOT_WHOLE) and not any(text.startswith(f"{source}: ") for text in texts)]
