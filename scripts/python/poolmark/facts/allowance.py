# SPDX-License-Identifier: Apache-2.0
"""Resources that this process may use: processors, CPU quota, memory, processes, ports, descriptors. In a container, a service
or a job these are less than the machine has.

Control groups of both versions are read with all visible ancestors, because a parent's limit also holds for its children. None
means that there is no limit, or that it cannot be read.

    allowance.memory_bytes()     memory still available: the least of MemAvailable and of each group's room
    allowance.cores()            processors by affinity
    allowance.cpu_quota()        in processors, for example 0.3
"""
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from poolmark.facts import proc_files

ROOT = Path("/")
UNLIMITED = 1 << 60     # version 1 writes a number near 2^63 for "no limit"
Number = TypeVar("Number", int, float)


@dataclass
class Hierarchy:
    """The groups of one kind of limit: this process's group first, then its visible parents."""

    version: int
    folders: list[Path]

    def least(self, name: str) -> int | None:
        return least(*(_number(folder / name) for folder in self.folders))


def least(*values: Number | None) -> Number | None:
    known = [value for value in values if value is not None]
    return min(known, default=None)


def _number(path: Path) -> int | None:
    """A limit; None for "max", for a number that means no limit, and for a file that cannot be read."""
    text = proc_files.read_text(str(path))
    return int(text) if text and text.isdigit() and int(text) < UNLIMITED else None


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mounts(root: Path) -> list[tuple[str, Path, str, set[str]]]:
    """(root of the mount, mount point, type, options) of the mounted control group file systems."""
    found = []
    for line in (proc_files.read_text(str(root / "proc/self/mountinfo")) or "").splitlines():
        before, _, after = line.partition(" - ")
        words, rest = before.split(), after.split()
        if len(words) >= 5 and len(rest) >= 3 and rest[0] in ("cgroup", "cgroup2"):
            found.append((_unescape(words[3]), root / _unescape(words[4]).lstrip("/"), rest[0], set(rest[2].split(","))))
    return found


def hierarchy(controller: str, root: Path = ROOT) -> Hierarchy | None:
    """The hierarchy of `controller` ("memory", "cpu", "pids"); None without control groups."""
    groups: dict[tuple[str, ...], str] = {}
    for line in (proc_files.read_text(str(root / "proc/self/cgroup")) or "").splitlines():
        number, names, path = (line.split(":", 2) + ["", ""])[:3]
        groups[("v2",) if number == "0" else tuple(names.split(","))] = path
    for mount_root, point, kind, options in _mounts(root):
        version = 2 if kind == "cgroup2" else 1
        own = next((path for names, path in groups.items() if names == ("v2",) and version == 2
                    or version == 1 and controller in names and controller in options), None)
        if own is None or version == 2 and not _has(point, controller):
            continue
        return Hierarchy(version, _chain(point, mount_root, own))
    return None


def _has(point: Path, controller: str) -> bool:
    """Whether version 2 has this controller. Asked of the root, which lists the controllers and has no limits of its own."""
    return controller in (proc_files.read_text(str(point / "cgroup.controllers")) or "").split()


def _chain(point: Path, mount_root: str, path: str) -> list[Path]:
    """The group's folder and its parents up to the mount point; only the mount point for a path outside of the mount."""
    inside = path.removeprefix(mount_root) if mount_root != "/" and path.startswith(mount_root) else path if mount_root == "/" else ""
    folder = point / inside.lstrip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = point
    chain = [folder]
    while chain[-1] != point:
        chain.append(chain[-1].parent)
    return chain


def _stat(path: Path, name: str) -> int:
    match = re.search(rf"^{name} (\d+)$", proc_files.read_text(str(path)) or "", re.M)
    return int(match[1]) if match else 0


def _room(folder: Path, version: int) -> int | None:
    """Bytes that a group can still take: limit less usage. Files that the kernel can drop do not count as usage."""
    limit_name, used_name, dropped = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
                                      2: ("memory.max", "memory.current", "inactive_file")}[version]
    limits = [_number(folder / limit_name)]
    if version == 2:
        limits.append(_number(folder / "memory.high"))  # above it every allocation is slowed down
    limit, used = least(*limits), _number(folder / used_name)
    if limit is None:
        return None
    return max(0, limit - max(0, (used or 0) - _stat(folder / "memory.stat", dropped)))


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The smallest memory limit of this group and its parents; None without one."""
    found = hierarchy("memory", root)
    if found is None:
        return None
    names = ("memory.limit_in_bytes",) if found.version == 1 else ("memory.max", "memory.high")
    return least(*(found.least(name) for name in names))


def memory_bytes(root: Path = ROOT) -> int | None:
    """Memory still available; None when nothing can be read."""
    found = hierarchy("memory", root)
    rooms = [_room(folder, found.version) for folder in found.folders] if found else []
    return least(proc_files.meminfo().get("MemAvailable"), *rooms)


def cpu_quota(root: Path = ROOT) -> float | None:
    """The smallest CPU quota, in processors; None without one."""
    found = hierarchy("cpu", root)
    if found is None:
        return None
    quotas: list[float] = []
    for folder in found.folders:
        if found.version == 2:
            words = (proc_files.read_text(str(folder / "cpu.max")) or "max 1").split()
        else:
            words = [proc_files.read_text(str(folder / f"cpu.cfs_{name}_us")) or "-1" for name in ("quota", "period")]
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
            quotas.append(int(words[0]) / int(words[1]))
    return least(*quotas)


def throttled(root: Path = ROOT) -> tuple[int, int] | None:
    """(throttled periods, nanoseconds throttled) of our groups so far; None without a quota."""
    found = hierarchy("cpu", root)
    if found is None or cpu_quota(root) is None:
        return None
    periods = [_stat(folder / "cpu.stat", "nr_throttled") for folder in found.folders]
    times = [_stat(folder / "cpu.stat", "throttled_usec") * 1000 if found.version == 2 else
             _stat(folder / "cpu.stat", "throttled_time") for folder in found.folders]
    return sum(periods), sum(times)


def cores() -> int:
    """Processors that this process may run on, as base/host.c counts them."""
    return len(os.sched_getaffinity(0))


def processes(root: Path = ROOT) -> int | None:
    """Processes and threads that can still be started, by the limits of the system, the user and the groups."""
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    found = hierarchy("pids", root)
    rooms = []
    for folder in found.folders if found else []:
        limit = _number(folder / "pids.max")
        if limit is not None:
            rooms.append(max(0, limit - (_number(folder / "pids.current") or 0)))
    system = least(_number(root / "proc/sys/kernel/threads-max"), _number(root / "proc/sys/kernel/pid_max"))
    running = re.search(r"\d+/(\d+)", proc_files.read_text(str(root / "proc/loadavg")) or "")
    if system is not None and running:
        system = max(0, system - int(running[1]))
    return least(system, soft if soft >= 0 and os.geteuid() != 0 else None, *rooms)


def descriptors(root: Path = ROOT) -> int:
    """The hard limit of descriptors of a process; programs raise their soft limit up to it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return least(hard if hard >= 0 else None, _number(root / "proc/sys/fs/nr_open")) or 1 << 20


def spaces() -> dict[str, int]:
    """The limits of a process's own memory that are set: ulimit -v (all that it maps), ulimit -d (what it maps to write)."""
    found = {"-v": resource.getrlimit(resource.RLIMIT_AS)[0], "-d": resource.getrlimit(resource.RLIMIT_DATA)[0]}
    return {option: soft for option, soft in found.items() if soft >= 0}


def ports(root: Path = ROOT) -> int | None:
    """Local ports for connects to one (address, port): the range less the reserved ports in it."""
    ends = proc_files.read_ints(str(root / "proc/sys/net/ipv4/ip_local_port_range"))
    if not ends or len(ends) != 2:
        return None
    low, high = ends
    reserved: set[int] = set()
    for part in (proc_files.read_text(str(root / "proc/sys/net/ipv4/ip_local_reserved_ports")) or "").split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match:
            reserved.update(range(max(low, int(match[1])), min(high, int(match[2] or match[1])) + 1))
    return high - low + 1 - len(reserved)
