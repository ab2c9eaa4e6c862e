# SPDX-License-Identifier: Apache-2.0
"""Others load the same target: what they cost is not charged to this run's connections and messages. Few of them leave a figure."""
import contextlib
import os
import re
import socket
import threading

import pytest
from faults import GUARD_S, Broker, load
from others import client_of, is_verified, packet, text

import others

own_network = others.own_network  # a fixture of every test here


@contextlib.contextmanager
def stranger(folder, port, rate):
    """Another generator, which publishes to the same target until the end of the test."""
    with load(folder, "publish", port, "--pairs", 5, "--publish-rate", rate, "--duration", f"{GUARD_S}s", "--warmup", 0) as run:
        run.wait_for("publish ")
        yield run


def connect(folder, broker, *more):
    return load(folder, "connect", broker.port, "--connections", 2000, "--settle", "2s", "--watch-pid", broker.pid, *more)


def publish(folder, broker):
    return load(folder, "publish", broker.port, "--pairs", 10, "--publish-rate", 200, "--duration", "1s", "--watch-pid", broker.pid)


@pytest.mark.parametrize("start, figure", [(connect, "cpu.per_connection_ns"), (publish, "cpu.per_message_ns")])
def test_a_target_that_others_load_gives_no_cost_and_says_what_they_take(tmp_path, start, figure):
    with Broker("--threads", "1") as broker:
        with start(tmp_path / "alone", broker) as alone:
            assert alone.end() == 0
        assert alone.metric(figure) > 0 and not alone.anomaly("target_busy")
        with stranger(tmp_path / "stranger", broker.port, 4000), start(tmp_path / "beside", broker) as beside:
            assert beside.end() == 0  # nothing was lost: what is not known is null
        assert beside.record["status"] == "complete" and beside.metric(figure) is None
        assert "Something else loads the target" in beside.anomaly("target_busy")
        assert "target_busy" in beside.record["metrics"][figure]["why"]
        assert beside.metric("cpu.idle_share") > 5 * max(alone.metric("cpu.idle_share"), 0.001)
        good, said = is_verified(tmp_path / "beside")
        assert good, said


def test_clients_of_others_that_come_meanwhile_give_no_figure_for_a_connection(tmp_path):
    with Broker("--threads", "1") as broker, contextlib.ExitStack() as others:
        if os.stat(f"/proc/{broker.pid}/fd").st_size == 0:
            pytest.skip("this kernel does not count descriptors (before Linux 6.2)")
        with load(tmp_path / "run", "connect", broker.port, "--connections", 400, "--rate", 200, "--settle", "2s", "--watch-pid",
                  broker.pid) as run:
            run.wait_for("connect ")
            for _ in range(60):
                others.enter_context(socket.create_connection(("127.0.0.1", broker.port)))
            assert run.end() == 0
        more = re.search(r"had (\d+) descriptors open beyond those of this run's clients", run.anomaly("other_clients"))
        assert more and 50 <= int(more[1]) <= 61
        for name in ("cpu.per_connection_ns", "memory.per_connection_bytes", "kernel.per_connection_bytes"):
            assert run.metric(name) is None, name
        assert is_verified(tmp_path / "run")[0]


def test_a_client_that_looks_on_takes_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, stranger(tmp_path / "monitor", broker.port, 5):
        with connect(tmp_path / "run", broker) as run:
            assert run.end() == 0
        assert run.metric("cpu.per_connection_ns") > 0
        assert not run.anomaly("target_busy") and not run.anomaly("other_clients")
        assert run.metric("cpu.idle_share") < 0.005


@contextlib.contextmanager
def connecting(port, sent=b""):
    """Connects to the port again and again, one connection at a time, sends `sent` and closes. Yields the list of the ports it had."""
    end, had = threading.Event(), []

    def loop():
        while not end.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
                had.append(client.getsockname()[1])
                client.sendall(sent)
                client.settimeout(0.05)
                while sent and client.recv(100):  # until the broker closes
                    pass
                end.wait(0.002)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield had
    finally:
        end.set()
        thread.join()


@contextlib.contextmanager
def listener():
    """Another server of this host, which takes connections and closes them after the client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        end = threading.Event()

        def loop():
            while not end.is_set():
                with contextlib.suppress(OSError):
                    client, _ = server.accept()
                    with client:
                        client.recv(1)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            end.set()
            thread.join()


def churn(folder, broker, *more):
    return load(folder, "churn", broker.port, "--connections", 200, "--churn-rate", 200, "--duration", "2s", "--settle", "1s", "--watch-pid",
                broker.pid, *more)


@pytest.mark.parametrize("start, figures, sent", [(churn, ("cpu.per_arrival_ns", "memory.peak_bytes"), b"\0\0"),
                                                  (publish, ("cpu.per_message_ns",), b"")])
def test_clients_that_come_and_go_one_at_a_time_are_counted(tmp_path, start, figures, sent):
    with Broker("--threads", "1") as broker:
        with start(tmp_path / "alone", broker) as alone:
            assert alone.end() == 0
        assert not alone.anomaly("other_clients") and all(alone.metric(name) > 0 for name in figures)
        with connecting(broker.port, sent) as had, start(tmp_path / "beside", broker) as beside:
            assert beside.end() == 0
        told = re.search(r"beside those of this run (\d+) connections to the target", beside.anomaly("other_clients"))
        assert told and 16 < int(told[1]) <= len(had)
        assert all(beside.metric(name) is None for name in figures)
        good, said = is_verified(tmp_path / "beside")
        assert good, said


def test_retained_messages_of_another_client_are_no_memory_of_connections(tmp_path):
    """The first step takes two seconds: a line of progress comes each second, and one of half a second may have none."""
    with Broker("--threads", "1") as broker, client_of(broker.port, b"one") as other:
        with load(tmp_path / "run", "steps", broker.port, "--steps", "200,300", "--rate", 100, "--probe", 4, "--duration", "500ms",
                  "--settle", "1s", "--watch-pid", broker.pid) as run:
            run.wait_for("connect ")
            for number in range(60):
                other.sendall(packet(0x31, text(b"kept/%d" % number) + bytes(10000)))
            assert run.end() == 0
    assert "connections of others to the target carried" in run.anomaly("other_clients")
    assert run.metric("memory.per_connection_bytes") is None and is_verified(tmp_path / "run")[0]


def test_another_generator_that_churns_is_counted(tmp_path):
    with Broker("--threads", "1") as broker, load(tmp_path / "other", "churn", broker.port, "--connections", 50, "--churn-rate", 100,
                                                  "--duration", f"{GUARD_S}s") as other:
        other.wait_for("churn ")
        with churn(tmp_path / "run", broker) as run:
            assert run.end() == 0
    # Clients that come back use their ports again: the list of sockets shows few of those that came.
    assert re.search(r"connections (to the target were made|were taken) meanwhile", run.anomaly("other_clients"))
    assert run.metric("cpu.per_arrival_ns") is None and is_verified(tmp_path / "run")[0]


def test_a_load_that_is_there_on_purpose_is_no_stranger(tmp_path):
    with Broker("--threads", "1") as broker, connecting(broker.port, b"\0\0") as had, \
            churn(tmp_path / "run", broker, "--beside", "the attack x") as run:
        assert run.end() == 0
    assert len(had) > 16 and "the attack x loads the target on purpose" in run.anomaly("beside")
    assert not run.anomaly("other_clients") and not run.anomaly("target_busy") and not run.anomaly("other_connections")
    assert run.metric("cpu.per_arrival_ns") is None and run.metric("arrival.p99") > 0 and is_verified(tmp_path / "run")[0]


def test_clients_of_others_that_are_refused_are_counted(tmp_path):
    with Broker("--threads", "1", "--max-connections", "210") as broker, load(
            tmp_path / "other", "churn", broker.port, "--connections", 50, "--churn-rate", 100, "--duration", f"{GUARD_S}s") as other:
        other.wait_for("churn ")
        with load(tmp_path / "run", "publish", broker.port, "--pairs", 80, "--publish-rate", 200, "--duration", "2s", "--watch-pid",
                  broker.pid) as run:
            run.end()
    told = run.anomaly("other_clients")
    assert "connections to the target were made meanwhile" in told and run.metric("cpu.per_message_ns") is None


def test_resets_leave_no_trace_and_are_counted_where_nothing_else_goes_on(tmp_path):
    with Broker("--threads", "1") as broker, load(tmp_path / "other", "churn", broker.port, "--connections", 50, "--churn-rate", 100,
                                                  "--leave", "rst", "--duration", f"{GUARD_S}s") as other:
        other.wait_for("churn ")
        with churn(tmp_path / "run", broker, "--leave", "rst") as run:
            assert run.end() == 0
    assert run.anomaly("other_clients") or (os.geteuid() != 0 and run.anomaly("other_connections"))
    assert os.geteuid() != 0 or run.metric("cpu.per_arrival_ns") is None


def test_clients_of_another_server_take_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, listener() as port, connecting(port) as had, churn(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert len(had) > 100 and not run.anomaly("other_clients") and run.metric("cpu.per_arrival_ns") > 0


@contextlib.contextmanager
def spy(port):
    """Subscribes to everything, and reads."""
    with client_of(port, b"spy") as client:
        client.sendall(packet(0x82, b"\0\1" + text(b"#") + b"\0"))
        assert client.recv(5)[0] == 0x90
        thread = threading.Thread(target=lambda: [None for _ in iter(lambda: client.recv(65536), b"")])
        thread.start()
        try:
            yield
        finally:
            client.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_subscriber_to_everything_takes_the_costs(tmp_path):
    with Broker("--threads", "1") as broker, spy(broker.port), load(
            tmp_path / "run", "publish", broker.port, "--pairs", 10, "--publish-rate", 1000, "--duration", "1s", "--warmup", 0, "--watch-pid",
            broker.pid) as run:
        assert run.end() == 0
    told = re.search(r"connections of others to the target carried (\d+) bytes", run.anomaly("other_clients"))
    assert told and int(told[1]) > 64 * 1000 and run.metric("cpu.per_message_ns") is None
    assert is_verified(tmp_path / "run")[0]


@pytest.mark.parametrize("retain", [False, True])
def test_one_client_that_publishes_while_ours_connect_takes_the_costs(tmp_path, retain):
    with Broker("--threads", "1") as broker, client_of(broker.port, b"one") as other:
        with load(tmp_path / "run", "connect", broker.port, "--connections", 400, "--rate", 200, "--settle", "1s", "--watch-pid",
                  broker.pid) as run:
            run.wait_for("connect ")
            for number in range(60):
                other.sendall(packet(0x31 if retain else 0x30, text(b"kept/%d" % number) + bytes(10000)))
            assert run.end() == 0
    told = re.search(r"connections of others to the target carried (\d+) bytes", run.anomaly("other_clients"))
    assert told and 600_000 <= int(told[1]) <= 610_000
    for name in ("cpu.per_connection_ns", "memory.per_connection_bytes"):
        assert run.metric(name) is None, name


@pytest.mark.parametrize("pattern", ["pairs", "fan-in"])
def test_messages_of_another_run_on_the_same_topics_are_no_deliveries_of_this_one(tmp_path, pattern):
    own = ("--pairs", 5) if pattern == "pairs" else ("--pattern", "fan-in", "--publishers", 5, "--subscribers", 1)

    def start(folder, seconds):
        return load(folder, "publish", broker.port, *own, "--topic", "both/%i", "--publish-rate", 400, "--warmup", 0, "--duration",
                    seconds, "--watch-pid", broker.pid)

    with Broker("--threads", "1") as broker, start(tmp_path / "other", f"{GUARD_S}s") as other:
        other.wait_for("publish ")
        with start(tmp_path / "run", "1s") as run:
            assert run.end() == 0
    assert run.metric("messages.sent") == run.metric("messages.received") == 400
    assert run.metric("messages.duplicates") == 0 and run.metric("messages.foreign") >= 100
    assert re.search(r"[0-9]+ messages of other runs arrived", run.anomaly("foreign"))
    assert "received" in run.anomaly("other_clients") and run.metric("cpu.per_message_ns") is None
    assert is_verified(tmp_path / "run")[0]
