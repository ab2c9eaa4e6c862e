# SPDX-License-Identifier: Apache-2.0
"""Memory that a fork shares counts once, memory that was given back lazily does not count, and a watched process that executes another
program is told."""
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults import load
from poolmark.records import read_record
from poolmark.verify.verify import complaints

MIB = 1 << 20
SIZE = 48       # MiB; the interpreter takes less than half of it
TOLD = ("forked", "lazy_free", "target_replaced")


@contextlib.contextmanager
def target(how):
    """(port, pid, pid of its child)."""
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("forking_target.py"), how, str(SIZE)], stdout=subprocess.PIPE, text=True)
    port, child = map(int, process.stdout.readline().split())
    try:
        yield port, process.pid, child
    finally:
        process.kill()
        process.wait()
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def run_of(folder, port, *pids, more=()):
    watched = [word for pid in pids for word in ("--watch-pid", pid)]
    with load(folder, "connect", port, "--connections", 60, "--settle", "500ms", "--fresh-target", *watched, *more) as run:
        assert run.end() == 0
    wrong, _ = complaints(read_record.load(run.folder))
    assert wrong == []
    return run


def told(run):
    return {what for what in TOLD if run.anomaly(what)}


def test_pages_that_a_fork_shares_count_once(tmp_path):
    with target("fork") as (port, pid, child):
        both = run_of(tmp_path / "both", port, pid, child)
        one = run_of(tmp_path / "one", port, pid)
    assert told(both) == set() and SIZE * MIB < both.metric("memory.full_bytes") < 1.5 * SIZE * MIB
    assert both.metric("memory.full_private_bytes") <= both.metric("memory.full_pss_bytes")
    assert told(one) == {"forked"} and one.metric("memory.full_bytes") < SIZE * MIB // 2
    assert "Watch all processes" in one.anomaly("forked")


def test_memory_that_was_given_back_lazily_is_no_private_memory(tmp_path):
    with target("free") as (port, pid, _):
        run = run_of(tmp_path / "run", port, pid)
    if run.metric("memory.full_rss_bytes") < SIZE * MIB:
        pytest.skip("the kernel has taken the memory already: it was in need of room")
    assert told(run) == {"lazy_free"} and run.metric("memory.full_bytes") < SIZE * MIB // 2
    assert run.metric("memory.full_pss_bytes") > SIZE * MIB


@pytest.mark.parametrize("how, said", [("sleep", "executed another program"), ("anew", "executed its program anew")])
def test_a_watched_process_that_executes_a_program_has_no_figures_of_memory(tmp_path, how, said):
    with target(how) as (port, pid, _):
        run = run_of(tmp_path / "run", port, pid, more=("--hold", "1500ms"))
    assert told(run) == {"target_replaced"} and said in run.anomaly("target_replaced"), run.record["anomalies"]
    assert how == "anew" or "/sleep" in run.anomaly("target_replaced").partition("then ")[2]
    assert [run.metric(name) for name in ("memory.full_bytes", "memory.start_bytes", "cpu.per_connection_ns")] == [None] * 3
    assert run.metric("connect.p50") > 0
