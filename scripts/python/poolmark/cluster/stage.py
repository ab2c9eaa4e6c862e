# SPDX-License-Identifier: Apache-2.0
"""Hosts of network namespaces with brokers on one of them, on which calls of the generator are played by mpirun.

    with Children() as children, Stage(children, 4, build, folder, delay_s=0.001) as stage:
        stage.start_brokers(clients=400_000, engine="raw")
        load = stage.start(call, "qos1")
        children.wait(load, 600)

Host K has rank K - 1. mpirun runs on the first and reaches the others by the stage's agent in place of ssh. Everything ends with the stage.
"""
import contextlib
import math
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from poolmark.base.errors import PoolmarkError
from poolmark.cluster import mpirun
from poolmark.cluster.asked import Asked, Host
from poolmark.cluster.calls import Call
from poolmark.cluster.namespaces import CONTROL_LINK, Hosts
from poolmark.facts import allowance
from poolmark.facts.children import Child, Children
from poolmark.facts.plan import make_plan
from poolmark.suites.targets import READY_S, STOP_S

BROKER = "broker"
FIRST_PORT = 1883
START_S, LOOK_S = 300.0, 0.2    # the generators' own limits (loadgen/mpi/main.c, ranks_start.h) come before
RANK_VARIABLE = "OMPI_COMM_WORLD_RANK"      # OpenMPI gives it to each rank
# How soon mpirun notices a daemon whose host is gone, where one is to go: probes of its connection to it. Otherwise it waits for minutes, as on
# a network that is full for some seconds it should.
PROBES = ("--mca", "oob_tcp_keepalive_time", "5", "--mca", "oob_tcp_keepalive_intvl", "2", "--mca", "oob_tcp_keepalive_probes", "3")


def rank_in(pid: int) -> int | None:
    """The rank of a process of MPI; None for any other."""
    with contextlib.suppress(OSError, ValueError):
        for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = word.partition(b"=")
            if name == RANK_VARIABLE.encode():
                return int(value)
    return None


class Stage:
    def __init__(self, children: Children, ranks: int, build: Path, folder: Path, program: str, delay_s: float = 0.0, loss: float = 0.0,
                 seed: int = 1) -> None:
        self.children, self.ranks, self.build, self.folder, self.program = children, ranks, build, folder, program
        self.hosts = Hosts([*(f"host{rank}" for rank in range(ranks)), BROKER], delay_s, loss, seed)
        self.urls: list[str] = []
        self.brokers: list[Child] = []
        self.counts: dict[str, int] = {}    # of wire.py, after the end

    def __enter__(self) -> Self:
        self.hosts.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.stop_brokers()
        self.counts = self.hosts.close()

    @staticmethod
    def host_of(rank: int) -> str:
        return f"host{rank}"

    # --- brokers

    def start_brokers(self, clients: int, engine: str, options: Sequence[str] = ()) -> None:
        """As many brokers as hold the clients under this machine's limit of descriptors, a port or more each."""
        plan = make_plan(clients, engine, allowance.descriptors(), allowance.cores(), build=self.build)
        listens = max(1, math.ceil(plan.listens_per_instance / self.ranks))     # each host has an address of its own
        address = self.hosts.address(BROKER)
        for instance in range(plan.instances):
            ports = range(FIRST_PORT + instance * listens, FIRST_PORT + (instance + 1) * listens)
            words = [word for port in ports for word in ("--listen", f"{address}:{port}")]
            argv = [*self.hosts.prefix(BROKER), str(self.build / "poolmark-broker"), *words, *options]
            self.brokers.append(self.children.start(f"broker {instance + 1}", argv, self.folder / f"broker-{instance + 1}.log", read="stdout"))
            self.urls += [f"mqtt://{address}:{port}" for port in ports]
        for child in self.brokers:
            self.children.read_until(child, lambda line: line == "ready", READY_S)

    def stop_brokers(self) -> None:
        for child in self.brokers:
            child.ask_to_end()
        for child in self.brokers:
            self.children.stop(child, grace_s=STOP_S)
        self.brokers, self.urls = [], []

    # --- the generator

    def asked(self, out: Path) -> Asked:
        hosts = tuple(Host(self.hosts.control(self.host_of(rank))) for rank in range(self.ranks))
        return Asked(ranks=self.ranks, hosts=hosts, targets=(",".join(self.urls),), out=str(out), program=self.program)

    def words(self, call: Call, out: Path, probes: Sequence[str] = ()) -> list[str]:
        """The whole command line, from this machine's own namespace. `probes`: PROBES, or none."""
        asked = self.asked(out)
        pids = [word for child in self.brokers for word in ("--watch-pid", str(child.pid))]
        more = ["--mca", "plm_rsh_agent", str(self.hosts.agent), "--mca", "plm_rsh_no_tree_spawn", "1", "--mca", "oob_tcp_if_include", CONTROL_LINK,
                "--mca", "btl_tcp_if_include", CONTROL_LINK, *probes]
        return [*self.hosts.prefix(self.host_of(0)), *mpirun.command([*mpirun.program_words(call, asked, False), *pids], asked, more)]

    def start(self, call: Call, name: str, probes: Sequence[str] = ()) -> Child:
        """Its record goes to the folder NAME, what it says to NAME.log."""
        return self.children.start("mpirun", self.words(call, self.folder / name, probes), self.folder / f"{name}.log", read="both")

    def await_start(self, child: Child, name: str) -> None:
        """Waits until the ranks are together: rank 0 then opens the record. Also returns when the child, or a broker, has ended. PoolmarkError
        when neither comes: mpirun waits without limit for a daemon of its own that does not report."""
        until = time.monotonic() + START_S
        while not (self.folder / name / "run.json").exists():
            if self.children.wait(child, LOOK_S, watch=self.brokers) is not None:
                return
            if time.monotonic() > until:
                self.children.stop(child)
                raise PoolmarkError(f"{name}: the ranks did not come together within {START_S:.0f} s; its log ends: {child.last_lines()}")

    def kill(self, rank: int) -> None:
        """Ends all processes of a rank by SIGKILL, the last started first. PoolmarkError where there is none."""
        found = [pid for pid in self.hosts.processes(self.host_of(rank)) if rank_in(pid) == rank]
        if not found:
            raise PoolmarkError(f"{self.host_of(rank)}: there is no process of rank {rank}")
        for pid in sorted(found, reverse=True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
