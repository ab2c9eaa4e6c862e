# SPDX-License-Identifier: Apache-2.0
"""Work that comes to the target by other ways than the run's: through another of its listeners, or by a connection that it made itself."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faults import GUARD_S, Broker, _die_with_parent, _listens, load, needs_mosquitto
from others import client_of, is_verified, packet, text

import others

own_network = others.own_network  # a fixture of every test here

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
    return load(folder, "connect", port, "--connections", 200, "--rate", 200, "--settle", "500ms", "--watch-pid", pid)

def publishes(client):
    for number in range(60):
        client.sendall(packet(0x30, text(b"much/%d" % number) + bytes(10000)))

@pytest.mark.parametrize("busy", [True, False])
@needs_mosquitto
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

def target(listener, far_port, early):
    """Answers each CONNECT. Has a connection to `far_port`, before all clients or after the first, and reads from it."""
    def bring():
        with socket.create_connection(("127.0.0.1", far_port)) as far:
            while far.recv(65536):
                pass

    def serve(client):
        with client:
            client.recv(4096)
            client.sendall(bytes((0x20, 2, 0, 0)))
            while client.recv(4096):
                pass
    if early:
        threading.Thread(target=bring, daemon=True).start()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()
        if not early:
            threading.Thread(target=bring, daemon=True).start()
            early = True


@pytest.mark.parametrize("early, busy", [(True, True), (True, False), (False, True)])
def test_what_a_bridge_brings_is_not_charged_to_the_run(tmp_path, early, busy):
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, socket.create_server(("127.0.0.1", 0)) as far:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                far_port = far.getsockname()[1]
                far.close()
                target(listener, far_port, early)
            os._exit(0)
        port = listener.getsockname()[1]
        listener.close()
        try:
            bridge = far.accept()[0] if early else None
            with load(tmp_path / "run", "connect", port, "--connections", 200, "--rate", 200, "--settle", "500ms", "--watch-pid", pid) as run:
                run.wait_for("connect ")
                bridge = bridge or far.accept()[0]
                if busy:
                    bridge.sendall(bytes(1_000_000))
                assert run.end() == 0
            bridge.close()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    told = re.search(r"connections that the target has made itself \(a bridge .*\) carried (\d+) bytes", run.anomaly("other_clients"))
    assert bool(told) == busy and (not busy or int(told[1]) >= 500_000)
    assert (run.metric("cpu.per_connection_ns") is None) == busy
    assert is_verified(tmp_path / "run")[0]


def test_what_a_proxy_passes_on_is_the_runs_own(tmp_path):
    """The proxy is watched, and has a connection to the broker for each client."""
    with Broker("--threads", "1") as broker, subprocess.Popen(
            [sys.executable, Path(__file__).with_name("leaking_relay.py"), str(broker.port), "0"], stdout=subprocess.PIPE, text=True) as relay:
        port = int(relay.stdout.readline())
        with load(tmp_path / "run", "publish", port, "--pairs", 3, "--publish-rate", 300, "--payload", "1KiB", "--duration", "1s", "--warmup", 0,
                  "--watch-pid", relay.pid) as run:
            assert run.end() == 0
        relay.kill()
    assert not run.anomaly("other_clients") and run.metric("cpu.per_message_ns") > 0
