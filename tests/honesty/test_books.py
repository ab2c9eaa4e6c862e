# SPDX-License-Identifier: Apache-2.0
"""Every sample is accounted for. The books of a good run balance; those of a bad run say what is missing."""
import os
import resource
import signal
import subprocess
import time

import faults
import pytest
from commands import suite
from faults import GUARD_S, balances, load, stopped
from poolmark.records import read_record
from poolmark.verify.verify import complaints


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_a_run_that_goes_well_closes_its_books(tmp_path, broker, engine):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--qos", 1, "--publish-rate", 500, "--duration",
              "500ms", "--warmup", "100ms", engine=engine) as run:
        assert run.end() == 0
        assert run.record["status"] == "complete"
        assert run.books["connects"] == {"attempted": 10, "measured": 10, "lost": 0, "failed": 0, "not_sent": 0,
                                         "unreadable": 0, "unfinished": 0}
        assert all(balances(line) for line in run.books.values())


def test_probe_messages_that_a_stopped_broker_swallows_are_counted(tmp_path, broker):
    with load(tmp_path / "run", "steps", broker.port, "--steps", "10,20", "--probe", 10, "--settle", 0, "--duration",
              "2s") as run:
        run.wait_for("probe ")
        with stopped(broker.pid):
            time.sleep(8)  # longer than the drain of 5 s
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        line = run.books["probe_deliveries"]
        assert balances(line) and line["lost"] > 50
        assert f"{line['lost']} lost" in run.anomaly("books")
        assert run.metric("delivery.p99") > 5e9
        assert run.metric("delivery.censored") == line["lost"]
        assert run.metric("delivery.count") == line["measured"] + line["lost"]


def test_the_drain_that_was_asked_for_decides_what_is_lost(tmp_path):
    """A target stands still from the middle of the schedule on. The run waits as long as it was told, and says so."""
    with faults.Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--publish-rate", 500,
                                         "--duration", "3s", "--warmup", 0, "--drain", "300ms") as run:
        run.wait_for("publish ")
        with stopped(broker.pid):
            assert run.end() == 1
        line = run.books["deliveries"]
        assert balances(line) and line["lost"] > 50
        assert "within 300 ms of the end" in run.anomaly("lost")
        assert run.metric("delivery.censored") == line["lost"]
        assert run.record["config"]["drain_ns"] == 300_000_000


@pytest.mark.parametrize("end", ["keep_alive", "kill"])
def test_what_is_on_its_way_when_a_run_ends_early_counts_with_its_age(tmp_path, end):
    with faults.Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 10, "--publish-rate", 1000,
                                         "--duration", "1h", "--warmup", 0, "--qos", 1, "--keep-alive", 2) as run:
        run.wait_for("publish ")
        with stopped(broker.pid):
            if end == "kill":
                time.sleep(1)
                os.kill(broker.pid, signal.SIGKILL)
            assert run.end() == 1
        assert run.record["status"] == "incomplete"
        for source in ("deliveries", "acks"):
            line = run.books[source]
            assert balances(line) and line["unfinished"] > 400
        assert run.metric("messages.unfinished") == run.books["deliveries"]["unfinished"]
        assert run.metric("delivery.max") > 0.9e9 and run.metric("ack.max") > 0.9e9
        assert "unfinished" in run.anomaly("books") and run.anomaly("unfinished")


def test_a_rate_counts_the_time_that_there_was(tmp_path, broker):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 10, "--publish-rate", 1000, "--duration", "1h",
              "--warmup", 0) as run:
        run.wait_for("publish ")
        time.sleep(1)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 1
        # Not of the hour that was planned. How many came in that second depends on the host.
        assert 100 < run.metric("messages.rate") < 2000 and 0 < run.metric("messages.seconds") < GUARD_S
        assert run.metric("messages.rate_asked") == 1000
        assert balances(run.books["publishes"])
    with load(tmp_path / "more", "publish", broker.port, "--pairs", 10, "--publish-rate", "20M", "--duration", "100ms",
              "--warmup", 0) as run:  # more than any generator can send, so the run takes longer
        run.end()
        assert run.metric("messages.seconds") > 0.11
        assert run.metric("messages.rate") == pytest.approx(
            run.metric("messages.received") / run.metric("messages.seconds"))


def test_a_subscribe_that_is_not_answered_or_refused_is_counted(tmp_path):
    """A peer that accepts every client, and either does not answer SUBSCRIBE or closes the connection."""
    for ends in (False, True):
        with faults.peer(lambda packet: {1: b"\x20\x02\x00\x00", 8: None if ends else b""}.get(packet, b"")) as port:
            with load(tmp_path / f"run-{ends}", "connect", port, "--connections", 3, "--subscribe", "--timeout", "1s",
                      "--settle", 0) as run:
                assert run.end() == 1
                line = run.books["subscribes"]
                assert balances(line) and line["attempted"] == 3 and line["failed" if ends else "lost"] == 3
                assert run.metric("clients.dropped") == 3
                assert ends or "no answer in time" in run.anomaly("dropped")


def test_a_subscribe_that_the_target_refuses_is_counted(tmp_path):
    """The reference broker answers a filter of too many levels by SUBACK 0x80."""
    with faults.Broker("--max-topic-levels", 2) as broker, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 3, "--subscribe", "--settle", 0) as run:
        assert run.end() == 1
        line = run.books["subscribes"]
        assert balances(line) and line["attempted"] == line["failed"] == 3
        assert run.record["summary"]["dropped"] == {"subscribe_refused": 3} and "SUBACK 0x80" in run.anomaly("dropped")


def test_connects_that_a_run_leaves_behind_count_with_their_age(tmp_path):
    with faults.peer(lambda packet: b"") as port:  # never answers
        with load(tmp_path / "run", "connect", port, "--connections", 20, "--rate", 1000, "--settle", 0) as run:
            run.wait_for("connect ")
            time.sleep(1)
            run.process.send_signal(signal.SIGINT)
            assert run.end() == 1
            line = run.books["connects"]
            assert balances(line) and line["unfinished"] == 20
            assert run.metric("connect.p50") > 0.9e9 and run.metric("connect.censored") == 20


def test_a_pair_stays_on_one_of_two_separate_brokers(tmp_path):
    """Pairs spread over brokers that are no cluster lose every message; the record says so."""
    with faults.Broker() as one, faults.Broker() as other:
        for spread in (False, True):
            with load(tmp_path / f"run-{spread}", "publish", one.port, "--target", f"mqtt://127.0.0.1:{other.port}",
                      "--pairs", 10, "--publish-rate", 1000, "--duration", "300ms", "--warmup", 0,
                      *(["--spread-pairs"] if spread else [])) as run:
                assert run.end() == int(spread)
                assert run.record["status"] == ("incomplete" if spread else "complete")
                assert run.books["deliveries"]["lost" if spread else "measured"] == 300


SEVERAL = """
title = "several brokers"
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = 1200
[load]
clients-per-worker = 300
[[phase]]
name = "connect"
scenario = "connect"
settle = 0
[[phase]]
name = "pairs"
scenario = "publish"
pairs = 30
publish-rate = 600
warmup = 0
duration = "500ms"
"""


def test_a_suite_under_a_low_limit_of_descriptors_has_several_brokers_and_loses_nothing(tmp_path):
    """A process of at most 1100 descriptors holds 588 connections. The brokers are no cluster: each pair stays on one."""
    done = subprocess.run(suite(tmp_path, SEVERAL), capture_output=True, text=True, timeout=GUARD_S, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1100, 1100)))
    assert done.returncode == 0, done.stdout + done.stderr
    cell, = read_record.load(tmp_path / "run").data["cells"]
    assert sum(words[0].endswith("poolmark-broker") for words in cell["commands"]) >= 3
    metrics = {name: one["value"] for name, one in cell["metrics"].items()}
    assert metrics["pairs.messages.sent"] == metrics["pairs.messages.received"] == 300
    assert metrics["cell.messages.lost"] == 0 and metrics["clients.connected"] == 1200


def test_what_a_dead_worker_had_not_handed_over_is_unreadable_and_the_record_is_as_it_was(tmp_path, broker):
    """Samples are handed over in batches. Sometimes a batch was just handed over and the ended worker has none left."""
    for attempt in range(20):
        with load(tmp_path / f"run-{attempt}", "publish", broker.port, "--pairs", 20, "--publish-rate", 20000, "--duration", "1h",
                  "--warmup", 0, "--qos", 1, "--workers", 2) as run:
            run.wait_for("publish ")
            time.sleep(1)
            os.kill(faults.children_of(run.pid)[0], signal.SIGKILL)
            assert run.end() == 1
            assert run.record["status"] == "incomplete" and "worker process died" in run.anomaly("broken")
            line = run.books["deliveries"]
            assert balances(line)
            said, _ = complaints(read_record.load(run.folder))
            assert said == []
            if line["unreadable"] > 0:
                return
    pytest.fail("no worker of 20 died with samples that it had not handed over")


# Whether a rate of so few is off depends on when the last came, and so on the host. What is off by more than a tenth is said.
SHORT = {"churn": ("arrivals", "--connections", 20, "--churn-rate", 2, "--duration", "1s", "--settle", 0),
         "publish": ("messages", "--pairs", 1, "--publish-rate", 11, "--duration", "100ms", "--warmup", 0, "--drain", "2s")}


@pytest.mark.parametrize("scenario", SHORT)
def test_a_schedule_too_short_for_its_rate_says_so(tmp_path, broker, scenario):
    """Two arrivals in a second are not 4 a second, as two divided by the one interval between them would be."""
    what, *words = SHORT[scenario]
    for attempt in range(10):
        with load(tmp_path / str(attempt), scenario, broker.port, *words) as run:
            assert run.end() == 0
            had, asked = run.metric(f"{what}.rate"), run.metric(f"{what}.rate_asked")
            late = "after the end of the schedule" in run.anomaly("rate")  # on a host that was busy: another anomaly of the rate
            told = "the schedule is short and has 2 in all" in run.anomaly("rate")
            assert told is (abs(had - asked) > 0.1 * asked and not late)
        if told:
            return
    pytest.fail("of 10 runs none had its last act in time")
