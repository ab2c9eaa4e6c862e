# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark host --connections N: checks whether this host can hold both ends of N connections.

It names each limit that is too small, by how much, and the command that raises it. It prints the plan and changes nothing. It
counts what this process may use, not what the machine has. Exit 0: it fits; 1: it does not fit, or that is unknown.
"""
import argparse
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

from poolmark.facts import allowance, described, proc_files
from poolmark.base.options import MOST_CONNECTIONS, count
from poolmark.facts.plan import RESERVE, Plan, make_plan
from poolmark.base.table import text_table
from poolmark.base.units import show_bytes, show_count

# Kernel memory of one connection, measured by the suite million with both ends on one host, Linux 6.18. Two sockets with inodes
# and files take 8 300 bytes. A monitor may add a fifth (kernel_proc_bytes), and a plan has to fit beside it. Broker and
# generator report their own memory (--describe).
KERNEL_BYTES = 10_200
RESERVE_FACTOR = 1.5                                        # growing strategies own 1.25 to 1.875 times the memory in use
SPARE_BYTES = 1 << 30                                       # left to everything else


@dataclass
class Check:
    what: str
    found: int | None
    needed: int
    unit: str
    fits: bool | None        # None: could not be read
    mend: str                # what to do when it is too small
    note: str = ""
    essential: bool = True   # without its value the answer is unknown


def connection_bytes(shape: str, strategy: str | None) -> int:
    """The broker's user memory of a connection. An unknown shape counts as classic, an unknown strategy as one that grows."""
    shapes = described.shapes()
    known = {one["name"]: one["capabilities"] for one in described.broker()["strategies"]}
    grows = strategy is not None and "grows" in known.get(strategy, ["grows"])
    return round(int(shapes.get(shape, shapes["classic"])["connection_bytes"]) * (RESERVE_FACTOR if grows else 1))


def generator_memory(plan: Plan) -> int:
    """Bytes of the plan's workers and of their ends of the connections."""
    engine = described.engines()[plan.engine]
    return plan.connections * (KERNEL_BYTES // 2 + int(engine["client_bytes"])) + plan.workers * int(engine["process_bytes"])


def memory_needed(plan: Plan, shape: str = "lean", strategy: str | None = None) -> int:
    """Bytes that the plan's processes and sockets need together, both ends."""
    each = KERNEL_BYTES // 2 + connection_bytes(shape, strategy)
    return generator_memory(plan) + plan.connections * each + plan.instances * int(described.broker()["instance_bytes"])


def most(fits: Callable[[int], bool]) -> int:
    """The most connections that fit, a multiple of 1 000."""
    low, high = 0, MOST_CONNECTIONS
    while high - low > 1000:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low - low % 1000


def connections_that_fit(engine: str, shape: str, memory_bytes: int, descriptor_limit: int, cores: int,
                         strategy: str | None = None) -> int:
    """The most connections whose plan needs at most `memory_bytes` less the spare; a multiple of 1 000."""
    return most(lambda count: memory_needed(make_plan(count, engine, descriptor_limit, cores), shape, strategy)
                 <= memory_bytes - SPARE_BYTES)


def descriptor_limit() -> int:
    return allowance.descriptors()


def _mend_sysctl(name: str, value: int | str) -> str:
    return f"sudo sysctl -w {name}=" + (f'"{value}"' if isinstance(value, str) else str(value))


def _check(what: str, found: int | None, needed: int, unit: str, mend: str, note: str = "", essential: bool = True) -> Check:
    return Check(what, found, needed, unit, None if found is None else found >= needed, mend, note, essential)


def check_host(plan: Plan, shape: str = "lean", strategy: str | None = None) -> list[Check]:
    """Checks every limit of the plan, in the order in which users usually hit them."""
    count = plan.connections
    memory, limit = allowance.memory_bytes(), allowance.memory_limit_bytes()
    ports = allowance.ports()
    tcp_mem = proc_files.read_ints("/proc/sys/net/ipv4/tcp_mem")
    in_use = (proc_files.read_ints("/proc/sys/fs/file-nr") or [0])[0]
    need_memory = memory_needed(plan, shape, strategy) + SPARE_BYTES
    files = 2 * count + in_use + 10_000
    threads = plan.workers * described.engines()[plan.engine]["process_threads"] + plan.instances * (plan.threads + 4) + 500
    # At once, one connection in ten has one or two segments under way at each end; an idle connection holds no page.
    tcp_pages = 16_384 + math.ceil(count * 0.2)
    checks = [
        _check("memory available", memory, need_memory, "B",
               f"fewer connections, a leaner shape or the raw engine; or a host with {show_bytes(need_memory)} free",
               f"{show_bytes(KERNEL_BYTES)} of it a connection is the kernel's"
               + (f"; a control group limits us to {show_bytes(limit)}" if limit is not None else "")),
        _check("descriptors of a process (hard limit)", plan.descriptor_limit,
               RESERVE + max(plan.clients_per_worker, min(plan.connections_per_instance, 1000)), "1",
               "ulimit -Hn 1048576 as root, or LimitNOFILE= of the service",
               f"{plan.instances} broker instances and {plan.workers} workers keep below it"),
        _check("open files of the system", proc_files.read_int("/proc/sys/fs/file-max"), files, "1",
               _mend_sysctl("fs.file-max", files), "both ends of each connection"),
        _check("ports to connect from", ports, min(count, plan.connections_per_route), "1",
               _mend_sysctl("net.ipv4.ip_local_port_range", "1024 65535"),
               f"for each of {plan.instances * plan.listens_per_instance} (address, port) to connect to"),
        _check("TCP memory (tcp_mem, third value)", tcp_mem[2] if tcp_mem else None, tcp_pages, "pages",
               _mend_sysctl("net.ipv4.tcp_mem", f"{tcp_pages // 2} {tcp_pages * 3 // 4} {tcp_pages}"),
               "for data under way; idle connections hold none", essential=False),
        _check("descriptors watched by epoll, of a user", proc_files.read_int("/proc/sys/fs/epoll/max_user_watches"), 2 * count, "1",
               _mend_sysctl("fs.epoll.max_user_watches", 2 * count), "broker and generator watch each end", essential=False),
        _check("queue of a listener (somaxconn)", proc_files.read_int("/proc/sys/net/core/somaxconn"), min(1024, count), "1",
               _mend_sysctl("net.core.somaxconn", 4096), "else a storm of connects loses SYNs and waits a second",
               essential=False),
        _check("processes and threads", allowance.processes(), threads, "1",
               _mend_sysctl("kernel.pid_max", 4 * threads) + ", or pids.max of the control group, or ulimit -u",
               "the least of pid_max, threads-max and what we may have"),
    ]
    for option, space in allowance.spaces().items():
        checks.append(_check(f"memory of a process (ulimit {option})", space, described.broker()["instance_bytes"]
                             + plan.connections_per_instance * connection_bytes(shape, strategy) + (256 << 20),
                             "B", f"ulimit {option} unlimited", "a broker instance, its libraries and stacks"))
    # The module may be loaded and track nothing; its count then stays 0.
    if tracked := proc_files.read_int("/proc/sys/net/netfilter/nf_conntrack_count"):
        checks.append(_check("connections the firewall tracks", proc_files.read_int("/proc/sys/net/netfilter/nf_conntrack_max"),
                             count + tracked, "1", _mend_sysctl("net.netfilter.nf_conntrack_max", 2 * count + tracked),
                             f"loopback connections are tracked too; {show_count(tracked)} are tracked already"))
    return checks


def amount(value: int | None, unit: str) -> str:
    if value is None:
        return "not readable"
    return show_bytes(value) if unit == "B" else show_count(value) + (f" {unit}" if unit != "1" else "")


def print_check(plan: Plan, checks: list[Check]) -> None:
    rows = [[check.what, amount(check.found, check.unit), amount(check.needed, check.unit),
             {True: "fits", False: "TOO SMALL", None: "?"}[check.fits], check.note] for check in checks]
    wide = shutil.get_terminal_size().columns >= 140
    table = [row if wide else row[:4] for row in rows]
    print(text_table(["what", "found", "needed", "", "why"][:5 if wide else 4], table, align="lrrll"[:5 if wide else 4]))
    print(f"\nPlan for {show_count(plan.connections)} {plan.engine} connections:")
    for sentence in plan.sentences():
        print(f"  {sentence}")
    for check in checks:
        if check.fits is False:
            print(f"\n{check.what}: {amount(check.needed - (check.found or 0), check.unit)} too small. Mend it:\n    {check.mend}")


def verdict(checks: list[Check]) -> bool | None:
    """Whether it fits; None when an essential value cannot be read."""
    if any(check.fits is False for check in checks):
        return False
    return None if any(check.fits is None and check.essential for check in checks) else True


def print_quota(plan: Plan) -> None:
    """Prints the CPU quota. A quota does not make a plan fail, but it determines the latencies."""
    quota = allowance.cpu_quota()
    if quota is not None and quota < allowance.cores():
        print(f"\nCPU quota: {quota:.3g} of {allowance.cores()} processors' time. It stops all processes for the rest of a period "
              "when it is used up: latencies and rates will be the quota's, and are marked as throttled.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), default=10_000, metavar="N", help="how many (10k)")
    parser.add_argument("--engine", choices=sorted(described.engines()), default="raw", help="what the clients are (raw)")
    parser.add_argument("--shape", choices=sorted(described.shapes()), default="lean", help="the broker's shape (lean)")
    parser.add_argument("--strategy", choices=described.strategies(), help="the pools' strategy: some own more than is in use")
    parser.add_argument("--clients-per-worker", type=count(1, MOST_CONNECTIONS), metavar="N",
                        help="of each worker process")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    plan = make_plan(args.connections, args.engine, descriptor_limit(), allowance.cores(), args.clients_per_worker)
    checks = check_host(plan, args.shape, args.strategy)
    fits = verdict(checks)
    if args.json:
        print(json.dumps({"fits": fits, "connections": args.connections, "engine": args.engine, "shape": args.shape,
                          "memory_bytes": memory_needed(plan, args.shape, args.strategy), "plan": plan.as_dict(),
                          "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        print_check(plan, checks)
        print_quota(plan)
        unread = ", ".join(check.what for check in checks if check.fits is None)
        print(f"\nWhether it fits cannot be told: not readable: {unread}." if fits is None else
              "\nIt does not fit." if not fits else f"\nIt fits, as far as can be read; not readable: {unread}." if unread else
              "\nIt fits.")
    return 0 if fits else 1
