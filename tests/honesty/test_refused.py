# SPDX-License-Identifier: Apache-2.0
"""What is refused: pidfds by some kernels and containers, clients by a target at its bound, options that cannot be kept."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import one_connect, poolmark, suite
from faults import BUILD, GUARD_S, Broker, chain, refusing
from faults import load as load_run

from poolmark.records.read_record import load


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_suite_runs_without_pidfd_open(tmp_path, error):
    import errno

    done = subprocess.run(suite(tmp_path, one_connect(100, "0s")), capture_output=True, text=True, timeout=GUARD_S, check=False,
                          preexec_fn=refusing("pidfd_open", error=getattr(errno, error)))
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "run").data["status"] == "complete"


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_without_pidfd_open(tmp_path, how):
    process = subprocess.Popen(suite(tmp_path, one_connect(100, "60s")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=chain(refusing("pidfd_open")))
    limit = time.monotonic() + GUARD_S
    while not any((tmp_path / "run").glob("cells/*/load/memory.csv")):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 3  # broker, generator, watchdog
    os.kill(process.pid, how)
    assert process.wait(GUARD_S) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    while any(alive(pid) for pid in children):
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_what_refused_clients_cost_is_not_charged_to_those_that_connected(tmp_path):
    """200 of 2000 clients are accepted: CPU time of all, divided by 200, was sixteen times what a connection costs."""
    with Broker("--pool", "fixed", "--initial", 200, "--max", 200, "--overflow", "refuse") as broker:
        with load_run(tmp_path / "some", "connect", broker.port, "--connections", 2000, "--watch-pid", broker.pid) as run:
            assert run.end() == 1
        assert run.metric("clients.connected") == 200
        for name in ("cpu.per_connection_ns", "kernel.per_connection_bytes", "memory.per_connection_bytes", "generator.cpu_per_client_ns"):
            assert run.metric(name) is None, name
        assert run.metric("memory.start_bytes") > 0
        assert "1800 clients failed, or lost their connection, beside 200" in run.anomaly("failed_share")
        with load_run(tmp_path / "steps", "steps", broker.port, "--steps", "100,1000", "--probe", 0, "--watch-pid", broker.pid) as steps:
            steps.end()
        assert steps.record["steps"][0]["cpu_per_connection_ns"] > 0
        assert steps.record["steps"][1]["cpu_per_connection_ns"] is None


def test_what_refused_arrivals_cost_is_not_charged_to_those_that_came(tmp_path):
    with Broker("--pool", "fixed", "--initial", 200, "--max", 200, "--overflow", "refuse") as broker:
        with load_run(tmp_path / "some", "burst", broker.port, "--connections", 150, "--burst", 400, "--repeat", 1, "--stay", "100ms",
                      "--calm", "100ms", "--settle", "1s", "--watch-pid", broker.pid) as run:
            assert run.end() == 1
        assert run.metric("arrivals.count") == 50 and run.metric("arrivals.failed") == 350
        assert run.metric("cpu.per_arrival_ns") is None and run.metric("memory.after_bytes") > 0
        assert "350 connects of clients that come (back) failed, or connections were lost, beside 50 arrivals" in run.anomaly("failed_share")
    done = poolmark("verify", tmp_path / "some")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("strategy", ["malloc", "sync"])
def test_a_bound_that_no_strategy_here_keeps_is_refused(strategy):
    done = subprocess.run([BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", "--pool", strategy, "--max", "10", "--overflow", "refuse"],
                          capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert f"strategy {strategy} of pool connections knows no bound" in done.stderr and "fixed, expand" in done.stderr


@pytest.mark.parametrize("words", ["poolmark-broker --threads 1 --threads 2", "poolmark-loadgen connect --qos 0 --qos 1",
                                   "poolmark-hot --runs 1 --runs 2", "poolmark-bench --benchmark_filter=a --benchmark_filter=b"])
def test_an_option_with_one_value_is_given_once(words):
    program, *options = words.split()
    done = subprocess.run([BUILD / program, *options], capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 2 and "is given twice" in done.stderr and done.stdout == ""
