# SPDX-License-Identifier: Apache-2.0
"""What a run on several hosts is asked to be: hosts, ranks, the limits of a host, targets. A UsageError names what is wrong.

    hosts = parse_hosts("load1,load2:2")        # a name, or name:RANKS
    asked = Asked(launcher=MPIRUN, ranks=3, hosts=hosts, targets=("mqtt://broker:1883",))
    check(asked)
"""
import re
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.units import plural
from poolmark.suites.suite_check import MOST_RANKS

MPIRUN, SLURM, KUBERNETES = "mpirun", "slurm", "kubernetes"
LAUNCHERS = (MPIRUN, SLURM, KUBERNETES)
SHARES = ("even", "fit")
LONGEST_S = 30 * 86_400.0
# Options that one launcher alone understands.
ONLY = {"hosts": MPIRUN, "hostfile": MPIRUN, "partition": SLURM, "image": KUBERNETES, "claim": KUBERNETES}


@dataclass(frozen=True)
class Host:
    name: str
    slots: int = 1      # ranks that it takes


@dataclass(frozen=True)
class Asked:
    launcher: str = MPIRUN
    ranks: int = 1
    hosts: tuple[Host, ...] = ()        # none: this machine, or those that the launcher finds
    hostfile: Path | None = None
    cores: int | None = None            # of a host, as the next two
    memory_bytes: int | None = None
    descriptors: int | None = None      # of a process
    seconds: float = 3600.0             # how long the whole job may take
    targets: tuple[str, ...] = ()
    share: str = "even"
    out: str = "cluster-run"            # the folder of the record; of several calls, a folder in it for each
    name: str = "poolmark"
    program: str = "poolmark-loadgen-mpi"
    partition: str | None = None
    image: str | None = None
    claim: str | None = None            # a PersistentVolumeClaim for the record

    @property
    def ranks_of_a_host(self) -> int:
        """The most ranks that one host gets."""
        if self.launcher != MPIRUN:
            return 1
        if not self.hosts:
            return self.ranks
        return max(count for _, count in placed(self.hosts, self.ranks))


def parse_slots(text: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_RANKS:
        raise UsageError(f"{where}: {text!r} is no number of ranks; it may be 1 to {MOST_RANKS}")
    return int(text)


def check_name(name: str, where: str) -> str:
    """A host's name or IPv4 address. mpirun takes what is behind a colon for a number of ranks, so IPv6 takes a name."""
    if not re.fullmatch(r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", name):
        raise UsageError(f"{where}: {name!r} is no name of a host and no IPv4 address")
    return name


def unique(hosts: list[Host], where: str) -> tuple[Host, ...]:
    seen: set[str] = set()
    for host in hosts:
        if host.name in seen:
            raise UsageError(f"{where}: {host.name!r} is there twice; {host.name}:2 gives it two ranks")
        seen.add(host.name)
    if not hosts:
        raise UsageError(f"{where}: names no host")
    return tuple(hosts)


def parse_hosts(text: str) -> tuple[Host, ...]:
    found = []
    for part in text.split(","):
        name, joint, slots = part.strip().partition(":")
        found.append(Host(check_name(name, "--hosts"), parse_slots(slots, "--hosts") if joint else 1))
    return unique(found, "--hosts")


def read_hostfile(path: Path) -> tuple[Host, ...]:
    """OpenMPI's form: `NAME [slots=N]` a line, # begins a comment."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--hostfile {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where, slots = f"{path}:{number}", 1
        for word in words[1:]:
            key, _, value = word.partition("=")
            if key not in ("slots", "max_slots", "max-slots"):
                raise UsageError(f"{where}: {word!r} is not slots=N")
            slots = parse_slots(value, where) if key == "slots" else slots
        found.append(Host(check_name(words[0], where), slots))
    return unique(found, f"--hostfile {path}")


def placed(hosts: tuple[Host, ...], ranks: int) -> list[tuple[Host, int]]:
    """How many ranks each host gets: a rank to each in turn, as `mpirun --map-by node` does, until its slots are taken."""
    counts, left = [0] * len(hosts), ranks
    while left > 0 and any(count < host.slots for count, host in zip(counts, hosts, strict=True)):
        for i, host in enumerate(hosts):
            if left > 0 and counts[i] < host.slots:
                counts[i] += 1
                left -= 1
    return list(zip(hosts, counts, strict=True))


def ranks_of(ranks: int | None, hosts: tuple[Host, ...]) -> int:
    """The number of ranks: as asked, else one for each slot of the hosts."""
    slots = sum(host.slots for host in hosts)
    if ranks is None:
        if not hosts:
            raise UsageError("how many ranks? --ranks N, or name the hosts: --hosts, --hostfile")
        return slots
    if hosts and ranks > slots:
        raise UsageError(f"--ranks {ranks}: {plural(len(hosts), 'host')} with room for {plural(slots, 'rank')}; NAME:N, or slots=N in a "
                         "hostfile, gives a host more")
    return ranks


def _label(text: str, where: str) -> None:
    if not re.fullmatch(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?", text):
        raise UsageError(f"{where} {text!r}: it takes a-z, 0-9 and -, begins with a letter, and has at most 40 of them")


def check(asked: Asked) -> None:
    """UsageError for what no launcher could start."""
    for option, launcher in ONLY.items():
        if getattr(asked, option) and asked.launcher != launcher:
            raise UsageError(f"--{option} is for --launcher {launcher}; this is --launcher {asked.launcher}")
    _label(asked.name, "--name")
    if not asked.targets:
        raise UsageError("no --target: which broker? give at least one, as mqtt://broker.example:1883")
    for target in asked.targets:
        if not re.fullmatch(r"(?:mqtt|tcp)://[^\s,/@]+(?:,(?:mqtt|tcp)://[^\s,/@]+)*", target):
            raise UsageError(f"--target {target!r}: it is not mqtt://HOST[:PORT], or several with commas")
    for option in ("out", "program"):
        if not getattr(asked, option) or re.search(r"[\x00-\x1f]", getattr(asked, option)) or getattr(asked, option).startswith("-"):
            raise UsageError(f"--{option} {getattr(asked, option)!r} is no path")
    if asked.partition is not None and not re.fullmatch(r"[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*", asked.partition):
        raise UsageError(f"--partition {asked.partition!r} is no name of a partition")
    if asked.launcher == KUBERNETES:
        if asked.image is None:
            raise UsageError("--launcher kubernetes needs --image: which image has poolmark-loadgen-mpi, mpirun and sshd? "
                             "docs/ten-million-connections.md makes one")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*", asked.image):
            raise UsageError(f"--image {asked.image!r} is no name of an image")
        if asked.claim is not None:
            _label(asked.claim, "--claim")
    if asked.launcher != MPIRUN and asked.memory_bytes is None:
        raise UsageError(f"--launcher {asked.launcher} needs --memory: how much of a host's is the job's? such as 16GiB")
    if asked.launcher != MPIRUN and asked.cores is None:
        raise UsageError(f"--launcher {asked.launcher} needs --cores: how many of a host's processors are the job's?")


def target_count(asked: Asked) -> int:
    return sum(target.count(",") + 1 for target in asked.targets)
