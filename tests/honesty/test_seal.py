# SPDX-License-Identifier: Apache-2.0
"""Edits every metric of every kind of record, one at a time: value, unit, better. `verify` reports each edit. An edit with a forged
new seal is found where the raw files, the books or the catalogue contradict it."""
import functools
import json
import shutil
from pathlib import Path

import pytest
from commands import poolmark
from faults import BUILD, ROOT
from test_readers import SUITE

from poolmark.facts import described
from poolmark.records.read_record import Run, load, seal_broken
from poolmark.records.record import files_of, seal
from poolmark.verify import recompute
from poolmark.verify.account import BOUNDED
from poolmark.verify.counts import count_complaints
from poolmark.verify.verify import complaints

# Metrics that are in no other file and follow from no other count; only the seal protects them, and `verify` names them. A metric that is
# not here has a second source.
COUNTED_ALONE = ()
COUNTED_ALONE_LAST = (".throttled_ns", "messages.duplicates", "messages.unacknowledged")
# Metrics that other figures and files leave only so much room, and a value that is outside of it: of the kinds of records that have them.
OUTSIDE = {"network.ports_passed_over": ("connect", 1e9), "clients.bytes_sent": ("connect", 100), "clients.bytes_received": ("publish", 100),
           "generator.busiest_ran": ("publish", 3), "generator.busiest_waited": ("publish", 2), "cpu.idle_share": ("connect", 1e3),
           "connect_uncorrected.censored": ("connect", 1), "delivery_uncorrected.censored": ("publish", 1),
           "broker.memory_peak_bytes": ("broker", 1), "broker.memory_highest_bytes": ("broker", 1 << 10),
           "broker.memory_bound_bytes": ("broker", 1 << 20), "broker.longest_turn_ns": ("broker", 1e15), "broker.turn_work": ("broker", 0)}
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


def left(account: recompute.Account, *reasons: str) -> set[str]:
    """The names of figures that verify did not compute again for these reasons."""
    return {name.rpartition(": ")[2] for reason in reasons for name in account.left.get(reason, [])}


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_with_a_new_seal_is_noticed_where_files_say_otherwise(copies, kind, monkeypatch):
    folder, missed, count = copies(kind), [], 0
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    # Figures from unchanged files are computed once.
    monkeypatch.setattr(recompute, "latency_figures", functools.cache(recompute.latency_figures))
    monkeypatch.setattr(recompute, "inner_accounts", lambda run: recompute.Account())
    monkeypatch.setattr(described, "catalogue", functools.cache(described.catalogue))
    if kind == "suite":
        replayed = {cell["id"]: recompute.replay(load(folder), cell) for cell in data["cells"]}
        monkeypatch.setattr(recompute, "replay", lambda run, cell: replayed[cell["id"]])
    own = recompute.again(Run(folder, data))
    named = left(own, recompute.COUNTED, BOUNDED, recompute.UNKNOWN)     # a busy host may withhold some
    for name, key in edits(data):
        found = bool(recompute.again(Run(folder, data)).wrong)
        missed += [(name, key)] if not found and not (key == "value" and name in named) else []
        count += found
    assert not missed and count >= 10
    assert not {name for name in left(own, recompute.COUNTED) if not name.startswith(COUNTED_ALONE) and not name.endswith(COUNTED_ALONE_LAST)}


@pytest.mark.parametrize("kind", ["publish", "broker", "suite"])
def test_verify_names_what_it_cannot_check(copies, kind):
    """Of the suite the records inside it: their figures have no second source either, though the suite has a copy."""
    folder = copies(kind)
    done = poolmark("verify", folder)
    assert done.returncode == 0
    found, account = {}, recompute.again(load(folder))
    for reason, before in ((recompute.COUNTED, "alone: "), (BOUNDED, "leave room: ")):
        line = next((line for line in done.stdout.splitlines() if f"{reason}: " in line and before in line), before)
        names = [one.partition(" (")[0] for one in line.rpartition(before)[2].split(", ") if one]
        assert names == sorted(set(names)) and set(names) == left(account, reason)
        found[reason] = names
    names = found[BOUNDED]
    assert ("broker.memory_peak_bytes" in names) == (kind != "publish") and ("cpu.idle_share" in names) == (kind != "broker")
    if kind == "suite":
        assert "cpu.idle_share (4)" in line       # of each phase


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_figure_outside_of_its_bounds_is_named(runs, name):
    kind, value = OUTSIDE[name]
    data = json.loads((runs[kind] / "run.json").read_text(encoding="utf-8"))
    assert data["metrics"][name]["value"] is not None and recompute.again(Run(runs[kind], data)).wrong == []
    data["metrics"][name]["value"] = value
    wrong = recompute.again(Run(runs[kind], data)).wrong
    assert any(f"{name}: the record says" in text and "it can be" in text for text in wrong), wrong


def test_resident_memory_that_the_generator_read_bounds_the_brokers(copies):
    folder = copies("suite")
    inner = next(folder.glob("cells/*/broker/run.json"))
    data = json.loads(inner.read_text(encoding="utf-8"))
    data["metrics"]["broker.memory_highest_bytes"]["value"] = 1 << 10
    inner.write_text(json.dumps(data), encoding="utf-8")
    assert any("memory.csv has readings of it" in text for text in complaints(load(folder))[0])


def test_each_silent_edit_of_a_run_as_quick_makes_them_is_named(copies, monkeypatch):
    """All records inside the suite, one metric at a time, as with a new seal: verify finds the edit, or says that it cannot."""
    monkeypatch.setattr(recompute, "latency_figures", functools.cache(recompute.latency_figures))
    monkeypatch.setattr(described, "catalogue", functools.cache(described.catalogue))
    folder, silent = copies("suite"), []
    named = left(recompute.again(load(folder)), recompute.COUNTED, BOUNDED, recompute.UNKNOWN)
    for inner in sorted(folder.glob("cells/*/*/run.json")):
        own = load(inner.parent)
        data = json.loads(inner.read_text(encoding="utf-8"))
        for name, key in edits(data):
            if key == "value" and name not in named and not recompute.of_own_kind(Run(own.folder, data)).wrong:
                silent.append((inner.parent.name, name))
    assert not silent


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
    shutil.copytree(load(ROOT / "results/reference/quick").folder, tmp_path / "run")
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "out").returncode == 0
    gone = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))["cells"][0]["id"]
    shutil.rmtree(tmp_path / "run/cells" / gone)
    done = poolmark("report", tmp_path / "run", "--out", tmp_path / "out")
    assert done.returncode == 1 and f"cell {gone}: none of its files is there" in done.stdout
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "out", "--present").returncode == 0


def sealed_anew(folder):
    """The list of files and the seal as a forger would make them after an edit of a file."""
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    data["files"] = {name: facts for name, facts in files_of(folder).items() if not name.startswith("report/")}
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    seal(folder)


def replaced(path, before, after):
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


TABLES = {"summary.csv": ("suite", "complete,1,", "complete,2,"), "summary.md": ("suite", "| connects per second | ", "| connects per second | 9"),
          "bench.csv": ("bench", ",time,ns,3,", ",time,ns,4,"), "bench.md": ("bench", "| slab | ", "| slab | 9")}


@pytest.mark.parametrize("name", TABLES)
def test_an_edited_table_is_noticed_with_a_new_seal(copies, name):
    kind, before, after = TABLES[name]
    folder = copies(kind)
    assert complaints(load(folder))[1].tables == 2
    replaced(folder / name, before, after)
    sealed_anew(folder)
    assert any(text.startswith(f"{name}: ") for text in complaints(load(folder))[0])


def test_every_figure_of_the_suites_csv_is_compared(copies):
    folder = copies("suite")
    head, first, *rest = (folder / "summary.csv").read_text(encoding="utf-8").splitlines()
    fields = first.split(",")
    numbers = [place for place, text in enumerate(fields) if text.replace(".", "", 1).isdigit()]
    assert len(numbers) > 50 and "\"" not in first
    for place in numbers[::10]:
        edited = [*fields[:place], str(float(fields[place]) * 2 + 1), *fields[place + 1:]]
        (folder / "summary.csv").write_text("\n".join([head, ",".join(edited), *rest]) + "\n", encoding="utf-8")
        sealed_anew(folder)
        assert any(text.startswith("summary.csv: row") for text in complaints(load(folder))[0]), head.split(",")[place]


def test_a_report_in_the_folder_is_known_and_compared(copies):
    folder = copies("suite")
    assert poolmark("report", folder).returncode == 0
    done = poolmark("verify", folder)
    assert done.returncode == 0 and "came after" not in done.stdout, done.stdout
    for name, before, after in (("report.md", "| connections | ", "| connections | 1"), ("data/latency.csv", ",p99,", ",p98,")):
        text = (folder / "report" / name).read_text(encoding="utf-8")
        replaced(folder / "report" / name, before, after)
        done = poolmark("verify", folder)
        assert done.returncode == 1 and f"report/{name}: " in done.stdout, done.stdout
        (folder / "report" / name).write_text(text, encoding="utf-8")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert "came after the run's end, not checked: notes.txt" in poolmark("verify", folder).stdout


@pytest.mark.parametrize(("kind", "file"), [("connect", "latency.hlog"), ("connect", "memory.csv"), ("publish", "latency.hlog"),
                                            ("steps", "steps.csv"), ("broker", "pools.csv"), ("broker", "events.csv"), ("broker", "account.csv")])
def test_a_raw_file_that_is_gone_from_folder_and_list_is_noticed(copies, kind, file):
    folder = copies(kind)
    (folder / file).unlink()
    sealed_anew(folder)
    wrong = complaints(load(folder))[0]
    assert any(text.startswith(f"{file}: ") and "neither lists it nor says that it is gone" in text for text in wrong), wrong


def test_a_raw_file_inside_a_suite_that_is_gone_or_another_is_noticed(copies):
    folder = copies("suite")
    path = next(folder.glob("cells/*/load-qos1/latency.hlog"))
    name = path.relative_to(folder).as_posix()
    path.write_bytes(next(folder.glob("cells/*/load-qos0/latency.hlog")).read_bytes())
    sealed_anew(folder)
    assert any(text.startswith(f"{name}: is another file than ") for text in complaints(load(folder))[0])
    path.unlink()
    changed(folder, lambda data: next(cell["files"].pop("latency_qos1") for cell in data["cells"] if "latency_qos1" in cell["files"]))
    sealed_anew(folder)
    assert any(text.startswith(f"{name}: ") and "the record around it does not" in text for text in complaints(load(folder))[0])


def test_a_benchmark_without_its_rounds_is_noticed(copies):
    folder = copies("bench")
    for path in folder.glob("cells/**/[0-9].json"):
        path.unlink()
    changed(folder, lambda data: [cell.update(files={}) for cell in data["cells"]])
    sealed_anew(folder)
    assert any("no round is among its files" in text for text in complaints(load(folder))[0])


def test_a_complete_record_whose_books_are_not_whole_is_noticed(copies):
    def lose(data):
        line = data["books"]["deliveries"]
        line.update(measured=line["measured"] - 1, lost=line["lost"] + 1)

    assert "books.deliveries: 1 lost, and the record is complete" in changed(copies("publish"), lose)


def test_an_edited_headline_of_benchmarks_is_noticed(copies):
    def edit(data):
        data["summary"]["headlines"] = [{"name": "lifo: slab - null", "median": 1.0, "q1": 1.0, "q3": 1.0, "low": 1.0, "high": 1.0,
                                         "confidence": 0.0, "rounds": 3, "unit": "ns", "aim": "at most 1"}]

    assert any(text.startswith("headline lifo: slab - null: ") for text in changed(copies("bench"), edit))


@pytest.mark.parametrize("metric, value, anomaly", [("network.listen_overflows", 77, "accept_queue"), ("network.syn_retransmits", 3, "retransmits"),
                                                    ("generator.throttled_ns", 5e8, "throttled")])
def test_a_figure_without_the_anomaly_that_it_demands_is_noticed(copies, metric, value, anomaly):
    def edit(data):
        data["metrics"].setdefault(metric, {"unit": "1", "better": "none"})["value"] = value
        data["metrics"]["connect_uncorrected.max"]["value"] = 1.05e9     # as long as a SYN that is sent again
        data["anomalies"] = [one for one in data["anomalies"] if one["what"] != anomaly]

    wrong = changed(copies("connect"), edit)
    assert any(f"{metric} is {value:.10g}, which is an anomaly '{anomaly}', and the record has none" in text for text in wrong)


def test_a_number_of_connections_that_the_books_contradict_is_noticed(copies):
    def edit(data):
        data["config"]["connections"] //= 2

    assert any(text.startswith("config.connections: the record says") for text in changed(copies("connect"), edit))


def test_a_cells_connections_are_those_of_its_phases(copies):
    def edit(data):
        data["cells"][0]["config"]["connections"] += 1

    assert any("config.connections: the cell says" in text for text in changed(copies("suite"), edit))
