# SPDX-License-Identifier: Apache-2.0
"""The children of a suite and their watchdog end with the suite, however it ended."""
import io
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from poolmark.facts.children import Children
from poolmark.base.watchdog import start_time, watch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts/python"
GUARD_S = 120
# Clears the parent-death signal, as a program does that changes its user.
CHILD = """
import ctypes, signal
ctypes.CDLL(None).prctl(1, 0)
print("ready", flush=True)
signal.pause()
"""
PARENT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SCRIPTS)!r})
from poolmark.facts.children import Children
with Children() as children:
    pids = []
    for name in ("one", "other"):
        child = children.start(name, [sys.executable, "-c", {CHILD!r}], Path(sys.argv[1]) / name, read="stdout")
        children.read_until(child, lambda line: line == "ready", {GUARD_S})
        pids.append(child.pid)
    print(*pids, children._watchdog.pid, flush=True)
    sys.stdin.read()
"""


def has_ended(pidfd, guard_s=GUARD_S):
    return bool(select.select([pidfd], [], [], guard_s)[0])


@pytest.fixture
def pidfds():
    """A list of pidfds. Their processes are killed after the test in any case."""
    opened = []
    yield opened
    for pidfd in opened:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(pidfd)


@pytest.fixture
def sleeper(pidfds):
    """Starts a Python program that prints when it is ready; returns the process."""
    started = []

    def start(program):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        pidfds.append(os.pidfd_open(process.pid))
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "end"])
def test_children_and_watchdog_go_with_their_parent(tmp_path, pidfds, ending):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pidfds.append(os.pidfd_open(parent.pid))
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3, parent.communicate()
    pidfds += [os.pidfd_open(pid) for pid in pids]
    if ending == "end":
        parent.stdin.close()
    else:
        parent.send_signal(signal.Signals[ending])
    assert all(has_ended(pidfd) for pidfd in pidfds)
    parent.stdin.close()
    parent.stdout.close()
    parent.stderr.close()
    parent.wait()
    assert parent.returncode == {"SIGKILL": -signal.SIGKILL, "SIGTERM": 1, "end": 0}[ending]


def test_the_watchdog_is_gone_when_its_children_are_left(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with Children() as children:
            assert children._watchdog is None  # nothing to watch yet
            child = children.start("child", [sys.executable, "-c", CHILD], tmp_path / "log", read="stdout")
            pids = [child.pid, children._watchdog.pid]
            assert all(Path(f"/proc/{pid}").exists() for pid in pids)
            1 / 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_child_runs_without_a_watchdog_all_the_same(tmp_path):
    with Children() as children:
        children.stop(children.start("first", ["true"], tmp_path / "log"))
        children._watchdog._process.kill()
        children._watchdog._process.wait()
        child = children.start("child", [sys.executable, "-c", CHILD], tmp_path / "log", read="stdout")
        children.read_until(child, lambda line: line == "ready", GUARD_S)
        assert children.stop(child) == -signal.SIGTERM


def test_a_child_has_its_signals_as_they_are_at_a_login(tmp_path):
    with Children() as children:
        child = children.start("grep", ["grep", "^SigIgn", "/proc/self/status"], tmp_path / "log")
        assert children.wait(child, GUARD_S) is child
        assert children.stop(child) == 0
    ignored = int((tmp_path / "log").read_text().split()[1], 16)
    assert not any(ignored >> number - 1 & 1 for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def test_whoever_has_a_number_later_is_left_alone(sleeper):
    process = sleeper(CHILD)
    watch(io.StringIO(f"{process.pid} {int(start_time(process.pid)) - 1}\n"))
    process.kill()  # without a SIGTERM before
    assert process.wait(GUARD_S) == -signal.SIGKILL


def test_who_does_not_end_when_asked_is_ended(sleeper):
    deaf = sleeper("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CHILD)
    willing = sleeper(CHILD)
    gone = sleeper(CHILD)
    known = "".join(f"{process.pid} {start_time(process.pid)}\n" for process in (deaf, willing, gone))
    gone.kill()
    gone.wait()
    watch(io.StringIO(known), grace_s=0.2)
    assert deaf.wait(GUARD_S) == -signal.SIGKILL
    assert willing.wait(GUARD_S) in (-signal.SIGTERM, -signal.SIGKILL)
