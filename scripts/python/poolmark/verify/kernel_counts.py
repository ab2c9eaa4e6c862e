# SPDX-License-Identifier: Apache-2.0
"""Figures that are the growth of the kernel's counters over a load: handshakes, retransmissions, throttling. The record has the counters
as they were read at the start and at the end (`surroundings`); the rules are those of loadgen/summary_surroundings.c.
"""
from collections.abc import Mapping

from poolmark.base.forms import RecordData

Counters = Mapping[str, Mapping[str, int | None]]      # "start" and "end" -> counter -> value; None: not known
QUOTAS = {"generator": "generator.throttled_ns", "target": "cpu.throttled_ns"}


def growth(part: Counters, name: str) -> int | None:
    """None when one of the two is not known, or the counter began anew."""
    before, after = part["start"].get(name), part["end"].get(name)
    return None if before is None or after is None or after < before else after - before


def figures(record: RecordData) -> dict[str, list[float | None]]:
    """{metric: [value]}; nothing for a record from before the counters."""
    parts = record.get("surroundings") or {}
    found: dict[str, list[float | None]] = {}
    for name in parts["network"]["start"] if "network" in parts else ():
        grew = [growth(parts[part], name) for part in ("network", "target_network") if part in parts]
        found[f"network.{name}"] = [None if None in grew else sum(one for one in grew if one is not None)]
    for part, metric in QUOTAS.items():
        if part in parts:
            found[metric] = [growth(parts[part], "throttled_ns")]
    return found
