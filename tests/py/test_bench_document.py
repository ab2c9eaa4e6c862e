# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/benchmarks.md are those of the committed runs, and what nobody has measured says so."""
from types import SimpleNamespace

import pytest

from poolmark.base.errors import UsageError
from poolmark.report import bench_document
from poolmark.verify.reference import UNKNOWN


def test_the_document_is_as_the_records_give_it(poolmark):
    done = poolmark("bench", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_nobody_has_measured_says_so_and_how_to_measure_it(tmp_path):
    for name, command in (("tails", "bench"), ("wear", "bench --set wear")):
        told = bench_document.TABLES[name](tmp_path)
        assert f"Nobody has measured this yet: `scripts/poolmark {command}`" in told and UNKNOWN in told
    with pytest.raises(UsageError, match="no table 'luck'"):
        bench_document.filled("<!-- bench: luck -->\n<!-- end of bench -->", tmp_path)


def run_with(monkeypatch, data):
    run = SimpleNamespace(id="bench-1", data={"status": "complete", "tool": {"commit": "0" * 40}, "host": {"cores": 2, "cpu_model": "X"},
                                              "cells": [], **data})
    monkeypatch.setattr(bench_document, "record_of", lambda name, root: run)


def headline(name, low, median, high, aim, rounds=6, confidence=0.97):
    return {"name": name, "median": median, "q1": low, "q3": high, "low": low, "high": high, "confidence": confidence, "rounds": rounds,
            "unit": "ns", "aim": aim}


def test_a_tail_stands_beside_that_of_a_call_without_a_pool(monkeypatch, tmp_path):
    run_with(monkeypatch, {"summary": {"headlines": [
        headline("realtime: fixed, SCHED_FIFO, p99.99 of a get", 1e6, 2e6, 3e6, "at most 20000"),
        headline("realtime: slab, SCHED_FIFO, p99.99 of a get", 300, 400, 500, "at most 20000"),
        headline("realtime: expand, SCHED_FIFO, p99.99 of a get", 3e6, 4e6, 5e6, "at most 20000", 3, 0.75),
        headline("realtime: bare, SCHED_FIFO, p99.99 of a get", 1000, 1e6, 2e6, "to compare")]}})
    told = bench_document.tails(tmp_path)
    bare = "1 ms (1 us to 2 ms; 6 rounds, 97 %)"
    assert f"| `realtime` (SCHED_FIFO) | `fixed` | 2 ms (1 ms to 3 ms; 6 rounds, 97 %) | {bare} | not told apart | at most 20 us: missed |" in told
    assert f"| `expand` | 4 ms (3 ms to 5 ms; 3 rounds, 75 %) | {bare} | not told apart | at most 20 us: not shown by 3 rounds |" in told
    assert f"| `slab` | 400 ns (300 ns to 500 ns; 6 rounds, 97 %) | {bare} | shorter | at most 20 us: reached |" in told


def test_rows_of_a_workload_are_sorted_by_time(monkeypatch, tmp_path):
    def cell(contender, time_ns):
        return {"id": f"mixed/{contender}/3072.1", "anomalies": [], "metrics": {"time": {"value": time_ns, "unit": "ns"}}}

    run_with(monkeypatch, {"cells": [cell("slab", 9.0), cell("direct-slab", 7.0), {"id": "mixed/sync/3072.1", "metrics": {}}]})
    told = bench_document.wear(tmp_path)
    assert "| contender | ns |\n| --- | --- |\n| `direct-slab` | 7.00 |\n| `slab` | 9.00 |\n" in told
    assert "sync" not in told and told.count(UNKNOWN) > 3
