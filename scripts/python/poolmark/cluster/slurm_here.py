# SPDX-License-Identifier: Apache-2.0
"""Slurm on hosts of network namespaces: slurmctld on the first, slurmd on each, so that a job script runs as on a cluster.

    with Children() as children, Hosts(["host0", "host1"]) as hosts, Slurm(children, hosts, ["host0", "host1"], folder) as slurm:
        slurm.submit(text, folder)      # sbatch --wait: its exit code

Nothing is installed, and nothing of a Slurm that this machine may have is used: configuration, key, sockets, state and logs are in the
folder, and the ports are of the hosts' own networks. The daemons end with the children, and what a job left ends with the hosts.
"""
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from poolmark.base.errors import PoolmarkError
from poolmark.cluster.namespaces import Hosts
from poolmark.facts import proc_files
from poolmark.facts.children import Child, Children

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "scancel", "squeue")
PACKAGES = "munge, slurmctld, slurmd, slurm-client"
SYSTEM = ":/usr/sbin:/sbin"     # where Debian has the daemons
GUARD_S, LOOK_S = 180.0, 0.2    # only what hangs reaches it
CONFIG = """\
ClusterName=poolmark
SlurmctldHost={first}({address})
SlurmUser=root
SlurmctldPort=17001
SlurmdPort=17002
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """What Slurm needs here and is not there; None: nothing."""
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=os.environ["PATH"] + SYSTEM)]
    return f"not installed: {', '.join(missing)} (Debian: apt-get install --no-install-recommends {PACKAGES.replace(',', '')})" if missing else None


def memory_mib() -> int:
    """What a node says that it has; all nodes are one machine."""
    return (proc_files.meminfo().get("MemTotal") or 1 << 30) // (1 << 20) * 9 // 10


class Slurm:
    """`names`: the hosts that are its nodes. UsageError is the caller's (why_not); PoolmarkError when a daemon ends or does not answer."""

    def __init__(self, children: Children, hosts: Hosts, names: Sequence[str], folder: Path) -> None:
        self.children, self.hosts, self.names, self.folder = children, hosts, list(names), folder
        self.env = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": os.environ["PATH"] + SYSTEM, "OMPI_ALLOW_RUN_AS_ROOT": "1",
                    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.daemons: list[Child] = []

    # --- its commands

    def call(self, *words: object, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command of Slurm's on the first node. One that takes longer than a job may is an error."""
        return subprocess.run([*self.hosts.prefix(self.names[0]), *map(str, words)], env={**os.environ, **self.env}, input=text, capture_output=True,
                              text=True, timeout=GUARD_S)

    def version(self) -> str:
        return self.call("slurmctld", "-V").stdout.strip()

    def submit(self, text: str, folder: Path, log: Path, seconds: float) -> int:
        """Runs a job script to its end, as `sbatch --wait` does; the job's exit code. Its own log goes to `folder`."""
        script = folder / "job.sh"
        script.write_text(text, encoding="utf-8")
        child = self.children.start("sbatch", [*self.hosts.prefix(self.names[0]), "sbatch", "--wait", f"--chdir={folder}", str(script)], log,
                                    env=self.env, read="both")
        ended = self.children.wait(child, seconds, watch=self.daemons)
        code = self.children.stop(child)
        if ended is not child:
            raise PoolmarkError(f"the job did not end within {seconds:.0f} s" if ended is None else f"{ended.how_it_ended()} before the job; {self.logs()}")
        return code

    def validate(self, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """sbatch --test-only: would the script be taken? It says when and where it would start."""
        return self.call("sbatch", "--test-only", f"--chdir={folder}", text=text)

    def logs(self) -> str:
        return " | ".join(f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in sorted(self.folder.glob("*.log")))

    # --- its daemons

    def _start(self, host: str, *words: str) -> None:
        name = words[0] if words[0] != "slurmd" else f"slurmd of {host}"
        self.daemons.append(self.children.start(name, [*self.hosts.prefix(host), *words], self.folder / f"{words[0]}-{host}.out.log", env=self.env))

    def wait_for(self, what: str, wanted: Callable[[], bool]) -> None:
        limit = time.monotonic() + GUARD_S
        while not wanted():
            ended = next((one for one in self.daemons if one.exited()), None)
            if ended is not None or time.monotonic() > limit:
                raise PoolmarkError(f"Slurm: {what}: {f'{ended.name} has ended' if ended else f'not within {GUARD_S:.0f} s'}; {self.logs()}")
            time.sleep(LOOK_S)

    def is_up(self) -> bool:
        return self.call("sinfo", "-h", "-o", "%T %D").stdout.split() == ["idle", str(len(self.names))]

    def __enter__(self) -> Self:
        folder, first = self.folder, self.names[0]
        for name in ("state", *(f"spool-{host}" for host in self.names)):
            (folder / name).mkdir(parents=True)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        nodes = "\n".join(f"NodeName={host} NodeAddr={self.hosts.address(host)} CPUs={os.sysconf('SC_NPROCESSORS_ONLN')} RealMemory={memory_mib()} State=UNKNOWN"
                          for host in self.names)
        (folder / "slurm.conf").write_text(CONFIG.format(first=first, address=self.hosts.address(first), folder=folder, nodes=nodes), encoding="utf-8")
        try:
            self._start(first, "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
                        f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed")
            self.wait_for("munged", (folder / "munge.socket").exists)
            self._start(first, "slurmctld", "-D")
            for host in self.names:
                self._start(host, "slurmd", "-D", "-N", host)
            self.wait_for("nodes", self.is_up)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        for one in reversed(self.daemons):
            with contextlib.suppress(ProcessLookupError):
                one.ask_to_end()
        for one in reversed(self.daemons):
            self.children.stop(one)
        self.daemons = []

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
