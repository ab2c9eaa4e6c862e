# SPDX-License-Identifier: Apache-2.0
"""Records: written completely, read only if they fit the schema."""
import json
import math
import subprocess

import numpy
import pytest
from documented import undocumented
from poolmark.facts import facts
from poolmark.records import read_record
from poolmark.run import merge
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.records.record import SEAL, Record, files_of, metric, new_id, number, seal


def make(folder, kind="suite", **more):
    record = Record.create(kind, suite="quick", folder=folder, command=["poolmark", "suite", "quick"], seed=1, **more)
    cell = record.cell("classic-malloc.1", {"strategy": "malloc", "connections": 10}, 1)
    cell.metric("connect.p99", 1.7e6, "ns", "lower", samples=[1, 2.5])
    (cell.folder / "load").mkdir()
    (cell.folder / "load" / "memory.csv").write_text("at_ns\n1\n")
    cell.file("memory", cell.folder / "load" / "memory.csv")
    cell.finish("complete")
    return record


def closed(folder, status="complete"):
    record = make(folder)
    record.close(status)
    return record


def spoil(folder, change, sealed=True):
    """Rewrites run.json after `change` of its data. `sealed`: with a matching new seal."""
    path = folder / "run.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    if sealed:
        seal(folder)


def test_a_closed_record_reads_back_as_it_was_written(tmp_path):
    record = closed(tmp_path / "run")
    run = read_record.load(tmp_path / "run")
    assert run.data == record.data
    assert run.data["cells"][0]["metrics"]["connect.p99"] == {
        "value": 1.7e6, "unit": "ns", "better": "lower", "samples": [1, 2.5]}
    assert run.data["files"]["cells/classic-malloc.1/load/memory.csv"]["bytes"] == 8
    assert read_record.check_files(run) == []


def test_of_two_runs_that_begin_in_one_folder_one_gets_it(tmp_path, monkeypatch):
    """The other begins between the look into the folder and the first run.json. Both wrote there, each over the other."""
    host, there = facts.host, []

    def begins_meanwhile(build):
        monkeypatch.setattr(facts, "host", host)
        there.append(make(tmp_path / "run"))
        return host(build)

    monkeypatch.setattr(facts, "host", begins_meanwhile)
    with pytest.raises(UsageError, match="another run has just begun"):
        make(tmp_path / "run")
    there[0].close("complete")
    assert read_record.load(tmp_path / "run").id == there[0].id and not (tmp_path / "run/run.json.new").exists()


def test_a_record_is_whole_and_running_before_it_is_closed(tmp_path):
    make(tmp_path / "run")
    run = read_record.load(tmp_path / "run")
    assert run.data["status"] == "running"
    assert run.data["ended_utc"] is None
    assert not (tmp_path / "run" / "run.json.new").exists()


def test_closing_makes_running_cells_incomplete(tmp_path):
    record = make(tmp_path / "run")
    record.cell("classic-malloc.2", {}, 2)
    record.close("incomplete")
    assert [cell["status"] for cell in record.data["cells"]] == ["complete", "incomplete"]


def test_a_record_is_never_overwritten(tmp_path):
    closed(tmp_path / "run")
    with pytest.raises(UsageError, match="holds a record already"):
        make(tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PoolmarkError, match="file/run"):
        make(tmp_path / "file" / "run")


def test_two_cells_of_one_id_are_refused(tmp_path):
    record = make(tmp_path / "run")
    with pytest.raises(ValueError):
        record.cell("classic-malloc.1", {}, 1)


def test_numbers_that_json_has_not_become_null():
    assert number(math.nan) is None
    assert number(math.inf) is None
    assert number(numpy.float64(2.5)) == 2.5
    assert number(numpy.int64(3)) == 3
    assert metric(math.nan, "ns", "lower", samples=[1, math.nan])["samples"] == [1]


def test_an_unknown_direction_of_a_metric_is_refused():
    with pytest.raises(ValueError):
        metric(1, "ns", "up")


def test_the_record_holds_no_absolute_path_of_this_checkout(tmp_path):
    from poolmark.base.paths import ROOT

    record = Record.create("suite", folder=tmp_path / "run", command=[f"{ROOT}/scripts/poolmark", "suite"])
    cell = record.cell("a.1", {})
    cell.command([f"{ROOT}/build/poolmark-broker", "--record", f"{ROOT}/results/x"])
    record.close("complete")
    assert str(ROOT) not in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("change, field", [
    (lambda data: data.pop("host"), "'host' is missing"),
    (lambda data: data.update(id="x/../../etc"), "id: "),
    (lambda data: data.update(kind="poem"), "kind: "),
    (lambda data: data.update(status="great"), "status: "),
    (lambda data: data.update(started_utc="yesterday"), "started_utc: "),
    (lambda data: data.update(command="poolmark"), "command: "),
    (lambda data: data["tool"].update(dirty="no"), "tool.dirty: "),
    (lambda data: data["host"].update(cores="two"), "host.cores: "),
    (lambda data: data["cells"].append([]), "cells[1]: "),
    (lambda data: data["cells"].append(dict(data["cells"][0])), "cells: two of them"),
    (lambda data: data["cells"][0].update(id="/etc"), "cells[0].id: "),
    (lambda data: data["cells"][0].update(id="a/../../b"), "cells[0].id: "),
    (lambda data: data["cells"][0]["metrics"]["connect.p99"].update(value="1"), "cells[0].metrics['connect.p99'].value: "),
    (lambda data: data["cells"][0]["metrics"]["connect.p99"].update(samples=[1, "x"]), "samples[1]: "),
    (lambda data: data["cells"][0]["files"].update(log="../../secret"), "cells[0].files.log: "),
    (lambda data: data["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "files: "),
    (lambda data: data.update(schema="poolmark.run/99"), "schema: 'poolmark.run/99' is not known"),
    (lambda data: data.update(schema=["a"]), "schema: "),
])
def test_a_record_that_breaks_the_schema_names_file_and_field(tmp_path, change, field):
    closed(tmp_path / "run")
    spoil(tmp_path / "run", change)
    with pytest.raises(RecordError) as caught:
        read_record.load(tmp_path / "run")
    assert str(tmp_path / "run" / "run.json") in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize("number_text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 30, "9" * 6000])
def test_wild_numbers_are_refused_with_their_field(tmp_path, number_text):
    closed(tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace("1700000.0", number_text))
    with pytest.raises(RecordError, match=r"cells\[0\]\.metrics\['connect.p99'\]\.value: "):
        read_record.load(path)


def test_a_record_cut_off_anywhere_is_refused(tmp_path):
    closed(tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    whole = path.read_bytes()
    for size in (0, 1, 10, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:size])
        with pytest.raises(RecordError, match="not JSON"):
            read_record.load(path)


@pytest.mark.parametrize("raw, text", [
    (b"\xff\xfe", "not UTF-8"), (b"[]", "not a record"), (b"[" * 100000, "nested too deeply"), (b"null", "not a record"),
    (b'{"schema": 1, "schema": 2}', "comes twice"),
])
def test_what_is_no_record_is_refused(tmp_path, raw, text):
    (tmp_path / "run.json").write_bytes(raw)
    with pytest.raises(RecordError, match=text):
        read_record.load(tmp_path)


def test_a_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "run.json", "wb") as file:
        file.truncate(read_record.MAX_BYTES + 1)
    with pytest.raises(RecordError, match="is not read"):
        read_record.load(tmp_path)


def test_runs_are_found_by_folder_file_id_and_latest(tmp_path, monkeypatch):
    monkeypatch.setattr(read_record, "RUNS", tmp_path)
    first, second = new_id("suite"), new_id("bench")
    closed(tmp_path / first)
    closed(tmp_path / second)
    assert read_record.locate(tmp_path / first).parent.name == first
    assert read_record.locate(tmp_path / first / "run.json").parent.name == first
    assert read_record.locate(first).parent.name == first
    assert read_record.locate("bench-").parent.name == second
    assert read_record.locate("latest").parent.name in (first, second)
    for wrong in ("nothing", tmp_path / "x", tmp_path):
        with pytest.raises(UsageError):
            read_record.locate(wrong)


def test_files_that_lead_out_of_the_folder_are_refused(tmp_path):
    closed(tmp_path / "run")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "secret")
    run = read_record.load(tmp_path / "run")
    for name in ("link", "../secret"):
        with pytest.raises(RecordError, match="leads out"):
            run.file(name)
    with pytest.raises(RecordError, match="is not there"):
        run.file("nothing")


def test_verify_finds_a_changed_a_grown_and_a_lost_file(tmp_path, poolmark):
    closed(tmp_path / "run")
    assert poolmark("verify", tmp_path / "run").returncode == 0
    memory = tmp_path / "run" / "cells" / "classic-malloc.1" / "load" / "memory.csv"
    for act, text in ((lambda: memory.write_text("at_ns\n2\n"), "its checksum is not"),
                      (lambda: memory.write_text("at_ns\n22\n"), "has 9 bytes, the record says 8"),
                      (memory.unlink, "is not there")):
        act()
        done = poolmark("verify", tmp_path / "run")
        assert done.returncode == 1
        assert text in done.stdout
    done = poolmark("verify", "--present", tmp_path / "run")
    assert done.returncode == 0 and "0 of 1 file as recorded" in done.stdout


def test_closing_seals_run_json_as_sha256sum_reads_it(tmp_path):
    folder = tmp_path / "run"
    make(folder)
    assert not (folder / SEAL).exists() and read_record.load(folder).broken_seal == ""      # it is still running
    closed(tmp_path / "other")
    assert subprocess.run(["sha256sum", "-c", "--strict", "--quiet", SEAL], cwd=tmp_path / "other", check=False).returncode == 0
    run = read_record.load(tmp_path / "other")
    assert run.sealed and run.broken_seal == "" and SEAL not in run.data["files"]


@pytest.mark.parametrize("change, told", [
    (lambda folder: spoil(folder, lambda data: data["config"].update(note="x"), sealed=False), "is not what its seal"),
    (lambda folder: (folder / SEAL).unlink(), "names it as its seal and it is not there"),
    (lambda folder: (folder / SEAL).write_text("0" * 64 + "  other.json\n"), "is not what its seal"),
    (lambda folder: (folder / SEAL).write_bytes(b"\xff"), "not text")])
def test_a_broken_seal_is_said_by_every_reader(tmp_path, poolmark, change, told):
    closed(tmp_path / "a")
    closed(tmp_path / "b")
    change(tmp_path / "a")
    verified = poolmark("verify", tmp_path / "a")
    assert verified.returncode == 1 and told in verified.stdout
    merged = poolmark("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "joined")
    assert merged.returncode == 2 and told in merged.stderr and not (tmp_path / "joined").exists()
    compared = poolmark("compare", tmp_path / "b", tmp_path / "a")
    assert told in compared.stdout
    reported = poolmark("report", tmp_path / "a", "--out", tmp_path / "page")
    assert reported.returncode == 1 and told in reported.stdout
    forecast = poolmark("capacity", tmp_path / "a")
    assert forecast.returncode == 2 and told in forecast.stderr


def test_a_record_of_before_there_were_seals_is_good_and_says_that_it_has_none(tmp_path, poolmark):
    def older(data):
        data.pop("seal")
        data["tool"]["version"] = "0.1.0"

    closed(tmp_path / "run")
    spoil(tmp_path / "run", older, sealed=False)
    (tmp_path / "run" / SEAL).unlink()
    done = poolmark("verify", tmp_path / "run")
    assert done.returncode == 0 and "has no seal" in done.stdout


def test_a_record_of_a_version_that_seals_has_a_seal(tmp_path, poolmark):
    """Without this, an edit is hidden by taking away the seal and its name."""
    closed(tmp_path / "run")
    spoil(tmp_path / "run", lambda data: data.pop("seal"), sealed=False)
    (tmp_path / "run" / SEAL).unlink()
    done = poolmark("verify", tmp_path / "run")
    assert done.returncode == 1 and "seals its records; this one has no seal" in done.stdout and "made before" not in done.stdout


def make_other(tmp_path):
    closed(tmp_path / "sealed")
    return tmp_path / "sealed"


def test_verify_names_files_that_came_later_and_goes_on(tmp_path, poolmark):
    closed(tmp_path / "run")
    (tmp_path / "run" / "report.html").write_text("x")
    done = poolmark("verify", tmp_path / "run")
    assert done.returncode == 0
    assert "report.html" in done.stdout


def ranks(*lost):
    return [{"rank": rank, "host": None, "clients": 1, "workers": 1, "clock": None, "lost": rank in lost, "ended": "x", "counts": {}} for rank in range(3)]


def test_files_of_a_lost_rank_may_change_and_those_of_others_may_not(tmp_path, poolmark):
    folder = tmp_path / "run"
    record = make(folder)
    for rank in (1, 2):
        (folder / f"ranks/{rank}").mkdir(parents=True)
        (folder / f"ranks/{rank}/memory.csv").write_text("at_ns\n1\n")
    record.data.update(ranks=ranks(1), files_left_out=["ranks/1"])
    record.save()
    record.close("incomplete")
    assert set(read_record.load(folder).data["files"]) == {"cells/classic-malloc.1/load/memory.csv", "ranks/2/memory.csv"}
    (folder / "ranks/1/memory.csv").write_text("at_ns\n1\n2\n")     # it goes on writing
    (folder / "ranks/1/rank.json").write_text("{}")
    done = poolmark("verify", folder)
    assert done.returncode == 0 and "came after" not in done.stdout, done.stdout
    (folder / "ranks/2/rank.json").write_text("{}")
    assert "came after the run's end, not checked: ranks/2/rank.json" in poolmark("verify", folder).stdout
    (folder / "ranks/2/memory.csv").write_text("at_ns\n2\n")
    assert "ranks/2/memory.csv: its checksum is not" in poolmark("verify", folder).stdout


def test_only_what_a_lost_rank_wrote_may_be_left_out(tmp_path):
    closed(tmp_path / "run")
    spoil(tmp_path / "run", lambda data: data.update(ranks=ranks(1), files_left_out=["ranks/1", "ranks/2"]))
    assert read_record.check_files(read_record.load(tmp_path / "run")) == ["files_left_out: names ranks/2, and that rank was not lost"]
    spoil(tmp_path / "run", lambda data: data.update(files_left_out=["cells"]))
    with pytest.raises(RecordError, match="files_left_out"):
        read_record.load(tmp_path / "run")


def test_a_record_around_one_that_lost_a_rank_leaves_its_files_out_too(tmp_path):
    make(tmp_path / "run")
    inner = tmp_path / "run/cells/classic-malloc.1/load"
    (inner / "ranks/1").mkdir(parents=True)
    (inner / "ranks/1/memory.csv").write_text("x")
    (inner / "run.json").write_text('{"files_left_out": ["ranks/1"]}')
    assert sorted(files_of(tmp_path / "run")) == ["cells/classic-malloc.1/load/memory.csv", "cells/classic-malloc.1/load/run.json"]


def test_verify_says_when_a_run_was_killed(tmp_path, poolmark):
    make(tmp_path / "run")
    done = poolmark("verify", tmp_path / "run")
    assert done.returncode == 1
    assert "still running" in done.stdout


def test_verify_of_no_record_is_exit_2(tmp_path, poolmark):
    (tmp_path / "run.json").write_text("{")
    done = poolmark("verify", tmp_path)
    assert done.returncode == 2
    assert "run.json" in done.stderr


def test_merge_counts_repetitions_on_and_copies_files(tmp_path, poolmark):
    closed(tmp_path / "a")
    closed(tmp_path / "b")
    done = poolmark("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "joined")
    assert done.returncode == 0, done.stderr
    run = read_record.load(tmp_path / "joined")
    assert [(cell["id"], cell["repetition"]) for cell in run.data["cells"]] == [
        ("classic-malloc.1", 1), ("classic-malloc.2", 2)]
    assert run.data["cells"][1]["files"]["memory"] == "cells/classic-malloc.2/load/memory.csv"
    assert read_record.check_files(run) == []
    assert len(run.data["sources"]) == 2


def test_merge_refuses_other_hosts_and_builds_unless_told(tmp_path, poolmark):
    closed(tmp_path / "a")
    closed(tmp_path / "b")
    spoil(tmp_path / "b", lambda data: (data["host"].update(cores=999), data["tool"].update(compiler="other 1")))
    words = ("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "joined")
    done = poolmark(*words)
    assert done.returncode == 2 and "different hosts (cores:" in done.stderr
    done = poolmark(*words, "--allow-different", "host")
    assert done.returncode == 2 and "different builds (compiler:" in done.stderr
    assert not (tmp_path / "joined").exists()
    done = poolmark(*words, "--allow-different", "host", "--allow-different", "build")
    assert done.returncode == 0, done.stderr
    texts = [anomaly["text"] for anomaly in read_record.load(tmp_path / "joined").data["anomalies"]]
    assert any("cores" in text for text in texts) and any("compiler" in text for text in texts)


def test_merge_refuses_other_suites_and_one_run_twice(tmp_path, poolmark):
    closed(tmp_path / "a")
    closed(tmp_path / "b")
    assert poolmark("merge", tmp_path / "a").returncode == 2
    assert "named twice" in poolmark("merge", tmp_path / "a", tmp_path / "a").stderr
    spoil(tmp_path / "b", lambda data: data.update(suite="million"))
    assert "only runs of one suite" in poolmark("merge", tmp_path / "a", tmp_path / "b").stderr


def test_merge_differences_name_the_facts():
    first = {"host": {"cores": 2}, "tool": {"commit": "a"}}
    other = {"host": {"cores": 4}, "tool": {"commit": "b"}}
    assert merge.differences(first, other) == {"host": ["cores"], "build": ["commit"]}


def test_the_schema_itself_is_one():
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(json.loads(read_record.SCHEMA_FILE.read_text(encoding="utf-8")))


def test_the_table_of_metrics_is_read_as_people_read_it():
    assert undocumented(["connect.p50", "qos1.ack.mean", "cell.messages.lost", "messages.lost", "pool.refused", "step.10.delivery.p99_9",
                         "schedule.lag_max", "generator.added_latency_p99"]) == []
    assert undocumented(["connect.p51", "messages.sunk", "step.x.took_ns", "lost", ".lost"]) == [
        ".lost", "connect.p51", "lost", "messages.sunk", "step.x.took_ns"]
