# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/robustness.md: figures are those of records and counts, and what nobody has measured says so."""
import json
from pathlib import Path

import pytest

from poolmark.attack.attacks import ATTACKS
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.records.read_record import load
from poolmark.records.record import Record
from poolmark.report import robustness
from poolmark.report.robustness import LINES, Line

ROOT = Path(__file__).resolve().parents[2]


def test_the_document_is_as_the_records_give_it(poolmark):
    done = poolmark("robustness", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_nobody_has_measured_says_so_and_how_to_measure_it(tmp_path):
    for name, command in (("tried", "make fuzz"), ("soak", "make soak"), ("attacks", "scripts/poolmark suite attack"), ("short", "make kills"),
                          ("short", "make soak"), ("short", "scripts/poolmark suite attack")):
        told = robustness.TABLES[name](tmp_path)
        assert command in told and robustness.UNKNOWN in told
    assert robustness.attacks(tmp_path).count("\n| `") == len(ATTACKS) + 1


def test_the_short_table_has_the_sums_of_the_counts_and_the_worst_attack(tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "read_counts", lambda _root: {name: robustness.Count(number, "", "", False, "", 1.0)
                                                                  for number, name in enumerate(LINES, 1_000)})
    short = robustness.short(tmp_path)
    for what, names, command in robustness.TRIED:
        told = " + ".join(robustness.show_count(1_000 + list(LINES).index(name)) for name in names)
        assert f"| {what} | {told} | `{command}` |" in short
    record = committed(tmp_path, "attack", "suite", suite="attack")
    for attack, p99, highest in (("calm", 9e6, 1 << 30), ("fan-out", 7e6, 1 << 20), ("silent", 2e6, 3 << 20)):
        cell = record.cell(f"{attack}.1", {"attack": attack})
        for metric, value, unit in (("delivery.p99", p99, "ns"), ("broker.memory_highest_bytes", highest, "B"), ("broker.memory_bound_bytes", 4 << 20, "B")):
            cell.metric(metric, value, unit)
        cell.finish("complete")
    record.close("complete")
    assert "7 ms (`fan-out`), -; 3 MiB of 4 MiB (`silent`)" in robustness.short(tmp_path)


def test_the_short_table_is_in_the_front_page():
    assert "<!-- robustness: short -->" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_count_is_taken_from_the_output_of_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(LINES, "fuzz", Line("inputs", ("sh", "-c", "echo stat: 40; echo stat: 2"), r"^stat: (\d+)"))
    assert robustness.measure("fuzz", tmp_path) == "42: inputs"
    known = robustness.read_counts(tmp_path)["fuzz"]
    assert known.count == 42 and known.command.startswith("sh -c")
    assert "| inputs | 42, commit " in robustness.tried(tmp_path)


def test_a_command_of_two_lines_is_run_once_for_both(tmp_path, monkeypatch):
    command = ("sh", "-c", f"echo run >> {tmp_path}/runs; echo 7 allocations and 9 calls failed")
    for name in ("allocations", "calls"):
        monkeypatch.setitem(LINES, name, Line(LINES[name].what, command, LINES[name].pattern))
    assert robustness.measure("calls", tmp_path).startswith("7: allocations")
    assert {name: one.count for name, one in robustness.read_counts(tmp_path).items()} == {"allocations": 7, "calls": 9}
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_command_that_fails_or_says_nothing_gives_no_count(tmp_path, monkeypatch):
    monkeypatch.setitem(LINES, "fuzz", Line("inputs", ("sh", "-c", "echo stat: 40; exit 3"), r"stat: (\d+)"))
    with pytest.raises(PoolmarkError, match="exit code 3"):
        robustness.measure("fuzz", tmp_path)
    monkeypatch.setitem(LINES, "fuzz", Line("inputs", ("true",), r"stat: (\d+)"))
    with pytest.raises(PoolmarkError, match="no number"):
        robustness.measure("fuzz", tmp_path)
    assert robustness.read_counts(tmp_path) == {}


@pytest.mark.parametrize("name, output, count", [
    ("fuzz", "stat::number_of_executed_units: 12\nstat::number_of_executed_units: 30\n", 42), ("pools", "1 rounds\n41 rounds\n1 passed, 0 failed", 42),
    ("records", "\n1000000 changed records: 700 taken by the door, 600 of them by a reader; 60 calls of commands\n1 passed", 1_000_000),
    ("suites", "100000 changed files: 700 taken\n.1 passed", 100_000), ("faults", "ab\n42 passed, 3 skipped in 5 s", 42),
    ("model", "2 threads: 40 states, 9 steps\nmistake x found: y (2 threads, after 9 states)\n3 threads: 2 states, 1\n", 42),
    ("connection", "stat::number_of_executed_units: 42\n", 42), ("allocations", "42 allocations and 9 calls failed; 3 starts refused", 42),
    ("calls", "9 allocations and 42 calls failed; 3 starts refused", 42), ("kills", "42 kills in 9 orders of acts: nothing", 42),
    ("count", "QoS 0: the generator says 42 sent; mosquitto_sub got 42 once, 0 more often, 0 not", 42)])
def test_counts_are_found_in_what_the_commands_print(name, output, count):
    assert robustness.counted(LINES[name], output) == count


@pytest.mark.parametrize("text", ["", "[", '{"fuzz": 3}', '{"fuzz": {"count": "x"}}', '{"fuzz": {"count": 3}}'])
def test_damaged_counts_are_refused(tmp_path, text):
    path = tmp_path / robustness.REFERENCE / robustness.COUNTS
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(RecordError):
        robustness.read_counts(tmp_path)


def committed(tmp_path, name, kind, **more):
    return Record.create(kind, folder=tmp_path / robustness.REFERENCE / name, config={"seconds": 1800, "warm_up_rounds": 1}, **more)


def test_figures_are_those_of_the_records(tmp_path):
    record = committed(tmp_path, "attack", "suite", suite="attack")
    for attack, p99 in (("calm", 1e6), ("fan-out", 7e6), ("fan-out", 8e6)):
        cell = record.cell(f"{attack}.{len(record.data['cells'])}", {"attack": attack})
        for metric, value, unit in (("delivery.p99", p99, "ns"), ("arrival.p99", 2e6, "ns"), ("clients.failed", 0, "1"), ("messages.lost", 3, "1"),
                                    ("broker.memory_highest_bytes", 1 << 20, "B"), ("broker.memory_bound_bytes", 1 << 21, "B"),
                                    ("broker.longest_turn_ns", 4e6, "ns"), ("attack.stop_ns", 5e6, "ns")):
            cell.metric(metric, value, unit)
        cell.finish("complete")
    record.close("complete")
    run = load(record.folder)
    rows = [robustness.attack_row("fan-out", run.data["cells"][1:]), robustness.attack_row("silent", [])]
    assert rows[0][2:] == ["8 ms", "2 ms", "4 ms", "0 / - / 3", "1 MiB of 2 MiB", "5 ms"]
    assert rows[1][2:] == [robustness.UNKNOWN] * 6


def test_a_committed_record_that_was_changed_gives_no_table(tmp_path):
    record = committed(tmp_path, "soak", "soak")
    record.close("failed")
    path = record.folder / "run.json"
    data = json.loads(path.read_text())
    data["config"]["seconds"] = 99 * 3600
    path.write_text(json.dumps(data))
    with pytest.raises(PoolmarkError, match="not as it was"):
        robustness.soak(tmp_path)


def test_a_table_of_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no table 'luck'"):
        robustness.filled("<!-- robustness: luck -->\n<!-- end of robustness -->", tmp_path)
