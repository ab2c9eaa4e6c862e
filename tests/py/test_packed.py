# SPDX-License-Identifier: Apache-2.0
"""Packed records: every reader sees the same files, an edit shows, and no archive does harm."""
import random
import shutil
import zipfile

import hostile
import made_runs
import pytest
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.records import packed
from poolmark.records.read_record import load, locate
from poolmark.records.record import SEAL, Record, files_of, seal
from poolmark.run.pack import pack, raw_files, unpack


@pytest.fixture(scope="module", name="whole")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "run"
    data = made_runs.make_suite(folder)
    (folder / "notes.md").write_text("for people")
    made_runs.save(folder, data)
    seal(folder)
    return folder


@pytest.fixture(name="run")
def run_of_its_own(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(folder, change) -> None:
    """Writes run.zip anew, each (name, content) as `change` gives it."""
    with zipfile.ZipFile(folder / packed.PACKED) as file:
        members = [(one.filename, file.read(one)) for one in file.infolist()]
    with zipfile.ZipFile(folder / packed.PACKED, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, change(name, content))


def test_a_packed_record_has_the_same_files_and_the_same_seal(run, whole):
    told = pack(load(run))
    assert sorted(contents(run)) == ["notes.md", SEAL, packed.PACKED] and packed.PACKED in told
    seen = load(run)
    assert (seen.home, seen.broken_seal, seen.sealed) == (run, "", True) and seen.data == load(whole).data
    assert contents(seen.folder) == contents(whole)
    assert (run / packed.PACKED).stat().st_size < sum(map(len, contents(whole).values())) / 1.2


def test_undo_gives_back_every_byte_and_packing_again_the_same_archive(run, whole):
    pack(load(run))
    first = (run / packed.PACKED).read_bytes()
    unpack(load(run))
    assert contents(run) == contents(whole) and "is not packed" in unpack(load(run))
    pack(load(run))
    assert (run / packed.PACKED).read_bytes() == first


def test_commands_say_the_same_of_a_packed_record(run, poolmark):
    before = poolmark("verify", run)
    assert poolmark("pack", run).returncode == 0 and not (run / "run.json").exists()
    after = poolmark("verify", run / "run.json")
    assert (after.returncode, after.stdout) == (before.returncode, before.stdout) and before.returncode == 0
    assert poolmark("compare", run, run, "--out", run.parent / "verdict").returncode == 2
    assert poolmark("report", run).returncode == 0
    page = (run / "report/report.html").read_text(encoding="utf-8")
    assert "or in run.zip." in page and "poolmark-run-" not in page
    assert "came after" not in poolmark("verify", run).stdout
    done = poolmark("pack", run, "--undo")
    assert done.returncode == 0 and (run / "run.json").exists() and (run / "report/report.html").exists()
    assert poolmark("pack", run, run).returncode == 2


def test_it_is_found_by_its_id_and_never_overwritten(run, monkeypatch):
    pack(load(run))
    monkeypatch.setattr("poolmark.records.read_record.RUNS", run.parent)
    assert locate("latest") == locate("run") == locate(run) == run / packed.PACKED
    with pytest.raises(UsageError, match="holds a record already"):
        Record.create("suite", folder=run)


@pytest.mark.parametrize("end, old, new, told", [
    ("latency.hlog", b"Tag=connect,1", b"Tag=connect,2", "its checksum is not the one in the record"),
    ("run.json", b'"repetition": 1', b'"repetition": 2', "is not what its seal")])
def test_an_edit_inside_the_archive_is_noticed(run, poolmark, end, old, new, told):
    pack(load(run))
    zipped(run, lambda name, content: content.replace(old, new, 1) if name.endswith(end) else content)
    done = poolmark("verify", run)
    assert done.returncode == 1 and told in done.stdout, done.stdout + done.stderr


def test_a_record_that_is_not_as_it_was_or_has_not_ended_is_not_packed(run, poolmark):
    next(run.glob("cells/*/load/memory.csv")).write_text("edited")
    before = contents(run)
    done = poolmark("pack", run)
    assert done.returncode == 1 and "it is not packed" in done.stderr and contents(run) == before
    Record.create("suite", folder=run.parent / "running")
    with pytest.raises(UsageError, match="has not ended"):
        pack(load(run.parent / "running"))


def test_a_pack_that_was_ended_early_leaves_a_whole_record(run, whole, monkeypatch):
    monkeypatch.setattr(packed, "_remove", lambda folder, names: None)
    pack(load(run))                             # ended before anything was removed
    assert load(run).packed_in is None
    pack(load(run))
    (run / "run.json").unlink()                 # ended after run.json
    assert contents(load(run).folder) == contents(whole)
    monkeypatch.undo()
    assert "is packed" in pack(load(run)) and sorted(contents(run)) == ["notes.md", SEAL, packed.PACKED]
    (run / "cells/0/load").mkdir(parents=True)
    (run / "cells/0/load/memory.csv").write_text("another")
    with pytest.raises(RecordError, match="memory.csv: is also beside it"):
        load(run)


def test_a_full_disk_changes_nothing(run, monkeypatch):
    before = contents(run)

    def full(*_words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PoolmarkError, match="run.zip: cannot be written: No space left"):
        pack(load(run))
    assert contents(run) == before


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "//out.txt", "cells/../../out.txt", "a\\b", "folder/", "cells"])
def test_a_name_that_leads_out_is_refused(run, name):
    pack(load(run))
    with zipfile.ZipFile(run / packed.PACKED, "a") as file:
        file.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(RecordError, match="run.zip: "):
        load(run)
    assert not (run.parent / "out.txt").exists()


def test_what_is_too_large_otherwise_compressed_or_no_record_is_refused(run, monkeypatch):
    pack(load(run))
    monkeypatch.setattr(packed, "MAX_BYTES", 1000)
    with pytest.raises(RecordError, match="a record of more than"):
        load(run)
    monkeypatch.undo()
    with zipfile.ZipFile(run / packed.PACKED, "a", zipfile.ZIP_BZIP2) as file:
        file.writestr("more.txt", "x")
    with pytest.raises(RecordError, match="more.txt: is encrypted, or compressed otherwise"):
        load(run)
    with zipfile.ZipFile(run / packed.PACKED, "w") as file:
        file.writestr("more.txt", "x")
    with pytest.raises(RecordError, match="run.json: is not in it"):
        load(run)
    (run / packed.PACKED).write_bytes(b"none")
    with pytest.raises(RecordError, match="cannot be unpacked"):
        load(run)


def test_no_spoilt_archive_ends_in_a_traceback(tmp_path):
    Record.create("suite", suite="small", folder=tmp_path / "run", seed=1).close("complete")
    pack(load(tmp_path / "run"))
    archive = tmp_path / "run" / packed.PACKED
    content, refused = archive.read_bytes(), 0
    for number in range(200):
        archive.write_bytes(hostile.spoil_bytes(content, random.Random(number)))
        try:
            load(tmp_path / "run")
        except PoolmarkError:
            refused += 1
    assert refused > 100


def test_tables_for_people_stay_readable(run):
    assert all("/" in name or not name.endswith((".md", ".csv", ".svg")) for name in raw_files(load(run)))
    assert set(raw_files(load(run))) == set(files_of(run)) - {"notes.md"}
