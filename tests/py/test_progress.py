# SPDX-License-Identifier: Apache-2.0
"""Progress of a long command: an estimate at the start, the time left while it runs, and no long silence."""
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from poolmark.suites import suite_file
from poolmark.run import estimate
from poolmark.base.paths import build_dir
from poolmark.base.progress import Beat, Eta, span
from poolmark.facts.quiet import load_text
from poolmark.records.record import Record
from poolmark.suites.suite_options import phases_text

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (160, "2 min 40 s"), (1200, "20 min"),
                                           (4800, "1 h 20 min"), (7200, "2 h")])
def test_a_span_is_told_as_people_would(seconds, text):
    assert span(seconds) == text


def test_what_is_left_is_mended_by_what_the_parts_took():
    clock = SimpleNamespace(now=0.0)
    eta = Eta([10, 10, 20], now=lambda: clock.now)
    assert eta.total() == eta.left_s() == 40
    eta.begin()
    clock.now = 20.0            # twice the estimate
    eta.end()
    assert eta.left_s() == 60
    eta.begin()
    clock.now = 25.0
    assert eta.left_s() == 55
    clock.now = 100.0           # beyond the corrected estimate: nothing left for this part
    assert eta.left_s() == 40 and eta.left() == "this part takes longer than estimated, about 40 s for those after it"
    eta.end()
    eta.begin()
    clock.now += 1000           # it said "about 0 s left"
    assert eta.left() == "this part takes longer than estimated"
    eta.end()
    assert eta.left() == "less than 1 s left"
    assert eta.left_s() == 0


def test_a_small_part_corrects_a_large_one_little():
    """Four runs of seconds, ten times faster than estimated, made 23 minutes "about 6 min left"."""
    clock = SimpleNamespace(now=0.0)
    eta = Eta([10, 990], now=lambda: clock.now)
    eta.begin()
    clock.now = 1.0
    eta.end()
    assert 700 < eta.left_s() < 990


def test_an_estimate_that_was_off_is_told_once_a_part_has_shown_it():
    clock = SimpleNamespace(now=0.0)
    eta = Eta([10, 10], now=lambda: clock.now)
    eta.begin()
    clock.now = 30.0            # a busy host
    eta.end()
    assert eta.off("cells") == "cells take 3 times as long as estimated: about 30 s left"
    eta = Eta([30, 10, 10], now=lambda: clock.now)
    eta.begin()
    clock.now += 40             # a third more is no news
    eta.end()
    assert eta.off("cells") == ""
    eta = Eta([10], now=lambda: clock.now)
    eta.begin()
    clock.now += 90
    eta.end()
    assert eta.off("cells") == ""       # nothing is left


def test_a_host_that_is_busy_before_the_start_is_told():
    assert load_text(0.9, 2) is None
    told = load_text(5.12, 2)
    assert told and told.startswith("the host was busy in the last minute (load 5.1, 2 processors)") and "longer than estimated" in told


def test_a_beat_speaks_while_the_main_thread_waits_and_ends_with_its_block():
    program = f"""
import select, subprocess, sys
sys.path.insert(0, {str(ROOT / 'scripts/python')!r})
from poolmark.base.progress import Beat
told = []
with Beat(lambda: told.append(1) or f"beat {{len(told)}}", every_s=0.02):
    while len(told) < 3:
        select.select([], [], [], 5)
    subprocess.run(["true"], check=True)
count = len(told)
select.select([], [], [], 0.1)
print(len(told) == count)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
    assert done.stderr.splitlines()[:3] == ["  beat 1", "  beat 2", "  beat 3"]


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_an_estimate_is_by_the_options_until_a_run_has_shown_better(tmp_path):
    suite = suite_file.load("quick", build=BUILD, sets=["strategy=malloc"])
    cell = suite.cells[0]
    first = estimate.Estimate("quick", BUILD, tmp_path)
    assert 25 < first.of(cell) < 60 and first.sentence(suite.cells).endswith("by the suite's options, on a quiet host")
    longer = suite_file.load("quick", build=BUILD, sets=["strategy=malloc", "duration=60s"])
    assert first.of(longer.cells[0]) == pytest.approx(first.of(cell) + 100)
    record = Record.create("suite", suite="quick", folder=tmp_path / "run", seed=1)
    made = record.cell(cell.id, {**cell.config, "phases": phases_text(cell)})
    made.data["seconds"] = 33.5
    made.finish("complete")
    record.close("complete")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text('{"suite": "quick", "cells": 7}')
    second = estimate.Estimate("quick", BUILD, tmp_path)
    assert second.of(cell) == 33.5 and second.sentence(suite.cells) == f"about 34 s in all, by run {record.id}"
    assert second.of(longer.cells[0]) != 33.5
    assert second.by([cell, longer.cells[0]]) == f"run {record.id} for 1 of 2 cells, else the suite's options, on a quiet host"


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_a_dry_run_says_how_long_it_would_take(poolmark):
    done = poolmark("suite", "quick", "--dry-run", "--only", "malloc")
    assert re.search(r"^1 cell, about \d+ s in all, by ", done.stderr, re.M), done.stderr


@pytest.mark.parametrize("terminal, moves_in_its_line", [("xterm", True), ("dumb", False), (None, False)])
def test_a_beat_moves_in_its_line_only_on_a_terminal_that_can(monkeypatch, terminal, moves_in_its_line):
    if terminal:
        monkeypatch.setenv("TERM", terminal)
    else:
        monkeypatch.delenv("TERM", raising=False)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        Beat(lambda: "half way")._beat()
        said = os.read(ours, 100)
    os.close(ours)
    assert b"half way" in said and (b"\x1b" in said) == moves_in_its_line


def test_what_the_broker_holds_is_told_with_its_kind():
    """An earlier version showed RSS without naming it, where the table has private memory."""
    from poolmark.run.cell_run import target_memory

    assert target_memory("1,hold,10,2097152,1572864,1048576".split(",")) == ", broker 1 MiB private"
    assert target_memory("1,hold,10,2097152,,".split(",")) == ", broker 2 MiB RSS"
    assert target_memory("1,hold,10,,,".split(",")) == ""


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_a_phase_counts_its_own_connections(tmp_path):
    """A publishing phase of 200 clients said "200 of 10 000 connections", those of the phase before."""
    from poolmark.run.cell_run import Status

    cell = suite_file.load("quick", build=BUILD, sets=["strategy=malloc"]).cells[0]
    wanted = {phase["name"]: estimate.connections_of(cell, phase, BUILD) for phase in cell.phases}
    assert set(wanted.values()) == {10_000, 200}
    memory = tmp_path / "memory.csv"
    memory.write_text("1,connect,150,2097152,,\n")
    status = Status("cell")
    status.enter("qos0", memory, 200, 12.0)
    assert "qos0 0 s of about 12 s, connect: 150 of 200 connections, broker 2 MiB RSS" in status.text()
    status.enter("end")
    assert status.text() == "cell: end 0 s"


def test_what_was_printed_before_a_message_stands_before_it_in_one_file(tmp_path):
    code = ("import sys\nfrom poolmark.base import output\noutput.install()\nprint('table')\n"
            "print('complete', file=sys.stderr, flush=True)\nprint('end')\noutput.code('x', 0)\n")
    with open(tmp_path / "both", "wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, stderr=file, check=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT / "scripts/python")})
    assert (tmp_path / "both").read_text() == "table\ncomplete\nend\n"


def test_sides_that_are_measured_in_turn_say_how_long_it_takes():
    from poolmark.base.progress import Eta
    from poolmark.compare.interleave import Job, Sides

    said, now = [], [0.0]

    def measured(job, build, out, seed):
        now[0] += 60.0
        return SimpleNamespace(data={"kind": "suite"})

    sides = Sides({"base": None, "candidate": None}, [Job("suite:quick")], ROOT, seed=1, run=measured, say=said.append)
    sides.eta = Eta([], lambda: now[0])
    sides.extend(2)
    assert said[0] == "1 of 4: suite quick on base" and said[1].endswith("about 3 min left") and said[3].endswith("about 1 min left")
    sides.extend(3)
    assert said[4].endswith("about 2 min left")
