# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity --connections ... : how an answer is told, by the committed runs too, and its check by held-out points."""
import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from capacity_made import ROOT, SCHEMA, answer, figure, limit_run, load_cell, load_run, made, metric
from poolmark.base.escape import markdown
from poolmark.model import capacity, document, evidence, held_out, needs, needs_chart, needs_told

# --- text, Markdown, JSON, chart


def test_table_markdown_and_json_have_the_same_figures(tmp_path):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], connections=300_000, rate=12_000, connects=10, p99_ns=20e6,
                   reserve=0.2, cores=8, memory_bytes=32 << 30, sources=20)
    text, page = needs_told.text(facts), needs_told.markdown(facts)
    assert len(facts["figures"]) >= 9 and len(facts["limits"]) >= 7
    for one in [*facts["figures"], *facts["limits"]]:
        row = next(line for line in text.splitlines() if line.startswith(f"{one['name']}  "))
        line = next(line for line in page.splitlines() if line.startswith(f"| {markdown(one['name'])} |"))
        for shown in (one["shown"], one["interval_shown"], one["known"]):
            assert shown in row and shown in line
    for one in facts["figures"]:
        if one["value"] is not None:
            assert needs.shown(one["value"], one["unit"]) in one["shown"]
    assert markdown(facts["paragraph"]) in page and facts["paragraph"] in text and facts["paragraph"].count("\n") == 0
    assert all(run["sha256"] in facts["paragraph"] for run in facts["runs"])


def test_the_chart_has_a_panel_for_each_model_and_the_need(tmp_path):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], connections=300_000, rate=12_000, p99_ns=20e6, cores=8)
    found = needs_chart.spec(facts)
    assert [one["title"] for one in found["concat"]] == ["Memory of a server", "CPU time of messages", "Rate by the universal scalability law",
                                                         "p99 of deliveries"]
    rows = [row for one in found["concat"] for row in one["data"]["values"]]
    need = next(row for row in rows if row["panel"] == "cpu" and row["what"] == "need")
    assert (need["x"], need["y"]) == (12_000, figure(facts, "CPU for messages")["value"])
    json.dumps(found, allow_nan=False)
    assert needs_chart.spec(answer([limit_run(tmp_path / "l2", loads=(1, 2))], rate=5)) is None


def test_by_the_committed_runs(poolmark, tmp_path):
    words = ("--connections", "300k", "--bytes", "15k", "--rate", "20k/s", "--p99", "20ms", "--reserve", "20%")
    done = poolmark("capacity", *words, "--json", "--chart", tmp_path / "answer.svg")
    facts = json.loads(done.stdout)
    jsonschema.validate(facts, SCHEMA)
    assert done.returncode == (0 if facts["answered"] else 1), done.stderr
    used = [Path(one).name for one in capacity.committed_runs()]
    assert {"million", "quick"} <= set(used) and facts["configuration"] == "strategy slab, shape lean"
    # Without forecast p99 was not measured at such a utilisation. A model that its own check refutes is told, and is no answer.
    assert facts["answered"] or "forecast" not in used or (facts["checks_failed"] and "held" in facts["paragraph"])
    assert (tmp_path / "answer.svg").read_text().startswith("<svg")
    text = poolmark("capacity", *words).stdout
    assert figure(facts, "memory of one host")["shown"] in text and "15k is 15 000 B" in text and ("limit publish --bound p99=20ms" in text or "loads" in used)
    done = poolmark("capacity", "--connections", "300k", "--markdown")
    assert done.returncode == 0 and done.stdout.startswith("# Capacity\n"), done.stderr


# --- held-out points


def test_held_out_points_of_a_known_truth_hold(tmp_path):
    found = evidence.gather([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], None)
    points = [*held_out.of_memory(found.memory)[0], *held_out.of_cpu(found.loads), *held_out.of_law(found)]
    assert {one.what for one in points} == {"memory", "CPU", "law"} and all(one.holds for one in points)
    sides = held_out.of_p99(found.loads)
    told = held_out.verdicts(points, sides)
    assert all(holds for _, holds in told) and any(one.right is True for one in sides) and any(one.right is None for one in sides)


def test_a_held_out_point_that_is_off_fails_the_check(tmp_path):
    cells = [load_cell(one) for one in range(1, 4)]
    for cell in cells:
        cell["metrics"]["r16000.cpu.per_message_ns"] = metric(40_000.0)
        cell["metrics"]["r4000.delivery.p99"] = metric(500e6)
    found = evidence.gather([made(tmp_path, "steps", cells)], None)
    told = dict(held_out.verdicts([*held_out.of_cpu(found.loads)], held_out.of_p99(found.loads)))
    assert not any(holds for text, holds in told.items() if text.startswith("CPU"))
    assert held_out.verdicts([], [])[0][1] is False
    memory, = held = [held_out.Point("slab", "memory", "1M", 100.0, 101.0, "B", 3.0)]     # with every rate disturbed: no success
    assert memory.holds and [holds for _, holds in held_out.verdicts(held, [], 12)] == [True, False]


def test_memory_that_cannot_be_held_out_is_told_and_fails_the_check(tmp_path, monkeypatch):
    """Without a broker to ask for the pools' rule, the check passed with no line for memory."""
    monkeypatch.setenv("POOLMARK_BUILD", str(tmp_path))
    _, _, _, verdicts = held_out.judged([load_run(tmp_path / "load")], None)
    assert [holds for text, holds in verdicts if text.startswith("memory of ") and "poolmark-broker is not there" in text] == [False]


def test_the_document_is_as_the_committed_runs_give_it():
    text = (ROOT / document.DOCUMENT).read_text(encoding="utf-8")
    assert document.filled(text, ROOT) == text
    assert all(f"<!-- capacity: {name} -->" in text for name in document.TABLES)


def test_the_tables_of_the_document_are_filled_from_committed_runs(tmp_path):
    assert document.held(tmp_path) == document.answer(tmp_path) == "Nobody has measured this yet: `scripts/poolmark suite forecast`.\n\n"
    runs = [load_run(tmp_path / "forecast")]
    runs[0].data["suite"] = "forecast"
    points, sides, _, verdicts = held_out.judged(runs, None)
    assert points and sides and all(holds for _, holds in verdicts)
    with pytest.MonkeyPatch.context() as patch:     # its figures are made up, so no file gives them
        patch.setattr(document, "QUESTION", dataclasses.replace(document.QUESTION, strategy="malloc"))
        patch.setattr(document.reference, "record_of", lambda name, root: runs[0] if name == "forecast" else None)
        held, told = document.held(tmp_path), document.answer(tmp_path)
    assert "- memory: " in held and held.count(": held\n") == len(verdicts) and "NOT HELD" not in held and "| p99 |" in held
    assert told.startswith("> Need: 300 000 connections of 15 000 B") and "universal scalability law is not in this answer" in told


def test_bounds_are_fixed_beforehand():
    assert held_out.bounds_for(0.7e6, 3e6) == pytest.approx([0.5e6, 1e6, 2e6, 5e6])


def test_the_answer_is_for_one_process_where_several_were_measured_together(poolmark):
    """The million had 52 brokers, whose starts are no memory of one server with a thousand connections: it said 60 MiB."""
    done = poolmark("capacity", "--connections", "1k", "--json")
    assert done.returncode == 0, done.stderr
    figure = next(one for one in json.loads(done.stdout)["figures"] if one["name"] == "memory of the server")
    assert 1e6 < figure["value"] < 3e6 and "for one process (of 52 that were measured together)" in figure["basis"]
