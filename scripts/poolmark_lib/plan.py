# SPDX-License-Identifier: Apache-2.0
"""How many processes hold N connections under a descriptor limit, on both sides.

A process holds at most its descriptor limit less RESERVE; what one may not hold is spread over several: broker
instances, each on ports of its own, and workers of the generator. At most PER_ROUTE connections go from one source
address to one (address, port): past half of the port range the kernel's search for a free port slows down.
"""
import math
from dataclasses import asdict, dataclass

from poolmark_lib.units import show_count

PER_ROUTE = 10_000
# Descriptors that a process needs beside its connections: listeners, epoll, files, libraries.
RESERVE = 512
# What one process of an engine holds when nothing else is asked: the library's own costs grow with each client.
ENGINE_CLIENTS = {"paho": 500, "raw": 20_000}


@dataclass
class Plan:
    connections: int
    engine: str
    descriptor_limit: int
    instances: int               # broker processes
    connections_per_instance: int
    threads: int                 # of each instance; 0: the broker's default
    listens_per_instance: int    # ports, each on its own
    workers: int
    clients_per_worker: int

    def as_dict(self) -> dict:
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


def make_plan(connections: int, engine: str, descriptor_limit: int, cores: int,
              clients_per_worker: int | None = None) -> Plan:
    """The plan for `connections`. A pure function: the same answer whoever asks."""
    room = max(1, descriptor_limit - RESERVE)
    instances = max(1, math.ceil(connections / room))
    per_instance = math.ceil(connections / instances)
    wanted = clients_per_worker or ENGINE_CLIENTS.get(engine, ENGINE_CLIENTS["raw"])
    per_worker = max(1, min(wanted, room, connections or 1))
    return Plan(connections=connections, engine=engine, descriptor_limit=descriptor_limit, instances=instances,
                connections_per_instance=per_instance,
                threads=cores if instances == 1 and connections > PER_ROUTE else 0,
                listens_per_instance=max(1, math.ceil(per_instance / PER_ROUTE)),
                workers=max(1, math.ceil(connections / per_worker)), clients_per_worker=per_worker)
