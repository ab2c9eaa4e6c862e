# SPDX-License-Identifier: Apache-2.0
"""The kernel's memory between two cells, so that what a cell is charged with is its own.

The kernel has no figure for "memory of these sockets": it has one for all of its slabs. What the last cell left there,
closing sockets, slabs half empty, names and inodes that nobody uses, would count as the next one's base, and be used up
or given back while that one grows, which makes its first connections look cheap.
"""
import os
import re
import time
from pathlib import Path

from poolmark.facts.proc_files import meminfo, read_text

SETTLE_FROM = 5_000            # connections from which a cell's kernel memory is worth waiting for
MANY_FROM = 50_000              # from which it is worth a minute, and the host's caches
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SLABS = Path("/sys/kernel/slab")


def closing_sockets() -> int:
    """Sockets that the kernel still keeps of connections that are gone: orphans and those in TIME-WAIT."""
    match = re.search(r"^TCP: inuse \d+ orphan (\d+) tw (\d+)", read_text("/proc/net/sockstat") or "", re.M)
    return int(match[1]) + int(match[2]) if match else 0


def settle(connections: int) -> None:
    """Waits until the kernel has given back what the cell before took: its slab is level, and, before a cell of many
    connections, whose memory is to be told from that of the last ones, few sockets are still closing (TIME-WAIT lasts a
    minute). Bounded in time."""
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
    """Has the kernel give back names and inodes that nobody uses, then slabs that are empty (man 5 proc,
    /proc/sys/vm/drop_caches, value 2; Documentation/ABI, /sys/kernel/slab/CACHE/shrink). Files' contents stay cached, and
    nothing is lost. False without the right to."""
    if not os.access(switch, os.W_OK):
        return False
    try:
        switch.write_text("2\n", encoding="ascii")
        for shrink in sorted(slabs.glob("*/shrink")):
            shrink.write_text("1\n", encoding="ascii")
    except OSError:
        return False
    return True
