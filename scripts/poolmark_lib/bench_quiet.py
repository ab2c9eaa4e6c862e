# SPDX-License-Identifier: Apache-2.0
"""Was the host quiet while it was measured? The share of its processors' time that went to others.

    clock = OthersClock()
    ...
    clock.percent()
"""
import os
import resource

from poolmark_lib import facts

BUSY_PERCENT = 10.0


def busy_and_all_s(stat: str) -> tuple[float, float] | None:
    """Seconds that all processors were busy, and that went by on all of them, by /proc/stat; None when it has not the
    form of one."""
    words = stat.split("\n", 1)[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:]):
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = (int(word) / os.sysconf("SC_CLK_TCK") for word in words[1:9])
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


def own_s() -> float:
    """CPU time of this process and of all its children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class OthersClock:
    """Counts from its making."""

    def __init__(self):
        self._own, self._host = own_s(), busy_and_all_s(facts.read_text("/proc/stat") or "")

    def percent(self) -> float | None:
        """Of all processors' time since then, what others had, time stolen by a hypervisor among it; None when the
        kernel does not say, or nothing went by."""
        now = busy_and_all_s(facts.read_text("/proc/stat") or "")
        if not now or not self._host or now[1] <= self._host[1]:
            return None
        others = (now[0] - self._host[0]) - (own_s() - self._own)
        return max(0.0, 100 * others / (now[1] - self._host[1]))
