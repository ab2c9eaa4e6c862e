# SPDX-License-Identifier: Apache-2.0
"""Connections that are lost again: what they cost is charged to nobody else, whose they are is said, and a storm counts connections and
not losses."""
import contextlib
import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import GUARD_S, load, peer
from others import is_verified
from test_patterns import Unfaithful
from test_qos import CONNACK


@contextlib.contextmanager
def fickle(when):
    target = subprocess.Popen([sys.executable, Path(__file__).with_name("fickle_target.py"), when], stdout=subprocess.PIPE, text=True)
    try:
        yield target.pid, int(target.stdout.readline())
    finally:
        target.kill()
        target.wait()


def test_connections_that_the_target_lets_go_are_not_charged_to_those_that_stay(tmp_path):
    with fickle("connect") as (pid, port), load(tmp_path / "run", "connect", port, "--connections", 200, "--settle", "1s", "--watch-pid", pid) as run:
        assert run.end() == 1
        assert run.metric("clients.connected") == 200 and run.metric("clients.dropped") == 100
        for name in ("cpu.per_connection_ns", "memory.per_connection_bytes", "kernel.per_connection_bytes"):
            assert run.metric(name) is None, name
        assert "100 clients failed, or lost their connection, beside 100 that stayed" in run.anomaly("failed_share")
        assert is_verified(run.folder)[0]


def test_subscriptions_that_went_with_their_connection_are_in_no_figure_of_those_that_stand(tmp_path):
    with fickle("subscribe") as (pid, port), \
            load(tmp_path / "run", "subscribe", port, "--connections", 20, "--filters", 4, "--repeat", 1, "--subscribe-rate", 200, "--drain", "500ms",
                 "--settle", "1s", "--watch-pid", pid) as run:
        assert run.end() == 1
        assert run.metric("subscriptions.standing") == 60 and run.metric("memory.subscribed_bytes") > run.metric("memory.full_bytes")
        assert run.metric("memory.per_subscription_bytes") is None and run.metric("cpu.per_change_ns") is None
        assert "10 clients lost their connection while all subscribed" in run.anomaly("subscribers_lost")
        assert is_verified(run.folder)[0]


@pytest.mark.parametrize("scenario, more, phase", [("steps", ("--steps", 2, "--probe", 2, "--hold", "1500ms"), "hold"),
                                                   ("soak", ("--connections", 2, "--pairs", 1, "--churn-rate", 1, "--publish-rate", 1), "soak")])
def test_clients_beside_the_others_that_lose_their_connection_are_told(tmp_path, broker, scenario, more, phase):
    """Of a pair that publishes the subscriber, when no message is due any more."""
    with Unfaithful(broker.port, lambda connection, number: "pass") as proxy, \
            load(tmp_path / "run", scenario, proxy.port, "--settle", 0, "--duration", "900ms", *more) as run:
        run.wait_for(f"{phase} ")
        while not proxy.counts:     # its last message has come
            time.sleep(0.01)
        proxy.sockets[0].shutdown(2)
        assert run.end() == 1
        assert run.metric("clients.dropped") == 0
        assert "1 probe clients dropped: connection closed by the target" in run.anomaly("dropped")
        assert "1 clients beside them dropped" in run.table()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_storm_counts_connections_and_not_losses(tmp_path, broker, workers):
    """Two of four lose their connection, and the new one again: four losses, whether one worker has all clients or each has one, which awaits no
    other loss."""
    with Unfaithful(broker.port, lambda connection, number: "pass") as proxy, \
            load(tmp_path / "run", "storm", proxy.port, "--connections", 4, "--workers", workers, "--await", "3s", "--backoff", "20ms", "--settle",
                 0) as run:
        run.wait_for("storm ")
        limit = time.monotonic() + GUARD_S
        for first, there in ((0, 8), (8, 12)):  # each connection is two sockets
            while len(proxy.sockets) < there and time.monotonic() < limit:
                time.sleep(0.01)
            time.sleep(0.2)     # its CONNACK
            for at in (first, first + 2):
                proxy.sockets[at].shutdown(2)
        assert run.end() == 0, run.said()
        assert run.metric("arrivals.count") == 4 and run.metric("clients.dropped") == 0
        assert run.books["arrivals"] == {"attempted": 4, "measured": 4} | dict.fromkeys(("lost", "failed", "not_sent", "unreadable", "unfinished"), 0)
        assert run.anomaly("lost_again").startswith("2 of the 4 arrivals are of connections that were lost again")
        assert run.anomaly("partial_storm").startswith("2 connections were lost within --await, of 4 that were there")


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_an_arrival_that_is_answered_after_its_time_has_failed(tmp_path, engine):
    """As a connect has: paho itself waits for whole seconds."""
    numbers = itertools.count()

    def connack(rest):
        if next(numbers) >= 2:
            time.sleep(0.75)
        return CONNACK

    with peer(lambda packet: {1: connack, 14: None}.get(packet, b"")) as port, \
            load(tmp_path / "run", "storm", port, "--by-client", "--connections", 2, "--timeout", "500ms", "--settle", 0, engine=engine) as run:
        assert run.end() == 1
        assert run.metric("clients.connected") == run.metric("arrivals.failed") == 2 and run.metric("arrivals.count") == 0
        assert "2 clients did not come (back): no answer in time" in run.anomaly("away")
        assert run.books["arrivals"]["lost"] == 2 and run.metric("clients.dropped") == 0


def test_a_target_that_has_lost_sessions_that_it_was_to_keep_is_told(tmp_path, broker):
    words = ("storm", "--by-client", "--keep-sessions", "--connections", 3, "--settle", 0)
    with peer(lambda packet: {1: CONNACK, 14: None}.get(packet, b"")) as port, load(tmp_path / "lost", words[0], port, *words[1:]) as run:
        assert run.end() == 0, run.said()
        assert run.metric("arrivals.count") == 3 and run.metric("arrivals.resumed") == 0
        assert run.anomaly("sessions_lost").startswith("3 arrivals: the client had left a session")
    with load(tmp_path / "kept", words[0], broker.port, *words[1:]) as run:
        assert run.end() == 0, run.said()
        assert run.metric("arrivals.resumed") == 3 and run.anomaly("sessions_lost") == ""
