# SPDX-License-Identifier: Apache-2.0
"""Memory that did not grow gives no slope: a broker that served before reuses the memory it kept."""
import json
import mmap
import os
import re

import pytest
from commands import poolmark
from faults import Broker, load, peer

# As with allocators that give nothing back.
KEEPS = ["env", "MALLOC_TRIM_THRESHOLD_=100000000000", "MALLOC_MMAP_THRESHOLD_=100000000000"]
STEPS = ("--steps", "1000,2000,3000,4000", "--settle", "2s", "--probe", "0")


def capacity(folder):
    return poolmark("capacity", folder, "--json")


def test_a_broker_that_has_served_before_gives_no_figure_and_no_forecast(tmp_path):
    with Broker("--pool", "malloc", "--shape", "lean", "--threads", "1", prefix=KEEPS) as broker:
        with load(tmp_path / "fresh", "steps", broker.port, *STEPS, "--watch-pid", broker.pid) as fresh:
            assert fresh.end() == 0
        # Other tests beside this one may end connections in ways that cannot be told from a stranger's at this target.
        for attempt in range(3):
            with load(tmp_path / f"again {attempt}", "steps", broker.port, *STEPS, "--watch-pid", broker.pid) as again:
                again.end()
                assert again.metric("memory.per_connection_bytes") is None
            if not again.anomaly("other_clients"):
                break
        assert "restart it" in again.anomaly("resolution"), again.record["anomalies"]
    told = capacity(tmp_path / f"again {attempt}")
    facts = json.loads(told.stdout)["cells"][0]
    assert told.returncode == 1
    assert facts["user"] is None and "user memory did not grow" in facts["no_forecast"] and "restart the target" in facts["no_forecast"]
    assert facts["sizes"] == [] and facts["held_out"] is None
    assert json.loads(capacity(tmp_path / "fresh").stdout)["cells"][0]["user"]["per_connection_bytes"] > 100


def test_memory_kept_from_fewer_connections_is_not_counted_as_growth_of_none(tmp_path):
    """The first 3000 of 6000 connections take what the target kept: the slope over all would be half of what a connection takes."""
    with Broker("--pool", "malloc", "--shape", "lean", "--threads", "1", prefix=KEEPS) as broker:
        with load(tmp_path / "fresh", "connect", broker.port, "--connections", 3000, "--watch-pid", broker.pid) as fresh:
            assert fresh.end() == 0
            assert fresh.metric("memory.per_connection_bytes") > 100 and not fresh.anomaly("served_before")
        # What it has served is known by its CPU time, and a host that is busy now makes connects dearer than they were.
        with load(tmp_path / "again", "connect", broker.port, "--connections", 3000) as again:
            assert again.end() == 0
        with load(tmp_path / "more", "connect", broker.port, "--connections", 6000, "--watch-pid", broker.pid) as more:
            assert more.end() == 0
            assert more.metric("memory.per_connection_bytes") is None and more.metric("memory.per_connection_rss_bytes") is None
            assert more.metric("memory.start_bytes") > 0
            assert "restart the target" in more.anomaly("served_before")
        with load(tmp_path / "steps", "steps", broker.port, "--steps", "3000,6000,7000,8000", "--settle", "2s", "--probe", "0",
                  "--watch-pid", broker.pid) as steps:
            assert steps.end() == 0
            assert steps.metric("memory.per_connection_bytes") is None
    verify = poolmark("verify", tmp_path / "more")
    assert verify.returncode == 0, verify.stdout
    assert "not known, as an anomaly says" in verify.stdout
    told = capacity(tmp_path / "steps")
    facts = json.loads(told.stdout)["cells"][0]
    assert told.returncode == 1 and facts["user"] is None and "restart the target" in facts["no_forecast"]


@pytest.mark.parametrize("before, connections", [(500, 3000), (500, 8000)])
def test_few_connections_before_make_no_wrong_figure(tmp_path, before, connections):
    """The first 500 take what the target kept. Too little memory for the curve to show it: the run begins its slope past the
    connections that the target can have served, or has no figure."""
    def watched(name, broker):
        return load(tmp_path / name, "connect", broker.port, "--connections", connections, "--watch-pid", broker.pid, "--settle", "2s")

    lean = ("--pool", "malloc", "--shape", "lean", "--threads", "1")
    with Broker(*lean, prefix=KEEPS) as broker, watched("fresh", broker) as fresh:
        assert fresh.end() == 0
    with Broker(*lean, prefix=KEEPS) as broker:
        with load(tmp_path / "few", "connect", broker.port, "--connections", before) as few:
            assert few.end() == 0
        with watched("many", broker) as many:
            assert many.end() == 0
    figure, right = many.metric("memory.per_connection_bytes"), fresh.metric("memory.per_connection_bytes")
    assert right > 100
    if figure is None:
        assert "restart" in many.anomaly("served_before") + many.anomaly("resolution")
    else:
        assert figure > 0.85 * right, (figure, right)


@pytest.mark.parametrize("pool", ["fixed", "expand", "slab"])
@pytest.mark.parametrize("initial", [1024, 3000])
def test_a_reserve_made_at_the_start_is_not_taken_for_a_target_that_has_served(tmp_path, pool, initial):
    with Broker("--pool", pool, "--shape", "classic", "--threads", "1", "--initial", initial) as broker:
        with load(tmp_path / "run", "connect", broker.port, "--connections", 4000, "--watch-pid", broker.pid) as run:
            assert run.end() == 0
            assert not run.anomaly("served_before")


def test_a_heap_of_shared_memory_is_not_passed_over(tmp_path):
    """The target (here: this process) takes 64 KiB of MAP_SHARED memory for each client, which private memory does not include."""
    heap = []

    def answer(kind):
        if kind == 1:
            heap.append(mmap.mmap(-1, 65536))
            heap[-1].write(b"x" * 65536)
        return {1: b"\x20\x02\x00\x00"}.get(kind, b"")

    with peer(answer) as port, load(tmp_path / "run", "connect", port, "--connections", 200, "--watch-pid", os.getpid(), "--settle",
                                    "1s") as run:
        assert run.end() == 0
        assert "bytes of shared memory (shm, MAP_SHARED)" in run.anomaly("shared")
        each = float(re.search(r": ([0-9.]+) a connection", run.anomaly("shared"))[1])
        assert 60_000 < each < 80_000
