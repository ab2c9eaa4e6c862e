# SPDX-License-Identifier: Apache-2.0
"""Which watched processes are the target: those that listen at its address, or have its connections. Another program that has as many
descriptors is not."""
import array
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import GUARD_S, Broker, as_user, in_namespace, load, needs_root

FIGURES = ("memory.full_bytes", "cpu.per_connection_ns")
CLIENTS = 60
MANY = 100  # of another broker: more than CLIENTS


def connect(folder, broker, watched, **more):
    pids = [word for pid in watched for word in ("--watch-pid", pid)]
    return load(folder, "connect", broker.port, "--connections", CLIENTS, "--settle", "500ms", "--fresh-target", *pids, **more)


def has_figures(run):
    return [run.metric(name) is not None for name in FIGURES]


@contextlib.contextmanager
def busy(**how):
    """Another broker, to which others have connected."""
    with Broker("--threads", "1", **how) as other, contextlib.ExitStack() as clients:
        other.host = "127.0.0.1"
        if not how:
            for _ in range(MANY):
                clients.enter_context(socket.create_connection(("127.0.0.1", other.port)))
        yield other


def test_another_broker_with_many_clients_is_not_the_target(tmp_path):
    with Broker("--threads", "1") as broker, busy() as other, connect(tmp_path / "run", broker, [other.pid]) as run:
        assert run.end() == 0
        assert has_figures(run) == [False, False]
        told = run.anomaly("not_the_target")
        assert f"none of the {CLIENTS} connections of this run" in told and f"(process {broker.pid} does)" in told


def test_a_process_beside_the_target_is_told_and_counted(tmp_path):
    with Broker("--threads", "1") as broker, subprocess.Popen(["sleep", str(GUARD_S)]) as other:
        with connect(tmp_path / "run", broker, [broker.pid, other.pid]) as run:
            assert run.end() == 0
        with connect(tmp_path / "alone", broker, [broker.pid]) as alone:
            assert alone.end() == 0
        other.kill()
    assert has_figures(run) == [True, True] and f"the first is {other.pid}, neither listens" in run.anomaly("helper_watched")
    assert not alone.anomaly("helper_watched") and not alone.anomaly("watched_unseen")


def test_a_broker_behind_a_proxy_is_the_target(tmp_path):
    with Broker("--threads", "1") as broker, subprocess.Popen(
            [sys.executable, Path(__file__).with_name("leaking_relay.py"), str(broker.port), "0"], stdout=subprocess.PIPE,
            text=True) as relay, busy() as other:
        relay.port = int(relay.stdout.readline())
        with connect(tmp_path / "behind", relay, [broker.pid]) as behind:
            assert behind.end() == 0
        with connect(tmp_path / "other", relay, [other.pid]) as apart:
            assert apart.end() == 0
        relay.kill()
    assert has_figures(behind) == [True, True]
    assert not any(behind.anomaly(what) for what in ("not_the_target", "not_all_watched", "watched_unseen"))
    assert has_figures(apart) == [False, False] and f"(process {relay.pid} does)" in apart.anomaly("not_the_target")


def passing(listener, to):
    """Accepts, and gives each connection to another process."""
    while True:
        client, _ = listener.accept()
        with client:
            to.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))])


def serving(given):
    """Answers a CONNECT of each connection that it is given, and keeps it."""
    kept = []
    while message := given.recvmsg(1, socket.CMSG_SPACE(4)):
        kept.append(socket.socket(fileno=int.from_bytes(message[1][0][2], sys.byteorder)))
        kept[-1].recv(4096)
        kept[-1].sendall(bytes((0x20, 2, 0, 0)))


def test_a_process_that_is_given_its_connections_is_the_target(tmp_path):
    to, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pids = []
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, to, given:
        for work in (lambda: passing(listener, to), lambda: (listener.close(), serving(given))):
            pids.append(os.fork())
            if pids[-1] == 0:
                with contextlib.suppress(BaseException):
                    work()
                os._exit(0)
        port = listener.getsockname()[1]
        listener.close()
        try:
            with load(tmp_path / "run", "connect", port, "--connections", CLIENTS, "--fresh-target", "--watch-pid", pids[1]) as run:
                assert run.end() == 0
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    assert has_figures(run) == [True, True] and not run.anomaly("not_the_target") and not run.anomaly("not_all_watched")


@pytest.mark.parametrize("listen, host", [("127.0.0.1:0", "[::ffff:127.0.0.1]"), ("10.77.0.1:0", "10.77.0.1"), ("0.0.0.0:0", "10.77.0.1"),
                                          ("[fd77::1]:0", "[fd77::1]")])
@needs_root
def test_own_addresses_that_are_not_the_loopback_are_looked_up(tmp_path, listen, host):
    setup = "ip link set lo up && ip addr add 10.77.0.1/32 dev lo && ip addr add fd77::1/128 dev lo nodad"
    with in_namespace(setup=setup) as prefix, Broker("--threads", "1", listen=listen, prefix=prefix) as broker, busy(prefix=prefix) as other:
        with load(tmp_path / "clients", "connect", other.port, "--connections", MANY, "--hold", f"{GUARD_S}s", host=other.host,
                  prefix=prefix) as clients:
            clients.wait_for("hold ")
            with connect(tmp_path / "other", broker, [other.pid], host=host, prefix=prefix) as wrong:
                assert wrong.end() == 0
        with connect(tmp_path / "right", broker, [broker.pid], host=host, prefix=prefix) as right:
            assert right.end() == 0
    assert has_figures(wrong) == [False, False] and f"none listens at tcp://{host.replace('[::ffff:127.0.0.1]', '127.0.0.1')}" in wrong.anomaly("not_the_target")
    assert has_figures(right) == [True, True] and not right.anomaly("helper_watched") and not right.anomaly("watched_unseen")


@needs_root
def test_a_target_in_a_namespace_of_its_own_is_looked_up_there(tmp_path):
    """The generator is in one namespace; a broker in another one has the address, and one more there the same port of the loopback."""
    with in_namespace() as outer, in_namespace() as inner:
        keeper = {name: prefix[2] for name, prefix in (("outer", outer), ("inner", inner))}
        subprocess.run([*outer, "sh", "-c", f"ip link add v0 type veth peer name v1 netns /proc/{keeper['inner']}/ns/net && "
                        "ip addr add 10.78.0.1/24 dev v0 && ip link set v0 up"], check=True)
        subprocess.run([*inner, "sh", "-c", "ip addr add 10.78.0.2/24 dev v1 && ip link set v1 up"], check=True)
        with Broker("--threads", "1", listen="10.78.0.2:0", prefix=inner) as broker, \
                Broker("--threads", "1", listen=f"127.0.0.1:{broker.port}", prefix=inner) as other:
            with connect(tmp_path / "right", broker, [broker.pid], host="10.78.0.2", prefix=outer) as right:
                assert right.end() == 0
            with connect(tmp_path / "wrong", broker, [other.pid], host="10.78.0.2", prefix=outer) as wrong:
                assert wrong.end() == 0
    assert has_figures(right) == [True, True] and not right.anomaly("watched_unseen")
    assert has_figures(wrong) == [False, False] and f"(process {broker.pid} does)" in wrong.anomaly("not_the_target")


@needs_root
def test_where_descriptors_may_not_be_listed_it_is_said(open_folder):
    with Broker("--threads", "1") as broker, busy() as other, \
            connect(open_folder / "run", broker, [other.pid], before=as_user()) as run:
        assert run.end() == 0
    assert "their descriptors may not be listed by this user" in run.anomaly("watched_unseen")


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def with_helper(listener, kind):
    """Answers each CONNECT after work that a child did: one that lives (over a socket), or one for every third connection. Or none works."""
    asks, answers = socket.socketpair()
    if os.fork() == 0:
        listener.close()
        asks.close()
        while answers.recv(1):
            spin(0.004 if kind == "lives" else 0)
            answers.sendall(b".")
        os._exit(0)
    kept = []
    while True:
        kept.append(listener.accept()[0])
        asks.sendall(b".")
        asks.recv(1)
        if kind == "ends" and len(kept) % 3 == 0:
            pid = os.fork()
            if pid == 0:
                spin(0.02)
                os._exit(0)
            os.waitpid(pid, 0)
        kept[-1].recv(4096)
        kept[-1].sendall(bytes((0x20, 2, 0, 0)))


@pytest.mark.parametrize("kind", ["lives", "ends"])
def test_children_that_work_for_the_target_are_not_left_out_silently(tmp_path, kind):
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            with contextlib.suppress(BaseException):
                with_helper(listener, kind)
            os._exit(0)
        port = listener.getsockname()[1]
    try:
        with load(tmp_path / "run", "connect", port, "--connections", CLIENTS, "--fresh-target", "--watch-pid", pid) as run:
            assert run.end() == 0
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    told = re.search(r"children of the watched processes .* took ([0-9.]+) s of CPU time beside", run.anomaly("not_all_watched"))
    assert told and float(told[1]) > 0.1 and has_figures(run) == [False, False]
