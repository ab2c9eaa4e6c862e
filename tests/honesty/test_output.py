# SPDX-License-Identifier: Apache-2.0
"""Output that cannot be written is reported. A suite on a full disk prints its table and exits 1. A full or closed stdout has its
own exit code. A reader that closes early, a closed stderr and a SIGHUP break nothing."""
import json
import os
import signal
import subprocess
import time

import pytest
from commands import POOLMARK, suite
from faults import GUARD_S, full, needs_root, tmpfs

from poolmark.base.output import COULD_NOT_WRITE
from poolmark.records.read_record import load

SUITE = """
[config]
shape = "lean"
engine = "raw"
allocator = "glibc"
connections = 100
[axes]
strategy = ["malloc", "expand", "sync", "fixed", "slab"]
[[phase]]
name = "connect"
scenario = "connect"
hold = "{hold}"
"""


@needs_root
def test_a_suite_on_a_disk_that_fills_up_prints_its_table_and_what_is_missing(tmp_path):
    with tmpfs(tmp_path / "disk", "100k") as disk:
        done = subprocess.run(suite(tmp_path, SUITE.replace("{hold}", "0s"), out=disk / "run"), capture_output=True, text=True, timeout=GUARD_S, check=False)
        record = json.loads((disk / "run/run.json").read_text(encoding="utf-8"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    table = done.stdout.splitlines()
    rates = next(line for line in table if line.startswith("connects per second"))
    assert "/s" in rates and "-" in rates.split()  # cells measured before the disk was full, and those after
    assert "No space left on device" in done.stdout + done.stderr
    assert "the table above is what was measured; it is not in the record" in done.stderr
    assert record["status"] == "incomplete" and any(one["what"] == "disk" for one in record["anomalies"])


@needs_root
def test_the_end_of_a_record_on_a_full_disk_is_written_into_the_room_it_has(tmp_path):
    from poolmark.base.errors import PoolmarkError
    from poolmark.records.record import Record

    with tmpfs(tmp_path / "disk", "64k") as disk:
        record = Record.create("suite", suite="small", folder=disk / "run", seed=1)
        record.cell("a.1", {}).finish("complete")
        with full(disk):
            record.cell("b.1", {}).finish("complete")  # not written, but the run goes on
            assert record.unwritten == "No space left on device"
            with pytest.raises(PoolmarkError, match=r"run\.json: cannot be written: No space left"):
                record.close("complete")
        found = load(disk / "run").data
    assert found["status"] == "incomplete" and found["ended_utc"]
    assert "No space left on device" in found["anomalies"][-1]["text"]


@pytest.mark.parametrize("how, code, text", [
    (">/dev/full", COULD_NOT_WRITE, "stdout could not be written: No space left on device"),
    (">&-", COULD_NOT_WRITE, "stdout could not be written: it is closed"),
    ("| head -n 1", 0, ""), ("2>&-", 0, ""), ("2>/dev/full", 0, "")])
@pytest.mark.parametrize("words", ["--help", "host --connections 10 --json", "verify RUN"])
def test_output_that_cannot_be_written_is_an_exit_code_of_its_own(tmp_path, how, code, text, words):
    from poolmark.records.record import Record

    record = Record.create("suite", suite="small", folder=tmp_path / "run", seed=1)
    record.close("complete")
    words = words.replace("RUN", str(tmp_path / "run"))
    done = subprocess.run(["bash", "-c", f'"$@" {words} {how}; exit "${{PIPESTATUS[0]}}"', "bash", *POOLMARK],
                          capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == code, done.stderr
    assert text in done.stderr and "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert text or not done.stderr


def test_a_verdict_stays_when_its_table_cannot_be_written(tmp_path):
    """With >/dev/full, compare must not exit with 1, which means regression."""
    from poolmark.records.record import Record

    for side in ("a", "b"):
        Record.create("suite", suite=side, folder=tmp_path / side, seed=1).close("complete")
    words = [*POOLMARK, "compare", str(tmp_path / "a"), str(tmp_path / "b")]
    with open("/dev/full", "wb") as nowhere:
        told = subprocess.run(words, capture_output=True, timeout=GUARD_S, check=False)
        lost = subprocess.run(words, stdout=nowhere, stderr=subprocess.PIPE, text=True, timeout=GUARD_S, check=False)
    assert told.returncode == lost.returncode == 3  # two suites: not comparable
    assert "could not be written" in lost.stderr


@pytest.mark.parametrize("how", ["hangup", "stderr"])
def test_a_hangup_and_a_closed_stderr_leave_a_record_that_says_how_it_ended(tmp_path, how):
    words = suite(tmp_path, SUITE.replace("{hold}", "60s" if how == "hangup" else "0s"), "--only", "malloc")
    reader, writer = os.pipe()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    if how == "stderr":
        os.close(reader)  # every progress line gets a broken pipe
    else:
        limit = time.monotonic() + GUARD_S
        while not any((tmp_path / "run").glob("cells/*/load/memory.csv")):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
    out = process.communicate(timeout=GUARD_S)[0]
    record = load(tmp_path / "run").data
    if how == "hangup":
        os.close(reader)
        assert process.returncode == 128 + signal.SIGHUP
        assert record["status"] == "incomplete" and record["anomalies"][0]["text"].startswith("interrupted by SIGHUP")
    else:
        assert process.returncode == 0 and record["status"] == "complete"
    assert "clients failed" in out or "connections" in out
