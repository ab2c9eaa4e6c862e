# SPDX-License-Identifier: Apache-2.0
"""User memory by account: lines of account.csv become metrics and tables; what is not accounted for is a row; documents are as the
committed records give them."""
import json
import os
import re

import made_runs
import pytest

from poolmark.account import mappings
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.forms import value_of
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.records import accounts
from poolmark.records.read_record import load
from poolmark.report import answer, memory_data, report_charts, report_text, user_account
from poolmark.report.source import Source
from poolmark.verify.recompute import Replayed

BUILT = os.access(build_dir() / "poolmark-broker", os.X_OK)
COLUMNS = ("objects", "free", "reserve", "code", "rest")


def line(moment: str, connections: int, at: int = 1, **values: int) -> dict:
    """A line of which the accounts add up; `rest` closes it when PSS is given."""
    row = {f"{name}_bytes": values.get(name, 0) for name in (*accounts.ACCOUNTS, *accounts.SUMS)}
    row["pss_bytes"] = values.get("pss", sum(row[f"{name}_bytes"] for name in accounts.ACCOUNTS))
    row["rest_bytes"] = row["pss_bytes"] - sum(row[f"{name}_bytes"] for name in accounts.ACCOUNTS if name != "rest")
    return {"at_ns": at, "moment": moment, "connections": connections, **row}


def write(folder, *rows: dict):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / accounts.FILE
    path.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n", encoding="utf-8")
    return path


def taken(*paths) -> Replayed:
    made = Replayed("cell")
    accounts.take(made, list(paths))
    return made


def test_metrics_are_of_the_first_and_the_last_time_of_the_most_connections_and_of_the_end(tmp_path):
    path = write(tmp_path, line("start", 0, code=50), line("level", 500, objects=500), line("level", 1000, objects=1000, free=10),
                 line("later", 995, objects=995, free=70), line("later", 900, free=900), line("end", 0, free=300, reserve=7))
    found = taken(path)
    assert found.value("account.connections") == 1000 and found.value("account.objects_bytes") == 1000
    assert found.value("account.free_bytes") == 10
    assert found.value("account.late.free_bytes") == 70 and found.value("account.late.connections") == 995
    assert found.value("account.end.free_bytes") == 300 and found.value("account.end.reserve_bytes") == 7


def test_instances_are_added_up_each_at_its_own_time(tmp_path):
    found = taken(write(tmp_path / "a", line("level", 10, objects=100), line("end", 0)),
                  write(tmp_path / "b", line("level", 30, objects=320, code=5), line("later", 30, objects=320), line("end", 0)))
    assert found.value("account.connections") == 40 and found.value("account.objects_bytes") == 420
    assert found.value("account.code_bytes") == 5 and accounts.each(found.data["metrics"], "objects") == 10.5


def test_a_broker_that_nobody_used_has_figures_and_none_a_connection(tmp_path):
    metrics = taken(write(tmp_path, line("start", 0, code=9), line("end", 0, code=8))).data["metrics"]
    assert value_of(metrics, "account.code_bytes") == 9 and accounts.each(metrics, "code") is None
    assert ["code and other pages of files", "9 B", "-", "100.0 %"] in accounts.table(metrics)


def test_without_a_file_of_every_instance_there_is_no_figure(tmp_path):
    path = write(tmp_path / "a", line("level", 10))
    assert taken(path, tmp_path / "b" / accounts.FILE).data["metrics"] == {} and taken().data["metrics"] == {}


def test_a_line_without_a_value_is_refused_by_name(tmp_path):
    path = write(tmp_path, line("level", 10))
    path.write_text(path.read_text(encoding="utf-8").replace("level,10,0", "level,10,"), encoding="utf-8")
    with pytest.raises(RecordError, match="objects_bytes"):
        accounts.read(path)
    path.write_text("at_ns,moment\n1,start\n", encoding="utf-8")
    with pytest.raises(RecordError, match="connections"):
        accounts.read(path)


def test_what_is_not_accounted_for_is_a_row_with_its_share(tmp_path):
    metrics = taken(write(tmp_path, line("level", 100, objects=60_000, code=30_000, pss=100_000), line("end", 0))).data["metrics"]
    assert accounts.unaccounted(metrics) == pytest.approx(0.1)
    table = {row[0]: row for row in accounts.table(metrics)}
    assert table["not accounted for"][1:] == ["9.77 KiB", "100 B", "10.0 %"] and "messages" not in table
    head, rows = accounts.comparison({"one": metrics, "none": {}})
    told = dict((row[0], row[1:]) for row in rows)
    assert head == ["bytes a connection", "one", "none"]
    assert told["not accounted for"] == ["100", "-"] and told["not accounted for, of PSS"] == ["10.00 %", "-"]
    assert sum(float(told[accounts.ACCOUNTS[name]][0]) for name in ("objects", "code", "rest")) == float(told["all: PSS"][0].replace(" ", ""))


@pytest.mark.parametrize("rest, code", [(900, 0), (1100, 1), (-1100, 1)])
def test_the_command_says_when_more_than_a_hundredth_is_not_accounted_for(tmp_path, capsys, rest, code):
    metrics = taken(write(tmp_path, line("level", 10, objects=100_000 - rest, pss=100_000), line("end", 0))).data["metrics"]
    assert user_account.print_accounts("x", metrics) is (code == 0)
    assert ("more than 1 %" in capsys.readouterr().out) == bool(code)


@pytest.mark.skipif(not BUILT, reason="the programs are not built")
def test_the_accounts_are_those_of_the_broker():
    told = [one["name"] for one in described.broker()["metrics"] if one["name"].startswith("account.")]
    own = [f"account.{name}_bytes" for name in (*accounts.ACCOUNTS, *accounts.SUMS)]
    assert [name for name in told if name.count(".") == 1 and name != "account.connections"] == own
    for moment in ("late", "end"):
        ours = {f"account.{moment}.{name}_bytes" for name in accounts.OF_MOMENTS} | {f"account.{moment}.connections"}
        assert {name for name in told if name.startswith(f"account.{moment}.")} == ours


# --- the page


def suite_with_accounts(folder):
    data = made_runs.make_suite(folder)
    for number, cell in enumerate(data["cells"]):
        made = taken(write(folder / "cells" / str(number) / "broker", line("level", 10_000, objects=10_000 * (1000 + number),
                                                                           tables=10, code=4_000_000, pss=20_000_000), line("end", 0)))
        cell["metrics"] |= made.data["metrics"]
    made_runs.save(folder, data)
    return load(folder)


def test_the_page_has_a_table_and_a_chart_of_the_accounts(tmp_path):
    run = suite_with_accounts(tmp_path)
    source = Source([run])
    table, = report_text.account_tables(source, run)
    assert table.heads == ["bytes a connection", "malloc", "expand", "slab"] and table.title == ""
    assert ["objects of connections", "1 000", "1 001", "1 002"] in [[field.text for field in row] for row in table.rows]
    drawn = memory_data.memory_accounts(source)
    assert {row["account"] for row in drawn} == {"objects of connections", "code and other pages of files", "not accounted for",
                                                 memory_data.OTHER_ACCOUNTS}
    of_malloc = [row for row in drawn if row["cell"] == "malloc"]
    assert sum(row["bytes"] for row in of_malloc) == 20_000_000
    assert sum(row["bytes_of_a_connection"] for row in of_malloc) == pytest.approx(2000)


@pytest.mark.parametrize("larger, scale", [(40, "independent"), (2, "shared")])
def test_each_shape_has_a_panel_of_accounts_with_an_axis_of_its_own_where_it_needs_one(tmp_path, larger, scale):
    run = suite_with_accounts(tmp_path)
    for cell in json.loads(json.dumps(run.data["cells"])):
        for one in cell["metrics"].values():
            if one["unit"] == "B" and one["value"]:
                one["value"] *= larger
        run.data["cells"].append(cell | {"id": f"large-{cell['id']}", "config": cell["config"] | {"shape": "large"}})
    chart = report_charts.memory_by_account(Source([run]))
    assert chart.spec["facet"]["field"] == "rest" and chart.spec["facet"]["sort"] == ["classic", "large"]
    assert chart.spec["resolve"]["scale"]["x"] == scale
    assert {row["strategy"] for row in chart.rows} == {"malloc", "expand", "slab"}
    colour = chart.spec["spec"]["encoding"]["color"]
    assert colour["scale"]["domain"] == memory_data.ACCOUNTS_IN_ORDER       # the same colours on every page
    assert set(colour["legend"]["values"]) == {row["account"] for row in chart.rows}


def test_a_page_that_rates_nothing_says_with_which_strategy_a_connection_takes_least(tmp_path):
    run = suite_with_accounts(tmp_path)
    for cell in run.data["cells"]:
        for name in ("memory.full_bytes", "connect.p99", "memory.per_connection_bytes"):
            del cell["metrics"][name]
    for cell, each in zip(run.data["cells"], (2000, 3000, 2010), strict=True):
        cell["metrics"]["account.anonymous_bytes"]["value"] = 10_000 * each
    run.data["cells"][1]["metrics"]["account.reserve_bytes"]["value"] = 10_000 * 500
    lines = answer.answer(Source([run]), run)
    assert lines[0] == ("For 10 000 connections (classic) anonymous memory is least with malloc and slab, 1.95 KiB a connection, and most with expand, "
                        "2.93 KiB, of which its pools keep 500 B beside what is in use.")
    assert "each ran once" in lines[1] and lines[2].startswith("No client failed")


def test_a_run_without_accounts_has_neither(tmp_path):
    made_runs.save(tmp_path, made_runs.make_suite(tmp_path))
    run = load(tmp_path)
    assert report_text.account_tables(Source([run]), run) == [] and memory_data.memory_accounts(Source([run])) == []
    with pytest.raises(PoolmarkError, match="no cell has its memory by account"):
        user_account.print_run(run)


# --- the kernel's view


SMAPS = """55d000000000-55d000010000 r-xp 00000000 08:01 77     /usr/bin/poolmark-broker
Size:                 64 kB
Pss:                  10 kB
Pss_Dirty:             3 kB
Anonymous:             4 kB
AnonHugePages:         0 kB
55d000010000-55d000020000 rw-p 00010000 08:01 77     /usr/bin/poolmark-broker
Size:                 64 kB
Pss:                   4 kB
Anonymous:             4 kB
AnonHugePages:         0 kB
55d000100000-55d000200000 rw-p 00000000 00:00 0      [heap]
Size:               1024 kB
Pss:                 500 kB
Anonymous:           500 kB
AnonHugePages:         0 kB
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Pss:                2048 kB
Anonymous:          2048 kB
AnonHugePages:      2048 kB
7f0000400000-7f0000500000 ---p 00000000 00:00 0
Size:               1024 kB
Pss:                   0 kB
"""


def test_mappings_are_added_up_by_owner():
    found = {one.owner: one for one in mappings.by_owner(SMAPS)}
    assert list(found) == ["anonymous", "[heap]", "poolmark-broker"]
    assert found["poolmark-broker"].pss_bytes == 14 * 1024 and found["poolmark-broker"].mappings == 2
    assert found["poolmark-broker"].anonymous_bytes == 8 * 1024
    assert found["anonymous"].huge_bytes == 2048 * 1024 and found["anonymous"].size_bytes == 5120 * 1024


def test_a_mapping_that_is_swapped_out_is_not_left_out():
    swapped = SMAPS + "7f0000600000-7f0000700000 rw-p 00000000 00:00 0 [anon:pool]\nSize: 1024 kB\nPss: 0 kB\nSwap: 900 kB\nSwapPss: 800 kB\n"
    assert [(one.owner, one.swap_bytes) for one in mappings.by_owner(swapped) if one.swap_bytes] == [("[anon:pool]", 800 * 1024)]


def test_no_mapping_is_not_no_memory(tmp_path, monkeypatch):
    with pytest.raises(PoolmarkError, match="no mapping"):
        mappings.by_owner("")
    monkeypatch.setattr(mappings, "PROC", tmp_path)
    with pytest.raises(PoolmarkError, match="7/smaps: cannot be read: No such file"):
        mappings.read(7)


# --- the command and its document


def test_the_document_is_as_the_records_give_it(poolmark):
    done = poolmark("account", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_nobody_has_measured_says_so_and_how_to_measure_it(tmp_path):
    for name, command in (("lean", "suite account"), ("classic", "suite account"), ("kept", "suite account"), ("million", "suite million"),
                          ("busy", "suite million-busy")):
        told = user_account.TABLES[name](tmp_path)
        assert f"Nobody has measured this yet: `scripts/poolmark {command}`" in told
        assert name == "million" or user_account.UNKNOWN in told
    with pytest.raises(UsageError, match="no table 'luck'"):
        user_account.filled("<!-- account: luck -->\n<!-- end of account -->", tmp_path)


def test_tables_are_filled_from_a_committed_record(tmp_path):
    folder = tmp_path / "results/reference/account"
    folder.mkdir(parents=True)
    data = made_runs.make_suite(folder)
    for cell in data["cells"]:
        cell["config"]["shape"] = "lean"
        path = write(tmp_path / "raw", line("level", 10_000, objects=720_000, free=50_000, pss=1_000_000),
                     line("later", 10_000, objects=720_000, free=90_000), line("end", 0, free=123_904))
        cell["metrics"] |= taken(path).data["metrics"]
    made_runs.save(folder, data)
    lean = user_account.TABLES["lean"](tmp_path)
    assert "| bytes a connection | malloc | fixed | expand | sync | slab |" in lean
    assert "| objects of connections | 72 | - | 72 | - | 72 |" in lean and "| not accounted for, of PSS | 23.00 % | - |" in lean
    assert user_account.UNKNOWN in user_account.TABLES["classic"](tmp_path)
    kept = user_account.TABLES["kept"](tmp_path)
    assert re.search(r"\| lean \| malloc \| at the end \| 0 \| 121 KiB \|", kept), kept


@pytest.mark.parametrize("words, complaint", [
    ((), "name runs"), (("--pid", "1"), "go together"), (("--record", "x"), "go together"), (("--write", "x"), "name runs"),
    (("--pid", "1", "--record", "nowhere"), "has no account.csv"), (("nowhere",), "no such run")])
def test_a_wrong_call_says_what_is_wrong(poolmark, words, complaint):
    done = poolmark("account", *words)
    assert done.returncode == 2 and complaint in done.stderr
