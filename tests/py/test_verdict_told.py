# SPDX-License-Identifier: Apache-2.0
"""What a verdict tells beside its answer: where to look, metrics that repeat another, why a repetition has no value; and which facts of two
records by hand are no configuration."""
import copy
import shlex

import numpy
import pytest
from test_compare import make_run

from poolmark.compare import thresholds, verdict, verdict_markdown, verdict_out, verdict_page, where_to_look
from poolmark.facts import comparable


def sides(tmp_path, scale=1.2, build=True, **changes):
    """Two sides of a comparison in turn, with the commands of their runs."""
    made = []
    for seed, side in ((1, "base"), (2, "candidate")):
        run = make_run(seed=seed, scale=scale if side == "candidate" else 1, commit=side[0] * 40, cells=2)
        run["command"] = ["scripts/poolmark", "suite", "quick", "--only", "cell", "--set", "duration=1s"]
        if build:
            (tmp_path / side).mkdir(exist_ok=True)
            run["command"] += ["--build", str(tmp_path / side), "--out", "x", "--repetitions", "1"]
        made.append(run | changes)
    return made


def test_a_regression_says_where_to_look_in_every_text(tmp_path):
    base, candidate = sides(tmp_path)
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION
    command = (f"compare {tmp_path}/base {tmp_path}/candidate --run 'suite quick --set duration=1s --only ^cell-1$' "
               "--repetitions 9")
    told = where_to_look.lines(found, {"base": "base", "candidate": "candidate"})
    assert any(command in line for line in told) or any(command.replace("1$", "0$") in line for line in told)
    assert any("candidate/cells/cell-1.1/latency.hlog and 8 more" in line for line in told)
    assert f"baseline build {tmp_path}/base, commit bbbbbbbbbbbb; candidate build {tmp_path}/candidate" in told[0]
    assert "git log -p bbbbbbbbbbbb..cccccccccccc" in told[0]
    page, text = verdict_page.as_html(found, draw=lambda specs: ["<svg/>"]), verdict_markdown.as_markdown(found)
    for whole in (page, text):
        assert "Where to look" in whole and "--repetitions 9" in whole and "cell-1, connect.p99" in whole
    assert "linked above" not in text


def test_one_build_on_both_sides_is_told_and_a_broken_budget_heads_the_page(tmp_path):
    """The headline of a budget was the change against the baseline: "Regression: time -18.4 %"."""
    base, candidate = sides(tmp_path, scale=.8)
    candidate["command"] = base["command"]
    found = verdict.compare(base, candidate, budgets=[thresholds.Budget("connect.p99", cell="cell-1", max=1e5, unit="ns")])
    assert where_to_look.lines(found)[0].endswith("both are one build: it is no change of the program")
    assert verdict_markdown.headline(found).startswith("Regression: connect.p99 over budget in cell-1 (1.")


def test_builds_that_are_gone_are_named_by_their_commits_and_metrics_without_files_say_so(tmp_path):
    base, candidate = sides(tmp_path, build=False)
    for run in (base, candidate):
        for cell in run["cells"]:
            cell["files"] = {}
    told = where_to_look.lines(verdict.compare(base, candidate))
    assert any("compare bbbbbbbbbbbb cccccccccccc --run" in line for line in told)
    assert any("its records name no raw file of this metric" in line for line in told)
    assert where_to_look.lines(verdict.compare(make_run(seed=1), make_run(seed=2))) == []


def test_the_command_of_a_joined_cell_is_that_of_its_run(tmp_path):
    base, candidate = sides(tmp_path)
    for cell in candidate["cells"]:
        cell["command"] = ["scripts/poolmark", "bench", "--filter=x", "--seed", "4", "--build", str(tmp_path / "candidate")]
    assert where_to_look.job_of(candidate, "cell-0") == ["bench", "--filter", "^cell-0$"]
    words = ["bench", "--filter", "^lifo/x\\.y/64$"]
    assert shlex.split(where_to_look.as_job(words)) == words and where_to_look.as_job(["a", "^b$"]) == "a ^b$"


def test_builds_of_one_commit_differ_by_their_flags_or_by_what_was_not_committed(tmp_path):
    base, candidate = sides(tmp_path)
    for run, flags in ((base, "-O2 -g"), (candidate, "-O2 -g -DPOOLMARK_HANDICAP_GET=50")):
        run["tool"] = run["tool"] | {"commit": "b" * 40, "flags": flags}
    told = where_to_look.lines(verdict.compare(base, candidate))
    assert told[0].endswith("both are of one commit; flags of the candidate alone: -DPOOLMARK_HANDICAP_GET=50")
    candidate["tool"]["flags"] = "-O2 -g"
    assert where_to_look.lines(verdict.compare(base, candidate))[0].endswith("they differ by what was not committed")


def with_metric(run, name, seed, scale=1.0):
    rng = numpy.random.default_rng(seed)
    for cell in run["cells"]:
        cell["metrics"][name] = {"value": 1e7 * scale * float(rng.normal(1, .01)), "unit": "ns", "better": "lower"}
    return run


def test_a_duplicate_that_doubles_is_told_in_one_line():
    """It decided nothing, had no row, and the rest was called "the same, or not primary and not worse"."""
    found = verdict.compare(with_metric(make_run(seed=1, repetitions=7, cells=1), "connect.max", 3),
                            with_metric(make_run(seed=2, repetitions=7, cells=1), "connect.max", 4, 2.0))
    assert found.code == verdict.OK
    for text in (verdict_out.as_table(found), verdict_markdown.as_markdown(found), verdict_page.as_html(found, draw=lambda specs: ["<svg/>"])):
        assert "Look worse and decide nothing, because another metric tells the same: cell-0 connect.max +" in text
    assert "the same, told by another metric, or not primary and not worse" in verdict_out.as_table(found)
    quiet = verdict.compare(with_metric(make_run(seed=1, cells=1), "connect.max", 3), with_metric(make_run(seed=2, cells=1), "connect.max", 4))
    assert "another metric tells the same:" not in verdict_out.as_table(quiet)


def test_repetitions_without_a_value_quote_the_reason_of_their_records():
    name, keys = "memory.per_connection_bytes", dict(metric="memory.per_connection_bytes", unit="B", level=500, repetitions=8, cells=1)
    base, candidate = make_run(seed=1, **keys), make_run(seed=2, **keys)
    for cell in candidate["cells"][3:]:
        cell["metrics"][name]["value"] = None
        cell["anomalies"] = [{"what": "served_before", "text": "the target has served before"}, {"what": "late", "text": "by 3 ms"}]
    found = verdict.compare(base, candidate)
    row = next(row for row in found.rows if row.metric == name)
    assert "candidate: value in 3 of 8 runs: served_before (5): the target has served before" in row.why and "late" not in row.why and "baseline:" not in row.why
    assert row.why in "\n".join(found.reasons)
    with_metric(base, "connect.p99", 3), with_metric(candidate, "connect.p99", 4)
    for cell in candidate["cells"]:
        cell["metrics"][name]["value"] = None
        cell["anomalies"] = [{"what": "served_before", "text": "the target has served before"}]
    reasons = "\n".join(verdict.compare(base, candidate).reasons)
    assert "measured on one side only (value in 0 of 8 runs: served_before (8): the target has served before)" in reasons


def by_hand(start, prefix, *words, **config):
    run = make_run(cells=1, repetitions=1)
    metrics = {name: run["cells"][0]["metrics"]["connect.p99"] for name in ("connect.p99",)}
    return run | {"kind": "load", "cells": [], "metrics": copy.deepcopy(metrics), "command": ["poolmark-loadgen", "connect", *words], "suite": None,
                  "config": {"scenario": "connect", "engine": "raw", "prefix": prefix,
                             "ports": {"way": "range", "first": 32768, "count": 28232, "start": start}, **config}}


@pytest.mark.parametrize("theirs, fact", [
    (by_hand(9, "pmB"), None), (by_hand(1, "mine", "--prefix", "mine"), "config.prefix"), (by_hand(1, "mine", "--prefix=mine"), "config.prefix"),
    (by_hand(1, "pmA", rate_per_s=5.0), "config.rate_per_s")])
def test_what_a_generator_draws_is_no_configuration(theirs, fact):
    found = comparable.differences(by_hand(1, "pmA"), theirs)
    assert [one[0] for one in found] == ([fact] if fact else [])


def test_two_records_by_hand_are_compared():
    """They had no cells, and ports and identifiers were drawn anew: never comparable."""
    found = verdict.compare(by_hand(1, "pmA"), by_hand(9, "pmB"))
    assert found.code == verdict.INVALID and [row.metric for row in found.rows] == ["connect.p99"]
    assert "1 repetition can find nothing here" in found.rows[0].why


def test_two_builds_of_one_command_are_told_apart(tmp_path):
    """`bench --beside` has one command for both sides."""
    from poolmark.compare.where_to_look import builds
    from test_in_turn import two_records

    base, candidate = two_records(.5, 1)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    words = ["scripts/poolmark", "bench", "--build", str(tmp_path / "a"), "--beside", str(tmp_path / "b")]
    text, = builds(verdict.compare(base | {"command": words}, candidate | {"command": words}))
    assert f"baseline build {tmp_path}/a" in text and f"candidate build {tmp_path}/b" in text and "both are one build" not in text
    found = verdict.compare(base | {"command": words}, candidate | {"command": words})
    assert f"compare {tmp_path}/a {tmp_path}/b --run 'bench" in where_to_look.again(found, "cell-0")
    same = words[:-1] + [str(tmp_path / "a")]
    assert "both are one build" in builds(verdict.compare(base | {"command": same}, candidate | {"command": same}))[0]
