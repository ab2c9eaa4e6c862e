# SPDX-License-Identifier: Apache-2.0
"""Memory and CPU time of processes that are not the target, or not all of it, are not charged to the connections."""
import os

from commands import poolmark
from faults import Broker, load

FIGURES = ("memory.per_connection_bytes", "memory.full_bytes", "cpu.per_connection_ns")


def connect(folder, port, *more):
    return load(folder, "connect", port, "--connections", 3000, "--settle", "1s", *more)


def test_one_of_two_targets_watched_gives_no_figure(tmp_path):
    with Broker("--shape", "classic", "--threads", "1") as one, Broker("--shape", "classic", "--threads", "1") as other:
        both = ("--target", f"mqtt://127.0.0.1:{other.port}")
        with connect(tmp_path / "both", one.port, *both, "--watch-pid", one.pid, "--watch-pid", other.pid) as run:
            assert run.end() == 0
        assert all(run.metric(name) > 0 for name in FIGURES)
        assert not run.anomaly("not_all_watched") and not run.anomaly("not_the_target")
        with connect(tmp_path / "one", one.port, *both, "--watch-pid", one.pid) as run:
            assert run.end() == 0
        assert [run.metric(name) for name in FIGURES] == [None] * 3
        assert f"1 of 2 listening sockets of the targets are of no watched process, the first at tcp://127.0.0.1:{other.port}" in run.anomaly(
            "not_all_watched")
    verify = poolmark("verify", tmp_path / "one")
    assert verify.returncode == 0, verify.stdout


def test_a_process_that_is_not_the_target_gives_no_figure_and_is_named(tmp_path):
    with Broker("--threads", "1") as broker, connect(tmp_path / "run", broker.port, "--watch-pid", os.getpid()) as run:
        assert run.end() == 0
        assert [run.metric(name) for name in FIGURES] == [None] * 3
        assert f"none listens at tcp://127.0.0.1:{broker.port}" in run.anomaly("not_the_target")
        assert not run.anomaly("resolution") and not run.anomaly("served_before")
