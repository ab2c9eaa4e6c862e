# SPDX-License-Identifier: Apache-2.0
"""Kernel memory by slab cache (/proc/slabinfo, man 5 slabinfo), read before and after connections are made.

The kernel merges caches of like objects, and prints one name for all of them. /sys/kernel/slab has a link from each merged name
to its group, so a cache is known by any of its names. The cost of an object is its share of a slab: pages of the slab, divided by
the objects in it. Objects are counted, not pages: a cache with free places does not grow, and its objects cost nonetheless.
"""
import os
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import UsageError

SLABINFO, SLABS = Path("/proc/slabinfo"), Path("/sys/kernel/slab")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")

# Part of a connection -> the caches of it, and what they are for.
PARTS = {
    "socket": (("TCP", "TCPv6"), "struct tcp_sock"),
    "inode": (("sock_inode_cache", "lsm_inode_cache"), "struct socket with its inode"),
    "file": (("filp", "lsm_file_cache"), "struct file"),
    "name": (("dentry",), "the inode's name"),
    "epoll": (("eventpoll_epi", "eventpoll_pwq", "ep_head"), "item of an epoll set, and its entry in the socket's wait queue"),
    "request": (("request_sock_TCP", "request_sock_TCPv6"), "a connection before accept"),
    "time_wait": (("tw_sock_TCP", "tw_sock_TCPv6"), "what remains of a closed connection for a minute"),
    "data": (("skbuff_head_cache", "skbuff_fclone_cache", "skbuff_small_head"), "queued packets; without the pages of large ones"),
    "port": (("tcp_bind_bucket", "tcp_bind2_bucket"), "a local port in use"),
}


@dataclass(frozen=True)
class Cache:
    active: int         # objects in use
    each_bytes: float   # an object's share of its slab


def read(path: Path = SLABINFO) -> dict[str, Cache]:
    """The caches by the names that the kernel prints. UsageError when they may not be read."""
    try:
        return parse(path.read_text(encoding="ascii"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: the kernel shows its caches to root only") from error


def parse(text: str) -> dict[str, Cache]:
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or line.startswith(("#", "slabinfo")):
            continue
        active, _, _, per_slab, pages = map(int, words[1:6])
        found[words[0]] = Cache(active, pages * PAGE_BYTES / per_slab)
    return found


def merged(root: Path = SLABS) -> dict[str, frozenset[str]]:
    """Name -> all names of its group; only of caches that are merged with others."""
    groups: dict[str, set[str]] = {}
    for link in root.iterdir() if root.is_dir() else ():
        if link.is_symlink():
            groups.setdefault(os.readlink(link), set()).add(link.name)
    return {name: frozenset(names) for names in groups.values() for name in names}


def part_of(name: str, groups: dict[str, frozenset[str]]) -> str:
    """The part that a cache belongs to: by its name, else by that of a cache it is merged with; "other"."""
    for known in (frozenset((name,)), groups.get(name, frozenset())):
        for part, (caches, _) in PARTS.items():
            if known & frozenset(caches):
                return part
    return "other"


def growth(before: dict[str, Cache], after: dict[str, Cache], groups: dict[str, frozenset[str]]) -> dict[str, float]:
    """Bytes by which each part grew; "other" is all that is no part of a connection, of whatever program."""
    found = dict.fromkeys([*PARTS, "other"], 0.0)
    for name, cache in after.items():
        more = cache.active - (before[name].active if name in before else 0)
        found[part_of(name, groups)] += more * cache.each_bytes
    return found
