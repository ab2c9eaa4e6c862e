# SPDX-License-Identifier: Apache-2.0
"""A worker of the generator that only receives, and cannot: nothing is sent late, and it is not the target that was slow."""
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from commands import poolmark
from faults import children_of, load, stopped

from poolmark.limits import bounds
from poolmark.limits.verdict import judge


@contextlib.contextmanager
def crowded_out(pid):
    """The process may use one processor, when nothing else wants it, and something else does."""
    cpu = min(os.sched_getaffinity(0))
    hog = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, [{cpu}])\nwhile os.getppid() == {os.getpid()}: pass"])
    try:
        os.sched_setaffinity(pid, [cpu])
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        yield
    finally:
        hog.send_signal(signal.SIGKILL)
        hog.wait()


WAYS = {"stopped": (stopped, {"generator", "host"}, "kept from running (stopped, or its machine was)"),
        "crowded_out": (crowded_out, {"host", "generator"}, "did not read in time")}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_only_receives_and_cannot_is_the_limit(tmp_path, broker, way):
    """The publisher is the last client, so the first worker has subscribers alone."""
    hinder, limits, words = WAYS[way]
    with load(tmp_path / "run", "publish", broker.port, "--pattern", "fan-out", "--publishers", 1, "--subscribers", 20, "--publish-rate", 200,
              "--duration", "4s", "--warmup", 0, "--workers", 2) as run:
        run.wait_for("publish ")
        with hinder(min(children_of(run.pid))):
            time.sleep(4.5)  # past the end of the publishing
        run.end()
    assert words in run.anomaly("late_receiver")
    assert run.record["summary"]["limit"]["by"] in limits
    metrics = run.record["metrics"]
    assert metrics["delivery.p99"]["doubt"] == metrics["messages.lost"]["doubt"] == "late_receiver" and "doubt" not in metrics["messages.rate"]
    # In a search the trial is no failure of the target.
    trial = judge(run.folder, "publish", bounds.parse(["p99=1us"], "publish"), [])
    assert trial["verdict"] == "limited" and trial["by"] in limits
    verify = poolmark("verify", tmp_path / "run")
    assert verify.returncode == 0, verify.stdout
