# SPDX-License-Identifier: Apache-2.0
"""Readers trust nothing. Every figure of a record is computed again from its raw files by the code that made it. So edited figures
and damaged files are noticed, and all four readers show the same."""
import json
import shutil
import subprocess

import pytest
import faults
from commands import poolmark, suite

from poolmark.records import summary
from poolmark.verify import account, recompute
from poolmark.report import source as report_source
from poolmark.records.read_record import load
from poolmark.base.units import show

SUITE = """
title = "readers"
[config]
shape = "classic"
engine = "raw"
allocator = "glibc"
strategy = "expand"
connections = 1000
[[phase]]
name = "connect"
scenario = "connect"
[[phase]]
name = "qos0"
scenario = "publish"
pairs = 10
publish-rate = 1000
warmup = "100ms"
duration = "300ms"
qos = 0
[[phase]]
name = "qos1"
scenario = "publish"
pairs = 10
publish-rate = 1000
warmup = "100ms"
duration = "300ms"
qos = 1
[[group]]
[[group]]
config = { strategy = "malloc", connections = 300 }
[[group.phase]]
name = "steps"
scenario = "steps"
steps = "100,300"
probe = 10
duration = "300ms"
settle = "1s"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A suite run by the real programs: cells with three phases, and one in steps."""
    folder = tmp_path_factory.mktemp("readers")
    done = subprocess.run(suite(folder, SUITE), capture_output=True, text=True, timeout=2 * faults.GUARD_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return load(folder / "run")


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder, change):
    path = folder / "run.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_all_four_readers_give_the_same_figure_for_every_metric(run):
    """The readers are the generator's record, the suite's record, the report, and verify."""
    account = recompute.again(run)
    assert account.wrong == []
    compared = 0
    for cell in run.data["cells"]:
        again, missing = recompute.replay(run, cell)
        assert missing == "" and set(again) == set(cell["metrics"])
        for name, one in cell["metrics"].items():
            assert again[name] == one, name
            assert report_source.median([cell], name) == (None if one["value"] is None else pytest.approx(one["value"], rel=1e-12))
        for phase in cell["phases"]:
            generator = load(run.folder / "cells" / cell["id"] / phase["folder"]).data["metrics"]
            for name, one in generator.items():
                assert cell["metrics"][f"{phase['prefix']}{name}"] == one, name
                compared += 1
    assert compared > 100
    rows = dict(zip([row[0] for row in summary.rows({"x": [run.data["cells"][0]]})],
                    [row[1] for row in summary.rows({"x": [run.data["cells"][0]]})], strict=True))
    value = run.data["cells"][0]["metrics"]["memory.per_connection_bytes"]["value"]   # a busy host may withhold it: the table has no row then
    assert rows.get("memory per connection") == (None if value is None else show(value, "B"))


def test_the_chart_ends_where_the_table_does(run):
    from poolmark.report.report import verified
    from poolmark.report.latency_data import latency_percentiles

    source = verified([run])
    name = source.name(run, run.data["cells"][0]).label
    rows = [row for row in latency_percentiles(source) if row["counted_from"] == "intended time" and row["cell"] == name]
    metrics = run.data["cells"][0]["metrics"]
    for latency, prefix in (("connect", "connect"), ("delivery, qos0", "qos0.delivery"), ("delivery, qos1", "qos1.delivery")):
        found = {row["percentile"]: row["latency_ns"] for row in rows if row["latency"] == latency}
        assert found[100] == metrics[f"{prefix}.max"]["value"]
        assert found[50] == metrics[f"{prefix}.p50"]["value"] and found[99] == metrics[f"{prefix}.p99"]["value"]


def test_of_a_fresh_run_no_file_is_said_to_be_missing(run):
    whole = recompute.Account()
    for folder in [run.folder, *(path.parent for path in run.folder.glob("cells/*/*/run.json"))]:
        whole.add(recompute.again(load(folder)))
    # The kernel's memory may be unknown: other tests made sockets meanwhile.
    assert not whole.wrong and set(whole.left) <= {recompute.COUNTED, account.BOUNDED, recompute.UNKNOWN}
    assert any(name.endswith("cpu.idle_share") for name in whole.left[account.BOUNDED])
    assert not any("network.tcp_" in name for names in whole.left.values() for name in names)


def test_every_metric_that_is_edited_is_noticed(run, copy):
    """Edits one metric at a time, in the suite's record and in each record inside it. Metrics that a program only counted are
    noticed in the suite's record, which is compared with the program's own."""
    noticed = 0
    for folder in [copy, *(path.parent for path in copy.glob("cells/*/*/run.json"))]:
        path = folder / "run.json"
        whole = path.read_text(encoding="utf-8")
        data = json.loads(whole)
        own = recompute.again(load(folder))
        counted = {name for names in own.left.values() for name in names} if "cells" not in data else set()
        holders = [(f"{cell['id']}: ", cell["metrics"]) for cell in data.get("cells", [])] or [("", data["metrics"])]
        for where, metrics in holders:
            for name, one in metrics.items():
                if where + name in counted:
                    continue
                before = one["value"]
                one["value"] = 1.0 if before is None else before * 1.01 + 1
                path.write_text(json.dumps(data), encoding="utf-8")
                wrong = recompute.again(load(folder)).wrong if folder != copy else recompute.suite_account(
                    load(folder), next(cell for cell in data["cells"] if where.startswith(cell["id"]))).wrong
                assert any(text.startswith(where + name) for text in wrong), (folder.name, name)
                one["value"] = before
                noticed += 1
        path.write_text(whole, encoding="utf-8")
    assert noticed > 300


@pytest.mark.parametrize(("change", "told"), [
    (lambda metrics: metrics.pop("connect.p99"), "the record does not have it"),
    (lambda metrics: metrics["connect.p99"].update(unit="ms"), "unit 'ms', its files say 'ns'"),
    (lambda metrics: metrics["connect.rate"].update(better="lower"), "better 'lower', its files say 'higher'")])
def test_a_metric_that_is_gone_or_of_another_unit_is_noticed(copy, change, told):
    edit(copy, lambda data: change(data["cells"][0]["metrics"]))
    assert any(told in text for text in recompute.again(load(copy)).wrong)


def test_verify_of_an_edited_metric_is_exit_1_and_names_it(copy):
    edit(copy, lambda data: data["cells"][0]["metrics"]["connect.p99"].update(value=1.0))
    done = poolmark("verify", copy)
    assert done.returncode == 1
    assert "connect.p99: the record says 1, its files give " in done.stdout and "good" not in done.stdout


def test_a_comparison_says_that_a_record_was_edited(run, copy):
    assert "is not as it was" not in poolmark("compare", run.folder, run.folder).stdout
    edit(copy, lambda data: data["cells"][0]["metrics"]["connect.p99"].update(value=1.0))
    assert "is not as it was when its run ended: " in poolmark("compare", run.folder, copy).stdout


def test_a_cut_log_is_marked_and_nothing_is_drawn_from_it(run, copy, tmp_path):
    name = run.data["cells"][0]["files"]["latency"]
    log = copy / name
    log.write_bytes(log.read_bytes()[:300])
    done = poolmark("report", copy, "--out", tmp_path / "page")
    assert done.returncode == 1
    assert f"not as recorded: {run.id}: {name}: has 300 bytes" in done.stdout
    for page in ("report.html", "report.md"):
        text = (tmp_path / "page" / page).read_text(encoding="utf-8")
        assert "This record is not as it was when its run ended" in text and "has 300 bytes" in text
    drawn = (tmp_path / "page/data/latency-percentiles.csv").read_text(encoding="utf-8")
    label = report_source.Source([run]).name(run, run.data["cells"][0]).label
    assert not [line for line in drawn.splitlines() if line.startswith(label) and ",connect," in line]
    assert poolmark("verify", copy).returncode == 1


def test_a_log_whose_samples_the_record_does_not_have_is_noticed(run, copy):
    """A tag that is missing in the log, and a tag without metrics in the record."""
    log = next(copy.glob("cells/*/load-qos1/latency.hlog"))
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join(line for line in lines if not line.startswith("Tag=ack,")), encoding="utf-8")
    assert any("ack.p99" in text and "no such samples" in text for text in recompute.again(load(copy)).wrong)
    log.write_text("".join(lines), encoding="utf-8")
    path = log.parent / "run.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["metrics"] = {name: one for name, one in data["metrics"].items() if not name.startswith("ack.")}
    path.write_text(json.dumps(data), encoding="utf-8")
    assert any("ack.p50" in text and "does not have it" in text for text in recompute.again(load(copy)).wrong)


def test_an_untouched_record_is_good_and_says_what_was_computed(run):
    done = poolmark("verify", run.folder)
    assert done.returncode == 0 and "figures computed again" in done.stdout
    assert poolmark("report", run.folder, "--out", run.folder.parent / "page").returncode == 0


def test_books_that_do_not_balance_or_are_not_of_their_files_are_noticed(copy):
    path = next(copy.glob("cells/*/load/run.json"))
    whole = path.read_text(encoding="utf-8")
    for column, text in (("measured", "latency.hlog has"), ("lost", "accounted for")):
        data = json.loads(whole)
        data["books"]["connects"][column] += 1
        data["books"]["connects"]["attempted"] += column == "measured"
        path.write_text(json.dumps(data), encoding="utf-8")
        assert any("books" in wrong and text in wrong for wrong in recompute.again(load(copy)).wrong), column
    data = json.loads(whole)
    data["books"]["memory_lines"] = {**data["books"]["memory_lines"], "attempted": 1, "measured": 1}
    path.write_text(json.dumps(data), encoding="utf-8")
    assert any("memory_lines: 1 written, the file has" in wrong for wrong in recompute.again(load(copy)).wrong)


def test_a_count_that_the_books_contradict_is_noticed(copy):
    """In the generator's own record; no other file has these counts."""
    counts = [f"messages.{name}" for name in ("received", "not_sent", "lost", "unfinished")] + ["clients.connected", "clients.failed"]
    noticed = set()
    for path in copy.glob("cells/classic-*/*/run.json"):
        whole = path.read_text(encoding="utf-8")
        data = json.loads(whole)
        if any(source.startswith("probe_") for source in data.get("books", {"probe_": 0})):
            continue
        for name in set(counts) & set(data["metrics"]):
            edited = json.loads(whole)
            edited["metrics"][name]["value"] += 1
            path.write_text(json.dumps(edited), encoding="utf-8")
            assert any(text.startswith(f"{name}: ") for text in recompute.again(load(path.parent)).wrong), (path.parent.name, name)
            noticed.add(name)
        path.write_text(whole, encoding="utf-8")
    assert noticed == set(counts)


@pytest.fixture
def small(tmp_path, broker):
    """The record of one load with 20 connects, too few for p99."""
    with faults.load(tmp_path / "small", "connect", broker.port, "--connections", 20, "--settle", 0, "--all") as run:
        assert run.end() == 0
        return run


def test_a_percentile_of_too_few_samples_is_not_known_to_any_reader(small):
    for name, takes in (("p99", 100), ("p99_9", 1000)):
        one = small.record["metrics"][f"connect.{name}"]
        assert one["value"] is None and one["why"] == f"of 20 samples: it takes {takes}"
        assert any(line.split()[:3] == [f"connect.{name}", "not", "known"] for line in small.table().splitlines())
    assert small.metric("connect.p50") > 0
    assert recompute.again(load(small.folder)).wrong == []
    edit(small.folder, lambda data: data["metrics"]["connect.p99"].update(value=data["metrics"]["connect.max"]["value"]))
    assert any("connect.p99" in text for text in recompute.again(load(small.folder)).wrong)


@pytest.mark.parametrize(("change", "told"), [({"unit": "us"}, "unit 'us', the catalogue says 'ns'"),
                                              ({"better": "higher"}, "better 'higher', the catalogue says 'lower'")])
def test_a_load_whose_metric_has_another_unit_or_direction_is_noticed(small, change, told):
    edit(small.folder, lambda data: data["metrics"]["connect.p50"].update(change))
    assert any(told in text for text in recompute.again(load(small.folder)).wrong)
    done = poolmark("verify", small.folder)
    assert done.returncode == 1 and told in done.stdout
