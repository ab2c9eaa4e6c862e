# SPDX-License-Identifier: Apache-2.0
"""compare: findings, false alarms, refusals and output files."""
import copy
import json
import xml.etree.ElementTree as ElementTree

import numpy
import pytest

from poolmark.records import raw_data
from poolmark.records.record import files_of
from poolmark.compare import pairing, verdict, verdict_markdown, verdict_out, verdict_page
from poolmark.compare import statistics_of_pairs as statistics


def make_run(run_id=None, commit="a" * 40, scale=1.0, repetitions=9, seed=1, spread=.01,
             cells=3, metric="connect.p99", better="lower", unit="ns", level=1e6):
    """Of each seed a run of its own."""
    run_id = run_id or f"suite-20260101T000000Z-{seed:04x}"
    rng = numpy.random.default_rng(seed)
    made = []
    for number in range(cells):
        for repetition in range(1, repetitions + 1):
            value = level * (number + 1) * scale * float(rng.normal(1, spread))
            made.append({"id": f"cell-{number}.{repetition}", "config": {"strategy": f"s{number}"},
                         "repetition": repetition, "status": "complete", "commands": [],
                         "metrics": {metric: {"value": value, "unit": unit, "better": better}},
                         "files": {"latency": f"cells/cell-{number}.{repetition}/latency.hlog"}, "anomalies": []})
    return {"schema": "poolmark.run/1", "id": run_id, "kind": "suite", "suite": "quick", "status": "complete",
            "started_utc": "2026-01-01T00:00:00Z", "ended_utc": "2026-01-01T00:01:00Z", "seed": 1,
            "tool": {"version": "0.1.0", "commit": commit, "dirty": False, "compiler": "cc", "flags": "-O2"},
            "command": ["poolmark"], "host": {"cores": 2, "kernel": "6.1", "memory_bytes": 25769803776},
            "libraries": {"paho": "1.3.12"}, "config": {"suite": "quick"}, "cells": made, "metrics": {}, "summary": {},
            "anomalies": [], "files": {}}


def save(folder, run):
    """With the raw files that its cells name: a record without files that it names gets no verdict."""
    folder.mkdir(parents=True)
    for name in [name for cell in run["cells"] for name in cell["files"].values()]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("#\n")
    (folder / "run.json").write_text(json.dumps(run | {"files": files_of(folder)}))
    return folder


def test_a_run_against_itself_again_has_no_regression():
    found = verdict.compare(make_run(seed=1), make_run(seed=2))
    assert found.code == verdict.OK and not found.of("regression")


def test_five_percent_worse_is_a_regression_in_every_cell():
    found = verdict.compare(make_run(seed=1), make_run(seed=2, scale=1.05))
    assert found.code == verdict.REGRESSION
    assert sorted(row.cell for row in found.of("regression")) == ["all 3 cells", "cell-0", "cell-1", "cell-2"]
    assert all(abs(row.effect.change - .05) < .02 and row.effect.low > 0 for row in found.rows)


def test_two_percent_more_bytes_is_found_when_bytes_hardly_vary():
    keys = dict(metric="memory.per_connection_bytes", unit="B", level=500, spread=.001, repetitions=5, cells=1)
    assert verdict.compare(make_run(seed=1, **keys), make_run(seed=2, scale=1.02, **keys)).code == verdict.REGRESSION


def test_a_metric_where_higher_is_better_gets_worse_by_falling():
    keys = dict(metric="connect.rate", better="higher", unit="1/s")
    assert verdict.compare(make_run(seed=1, **keys), make_run(seed=2, scale=.9, **keys)).code == verdict.REGRESSION
    up = verdict.compare(make_run(seed=1, **keys), make_run(seed=2, scale=1.1, **keys))
    assert up.code == verdict.OK and len(up.of("improvement")) == 4


def slow_repetitions(run, numbers):
    """Values of `time` of one benchmark. These repetitions found no full speed and took half as long again."""
    for cell in run["cells"]:
        slow = cell["repetition"] in numbers
        cell["metrics"]["at_full_speed"] = {"value": 0.0 if slow else 1.0, "unit": "1", "better": "none"}
        if slow:
            cell["metrics"]["time"]["value"] *= 1.5
    return run


def test_repetitions_that_were_not_at_full_speed_are_left_out():
    keys = dict(metric="time", cells=1)
    base, candidate = make_run(seed=1, **keys), slow_repetitions(make_run(seed=2, **keys), range(1, 6))
    found = verdict.compare(slow_repetitions(base, [3]), candidate)
    assert found.code == verdict.OK and abs(found.rows[0].effect.change) < .02
    assert (len(found.rows[0].base), len(found.rows[0].candidate)) == (8, 4)
    assert "cell-0: 6 of 18 repetitions were not at the processor's full speed; left out" in found.notes
    few = verdict.compare(base, slow_repetitions(make_run(seed=2, **keys), range(1, 7)))  # three are too few to be used alone
    assert len(few.rows[0].candidate) == 9


def test_metrics_that_are_neither_good_nor_bad_are_not_judged():
    assert verdict.compare(make_run(better="none"), make_run(better="none")).code == verdict.NOT_COMPARABLE


def test_false_alarms_over_many_self_comparisons_stay_rare():
    alarms = sum(verdict.compare(make_run(seed=2 * n, cells=20, spread=.03), make_run(seed=2 * n + 1, cells=20,
                 spread=.03)).code == verdict.REGRESSION for n in range(20))
    assert alarms <= 1


@pytest.mark.parametrize("part, key, value", [("host", "kernel", "6.2"), ("tool", "compiler", "other"),
                                               ("tool", "flags", "-O3"), ("libraries", "paho", "2"),
                                               ("config", "suite", "x")])
def test_a_fact_that_differs_is_named_and_nothing_is_compared(part, key, value):
    other = make_run(seed=2)
    other[part][key] = value
    found = verdict.compare(make_run(), other)
    assert found.code == verdict.NOT_COMPARABLE and f"{part}.{key}" in found.reasons[0]
    assert verdict.compare(make_run(), other, allowed=[f"{part}.{key}"]).code == verdict.OK


def test_a_handicap_in_the_flags_is_no_other_kind_of_build():
    other = make_run(seed=2, scale=1.05)
    other["tool"]["flags"] = "-O2 -DPOOLMARK_HANDICAP_GET=5"
    assert verdict.compare(make_run(), other).code == verdict.REGRESSION


def test_too_few_repetitions_are_undecided_not_fine():
    found = verdict.compare(make_run(repetitions=3, cells=1), make_run(repetitions=3, scale=2, seed=2, cells=1))
    assert found.code == verdict.INVALID and found.rows[0].why == "3 repetitions can find nothing here, 4 would"


@pytest.mark.parametrize("repetitions", [1, 2])
def test_too_few_repetitions_are_not_the_same_over_all_cells_either(repetitions):
    """An earlier version said "same, interval -0.4 % to +0.4 %" for one run a side, whose spread is unknown."""
    found = verdict.compare(*(make_run(repetitions=repetitions, cells=3, spread=0.0001, seed=seed) for seed in (1, 2)))
    assert found.code == verdict.INVALID and not found.of("same")
    one = verdict.compare(*(make_run(repetitions=1, cells=12, scale=scale) for scale in (1, 1.5)))
    assert one.code == verdict.INVALID and not one.of("regression")


def test_a_primary_metric_that_one_side_could_not_measure_is_no_clean_bill():
    base, candidate = (change(make_run(seed=seed), "memory.per_connection_bytes", 1) for seed in (1, 2))
    assert verdict.compare(base, candidate).code == verdict.OK
    for cell in candidate["cells"]:
        cell["metrics"]["memory.per_connection_bytes"]["value"] = None
    for found in (verdict.compare(base, candidate), verdict.compare(candidate, base)):
        assert found.code == verdict.INVALID
        assert any("memory.per_connection_bytes: a primary metric that was measured on one side" in one
                   for one in found.reasons)
    both = verdict.compare(candidate, candidate)
    assert any("measured on neither side" in note for note in both.notes)
    assert both.code == verdict.INVALID and both.reasons == [pairing.SAME_RUN]


def test_too_much_noise_is_undecided_not_fine():
    found = verdict.compare(make_run(spread=.5, level=1e9), make_run(spread=.5, seed=5, level=1e9))
    assert found.code == verdict.INVALID and any("too noisy" in row.why for row in found.rows)


def test_an_incomplete_run_gets_no_clean_bill():
    broken = make_run(seed=2)
    broken["status"] = "incomplete"
    assert verdict.compare(make_run(), broken).code == verdict.INVALID


def test_cells_that_are_incomplete_for_their_losses_count_and_interrupted_ones_do_not():
    """An earlier version left them out: a candidate with losses in every run was "not comparable", or looked better."""
    base, candidate = (change(make_run(seed=seed, repetitions=4, cells=1), "cell.messages.lost", 1, level=level, unit="1")
                       for seed, level in ((1, 0), (2, 1)))
    candidate["status"] = "incomplete"
    for cell in candidate["cells"]:
        cell["status"], cell["anomalies"] = "incomplete", [{"at_s": 1, "what": "lost", "text": "1 message"}]
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION
    assert {row.metric for row in found.of("regression")} == {"cell.messages.lost", "cell.not_complete"}
    candidate["cells"][0]["anomalies"].append({"at_s": 1, "what": "interrupted", "text": "the run ended here"})
    assert all(len(row.candidate) == 3 for row in verdict.compare(base, candidate).rows)


def test_a_cell_that_the_candidate_lacks_is_not_comparable_unless_allowed():
    """An earlier version only noted it, with exit code 0: a strategy that no longer started was no regression."""
    other = make_run(seed=2, cells=2)
    found = verdict.compare(make_run(), other)
    assert found.code == verdict.NOT_COMPARABLE and found.rows
    assert any(reason.startswith("cell-2: the baseline has it") for reason in found.reasons)
    assert "--allow-missing" in found.reasons[-1]
    allowed = verdict.compare(make_run(), other, allow_missing=True)
    assert allowed.code == verdict.OK and any("only in the baseline" in note for note in allowed.notes)
    assert verdict.compare(other, make_run()).code == verdict.OK     # a new cell has no partner
    assert verdict.compare(make_run(), make_run(seed=2, cells=2, scale=1.1)).code == verdict.REGRESSION


def test_a_primary_metric_that_the_candidate_lacks_is_not_comparable_unless_allowed():
    base = change(make_run(seed=1), "memory.per_connection_bytes", 1)
    found = verdict.compare(base, make_run(seed=2))
    assert found.code == verdict.NOT_COMPARABLE
    assert any("cell-0 memory.per_connection_bytes: the baseline has it" in reason for reason in found.reasons)
    assert verdict.compare(base, make_run(seed=2), allow_missing=True).code == verdict.OK
    beside = change(make_run(seed=1), "generator.per_client_bytes", 1)
    assert verdict.compare(beside, make_run(seed=2)).code == verdict.OK     # not a primary metric


def test_the_exit_code_of_a_missing_cell(tmp_path, poolmark):
    words = ("compare", save(tmp_path / "a", make_run()), save(tmp_path / "b", make_run("suite-20260101T000000Z-0002", seed=2, cells=2)))
    done = poolmark(*words, "--out", tmp_path / "v")
    assert done.returncode == 3 and "cell-2: the baseline has it and the candidate does not" in done.stdout
    assert "cell-2" in (tmp_path / "v/verdict.md").read_text()
    assert poolmark(*words, "--allow-missing").returncode == 0


@pytest.mark.parametrize("ours, theirs, told", [
    (None, 500, "nothing in the baseline, 500 in the candidate"), ([], ["connections=5", "qos=1"], "nothing in the baseline, connections=5, qos=1 in"),
    (True, False, "yes in the baseline, no in the candidate"), ({"a": 1}, {"a": None}, "a 1 in the baseline, a nothing in")])
def test_what_differs_is_said_in_words(ours, theirs, told):
    base, other = make_run(), make_run(seed=2)
    base["config"]["set"], other["config"]["set"] = ours, theirs
    assert told in verdict.compare(base, other).reasons[0]


def test_a_run_compared_with_itself_is_told_in_one_sentence():
    found = verdict.compare(make_run(repetitions=1), make_run(repetitions=1))
    assert found.code == verdict.INVALID and found.reasons == [pairing.SAME_RUN] and found.notes == []
    assert found.rows[0].why.startswith("1 repetition can find nothing")


def test_one_cell_of_several_repetitions_is_one_cell(tmp_path):
    """--list has a line for each repetition, but a comparison sets the number of repetitions itself."""
    from poolmark.base.paths import build_dir
    from poolmark.compare.interleave import check_job, parse_job

    (tmp_path / "s.toml").write_text('title = "s"\nrepetitions = 5\n[config]\nconnections = 10\nstrategy = "malloc"\n[[phase]]\n'
                                     'name = "connect"\nscenario = "connect"\n')
    assert len(check_job(parse_job(f"suite:{tmp_path}/s.toml"), build_dir())) == 1


def test_raw_samples_serve_when_there_is_one_repetition():
    def one(seed, scale):
        run = make_run(repetitions=1, cells=1)
        rng = numpy.random.default_rng(seed)
        run["cells"][0]["metrics"]["connect.p99"]["samples"] = (rng.normal(1e6, 1e4, 20) * scale).tolist()
        return run

    assert verdict.compare(one(1, 1), one(2, 1.05)).code == verdict.REGRESSION


def test_zero_counts_are_compared_without_a_ratio():
    keys = dict(metric="clients.failed", unit="1", level=0, cells=1)
    worse = make_run(seed=2, **keys)
    for cell in worse["cells"]:
        cell["metrics"]["clients.failed"]["value"] = 7
    assert verdict.compare(make_run(**keys), worse).code == verdict.REGRESSION
    assert verdict.compare(make_run(**keys), make_run(seed=3, **keys)).code == verdict.OK


HOSTILE = '<script>alert(1)</script>|`x`\x1b[31m'


def hostile_pair():
    runs = make_run(seed=1, cells=1), make_run(seed=2, scale=1.2, cells=1)
    for run in runs:
        for cell in run["cells"]:
            cell["id"] = HOSTILE + cell["id"]
    return runs


def test_names_from_records_are_escaped_everywhere():
    found = verdict.compare(*hostile_pair())
    links = {"base": "../a", "candidate": '"><b'}
    page = verdict_page.as_html(found, links)
    assert "<script" not in page and "\x1b" not in page and '"><b' not in page
    markdown = verdict_markdown.as_markdown(found, links)
    assert "<script" not in markdown and "\x1b" not in markdown
    assert "\x1b" not in verdict_out.as_table(found)
    ElementTree.fromstring(verdict_out.as_junit(found))


def test_junit_counts_what_the_table_counts():
    root = ElementTree.fromstring(verdict_out.as_junit(verdict.compare(make_run(seed=1), make_run(seed=2, scale=1.1))))
    assert root.get("failures") == "4" and len(root.findall("testcase/failure")) == 4


def test_a_row_that_may_be_much_worse_is_undecided():
    def with_values(values, seed=1):
        run = make_run(f"suite-20260101T000000Z-000{seed}", cells=1)
        for cell, value in zip(run["cells"], values, strict=True):
            cell["metrics"]["connect.p99"]["value"] = value
        return run

    calm = with_values([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008])
    wild = with_values([980, 981, 990, 1003.5, 1100, 1700, 1800, 1850, 1900], 2)
    found = verdict.compare(calm, wild)
    assert found.rows[0].verdict == "undecided" and "nothing changed" in found.rows[0].why
    assert found.code == verdict.INVALID and "cell-0 connect.p99" in found.reasons[1]
    assert "undecided  cell-0" in verdict_out.as_table(found)
    assert verdict.compare(wild, calm).code == verdict.OK  # at most 2 % worse


def test_the_interval_of_counts_that_may_be_zero_is_no_wider_than_they_spread():
    found = statistics.effect(numpy.array([0., 2, 2, 2, 2, 2, 2, 2, 9]), numpy.array([2.] * 9))
    assert (found.change, found.low, found.high) == (0, 0, 0)


def phases_cell(phases="connect; publish --qos 0; publish --qos 1", names=("", "_qos0", "_qos1"), metrics=()):
    files = {f"{kind}{name}": f"load{name.replace('_', '-')}/{file}" for name in names
             for kind, file in (("latency", "latency.hlog"), ("memory", "memory.csv"))}
    return {"config": {"phases": phases}, "files": files | {"pools": "broker/pools.csv"},
            "metrics": dict.fromkeys([*metrics, "ack_qos1.p99", "delivery_qos0.p99", "delivery_qos1.p99"])}


@pytest.mark.parametrize("metric, file", [
    ("connect.p99", "load/latency.hlog"), ("delivery.p99", "load-qos1/latency.hlog"),
    ("delivery_qos0.p99", "load-qos0/latency.hlog"), ("delivery_uncorrected_qos1.p50", "load-qos1/latency.hlog"),
    ("ack.p99", "load-qos1/latency.hlog"), ("messages.rate", "load-qos0/latency.hlog"),
    ("cpu.per_message_ns", "load-qos0/memory.csv"), ("cpu.per_connection_ns", "load/memory.csv"),
    ("memory.full_bytes", "load/memory.csv"), ("pool.hit_rate", "broker/pools.csv")])
def test_a_metric_leads_to_the_file_of_the_phase_that_it_was_taken_from(metric, file):
    assert raw_data.files_behind(phases_cell(), metric) == [file]


def test_a_phase_is_found_when_only_one_publishes_or_the_last_has_no_acknowledgements():
    one = phases_cell("connect; publish --qos 1; connect", ("", "_messages", "_again"))
    assert raw_data.files_behind(one, "delivery.p99") == ["load-messages/latency.hlog"]
    turned = phases_cell("connect; publish --qos 1; publish", ("", "_qos1", "_qos0"))
    assert raw_data.files_behind(turned, "ack.p99") == ["load-qos1/latency.hlog"]
    assert raw_data.files_behind(turned, "delivery.p99") == ["load-qos0/latency.hlog"]
    steps = {"config": {"phases": "steps --probe 10"}, "files": {"latency": "l", "steps": "s"}, "metrics": {}}
    assert raw_data.files_behind(steps, "delivery.p99") == ["l"]
    assert raw_data.files_behind(steps, "step.10.connect.p50") == ["s"]
    rounds = {"config": {}, "files": {"round_1": "1.json", "round_2": "2.json", "trace": "t"}, "metrics": {}}
    assert raw_data.files_behind(rounds, "time") == ["1.json", "2.json"]


def test_every_repetition_is_linked():
    found = verdict.compare(make_run(seed=1), make_run(seed=2))
    links = dict(verdict_out.links_of(found.rows[0], {"base": "a", "candidate": "b"}))
    assert [text for text, _ in links["base"]] == [str(number) for number in range(1, 10)]
    assert links["candidate"][8][1] == "b/cells/cell-0.9/latency.hlog"


def change(run, metric, factor, cells=("s0", "s1", "s2"), level=None, unit="B"):
    """Adds a metric to every cell, larger by `factor` in some cells, with very little spread."""
    rng = numpy.random.default_rng(len(metric))
    for cell in run["cells"]:
        value = (level if level is not None else 17469.0) * (factor if cell["config"]["strategy"] in cells else 1)
        cell["metrics"][metric] = {"value": value * (1 + 1e-6 * float(rng.normal())), "unit": unit, "better": "lower"}
    return run


def test_ten_percent_in_four_of_four_runs_is_a_regression_and_never_the_same():
    """17.06 to 18.77 KiB, interval +10.0 to +10.0, was "same" in an earlier version, for lack of repetitions."""
    base = change(make_run(seed=1, repetitions=4, cells=1), "memory.per_connection_bytes", 1)
    found = verdict.compare(base, change(make_run(seed=2, repetitions=4, cells=1), "memory.per_connection_bytes", 1.1))
    row = next(row for row in found.rows if row.metric == "memory.per_connection_bytes")
    assert found.code == verdict.REGRESSION and row.verdict == "regression" and row.q == pytest.approx(1 / 70)
    three = verdict.compare(*(change(make_run(seed=1, repetitions=3, cells=1), "memory.per_connection_bytes", factor)
                              for factor in (1, 1.1)))
    assert three.code == verdict.INVALID and "4 would" in "".join(three.reasons)


def test_the_same_change_in_every_cell_is_one_finding_over_all():
    found = verdict.compare(*(change(make_run(seed=seed, repetitions=4), "memory.per_connection_bytes", factor)
                              for seed, factor in ((1, 1), (2, 1.1))))
    assert found.code == verdict.REGRESSION and found.of("regression")[-1].cell == "all 3 cells"
    assert "in all 3 cells" in verdict_markdown.headline(found)


def many(seed, worse=1.0):
    """125 metrics with 7 repetitions; none is primary."""
    rng = numpy.random.default_rng(seed)
    run = make_run(seed=seed, repetitions=7, cells=1)
    for cell in run["cells"]:
        cell["metrics"] |= {f"odd.m{number}": {"value": 100 * float(rng.normal(1, .05)) * (worse if number == 60 else 1),
                                               "unit": "1", "better": "lower"} for number in range(125)}
    return run


def test_twice_as_bad_in_seven_of_seven_among_125_metrics_is_a_regression():
    found = verdict.compare(many(1), many(2, 2))
    assert found.code == verdict.REGRESSION and [row.metric for row in found.of("regression")] == ["odd.m60"]
    asked = verdict.compare(many(1), many(2, 2), judged=["all"])
    assert asked.code == verdict.REGRESSION and len(asked.deciding) == 126
    named = verdict.compare(many(1), many(2, 2), judged=["connect.p99"])
    assert named.code == verdict.OK and any("not asked for" in row.why for row in named.rows)


def test_duplicates_leave_the_family_unless_asked_for_by_name():
    run = make_run(metric="delivery.p99")
    for cell in run["cells"]:
        for name in ("delivery_qos1.p99", "delivery_uncorrected.p99", "delivery.max", "delivery.mean"):
            cell["metrics"][name] = dict(cell["metrics"]["delivery.p99"])
    found = verdict.compare(run, copy.deepcopy(run), judged=["delivery*"])
    assert {row.metric for row in found.deciding} == {"delivery_qos1.p99"}
    found = verdict.compare(run, copy.deepcopy(run), judged=["delivery.max"])
    assert {row.metric for row in found.deciding} == {"delivery.max"}


@pytest.mark.parametrize("name", ["delivery.p99", "qos1.delivery.p99", "cell.memory.per_connection_bytes", "messages.lost"])
def test_the_catalogues_primary_metrics_decide_in_each_phase(name):
    run = make_run(metric=name)
    run["suite"] = "nobody's"
    assert verdict.compare(run, copy.deepcopy(run)).deciding


def test_no_metric_of_the_name_that_was_asked_for_is_not_comparable():
    found = verdict.compare(make_run(), make_run(), judged=["conect.p99"])
    assert found.code == verdict.NOT_COMPARABLE and "conect.p99" in found.reasons[0]


def test_from_zero_to_five_hundred_is_worse_and_said_so():
    base, candidate = (change(make_run(seed=seed, repetitions=5), "messages.lost", 1, level=level, unit="1")
                       for seed, level in ((1, 0), (2, 500)))
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION
    assert "messages.lost 0 to 500" in verdict_markdown.headline(found) and "+500" in verdict_out.as_table(found)
    verdict_page.as_html(found)
    assert verdict.compare(candidate, base).code == verdict.OK


def test_a_summary_of_a_large_suite_fits_where_it_is_shown():
    base, candidate = make_run(seed=1, cells=60), make_run(seed=2, cells=60, scale=1.3)
    for number in range(30):
        change(base, f"odd.m{number}", 1), change(candidate, f"odd.m{number}", 1.2)
    found = verdict.compare(base, candidate)
    text = verdict_markdown.as_markdown(found, {"base": "base", "candidate": "candidate"})
    assert len(found.rows) > 1800 and len(text.encode()) < 60_000 and "more are on the page" in text
    assert text.index("connect.p99") < 200


def test_a_folder_that_is_not_there_is_named_and_not_made(poolmark, tmp_path):
    base, other = save(tmp_path / "a", make_run(seed=1)), save(tmp_path / "b", make_run(seed=2))
    done = poolmark("compare", base, other, "--html", tmp_path / "none/deep/v.html")
    assert done.returncode == 4 and "none/deep" in done.stderr and not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    assert poolmark("compare", base, other, "--out", tmp_path / "file").returncode == 4


def test_the_command_writes_all_forms_and_exits_with_the_verdict(poolmark, tmp_path):
    base = save(tmp_path / "a", make_run(seed=1))
    same = save(tmp_path / "b", make_run("suite-20260101T000000Z-0002", "b" * 40, seed=2))
    worse = save(tmp_path / "c", make_run("suite-20260101T000000Z-0003", "c" * 40, seed=3, scale=1.1))
    assert poolmark("compare", base, same).returncode == 0
    done = poolmark("compare", base, worse, "--out", tmp_path / "v")
    assert done.returncode == 1 and "regression" in done.stdout
    assert json.loads((tmp_path / "v/verdict.json").read_text())["exit_code"] == 1
    page = (tmp_path / "v/verdict.html").read_text()
    assert "<h1>Regression: connect.p99 +" in page and "in all 3 cells" in page
    assert "<svg" in page and 'href="../c/cells/cell-0.1/latency.hlog"' in page
    assert "cell-0" in (tmp_path / "v/verdict.md").read_text()


def test_the_command_refuses_bad_calls_with_four(poolmark, tmp_path):
    base = save(tmp_path / "a", make_run(seed=1))
    assert poolmark("compare", base).returncode == 4
    assert poolmark("compare", base, tmp_path / "none").returncode == 4
    broken = make_run(seed=2)
    broken["cells"][0]["metrics"]["connect.p99"]["value"] = "fast"
    done = poolmark("compare", base, save(tmp_path / "b", broken))
    assert done.returncode == 4 and "value" in done.stderr and "b/run.json" in done.stderr


def test_another_host_is_exit_three(poolmark, tmp_path):
    other = copy.deepcopy(make_run(seed=2))
    other["host"]["cores"] = 64
    done = poolmark("compare", save(tmp_path / "a", make_run()), save(tmp_path / "b", other))
    assert done.returncode == 3 and "host.cores" in done.stdout


def spoiled(run, numbers, factor=2.0):
    """The run, with these repetitions of each cell disturbed."""
    for cell in run["cells"]:
        if cell["repetition"] in numbers:
            for one in cell["metrics"].values():
                one["value"] *= factor
    return run


@pytest.mark.parametrize("count", [4, 5])
def test_one_disturbed_run_of_the_baseline_does_not_make_ten_percent_the_same(count):
    for seed in range(1, 9):
        keys = dict(repetitions=count, cells=1, spread=.002, metric="cpu.per_connection_ns")
        found = verdict.compare(spoiled(make_run(seed=seed, **keys), [2]), make_run(seed=seed + 50, scale=1.1, **keys))
        assert found.code in (verdict.REGRESSION, verdict.INVALID) and not found.of("same"), found.rows[0].why


def test_losses_in_fewer_than_half_of_the_runs_are_found():
    base, candidate = (make_run(metric="messages.lost", unit="1", repetitions=19, cells=1) for _ in range(2))
    for run in (base, candidate):
        for cell in run["cells"]:
            cell["metrics"]["messages.lost"]["value"] = 500.0 * (run is candidate and cell["repetition"] % 3 == 0)
    found = verdict.compare(base, candidate, judged=["messages.lost"])
    assert found.code == verdict.REGRESSION and "3000 in 6 of 19 runs, 0 in 19 of the baseline" in found.reasons[0]
    assert "more often" in verdict_out.as_table(found)
    assert verdict.compare(base, base | {"id": "suite-20260101T000000Z-0009"}, judged=["messages.lost"]).code == verdict.OK
    turned = verdict.compare(candidate, base, judged=["messages.lost"])
    assert turned.code != verdict.REGRESSION


def test_what_was_not_asked_for_never_decides_however_sure_it_is():
    codes = []
    for scale, count in ((1.1, 4), (2.0, 7)):
        base, candidate = (make_run(seed=seed, repetitions=count, cells=1, spread=.001) for seed in (1, 2))
        other = make_run(seed=3, repetitions=count, cells=1, spread=.001, scale=scale)
        for run, source in ((base, make_run(seed=4, repetitions=count, cells=1, spread=.001)), (candidate, other)):
            for cell, more in zip(run["cells"], source["cells"], strict=True):
                cell["metrics"]["connect.p50"] = more["metrics"]["connect.p99"]
        codes.append(verdict.compare(base, candidate, judged=["connect.p99"]).code)
    assert codes == [verdict.OK, verdict.OK]
