# SPDX-License-Identifier: Apache-2.0
"""Work that comes to the target by other ways than the run's: through another of its listeners, or by a connection that it made itself."""
import contextlib
import re
import socket
import subprocess
import time

import pytest
from faults import GUARD_S, Broker, _die_with_parent, _listens, load, needs_mosquitto
from others import client_of, is_verified, packet, text

import others

own_network = others.own_network  # a fixture of every test here
pytestmark = needs_mosquitto

@contextlib.contextmanager
def mosquitto(folder, *lines, listeners=1):
    """mosquitto with so many listeners and these lines. Yields (its ports, pid)."""
    with contextlib.ExitStack() as free:
        ports = [free.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(listeners)]
    folder.mkdir()
    said = [f"listener {port} 127.0.0.1" for port in ports]
    (folder / "mosquitto.conf").write_text("\n".join([*said, "allow_anonymous true", *lines, ""]), encoding="ascii")
    process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", folder / "mosquitto.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=_die_with_parent)
    limit = time.monotonic() + GUARD_S
    try:
        while not all(_listens(port, process.pid) for port in ports):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        yield ports, process.pid
    finally:
        process.terminate()
        process.wait(10)

def connect(folder, port, pid):
    return load(folder, "connect", port, "--connections", 400, "--rate", 400, "--settle", "1s", "--watch-pid", pid)

def publishes(client):
    for number in range(60):
        client.sendall(packet(0x30, text(b"much/%d" % number) + bytes(10000)))

@pytest.mark.parametrize("busy", [True, False])
def test_what_comes_through_another_listener_is_not_charged_to_the_run(tmp_path, busy):
    with mosquitto(tmp_path / "target", listeners=2) as ((port, second), pid), client_of(second, b"one") as other:
        with connect(tmp_path / "run", port, pid) as run:
            run.wait_for("connect ")
            if busy:
                publishes(other)
            assert run.end() == 0
    told = re.search(r"connections of others to other listeners of the target than this run's carried (\d+) bytes", run.anomaly("other_clients"))
    assert bool(told) == busy and (not busy or int(told[1]) >= 600_000)
    assert (run.metric("cpu.per_connection_ns") is None) == busy
    assert is_verified(tmp_path / "run")[0]

@contextlib.contextmanager
def a_bridged_one(folder, port):
    """Yields (port, pid) of a broker that gets all messages of the one at `port`, once it does."""
    with mosquitto(folder, "connection a", f"address 127.0.0.1:{port}", "topic # in 0", "restart_timeout 1") as ((own,), pid):
        with client_of(own, b"look") as look, client_of(port, b"speak") as speak:
            look.sendall(packet(0x82, b"\0\1" + text(b"is/there") + b"\0"))
            assert look.recv(5)[0] == 0x90
            look.settimeout(0.2)
            limit, told = time.monotonic() + GUARD_S, b""
            while not told:
                assert time.monotonic() < limit
                speak.sendall(packet(0x30, text(b"is/there") + b"x"))
                with contextlib.suppress(TimeoutError):
                    told = look.recv(100)
        yield own, pid

@pytest.mark.parametrize("busy", [True, False])
def test_what_a_bridge_brings_is_not_charged_to_the_run(tmp_path, busy):
    with Broker("--threads", "1") as far, a_bridged_one(tmp_path / "target", far.port) as (port, pid), client_of(far.port, b"one") as other:
        with connect(tmp_path / "run", port, pid) as run:
            run.wait_for("connect ")
            if busy:
                publishes(other)
            assert run.end() == 0
    told = re.search(r"connections that the target has made itself \(a bridge .*\) carried (\d+) bytes", run.anomaly("other_clients"))
    assert bool(told) == busy and (not busy or int(told[1]) >= 600_000)
    assert (run.metric("cpu.per_connection_ns") is None) == busy
    assert is_verified(tmp_path / "run")[0]

def test_a_bridge_that_is_made_in_the_run_is_found(tmp_path):
    """The other broker begins to listen when the clients of the run are connected."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        far_port = free.getsockname()[1]
    with mosquitto(tmp_path / "target", "connection a", f"address 127.0.0.1:{far_port}", "topic # in 0", "restart_timeout 1") as (
            (port,), pid), load(tmp_path / "run", "publish", port, "--pairs", 2, "--publish-rate", 20, "--duration", "6s", "--warmup", 0,
                                "--watch-pid", pid) as run:
        run.wait_for("publish ")
        with Broker("--threads", "1", listen=f"127.0.0.1:{far_port}") as far, client_of(far.port, b"one") as other:
            while run.process.poll() is None and "publish " in run.said():
                publishes(other)
                time.sleep(0.3)
            assert run.end() == 0
    assert "connections that the target has made itself" in run.anomaly("other_clients") and run.metric("cpu.per_message_ns") is None
