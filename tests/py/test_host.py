# SPDX-License-Identifier: Apache-2.0
"""The plan that spreads connections over processes, and the check of the host."""
import json
import math

import pytest
from poolmark.facts import host
from poolmark.facts.plan import RESERVE, make_plan


@pytest.mark.parametrize("connections", [1, 10, 9_999, 10_000, 10_001, 19_488, 19_489, 100_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("limit", [1_024, 20_000, 1_048_576])
@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_no_plan_passes_a_limit_or_a_route(connections, limit, engine):
    plan = make_plan(connections, engine, limit, 2)
    assert plan.connections_per_instance + RESERVE <= limit
    assert plan.clients_per_worker + 200 <= limit  # the generator's reserve (loadgen/run.c)
    assert plan.instances * plan.connections_per_instance >= connections
    assert plan.workers * plan.clients_per_worker >= connections
    routes = plan.instances * plan.listens_per_instance
    assert routes * plan.connections_per_route >= connections
    assert math.ceil(connections / routes) <= plan.connections_per_route
    assert plan.connections_per_route == 10_000 or engine == "raw"  # a library's ports are searched by the kernel


def test_a_high_limit_gives_one_broker_with_threads():
    plan = make_plan(1_000_000, "raw", 2_000_000, 8, calls=[["connect", "--engine", "raw", "--connections", 1_000_000,
                                                             "--ports", "kernel"]])
    assert (plan.instances, plan.threads, plan.listens_per_instance) == (1, 8, 100)


def test_listeners_are_on_loopback_with_ports_of_the_kernels_choice():
    plan = make_plan(40_000, "raw", 20_000, 2)
    assert all(plan.listens(i)[0].startswith("127.0.0.") and plan.listens(i)[0].endswith(":0")
               for i in range(plan.instances))


def test_what_is_too_small_is_named_with_the_amount_and_the_mend(monkeypatch):
    real = host.proc_files.read_int

    def small(path):
        return 500_000 if path == "/proc/sys/fs/file-max" else real(path)

    monkeypatch.setattr(host.proc_files, "read_int", small)
    plan = make_plan(1_000_000, "raw", 20_000, 2)
    files = next(check for check in host.check_host(plan) if "open files" in check.what)
    assert files.fits is False
    assert files.needed > 2_000_000 and f"fs.file-max={files.needed}" in files.mend


@pytest.mark.parametrize("tracked, fits", [(1, True), (9_000, False)])
def test_what_the_firewall_tracks_already_has_no_room_left(monkeypatch, tracked, fits):
    """Of 10 000 places 9 000 are taken: 2 000 more do not fit. Only all 10 000 were looked at."""
    read_int = host.proc_files.read_int
    known = {"/proc/sys/net/netfilter/nf_conntrack_count": tracked, "/proc/sys/net/netfilter/nf_conntrack_max": 10_000}
    monkeypatch.setattr(host.proc_files, "read_int", lambda path: known.get(path, read_int(path)))
    check = next(check for check in host.check_host(make_plan(2_000, "raw", 20_000, 2)) if "firewall" in check.what)
    assert check.fits is fits and check.needed == 2_000 + tracked


def test_descriptors_that_a_user_may_watch_are_counted(monkeypatch):
    read_int = host.proc_files.read_int
    monkeypatch.setattr(host.proc_files, "read_int", lambda path: 3_000 if path.endswith("max_user_watches") else read_int(path))
    found = {count: next(check for check in host.check_host(make_plan(count, "raw", 20_000, 2)) if "epoll" in check.what) for count in (1_500, 2_000)}
    assert found[1_500].fits is True and found[2_000].fits is False and "fs.epoll.max_user_watches=4000" in found[2_000].mend


def test_what_cannot_be_read_neither_fits_nor_fails(monkeypatch):
    monkeypatch.setattr(host.proc_files, "read_int", lambda path: None)
    checks = host.check_host(make_plan(1_000, "raw", 20_000, 2))
    assert next(check for check in checks if "open files" in check.what).fits is None


def test_what_fits_needs_no_more_memory_than_there_is():
    count = host.connections_that_fit("raw", "classic", 8 << 30, 20_000, 2)
    assert count > 100_000
    assert host.memory_needed(make_plan(count, "raw", 20_000, 2), "classic") <= (8 << 30) - host.SPARE_BYTES
    assert host.memory_needed(make_plan(count + 2000, "raw", 20_000, 2), "classic") > (8 << 30) - host.SPARE_BYTES


def test_the_command_says_whether_it_fits(poolmark):
    done = poolmark("host", "--connections", "100", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["fits"] else 1)
    assert told["plan"]["instances"] == 1 and told["connections"] == 100
    done = poolmark("host", "--connections", "90M")
    assert done.returncode == 1
    assert "memory available:" in done.stdout and "too small. Mend it:" in done.stdout and "It does not fit." in done.stdout


def test_a_count_that_is_none_is_exit_2(poolmark):
    assert poolmark("host", "--connections", "lots").returncode == 2


def test_an_unknown_strategy_is_exit_2_and_the_known_ones_are_named(poolmark):
    done = poolmark("host", "--connections", "1M", "--strategy", "foo")
    assert done.returncode == 2
    assert all(repr(name) in done.stderr for name in ("malloc", "fixed", "expand", "sync", "blocks", "slab"))
    assert "'null'" not in done.stderr
