# SPDX-License-Identifier: Apache-2.0
"""A broker that is stopped while a suite measures its cell: record, table, page, verify and comparison say it."""
import contextlib
import os
import subprocess
import time

from commands import poolmark, suite
from faults import BUILD, GUARD_S, children_of, stopped
from poolmark.records.read_record import load as read

SUITE = """
title = "stopped"
primary = ["delivery.p50"]
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = 20
[[phase]]
name = "publish"
scenario = "publish"
publish-rate = 200
duration = "4s"
warmup = 0
"""


def broker_of(pid):
    """The broker among the descendants of the process."""
    for child in children_of(pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child}/exe") == str(BUILD / "poolmark-broker"):
                return child
            if found := broker_of(child):
                return found
    return None


def run_suite(folder, stops):
    process = subprocess.Popen(suite(folder.parent, SUITE, out=folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        limit = time.monotonic() + GUARD_S
        while stops and not any(",publish," in path.read_text(encoding="utf-8") for path in folder.glob("cells/*/load*/memory.csv")):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        if stops:
            with stopped(broker_of(process.pid)):
                time.sleep(1)
        out, err = process.communicate(timeout=GUARD_S)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out, err


def test_in_a_suites_cell_record_table_report_and_comparison_say_it(tmp_path):
    runs = {}
    for name in ("still", "alone"):
        (tmp_path / name).mkdir()
        runs[name] = tmp_path / name / "run"
        code, out, err = run_suite(runs[name], stops=name == "still")
        assert code == 0, out + err
        if name == "still":
            assert "target_stopped: " in out + err and "the target stood still meanwhile" in out
    cell, = read(runs["still"]).data["cells"]
    said = [one["text"] for one in cell["anomalies"] if one["what"] == "target_stopped"]
    assert len(said) == 1 and "was stopped (SIGSTOP" in said[0]
    late = [one for name, one in cell["metrics"].items() if name.endswith("delivery.p99")]
    assert late and all(one["doubt"] == "target_stopped" for one in late)
    report = poolmark("report", runs["still"], "--out", tmp_path / "page")
    assert report.returncode == 0, report.stdout + report.stderr
    assert "was stopped (SIGSTOP" in (tmp_path / "page/report.md").read_text(encoding="utf-8").replace("\\", "")
    for name in runs:
        verify = poolmark("verify", runs[name])
        assert verify.returncode == 0, verify.stdout
    compared = poolmark("compare", runs["alone"], runs["still"])
    assert compared.returncode in (2, 3), compared.stdout  # neither a regression nor a clean bill
