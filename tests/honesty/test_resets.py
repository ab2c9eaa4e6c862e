# SPDX-License-Identifier: Apache-2.0
"""Connections that were reset leave no trace in any list. Whose they were is known where the kernel tells which sockets end; elsewhere no
sentence says that they were the target's."""
import contextlib
import re
import socket
import struct
import threading

import pytest
import test_strangers
from faults import BUILD, ROOT, Broker, Load, hiding, load, preloading
from others import client_of, is_verified, packet, text
from test_strangers import churn, listener, publish

own_network = test_strangers.own_network  # a fixture of every test here


@contextlib.contextmanager
def resetting(port):
    """Connects to the port again and again, and ends each connection by a reset. Yields the list of the ports it had."""
    end, had = threading.Event(), []

    def loop():
        while not end.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
                had.append(client.getsockname()[1])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.wait(0.002)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield had
    finally:
        end.set()
        thread.join()


def test_resets_at_another_server_take_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, listener() as port, resetting(port) as had, publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert len(had) > 100 and not run.anomaly("other_clients") and not run.anomaly("other_connections")
    assert run.metric("cpu.per_message_ns") > 0


def test_resets_at_the_target_are_counted(tmp_path):
    with Broker("--threads", "1") as broker, resetting(broker.port) as had, publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    told = re.search(r"beside those of this run (\d+) connections to the target were made", run.anomaly("other_clients"))
    assert told and 16 < int(told[1]) <= len(had) and run.metric("cpu.per_message_ns") is None


def test_resets_that_nobody_heard_are_not_said_to_be_the_targets(tmp_path):
    """While clients of the run come and go nobody listens to the ends of connections."""
    with Broker("--threads", "1") as broker, listener() as port, resetting(port) as had, churn(tmp_path / "run", broker) as run:
        assert run.end() == 0
    told = run.anomaly("other_clients") + run.anomaly("other_connections")
    assert len(had) > 100 and "connections to the target were made" not in told
    assert "may be of another program" in told or "it is not known by which" in told


DEAF = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    if (strcmp(getenv("DEAF_BY"), "bind") == 0 && address->sa_family == AF_NETLINK && ((const struct sockaddr_nl *)address)->nl_groups) {
        errno = EPERM;
        return -1;
    }
    return real(fd, address, size);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    int (*real)(int, int, int, const void *, socklen_t) =
        (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
    int domain = 0, least = 1;
    socklen_t bytes = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes);
    if (strcmp(getenv("DEAF_BY"), "buffer") == 0 && domain == AF_NETLINK && (name == SO_RCVBUF || name == SO_RCVBUFFORCE))
        value = &least; // the kernel then keeps a few events, and drops the others
    return real(fd, level, name, value, size);
}
"""


def publish_and_reset(port, count):
    """So many clients publish 2 MB together, and then all reset their connections at once."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_of(port, b"stranger-%d" % i)) for i in range(count)]
        for client in clients:
            for _ in range(2_000_000 // count // 10_000):
                client.sendall(packet(0x30, text(b"elsewhere") + b"x" * 10_000))
            client.sendall(packet(0xC0, b""))
            assert client.recv(2) == b"\xd0\0"  # it has read all
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def run_beside(folder, count, **how):
    with Broker("--threads", "1") as broker, \
            load(folder, "publish", broker.port, "--pairs", 10, "--publish-rate", 200, "--duration", "2s", "--watch-pid", broker.pid, **how) as run:
        run.wait_for("publish ")
        publish_and_reset(broker.port, count)
        assert run.end() == 0
    return run


def test_one_that_publishes_much_and_is_reset_is_counted_where_its_end_is_heard(tmp_path):
    run = run_beside(tmp_path / "run", 1)
    assert "connections of others to the target carried" in run.anomaly("other_clients") and run.metric("cpu.per_message_ns") is None


@pytest.mark.parametrize("how, count, why", [("bind", 1, "the kernel does not tell which sockets end"),
                                             ("buffer", 12, "the kernel dropped some of what it tells of them")])
def test_few_resets_that_nobody_heard_are_told_as_not_known(tmp_path, how, count, why):
    """Listening is not possible, or the kernel drops what it tells: then none of them is in any list, and what they carried in no count."""
    run = run_beside(tmp_path / "run", count, env=preloading(tmp_path, "deaf", DEAF, DEAF_BY=how))
    told, cost = run.anomaly("other_connections"), run.record["metrics"]["cpu.per_message_ns"]
    if how == "buffer" and cost["value"] is None:
        pytest.skip("the kernel kept enough of what it told")
    assert why in told and "left no trace" in told and "is not known" in told
    assert cost["value"] > 0 and cost["doubt"] == "other_connections" and "doubt" not in run.record["metrics"]["delivery.p99"]
    good, said = is_verified(tmp_path / "run")
    assert good, said


MIX = """
[group.sensors]
role = "publisher"
connections = 10

[group.boards]
role = "subscriber"
from = "sensors"
connections = 2

[[phase]]
name = "arrive"
all = "connect"

[[phase]]
name = "day"
duration = "2s"
sensors = { do = "publish", rate = 100 }
"""


def test_few_resets_that_nobody_heard_mark_the_phase_of_a_mix(tmp_path):
    (tmp_path / "mix.toml").write_text(MIX, encoding="utf-8")
    with Broker("--threads", "1") as broker, \
            Load(tmp_path / "run", [ROOT / "scripts/poolmark", "mix", tmp_path / "mix.toml", "--build", BUILD, "--target", f"mqtt://127.0.0.1:{broker.port}",
                                    "--engine", "raw", "--watch-pid", str(broker.pid), "--record", tmp_path / "run"],
                 env=preloading(tmp_path, "deaf", DEAF, DEAF_BY="bind")) as run:
        run.wait_for("day ")
        publish_and_reset(broker.port, 1)
        assert run.end() == 0, run.said()
    assert "left no trace" in run.anomaly("other_connections") and "marked as doubtful" in run.anomaly("other_connections")
    metrics = run.record["metrics"]
    assert metrics["phase.day.cpu_seconds"]["doubt"] == metrics["phase.day.memory_bytes"]["doubt"] == "other_connections"
    assert "doubt" not in metrics["phase.arrive.cpu_seconds"]
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_resets_are_not_known_where_nothing_counts_them(tmp_path):
    """Neither ends of sockets nor the kernel's number of connections that listeners took can be had."""
    env = {**preloading(tmp_path, "deaf", DEAF, DEAF_BY="bind")}
    hidden = hiding(tmp_path, "/net/snmp", 13)
    env["LD_PRELOAD"] += f":{hidden.pop('LD_PRELOAD')}"
    run = run_beside(tmp_path / "run", 1, env={**hidden, **env})
    assert "whether others connected to the target and were reset is not known" in run.anomaly("others_unseen")
    assert run.record["metrics"]["network.passive_opens"] == {
        "value": None, "unit": "1", "better": "none", "why": "the kernel's counter could not be read"}
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_counters_that_the_kernel_does_not_give_are_not_known_and_not_0(tmp_path):
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 20, "--settle", 0, "--watch-pid", broker.pid,
                 env=hiding(tmp_path, "/net/netstat", 13)) as run:
        assert run.end() == 0
    assert "whether accept queues overflowed or SYNs were sent again is not known" in run.anomaly("network_unknown")
    for name in ("network.listen_overflows", "network.listen_drops", "network.syn_retransmits", "network.tcp_timeouts"):
        assert run.metric(name) is None and "could not be read" in run.record["metrics"][name]["why"]
    assert run.metric("network.passive_opens") >= 20
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_few_resets_while_clients_of_the_run_end_are_told_and_mark_nothing(tmp_path):
    """Nobody listens then, by intent: it would cost the kernel time. Checks of other servers' health are reset all the time."""
    with Broker("--threads", "1") as broker, listener() as port, churn(tmp_path / "run", broker) as run:
        run.wait_for("churn ")
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert run.end() == 0
    assert "3 connections of others" in run.anomaly("other_connections") and "while connections of this run end" in run.anomaly("other_connections")
    assert run.metric("cpu.per_arrival_ns") > 0 and "doubt" not in run.record["metrics"]["cpu.per_arrival_ns"]
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_where_all_is_heard_nothing_is_said_to_be_not_known(tmp_path):
    with Broker("--threads", "1") as broker, publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert not run.anomaly("other_connections") and not run.anomaly("others_unseen") and not run.anomaly("network_unknown")
