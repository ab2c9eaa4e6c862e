# SPDX-License-Identifier: Apache-2.0
"""Absent, forbidden and gone are three different answers. A substitute is named, and an unreadable value gives no figure."""
import contextlib
import errno
import subprocess

import pytest
from faults import BUILD, GUARD_S, Broker, as_user, hiding, load, mosquitto, needs_mosquitto, needs_root, refusing


def check_rss_stands_in(run, why):
    assert run.end() == 0
    assert run.record["status"] == "complete"
    assert run.record["summary"]["memory_is"] == "rss"
    assert why in run.anomaly("stand_in") and "RSS instead of private memory" in run.anomaly("stand_in")
    assert run.metric("memory.full_bytes") == run.metric("memory.full_rss_bytes") > 1e6
    assert run.metric("cpu.per_connection_ns") > 0
    assert "memory.full_private_bytes" not in run.record["metrics"]
    assert "memory.full_pss_bytes" not in run.record["metrics"]


@needs_root
def test_a_target_of_another_user_is_measured_by_what_may_be_read(open_folder, broker):
    with load(open_folder / "run", "connect", broker.port, "--connections", 2000, "--settle", "1s", "--watch-pid", broker.pid,
              before=as_user()) as run:
        check_rss_stands_in(run, "Permission denied")


@needs_root
@needs_mosquitto
def test_so_is_mosquitto_which_is_of_another_user(open_folder):
    """As docs/other-brokers.md has it, unprivileged."""
    with mosquitto(open_folder) as (port, pid), \
            load(open_folder / "run", "connect", port, "--connections", 500, "--rate", 2000, "--settle", "1s", "--watch-pid", pid,
                 before=as_user()) as run:
        assert run.end() == 0
        assert run.record["summary"]["memory_is"] == "rss" and "Permission denied" in run.anomaly("stand_in")
        assert run.metric("memory.full_bytes") == run.metric("memory.full_rss_bytes") > 1e6
        assert run.metric("cpu.per_connection_ns") > 0 or run.anomaly("target_busy") or run.anomaly("other_clients")


def test_a_kernel_without_smaps_rollup_is_no_end_of_the_target(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 2000, "--settle", "1s", "--watch-pid", broker.pid,
              env=hiding(tmp_path, "/smaps_rollup", errno.ENOENT)) as run:
        check_rss_stands_in(run, "No such file or directory")


def test_what_stands_in_is_said_without_a_record_as_well(tmp_path, broker):
    call = [BUILD / "poolmark-loadgen", "connect", "--target", f"mqtt://127.0.0.1:{broker.port}", "--engine", "raw", "--connections",
            "100", "--settle", "0", "--watch-pid", str(broker.pid)]
    for more, said in (([], True), (["--quiet"], False)):
        done = subprocess.run([*call, *more], env=hiding(tmp_path, "/smaps_rollup", errno.ENOENT), capture_output=True, text=True,
                              timeout=GUARD_S, check=True)
        assert ("poolmark-loadgen: stand_in: smaps_rollup of a watched process cannot be read" in done.stderr) == said


def test_private_memory_is_judged_and_the_others_stand_beside(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 8000, "--settle", "1s", "--watch-pid",
              broker.pid) as run:
        assert run.end() == 0
        assert run.record["summary"]["memory_is"] == "private" and not run.anomaly("stand_in")
        for name in ("start", "full", "per_connection"):
            assert run.metric(f"memory.{name}_bytes") == run.metric(f"memory.{name}_private_bytes")
            assert run.metric(f"memory.{name}_pss_bytes") > 0
        for name in ("start", "full"):
            assert run.metric(f"memory.{name}_private_bytes") <= run.metric(f"memory.{name}_pss_bytes") <= run.metric(
                f"memory.{name}_rss_bytes")


def test_others_that_share_libraries_move_pss_and_not_what_is_judged(tmp_path):
    """Four more processes of the same program come: the pages of its files are divided by five."""
    def start_bytes(name, others):
        with contextlib.ExitStack() as started:
            broker = started.enter_context(Broker("--threads", "1"))
            for _ in range(others):
                started.enter_context(Broker("--threads", "1"))
            with load(tmp_path / name, "connect", broker.port, "--connections", 50, "--settle", "500ms", "--watch-pid", broker.pid) as run:
                assert run.end() == 0
            return run.metric("memory.start_bytes"), run.metric("memory.start_pss_bytes")

    (alone, alone_pss), (beside, beside_pss) = start_bytes("alone", 0), start_bytes("beside", 4)
    assert beside_pss < alone_pss                              # other tests may run such programs meanwhile
    assert abs(beside - alone) < max(256 << 10, alone_pss - beside_pss)


@pytest.mark.parametrize("file", ["/stat", "/status"])
def test_a_target_that_cannot_be_read_at_all_has_no_figure(tmp_path, broker, file):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 200, "--settle", 0, "--watch-pid", broker.pid,
              env=hiding(tmp_path, file, errno.EACCES)) as run:
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        assert "Permission denied" in run.anomaly("unreadable") and "readings" in run.anomaly("books")
        assert run.books["readings"]["unreadable"] > 0
        assert "memory.full_bytes" not in run.record["metrics"]


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_without_epoll_pwait2_a_run_is_as_with_it(tmp_path, broker, error):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--publish-rate", 500, "--duration", "1s", "--warmup", 0,
              "--qos", 1, before=refusing("epoll_pwait2", error=error)) as run:
        assert run.end() == 0
        assert run.books["deliveries"]["measured"] == run.books["acks"]["measured"] == 500
        cpu_ns = int((tmp_path / "run/memory.csv").read_text().splitlines()[-1].split(",")[8])
        assert cpu_ns < 1.5e9  # two spinning workers use twice the elapsed time


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_an_ipv6_target_is_a_target_like_any_other(tmp_path, engine):
    with Broker(listen="[::1]:0") as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--duration", "300ms",
                                                  "--warmup", 0, host="[::1]", engine=engine) as run:
        assert run.end() == 0
        assert run.books["deliveries"]["measured"] == 300
