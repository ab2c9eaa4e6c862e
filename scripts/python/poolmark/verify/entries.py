# SPDX-License-Identifier: Apache-2.0
"""How many metrics and anomalies a record had when it ended (`entries`), against those that it has. One that was taken out is noticed though
nothing else gives it; due.py and anomalies.py name those that files, books and other figures demand.

    wrong(data, where)      texts, of the record and of its cells
"""
from collections import Counter
from collections.abc import Mapping
from typing import Any

from poolmark.base.forms import RecordData
from poolmark.base.units import plural
from poolmark.records.arrivals import BY_RANK


def is_counted(data: Mapping[str, Any]) -> bool:
    """Whether the version that made this load's record counted its entries: the first that has percentiles by one rank."""
    return BY_RANK in str((data.get("summary") or {}).get("percentiles"))


def _of(part: Mapping[str, Any], where: str) -> list[str]:
    told = part.get("entries")
    if told is None:
        return []
    has, found = len(part.get("metrics") or {}), list[str]()
    if has != told["metrics"]:
        found.append(f"{where}metrics: the record had {plural(told['metrics'], 'metric')} when it ended, and has {has}")
    there = Counter(str(one.get("what")) for one in part.get("anomalies") or [])
    found += [f"{where}anomalies: the record had {count} of '{what}' when it ended, and has {there[what]}"
              for what, count in told["anomalies"].items() if there[what] != count]
    return found + [f"{where}anomalies: the record had none of '{what}' when it ended, and has {count}"
                    for what, count in there.items() if what not in told["anomalies"]]


def wrong(data: RecordData, where: str = "") -> list[str]:
    if data["status"] == "running":
        return []
    counted = data["kind"] == "load" and (is_counted(data) != ("entries" in data))
    found = [f"{where}entries: " + ("summary.percentiles is of a version that counts them, and they are not there" if is_counted(data)
                                    else "are there, and summary.percentiles is of a version that did not count them")] if counted else []
    found += _of(data, where)
    for cell in data.get("cells", []):
        found += _of(cell, f"{where}{cell['id']}: ")
    return found
