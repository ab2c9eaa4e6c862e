# SPDX-License-Identifier: Apache-2.0
"""Does a host hold its share? The arithmetic of `scripts/poolmark cluster`, which is the generator's own."""
import re

import pytest

from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.cluster import asked, calls, room
from poolmark.cluster.asked import Asked, Host
from poolmark.facts import described, host
from poolmark.facts.plan import make_plan

BUILD = build_dir()
OWN = described.loadgen(BUILD)["room"]
TARGET = ["--target", "mqtt://broker.example:1883"]
CONNECT = ["connect", "--engine", "raw", "--connections", "20k"]


def connect(clients, *words):
    return calls.make("connect", ["connect", "--engine", "raw", "--connections", str(clients), *words], BUILD)


def limit_of(found, name):
    return next(one for one in found.limits if one.name == name)


def ranks_of(ranks, target="mqtt://127.0.0.1:1883", **how):
    """Ranks of this machine."""
    return Asked(**{"ranks": ranks, "cores": 2, "memory_bytes": 16 << 30, "descriptors": 20_000, "targets": (target,), **how})


def test_a_rank_gets_whole_workers_and_no_rank_a_worker_more_than_that():
    found = room.room_of(connect(1_000_000), ranks_of(4, hosts=tuple(Host(name) for name in "abcd"), cores=4), BUILD)
    worker = found.plan.clients_per_worker
    assert 250_000 <= found.rank_clients < 250_000 + worker
    assert found.rank_clients % make_plan(250_000, "raw", 20_000, 4).clients_per_worker == 0


def test_memory_is_that_of_the_clients_ends_and_of_the_ranks():
    plan, spare = make_plan(100_000, "raw", 20_000, 4), OWN["spare_bytes"] + 3 * OWN["rank_bytes"]
    limit = room.memory_limit(plan, 16 << 30, 4, 3)
    assert host.generator_memory(make_plan(int(limit.carries), "raw", 20_000, 4)) <= (16 << 30) - spare
    assert host.generator_memory(make_plan(int(limit.carries) + 2000, "raw", 20_000, 4)) > (16 << 30) - spare
    both = host.memory_needed(plan)
    assert host.generator_memory(plan) < both < 2 * both
    server = plan.connections * (host.KERNEL_BYTES // 2 + host.connection_bytes("lean", None))
    assert both >= host.generator_memory(plan) + server


def test_few_clients_fit_in_what_they_take():
    plan = make_plan(20, "raw", 20_000, 2)
    needed = host.generator_memory(plan) + OWN["spare_bytes"] + OWN["rank_bytes"]
    assert room.memory_limit(plan, needed, 2, 1).share == 1
    assert room.memory_limit(plan, needed - 1, 2, 1).share == 0


def test_memory_below_what_a_host_takes_without_clients_is_no_negative_number(poolmark):
    done = poolmark("cluster", "--ranks", "2", "--memory", "64MiB", *TARGET, *CONNECT)
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if line.startswith("memory "))
    assert "nothing: a host needs more than that" in line and not re.search(r"(^|[ =])-\d", line)
    assert re.search(r"memory is too small. Mend it: a host with \d+ MiB", done.stderr)


def test_one_target_has_routes_for_so_many_and_more_targets_for_more():
    plan = make_plan(100_000, "raw", 20_000, 4)
    assert room.routes_limit(plan, 1).carries == plan.connections_per_route
    few, many = room.routes_limit(plan, 1), room.routes_limit(plan, 100)
    assert few.share < 1 and "targets" in few.mend and many.share >= 1
    assert room.routes_limit(plan, 1, 100).carries == many.carries


# The generator adds source addresses on the loopback; paho cannot choose its own.
@pytest.mark.parametrize("engine, target, fits", [
    ("raw", "mqtt://127.0.0.1:1883", True), ("raw", "mqtt://localhost:1883", True), ("paho", "mqtt://127.0.0.1:1883", False),
    ("raw", "mqtt://192.0.2.1:1883", False), ("raw", "mqtt://broker.example:1883", False)])
def test_what_the_generator_takes_at_one_target_the_command_takes_too(engine, target, fits):
    call = calls.make("connect", ["connect", "--engine", engine, "--connections", "60k"], BUILD)
    found = room.room_of(call, ranks_of(2, target), BUILD)
    assert (limit_of(found, "routes").share >= 1) == fits, found.lines()


def test_source_addresses_are_divided_over_the_hosts():
    sources = ["--source", ",".join(f"192.0.2.{number}" for number in range(1, 9))]
    one, two = (room.routes_of(connect(1000, *sources), ranks_of(2, hosts=hosts), BUILD) for hosts in ((), (Host("a"), Host("b"))))
    assert (one, two) == ((1, 8), (1, 4))


# One rank alone could not hold the clients by so few workers.
def test_workers_are_those_of_each_rank_and_their_descriptors_count():
    call = connect(60_000, "--workers", "2")
    assert (call.workers, call.clients) == (2, 60_000)
    found = room.room_of(call, ranks_of(2), BUILD)
    assert limit_of(found, "descriptors of a process").share >= 1 and found.plan.clients_per_worker == 15_000 and found.plan.workers == 4
    found = room.room_of(call, ranks_of(2, descriptors=8000, share="fit"), BUILD)
    missing = limit_of(found, "descriptors of a process")
    assert missing in found.missing()
    assert missing.mend.startswith(f"ulimit -Hn {15_000 + OWN['process_files']} ") and missing.mend.endswith("or --workers 4")
    found = room.room_of(connect(60_000, "--clients-per-worker", "15000"), ranks_of(2), BUILD)
    assert found.missing() == [] and found.plan.clients_per_worker == 15_000


def test_wrong_workers_are_named_by_the_generator():
    with pytest.raises(UsageError, match="--workers"):
        connect(1000, "--workers", "none")


def test_a_rank_has_processes_and_files_besides_its_workers():
    plan = make_plan(1000, "raw", 20_000, 2)
    needed = OWN["spare_processes"] + 3 * OWN["rank_processes"] + plan.workers
    assert room.processes_limit(plan, needed, 3).share >= 1
    little = room.processes_limit(plan, needed - 1, 3)
    assert little.share < 1 and "pids.max" in little.mend
    assert room.processes_limit(plan, None, 3).share is None
    files = 1000 + OWN["spare_files"] + 3 * OWN["rank_files"]
    assert room.files_limit(plan, {"file_max": files}, 3).share == 1
    assert room.files_limit(plan, {"file_max": files - 1}, 3).mend == f"sudo sysctl -w fs.file-max={files}"


def test_a_limit_that_is_not_seen_says_what_that_means():
    plan = make_plan(1000, "raw", 20_000, 2)
    told = room.tcp_limit(plan, {"tcp_mem_pages": None})
    assert told.share is None and "sysctl net.ipv4.tcp_mem there" in told.arithmetic and "record" not in told.arithmetic


def test_what_does_not_fit_is_exit_1_with_the_command_that_mends_it(poolmark):
    done = poolmark("cluster", "--hosts", "a,b", "--memory", "2GiB", "--cores", "4", *TARGET, "connect", "--engine", "raw", "--connections", "1M")
    assert done.returncode == 1
    assert "memory is too small. Mend it:" in done.stderr and "routes is too small. Mend it:" in done.stderr
    assert done.stdout.startswith("mpirun ")            # it is printed all the same
    done = poolmark("cluster", "--hosts", "a,b", "--memory", "2GiB", "--cores", "4", *TARGET, "--run", "connect", "--engine", "raw",
                    "--connections", "1M")
    assert done.returncode == 1 and "nothing was started" in done.stderr and done.stdout == ""


def test_limits_of_this_machine_are_said_to_be_guesses_for_others(poolmark):
    done = poolmark("cluster", "--hosts", "a,b", *TARGET, *CONNECT)
    assert "as this machine has it" in done.stderr
    done = poolmark("cluster", "--ranks", "2", *TARGET, *CONNECT)       # all on this machine: no guess
    assert "as this machine has it" not in done.stderr
