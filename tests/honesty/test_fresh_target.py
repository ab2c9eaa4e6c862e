# SPDX-License-Identifier: Apache-2.0
"""A target that makes a reserve when it starts has used CPU time, and has served nobody: that it is fresh is known by the kernel's count of
connections, by its record, or by who started it. That word is not believed against what is seen."""
import json
import socket
import subprocess
import time

import pytest
from commands import suite
from faults import GUARD_S, Broker, load, needs_root

import others
from poolmark.records.read_record import load as read

own_network = others.own_network  # a fixture of every test here

# The reserve takes CPU time as some thousands of connections do, and memory grows by some 400 KB beside it.
FIXED = ("--pool", "fixed", "--shape", "classic", "--initial", 6000, "--initial", "buffers=12000", "--initial", "arenas=6000", "--threads", 1)
CONNECTIONS = 3000


def connect(folder, broker, *more, connections=CONNECTIONS):
    return load(folder, "connect", broker.port, "--connections", connections, "--subscribe", "--settle", "1s", "--watch-pid", broker.pid, *more)


def connections_elsewhere(count):
    """So many connections to another server of this network namespace: its count tells nothing of the target then."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(count):
            with socket.create_connection(server.getsockname()[:2]), server.accept()[0]:
                pass


def assert_a_figure(run):
    assert not run.anomaly("served_before") and not run.anomaly("not_fresh"), run.record["anomalies"]
    assert run.metric("memory.per_connection_bytes") > 0, run.record["anomalies"]


@needs_root
def test_a_reserve_in_a_network_namespace_that_took_no_connection(tmp_path):
    with Broker(*FIXED) as broker, connect(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert_a_figure(run)


@pytest.mark.parametrize("known", ["record", "word"])
def test_a_reserve_of_a_target_that_is_known_to_be_fresh(tmp_path, known):
    connections_elsewhere(2 * CONNECTIONS)
    with Broker(*FIXED, "--record", tmp_path / "broker") as broker, \
            connect(tmp_path / "run", broker, *(["--watch-record", tmp_path / "broker"] if known == "record" else ["--fresh-target"])) as run:
        assert run.end() == 0
    assert_a_figure(run)
    assert run.record["config"]["fresh_target"] == (known == "word")


@pytest.mark.parametrize("scenario", ["connect", "steps"])
def test_a_target_that_is_said_to_be_fresh_and_has_served_is_not_believed(tmp_path, scenario):
    how = ("--connections", 300) if scenario == "connect" else ("--steps", "100,300", "--probe", 2)
    with Broker("--threads", 1, "--record", tmp_path / "broker") as broker:
        with load(tmp_path / "before", "connect", broker.port, "--connections", 200) as before:
            assert before.end() == 0
        with load(tmp_path / "list", scenario, broker.port, *how, "--settle", "1s", "--watch-pid", broker.pid, "--fresh-target") as run:
            assert run.end() == 0
        assert "connections to the target were made before this run, by " in run.anomaly("not_fresh")
        with load(tmp_path / "fresh", scenario, broker.port, *how, "--settle", "1s", "--watch-pid", broker.pid) as run:
            assert run.end() == 0
        assert not run.anomaly("not_fresh")     # nobody said so


def test_what_the_record_of_another_broker_says_does_not_count(tmp_path):
    """It has served nobody, the target has: memory of a connection came out too small."""
    connections_elsewhere(2 * CONNECTIONS)
    with Broker("--record", tmp_path / "other"), Broker(*FIXED) as broker, connect(tmp_path / "run", broker, "--watch-record", tmp_path / "other") as run:
        run.end()
    assert run.anomaly("not_its_record") and run.anomaly("served_before")
    assert run.metric("memory.per_connection_bytes") is None


def test_what_its_own_record_says_of_before_counts(tmp_path):
    """The target has served 3000 at once, by its record: a reserve of that size may be what it kept."""
    with Broker(*FIXED, "--record", tmp_path / "broker") as broker:
        with load(tmp_path / "before", "connect", broker.port, "--connections", CONNECTIONS, "--subscribe") as before:
            assert before.end() == 0
        wait_for_peak(tmp_path / "broker", CONNECTIONS)
        with connect(tmp_path / "run", broker, "--watch-record", tmp_path / "broker", "--fresh-target") as run:
            run.end()
    assert run.anomaly("not_fresh")
    assert run.metric("memory.per_connection_bytes") is None


def wait_for_peak(folder, connections):
    """Waits for a line of pools.csv that has so many connections as the most in use: one a second is written."""
    limit = time.monotonic() + GUARD_S
    while not any(line.split(",")[1] == "connections" and line.split(",")[6] == str(connections)
                  for line in (folder / "pools.csv").read_text(encoding="ascii").splitlines()):
        assert time.monotonic() < limit
        time.sleep(0.05)


SUITE = """
title = "fresh"
primary = ["first.memory.per_connection_bytes"]
[config]
shape = "classic"
strategy = "fixed"
engine = "raw"
allocator = "glibc"
connections = 3000
[broker]
initial = ["6000", "buffers=12000", "arenas=6000"]
threads = 1
[[phase]]
name = "first"
scenario = "connect"
subscribe = true
settle = "1s"
[[phase]]
name = "second"
scenario = "connect"
settle = "1s"
"""


def test_a_suite_says_that_its_broker_is_fresh_in_the_first_phase(tmp_path):
    connections_elsewhere(2 * CONNECTIONS)
    done = subprocess.run(suite(tmp_path, SUITE), capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cell, = read(tmp_path / "run").data["cells"]
    assert cell["metrics"]["first.memory.per_connection_bytes"]["value"] > 0
    assert not [one for one in cell["anomalies"] if one["text"].startswith("first: ") and one["what"] in ("served_before", "not_fresh")]
    first, second = (json.loads((tmp_path / "run/cells" / cell["id"] / name / "run.json").read_text(encoding="utf-8")) for name in ("load", "load-second"))
    assert first["config"]["fresh_target"] is True and second["config"]["fresh_target"] is False
