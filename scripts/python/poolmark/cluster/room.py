# SPDX-License-Identifier: Apache-2.0
"""Does each host hold its share of the clients? The arithmetic of `host` and `capacity`, for a host that has the generator alone.

    told = room_of(call, asked, build)
    told.lines()        the share and each limit, in plain words
    told.missing()      what is too small, with the command that mends it
"""
import math
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.forms import Json
from poolmark.base.table import text_table
from poolmark.base.units import plural, show_bytes, show_count
from poolmark.cluster.asked import Asked, target_count
from poolmark.cluster.calls import Call
from poolmark.facts import allowance, described, facts, host
from poolmark.facts.plan import Plan, make_plan
from poolmark.model import host_limits
from poolmark.model.host_limits import COMPUTED, SETTING, Limit

THIS_HOST = "as this machine has it"


@dataclass(frozen=True)
class Room:
    call: Call
    ranks: int
    ranks_of_a_host: int
    rank_clients: int           # of the rank that has most
    plan: Plan                  # of one host
    limits: tuple[Limit, ...]
    assumed: tuple[str, ...]    # limits of this machine that stand in for the hosts'

    def missing(self) -> list[Limit]:
        return [one for one in self.limits if one.share is not None and one.share < 1]

    def lines(self) -> list[str]:
        plan, clients = self.plan, self.call.clients
        each = f"{plural(self.ranks_of_a_host, 'rank')} a host"
        told = [f"{self.call.name}: {show_count(clients)} {plan.engine} clients over {plural(self.ranks, 'rank')}, {each}: at most "
                f"{show_count(self.rank_clients)} a rank",
                f"a host: {show_count(plan.connections)} clients in {plural(plan.workers, 'worker')} of {show_count(plan.clients_per_worker)}, under "
                f"a limit of {show_count(plan.descriptor_limit)} descriptors a process"]
        rows = [[one.name, show_count(plan.connections), host_limits.show_carried(one.carries, one.unit),
                 "?" if one.share is None else "fits" if one.share >= 1 else "TOO SMALL", one.arithmetic] for one in self.limits]
        told += text_table(["limit of a host", "clients", "it holds", "", "why"], rows, "lrrll").splitlines()
        told += [f"{one.name} is too small. Mend it: {one.mend}" for one in self.missing()]
        if self.assumed:
            told.append(f"{', '.join(self.assumed)}: {THIS_HOST}; each rank answers for its own host at the start")
        return told


def memory_limit(plan: Plan, memory_bytes: int, cores: int) -> Limit:
    engine = described.engines()[plan.engine]
    carried = host.clients_that_fit(plan.engine, memory_bytes, plan.descriptor_limit, cores)
    text = (f"{host_limits.memory_words(memory_bytes, 0, host.SPARE_BYTES)}; a client takes {show_bytes(host.KERNEL_BYTES // 2)} of the kernel and "
            f"{show_bytes(engine['client_bytes'])} of its worker, a worker {show_bytes(engine['process_bytes'])}: "
            f"{show_bytes(host.generator_memory(plan))} in all")
    return Limit("memory", float(carried), "connections", carried / plan.connections, text, COMPUTED,
                 f"a host with {show_bytes(host.generator_memory(plan) + host.SPARE_BYTES)}, more ranks on more hosts, or fewer clients")


def routes_limit(plan: Plan, targets: int) -> Limit:
    carried = float(plan.connections_per_route * targets)
    more = math.ceil(plan.connections / plan.connections_per_route)
    text = f"{show_count(plan.connections_per_route)} from one address to one (address, port), as the generator plans, x {plural(targets, 'target')}"
    return Limit("routes", carried, "connections", carried / plan.connections, text, SETTING,
                 f"{plural(more, 'target')}: a broker that listens on so many ports, or more brokers; or a wider "
                 f'net.ipv4.ip_local_port_range ("{host_limits.ALL_PORTS}"), or more addresses of the host by --source')


def room_of(call: Call, asked: Asked, build: Path) -> Room:
    """The room of a host that gets the most ranks. What was not said of the hosts is taken from this machine."""
    assumed = []
    cores, memory, descriptors = asked.cores, asked.memory_bytes, asked.descriptors
    if cores is None:
        cores = allowance.cores()
        assumed.append("processors")
    if descriptors is None:
        descriptors = allowance.descriptors()
        assumed.append("descriptors")
    if memory is None:
        memory = allowance.memory_bytes()
        assumed.append("memory")
    # Ranks take whole workers in turn, so a rank has at most a worker more than another.
    worker = make_plan(call.share(asked.ranks), call.engine, descriptors, cores, build=build).clients_per_worker
    share = min(call.clients, math.ceil(math.ceil(call.clients / worker) / asked.ranks) * worker)
    plan = make_plan(min(share * asked.ranks_of_a_host, call.clients), call.engine, descriptors, cores, build=build)
    found: Json = facts.host(build).get("limits") or {}
    limits = [memory_limit(plan, memory, cores)] if memory is not None else []
    limits += [routes_limit(plan, target_count(asked)), host_limits.open_files(found, 1.0, plan.connections),
               host_limits.tcp_memory(found, 1.0, plan.connections)]
    local = not asked.hosts and asked.launcher == "mpirun"
    return Room(call, asked.ranks, asked.ranks_of_a_host, share, plan, tuple(limits),
                () if local else (*assumed, "open files", "TCP memory", "ports"))
