# SPDX-License-Identifier: Apache-2.0
"""The text before a comparison: its record, what can be found, and the cases without a finding or a record."""
import os

import pytest
from test_compare import make_run, save

from poolmark.compare import history, power_told


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
