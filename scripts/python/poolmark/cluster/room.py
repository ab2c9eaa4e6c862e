# SPDX-License-Identifier: Apache-2.0
"""Does each host hold its share of the clients? The arithmetic of `host` and `capacity`, for a host that has the generator alone, with
the generator's own constants (--describe, "room"): each rank answers with the same at the start (loadgen/room.h).

    told = room_of(call, asked, build)
    told.lines()        the share and each limit, in plain words
    told.missing()      what is too small, with the command that mends it
"""
import ipaddress
import math
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.forms import Json
from poolmark.base.table import text_table
from poolmark.base.units import plural, show_bytes, show_count
from poolmark.cluster.asked import Asked, target_count
from poolmark.cluster.calls import LOADGEN, Call, for_one
from poolmark.facts import allowance, described, facts, host
from poolmark.facts.plan import Plan, make_plan
from poolmark.model import host_limits
from poolmark.model.host_limits import COMPUTED, SETTING, UNKNOWN, Limit

THIS_HOST = "as this machine has it"
NOFILE = "ulimit -Hn {wanted} there as root (nofile in /etc/security/limits.conf, LimitNOFILE= of a service)"


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


def constants(build: Path | None = None) -> Json:
    """What the generator counts for the system and for a rank besides its workers."""
    found: Json = described.loadgen(build)["room"]
    return found


def _limit(name: str, carries: float, plan: Plan, arithmetic: str, known: str, mend: str) -> Limit:
    carries = max(0.0, math.floor(carries))
    return Limit(name, carries, "connections", carries / plan.connections, arithmetic, known, mend)


def memory_limit(plan: Plan, memory_bytes: int, cores: int, ranks: int, build: Path | None = None) -> Limit:
    engine, own = described.engines(build)[plan.engine], constants(build)
    spare, beside = int(own["spare_bytes"]), ranks * int(own["rank_bytes"])
    left, needed = memory_bytes - spare - beside, host.generator_memory(plan)
    carried = float(plan.connections) if needed <= left else 0.0
    if left > 0:
        carried = max(carried, host.most(lambda clients: host.generator_memory(
            make_plan(clients, plan.engine, plan.descriptor_limit, cores, build=build)) <= left))
    text = f"{show_bytes(memory_bytes)} - {show_bytes(spare)} for the system - {show_bytes(beside)} for {plural(ranks, 'rank')} = " + (
        show_bytes(left) if left > 0 else "nothing: a host needs more than that before it has a client")
    text += (f"; a client takes {show_bytes(int(own['client_kernel_bytes']))} of the kernel and {show_bytes(engine['client_bytes'])} of its worker, a worker "
             f"{show_bytes(engine['process_bytes'])}: {show_bytes(needed)} in all")
    return _limit("memory", carried, plan, text, COMPUTED,
                  f"a host with {show_bytes(needed + spare + beside)}, more ranks on more hosts, or fewer clients")


def process_clients(engine: str, descriptors: int, build: Path | None = None) -> int:
    """The most clients of one worker."""
    return min(int(described.engines(build)[engine]["clients_max"]), max(2, descriptors - int(constants(build)["process_files"])))


def descriptors_limit(plan: Plan, call: Call, worker: int, build: Path | None = None) -> Limit:
    """`worker`: the clients of each, as they would have to be."""
    own, holds = int(constants(build)["process_files"]), process_clients(plan.engine, plan.descriptor_limit, build)
    workers = math.ceil(plan.connections / worker)
    text = f"{show_count(plan.descriptor_limit)} - {show_count(own)} for all else: a worker holds {show_count(holds)} clients, and has {show_count(worker)}"
    most = int(described.engines(build)[plan.engine]["clients_max"])
    more = [f"--workers {math.ceil(call.workers * worker / holds)}" if call.workers else f"--clients-per-worker {holds}"]
    mend = NOFILE.format(wanted=worker + own) if worker <= most else f"(the engine's own bound is {show_count(most)})"
    return _limit("descriptors of a process", holds * workers, plan, text, SETTING, " or ".join([mend, *more]))


def routes_limit(plan: Plan, targets: int, sources: int = 1) -> Limit:
    carried = float(plan.connections_per_route * targets * sources)
    more = math.ceil(plan.connections / plan.connections_per_route / sources)
    text = f"{show_count(plan.connections_per_route)} from one address to one (address, port), as the generator plans, x {plural(targets, 'target')}"
    text += f" x {show_count(sources)} source addresses" if sources > 1 else ""
    return _limit("routes", carried, plan, text, SETTING,
                  f"{plural(more, 'target')}: a broker that listens on so many ports, or more brokers; or a wider "
                  f'net.ipv4.ip_local_port_range ("{host_limits.ALL_PORTS}"), or more addresses of the host by --source')


def files_limit(plan: Plan, limits: Json, ranks: int, build: Path | None = None) -> Limit:
    own, found = constants(build), limits.get("file_max")
    if not isinstance(found, int) or found <= 0:
        return Limit("open files of the host", None, "connections", None, "this host does not say (fs.file-max)", UNKNOWN, "-")
    spare, beside = int(own["spare_files"]), ranks * int(own["rank_files"])
    text = f"{show_count(found)} - {show_count(spare)} for all else - {show_count(beside)} for {plural(ranks, 'rank')}, one a connection"
    return _limit("open files of the host", found - spare - beside, plan, text, SETTING,
                  f"sudo sysctl -w fs.file-max={plan.connections + spare + beside}")


def processes_limit(plan: Plan, found: int | None, ranks: int, build: Path | None = None) -> Limit:
    own = constants(build)
    if found is None:
        return Limit("processes and threads", None, "connections", None, "this host does not say", UNKNOWN, "-")
    spare, beside = int(own["spare_processes"]), ranks * int(own["rank_processes"])
    each = int(described.engines(build)[plan.engine]["process_threads"])
    needed = spare + beside + plan.workers * each
    text = (f"{show_count(found)} may be started - {spare} for all else - {beside} for {plural(ranks, 'rank')}; {plural(plan.workers, 'worker')} of {each} "
            f"take {show_count(plan.workers * each)}")
    carried = max(0, found - spare - beside) // each * plan.clients_per_worker
    return _limit("processes and threads", max(plan.connections, carried) if needed <= found else carried, plan, text, SETTING,
                  f"a greater pids.max of the control group (TasksMax= of a service), or sudo sysctl -w kernel.pid_max={max(32_768, 4 * needed)}")


def tcp_limit(plan: Plan, limits: Json) -> Limit:
    if limits.get("tcp_mem_pages") is None:
        return Limit("TCP memory (tcp_mem)", None, "connections", None, "not seen from here: the network of a container has no net.ipv4.tcp_mem. It bounds the "
                     "data under way, and the machine's own counts: sysctl net.ipv4.tcp_mem there", UNKNOWN, "-")
    return host_limits.tcp_memory(limits, 1.0, plan.connections)


def _is_known_here(target: str) -> bool:
    """An address, or the name that each machine has. Other names may be known to the hosts alone."""
    name = target.partition("://")[2]
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    try:
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def routes_of(call: Call, asked: Asked, build: Path) -> tuple[int, int]:
    """(targets, source addresses of a host), as the generator counts them. Of --source each host has its part."""
    named = [target for one in asked.targets for target in one.split(",")]
    known = all(map(_is_known_here, named))
    words = for_one(call.words)[0] + (["--target", ",".join(named)] if known else [])
    told, wrong = described.ask(LOADGEN, words, build)
    if told is None:
        raise UsageError(wrong)
    given = len(told["config"]["sources"]) > 0
    sources = max(1, int(told["plan"]["sources"]) // (max(1, len(asked.hosts)) if given else 1))
    return (int(told["plan"]["targets"]) if known else target_count(asked)), sources


def worker_clients(call: Call, ranks: int, descriptors: int, cores: int, build: Path) -> int:
    """The clients of a worker, as asked for or as the generator divides them (loadgen/division.h)."""
    if call.clients_per_worker:
        return call.clients_per_worker
    if call.workers:
        return math.ceil(math.ceil(call.clients / (call.workers * ranks)) / call.unit()) * call.unit()
    return make_plan(call.share(ranks), call.engine, descriptors, cores, build=build).clients_per_worker


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
    worker, here = worker_clients(call, asked.ranks, descriptors, cores, build), asked.ranks_of_a_host
    share = min(call.clients, math.ceil(math.ceil(call.clients / worker) / asked.ranks) * worker)
    plan = make_plan(min(share * here, call.clients), call.engine, descriptors, cores, min(worker, process_clients(call.engine, descriptors, build)), build)
    found: Json = facts.host(build).get("limits") or {}
    limits = [memory_limit(plan, memory, cores, here, build)] if memory is not None else []
    limits += [descriptors_limit(plan, call, worker, build), routes_limit(plan, *routes_of(call, asked, build)), files_limit(plan, found, here, build),
               processes_limit(plan, allowance.processes(), here, build), tcp_limit(plan, found)]
    local = not asked.hosts and asked.launcher == "mpirun"
    return Room(call, asked.ranks, here, share, plan, tuple(limits),
                () if local else (*assumed, "open files", "processes", "TCP memory", "ports"))
