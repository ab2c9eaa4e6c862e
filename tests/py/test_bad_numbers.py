# SPDX-License-Identifier: Apache-2.0
"""Texts that Python takes for numbers, or nearly, and a reader must not: too many digits, digits of other scripts, superscripts, blanks and
underscores. And what is nested too deep, or named too long. Each is told in a sentence, wherever it comes in."""
import json
import os

import pytest

from poolmark import cli
from poolmark.base import toml_text, units
from poolmark.base.curves import read_csv
from poolmark.base.errors import RecordError, UsageError
from poolmark.bench import bench_report
from poolmark.compare import history
from poolmark.facts import comparable
from poolmark.model import plot, steps
from poolmark.records import attacked, read_record, tables
from poolmark.records.arrivals import instance_of
from poolmark.suites import suite_set
from poolmark.verify import bench_again
from poolmark.verify.complaints import complaints
from poolmark.verify.recompute import bench_account
from test_door import RECORD

MANY, ARABIC, SQUARE = "9" * 400, "\u0663", "\u00b2"
VERY_MANY = "9" * 5000      # int() refuses so many


@pytest.mark.parametrize("text", ["", " ", "-1", "+1", " 1", "1 ", "1_0", "1.0", "1e3", ARABIC, SQUARE, MANY, VERY_MANY, "9223372036854775808", "1\n"])
def test_no_whole_number(text):
    assert units.whole(text) is None


def test_whole_numbers():
    assert [units.whole(text) for text in ("0", "007", "9223372036854775807")] == [0, 7, (1 << 63) - 1]
    assert [units.signed(text) for text in ("-0", "-12", "12", "--1", "-")] == [0, -12, 12, None, None]


@pytest.mark.parametrize("parse", [units.parse_count, units.parse_bytes, units.parse_seconds])
@pytest.mark.parametrize("text", [MANY, VERY_MANY, ARABIC, SQUARE, f"{ARABIC}k", f"1.{MANY}", "1e400", "inf", "nan"])
def test_no_number_with_a_unit(parse, text):
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize("option", ["--connections", "--rate", "--connects", "--p99", "--bytes", "--reserve", "--cores", "--memory", "--sources", "--qos",
                                    "--spare", "--hold-out"])
@pytest.mark.parametrize("value", [MANY, f"{MANY}k", f"{MANY}ms", f"{MANY}%", VERY_MANY, ARABIC, SQUARE, "", " ", "\0", "\x1b[2J", "\ud800", "{}"])
def test_a_capacity_question_of_no_number_is_a_wrong_call(option, value, capsys):
    assert cli.run_command("capacity", [f"{option}={value}"]) == 2
    said = capsys.readouterr().err
    assert option in said and "Traceback" not in said


@pytest.mark.parametrize("text, words", [
    (f"a = {VERY_MANY}", "not TOML"), (f"a = {MANY}", "64 bits"), (f"b = 1\na = [1, 0x{'f' * 17}]", ":2: "), (f"a = 0x{'f' * 5000}", "64 bits"),
    (f"a = {'[' * 33}{']' * 33}", "nested"), (f"a = {'[' * 400}{']' * 400}", ""), (f"a = {'[' * 20000}{']' * 20000}", ""),
    (f"a = {'{ x = ' * 50}1{' }' * 50}", "nested"), (f"[{'.'.join('a' * 40)}]", "nested")])
def test_what_no_toml_reader_should_take(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        toml_text.read_text(path)


def test_toml_that_is_deep_and_large_but_not_too_much_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f"a = {'[' * 30}1{']' * 30}\nb = [9223372036854775807, -9223372036854775808]")
    assert toml_text.read_text(path)[1]["b"] == [2 ** 63 - 1, -2 ** 63]


@pytest.mark.parametrize("field", [MANY, VERY_MANY, ARABIC, SQUARE, "1_0", " 1", "1.0", "9223372036854775808", '"' + "y" * 140_000])
def test_no_number_of_a_csv_file(tmp_path, field):
    path = tmp_path / "memory.csv"
    path.write_text(f"at_ns,connections\n1,{field}\n", encoding="utf-8")
    with pytest.raises(RecordError, match="line 2"):
        read_csv(path, ())
    path.write_text("at_ns,connections\n1,-2\n,\n")
    assert read_csv(path, ()) == [{"at_ns": 1, "connections": -2}, {"at_ns": None, "connections": None}]


def test_numbers_in_names(tmp_path):
    cell = {"id": "lifo/slab/64/1.1", "config": {}, "metrics": {}, "files": {f"round_{text}": "x" for text in (SQUARE, ARABIC, VERY_MANY, "-1", "7")}}
    assert list(bench_again._rounds(cell)) == [7]
    assert instance_of(tmp_path / f"broker-{SQUARE}" / "events.csv") == 0 and instance_of(tmp_path / "broker-12" / "events.csv") == 12
    assert steps.step_counts({"config": {"phases": f"steps --steps 10,{VERY_MANY},{SQUARE},20"}}) == [10, 20]


def written(folder, change):
    data = json.loads(json.dumps(RECORD))
    change(data)
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("change, words", [
    (lambda data: data["config"].update(x=deep(80)), "nested"), (lambda data: data.update(summary={"x": deep(900)}), "nested"),
    (lambda data: data.update(id=data["id"] + "\n"), "does not have the form"),
    (lambda data: data["config"].update(x="\ud800"), "config.x: is not Unicode"), (lambda data: data["metrics"].update({"x\udfff": data["metrics"]["connect.p99"]}), "not Unicode"),
    (lambda data: data["files"].update({"x" * 256: data["files"]["a"]}), "name of any file"),
    (lambda data: data["files"].update({"a/" + "\u00e9" * 128: data["files"]["a"]}), "name of any file"),
    (lambda data: data["cells"][0]["files"].update(latency="a/" * 499 + "\u00e9\u00e9"), "name of any file"),
    (lambda data: data["cells"][0]["phases"][0].update(folder="x" * 300), "name of any file"), (lambda data: data["cells"][0].update(id="x" * 300), "name of any file")])
def test_a_record_with_what_no_reader_comes_to_the_end_of_is_refused(tmp_path, change, words):
    with pytest.raises(RecordError, match=words):
        read_record.load(written(tmp_path / "run", change))


def test_files_that_cannot_be_looked_at_are_complaints(tmp_path):
    """A loop of links, and a name below a file."""
    folder = written(tmp_path / "run", lambda data: data["files"].update({"loop": data["files"]["a"], "run.json/x": data["files"]["a"]}))
    os.symlink("loop", folder / "loop")
    os.symlink("/etc", folder / "a")
    wrong, _ = complaints(read_record.load(folder))
    assert any(text.startswith("loop: ") for text in wrong) and any(text.startswith("a: ") and "leads out" in text for text in wrong), wrong


def test_a_round_of_a_strange_number_is_none(tmp_path):
    folder = written(tmp_path / "run", lambda data: data["cells"][0]["files"].update({f"round_{SQUARE}": "a"}))
    run = read_record.load(folder)
    assert bench_account(run, run.data["cells"][0]).wrong == []


def test_what_the_system_refuses_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    """A folder that may not be read, and a full disk: by the command, whichever it is."""
    def refuse(_where):
        raise PermissionError(13, "Permission denied", str(tmp_path / "cells\x1b"))
    monkeypatch.setattr("poolmark.verify.verify.load", refuse)
    assert cli.run_command("verify", [str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "Permission denied" in said and "cells\ufffd" in said


@pytest.mark.parametrize("number", [MANY, VERY_MANY, "1e400", "NaN", "-Infinity", '"1"', "[1]"])
def test_no_number_of_other_json_files(tmp_path, number):
    """The report of a benchmark, and what an attacker counted."""
    report = tmp_path / "round.json"
    report.write_text(f'{{"context": {{}}, "benchmarks": [{{"name": "x", "per_op": 1e-9, "gets": {number}}}]}}')
    assert bench_report.figures(report, bench_report.read_json(report), "x").counters == {}
    (tmp_path / attacked.FILE).write_text(f'{{"rounds": {number}}}')
    with pytest.raises(RecordError):
        attacked._read(tmp_path / attacked.FILE)
    (tmp_path / attacked.FILE).write_text("[" * 100_000)
    with pytest.raises(RecordError, match="nested"):
        attacked._read(tmp_path / attacked.FILE)


def test_a_fingerprint_that_is_nested_too_deep_is_unreadable():
    assert history.parts_of("abc " + "[" * 100_000)[1].keys() == {"unreadable"}


def test_limits_that_are_no_numbers_are_compared_as_they_are():
    assert not comparable.is_another("limits.tcp_mem_pages", [100, 200], [101, 200]) and comparable.is_another("limits.tcp_mem_pages", [100], [200])
    for one in (["a", "b"], [None], [[1]], {}, "x", None):
        assert comparable.is_another("limits.tcp_mem_pages", one, [1]) and not comparable.is_another("limits.tcp_mem_pages", one, one)


def test_a_table_that_is_printed_has_no_control_characters():
    data = json.loads(json.dumps(RECORD))
    data["cells"][0]["anomalies"] = [{"what": "busy", "text": "\x1b[2J\u2028\u202e"}]
    assert all(line.isprintable() for line in tables.terminal(data, []).split("\n"))


def test_a_record_without_cells_has_no_chart(tmp_path):
    assert plot.memory_spec(read_record.load(written(tmp_path / "run", lambda data: data.pop("cells"))), "x") is None


@pytest.mark.parametrize("text", [VERY_MANY, MANY, f"0x{'f' * 17}", f"0x{'f' * 5000}", f"[{MANY}]", "[" * 40 + "]" * 40, "[" * 20_000 + "]" * 20_000])
def test_what_set_takes_for_no_toml_is_a_text(text):
    assert suite_set.value_of(text) == text
    assert suite_set.value_of("[60, [true]]") == [60, [True]]


@pytest.mark.parametrize("words", [("trend", "\x1b[2J"), ("verify", "--\x1b[2J"), ("capacity", "--connections", "\u202e"), ("report", "x", "--serve", "\x9b31m")])
def test_a_wrong_word_is_printed_without_its_control_characters(words, capsys):
    assert cli.run_command(words[0], list(words[1:])) == 2
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))
