# SPDX-License-Identifier: Apache-2.0
"""The host's monotonic clock in nanoseconds, as the records of broker and generator have it (base/time_namespace.h): what the time
namespace of this process adds (time_namespaces(7), `unshare --time`) is taken off."""
import functools
import time
from pathlib import Path


def parse(text: str) -> int:
    """The nanoseconds that /proc/PID/timens_offsets says of the monotonic clock; 0 where it says nothing."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "monotonic":
            return int(words[1]) * 1_000_000_000 + int(words[2])
    return 0


@functools.cache
def ahead_ns() -> int:
    """By how much this process's clock is ahead of the host's; 0 for a kernel without time namespaces."""
    try:
        return parse(Path("/proc/self/timens_offsets").read_text(encoding="ascii"))
    except OSError:
        return 0


def now_ns() -> int:
    return time.monotonic_ns() - ahead_ns()
