# SPDX-License-Identifier: Apache-2.0
"""The committed runs are readable and complete, and their files are as recorded."""
from pathlib import Path

import pytest
from poolmark.records import read_record

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
RUNS = sorted(REFERENCE.glob("*/run.json"))


@pytest.mark.parametrize("path", RUNS, ids=[path.parent.name for path in RUNS])
def test_a_committed_run_is_as_it_was_recorded(path):
    run = read_record.load(path)
    assert run.data["status"] == "complete"
    assert read_record.check_files(run, present=True) == []


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*/report/report.html")), ids=lambda page: page.parts[-3])
def test_a_committed_page_is_below_a_megabyte_and_a_half(page):
    assert page.stat().st_size < 1.5e6
