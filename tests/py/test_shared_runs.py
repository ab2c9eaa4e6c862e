# SPDX-License-Identifier: Apache-2.0
"""compare: one run on both sides, and counts that only one side recorded."""
import shutil

import pytest
from test_compare import make_run, save

from poolmark.compare import verdict


@pytest.mark.parametrize("how", ["itself", "link", "copy"])
def test_one_run_under_two_names_is_undecided(poolmark, tmp_path, how):
    """It was exit code 0, which a script takes for a candidate that is no worse."""
    one, other = save(tmp_path / "a", make_run()), tmp_path / "b"
    if how == "link":
        other.symlink_to(one)
    elif how != "itself":
        shutil.copytree(one, other)
    done = poolmark("compare", one, one if how == "itself" else other)
    assert done.returncode == 2 and "one and the same run" in done.stdout, done.stdout


def test_merges_that_share_a_run_are_undecided():
    ours, theirs = make_run(seed=1), make_run(seed=2)
    ours["sources"] = [{"id": name, "sha256": "0" * 64} for name in ("suite-a", "suite-b")]
    assert verdict.compare(ours, theirs).code == verdict.OK
    theirs["sources"] = [{"id": "suite-b", "sha256": "0" * 64}]
    found = verdict.compare(ours, theirs)
    assert found.code == verdict.INVALID and "both have the measurements of suite-b" in found.reasons[0]
    found = verdict.compare(ours, make_run("suite-b", seed=3, scale=1.3))
    assert found.code == verdict.REGRESSION and any("measurements of suite-b" in note for note in found.notes)


def test_a_regression_is_told_of_messages_that_only_the_candidate_sent_to_wrong_clients():
    """Such counts are recorded where there were any. A figure of the candidate alone was left out."""
    base, candidate = (make_run(seed=seed, metric="messages.lost", unit="1", level=0, cells=1) for seed in (1, 2))
    for cell in candidate["cells"]:
        cell["metrics"]["messages.misdelivered"] = {"value": 120, "unit": "1", "better": "lower"}
    found = verdict.compare(base, candidate, judged=["messages.*"])
    row = next(row for row in found.rows if row.metric == "messages.misdelivered")
    assert row.verdict == "regression" and row.base == [0.0] * 9 and found.code == verdict.REGRESSION
    assert verdict.compare(candidate, base, judged=["messages.*"]).code == verdict.OK
    assert "misdelivered" not in base["cells"][0]["metrics"]


def test_every_fault_and_tail_of_the_catalogue_may_vary_by_a_doubling():
    from poolmark.compare.power import TOO_NOISY, TOO_NOISY_TAIL, limit_of

    for name in ("messages.misdelivered", "qos1.messages.corrupt", "cell.messages.lost", "boards.day.slow.not_recovered", "delivery.p99_9", "longest_ns"):
        assert limit_of(name) == TOO_NOISY_TAIL, name
    for name in ("delivery.p50", "messages.sent", "time", "of.nothing.known"):
        assert limit_of(name) == TOO_NOISY, name

