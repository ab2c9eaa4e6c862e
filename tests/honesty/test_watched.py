# SPDX-License-Identifier: Apache-2.0
"""Memory and CPU time of processes that are not the target, or not all of it, are not charged to the connections."""
import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from commands import poolmark
from faults import Broker, load

FIGURES = ("memory.per_connection_bytes", "memory.full_bytes", "cpu.per_connection_ns")


CONNACK = bytes((0x20, 2, 0, 0))


def serve(listener):
    """Answers a CONNECT and keeps the connection until its client ends it."""
    def one(client):
        with client:
            client.recv(4096)
            client.sendall(CONNACK)
            while client.recv(4096):
                pass
    while True:
        client, _ = listener.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()


def run_as_master(listener, workers, ready):
    """In a process of its own: workers that inherit the listener, or without workers a process for each connection."""
    for _ in range(workers):
        if os.fork() == 0:
            serve(listener)
    os.write(ready, b".")
    while not workers:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            with client:
                client.recv(4096)
                client.sendall(CONNACK)
                while client.recv(4096):
                    pass
            os._exit(0)
        client.close()
    signal.pause()


@contextlib.contextmanager
def processes(workers):
    """(pid of the master, port)."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.close(told)
            run_as_master(listener, workers, tell)
        assert os.read(told, 1) == b"."
        try:
            yield pid, listener.getsockname()[1]
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(told)
            os.close(tell)


def connect(folder, port, *more):
    return load(folder, "connect", port, "--connections", 3000, "--settle", "1s", *more)


def test_one_of_two_targets_watched_gives_no_figure(tmp_path):
    with Broker("--shape", "classic", "--threads", "1") as one, Broker("--shape", "classic", "--threads", "1") as other:
        both = ("--target", f"mqtt://127.0.0.1:{other.port}")
        with connect(tmp_path / "both", one.port, *both, "--watch-pid", one.pid, "--watch-pid", other.pid) as run:
            assert run.end() == 0
        assert all(run.metric(name) > 0 for name in FIGURES)
        assert not run.anomaly("not_all_watched") and not run.anomaly("not_the_target")
        with connect(tmp_path / "one", one.port, *both, "--watch-pid", one.pid) as run:
            assert run.end() == 0
        assert [run.metric(name) for name in FIGURES] == [None] * 3
        assert f"1 of 2 listening sockets of the targets are of no watched process, the first at tcp://127.0.0.1:{other.port}" in run.anomaly(
            "not_all_watched")
    verify = poolmark("verify", tmp_path / "one")
    assert verify.returncode == 0, verify.stdout


def test_a_process_that_is_not_the_target_gives_no_figure_and_is_named(tmp_path):
    with Broker("--threads", "1") as broker, connect(tmp_path / "run", broker.port, "--watch-pid", os.getpid()) as run:
        assert run.end() == 0
        assert [run.metric(name) for name in FIGURES] == [None] * 3
        assert f"none listens at tcp://127.0.0.1:{broker.port}" in run.anomaly("not_the_target")
        # The kernel's memory is of the host, whoever is watched; other tests may disturb it.
        assert not [line for line in run.anomaly("resolution").splitlines() if not line.startswith("kernel.")]
        assert not run.anomaly("served_before")


@pytest.mark.parametrize("workers, said", [(2, "have a listening socket of the target too"), (0, "a process for each connection")])
def test_a_target_of_several_processes_of_which_one_is_watched_gives_no_figure(tmp_path, workers, said):
    with processes(workers) as (pid, port), load(tmp_path / "run", "connect", port, "--connections", 60, "--fresh-target",
                                                 "--watch-pid", pid) as run:
        assert run.end() == 0
        assert [run.metric(name) for name in FIGURES] == [None] * 3
        assert said in run.anomaly("not_all_watched")


def test_a_target_of_several_processes_that_are_all_watched_has_figures(tmp_path):
    with processes(2) as (pid, port):
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        watched = [word for one in (pid, *workers) for word in ("--watch-pid", one)]
        with load(tmp_path / "run", "connect", port, "--connections", 60, "--fresh-target", *watched) as run:
            assert run.end() == 0
            assert len(workers) == 2 and not run.anomaly("not_all_watched") and run.metric("memory.full_bytes") > 0
            assert run.metric("cpu.per_connection_ns") > 0
