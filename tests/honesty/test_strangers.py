# SPDX-License-Identifier: Apache-2.0
"""Others load the same target: what they cost is not charged to this run's connections and messages. Few of them leave a figure."""
import contextlib
import os
import re
import socket
import subprocess
import sys

import pytest
from faults import GUARD_S, ROOT, Broker, load


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


def is_verified(folder):
    done = subprocess.run([sys.executable, ROOT / "scripts/poolmark", "verify", folder], capture_output=True, text=True,
                          timeout=GUARD_S, check=False)
    return done.returncode == 0, done.stdout


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
