# SPDX-License-Identifier: Apache-2.0
"""A search for the highest rate, while its target is stopped, killed, or was never there: the trial says so, and counts for nothing
that it is not."""
import contextlib
import os
import signal
import subprocess
import sys
import time

from commands import poolmark
from faults import BUILD, GUARD_S, ROOT, Broker, stopped

from poolmark.limits import told
from poolmark.records import read_record


def search(out, port, *words, trial="4s"):
    """Searches at one rate, 2000 messages a second. A rate whose first trial failed takes three."""
    return subprocess.Popen(
        [str(ROOT / "scripts/poolmark"), "limit", "publish", "--bound", "p50=10s", "--target", f"mqtt://127.0.0.1:{port}", "--from", "2000",
         "--most", "2000", "--trial", trial, "--repeat", "1", "--set", "pairs=5", "--set", "warmup=0s", "--set", "timeout=2s", "--set", "drain=1s", "--build",
         str(BUILD), "--out", str(out), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process):
    limit = time.monotonic() + GUARD_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)


def publishes(load):
    """Whether a trial's generator is publishing."""
    with contextlib.suppress(OSError):
        return ",publish," in (load / "memory.csv").read_text(encoding="utf-8")
    return False


def ended(load):
    with contextlib.suppress(OSError):
        return '"status": "running"' not in (load / "run.json").read_text(encoding="utf-8")
    return False


def trials_of(out):
    run = read_record.load(out)
    (cell, trials), = told.cells_of(run.data)
    return run, cell, trials


def test_a_target_stopped_in_a_trial_fails_that_trial_and_no_other(tmp_path):
    with Broker() as broker:
        process = search(tmp_path / "run", broker.port)
        first = tmp_path / "run/cells/mqtt_127.0.0.1_{}-raw/01/load".format(broker.port)
        wait_for(lambda: publishes(first), process)
        with stopped(broker.pid):
            wait_for(lambda: ended(first), process)
        _, err = process.communicate(timeout=GUARD_S)
    run, cell, trials = trials_of(tmp_path / "run")
    assert trials[0]["trial"]["verdict"] in ("failed", "limited"), err
    assert trials[0]["trial"]["lost"] > 0 and "did not arrive" in "; ".join(trials[0]["trial"]["why"])
    assert cell["answer"]["kind"] == "at least" and cell["answer"]["by"] == "asked"
    assert cell["metrics"]["limit.held"]["value"] == cell["metrics"]["limit.trials"]["value"] - 1
    assert process.returncode == 0


def test_a_target_that_is_killed_ends_the_search(tmp_path):
    with Broker() as broker:
        process = search(tmp_path / "run", broker.port)
        load = tmp_path / "run/cells/mqtt_127.0.0.1_{}-raw/01/load".format(broker.port)
        wait_for(lambda: publishes(load), process)
        os.kill(broker.pid, signal.SIGKILL)
        text, _ = process.communicate(timeout=GUARD_S)
    run, cell, trials = trials_of(tmp_path / "run")
    assert trials[0]["trial"]["verdict"] in ("failed", "limited")
    assert "lost their connection" in "; ".join(trials[0]["trial"]["why"])
    assert [one["trial"]["verdict"] for one in trials[1:]] == ["nothing", "nothing"]
    assert "no client connected: tcp_refused" in trials[-1]["trial"]["why"][0]
    assert cell["answer"]["kind"] == "below" and "does not hold 2 000/s" in text


def test_a_target_that_is_not_there_is_no_answer(tmp_path):
    with Broker() as broker:
        port = broker.port
    process = search(tmp_path / "run", port)
    text, err = process.communicate(timeout=GUARD_S)
    run, cell, trials = trials_of(tmp_path / "run")
    assert process.returncode == 1 and run.data["status"] == "failed" and cell["answer"]["kind"] == "nothing"
    assert len(trials) == 2 and "tcp_refused" in err and "was not measured" in text


@contextlib.contextmanager
def spinning(count):
    """Programs that take what processors they get, for a minute at most."""
    words = [sys.executable, "-c", "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"]
    others = [subprocess.Popen(words) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def test_other_programs_beside_a_target_that_ran_before_are_told(tmp_path):
    """As beside one that the search starts: the target itself is no other, and is watched."""
    with Broker() as broker, spinning(2):
        process = search(tmp_path / "run", broker.port, trial="1500ms")
        _, err = process.communicate(timeout=GUARD_S)
    _, _, trials = trials_of(tmp_path / "run")
    told_of = {one["what"]: one["text"] for one in trials[0]["anomalies"]}
    assert "other processes had" in told_of["busy"], err
    assert trials[0]["metrics"]["memory.start_bytes"]["value"] > 0
    assert poolmark("verify", tmp_path / "run").returncode == 0
