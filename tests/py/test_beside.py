# SPDX-License-Identifier: Apache-2.0
"""Suites with two sides: the checks of [beside] and [[impossible]], the table, its files, and what mosquitto is given. No measurement."""
import argparse
import csv
import io
import os
import re
import socket
import subprocess
from pathlib import Path

import made_runs
import pytest
from poolmark.base import draw
from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.facts import described, listeners
from poolmark.records import beside, read_record
from poolmark.report import beside_data, names, report, report_charts, report_text
from poolmark.report.source import Source
from poolmark.run import suite as suite_command
from poolmark.run.estimate import Estimate
from poolmark.suites import suite_file, targets
from poolmark.verify.complaints import complaints

ROOT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).resolve().parent / "fakes"
BUILD = build_dir()
built = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "bare-client")),
                           reason="the programs are not built")

# --- the table, of a made-up record


def cell(target, repetition, status="complete", scenario="churn", **metrics):
    made = {name.replace("__", "."): {"value": value, "unit": unit, "better": better} for name, (value, unit, better) in metrics.items()}
    return {"id": f"{target}-{scenario}.{repetition}", "config": {"target": target, "scenario": scenario, "engine": "raw"}, "repetition": repetition,
            "status": status, "metrics": made, "anomalies": []}


def record(cells, figures=None, **config):
    table = {"axis": "target", "sides": ["ours", "theirs"], "rows": ["scenario", "engine"],
             "figures": figures or {"churn": ["arrival.p99", "arrivals.rate"]}, **config.pop("table", {})}
    return {"id": "suite-x", "status": "complete", "host": {}, "config": {"beside": table, **config}, "cells": cells, "anomalies": [],
            "tool": {"version": "1", "commit": "c" * 40, "dirty": False, "compiler": "cc"}}


def of_three(ours=(1e6, 2e6, 4e6), theirs=(2e6, 4e6, 2e6)):
    made = []
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
        made += [cell("ours", number, arrival__p99=(one, "ns", "lower")), cell("theirs", number, arrival__p99=(other, "ns", "lower"))]
    return made


def test_a_row_has_both_medians_and_the_ratio_of_all_pairs_with_its_spread():
    head, rows = beside.shown(record(of_three(), table={"difference": True}))
    assert head == ["measure", "ours", "theirs", "ratio", "lowest to highest", "difference"]
    assert rows[0] == ["churn, raw: arrival p99", "2 ms", "2 ms", "1.00", "0.25 to 2.00", "+0 ns"]
    assert rows[1] == ["churn, raw: arrivals per second", "-", "-", "-", "-", "-"]


def test_the_side_that_wins_is_better_in_every_pair_and_in_the_direction_of_the_figure():
    def won(ours, theirs, better):
        made = [cell("ours", i, x__p99=(value, "ns", better)) for i, value in enumerate(ours)]
        made += [cell("theirs", i, x__p99=(value, "ns", better)) for i, value in enumerate(theirs)]
        return next(iter(beside.lines(record(made, {"churn": ["x.p99"]})))).won_by()

    assert won([1, 2], [3, 4], "lower") == 0 and won([1, 2], [3, 4], "higher") == 1
    assert won([3, 4], [1, 2], "lower") == 1 and won([3, 4], [1, 2], "higher") == 0
    assert won([1, 3], [2, 4], "lower") is None         # 3 / 2 and 1 / 2
    assert won([1, 2], [3, 4], "none") is None and won([1], [0], "lower") is None and won([1], [], "lower") is None


def test_a_difference_is_of_the_medians_and_has_a_sign():
    _, rows = beside.shown(record(of_three((5e6, 6e6, 9e6), (2e6, 1e6, 3e6)), table={"difference": True}))
    assert rows[0][-1] == "+4 ms"
    _, rows = beside.shown(record(of_three((1e6, 1e6, 1e6), (2e6, 2e6, 2e6)), table={"difference": True}))
    assert rows[0][-1] == "-1 ms"


def test_medians_of_some_runs_and_cells_that_are_not_complete_are_marked():
    cells = of_three()
    cells[0]["metrics"]["arrival.p99"]["value"] = None
    cells[3]["status"] = "failed"
    cells[3]["anomalies"] = [{"what": "clients", "text": "3 clients failed"}]
    cells[5]["anomalies"] = [{"what": "late", "text": "x"}]
    data = record(cells)
    row = beside.shown(data)[1][0]
    assert row[1] == "3 ms (2 of 3)" and row[2] == "2 ms!"
    told = beside.terminal(data)
    assert "! theirs-churn.2: clients: 3 clients failed" in told
    assert "Noticed in complete cells (run.json has each): late 1" in told


def test_what_is_not_possible_says_why_in_the_table_and_below_it():
    data = record(of_three(), {"churn": ["arrival.p99"], "reset": ["arrival.p99"]}, backlogs={"ours": 4096, "theirs": 100},
                  impossible=[{"id": "x", "config": {"target": side, "scenario": "reset", "engine": "paho"}, "why": "it | cannot"}
                              for side in ("ours", "theirs")])
    assert beside.shown(data)[1][1][:3] == ["reset, paho", "not possible: it | cannot", "not possible: it | cannot"]
    told = beside.terminal(data)
    assert "reset, paho: not possible: it | cannot" in told and "its backlog): ours 4 096, theirs 100" in told
    page = beside.markdown(data, "title")
    assert "| reset, paho | not possible: it \\| cannot | not possible: it \\| cannot | - | - |" in page and "ours 4 096, theirs 100" in page


def test_the_csv_has_every_number_in_full():
    rows = list(csv.DictReader(io.StringIO(beside.csv(record(of_three((1234567.5, 2e6, 4e6)))))))
    assert [row["figure"] for row in rows] == ["arrival.p99", "arrivals.rate"]
    first = rows[0]
    assert (first["scenario"], first["engine"], first["unit"], first["ours runs"]) == ("churn", "raw", "ns", "3")
    assert float(first["ours lowest"]) == 1234567.5 and float(first["theirs highest"]) == 4e6
    assert float(first["ratio lowest"]) == 1234567.5 / 4e6 and float(first["difference"]) == 0
    assert rows[1]["ours median"] == rows[1]["ratio"] == ""


def test_a_figure_has_the_label_of_the_suites_table_and_says_of_what_it_is():
    assert [beside.figure_label(name) for name in ("arrival.p99", "sensors.day.ack.p99", "step.1000.user_bytes", "x.y")] == [
        "arrival p99", "ack p99 (sensors day)", "user memory (step 1000)", "x.y"]


def test_a_sentence_counts_the_figures_of_each_side():
    data = record(of_three((1e6, 1e6, 1e6), (2e6, 2e6, 2e6)))
    assert beside.answer(data).startswith("ours beside theirs: of 1 figure that both have, ours is better in 1 and theirs in 0,")


# --- the page


def page_of(tmp_path, **config):
    """Two engines; p99 is told apart, the rate is higher with ours in every run, CPU time is on both sides of 1."""
    cells = []
    for engine in ("raw", "paho"):
        for number, (p99, rate, cpu) in enumerate(((1e6, 300, 1e3), (2e6, 300, 4e3)), 1):
            for target, times in (("ours", 1), ("theirs", 4)):
                one = cell(target, number, arrival__p99=(p99 * times, "ns", "lower"), arrivals__rate=(rate / times, "1/s", "higher"),
                           cpu__per_arrival_ns=(cpu if target == "ours" else 2e3, "ns", "lower"), x__seen=(1, "1", "none"))
                one["config"]["engine"] = engine
                cells.append(one | {"id": f"{target}-{engine}.{number}", "files": {}, "commands": []})
    data = made_runs._run("suite", 1, cells, "two")
    data["config"] = record([], {"churn": ["arrival.p99", "arrivals.rate", "cpu.per_arrival_ns", "x.seen"]}, **config)["config"]
    made_runs.save(tmp_path, data)
    return Source([read_record.load(tmp_path)])


def test_a_page_of_two_sides_draws_how_much_better_each_is_and_no_chart_of_all_cells(tmp_path):
    source = page_of(tmp_path)
    rows = {row["figure"]: row for row in beside_data.better(source) if row["of"] == "raw"}
    assert list(rows) == ["churn: arrival p99", "churn: arrivals per second", "churn: CPU per arrival"]      # x.seen has no direction
    assert [(row["better"], row["times_as_good"], row["lowest"], row["highest"]) for row in rows.values()] == [
        ("ours", 4, 2, 8), ("ours", 4, 4, 4), (beside_data.NEITHER, 1.25, 0.5, 2)]
    assert {(row["side"], row["time_ns"]) for row in beside_data.times(source) if row["figure"] == "churn: arrival p99"} == {
        ("ours", 1.5e6), ("theirs", 6e6)}
    drawn = report_charts.charts(source)
    assert [chart.name for chart in drawn] == ["beside", "beside-times"] and drawn[0].title == "ours beside theirs"
    for chart, svg in zip(drawn, draw.svgs([report.spec_with_rows(chart) for chart in drawn]), strict=True):
        assert "raw" in svg and "paho" in svg and "churn: arrival p99" in svg, chart.name


def test_a_side_of_one_strategy_has_its_colour_and_no_two_sides_have_the_same():
    cells = [cell("ours", 1), cell("theirs", 1)]
    cells[0]["config"]["strategy"] = "slab"
    assert beside_data.side_colours(record(cells))["ours"] == names.COLOURS["slab"]
    cells[1]["config"]["strategy"] = "slab"
    assert len(set(beside_data.side_colours(record(cells)).values())) == 2


def test_the_table_of_a_page_marks_the_better_side_and_has_reasons_below_it(tmp_path):
    impossible = [{"id": "x", "config": {"target": side, "scenario": "churn", "engine": "other"}, "why": "it cannot"} for side in ("ours", "theirs")]
    source = page_of(tmp_path, impossible=impossible)
    table, = report_text.tables(source, source.runs[0])
    marks = {row[0].text: [field.text for field in row if field.best] for row in table.rows}
    assert marks["churn, raw: arrival p99"] == ["1.5 ms"] and marks["churn, raw: CPU per arrival"] == []
    assert [field.text for field in table.rows[-1][:3]] == ["churn, other", "not possible", "not possible"]
    assert "churn, other: not possible: it cannot" in report_text.notes(source, source.runs[0])
    assert report_text.account_tables(source, source.runs[0]) == []


# --- records that are no runs with two sides


@pytest.mark.parametrize("table", [None, 1, {}, {"axis": 1}, {"axis": "target", "rows": [1], "figures": {}, "sides": ["a", "b"]},
                                   {"axis": "target", "rows": ["x"], "figures": {"churn": "p99"}, "sides": ["a", "b"]},
                                   {"axis": "target", "rows": ["x"], "figures": {"churn": ["p99"]}, "sides": ["a"]}])
def test_a_record_with_a_broken_table_is_one_without(table):
    assert beside.asked({"config": {"beside": table}}) is None


# --- the suite's file

SUITE = """
title = "two sides"
repetitions = 2
[config]
shape = "classic"
connections = 100
[axes]
engine = ["raw", "paho"]
strategy = ["malloc", "expand"]
[beside]
axis = "strategy"
rows = ["scenario", "engine"]
[beside.figures]
connect = ["connect.p99", "memory.per_connection_bytes"]
reset = ["arrival.p99"]
[[impossible]]
when = { scenario = "reset", engine = "paho" }
why = "the library cannot"
[[group]]
config = { scenario = "connect" }
[[group.phase]]
name = "load"
scenario = "connect"
[[group]]
config = { scenario = "reset" }
[[group.phase]]
name = "load"
scenario = "churn"
connections = "{connections}"
leave = "rst"
"""


def load(tmp_path, text, **how):
    file = tmp_path / "two.toml"
    file.write_text(text)
    return suite_file.load(str(file), **how)


@built
def test_cells_that_are_not_possible_are_left_out_with_their_reason(tmp_path):
    suite = load(tmp_path, SUITE, build=BUILD)
    assert [cell.id for cell in suite.cells if cell.repetition == 1] == [
        f"classic-{strategy}-{engine}-100-{scenario}.1" for scenario, engine in (("connect", "raw"), ("connect", "paho"), ("reset", "raw"))
        for strategy in ("malloc", "expand")]
    assert suite.sides.table["sides"] == ["malloc", "expand"]
    assert suite.sides.impossible == [{"id": f"classic-{strategy}-paho-100-reset", "why": "the library cannot",
                                       "config": {"strategy": strategy, "scenario": "reset", "engine": "paho"}} for strategy in ("malloc", "expand")]
    assert load(tmp_path, SUITE, build=BUILD, only="connect").sides.impossible == []


@built
@pytest.mark.parametrize("old, new, line, told", [
    ('axis = "strategy"', 'axis = "engin"', 11, "no cell has a 'engin'; did you mean 'engine'?"),
    ('axis = "strategy"', "axis = 7", 11, "axis is 7; it must be a text"),
    ('axis = "strategy"\n', "", 10, "'axis' is missing"),
    ('strategy = ["malloc", "expand"]', 'strategy = ["malloc", "expand", "sync"]', 11, "has 3 values in the cells (malloc, expand, sync); beside takes two"),
    ('rows = ["scenario", "engine"]', "rows = []", 12, "it must be a list of texts"),
    ('rows = ["scenario', 'row = ["scenario', 12, "'row' is not a key there; did you mean 'rows'?"),
    ('reset = ["arrival.p99"]', 'reset = ["arrival.p98"]', 15, "no program measures 'arrival.p98'; did you mean 'arrival.p99'?"),
    ('reset = ["arrival.p99"]', 'rest = ["arrival.p99"]', 15, "no cell has scenario = 'rest'; did you mean 'reset'?"),
    ('reset = ["arrival.p99"]\n', "", 13, "there are none for scenario = 'reset'"),
    ('reset = ["arrival.p99"]', 'reset = "arrival.p99"', 15, "it must be a list of names of metrics"),
    ('why = "the library cannot"', "", 16, "'why' is missing"),
    ('engine = "paho" }', 'engine = "phao" }', 17, "no cell has engine = 'phao'"),
    ('config = { scenario = "reset" }', 'config = { scenario = "re set" }', 25, "must be of a-z, 0-9 and -"),
])
def test_each_fault_has_its_line(tmp_path, old, new, line, told):
    assert SUITE.count(old) == 1
    with pytest.raises(UsageError) as caught:
        load(tmp_path, SUITE.replace(old, new), build=BUILD)
    assert re.search(rf"two\.toml:{line}: .*{re.escape(told)}", str(caught.value)), str(caught.value)


def run_fake(tmp_path, text=SUITE, *words):
    file = tmp_path / "two.toml"
    file.write_text(text)
    done = subprocess.run([str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(FAKES), "--out", str(tmp_path / "run"), *words],
                          capture_output=True, text=True, timeout=240, cwd=ROOT, env={**os.environ, "COLUMNS": "160"})
    return done, read_record.load(tmp_path / "run") if (tmp_path / "run").is_dir() else None


@built
def test_a_run_has_its_table_in_every_form_and_verify_makes_it_again(tmp_path, poolmark):
    done, run = run_fake(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "connect, raw: connect p99" in done.stdout and "reset, paho: not possible: the library cannot" in done.stdout
    assert "1.00 to 1.00" in done.stdout
    assert {"summary.md", "summary.csv", "beside.csv"} <= set(run.data["files"])
    assert not any("beside" in one for one in complaints(run)[0])
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "report").returncode == 0
    page = (tmp_path / "report" / "report.md").read_text()
    assert "| connect, raw: connect p99 |" in page and "malloc beside expand: of " in page
    assert "the library cannot" in (tmp_path / "report" / "report.html").read_text()
    table = run.folder / "beside.csv"
    text = table.read_text()
    lines = text.splitlines()
    assert lines[1].startswith("connect,raw,connect.p99,ns,2,")
    table.write_text(text.replace("connect,raw,connect.p99,ns,2,", "connect,raw,connect.p99,ns,2,9"))
    assert any("beside.csv" in one for one in complaints(run)[0])


# --- mosquitto


def test_without_mosquitto_nothing_starts_and_the_way_to_install_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "MOSQUITTO", (str(tmp_path / "none"),))
    file = tmp_path / "peer.toml"
    file.write_text('[config]\ntarget = "mosquitto"\nengine = "raw"\nconnections = 10\n[[phase]]\nname = "load"\nscenario = "connect"\n')
    parser = argparse.ArgumentParser()
    suite_command.add_arguments(parser)
    monkeypatch.setenv("POOLMARK_BUILD", str(FAKES))
    with pytest.raises(UsageError) as caught:
        suite_command.run(parser.parse_args([str(file), "--build", str(FAKES), "--out", str(tmp_path / "run")]))
    assert caught.value.exit_code == 2 and "apt-get install mosquitto" in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert suite_command.run(parser.parse_args([str(file), "--build", str(FAKES), "--dry-run"])) == 0


PEER = """
[config]
engine = "raw"
connections = 10
[axes]
target = ["poolmark", "mosquitto"]
[broker]
max-queued-bytes = "4MiB"
max-inflight-messages = 20
[[override]]
when = { target = "mosquitto" }
broker.set-tcp-nodelay = true
[[phase]]
name = "load"
scenario = "connect"
"""


@built
def test_both_brokers_get_the_bounds_that_mean_the_same(tmp_path):
    ours, theirs = (cell for cell in load(tmp_path, PEER, build=BUILD).cells)
    assert ours.broker == {"max-queued-bytes": "4MiB", "max-inflight-messages": 20}
    made = targets.Mosquitto(argparse.Namespace(data={"config": theirs.config}, folder=tmp_path), theirs.broker)
    text = made.config_text(1883).splitlines()
    assert {"listener 1883 127.0.0.1", "allow_anonymous true", "persistence false", "max_queued_bytes 4194304", "max_inflight_messages 20",
            "set_tcp_nodelay true"} <= set(text)


@built
@pytest.mark.parametrize("old, new, told", [
    ("max-inflight-messages = 20", "threads = 2", "its options (threads) would change nothing there"),
    ("max-inflight-messages = 20", "max-queued-messages = 0", "which mosquitto takes for no bound"),
    ("set-tcp-nodelay = true", "set-tcp-nodelay = 1", "it must be true or false"),
    ("broker.set-tcp-nodelay = true", "broker.shape = \"lean\"", "no option that a suite sets for mosquitto"),
])
def test_other_options_for_mosquitto_are_faults(tmp_path, old, new, told):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, PEER.replace(old, new), build=BUILD)
    assert told in str(caught.value)


def test_the_backlog_of_a_listener_is_as_the_kernel_has_it():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert listeners.backlog(port) is None
        one.listen(77)
        assert listeners.backlog(port) == 77


# --- the committed suites


@built
def test_the_suite_beside_has_every_scenario_with_both_engines_or_says_why_not():
    suite = suite_file.load("beside", build=BUILD)
    played = {(cell.phases[0]["scenario"], cell.config["engine"], cell.config["target"]) for cell in suite.cells}
    missing = {(scenario, engine, target) for scenario in described.scenarios(BUILD) for engine in described.engines(BUILD)
               for target in ("poolmark", "mosquitto")} - played
    assert not missing, f"scripts/suites/beside.toml has no cell of {sorted(missing)}: write a [[group]] with one phase of the scenario there, its " \
        "row in [beside.figures], and an [[impossible]] for an engine that cannot (CONTRIBUTING.md, Add a scenario)"
    patterns = {cell.phases[0].get("pattern", "pairs").partition(":")[0] for cell in suite.cells if cell.phases[0]["scenario"] == "publish"}
    assert patterns == {"pairs", "fan-in", "fan-out", "topics"}
    assert suite.repetitions >= 3 and all(one["why"] for one in suite.sides.impossible)


@built
def test_the_suites_with_two_sides_take_no_longer_than_they_say(tmp_path):
    for name, minutes in (("beside", 20), ("speed", 10)):
        suite = suite_file.load(name, build=BUILD)
        assert sum(map(Estimate(name, BUILD, tmp_path).of, suite.cells)) <= 60 * minutes, name
