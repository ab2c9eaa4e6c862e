# SPDX-License-Identifier: Apache-2.0
"""sensitivity: runs the printed commands, counts their exit codes, writes results as they come, and resumes."""
import argparse
import os
import signal
import json
import time

import pytest

from poolmark.base import progress
from poolmark.compare import comparisons, sensitivity
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.paths import build_dir
from poolmark.records.read_record import load
from poolmark.records.record import Record, files_of, seal
from poolmark.compare.verdict import OK, REGRESSION
from poolmark.verify.complaints import complaints

SELF = sensitivity.Trial("self", "with itself", "suite quick", (), (), "", OK, 4, 1)
SLOWER = sensitivity.Trial("get-5-percent", "slower", "bench", (), ("HANDICAP_GET=5",), "time", REGRESSION, 6, 1)
BUILDS = {(): "build", ("HANDICAP_GET=5",): "build-get-5"}


class StandIn:
    """A comparison that at once returns what the test sets."""

    def __init__(self, stop_after=10 ** 9, codes=None):
        self.called, self.stop_after, self.codes = [], stop_after, codes or {}

    def __call__(self, argv, log):
        if len(self.called) >= self.stop_after:
            raise KeyboardInterrupt
        self.called.append(argv)
        slow = any("get-5" in word for word in argv)
        code = self.codes.get(len(self.called), REGRESSION if slow else OK)
        row = {"cell": "c", "metric": "time", "role": "primary", "verdict": "regression" if code == REGRESSION else "same",
               "change": .05 if slow else 0, "low": .04, "high": .06, "difference": 1, "q": .001, "finds": .02}
        out = argv[argv.index("--out") + 1]
        import pathlib
        pathlib.Path(out).mkdir()
        (pathlib.Path(out) / "verdict.json").write_text(json.dumps({"metrics": [row], "reasons": ["because"]}))
        return code


def experiment(folder, stand_in, *, done=None, comparisons=4):
    record = Record.create("nightly", suite="sensitivity", folder=folder)
    args = argparse.Namespace(comparisons=comparisons, repetitions=None, seed=1)
    return record, sensitivity.Experiment(record, [SELF, SLOWER], args, BUILDS, done=done, run=stand_in, say=lambda text: None)


def test_each_comparison_is_the_command_of_a_user(tmp_path):
    stand_in = StandIn(codes={3: REGRESSION, 6: 2})
    record, made = experiment(tmp_path / "out", stand_in)
    results = made.go()
    assert stand_in.called[1][:9] == ["scripts/poolmark", "compare", "build", "build-get-5", "--run", "bench", "--repetitions",
                                      "6", "--seed"]
    assert len(stand_in.called) == 8 and [one.right for one in results["self"]] == [True, False, True, True]
    record.close("complete")
    text = (record.folder / "sensitivity.md").read_text()
    assert "| with itself | 4 | 4 | 1 (1 % to 81 %) | - | 0 |" in text
    assert "| slower | 6 | 4 | 3 (19 % to 99 %) | 3 (19 % to 99 %) | 1 | +5.0 % |" in text
    assert "make B=build-get-5 HANDICAP_GET=5" in text and "scripts/poolmark compare build build-get-5 --run bench" in text
    assert len((record.folder / "sensitivity.csv").read_text().splitlines()) == 1 + 8
    assert len(load(record.folder).data["cells"]) == 8


def test_it_is_never_silent_for_long(tmp_path, monkeypatch, capfd):
    """A comparison takes a minute. Meanwhile there is a line each ten seconds; here, each tenth of one."""
    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    stand_in = StandIn()
    record, made = experiment(tmp_path / "out", lambda argv, log: (time.sleep(0.35), stand_in(argv, log))[1], comparisons=1)
    made.go()
    record.close("complete")
    assert "1 of 1: with itself; about" in capfd.readouterr().err


def test_the_interval_of_a_share_is_exact():
    """Textbook values of Clopper and Pearson's interval."""
    assert sensitivity.share_of(20, 20) == "20 (83 % to 100 %)" and sensitivity.share_of(0, 20) == "0 (0 % to 17 %)"
    assert sensitivity.share_of(10, 20) == "10 (27 % to 73 %)"


def test_a_regression_of_another_metric_is_not_the_handicaps():
    def one(metric):
        row = comparisons.Row("c", metric, "primary", "regression", 1, 1, 1, 1, 0, 0)
        return comparisons.Comparison(SLOWER.name, SLOWER.variables, REGRESSION, True, 1, (), (row,), "a" * 40)

    assert not sensitivity.found_it(SLOWER, one("other")) and sensitivity.found_it(SLOWER, one("time"))


def test_it_goes_on_where_it_was_interrupted(tmp_path):
    record, made = experiment(tmp_path / "out", StandIn(stop_after=3))
    with pytest.raises(KeyboardInterrupt):
        made.go()
    record.close("incomplete")
    state = tmp_path / "out" / sensitivity.STATE
    commit = record.data["tool"]["commit"]
    with open(state, "a") as file:
        file.write('{"trial": "self", "exi')  # killed in the middle of a line
    args = argparse.Namespace(comparisons=4, repetitions=None, seed=1, resume=str(tmp_path / "out"), out=None)
    record, done = sensitivity.open_record(args, [SELF, SLOWER], commit)
    stand_in = StandIn()
    made = sensitivity.Experiment(record, [SELF, SLOWER], args, BUILDS, done=done, run=stand_in, say=lambda text: None)
    results = made.go()
    record.close("complete")
    assert len(stand_in.called) == 5 and [len(found) for found in results.values()] == [4, 4]
    assert len(load(record.folder).data["cells"]) == 8 and state.read_text().count("\n") == 8
    with pytest.raises(UsageError, match="was begun with commit"):
        sensitivity.read_state(tmp_path / "out", "f" * 40)
    with pytest.raises(UsageError, match="no experiment"):
        sensitivity.read_state(tmp_path, commit)


def test_a_comparison_without_a_verdict_ends_the_experiment(tmp_path):
    def broken(argv, log):
        log.write_text("it went wrong\n")
        return 4

    record, made = experiment(tmp_path / "out", broken)
    with pytest.raises(PoolmarkError, match="exit 4, and no verdict:\n  it went wrong"):
        made.go()
    record.close("incomplete")


def test_what_it_runs_can_be_run(poolmark):
    """Checks the commands of the experiment with --dry-run; nothing is measured."""
    done = poolmark("sensitivity", "--dry-run")
    assert done.returncode == 0 and done.stdout.count("scripts/poolmark compare") == len(sensitivity.TRIALS)
    for what in {trial.what for trial in sensitivity.TRIALS}:
        done = poolmark("compare", "build", "build", "--run", what, "--dry-run")
        assert done.returncode == 0 and "poolmark-" in done.stdout, done.stderr


def test_a_termination_keeps_what_was_compared_as_ctrl_c_does(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sensitivity, "builds_for", lambda trials, scratch: dict.fromkeys(
        [variables for trial in trials for variables in (trial.base, trial.variables)], build_dir()))
    monkeypatch.setattr(sensitivity, "one_comparison", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    args = argparse.Namespace(comparisons=2, repetitions=None, seed=1, resume=None, out=str(tmp_path / "out"), only=["self-bench"],
                              dry_run=False)
    try:
        with pytest.raises(KeyboardInterrupt):
            sensitivity.run(args)
    finally:
        signal.signal(signal.SIGTERM, before)
    record = load(tmp_path / "out").data
    assert record["status"] == "incomplete" and record["anomalies"][0]["what"] == "stopped"


def kept(tmp_path, monkeypatch):
    """A sealed record of an experiment of these two kinds."""
    monkeypatch.setattr(sensitivity, "TRIALS", (SELF, SLOWER))
    record = Record.create("nightly", suite="sensitivity", folder=tmp_path / "out", config={"repetitions": {"self": 4, "get-5-percent": 6}})
    args = argparse.Namespace(comparisons=4, repetitions=None, seed=1)
    results = sensitivity.Experiment(record, [SELF, SLOWER], args, BUILDS, run=StandIn(codes={3: REGRESSION}), say=lambda text: None).go()
    record.data["summary"] = {"table": [sensitivity.HEADS, *sensitivity.lines_of([SELF, SLOWER], results)]}
    record.close("complete")
    return record.folder


def edited(folder, name, before, after):
    text = (folder / name).read_text(encoding="utf-8")
    assert before in text
    (folder / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    data["files"] = files_of(folder)
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    seal(folder)
    return complaints(load(folder))[0]


def test_verify_computes_an_experiment_again(tmp_path, monkeypatch):
    folder = kept(tmp_path, monkeypatch)
    wrong, account = complaints(load(folder))
    assert wrong == [] and account.count == 16 and account.tables == 2


@pytest.mark.parametrize(("name", "before", "after", "told"), [
    ("sensitivity.md", "| with itself | 4 | 4 |", "| with itself | 4 | 9 |", "sensitivity.md: "),
    ("sensitivity.csv", "self,1,0,c,time,0,", "self,1,0,c,time,7,", "sensitivity.csv: row self, 1"),
    (sensitivity.STATE, '"right": false', '"right": true', "self.2: comparisons.jsonl: right is True"),
    ("run.json", '"regressions": {\n     "value": 1', '"regressions": {\n     "value": 0', "regressions: the record says 0, its files give 1"),
    ("run.json", '"with itself",\n    "4",\n    "4"', '"with itself",\n    "4",\n    "9"', "summary.table: ")])
def test_an_edit_of_an_experiment_is_noticed(tmp_path, monkeypatch, name, before, after, told):
    folder = kept(tmp_path, monkeypatch)
    if name == "run.json":
        data = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(data, indent=1), encoding="utf-8")
    assert any(told in text for text in edited(folder, name, before, after))


@pytest.mark.parametrize(("before", "after", "told"), [
    ('"exit_code": 0', '"exit_code": "0"', "line 1: exit_code: '0' is not a whole number"), ('"rows": [', '"lines": [', "line 1: 'rows' is missing"),
    ('"role": "primary"', '"role": null', "line 1: rows[0].role: None is not a text"), ('{"trial"', '[{"trial"', "not JSON"),
    ('"variables": []', '"variables": {}', "line 1: variables: {} is not a list"), ('"low": 0.04', '"low": null', "")])
def test_a_line_that_is_no_comparison_is_named(tmp_path, monkeypatch, before, after, told):
    state = kept(tmp_path, monkeypatch) / sensitivity.STATE
    text = state.read_text(encoding="utf-8")
    assert before in text
    state.write_text(text.replace(before, after, 1), encoding="utf-8")
    if told:
        with pytest.raises(RecordError) as raised:
            comparisons.read(state)
        assert told in str(raised.value)
    else:
        assert comparisons.read(state)["self"][0].rows[0].low is None
