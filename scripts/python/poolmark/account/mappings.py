# SPDX-License-Identifier: Apache-2.0
"""Memory of a process by what it is mapped for (/proc/PID/smaps, man 5 proc_pid_smaps), read from outside of it.

    for one in by_owner(read(pid)): one.owner, one.pss_bytes

A mapping of a file is of that file's name; others are of the kernel's name for them ([heap], [stack]) or `anonymous`. What is
anonymous is heaps of threads, stacks of threads and maps of pools alike: the broker's own account tells these apart.
"""
import re
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import PoolmarkError

PROC = Path("/proc")
ANONYMOUS = "anonymous"
HEAD = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S{4} \S+ \S+ (\d+) *(.*)$")
FIELD = re.compile(r"^(Size|Pss|Anonymous|AnonHugePages|SwapPss): +(\d+) kB$")


@dataclass
class Owner:
    owner: str
    mappings: int = 0
    size_bytes: int = 0
    pss_bytes: int = 0
    anonymous_bytes: int = 0
    huge_bytes: int = 0
    swap_bytes: int = 0


FIELDS = {"Size": "size_bytes", "Pss": "pss_bytes", "Anonymous": "anonymous_bytes", "AnonHugePages": "huge_bytes", "SwapPss": "swap_bytes"}


def read(pid: int) -> str:
    path = PROC / str(pid) / "smaps"
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PoolmarkError(f"{path}: cannot be read: {error.strerror}") from error


def by_owner(text: str) -> list[Owner]:
    """The largest first. PoolmarkError when the text has no mapping: that is not 0."""
    found: dict[str, Owner] = {}
    now: Owner | None = None
    for line in text.splitlines():
        if head := HEAD.match(line):
            inode, name = head[1], head[2].removesuffix(" (deleted)")
            owner = name.rpartition("/")[2] if inode != "0" else name or ANONYMOUS
            now = found.setdefault(owner, Owner(owner))
            now.mappings += 1
        elif now and (field := FIELD.match(line)):
            attribute = FIELDS[field[1]]
            setattr(now, attribute, getattr(now, attribute) + 1024 * int(field[2]))
    if not found:
        raise PoolmarkError("smaps has no mapping")
    return sorted((one for one in found.values() if one.pss_bytes or one.swap_bytes), key=lambda one: -one.pss_bytes - one.swap_bytes)
