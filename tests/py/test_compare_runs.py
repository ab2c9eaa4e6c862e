# SPDX-License-Identifier: Apache-2.0
"""compare: repetitions that share a disturbance, did not start, were not at full speed, or have no value."""
import subprocess
from pathlib import Path

import numpy
import pytest
from test_compare import make_run, save

from poolmark.base.output import COULD_NOT_WRITE
from poolmark.base.paths import build_dir
from poolmark.compare import pairing, verdict, verdict_out

ROOT = Path(__file__).resolve().parents[2]


def disturbed(seed, repetitions=6, cells=5):
    """A run disturbs all its cells together."""
    run, rng = make_run(seed=seed, repetitions=repetitions, cells=cells, spread=.02), numpy.random.default_rng(1000 + seed)
    shocks = rng.normal(0, .05, repetitions)
    for cell in run["cells"]:
        cell["metrics"]["connect.p99"]["value"] *= float(numpy.exp(shocks[cell["repetition"] - 1]))
    return run


def test_what_disturbs_all_cells_of_a_run_is_no_regression_over_all_cells():
    """Cells that were relabelled each by itself made the row over all cells raise an alarm in one of six."""
    alarms = sum(verdict.compare(disturbed(2 * number), disturbed(2 * number + 1)).code == verdict.REGRESSION for number in range(40))
    assert alarms <= 5  # by the binomial's 99 % at 4 and 1 %


def test_a_candidate_that_sometimes_does_not_start_is_worse():
    """Repetitions that did not start left every row, so a build that failed in 7 of 8 was undecided at worst."""
    candidate = make_run(seed=2, repetitions=8, cells=1)
    for cell in candidate["cells"][1:]:
        cell.update(status="failed", metrics={}, files={}, anomalies=[{"what": "start", "text": "the target did not start"}])
    found = verdict.compare(make_run(seed=1, repetitions=8, cells=1), candidate)
    assert [row.verdict for row in found.rows if row.metric == "cell.not_complete"] == ["regression"]
    assert found.code == verdict.REGRESSION


def test_only_both_sides_are_filtered_for_full_speed():
    def bench(seed, full):
        run = make_run(seed=seed, repetitions=6, cells=1, metric="time")
        for cell, at_full_speed in zip(run["cells"], full, strict=True):
            cell["metrics"]["at_full_speed"] = {"value": float(at_full_speed), "unit": "1", "better": "none"}
            if not at_full_speed:
                cell["metrics"]["time"]["value"] *= 2
        return run

    base, candidate = bench(1, [1, 1, 1, 1, 0, 0]), bench(2, [1, 1, 1, 0, 0, 0])
    row = next(row for row in verdict.compare(base, candidate).rows if row.metric == "time")
    assert (len(row.base), len(row.candidate)) == (6, 6)
    row = next(row for row in verdict.compare(base, bench(3, [1, 1, 1, 1, 1, 0])).rows if row.metric == "time")
    assert (len(row.base), len(row.candidate)) == (4, 5)


def test_repetitions_without_a_value_leave_a_metric_undecided():
    candidate = make_run(seed=2, repetitions=8, cells=1)
    for cell in candidate["cells"][:2]:
        cell["metrics"]["connect.p99"]["value"] = None
        cell["metrics"]["clients.failed"] = {"value": 0, "unit": "1", "better": "lower"}
    found = verdict.compare(make_run(seed=1, repetitions=8, cells=1), candidate)
    row = next(row for row in found.rows if row.metric == "connect.p99")
    assert row.verdict == "undecided" and row.why.startswith("2 repetitions without a value")
    assert any("connect.p99 has no value in 2 repetitions" in note for note in found.notes)


def test_metrics_of_a_cell_with_one_reason_are_one_note_for_people():
    why = "has no value in 2 repetitions: candidate: too few"
    notes = [f"cell-0: connect.p99 {why}", "cell-0: only in the baseline", f"cell-0: connect.p50 {why}", f"cell-1: connect.p99 {why}",
             "cell-0: ack.p99 is only in the baseline", "cell-0: ack.p50 is only in the baseline", "no metric is primary (x*); all of them decide"]
    assert pairing.notes_told(notes) == [
        "cell-0: connect.p99, connect.p50 have no value in 2 repetitions: candidate: too few", "cell-0: only in the baseline", f"cell-1: connect.p99 {why}",
        "cell-0: ack.p99, ack.p50 are only in the baseline", "no metric is primary (x*); all of them decide"]
    candidate = make_run(seed=2, repetitions=8, cells=1)
    for cell in candidate["cells"][:2]:
        cell["metrics"]["connect.p99"]["value"] = cell["metrics"].setdefault("connect.p90", dict(cell["metrics"]["connect.p99"]))["value"] = None
    base = make_run(seed=1, repetitions=8, cells=1)
    for cell in [*base["cells"], *candidate["cells"][2:]]:
        cell["metrics"]["connect.p90"] = dict(cell["metrics"]["connect.p99"])
    found = verdict.compare(base, candidate)
    told = [line for line in verdict_out.as_table(found).splitlines() if "no value in" in line and line.startswith("note: ")]
    assert len([note for note in found.notes if "no value in" in note]) == 2 and len(told) == 1 and "connect.p99" in told[0] and "connect.p90" in told[0]


def test_a_metric_of_another_direction_or_unit_in_any_repetition_is_not_compared():
    for change in ({"better": "higher"}, {"unit": "us"}):
        for side in (0, 1):
            runs = make_run(seed=1, cells=1), make_run(seed=2, cells=1)
            runs[side]["cells"][3]["metrics"]["connect.p99"].update(change)
            found = verdict.compare(*runs)
            assert found.code != verdict.OK and any("connect.p99 is in ns (lower is better) and in" in note or
                                                    "connect.p99 is in ns (higher is better) and in" in note for note in found.notes), change


@pytest.mark.parametrize("how, text", [(">/dev/full", "No space left on device"), (">&-", "it is closed")])
def test_a_table_that_is_lost_is_no_regression_and_a_regression_stays_one(tmp_path, how, text):
    """With >/dev/full the exit code was 1, which means regression."""
    base = save(tmp_path / "a", make_run(seed=1))
    same = save(tmp_path / "b", make_run("suite-20260101T000000Z-0002", "b" * 40, seed=2))
    worse = save(tmp_path / "c", make_run("suite-20260101T000000Z-0003", "c" * 40, seed=3, scale=1.1))
    for other, code in ((same, COULD_NOT_WRITE), (worse, 1)):
        lost = subprocess.run(["bash", "-c", f'"$@" {how}', "bash", ROOT / "scripts/poolmark", "compare", base, other], capture_output=True,
                              text=True, timeout=240, check=False)
        assert lost.returncode == code and f"stdout could not be written: {text}" in lost.stderr, lost.stderr


@pytest.mark.parametrize("words, says", [
    (["--judge", "delivery.p98"], "--judge delivery.p98: no program measures 'delivery.p98'; did you mean 'delivery.p99'?"),
    (["--judge", "quick-slap*:connect.p99"], "--judge quick-slap*:connect.p99: no cell of --run is called 'quick-slap*'"),
    (["--thresholds", "{file}"], "budget of connect.p99: no cell of --run is called 'nosuch'"),
    (["--markdown", "{folder}/nosuch/x.md"], "--markdown {folder}/nosuch/x.md: the folder {folder}/nosuch is not there"),
    (["--html", "{folder}"], "is a folder; name a file"),
    (["--judge", "qos2.delivery.p99"], "--judge qos2.delivery.p99: no cell of --run can have 'qos2.delivery.p99'"),
    (["--judge", "time"], "--judge time: no cell of --run can have 'time'"),
    (["--run", "suite", "quick", "--only", "slab"], "unrecognized arguments: quick --only slab; what --run starts is one argument with its options"),
    (["--run", "suite quick --only slab"], "--run suite quick --only slab: is given twice")])
def test_what_nothing_measured_could_mend_is_told_before_the_measurement(poolmark, tmp_path, words, says):
    file = tmp_path / "budgets.toml"
    file.write_text('[[budget]]\nmetric = "connect.p99"\ncell = "nosuch"\nmax = "60ms"\n')
    build, places = build_dir(), {"file": file, "folder": tmp_path}
    done = poolmark("compare", build, build, "--run", "suite quick --only slab", "--out", tmp_path / "out", *(word.format(**places) for word in words))
    assert done.returncode == 4 and says.format(**places) in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
