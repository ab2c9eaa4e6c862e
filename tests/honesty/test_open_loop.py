# SPDX-License-Identifier: Apache-2.0
"""Open loop: whatever stands still, each act that was due meanwhile counts from when it was due.

Each kind of act has a test in which the time from the act itself is short and the time from the schedule is long: whoever puts
the one in the place of the other, anywhere between schedule and histogram, breaks it. Bounds are far from either.
"""
import time

from faults import children_of, load, stopped

ENGINES = ("paho", "raw")


def test_connects_while_a_target_is_held_still_for_two_seconds(tmp_path, broker):
    """One connect at a time: those due meanwhile begin when the first has ended, and then are fast."""
    runs = [load(tmp_path / engine, "connect", broker.port, "--connections", 400, "--rate", 80, "--window", 1, "--workers", 1,
                 "--settle", 0, engine=engine) for engine in ENGINES]
    with runs[0], runs[1]:
        for run in runs:
            run.wait_for("connect ")
        time.sleep(1)
        with stopped(broker.pid):
            time.sleep(2)
        for run in runs:
            assert run.end() == 0
            assert run.metric("connect.p99") > 1.4e9
            assert run.metric("connect_uncorrected.p99") < 0.4e9  # one or two of 400 were slow from their beginning on
            assert run.metric("schedule.lag_p99") < 1.4e9


def test_messages_while_the_senders_are_held_still_for_two_seconds(tmp_path, broker):
    runs = [load(tmp_path / engine, "publish", broker.port, "--pairs", 10, "--publish-rate", 300, "--duration", "5s", "--warmup",
                 0, "--qos", 1, "--workers", 1, engine=engine) for engine in ENGINES]
    with runs[0], runs[1]:
        for run in runs:
            run.wait_for("publish ")
        time.sleep(1)
        with stopped(*(pid for run in runs for pid in children_of(run.pid))):
            time.sleep(2)
        for run in runs:
            assert run.end() == 0
            for kind in ("delivery", "ack"):
                assert run.metric(f"{kind}.p99") > 1.4e9
                assert run.metric(f"{kind}_uncorrected.p50") < 0.4e9
                assert run.metric(f"{kind}_uncorrected.mean") < run.metric(f"{kind}.mean") / 2
            assert run.metric("schedule.lag_max") > 1.4e9


def test_messages_while_a_target_is_held_still_for_two_of_ten_seconds(tmp_path, broker):
    """They are sent in time and wait in sockets. Those due meanwhile are late by the schedule; a client with one message under
    way at a time would have sent one of each pair before the target came back, so 10 of 3000 count the standstill."""
    runs = [load(tmp_path / engine, "publish", broker.port, "--pairs", 10, "--publish-rate", 300, "--duration", "10s", "--qos", 1,
                 "--workers", 1, engine=engine) for engine in ENGINES]
    with runs[0], runs[1]:
        for run in runs:
            run.wait_for("publish ")
        time.sleep(3)
        with stopped(broker.pid):
            time.sleep(2)
        for run in runs:
            assert run.end() == 0
            assert run.books["deliveries"]["measured"] == 3000
            for kind in ("delivery", "ack"):
                assert run.metric(f"{kind}.p99") > 1.4e9
                assert run.metric(f"{kind}.p50") < 0.4e9
                assert run.metric(f"{kind}_uncorrected.p99") < 0.05e9
                assert run.metric(f"{kind}_uncorrected.max") > 1.4e9  # those that were under way
                assert run.metric(f"{kind}_uncorrected.count") == run.metric(f"{kind}.count")
