# SPDX-License-Identifier: Apache-2.0
"""The target is not charged with faults of others."""
import contextlib
import re
import subprocess
import time
from pathlib import Path

import pytest
from faults import (Broker, balances, cgroup, children_of, doubling, in_namespace, load, mosquitto, needs_mosquitto, needs_root,
                    peer, setting_the_clock, stopped)


def slow(seconds):
    """Delays the answer to CONNECT; answers SUBSCRIBE and PINGREQ at once."""
    def answer(kind):
        if kind == 1:
            time.sleep(seconds)
        return {1: b"\x20\x02\x00\x00", 12: b"\xd0\x00"}.get(kind, b"")
    return answer


def test_a_generator_that_was_stopped_reads_before_it_judges(tmp_path):
    """The answers arrived in time, in the buffers of a stopped generator."""
    with peer(slow(2.5)) as port, load(tmp_path / "run", "connect", port, "--connections", 100, "--timeout", "4s",
                                       "--workers", 1, "--settle", 0) as run:
        run.wait_for("connect ")
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(4.5)
        assert run.end() == 0
        assert run.books["connects"]["measured"] == 100
        assert run.metric("clients.failed") == 0
        assert "kept from running" in run.anomaly("stalled")


def test_a_time_out_that_a_stopped_generator_may_have_caused_is_its_own(tmp_path):
    """paho has time-outs of its own. They are not the target's fault while the generator is stopped."""
    with peer(lambda kind: b"") as port, load(tmp_path / "run", "connect", port, "--connections", 5, "--timeout", "3s",
                                              "--workers", 1, "--settle", 0, engine="paho") as run:
        run.wait_for("connect ")
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(3.5)
        assert run.end() == 1
        assert set(run.record["summary"]["failed"]) == {"stalled"}


def test_a_generator_that_was_stopped_while_messages_are_awaited_loses_none(tmp_path, broker):
    runs = [load(tmp_path / engine, "publish", broker.port, "--pairs", 5, "--publish-rate", 500, "--duration", "2s", "--warmup", 0,
                 "--qos", 1, "--workers", 1, engine=engine) for engine in ("paho", "raw")]
    with runs[0], runs[1]:
        for run in runs:
            run.wait_for("publish ")
        with stopped(*(pid for run in runs for pid in (run.pid, *children_of(run.pid)))):
            time.sleep(7.5)  # beyond the end and the drain
        for run in runs:
            assert run.end() == 0
            assert run.books["deliveries"]["measured"] == run.books["acks"]["measured"] == 1000
            assert run.metric("delivery.max") > 5e9  # from the intended time: messages due meanwhile were this late
            assert run.anomaly("late") and run.anomaly("stalled")


@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_rate_of_a_generator_that_was_stopped_is_not_the_targets_limit(tmp_path, broker, engine):
    """Without a schedule nothing comes late. A stopped worker neither runs nor waits for a CPU."""
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 4, "--publish-rate", 0, "--duration", "2s", "--warmup", 0,
              "--workers", 2, engine=engine) as run:
        run.wait_for("publish ")
        with stopped(run.pid, *children_of(run.pid)):
            time.sleep(1.2)
        run.end()
        assert run.record["summary"]["limit"]["by"] in ("generator", "host")
        assert "rates of that time" in run.anomaly("stalled")


@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_connect_that_took_longer_than_the_time_out_has_failed(tmp_path, engine):
    """Whatever the engine's library says: paho's time-outs are whole seconds. A generator that the host kept from running meanwhile
    says so (`stalled`): made again."""
    for attempt in range(10):
        with peer(slow(0.4)) as port, load(tmp_path / str(attempt), "connect", port, "--connections", 20, "--timeout", "150ms",
                                           "--settle", 0, engine=engine) as run:
            code, failed = run.end(), run.record["summary"].get("failed", {})
            if run.anomaly("stalled") or "stalled" in failed:
                continue
            assert code == 1 and set(failed) == {"timeout"}
            assert run.books["connects"]["lost"] + run.books["connects"]["failed"] == 20 and balances(run.books["connects"])
            assert run.metric("connect_uncorrected.censored") == 20
            return
    pytest.fail("the host kept each of 10 generators from running")


@needs_root
def test_a_main_process_that_was_stopped_says_that_it_read_nothing_meanwhile(tmp_path, broker):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--publish-rate", 500, "--duration", "2s", "--warmup", 0,
              "--watch-pid", broker.pid) as run:
        run.wait_for("publish ")
        with stopped(run.pid):
            time.sleep(3.5)
        assert run.end() == 0
        assert "memory.csv has no lines of that time" in run.anomaly("unsampled")


def test_messages_that_arrive_twice_are_said(tmp_path, broker):
    with doubling(broker.port) as port, load(tmp_path / "run", "publish", port, "--pairs", 1, "--publish-rate", 100,
                                             "--duration", "500ms", "--warmup", 0) as run:
        assert run.end() == 1   # QoS 0 excludes them
        assert run.metric("messages.received") == run.metric("messages.duplicates") == run.metric("messages.duplicates_excluded") == 50
        assert run.anomaly("duplicates") == "50 messages arrived a second time"
        assert run.anomaly("duplicates_excluded").startswith("50 messages arrived a second time, and neither publisher nor subscriber have QoS 1")


def wait_for_overflow(prefix):
    """Until the kernel has dropped a connect for lack of room in an accept queue of the namespace."""
    for _ in range(600):
        text = subprocess.run([*prefix, "cat", "/proc/net/netstat"], capture_output=True, text=True, check=True).stdout
        names, values = (line.split() for line in text.splitlines()[:2])
        if int(dict(zip(names, values))["ListenOverflows"]) > 0:
            return
        time.sleep(0.1)
    raise AssertionError("no accept queue was ever full")


@needs_root
def test_a_full_accept_queue_is_said_beside_the_latency_it_makes(tmp_path):
    """A broker that stops for a moment, with an accept queue of one. The kernel drops further connects, and clients repeat them a
    second later."""
    with in_namespace(setup="ip link set lo up && echo 16 > /proc/sys/net/core/somaxconn") as prefix, \
            Broker("--threads", "1", prefix=prefix, listen="127.0.0.1:1883") as broker:
        with stopped(broker.pid):
            run = load(tmp_path / "run", "connect", broker.port, "--connections", 60, "--workers", 1, "--settle", 0,
                       prefix=prefix)
            wait_for_overflow(prefix)
        with run:
            assert run.end() == 0
            assert run.metric("network.listen_overflows") > 0 and run.metric("network.syn_retransmits") > 0
            assert "somaxconn" in run.anomaly("accept_queue") and "not of the target's work" in run.anomaly("accept_queue")
            # The counters cover the namespace, not one listener; the anomaly says so.
            assert "all listeners of this network namespace, the target's and any other's" in run.anomaly("accept_queue")
            assert run.metric("connect.max") > 0.9e9


@needs_root
@needs_mosquitto
def test_a_short_backlog_of_the_targets_own_is_said_beside_the_latency_it_makes(tmp_path):
    """mosquitto listens with a backlog of 100, whatever the host allows: at once 150 connects, the first tenth, while it stands still."""
    with in_namespace() as prefix, mosquitto(tmp_path, prefix, port=1883) as (port, pid):
        with stopped(pid):
            run = load(tmp_path / "run", "connect", port, "--connections", 1500, "--workers", 1, "--settle", 0, "--watch-pid", pid,
                       prefix=prefix)
            wait_for_overflow(prefix)
        with run:
            assert run.end() == 0
            assert run.metric("network.listen_overflows") > 0 and run.metric("connect.p99") > 0.9e9
            assert "its backlog, at most net.core.somaxconn" in run.anomaly("accept_queue")
            assert "the target's holds 100, by its own backlog" in run.anomaly("ceiling")


@needs_root
@pytest.mark.parametrize("who", ["generator", "target"])
def test_a_quota_that_was_used_up_is_said(tmp_path, who):
    with cgroup("cpu", cpu__cfs_period_us=100000, cpu__cfs_quota_us=5000) as enter:
        with Broker(before=enter if who == "target" else None) as broker, \
                load(tmp_path / "run", "publish", broker.port, "--pairs", 20, "--publish-rate", 20000, "--duration", "1s",
                     "--watch-pid", broker.pid, before=enter if who == "generator" else None) as run:
            run.end()
            assert f"the {who} was throttled" in run.anomaly("throttled") and "0.05 processors" in run.anomaly("throttled")
            assert run.metric({"generator": "generator.throttled_ns", "target": "cpu.throttled_ns"}[who]) > 1e8
            if who == "generator":
                assert run.record["host"]["cgroup"]["cpu_quota_cores"] == 0.05


def test_a_wall_clock_that_is_set_moves_nothing(tmp_path, broker):
    step = tmp_path / "step"
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 2, "--publish-rate", 200, "--duration", "4s", "--warmup", 0,
              env=setting_the_clock(tmp_path, step, -3600)) as run:
        run.wait_for("publish ")
        time.sleep(1)
        step.write_text("")
        assert run.end() == 0
        assert "-3600.0" in run.anomaly("clock")
        assert run.record["ended_utc"] > run.record["started_utc"]
        lines = [line.split(",") for line in (tmp_path / "run/latency.hlog").read_text().splitlines() if line.startswith("Tag=")]
        starts = [float(line[1]) for line in lines if line[0] == "Tag=delivery"]
        lengths = [float(line[2]) for line in lines if line[0] == "Tag=delivery"]
        assert starts == sorted(starts) and 0 < min(lengths) and max(lengths) < 60  # a second each, on a quiet host


def test_generators_with_the_same_pid_do_not_meet(tmp_path, broker):
    prefixes = set()
    for i in range(8):
        with load(tmp_path / f"run-{i}", "connect", broker.port, "--connections", 1, "--settle", 0) as run:
            assert run.end() == 0
            prefixes.add(run.record["config"]["prefix"])
            assert re.fullmatch("pm[0-9A-Za-z]{11}", run.record["config"]["prefix"])
    assert len(prefixes) == 8 and len({prefix[2:6] for prefix in prefixes}) > 4  # not derived from the clock
    with load(tmp_path / "own", "connect", broker.port, "--connections", 1, "--settle", 0, "--prefix", "plant7") as run:
        assert run.end() == 0
        assert run.record["config"]["prefix"] == "plant7"
    with load(tmp_path / "bad", "connect", broker.port, "--prefix", "a/b") as run:
        assert run.end() == 2
        assert '--prefix "a/b"' in run.said()


@needs_root
def test_generators_in_containers_have_clients_of_their_own(tmp_path, broker):
    """Each is process 1 of a namespace of its own, and all start together. With the same client identifiers they would throw each
    other's clients out."""
    own = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
    done = subprocess.run([*own, "true"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"no namespace of processes can be made here: {done.stderr.strip()}")
    with contextlib.ExitStack() as running:
        runs = [running.enter_context(load(tmp_path / f"run-{number}", "connect", broker.port, "--connections", 50, "--settle", 0, "--hold", "2s",
                                           prefix=own)) for number in range(8)]
        for run in runs:
            assert run.end() == 0
            assert run.metric("clients.connected") == 50 and run.metric("clients.dropped") == 0
    assert len({run.record["config"]["prefix"] for run in runs}) == 8


def resident(run):
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in children_of(run.pid))


def test_a_target_that_stops_reading_costs_a_bounded_amount(tmp_path, broker):
    runs = [load(tmp_path / engine, "publish", broker.port, "--pairs", 4, "--publish-rate", 2000, "--payload", "256KiB",
                 "--duration", "3s", "--warmup", 0, "--workers", 1, engine=engine) for engine in ("paho", "raw")]
    with runs[0], runs[1]:
        for run in runs:
            run.wait_for("publish ")
        highest = [0, 0]
        with stopped(broker.pid):
            while runs[1].said().count("publish ") < 5 and runs[1].process.poll() is None:
                highest = [max(pair) for pair in zip(highest, map(resident, runs))]
                time.sleep(0.1)
        for run, most in zip(runs, highest):
            assert run.end() == 1
            assert 32e6 < most < 300e6  # the queue and a library's copies of it; 1.5 GB were due
            assert run.record["status"] == "incomplete"
            assert run.books["publishes"]["not_sent"] > 500 and balances(run.books["publishes"])


def test_a_payload_that_the_target_takes_no_packet_of_is_said(tmp_path):
    with Broker("--max-packet-size", "1MiB") as broker:
        runs = [load(tmp_path / engine, "publish", broker.port, "--pairs", 1, "--publish-rate", 5, "--payload", "2MiB",
                     "--duration", "1s", "--warmup", 0, engine=engine) for engine in ("paho", "raw")]
        with runs[0], runs[1]:
            for run in runs:
                assert run.end() == 1
                assert run.record["status"] == "incomplete"
                assert "2.00 MiB" in run.anomaly("payload") and "max-packet-size" in run.anomaly("payload")
