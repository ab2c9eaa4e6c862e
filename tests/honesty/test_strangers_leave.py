# SPDX-License-Identifier: Apache-2.0
"""Others that were there before an act of a run and are gone after it, or that leave in it: what they did is not charged to the run's
clients, though no list of sockets has them any more."""
import contextlib
import signal
import socket

import pytest
from faults import Broker, load
from others import client_of, is_verified, packet, text
from test_strangers_within import OF_A_CONNECTION, assert_none, carried, one_after_the_other, publishes_and_leaves

import others
import test_strangers_within

own_network = others.own_network  # a fixture of every test here
descriptors = test_strangers_within.descriptors

MANY = 1500
OF_ARRIVALS = ("cpu.per_arrival_ns", "memory.peak_bytes", "memory.after_bytes")


def churn(folder, broker, *more):
    return load(folder, "churn", broker.port, "--connections", 100, "--churn-rate", 100, "--duration", "3s", "--settle", "1s", "--watch-pid",
                broker.pid, "--all", *more)


def burst(folder, broker):
    return load(folder, "burst", broker.port, "--connections", 50, "--burst", 300, "--burst-rate", 150, "--repeat", 1, "--stay", "500ms", "--calm",
                "500ms", "--settle", "1s", "--watch-pid", broker.pid, "--all")


def storm(folder, broker):
    """Clients wait up to three seconds before they come back."""
    return load(folder, "storm", broker.port, "--connections", 100, "--by-client", "--backoff", "3s", "--jitter", 1, "--settle", "1s",
                "--watch-pid", broker.pid, "--all")


def publishes(other, messages=60):
    """Messages of 10 000 bytes, which are kept. The target has read all of them."""
    for number in range(messages):
        other.sendall(packet(0x31, text(b"kept/%d" % number) + bytes(10000)))
    other.sendall(b"\xc0\0")
    assert other.recv(2) == b"\xd0\0"


@pytest.mark.parametrize("start, phase", [(churn, " churn "), (burst, " burst "), (storm, " storm ")])
def test_one_that_was_there_before_publishes_and_leaves(tmp_path, start, phase):
    with Broker("--threads", "1") as broker:
        with start(tmp_path / "alone", broker) as alone:
            assert alone.end() == 0
        assert not alone.anomaly("other_clients") and all(alone.metric(name) > 0 for name in OF_ARRIVALS)
        with client_of(broker.port, b"before") as other, start(tmp_path / "beside", broker) as beside:
            beside.wait_for(phase)
            publishes(other)
            other.sendall(b"\xe0\0")
            other.close()
            assert beside.end() == 0
    told = beside.anomaly("other_clients")
    assert "1 connections of others to the target that were there before ended meanwhile" in told or carried(beside) >= 600_000, told
    assert_none(beside, OF_ARRIVALS)
    good, said = is_verified(tmp_path / "beside")
    assert good, said


@pytest.mark.parametrize("start", [churn, burst, storm])
def test_one_that_was_there_before_and_stays_takes_no_figure(tmp_path, start):
    with Broker("--threads", "1") as broker, client_of(broker.port, b"monitor"), start(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert not run.anomaly("other_clients") and all(run.metric(name) > 0 for name in OF_ARRIVALS)


def connect(folder, broker):
    """Clients connect for more than two seconds."""
    return load(folder, "connect", broker.port, "--connections", 400, "--rate", 150, "--settle", "1s", "--watch-pid", broker.pid, "--all")


def test_many_that_leave_while_ours_connect(tmp_path, descriptors):
    with Broker("--threads", "1") as broker, contextlib.ExitStack() as before:
        for _ in range(MANY):
            before.enter_context(socket.create_connection(("127.0.0.1", broker.port)))
        with connect(tmp_path / "run", broker) as run:
            run.wait_for("connect ")
            before.close()
            assert run.end() == 0
    assert f"{MANY} connections of others to the target that were there before ended meanwhile" in run.anomaly("other_clients")
    assert_none(run, OF_A_CONNECTION)
    assert run.metric("clients.connected") == 400
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_few_that_leave_while_ours_connect_take_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, contextlib.ExitStack() as before:
        for number in range(5):
            before.enter_context(client_of(broker.port, b"monitor%d" % number))
        with connect(tmp_path / "run", broker) as run:
            run.wait_for("connect ")
            before.close()
            assert run.end() == 0
    assert not run.anomaly("other_clients") and run.metric("cpu.per_connection_ns") > 0


def test_many_that_leave_while_ours_publish(tmp_path, descriptors):
    with Broker("--threads", "1") as broker, contextlib.ExitStack() as before:
        for _ in range(MANY):
            before.enter_context(socket.create_connection(("127.0.0.1", broker.port)))
        with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--publish-rate", 100, "--duration", "3s", "--warmup", 0, "--watch-pid",
                  broker.pid) as run:
            run.wait_for("publish ")
            before.close()
            assert run.end() == 0
    assert "ended meanwhile" in run.anomaly("other_clients") and run.metric("cpu.per_message_ns") is None


# --- what others leave behind in one part of a run is in the memory of the next ----------------------------------------


def test_one_that_publishes_while_the_probes_of_a_step_do(tmp_path):
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "steps", broker.port, "--steps", "200,400", "--rate", 400, "--probe", 4, "--settle", "1s", "--watch-pid",
                 broker.pid) as run:
        run.wait_for(" probe ")
        publishes_and_leaves(broker.port, messages=300)
        assert run.end() == 0
    assert carried(run) >= 3_000_000
    assert run.metric("memory.per_connection_bytes") is None
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_one_that_publishes_while_the_clients_of_a_churn_connect(tmp_path):
    with Broker("--threads", "1") as broker, churn(tmp_path / "run", broker, "--rate", 40) as run:
        run.wait_for("connect ")
        publishes_and_leaves(broker.port)
        assert run.end() == 0
    assert carried(run) >= 600_000
    assert_none(run, ("memory.peak_bytes", "memory.after_bytes"))
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_a_soak_that_is_ended_early_has_no_verdict_beside_others_either(tmp_path):
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "soak", broker.port, "--connections", 50, "--churn-rate", 20, "--pairs", 2, "--publish-rate", 20, "--settle",
                 "500ms", "--duration", "60s", "--watch-pid", broker.pid) as run:
        run.wait_for(" soak ")
        one_after_the_other(broker.port, 300)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 1
    told = run.record["summary"]["verdicts"]["memory"]
    assert told["verdict"] == "not measured" and "others loaded the target" in told["why"]
    assert "soak.memory_slope" not in run.record["metrics"]
