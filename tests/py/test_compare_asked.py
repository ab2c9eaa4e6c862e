# SPDX-License-Identifier: Apache-2.0
"""What decides a comparison beside a suite's own metrics: benchmarks measured with it, budgets of metrics without a direction; and what "no
regression" and "all cells" say."""
from test_compare import make_run

from poolmark.compare import primary, thresholds, verdict, verdict_markdown, verdict_out
from poolmark.compare.pairing import COMBINED


def with_benchmark(run, scale, repetitions, seed):
    """The run joined with rounds of one benchmark, as a night has them."""
    other = make_run(seed=seed, scale=scale, repetitions=repetitions, cells=1, metric="time", level=5.0, spread=0.02)
    for cell in other["cells"]:
        cell["id"] = cell["id"].replace("cell-0", "lifo/slab/3072")
        cell["config"] = {"workload": "lifo", "strategy": "slab"}
    return run | {"kind": "nightly", "config": {"primary": ["connect.p99"]}, "cells": [*run["cells"], *other["cells"]]}


def test_a_benchmark_beside_a_suite_decides_too():
    base, candidate = (with_benchmark(make_run(seed=seed), scale, 9, seed + 7) for seed, scale in ((1, 1.0), (2, 1.1)))
    assert "*:time" in primary.named_by(base)
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION and [row.metric for row in found.of("regression")] == ["time"]
    few = [with_benchmark(make_run(seed=seed), scale, 3, seed + 7) for seed, scale in ((1, 1.0), (2, 1.1))]
    row = next(row for row in verdict.compare(*few).rows if row.metric == "time")
    assert row.decides and row.verdict == "undecided"


def test_no_regression_says_what_would_have_been_found():
    found = verdict.compare(make_run(seed=1), make_run(seed=2))
    assert found.code == verdict.OK
    assert found.reasons[0].startswith("a worsening of this size would have been found 19 times in 20: ")
    assert " % of connect.p99 (cell-" in verdict_out.as_table(found)


def test_what_finds_only_more_than_a_tenth_is_not_the_same():
    found = verdict.compare(*(make_run(seed=seed, cells=1, spread=0.08, metric="connect.rate", better="higher", unit="1/s") for seed in (1, 2)))
    row = found.rows[0]
    assert row.finds > 0.10 and row.verdict == "undecided" and found.code == verdict.INVALID


def with_count(run, values):
    """A count of which neither more nor less is worse."""
    for cell, value in zip(run["cells"], values * len(run["cells"]), strict=False):
        cell["metrics"]["pool.refused"] = {"value": value, "unit": "1", "better": "none"}
    return run


def test_a_bound_judges_a_metric_without_a_direction(tmp_path):
    file = tmp_path / "b.toml"
    file.write_text('[[budget]]\nmetric = "pool.refused"\nmax = 0\n')
    base, worse = with_count(make_run(seed=1), [0]), with_count(make_run(seed=2), [500])
    found = verdict.compare(base, worse, budgets=thresholds.load(file))
    assert found.code == verdict.REGRESSION and {row.metric for row in found.of("regression")} == {"pool.refused"}
    kept = verdict.compare(base, with_count(make_run(seed=2), [0]), budgets=thresholds.load(file))
    assert kept.code == verdict.OK, kept.reasons
    assert not [row for row in verdict.compare(base, worse).rows if row.metric == "pool.refused"]
    file.write_text('[[budget]]\nmetric = "pool.refused"\nmax_worse_percent = 5\n')
    assert "neither more nor less of it is worse: give it max or min" in verdict.compare(base, worse, budgets=thresholds.load(file)).reasons[0]
    asked = verdict.compare(base, worse, judged=["pool.refused"])
    assert asked.code == verdict.NOT_COMPARABLE and "neither more nor less of it is worse" in asked.reasons[0]


def test_a_change_of_one_cell_is_not_told_of_all():
    base, candidate = make_run(seed=1, cells=5), make_run(seed=2, cells=5)
    for cell in candidate["cells"]:
        if cell["id"].startswith("cell-3"):
            cell["metrics"]["connect.p99"]["value"] *= 1.10
    worse = verdict.compare(base, candidate).of("regression")
    assert [row.cell for row in worse] == ["cell-3"]
    all_worse = verdict.compare(make_run(seed=1, cells=5), make_run(seed=2, cells=5, scale=1.10)).of("regression")
    assert any(row.role == COMBINED for row in all_worse)


def test_what_looks_like_a_change_of_one_cell_is_not_told_of_all():
    """Three repetitions prove nothing, so all cells together only look worse. The sentence said "in all 5 cells", and one had moved."""
    base, candidate = (make_run(seed=seed, cells=5, repetitions=3, spread=1e-4) for seed in (1, 2))
    for cell in candidate["cells"]:
        if cell["id"].startswith("cell-3"):
            cell["metrics"]["connect.p99"]["value"] *= 1.5
    found = verdict.compare(base, candidate)
    assert [row.where for row in found.rows if row.suspicious] == ["all 5 cells, of which 1 (cell-3) moved"]
    assert verdict_markdown.headline(found).endswith("in all 5 cells, of which 1 (cell-3) moved")
    all_worse = verdict.compare(base, make_run(seed=2, cells=5, repetitions=3, spread=1e-4, scale=1.5))
    assert verdict_markdown.headline(all_worse).endswith("in all 5 cells")
