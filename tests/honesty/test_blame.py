# SPDX-License-Identifier: Apache-2.0
"""What is not the target's fault is not charged to it."""
import time

import pytest
from faults import children_of, load, peer, stopped


def slow(seconds):
    """Answers CONNECT after a while, and SUBSCRIBE and PINGREQ at once."""
    def answer(kind):
        if kind == 1:
            time.sleep(seconds)
        return {1: b"\x20\x02\x00\x00", 12: b"\xd0\x00"}.get(kind, b"")
    return answer


def test_a_generator_that_was_stopped_reads_before_it_judges(tmp_path):
    """The answers came in time, into the buffers of a generator that did not run."""
    with peer(slow(1.2)) as port, load(tmp_path / "run", "connect", port, "--connections", 100, "--timeout", "2s",
                                       "--workers", 1, "--settle", 0) as run:
        run.wait_for("connect ")
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(2.5)
        assert run.end() == 0
        assert run.books["connects"]["measured"] == 100
        assert run.metric("clients.failed") == 0
        assert "kept from running" in run.anomaly("stalled")


def test_a_time_out_that_a_stopped_generator_may_have_caused_is_its_own(tmp_path):
    """paho judges by itself: its time-out is not the target's when the generator did not run."""
    with peer(lambda kind: b"") as port, load(tmp_path / "run", "connect", port, "--connections", 5, "--timeout", "2s",
                                              "--workers", 1, "--settle", 0, engine="paho") as run:
        run.wait_for("connect ")
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(2.5)
        assert run.end() == 1
        assert set(run.record["summary"]["failed"]) == {"stalled"}


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_a_generator_that_was_stopped_while_messages_are_awaited_loses_none(tmp_path, broker, engine):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--publish-rate", 500, "--duration", "2s", "--warmup", 0,
              "--qos", 1, "--workers", 1, engine=engine) as run:
        run.wait_for("publish ")
        time.sleep(0.8)
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(7)  # to the end and past the drain
        assert run.end() == 0
        assert run.books["deliveries"]["measured"] == run.books["acks"]["measured"] == 1000
        assert run.metric("delivery.max") > 5e9  # from the intended time: those due meanwhile were that late
        assert run.anomaly("late") and run.anomaly("stalled")
