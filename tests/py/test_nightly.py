# SPDX-License-Identifier: Apache-2.0
"""nightly: order of runs, confirmation, history, exit codes. A stand-in measures; the test sets its speed."""
import argparse
import json
import random
import re
import signal
import subprocess
import time

import pytest
from test_compare import make_run, save

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import COMMAND, build_dir
from poolmark.compare import history, interleave, job_time, verdict
from poolmark.ci import nightly
from poolmark.facts.build_commit import Build
from poolmark.compare.interleave import Job
from poolmark.records.read_record import load


class StandIn:
    """Measures nothing. Writes records whose values depend on the build, and notes its calls."""

    def __init__(self, scales):
        self.scales, self.asked, self.rng = scales, [], random.Random(5)

    def __call__(self, job, build, out, seed):
        self.asked.append((job.only, build.name))
        scale = self.scales[build.name]
        scale = scale(len(self.asked)) if callable(scale) else scale
        run = make_run(f"bench-20260101T000000Z-{len(self.asked):04x}", build.name * 40, repetitions=1, cells=2,
                       seed=self.rng.randrange(1 << 30), scale=scale)
        for cell in run["cells"]:
            cell["files"] = {}
        return load(save(out, run))


def go(tmp_path, scales, **options):
    args = argparse.Namespace(allow_missing=False, repetitions=6, seed=1, history=str(tmp_path / "h.sqlite"), thresholds=None,
                              judge=[], until_sure=None)
    for key, value in options.items():
        setattr(args, key, value)
    builds = {"base": Build("a", tmp_path), "candidate": Build("b", tmp_path)}
    stand_in = StandIn(scales)
    found, changes = nightly.night(builds, [Job("suite:quick")], args, tmp_path / "out", run=stand_in,
                                   say=lambda text: None)
    return found, changes, stand_in


def test_runs_are_interleaved_a_b_b_a():
    eights = {"".join(side[0] for side in interleave.order(40, seed)[at:at + 8]) for seed in (1, 2) for at in range(0, 80, 8)}
    assert eights == {"bccbcbbc", "cbbcbccb"}
    for count in (4, 5, 6, 9, 13):
        assert interleave.order(19, 7)[:2 * count] == interleave.order(count, 7)
        assert interleave.order(count, 7).count("base") == count


def test_equal_builds_give_no_regression_and_a_line_in_the_history(tmp_path):
    found, _, stand_in = go(tmp_path, {"a": 1, "b": 1})
    assert found.code == verdict.OK and len(stand_in.asked) == 12
    db = history.open_history(tmp_path / "h.sqlite")
    assert db.execute("SELECT commit_id, verdict FROM run").fetchall() == [("b" * 40, "no regression")]


def test_a_regression_is_measured_twice_and_only_its_cells(tmp_path):
    found, _, stand_in = go(tmp_path, {"a": 1, "b": 1.1})
    assert found.code == verdict.REGRESSION and "measured twice" in found.reasons[0]
    assert len(stand_in.asked) == 24 and stand_in.asked[0][0] is None
    one = [row for row in found.rows if row.cell == "cell-0"]
    assert [job.only for job in nightly.again(one, [Job("suite:quick"), Job("bench")])] == [r"^(cell\-0)($|[./])"]
    assert nightly.again(found.of("regression"), [Job("suite:quick")]) == [Job("suite:quick")]  # a row over all cells


def test_what_the_second_measurement_does_not_show_is_no_regression(tmp_path):
    found, _, _ = go(tmp_path, {"a": 1, "b": lambda asked: 1.1 if asked <= 12 else 1})
    assert found.code == verdict.OK and any("measured again" in note for note in found.notes)


def test_a_drift_over_the_nights_is_told(tmp_path):
    db = history.open_history(tmp_path / "h.sqlite")
    for night in range(20):
        run = make_run(f"nightly-202601{night + 1:02}T000000Z-0001", scale=1 + .02 * max(0, night - 10), seed=night,
                       cells=2)
        run["started_utc"] = f"2025-01-{night + 1:02}T00:00:00Z"
        history.append(db, run, "no regression")
    db.close()
    _, changes, _ = go(tmp_path, {"a": 1.2, "b": 1.2})
    assert any("worse by" in text for text in changes)


def test_one_record_a_side_has_the_runs_as_repetitions(tmp_path):
    _, _, _ = go(tmp_path, {"a": 1, "b": 1}, history="none")
    joined = load(tmp_path / "out" / "candidate")
    assert [cell["repetition"] for cell in joined.data["cells"] if cell["id"].startswith("cell-0")] == list(range(1, 7))


@pytest.mark.parametrize("words, says", [(["--repetitions", "2"], "at least 4"), (["--run", "dance"], "dance"),
                                         (["--run", "suite:nope", "--base-build", "build", "--candidate-build", "build"], "nope"),
                                         (["--run", "bench=nosuch", "--base-build", "build", "--candidate-build", "build"],
                                          "'nosuch'"),
                                         (["--run", "suite quick --out x"], "--out is not for here"),
                                         (["--base-build", "/nonexistent"], "poolmark-broker"),
                                         (["--base", "no-such-commit"], "'no-such-commit' is no commit"),
                                         (["--history", "README.md"], "README.md: not a history"),
                                         (["--history", "/proc/x/history"], "/proc/x/history: its folder cannot be made"),
                                         (["--thresholds", "nosuch.toml"], "nosuch.toml: cannot be read")])
def test_bad_calls_exit_with_four_and_say_what_is_wrong(poolmark, tmp_path, words, says):
    done = poolmark("nightly", "--out", tmp_path / "out", *words)
    assert done.returncode == 4 and says in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_suites_file_and_a_whole_command_are_jobs(poolmark, tmp_path):
    assert interleave.parse_job("suite:scripts/suites/idle.toml=nosub").words == [
        "suite", "scripts/suites/idle.toml", "--only", "nosub"]
    assert interleave.parse_job("suite quick --only 'slab|sync'").words == ["suite", "quick", "--only", "slab|sync"]
    done = poolmark("nightly", "--dry-run", "--run", "suite:scripts/suites/idle.toml", "--run", "bench=^lifo/slab/3072$",
                    "--base-build", "build", "--candidate-build", "build", "--out", tmp_path / "out")
    assert done.returncode == 0 and "poolmark-loadgen steps" in done.stdout and "^lifo/slab/3072$" in done.stdout
    assert re.search(r"^# suite scripts/suites/idle.toml: \d+ cells, 9 runs of each build, interleaved, about \d+ (min|h)", done.stdout, re.M), done.stdout
    assert re.search(r"^# bench --filter \S+: 1 cell, 72 rounds of each build, interleaved, about \d", done.stdout, re.M)
    assert re.search(r"^# all of it: about \d", done.stdout, re.M)
    assert "power:" in done.stdout and not (tmp_path / "out").exists()


def test_compare_says_how_long_it_takes_before_it_starts(poolmark):
    build = build_dir()
    words = ("compare", build, build, "--run", "suite quick --only malloc", "--dry-run")
    one = re.search(r"^1 cell, about (\d+) s in all", poolmark("suite", "quick", "--only", "malloc", "--dry-run").stderr, re.M)
    told = [poolmark(*words, *more).stderr for more in (("--repetitions", "4"), ("--until-sure", "3h"))]
    found = re.search(r"1 cell, 4 runs of each build, interleaved, about (\d+) min", told[0])
    assert abs(int(found[1]) - 8 * int(one[1]) / 60) <= 1, told[0]
    assert re.search(r"up to 19 runs of each build, interleaved, about \d+ min.* to \d+ min", told[1]), told[1]
    assert job_time.told(60, 4, 19, 1800) == "about 8 min to 30 min" and job_time.told(60, 4, 9, None) == "about 18 min"


def test_until_sure_stops_when_it_is_decided(tmp_path):
    found, _, stand_in = go(tmp_path, {"a": 1, "b": 1.3}, until_sure=1e9)
    assert found.code == verdict.REGRESSION and any("decided after 4" in note for note in found.notes)
    assert len(stand_in.asked) == 16  # 8 of them confirm


def test_the_result_has_every_form(tmp_path):
    found, _, _ = go(tmp_path, {"a": 1, "b": 1.1})
    nightly.write_result(found, ["cell x: worse"], tmp_path / "out")
    assert json.loads((tmp_path / "out/verdict.json").read_text())["verdict"] == "regression"
    assert "Change points" in (tmp_path / "out/verdict.md").read_text()


def test_a_nights_folder_names_its_sides(poolmark, tmp_path):
    go(tmp_path, {"a": 1, "b": 1}, history="none", repetitions=4)
    for command in ("verify", "report"):
        done = poolmark(command, tmp_path / "out")
        assert done.returncode == 2 and "/base" in done.stderr and "/candidate" in done.stderr
    assert poolmark("verify", tmp_path / "out/base", tmp_path / "out/candidate").returncode == 0
    (tmp_path / "out/base/run.json").unlink()
    assert "did not end" in poolmark("verify", tmp_path / "out").stderr


def test_trend_shows_the_series_and_writes_a_page(poolmark, tmp_path):
    go(tmp_path, {"a": 1, "b": 1})
    done = poolmark("trend", "--history", tmp_path / "h.sqlite", "--html", tmp_path / "t.html", "--metric", "cell-0")
    assert done.returncode == 0 and "cell-0 connect.p99" in done.stdout and "cell-1" not in done.stdout
    assert "<svg" in (tmp_path / "t.html").read_text()
    assert poolmark("trend", "--history", tmp_path / "none").returncode == 2


@pytest.mark.parametrize("second", [lambda run: [cell for cell in run["cells"] if cell["id"].startswith("cell-1")], lambda run: []])
def test_a_regression_that_the_second_measurement_did_not_measure_is_undecided(tmp_path, second):
    """A candidate that no longer starts had its regression withdrawn: it was "measured again, it was none"."""
    first = make_run(seed=1, cells=2), make_run(seed=2, cells=2, scale=1.2)
    found = verdict.compare(*first)
    assert found.code == verdict.REGRESSION
    candidate = make_run(seed=4, cells=2, scale=1.2)
    candidate["cells"] = second(candidate)
    nightly.confirm(found, verdict.compare(make_run(seed=3, cells=2), candidate, allow_missing=True))
    row = next(row for row in found.rows if row.cell == "cell-0" and row.metric == "connect.p99")
    assert row.verdict == "undecided" and "measured again, it is not measured" in row.why and found.code != verdict.OK


class Cut(StandIn):
    """Ctrl-C during the n-th run."""

    def __init__(self, scales, at):
        super().__init__(scales)
        self.at = at

    def __call__(self, *words):
        if len(self.asked) + 1 == self.at:
            raise KeyboardInterrupt
        return super().__call__(*words)


def cut(tmp_path, at, scale=1.3, jobs=1, **options):
    args = argparse.Namespace(**{"allow_missing": False, "repetitions": 6, "seed": 1, "history": str(tmp_path / "h.sqlite"), "thresholds": None,
                                 "judge": [], "until_sure": None} | options)
    builds = {"base": Build("a", tmp_path), "candidate": Build("b", tmp_path)}
    return nightly.night(builds, [Job("suite:quick"), Job("suite:idle")][:jobs], args, tmp_path / "out", run=Cut({"a": 1, "b": scale}, at), say=lambda text: None)[0]


@pytest.mark.parametrize("options", [{}, {"jobs": 1, "until_sure": 1e9, "at": 5}])
def test_an_interrupted_comparison_keeps_and_judges_what_is_whole(tmp_path, options):
    found = cut(tmp_path, **{"at": 10} | options)
    assert found.code == verdict.INVALID and found.incomplete
    assert "incomplete: interrupted after" in found.reasons[0] and "decide nothing" in found.reasons[0]
    assert found.rows and (tmp_path / "out/base/run.json").is_file() and (tmp_path / "out/candidate/run.json").is_file()
    assert not (tmp_path / "h.sqlite").exists()


def test_a_turn_that_was_not_measured_whole_is_left_out(tmp_path):
    cut(tmp_path, at=8, jobs=2)     # the second job of the fourth turn
    joined = [load(tmp_path / "out" / side).data["cells"] for side in ("base", "candidate")]
    assert sorted(max(cell["turn"] for cell in cells) + 1 for cells in joined) == [1, 2]


def test_an_interruption_before_both_builds_were_measured_gives_no_verdict(tmp_path):
    with pytest.raises(PoolmarkError, match="before both builds were measured once"):
        cut(tmp_path, at=2)


def test_an_interruption_of_the_second_measurement_decides_nothing(tmp_path):
    found = cut(tmp_path, at=15)
    assert found.code == verdict.INVALID and "while the regression was measured again" in found.reasons[0] and found.of("regression")


def test_sigterm_ends_a_real_comparison_with_its_results(tmp_path):
    build = build_dir()
    log = tmp_path / "log"
    with open(log, "w") as told:
        child = subprocess.Popen([str(COMMAND), "compare", str(build), str(build), "--run", "bench --filter ^lifo/slab/3072$ --min-time 1ms",
                                  "--repetitions", "200", "--out", str(tmp_path / "out")], stdout=told, stderr=told)
        until, sixth = time.monotonic() + 100, "out/runs/000-both-0-bench/candidate/cells/lifo/slab/3072.1/6.json"
        while not (tmp_path / sixth).exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(.05)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 2, log.read_text()
    assert "incomplete: interrupted after" in (tmp_path / "out/verdict.md").read_text()
    assert json.loads((tmp_path / "out/verdict.json").read_text())["metrics"] and (tmp_path / "out/candidate/run.json").is_file()
