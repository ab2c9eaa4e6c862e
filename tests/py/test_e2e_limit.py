# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark limit with the real programs, at small size: what it asks, records, prints and verifies. Rates and latencies of this
host decide nothing here: bounds are far above or far below any latency."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from poolmark.base.paths import build_dir
from poolmark.limits import told
from poolmark.model import evidence
from poolmark.records import read_record

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen")),
                                reason="the programs are not built")
ANY, NONE = "p50=1h", "p50=1ns"
SHORT = ("--trial", "200ms", "--set", "warmup=0s", "--set", "drain=10s", "--set", "pairs=5")


def answers(folder):
    run = read_record.load(folder)
    return run, {cell["id"]: (cell, trials) for cell, trials in told.cells_of(run.data)}


@pytest.mark.parametrize("scenario, schedule, words", [("publish", "ramp", "constant or poisson"), ("publish", "stairs", "constant or poisson"),
                                                       ("connect", "poisson", "constant")])
def test_a_rate_that_changes_in_a_trial_is_refused(scenario, schedule, words, poolmark):
    done = poolmark("limit", scenario, "--bound", ANY, "--set", f"schedule={schedule}", "--build", BUILD, "--dry-run")
    assert done.returncode == 2 and f"--set schedule={schedule}: a trial has one rate" in done.stderr and words in done.stderr


def test_a_bound_that_every_rate_holds(poolmark, tmp_path):
    """Two strategies take turns; the highest rate that was asked for is held. verify repeats all of it, and report makes a page."""
    out = tmp_path / "run"
    done = poolmark("limit", "publish", "--bound", ANY, "--strategy", "malloc,slab", *SHORT, "--from", "100", "--most", "300", "--build", BUILD,
                    "--out", out)
    assert done.returncode == 0, done.stderr
    run, found = answers(out)
    assert run.data["status"] == "complete" and list(found) == ["malloc-raw", "slab-raw"]
    for name, (cell, trials) in found.items():
        assert (cell["answer"]["kind"], cell["answer"]["by"], cell["metrics"]["limit.low"]["value"]) == ("at least", "asked", 300)
        assert [one["config"]["rate"] for one in trials][:3] == [100, 200, 300]
        assert all(one["trial"]["had"] > 0 and "delivery.p50" in one["trial"]["latencies"] for one in trials)
        assert f"{name} holds at least 300/s: no higher rate was tried" in done.stdout
        assert [word for word in trials[0]["commands"][-1] if word in ("--publish-rate", "--duration")] == ["--publish-rate", "--duration"]
        assert any("poolmark-broker" in words[0] for words in trials[0]["commands"])
    order = [cell["id"].partition("/")[0] for cell in run.data["cells"] if "trial" in cell]
    assert order[:4] == ["malloc-raw", "slab-raw", "slab-raw", "malloc-raw"]
    assert poolmark("verify", out).stdout.startswith(f"{run.id}: good; complete")
    assert poolmark("report", out, "--out", tmp_path / "page").returncode == 0
    assert poolmark("merge", out, out).returncode == 2
    compared = poolmark("compare", out, out)
    assert compared.returncode == 4 and "is a search for the highest rate" in compared.stderr
    lines = (out / "limit.csv").read_text().splitlines()
    assert len(lines) == 1 + len(order)


@pytest.mark.parametrize("loads, seen", [("pairs=3,5", ("pairs", [3, 5])), ("broker.threads=1,2", ("threads", [1, 2]))])
def test_a_contender_for_each_load(poolmark, tmp_path, loads, seen):
    """As the law of scale takes them: one run, in turns."""
    out, short = tmp_path / "run", SHORT[:-2] if loads.startswith("pairs") else SHORT
    done = poolmark("limit", "publish", "--bound", ANY, "--strategy", "slab", *short, "--loads", loads, "--from", "100", "--most", "100", "--repeat", "1",
                    "--build", BUILD, "--out", out)
    assert done.returncode == 0, done.stderr
    run, found = answers(out)
    name, values = seen
    assert list(found) == [f"slab-raw-{name}-{value}" for value in values]
    taken = evidence.gather([run], None).limits
    clients = {"pairs": values, "threads": [5, 5]}[name]
    assert [(one.threads, one.clients) for one in taken] == list(zip({"threads": values, "pairs": [1, 1]}[name], clients, strict=True))
    for value, (_, trials) in zip(values, found.values(), strict=True):
        assert all(one["config"][name] == value for one in trials)
        words = trials[0]["commands"][-1 if name == "pairs" else 0]
        assert words[words.index(f"--{name}") + 1] == str(value)
    assert poolmark("verify", out).returncode == 0


def test_a_bound_that_no_rate_holds(poolmark, tmp_path):
    out = tmp_path / "run"
    done = poolmark("limit", "publish", "--bound", NONE, *SHORT, "--from", "200", "--least", "100", "--build", BUILD, "--out", out, "--json")
    run, found = answers(out)
    assert json.loads(done.stdout)["id"] == run.id
    cell, trials = found["raw"]
    assert cell["answer"]["kind"] == "below" and cell["metrics"]["limit.high"]["value"] == 100, done.stderr
    assert all(one["trial"]["verdict"] in ("failed", "limited") and "bound 1 ns" in one["trial"]["why"][0] for one in trials)
    assert done.returncode == 0 and poolmark("verify", out).returncode == 0


def test_connects_a_second(poolmark, tmp_path):
    out = tmp_path / "run"
    done = poolmark("limit", "connect", "--bound", ANY, "--trial", "200ms", "--from", "200", "--most", "200", "--repeat", "2", "--build", BUILD,
                    "--out", out)
    assert done.returncode == 0, done.stderr
    _, found = answers(out)
    cell, trials = found["raw"]
    assert cell["metrics"]["limit.low"]["value"] == 200
    assert [(one["config"]["connections"], one["metrics"]["clients.connected"]["value"]) for one in trials] == [(40, 40)] * 2
    assert poolmark("verify", out).returncode == 0


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "limit", "publish", "--bound", ANY, "--trial", "200ms", "--set", "pairs=5",
                                "--from", "100", "--set", "warmup=0s", "--build", str(BUILD), "--out", str(out)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (out / "cells/raw/03").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    text, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    run, found = answers(out)
    cell, trials = found["raw"]
    assert run.data["status"] == "incomplete" and run.data["anomalies"][0]["what"] == "interrupted"
    assert [one["trial"]["verdict"] for one in trials[:2]] == ["held", "held"]
    assert cell["answer"]["kind"] == "at least" and cell["metrics"]["limit.low"]["value"] >= 200 and "the search ended" in text
    assert read_record.check_files(run) == []


def test_a_time_limit_ends_the_search_and_says_so(poolmark, tmp_path):
    """A trial takes longer than the limit. So there is one, and its answer is what it shows."""
    out = tmp_path / "run"
    done = poolmark("limit", "publish", "--bound", ANY, "--trial", "2s", "--time-limit", "1s", *SHORT[2:], "--from", "100", "--build", BUILD, "--out", out)
    run, found = answers(out)
    cell, trials = found["raw"]
    assert done.returncode == 1 and run.data["status"] == "incomplete" and run.data["anomalies"][0]["what"] == "time"
    assert len(trials) == 1 and (cell["answer"]["kind"], cell["answer"]["by"]) == ("at least", "ended")
    assert poolmark("verify", out).returncode == 0


def test_mosquitto_beside_the_reference_broker(poolmark, tmp_path):
    if not os.access("/usr/sbin/mosquitto", os.X_OK):
        pytest.skip("mosquitto is not installed")
    out = tmp_path / "run"
    done = poolmark("limit", "publish", "--bound", "ack.p50=1h", "--target", "mosquitto", "--target", "poolmark", "--set", "qos=1", *SHORT, "--from",
                    "100", "--most", "100", "--repeat", "1", "--build", BUILD, "--out", out)
    assert done.returncode == 0, done.stderr
    _, found = answers(out)
    assert list(found) == ["mosquitto-raw", "raw"]
    assert all("ack.p50" in one["trial"]["latencies"] for _, trials in found.values() for one in trials)
    assert poolmark("verify", out).returncode == 0


@pytest.mark.parametrize("words, names", [
    (("publish",), "name one: p99=20ms"), (("publish", "--bound", "p99"), "p99=20ms"), (("publish", "--bound", "p99=20"), "a latency has a unit: p99=20ms"), (("dance", "--bound", ANY), "dance"),
    (("publish", "--bound", ANY, "--set", "pair=5"), "did you mean 'pairs'?"), (("publish", "--bound", ANY, "--set", "pairs=x"), "x"),
    (("publish", "--bound", ANY, "--set", "publish-rate=5"), "sets itself"), (("connect", "--bound", ANY, "--set", "rate=5"), "sets itself"),
    (("publish", "--bound", ANY, "--set", "hold=5s"), "hold"), (("publish", "--bound", ANY, "--set", "brocker.threads=2"), "broker"),
    (("publish", "--bound", ANY, "--strategy", "slap"), "did you mean 'slab'?"), (("publish", "--bound", ANY, "--target", "x"), "--target 'x'"),
    (("publish", "--bound", ANY, "--target", "mqtt://127.0.0.1:1", "--strategy", "slab"), "only of target poolmark"),
    (("publish", "--bound", ANY, "--strategy", "slab,slab"), "twice"), (("publish", "--bound", ANY, "--set", "slab.threads=2"), "no contender"),
    (("publish", "--bound", "p99=1s", "--least", "1"), "--least 1"), (("publish", "--bound", "p99=1s", "--most", "2"), "--most 2"),
    (("publish", "--bound", "ack.p99=1s"), "no acknowledgements"), (("publish", "--bound", ANY, "--within", "1%"), "2% to 50%"),
    (("publish", "--bound", ANY, "--loads", "pairs"), "KEY=VALUE"), (("publish", "--bound", ANY, "--loads", "pair=5"), "did you mean 'pairs'?"),
    (("publish", "--bound", ANY, "--loads", "pairs=5,x"), "x"), (("publish", "--bound", ANY, "--loads", "pairs=5,5"), "twice"),
    (("publish", "--bound", ANY, "--loads", "pairs=5", "--set", "pairs=6"), "--set gives pairs too"),
    (("publish", "--bound", ANY, "--loads", "schedule=constant,ramp"), "--loads schedule=ramp: a trial has one rate"),
    (("publish", "--bound", ANY, "--loads", "slab.threads=1"), "broker.KEY"), (("publish", "--bound", ANY, "--loads", "broker.pool=slab"), "sets itself"),
    (("publish", "--bound", ANY, "--loads", "publish-rate=5"), "sets itself"), (("publish", "--bound", ANY, "--loads", "rate=5"), "for itself"),
    (("publish", "--bound", ANY, "--loads", "broker.threads=1", "--target", "mqtt://127.0.0.1:1"), "only of target poolmark"),
    (("publish", "--bound", ANY, "--engine", "steam"), "steam"), (("publish", "--bound", ANY, "--set", "broker.max=x"), "x")])
def test_a_wrong_call_is_named_and_starts_nothing(poolmark, tmp_path, words, names):
    done = poolmark("limit", *words, "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 2 and names in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_prints_every_first_command_and_starts_nothing(poolmark, tmp_path):
    done = poolmark("limit", "publish", "--bound", ANY, "--strategy", "all", "--set", "qos=1", "--dry-run", "--out", tmp_path / "run")
    assert done.returncode == 0 and not (tmp_path / "run").exists()
    assert done.stdout.count("poolmark-loadgen publish") == done.stdout.count("poolmark-broker ") >= 5
    assert "--publish-rate 10000 --duration 5s" in done.stdout and "--qos 1" in done.stdout
