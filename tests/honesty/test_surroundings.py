# SPDX-License-Identifier: Apache-2.0
"""The target is not charged with a CPU quota, a change of the wall clock, or allocators' variables."""
import os
import subprocess
import time
from pathlib import Path

import pytest
from commands import one_connect, poolmark, suite
from faults import GUARD_S, Broker, cgroup, load as load_run, needs_root

from poolmark.facts import comparable
from poolmark.records import record
from poolmark.compare import history
from poolmark.facts.children import Children
from poolmark.records.read_record import load


@needs_root
def test_throttling_is_an_anomaly_and_the_quota_a_fact_of_the_host(tmp_path):
    with cgroup("cpu", cpu__cfs_quota_us=20000) as enter:
        done = subprocess.run(suite(tmp_path, one_connect(2000), out=tmp_path / "slow"), capture_output=True, text=True, timeout=GUARD_S, check=False, preexec_fn=enter)
    assert done.returncode == 0, done.stderr
    subprocess.run(suite(tmp_path, one_connect(2000), out=tmp_path / "free"), capture_output=True, timeout=GUARD_S, check=True)
    slow, free = load(tmp_path / "slow").data, load(tmp_path / "free").data
    # In addition to the generator's anomalies of its own phases.
    told = [one["text"] for one in slow["cells"][0]["anomalies"] if one["what"] == "throttled" and "the programs" in one["text"]]
    assert len(told) == 1 and told[0].startswith("a CPU quota of 0.2 processors stopped the programs ")
    assert "! malloc" in done.stdout.replace("lean-", "") and "throttled" in done.stdout
    if free["host"]["cpu_quota"] == free["host"]["cores"]:  # else this test itself runs under a quota
        assert not any(one["what"] == "throttled" for one in free["cells"][0]["anomalies"])
    assert slow["host"]["cpu_quota"] == 0.2 < free["host"]["cpu_quota"] <= free["host"]["cores"]
    assert [fact for fact, _, _ in comparable.differences(slow, free)] == ["host.cpu_quota"]
    assert history.fingerprint(slow) != history.fingerprint(free)
    compared = poolmark("compare", tmp_path / "free", tmp_path / "slow")
    assert compared.returncode == 3 and "cpu_quota" in compared.stdout + compared.stderr, compared.stdout
    del free["host"]["cpu_quota"]  # as in a record of an older version, of the same host
    assert "host.cpu_quota" not in [fact for fact, _, _ in comparable.differences(free, load(tmp_path / "free").data)]
    assert history.fingerprint(free) == history.fingerprint(load(tmp_path / "free").data)


def test_runs_on_fewer_processors_are_not_compared_with_runs_on_more(tmp_path):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("this process may use one processor only")
    for name, processors in (("all", allowed), ("one", allowed[:1])):
        done = subprocess.run(suite(tmp_path, one_connect(100), out=tmp_path / name), capture_output=True, text=True,
                              timeout=GUARD_S, check=False,
                              preexec_fn=lambda: os.sched_setaffinity(0, processors))  # noqa: B023: it runs at once
        assert done.returncode == 0, done.stderr
    assert load(tmp_path / "one").data["host"]["cores"] == 1
    compared = poolmark("compare", tmp_path / "all", tmp_path / "one")
    assert compared.returncode == 3 and "cores" in compared.stdout + compared.stderr, compared.stdout


def test_a_wall_clock_that_is_set_meanwhile_misplaces_no_run(tmp_path, monkeypatch):
    """The clock was one hour slow at the start of the run, and was set during the run."""
    real = record.time.time
    monkeypatch.setattr(record.time, "time", lambda: real() - 3600)
    monkeypatch.setattr(record, "utc_now", lambda: "2001-01-01T00:00:00Z")
    made = record.Record.create("suite", suite="small", folder=tmp_path / "run", seed=1)
    monkeypatch.undo()
    made.close("complete")
    data = load(tmp_path / "run").data
    assert data["status"] == "complete" and data["started_utc"][:4] != "2001" and data["started_utc"] <= data["ended_utc"]
    assert [one["what"] for one in data["anomalies"]] == ["clock"]
    assert "was set by +3600" in data["anomalies"][0]["text"] and "2001-01-01" in data["anomalies"][0]["text"]
    still = record.Record.create("suite", suite="small", folder=tmp_path / "still", seed=1)
    still.close("complete")
    assert load(tmp_path / "still").data["anomalies"] == []


def test_what_the_environment_says_to_allocators_reaches_no_measured_program(tmp_path, monkeypatch):
    wild = {"MALLOC_PERTURB_": "7", "MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0", "MALLOC_CONF": "narenas:1",
            "TCMALLOC_SAMPLE_PARAMETER": "1", "MIMALLOC_VERBOSE": "0", "HEAPPROFILE": "/tmp/none"}
    for name, value in wild.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTHER", "stays")
    with Children() as children:
        child = children.start("env", ["env"], tmp_path / "log", env={"GLIBC_TUNABLES": "asked=for"})
        children.wait(child, 60.0)
        assert children.stop(child) == 0
    found = dict(line.split("=", 1) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines() if "=" in line)
    assert found["OTHER"] == "stays" and found["GLIBC_TUNABLES"] == "asked=for"
    assert not (set(wild) - {"GLIBC_TUNABLES"}) & set(found)


def test_the_suite_says_what_it_took_off(tmp_path):
    done = subprocess.run(suite(tmp_path, one_connect(10)), capture_output=True, text=True, timeout=GUARD_S, check=False,
                          env={**os.environ, "MALLOC_PERTURB_": "7"})
    assert done.returncode == 0 and "MALLOC_PERTURB_ of this environment: taken off the measured programs" in done.stderr


@needs_root
def test_a_target_that_is_moved_into_a_group_with_a_quota_and_back_is_said(tmp_path):
    with cgroup("cpu", cpu__cfs_period_us=100000, cpu__cfs_quota_us=1000), Broker("--threads", "1") as broker, \
            load_run(tmp_path / "run", "publish", broker.port, "--pairs", 20, "--publish-rate", 2000, "--duration", "4s", "--warmup", 0,
                     "--watch-pid", broker.pid) as run:
        home = next(line.split(":")[2] for line in Path(f"/proc/{broker.pid}/cgroup").read_text(encoding="ascii").splitlines()
                    if "cpu" in line.split(":")[1].split(","))
        run.wait_for("publish ")
        slow = Path("/sys/fs/cgroup/cpu") / f"poolmark-{os.getpid()}"
        (slow / "cgroup.procs").write_text(str(broker.pid), encoding="ascii")
        time.sleep(2.5)
        (slow.parent / home.lstrip("/") / "cgroup.procs").write_text(str(broker.pid), encoding="ascii")
        run.end()
    assert f"the watched process {broker.pid} was moved to another control group" in run.anomaly("moved") and slow.name in run.anomaly("moved")
    assert "the target was throttled" in run.anomaly("throttled") and "0.01 processors" in run.anomaly("throttled")
    assert run.metric("cpu.throttled_ns") > 1e6
    verify = poolmark("verify", tmp_path / "run")
    assert verify.returncode == 0, verify.stdout
