# SPDX-License-Identifier: Apache-2.0
"""A soak of a target whose memory grows, and one that is ended early: verdict and books have to say so, and verify has to find it
out by itself."""
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults import GUARD_S, Broker, balances, changing, load
from test_wrong_answers import under_another_topic

from poolmark.records import read_record
from poolmark.verify.verify import complaints

LIGHT = ("--connections", 20, "--churn-rate", 5, "--pairs", 2, "--publish-rate", 50, "--settle", "500ms")
LEAK = 1_000_000  # bytes a second


@contextlib.contextmanager
def leaking(broker_port):
    relay = subprocess.Popen([sys.executable, Path(__file__).with_name("leaking_relay.py"), str(broker_port), str(LEAK)],
                             stdout=subprocess.PIPE, text=True)
    try:
        yield relay.pid, int(relay.stdout.readline())
    finally:
        relay.kill()
        relay.wait()


def verdicts(run):
    return run.record["summary"]["verdicts"]


def test_memory_that_grows_is_said_to_grow_by_what_it_does(tmp_path):
    # On a busy host half a minute has too few readings: then a longer run tells.
    for seconds in (25, 60):
        with Broker() as broker, leaking(broker.port) as (pid, port), \
                load(tmp_path / f"run-{seconds}", "soak", port, *LIGHT, "--duration", f"{seconds}s", "--watch-pid", pid) as run:
            assert run.end() == 0
        if verdicts(run)["memory"]["verdict"] != "too short to tell":
            break
    told = verdicts(run)
    assert told["memory"]["verdict"] == "growing" and "an hour" in told["memory"]["why"]
    assert told["memory_above_20_percent_an_hour"]["verdict"] == "rings"
    slope = run.metric("soak.memory_slope") / 3600
    assert 0.5 * LEAK < slope < 2 * LEAK    # a busy host leaks later, and then more at once
    assert run.metric("soak.memory_slope_low") <= run.metric("soak.memory_slope") <= run.metric("soak.memory_slope_high")
    wrong, account = complaints(read_record.load(run.folder))
    assert wrong == [] and account.count > 20
    edited = read_record.load(run.folder)
    edited.data["summary"]["verdicts"]["memory"]["verdict"] = "level"
    assert any("memory.csv gives 'growing'" in text for text in complaints(edited)[0])
    edited.data["summary"]["verdicts"]["memory"]["verdict"] = "not measured"
    assert any("memory.csv gives 'growing'" in text for text in complaints(edited)[0])
    for name in ("soak.memory_slope", "soak.memory_slope_low", "soak.memory_growth", "messages.rate", "messages.sent"):
        edited = read_record.load(run.folder)
        edited.data["metrics"][name]["value"] *= 1.01
        assert any(name in text for text in complaints(edited)[0]), name


@pytest.mark.parametrize("words", [
    ("soak", "--connections", 100, "--churn-rate", 20, "--pairs", 30, "--publish-rate", 100, "--duration", "1s"),
    ("steps", "--steps", "50,100", "--probe", 30, "--duration", "500ms")], ids=lambda words: words[0])
def test_pairs_and_probes_beside_the_clients_are_the_runs_own(tmp_path, words):
    """Their ports follow those of the clients, and were taken for others': memory of a soak alone with its target was `not measured`."""
    with Broker() as broker, load(tmp_path / "run", words[0], broker.port, *words[1:], "--settle", "500ms", "--watch-pid", broker.pid) as run:
        assert run.end() == 0
    assert run.metric("memory.full_bytes") > 0
    assert not run.anomaly("other_clients")


def test_a_soak_that_is_ended_early_has_whole_books_of_clients_and_pairs(tmp_path):
    with Broker() as broker, load(tmp_path / "run", "soak", broker.port, *LIGHT, "--duration", "1h", "--watch-pid", broker.pid) as run:
        run.wait_for("soak")
        os.kill(run.pid, signal.SIGINT)
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        assert all(balances(line) for line in run.books.values())
        assert run.books["connects"]["measured"] == 24  # clients and pairs
        assert verdicts(run)["memory"]["verdict"] == "too short to tell"
        wrong, _ = complaints(read_record.load(run.folder))
        assert wrong == []


def test_of_other_processes_than_the_target_there_is_no_verdict(tmp_path):
    # A process with fewer descriptors than there are clients; this one may have more.
    with subprocess.Popen(["sleep", str(GUARD_S)]) as other, Broker() as broker, \
            load(tmp_path / "run", "soak", broker.port, *LIGHT, "--duration", "1s", "--watch-pid", other.pid) as run:
        assert run.end() == 0
        other.kill()
        assert verdicts(run)["memory"]["verdict"] == "not measured"
        assert "soak.memory_slope" not in run.record["metrics"] and run.anomaly("not_the_target")


def test_what_goes_wrong_with_its_messages_is_told_as_of_any_run(tmp_path, broker):
    """Each comes under another topic, and no publisher gets an acknowledgement. Its record had no count of the first, no figure of the
    second, and its table said that nothing was lost."""
    with changing(broker.port, under_another_topic, others=lambda packet: b"" if packet[0] >> 4 == 4 else packet) as port, \
            load(tmp_path / "run", "soak", port, "--connections", 2, "--churn-rate", 1, "--pairs", 1, "--publish-rate", 20, "--duration", "500ms",
                 "--drain", "300ms", "--settle", 0, "--qos", 1) as run:
        assert run.end() == 1
        assert run.metric("messages.topic_changed") == run.metric("messages.unacknowledged") == run.metric("messages.sent") == 10
        assert run.anomaly("unacknowledged").startswith("10 messages were not acknowledged")
        assert "10 messages were not acknowledged" in run.table() and "10 deliveries came under another topic" in run.table()
        assert complaints(read_record.load(run.folder))[0] == []
        edited = read_record.load(run.folder)
        edited.data["metrics"]["messages.unacknowledged"]["value"] = 0
        assert any("messages.unacknowledged" in text for text in complaints(edited)[0])


def test_the_record_of_another_broker_tells_nothing_of_the_pools(tmp_path, broker):
    """It runs too, and its pools are empty: its alarm was silent."""
    short = ("--connections", 2, "--churn-rate", 1, "--pairs", 1, "--publish-rate", 20, "--duration", "1200ms", "--settle", 0)
    with Broker("--pool", "fixed", "--initial", 100, "--record", tmp_path / "other") as other:
        with load(tmp_path / "run", "soak", broker.port, *short, "--watch-record", tmp_path / "other") as run:
            assert run.end() == 0, run.said()
        assert verdicts(run)["pool_above_90_percent"]["verdict"] == verdicts(run)["reuse_below_50_percent"]["verdict"] == "not measured"
        assert "it is another broker's" in run.anomaly("not_its_record")
        with load(tmp_path / "its", "soak", other.port, *short, "--watch-record", tmp_path / "other") as run:
            assert run.end() == 0, run.said()
        assert verdicts(run)["pool_above_90_percent"]["verdict"] == "silent" and run.anomaly("not_its_record") == ""
        with changing(other.port, lambda packet, end: packet) as port, \
                load(tmp_path / "behind", "soak", port, *short, "--watch-record", tmp_path / "other", "--watch-pid", other.pid) as run:
            assert run.end() == 0, run.said()
        assert verdicts(run)["pool_above_90_percent"]["verdict"] == "silent" and run.anomaly("not_its_record") == ""
