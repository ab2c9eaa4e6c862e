# SPDX-License-Identifier: Apache-2.0
"""Measures how quiet the host was: the share of processor time that other processes used, and throttling by a CPU quota.

    clock = OthersClock()
    ...                      all children started here must have ended and been waited for
    clock.percent()
"""
import gzip
import os
import re
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from poolmark.facts import allowance, proc_files
from poolmark.base.units import plural

BUSY_PERCENT = 10.0
BUSY_LOAD = 0.5         # of each processor: more was under way before we began
QUOTA_USED = 0.5        # average use of a quota above which it was probably exhausted for part of the time
SHORTEST_S = 2.0        # of all processors together; the kernel's ticks are too coarse for less


def busy_and_all_s(stat: str, interrupts: bool = True) -> tuple[float, float] | None:
    """(busy seconds, elapsed seconds) summed over all processors, from /proc/stat; None when the text has another form.
    `interrupts`: whether time in interrupts counts as busy."""
    words = stat.split("\n", 1)[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:]):
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = (int(word) / os.sysconf("SC_CLK_TCK") for word in words[1:9])
    served = irq + softirq
    busy = user + nice + system + steal
    return busy + (served if interrupts else 0.0), busy + served + idle + iowait


def own_s() -> float:
    """CPU time of this process and of all its children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_s(pid: int) -> float | None:
    """CPU time of a process, all threads; None when it cannot be read."""
    words = (proc_files.read_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if len(words) > 12 else None


def charges_interrupts(folder: Path = Path("/")) -> bool:
    """Whether the kernel charges time in interrupts, including packets, to the interrupted process. It does, unless it is built
    with CONFIG_IRQ_TIME_ACCOUNTING. False when its build configuration cannot be read."""
    try:
        text = gzip.decompress((folder / "proc/config.gz").read_bytes()).decode()
    except (OSError, EOFError, ValueError):
        text = proc_files.read_text(str(folder / f"boot/config-{os.uname().release}")) or ""
    return bool(text) and not re.search(r"^CONFIG_IRQ_TIME_ACCOUNTING=y", text, re.M)


class OthersClock:
    """Counts from its creation. `interrupts`: whether time in interrupts counts as use by others. It should not where interrupts
    are mostly for our own packets and the kernel charges them to nobody."""

    def __init__(self, interrupts: bool = True, besides: Iterable[int] = ()) -> None:
        """`besides`: processes that ran before and are no others, such as a target."""
        self._interrupts, self._besides = interrupts, {pid: cpu_s(pid) for pid in besides}
        self._own, self._host = own_s(), self._read()

    def _read(self) -> tuple[float, float] | None:
        return busy_and_all_s(proc_files.read_text("/proc/stat") or "", self._interrupts)

    def percent(self) -> float | None:
        """Percentage of all processors' time since then that others used, including time stolen by a hypervisor. None when the
        kernel does not report it or the time was too short."""
        now = self._read()
        if not now or not self._host or now[1] - self._host[1] < SHORTEST_S:
            return None
        besides = sum((later or 0.0) - before for pid, before in self._besides.items() if before is not None and (later := cpu_s(pid)) is not None)
        others = (now[0] - self._host[0]) - (own_s() - self._own) - besides
        return max(0.0, 100 * others / (now[1] - self._host[1]))


class ThrottleClock:
    """Counts throttling of this process and its children from its creation. All children must have ended when it is read."""

    def __init__(self) -> None:
        self._before, self._own, self._began = allowance.throttled(), own_s(), time.monotonic()

    def text(self) -> str | None:
        """Text about throttling; None without any. Kernels that throttle single tasks (6.17 and later) omit most of it from
        their counters, so a mostly used quota counts as well."""
        now, quota = allowance.throttled(), allowance.cpu_quota()
        if now is None or self._before is None or quota is None or quota >= allowance.cores():
            return None
        used = (own_s() - self._own) / (quota * max(1e-9, time.monotonic() - self._began))
        periods, stopped_s = now[0] - self._before[0], (now[1] - self._before[1]) / 1e9
        if periods <= 0 and used < QUOTA_USED:
            return None
        counted = f"in {plural(periods, 'period')}, {stopped_s:.1f} s in all" if periods > 0 else "though this kernel counted no period of it"
        return (f"a CPU quota of {quota:.3g} processors stopped the programs {counted}; they used {100 * used:.0f} % of it: rates and "
                "latencies are the quota's, not the target's")


def busy_text(percent: float | None, effect: str) -> str | None:
    """A text when others used more than a tenth of the processors' time; otherwise None."""
    if percent is None or percent <= BUSY_PERCENT:
        return None
    return f"other processes had {percent:.0f} % of the processors' time: {effect} than on a quiet host"


def load_text(load: float | None = None, cores: int | None = None) -> str | None:
    """Before a measurement: a text when much was under way in the last minute; otherwise None."""
    try:
        load = os.getloadavg()[0] if load is None else load
    except OSError:
        return None
    cores = cores or os.cpu_count() or 1
    if load < BUSY_LOAD * cores:
        return None
    return (f"the host was busy in the last minute (load {load:.1f}, {plural(cores, 'processor')}): if that goes on, this takes longer than estimated, "
            "and its figures are of a busy host; the time left is corrected by what is done")
