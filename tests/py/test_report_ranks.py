# SPDX-License-Identifier: Apache-2.0
"""report of a load over several ranks: a row for each rank, and the curve of one that only watches. tests/py/test_report.py draws it."""
import csv

import made_runs
import pytest

from poolmark.records.read_record import load
from poolmark.report import ranks_data, report
from poolmark.report.source import Source

HOSTILE = "</script><img src=x onerror=alert(1)>'\"{{7*7}}|"


@pytest.fixture
def made(tmp_path):
    run = made_runs.make_ranks(tmp_path / "run")
    return tmp_path, run


def test_each_rank_has_a_row_with_its_share_its_losses_and_its_clock(made):
    folder, run = made
    head, rows = ranks_data.table(run)
    assert head[:5] == ["rank", "host", "clients", "share", "connected"] and len(rows) == 4
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [one["share"] for one in told] == ["40.0 %", "30.0 %", "30.0 %", "0.0 %"]
    assert [one["connected"] for one in told] == ["400", "300", "200", "only watches"]
    assert [(one["failed or dropped"], one["messages lost"]) for one in told] == [("0", "0"), ("0", "0"), ("100", "7"), ("-", "-")]
    assert [(one["clock ahead of rank 0"], one["within"]) for one in told] == [
        ("itself", "-"), ("-5 ms", "± 40 us"), ("not measured", "-"), ("1.5 us", "± 300 ns")]
    assert told[2]["ended"] == "LOST: silent for 20 s" and told[0]["host"] == "2 cores, 25 GiB, Linux 6.1"
    report.make([load(folder / "run")], folder / "out")
    page, text = (folder / "out/report.html").read_text(), (folder / "out/report.md").read_text()
    for one in ("<h3>Ranks</h3>", "LOST: silent for 20 s", "± 40 us"):
        assert one in page
    assert "LOST: silent for 20 s" in text and "only watches" in text


def test_a_rank_that_only_watches_has_its_curve(made):
    folder, _ = made
    report.make([load(folder / "run")], folder / "out")
    with open(folder / "out/data/memory-on-other-hosts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    resident = [row for row in rows if row["memory"] == "resident"]
    assert [float(row["time_s"]) for row in resident] == list(range(11)) and {row["rank"] for row in rows} == {"rank 3"}
    assert [float(row["memory_mib"]) for row in resident] == list(range(10, 21)) and float(resident[-1]["connections"]) == 1000
    assert [float(row["memory_mib"]) for row in rows if row["memory"] == "private"] == list(range(5, 16))


def test_a_run_of_one_host_has_no_table_of_ranks(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    report.make([load(tmp_path / "run")], tmp_path / "out")
    assert "<h3>Ranks</h3>" not in (tmp_path / "out/report.html").read_text()
    assert ranks_data.watched(Source([load(tmp_path / "run")])) == []


def test_what_a_rank_says_is_text(made):
    folder, run = made
    for one in run["ranks"]:
        one["host"] = {"kernel": HOSTILE, "cores": 2}
        one["ended"] = HOSTILE
    made_runs.save(folder / "run", run)
    report.make([load(folder / "run")], folder / "out")
    assert "<img" not in (folder / "out/report.html").read_text() and "&lt;img" in (folder / "out/report.html").read_text()
    assert "<img" not in (folder / "out/report.md").read_text()


@pytest.mark.parametrize("change", [{"host": None}, {"clock": {}}, {"counts": {}}, {"clients": 0}, {"ended": "x" * 900}])
def test_an_odd_rank_still_has_a_row(made, change):
    folder, run = made
    for one in run["ranks"]:
        one |= change
    made_runs.save(folder / "run", run)
    report.make([load(folder / "run")], folder / "out")
    assert all(len(field) < 80 for row in ranks_data.table(run)[1] for field in row)


def test_a_damaged_curve_is_left_out_and_named(made):
    folder, _ = made
    (folder / "run/ranks/3/memory.csv").write_text("at_ns,target_rss_bytes\n1,2\n")
    source = report.make([load(folder / "run")], folder / "out")
    assert ranks_data.watched(source) == [] and any("ranks/3/memory.csv" in text for text in source.problems)
