# SPDX-License-Identifier: Apache-2.0
"""A full disk, an unwritable table, a terminal that goes away: no unreported gap, and the right exit codes."""
import json
import os
import re
import signal
import subprocess
import time

import pytest
from faults import BUILD, GUARD_S, Broker, balances, full, load, needs_root, tmpfs
from poolmark.records import read_record
from poolmark.records.record import seal
from poolmark.verify.complaints import complaints


@needs_root
def test_a_disk_that_is_full_for_a_while_leaves_no_gap(tmp_path, broker):
    with tmpfs(tmp_path / "disk") as disk, load(disk / "run", "publish", broker.port, "--pairs", 2, "--publish-rate", 200,
                                                "--duration", "7s", "--warmup", 0) as run:
        run.wait_for("publish ")
        time.sleep(1)
        with full(disk):
            time.sleep(3)
        assert run.end() == 0
        assert run.record["status"] == "complete"
        assert "latency.hlog" in run.anomaly("disk")  # memory.csv may fit into its last page
        assert "0 are lost" in run.anomaly("disk")
        rows = (disk / "run/memory.csv").read_text().splitlines()[1:]
        times = [int(row.split(",")[0]) for row in rows]
        assert max(after - before for before, after in zip(times, times[1:])) < 3e9
        assert run.books["memory_lines"]["measured"] == len(rows)
        assert run.books["deliveries"]["measured"] == run.metric("delivery.count") == 1400


@needs_root
def test_steps_on_a_disk_that_is_full_for_a_while_are_all_there(tmp_path, broker):
    """The disk is full from the first step to after the last. More steps than one page of the file has."""
    with tmpfs(tmp_path / "disk", "400k") as disk, open(tmp_path / "said", "wb") as said, \
            load(disk / "run", "steps", broker.port, "--steps", ",".join(str(10 * step) for step in range(1, 61)), "--probe", 0, "--settle", 0,
                 "--hold", "3s", "--watch-pid", broker.pid, stderr=said) as run:
        run.log = tmp_path / "said"  # on another disk
        _await_header(run, disk / "run/steps.csv")
        with full(disk):
            run.wait_for(" hold ")
        assert run.end() == 0
        assert run.record["status"] == "complete" and len(run.record["steps"]) == 60
        rows = (disk / "run/steps.csv").read_text().splitlines()[1:]
        assert [int(row.split(",")[1]) for row in rows] == [10 * step for step in range(1, 61)]
        assert run.books["steps_lines"]["measured"] == 60
        assert re.search(r"steps\.csv could not be written for a while .*: \d+ of its lines were written later, 0 are lost", run.anomaly("disk"))
        assert complaints(read_record.load(run.folder))[0] == []


@needs_root
def test_a_disk_that_stays_full_fails_the_run(tmp_path, broker):
    """run.json is not updated, so the record stays `running` and counts as no measurement."""
    with tmpfs(tmp_path / "disk") as disk, load(disk / "run", "publish", broker.port, "--pairs", 2, "--publish-rate", 200,
                                                "--duration", "3s", "--warmup", 0) as run:
        run.wait_for("publish ")
        with full(disk):
            assert run.end() == 1
        assert run.record["status"] == "running"
        assert "cannot write" in run.said() and "No space left on device" in run.said()


def _remove(path):
    path.unlink()


def _truncate(path):
    os.truncate(path, 0)


def _replace(path):
    other = path.with_name(path.name + ".other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


HARMS = pytest.mark.parametrize("harm, said", [(_remove, "was removed"), (_truncate, "was truncated"), (_replace, "was replaced")],
                                ids=["removed", "truncated", "replaced"])


def _await_header(run, path):
    limit = time.monotonic() + GUARD_S
    while not path.exists() or b"\n" not in path.read_bytes():
        assert time.monotonic() < limit and run.process.poll() is None, run.said()
        time.sleep(0.01)


def assert_lacks(folder, name):
    """What an incomplete record does not say that it lacks is a fault, listed or not."""
    (folder / name).unlink()
    assert f"{name}: is named in the record and is not there" in complaints(read_record.load(folder))[0]
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del data["files"][name]
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    seal(folder)
    assert any(text.startswith(f"{name}: ") and "nor says that it is gone" in text for text in complaints(read_record.load(folder))[0])


def _is_all_unreadable(line):
    return line["unreadable"] == line["attempted"] > 0 == line["measured"] and balances(line)


@HARMS
@pytest.mark.parametrize("name, source", [("latency.hlog", "latency_lines"), ("memory.csv", "memory_lines")])
def test_a_raw_file_that_another_program_spoils_ends_no_complete_run(tmp_path, broker, name, source, harm, said):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 2, "--duration", "2s", "--warmup", 0) as run:
        _await_header(run, tmp_path / "run" / name)
        harm(tmp_path / "run" / name)
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        assert name in run.anomaly("file") and said in run.anomaly("file")
        assert source in run.anomaly("books") and _is_all_unreadable(run.books[source])
        assert run.books["deliveries"]["measured"] == run.metric("delivery.count") > 0  # the rest was measured
        assert complaints(read_record.load(run.folder))[0] == []  # the record says what it lacks
        other = "memory.csv" if name == "latency.hlog" else "latency.hlog"
        assert_lacks(run.folder, other)


@HARMS
@pytest.mark.parametrize("scenario, arguments, name, source", [
    ("steps", ["--steps", "2,4", "--probe", 0, "--settle", 0, "--hold", "1s"], "steps.csv", "steps_lines"),
    ("burst", ["--connections", 2, "--burst", 4, "--repeat", 2, "--stay", "500ms", "--calm", "100ms", "--settle", 0], "arrivals.csv", "arrivals_lines"),
])
def test_so_does_a_file_of_a_scenario(tmp_path, broker, scenario, arguments, name, source, harm, said):
    with load(tmp_path / "run", scenario, broker.port, *arguments) as run:
        _await_header(run, tmp_path / "run" / name)
        harm(tmp_path / "run" / name)
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        assert name in run.anomaly("file") and said in run.anomaly("file")
        assert _is_all_unreadable(run.books[source])


@HARMS
@pytest.mark.parametrize("name, source", [("pools.csv", "pools_lines"), ("events.csv", "events_lines"), ("account.csv", "account_lines")])
def test_a_broker_whose_file_another_program_spoils_ends_no_complete_record(tmp_path, name, source, harm, said):
    folder = tmp_path / "broker"
    with Broker("--record", folder, "--pool", "expand", "--initial", 2) as broker:
        harm(folder / name)  # it is open when the broker says that it is ready
        with load(tmp_path / "run", "connect", broker.port, "--connections", 20, "--settle", 0) as run:
            assert run.end() == 0
        broker.process.terminate()
        assert broker.process.wait(GUARD_S) == 1
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "incomplete"
    text = "\n".join(one["text"] for one in record["anomalies"] if one["what"] == "file")
    assert name in text and said in text
    assert _is_all_unreadable(record["books"][source])


@pytest.mark.parametrize("stdout", ["full", "closed", "unread"])
def test_a_table_that_cannot_be_written_is_a_failure(tmp_path, broker, stdout):
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as device, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--settle", 0,
                 stdout={"full": device, "closed": subprocess.DEVNULL, "unread": write}[stdout],
                 before=(lambda: os.close(1)) if stdout == "closed" else None) as run:
        assert run.end() == 1
        assert run.record["status"] == "complete"  # all figures are there, only the table is missing
        assert "could not write everything to stdout" in run.said()
        for name in ("latency.hlog", "memory.csv"):  # and the table went to no other file
            assert "connect.rate" not in (tmp_path / "run" / name).read_text()
    os.close(write)


def test_a_reader_of_stdout_that_does_not_read_holds_up_no_record(tmp_path, broker):
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    with load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--settle", 0, stdout=write) as run:
        os.close(write)
        limit = time.monotonic() + 60
        while not (tmp_path / "run/run.json").exists() or run.record["status"] == "running":
            assert time.monotonic() < limit and run.process.poll() is None
            time.sleep(0.02)
        assert run.record["status"] == "complete"
        os.close(read)
        assert run.end() == 1


def test_help_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "wb") as device:
        done = subprocess.run([BUILD / "poolmark-loadgen", "--help"], stdout=device, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"stdout" in done.stderr


def test_a_hangup_ends_a_run_in_order(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--hold", "1h", "--settle", 0) as run:
        run.wait_for("hold ")
        run.process.send_signal(signal.SIGHUP)
        assert run.end() == 1
        assert run.record["status"] == "incomplete" and "SIGHUP" in run.anomaly("interrupted")


def test_a_run_outlives_its_terminal_under_nohup(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--hold", "2s", "--settle", 0,
              before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as run:
        run.wait_for("hold ")
        run.process.send_signal(signal.SIGHUP)
        assert run.end() == 0
        assert run.record["status"] == "complete"


def test_a_reader_of_stderr_that_goes_away_does_not_end_a_run(tmp_path):
    read, write = os.pipe()
    with Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 2, "--duration", "2s", "--warmup", 0,
                                  stderr=write) as run:
        os.close(write)
        os.read(read, 1)
        os.close(read)
        assert run.end() == 0
        assert run.record["status"] == "complete"


SOAK = ("--connections", 10, "--churn-rate", 2, "--pairs", 1, "--publish-rate", 10, "--settle", 0)


@pytest.mark.parametrize("how", ["hangup", "stderr"])
def test_a_soak_whose_terminal_goes_away_leaves_a_record_that_has_ended(tmp_path, how):
    read, write = os.pipe()
    with Broker() as broker, load(tmp_path / "run", "soak", broker.port, *SOAK, "--duration", "1h" if how == "hangup" else "2s",
                                  stderr=write if how == "stderr" else None) as run:
        os.close(write)
        if how == "stderr":
            os.read(read, 1)
        os.close(read)
        if how == "hangup":
            run.wait_for(" soak ")
            run.process.send_signal(signal.SIGHUP)
        assert run.end() == (1 if how == "hangup" else 0)
        assert run.record["status"] == ("incomplete" if how == "hangup" else "complete")
        assert ("SIGHUP" in run.anomaly("interrupted")) is (how == "hangup")
        assert all(balances(line) for line in run.books.values())
