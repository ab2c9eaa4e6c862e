# SPDX-License-Identifier: Apache-2.0
"""Who was the limit, in a suite's table and on the pages of a suite and of a generator's run."""
import made_runs
from poolmark.records import summary
from poolmark.records.read_record import load
from poolmark.report import report_text
from poolmark.report.source import Source


def phase(name, by=None, several=True):
    return {"name": name, "scenario": "churn", "folder": f"load-{name}", "prefix": f"{name}.", "several": several} | ({"limit": by} if by else {})


def test_a_suite_has_a_row_for_each_phase_that_was_judged(tmp_path):
    run = made_runs.make_suite(tmp_path)
    for number, (cell, by) in enumerate(zip(run["cells"], ("target", "host", None), strict=True)):
        cell |= {"id": f"{'slab' if number == 2 else 'malloc'}.{number + 1}", "phases": [phase("churn", by), phase("storm")]}
    made_runs.save(tmp_path, run)
    found = load(tmp_path)
    assert summary.limit_rows(summary.columns(found.data["cells"])) == [["limit, churn", "target 1 of 2, host 1 of 2", "-"]]
    assert "| limit, churn | target 1 of 2, host 1 of 2 | - |" in summary.markdown(found.data, "made", [])
    for cell in run["cells"]:
        cell["phases"] = [phase("churn", "none", several=False)]
    assert summary.rows(summary.columns(run["cells"]))[-1] == ["limit", "none", "none"]
    table = report_text.tables(Source([found]), found)[0]
    assert ["limit, churn", "target 1 of 2, host 1 of 2", "-"] in [[field.text for field in row] for row in table.rows]


def test_a_run_of_the_generator_says_it_on_its_page(tmp_path):
    run = made_runs.make_suite(tmp_path)
    run |= {"kind": "load", "cells": [], "metrics": {"arrivals.rate": made_runs.metric(5, "1/s", "higher")}}
    run["summary"] = {"limit": {"by": "host", "why": "no CPU"}, "limits": {"arrivals": {"by": "host", "why": "no CPU"}}}
    made_runs.save(tmp_path, run)
    for limits, name in ((True, "limit of arrivals"), (False, "limit of messages")):
        found = load(tmp_path)
        if not limits:      # an older record has that of messages alone
            del found.data["summary"]["limits"]
        table, = report_text.tables(Source([found]), found)
        assert [field.text for field in table.rows[-1]] == [name, "host: no CPU"]
