# SPDX-License-Identifier: Apache-2.0
"""The text before a comparison: its record, what can be found, and the cases without a finding or a record."""
import os
import signal

import pytest
from conftest import ROOT
from test_compare import make_run, save

from poolmark.base import progress
from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.compare import compare_builds, history, how_much, interleave, job_time, power_told
from poolmark.records.read_record import load


def kept(folder, name, **options):
    run = make_run(f"suite-20260101T000000Z-{name}", **options)
    return run, save(folder / run["id"], run)


def test_the_newest_run_of_that_suite_and_host_is_taken(tmp_path):
    run, _ = kept(tmp_path, "0001", spread=.02)
    other = make_run("suite-20260101T000000Z-0002")
    other["suite"] = "idle"
    save(tmp_path / "other", other)
    strange = make_run("suite-20260101T000000Z-0003")
    strange["host"]["cpu_model"] = "another"
    save(tmp_path / "strange", strange)
    single, _ = kept(tmp_path, "0004", repetitions=2)
    for age, name in enumerate((single["id"], "strange", "other", run["id"])):
        os.utime(tmp_path / name / "run.json", (10 ** 9 - age, 10 ** 9 - age))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{")
    found = power_told.earlier("suite:quick", history.fingerprint(run), tmp_path)
    assert found.id == run["id"]
    assert power_told.earlier("suite:quick", "another", tmp_path) is None
    assert power_told.earlier("bench", None, tmp_path) is None


def test_more_repetitions_find_less_and_three_nothing(tmp_path):
    run, _ = kept(tmp_path, "0001", spread=.02)
    head, row = power_told.table(run, (3, 4, 9, 100))
    assert row[0] == "connect.p99" and row[3] == "nothing"
    sizes = [float(text.split()[0]) for text in row[4:]]
    assert sizes == sorted(sizes, reverse=True) and 1 < sizes[1] < 8 and len(head) == len(row)


def test_what_is_said_before(tmp_path):
    run, _ = kept(tmp_path, "0001", spread=.02)
    found = power_told.earlier("suite:quick", None, tmp_path)
    assert power_told.told_before("suite:quick", 3, found) == ["power: 3 repetitions can find nothing here, 4 would"]
    assert f"by {run['id']}, 6 repetitions a side find 19 times in 20: connect.p99" in power_told.told_before(
        "suite:quick", 6, found)[0]
    assert "no earlier run" in power_told.told_before("suite:quick", 6, None)[0]


def test_compare_power_is_a_command(poolmark, tmp_path):
    _, folder = kept(tmp_path, "0001")
    done = poolmark("compare", "--power", folder)
    assert done.returncode == 0 and "connect.p99" in done.stdout and "9 runs find" in done.stdout
    _, single = kept(tmp_path, "0002", repetitions=1)
    assert poolmark("compare", "--power", single).returncode == 4
    assert poolmark("compare").returncode == 4 and poolmark("compare", folder, folder, "--dry-run").returncode == 4


@pytest.mark.parametrize("words", [["--until-sure", "0s"], ["--until-sure", "soon"], ["--repetitions", "1"]])
def test_amounts_out_of_bounds_are_refused(poolmark, words):
    assert poolmark("compare", "a", "b", "--run", "suite:quick", *words).returncode == 4


def test_only_a_run_of_the_same_cells_tells(tmp_path):
    """500 raw connections of one strategy spoke for 10 000 of paho in five."""
    run, _ = kept(tmp_path, "0001", spread=.02)
    keys = {power_told.key_of(cell) for cell in run["cells"]}
    assert len(keys) == 3
    found = power_told.earlier("suite:quick", None, tmp_path, keys)
    assert found.id == run["id"] and len(found.data["cells"]) == len(run["cells"])
    one = power_told.earlier("suite:quick", None, tmp_path, {power_told.key_of_config({"strategy": "s1"})})
    assert {cell["config"]["strategy"] for cell in one.data["cells"]} == {"s1"}
    for others in ({*keys, power_told.key_of_config({"strategy": "s9"})}, {power_told.key_of_config({"strategy": "s1", "engine": "raw"})}):
        assert power_told.earlier("suite:quick", None, tmp_path, others) is None
    assert power_told.told_before("suite:quick", 6, None)[0].startswith("power: no earlier run of these cells of suite:quick is known here")


def test_a_first_look_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"--until-sure 10 s: the first look needs 4 runs of each build, about 1 min 30 s; give"):
        job_time.check_until(10, 90, "4 runs of each build")
    job_time.check_until(85, 90, "4 runs of each build")    # slightly over
    job_time.check_until(None, 90, "4 runs of each build")
    assert job_time.told(10, 4, 19, 75) == "about 1 min 20 s" and job_time.told(10, 4, 19, 85) == "about 1 min 20 s to 1 min 25 s"


@pytest.mark.parametrize("command", ["compare", "nightly"])
@pytest.mark.parametrize("job, needs", [("suite quick --only slab", "4 runs of each build, about "), ("bench --filter ^lifo/slab/3072$ --min-time 0.5", "32 rounds of each build, about ")])
def test_the_command_refuses_it_before_anything_starts(poolmark, tmp_path, command, job, needs):
    build = build_dir()
    sides = (build, build) if command == "compare" else ("--base-build", build, "--candidate-build", build)
    done = poolmark(command, *sides, "--run", job, "--until-sure", "2s", "--out", tmp_path / "out")
    assert done.returncode == 4 and f"--until-sure 2 s: the first look needs {needs}" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_names_its_cells_as_their_record_does():
    build = build_dir()
    record = load(ROOT / "results/reference/quick")
    cells = job_time.cells_of(interleave.parse_job("suite quick --only slab"), build, [])
    assert cells <= {power_told.key_of(cell) for cell in record.data["cells"]} and len(cells) == 1
    few = job_time.cells_of(interleave.parse_job("suite quick --only slab --connections 500"), build, [])
    assert len(few) == 1 and few != cells


def test_spreads_are_plain_numbers():
    assert [how_much.spread(share) for share in (.00123, .034, .151, 1.5, 12)] == ["0.12 %", "3.4 %", "15 %", "150 %", "1200 %"]


def test_reading_and_judging_are_told_before_and_while_they_last(monkeypatch, capfd):
    told = []
    monkeypatch.setattr(progress, "EVERY_S", .01)
    with compare_builds.heard("judging 3 metrics of 1 cell", told.append):
        assert told == ["judging 3 metrics of 1 cell"]
        signal.pause()      # until the next beat
    assert "still judging 3 metrics of 1 cell" in capfd.readouterr().err
