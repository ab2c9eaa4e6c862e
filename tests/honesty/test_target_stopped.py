# SPDX-License-Identifier: Apache-2.0
"""A target that stood still: the record says what it was and for how long, and no figure of that time is judged."""
import contextlib
import ctypes
import os
import threading
import time
from pathlib import Path

import pytest
from commands import poolmark
from faults import GUARD_S, Broker, load, needs_root, stopped

UNIFIED = Path("/sys/fs/cgroup/unified") if Path("/sys/fs/cgroup/unified").exists() else Path("/sys/fs/cgroup")
PTRACE_SEIZE, PTRACE_DETACH, PTRACE_INTERRUPT = 0x4206, 17, 0x4207


@contextlib.contextmanager
def frozen_by(file, on, off):
    file.write_text(on, encoding="ascii")
    try:
        yield
    finally:
        file.write_text(off, encoding="ascii")


@contextlib.contextmanager
def moved(pid, folder):
    """The process is in a control group of its own."""
    folder.mkdir()
    before = next(line.split(":")[2] for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
                  if line.split(":")[1] == ("freezer" if folder.parent.name == "freezer" else ""))
    (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
    try:
        yield folder
    finally:
        (folder.parent / before.lstrip("/") / "cgroup.procs").write_text(str(pid), encoding="ascii")
        folder.rmdir()


@contextlib.contextmanager
def frozen(pid, version):
    folder = (Path("/sys/fs/cgroup/freezer") if version == 1 else UNIFIED) / f"poolmark-{os.getpid()}"
    if not (folder.parent / "cgroup.procs").exists():
        pytest.skip(f"there is no control group of version {version} that can be frozen")
    with moved(pid, folder):
        state = frozen_by(folder / "freezer.state", "FROZEN", "THAWED") if version == 1 else frozen_by(folder / "cgroup.freeze", "1", "0")
        file, word = (folder / "freezer.state", "FROZEN") if version == 1 else (folder / "cgroup.events", "frozen 1")
        with state:
            limit = time.monotonic() + GUARD_S
            while word not in file.read_text(encoding="ascii"):     # the kernel freezes a task when it gets to it
                assert time.monotonic() < limit
                time.sleep(0.01)
            yield


@contextlib.contextmanager
def traced(pid, hold):
    """Attaches to all threads of the process from a thread of this one, as a debugger does; `hold`: and stops them."""
    libc = ctypes.CDLL(None, use_errno=True)
    attached, leave = threading.Event(), threading.Event()
    wrong = []

    def call(request, tid):
        if libc.ptrace(request, tid, None, None) != 0:
            wrong.append(os.strerror(ctypes.get_errno()))

    def debug():
        tids = [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()]
        for tid in tids:
            call(PTRACE_SEIZE, tid)
        for tid in tids if hold else ():
            call(PTRACE_INTERRUPT, tid)
            os.waitpid(tid, 0x40000000)  # __WALL
        attached.set()
        leave.wait()
        for tid in tids if hold else ():
            call(PTRACE_DETACH, tid)

    thread = threading.Thread(target=debug)  # the end of the tracing thread detaches
    thread.start()
    attached.wait()
    try:
        if wrong:
            pytest.skip(f"nothing may be traced here: {wrong[0]}")
        yield
    finally:
        leave.set()
        thread.join()


WAYS = {
    "stopped": (stopped, "was stopped (SIGSTOP"),
    "held": (lambda pid: traced(pid, hold=True), "was held by a debugger (ptrace, state t), by process "),
    "traced": (lambda pid: traced(pid, hold=False), "ran under a debugger or tracer (ptrace), by process "),
    "frozen-1": (lambda pid: frozen(pid, 1), "was frozen (freezer of its control group"),
    "frozen-2": (lambda pid: frozen(pid, 2), "was frozen (freezer of its control group"),
}
PARAMETERS = [pytest.param(way, marks=() if way == "stopped" else needs_root) for way in WAYS]


def sampled(run, more):
    """Waits until the generator has read the target so many times more, once a second: it has looked at it as often at least."""
    def lines():
        return len((run.folder / "memory.csv").read_text(encoding="utf-8").splitlines())

    wanted, limit = lines() + more, time.monotonic() + GUARD_S
    while lines() < wanted:
        assert run.process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)


def publish(folder, broker, *more):
    return load(folder, "publish", broker.port, "--pairs", 20, "--publish-rate", 400, "--duration", "4s", "--warmup", 0,
                "--watch-pid", broker.pid, *more)


@pytest.mark.parametrize("way", PARAMETERS)
def test_a_target_that_stood_still_meanwhile_is_named(tmp_path, way):
    still, words = WAYS[way]
    with Broker("--threads", "1") as broker, publish(tmp_path / "run", broker) as run:
        run.wait_for("publish ")
        with still(broker.pid):
            sampled(run, 2)
        assert run.end() == 0
    told, (stop,) = run.anomaly("target_stopped"), run.record["target_stops"]
    assert f"the watched process {broker.pid} {words}" in told and "as far as sampled" in told
    assert stop["kind"] == way.partition("-")[0] and stop["pid"] == broker.pid and stop["looks"] <= stop["of_looks"]
    assert 0.3e9 < stop["longest_ns"] <= stop["ns"] and stop["longest_from_ns"] > 0
    # Figures of time are marked, and those of memory are not.
    metrics = run.record["metrics"]
    assert metrics["delivery.p99"]["doubt"] == "target_stopped" and metrics["messages.rate"]["doubt"] == "target_stopped"
    assert "doubt" not in metrics["memory.full_bytes"]
    if way != "traced":
        assert run.metric("delivery.max") > 0.5e9 and run.record["summary"]["limit"]["by"] != "target"
    verify = poolmark("verify", tmp_path / "run")
    assert verify.returncode == 0, verify.stdout


def test_a_target_that_did_its_work_is_not_said_to_have_stood_still(tmp_path, broker):
    with publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert not run.anomaly("target_stopped") and "target_stops" not in run.record
    assert "doubt" not in run.record["metrics"]["delivery.p99"]


@pytest.mark.parametrize("way", [one for one in PARAMETERS if one.values != ("traced",)])  # that one answers
def test_a_target_that_stands_still_before_the_run_begins_is_the_reason_of_the_failure(tmp_path, way):
    still, words = WAYS[way]
    with Broker("--threads", "1") as broker, still(broker.pid), \
            load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--timeout", "1s", "--settle", 0, "--watch-pid", broker.pid) as run:
        assert run.end() == 1
        said = run.said()
    assert run.metric("clients.failed") == 5
    first, last = run.anomaly("target_stopped").splitlines()
    assert f"the watched process {broker.pid} {words}" in first and "already when the run began" in first
    assert said.index("already when the run began") < said.index("5 clients failed: ")
    assert f"; the watched process {broker.pid} {words.partition(', by')[0]}" in run.anomaly("failed")
    assert "for about" in last
