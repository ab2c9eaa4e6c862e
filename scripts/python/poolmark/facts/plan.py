# SPDX-License-Identifier: Apache-2.0
"""Plans how many processes hold N connections under a descriptor limit, on both sides.

A broker instance holds at most its descriptor limit less RESERVE connections. More are spread over several instances, each with
its own ports. The connections from one source address to one (address, port) are limited by the generator's limit for a route:
most of the port range where each client has a port of its own; less than half of it where the kernel searches the port, because
its search gets slow past that. The generator itself reports this limit and how it divides its clients over workers
(`poolmark-loadgen SCENARIO ... --describe`), so that the plan matches the run.
"""
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from poolmark.facts import described
from poolmark.base.errors import UsageError
from poolmark.base.forms import Json
from poolmark.base.units import show_count

# Descriptors of a process besides its connections: listeners, epoll, files, libraries.
RESERVE = 512


@dataclass
class Plan:
    connections: int
    engine: str
    descriptor_limit: int
    instances: int               # broker processes
    connections_per_instance: int
    threads: int                 # of each instance; 0 means the broker's default
    listens_per_instance: int    # number of listening ports
    connections_per_route: int   # the generator's limit
    workers: int
    clients_per_worker: int

    def as_dict(self) -> Json:
        return asdict(self)

    def listens(self, instance: int) -> list[str]:
        """Addresses for --listen; port 0 lets the kernel choose. Loopback addresses take turns."""
        first = instance * self.listens_per_instance
        return [f"127.0.0.{1 + (first + i) % 8}:0" for i in range(self.listens_per_instance)]

    def sentences(self) -> list[str]:
        def plural(count: int, noun: str) -> str:
            return f"{show_count(count)} {noun}{'' if count == 1 else 's'}"

        last = min(8, self.instances * self.listens_per_instance)
        return [
            f"{plural(self.instances, 'broker instance')} of {show_count(self.connections_per_instance)} connections, "
            f"{plural(self.listens_per_instance, 'port')} each, on 127.0.0.1{f' to 127.0.0.{last}' if last > 1 else ''}"
            + (f", {plural(self.threads, 'thread')}" if self.threads else ""),
            f"{plural(self.workers, 'worker')} of {show_count(self.clients_per_worker)} {self.engine} clients, under a "
            f"descriptor limit of {show_count(self.descriptor_limit)}",
        ]


def divided(words: Sequence[object], limit: int, build: Path | None = None) -> Json:
    """{"clients", "workers", "clients_per_worker", "connections_per_route"} for a command line of the generator."""
    told, wrong = described.ask("poolmark-loadgen", words, build, limit)
    if told is None:
        raise UsageError(f"poolmark-loadgen {' '.join(map(str, words))}: {wrong}")
    plan: Json = told["plan"]
    return plan


def make_plan(connections: int, engine: str, descriptor_limit: int, cores: int, clients_per_worker: int | None = None,
              build: Path | None = None, calls: Sequence[Sequence[object]] | None = None) -> Plan:
    """The plan for `connections`. `calls`: the generator's command lines, if known; that with the most workers counts."""
    words: list[object] = ["connect", "--engine", engine, "--connections", connections]
    words += ["--clients-per-worker", clients_per_worker] if clients_per_worker else []
    divisions = [divided(call, descriptor_limit, build) for call in calls or [words]]
    division = max(divisions, key=lambda one: int(one["workers"]))
    room, route = max(1, descriptor_limit - RESERVE), min(one["connections_per_route"] for one in divisions)
    instances = max(1, math.ceil(connections / room))
    per_instance = math.ceil(connections / instances)
    return Plan(connections=connections, engine=engine, descriptor_limit=descriptor_limit, instances=instances,
                connections_per_instance=per_instance,
                threads=cores if instances == 1 and connections > route else 0,
                listens_per_instance=max(1, math.ceil(per_instance / route)), connections_per_route=route,
                workers=division["workers"], clients_per_worker=division["clients_per_worker"])
