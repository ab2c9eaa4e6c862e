# SPDX-License-Identifier: Apache-2.0
"""Lets the kernel free memory between two cells, so that each cell is charged only with its own.

The kernel reports no memory of single sockets, only that of all its slabs. The previous cell leaves closing sockets, half-empty
slabs, unused names and inodes. These would count as base of the next cell. While that cell grows they are reused or freed, and
its first connections would look cheap.
"""
import os
import re
import time
from pathlib import Path

from poolmark.facts.proc_files import meminfo, read_text

SETTLE_FROM = 5_000            # cells with fewer connections do not wait
MANY_FROM = 50_000              # from here on a cell may wait a minute, and the host's caches are dropped
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SLABS = Path("/sys/kernel/slab")


def closing_sockets() -> int:
    """Sockets that the kernel keeps for closed connections: orphans and those in TIME-WAIT."""
    match = re.search(r"^TCP: inuse \d+ orphan (\d+) tw (\d+)", read_text("/proc/net/sockstat") or "", re.M)
    return int(match[1]) + int(match[2]) if match else 0


def settle(connections: int) -> None:
    """Waits until the kernel has freed the memory of the previous cell, that is, until its slab is level. A cell of many
    connections also waits until few sockets are closing (TIME-WAIT lasts a minute), as its kernel memory must not include those
    of the last cell. The time is bounded."""
    if connections < SETTLE_FROM:
        return
    many = connections >= MANY_FROM
    deadline = time.monotonic() + (120.0 if many else 5.0)
    level = 0
    last = meminfo().get("Slab", 0)
    while time.monotonic() < deadline and (level < 3 or many and closing_sockets() > connections / 1000):
        time.sleep(0.2)
        now = meminfo().get("Slab", 0)
        level = level + 1 if abs(now - last) < 256 << 10 else 0
        last = now


def drop_caches(switch: Path = DROP_CACHES, slabs: Path = SLABS) -> bool:
    """Makes the kernel free unused names and inodes, then empty slabs (man 5 proc, /proc/sys/vm/drop_caches, value 2;
    Documentation/ABI, /sys/kernel/slab/CACHE/shrink). File contents stay cached, and nothing is lost. False when that is not
    permitted."""
    if not os.access(switch, os.W_OK):
        return False
    try:
        switch.write_text("2\n", encoding="ascii")
        for shrink in sorted(slabs.glob("*/shrink")):
            shrink.write_text("1\n", encoding="ascii")
    except OSError:
        return False
    return True
