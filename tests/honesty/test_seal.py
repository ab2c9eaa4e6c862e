# SPDX-License-Identifier: Apache-2.0
"""Edits every metric of every kind of record, one at a time: value, unit, better. `verify` reports each edit. An edit with a forged
new seal is found where the raw files, the books or the catalogue contradict it."""
import functools
import json
import shutil
from pathlib import Path

import pytest
from faults import BUILD, ROOT
from test_readers import SUITE, poolmark

from poolmark.records.read_record import Run, load, seal_broken
from poolmark.records.record import seal
from poolmark.verify import recompute
from poolmark.verify.counts import count_complaints
from poolmark.verify.verify import complaints

# Metrics that are in no other file and follow from no other count; only the seal protects them.
COUNTED_ALONE = ("network.", "generator.busiest_", "broker.connections_", "broker.memory_", "broker.messages_", "connect_uncorrected.censored",
                 "delivery_uncorrected.censored", "ack_uncorrected.censored")
COUNTED_ALONE_LAST = ("throttled_ns", "messages.duplicates", "messages.unacknowledged")
KINDS = ("suite", "bench", "connect", "publish", "steps", "broker")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A record of each kind, made by the real programs."""
    folder = tmp_path_factory.mktemp("seal")
    (folder / "readers.toml").write_text(SUITE, encoding="utf-8")
    done = poolmark("suite", folder / "readers.toml", "--build", BUILD, "--out", folder / "suite")
    assert done.returncode == 0, done.stdout + done.stderr
    done = poolmark("bench", "--filter", "^(lifo|first_get)/slab/3072$", "--repetitions", 3, "--min-time", "1ms", "--again", 0,
                    "--build", BUILD, "--out", folder / "bench")
    assert done.returncode == 0, done.stdout + done.stderr
    cells = folder / "suite" / "cells"
    many, few = (next(path for path in cells.iterdir() if name in path.name) for name in ("expand", "malloc"))
    return {"suite": folder / "suite", "bench": folder / "bench", "connect": many / "load", "publish": many / "load-qos1",
            "steps": few / "load", "broker": many / "broker"}


@pytest.fixture
def copies(runs, tmp_path):
    return lambda kind: Path(shutil.copytree(runs[kind], tmp_path / kind))


def holders(data: dict) -> list[dict]:
    return [cell["metrics"] for cell in data.get("cells", [])] or [data["metrics"]]


def edits(data: dict):
    """(name, edited key) of each edit. The edit is undone before the next one."""
    for metrics in holders(data):
        for name, one in metrics.items():
            changed = {"value": 1.0 if one["value"] is None else one["value"] * 1.01 + 1, "unit": "furlong",
                       "better": "none" if one["better"] != "none" else "lower"}
            for key, value in changed.items():
                before, one[key] = one[key], value
                yield name, key
                one[key] = before


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_any_metric_is_noticed(copies, kind):
    folder = copies(kind)
    assert complaints(load(folder))[0] == []
    data, count = json.loads((folder / "run.json").read_text(encoding="utf-8")), 0
    for name, key in edits(data):
        assert seal_broken(folder, json.dumps(data).encode(), data), (name, key)
        count += 1
    assert count >= 3 * 10
    next(edits(data))
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    verified = poolmark("verify", folder)
    assert verified.returncode == 1 and "run.json: is not what its seal run.json.sha256 says" in verified.stdout


def rests_on_the_seal(name: str, key: str, kind: str) -> bool:
    return key == "value" and kind not in ("suite", "bench") and (
        name.startswith(COUNTED_ALONE) or name.endswith(COUNTED_ALONE_LAST))


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_with_a_new_seal_is_noticed_where_files_say_otherwise(copies, kind, monkeypatch):
    folder, missed, count = copies(kind), [], 0
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    # Figures from unchanged files are computed once.
    monkeypatch.setattr(recompute, "latency_figures", functools.cache(recompute.latency_figures))
    monkeypatch.setattr(recompute, "inner_accounts", lambda run: recompute.Account())
    monkeypatch.setattr(recompute.described, "catalogue", functools.cache(recompute.described.catalogue))
    if kind == "suite":
        replayed = {cell["id"]: recompute.replay(load(folder), cell) for cell in data["cells"]}
        monkeypatch.setattr(recompute, "replay", lambda run, cell: replayed[cell["id"]])
    for name, key in edits(data):
        found = bool(recompute.again(Run(folder, data)).wrong)
        missed += [(name, key)] if not found and not rests_on_the_seal(name, key, kind) else []
        count += found
    assert not missed and count >= 10


def test_an_edited_record_inside_a_suite_is_noticed(copies):
    """The suite has the checksum of each record inside it, and of its seal."""
    folder = copies("suite")
    inner = next(folder.glob("cells/*/broker/run.json"))
    data = json.loads(inner.read_text(encoding="utf-8"))
    data["metrics"]["broker.messages_sent"]["value"] += 1
    inner.write_text(json.dumps(data), encoding="utf-8")
    seal(inner.parent)
    wrong = complaints(load(folder))[0]
    assert any("broker/run.json: " in text for text in wrong) and any("broker/run.json.sha256: " in text for text in wrong)


def changed(folder, change):
    """The faults of the record after an edit with a new seal."""
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    change(data)
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    seal(folder)
    return complaints(load(folder))[0]


def test_a_cell_taken_out_and_a_false_status_are_noticed_with_a_new_seal(copies):
    folder = copies("suite")
    cell = json.loads((folder / "run.json").read_text(encoding="utf-8"))["cells"][0]
    assert any("no cell is of them" in text for text in changed(folder, lambda data: data["cells"].pop(0)))
    assert any("and a cell of it is failed" in text
               for text in changed(folder, lambda data: data["cells"].insert(0, cell | {"status": "failed"})))
    assert any("and no cell of it has" in text
               for text in changed(folder, lambda data: data.update(status="failed") or data["cells"][0].update(status="complete")))


def test_unacknowledged_messages_follow_from_the_books():
    record = {"books": {"acks": {"attempted": 10, "measured": 8, "lost": 2}}, "metrics": {"messages.unacknowledged": {"value": 0}}}
    assert count_complaints(record) == ["messages.unacknowledged: the record says 0, its books give 2"]


def test_a_report_without_the_files_of_one_cell_exits_1(tmp_path):
    """Raw files that a copy left out of every cell are no fault; all files of one cell are."""
    shutil.copytree(ROOT / "results/reference/quick", tmp_path / "run")
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "out").returncode == 0
    gone = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))["cells"][0]["id"]
    shutil.rmtree(tmp_path / "run/cells" / gone)
    done = poolmark("report", tmp_path / "run", "--out", tmp_path / "out")
    assert done.returncode == 1 and f"cell {gone}: none of its files is there" in done.stdout
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "out", "--present").returncode == 0
