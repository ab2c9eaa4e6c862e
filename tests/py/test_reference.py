# SPDX-License-Identifier: Apache-2.0
"""The committed runs are readable and complete, their files are as recorded, and they are small."""
import zipfile

import pytest
from conftest import ROOT
from poolmark.records import read_record
from poolmark.records.packed import PACKED, record_in
from poolmark.report import report
from poolmark.report.report_charts import charts
from poolmark.report.source import Source
from poolmark.verify.complaints import complaints

REFERENCE = ROOT / "results" / "reference"
RUNS = sorted(path for path in REFERENCE.iterdir() if path.is_dir() and record_in(path))
MOST_BYTES, PAGE_BYTES, BLOCK_BYTES = 8_000_000, 1_500_000, 4096


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_committed_run_is_as_it_was_recorded(folder):
    run = read_record.load(folder)
    assert run.data["status"] == "complete"
    assert read_record.check_files(run, present=True) == []


ARCHIVES = sorted(path for path in REFERENCE.rglob("*.zip") if path.name != PACKED)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: f"{archive.parent.name}-{archive.stem}")
def test_records_that_are_packed_together_are_as_they_were_recorded(archive, tmp_path):
    """As docs/ten-million-connections.md says: unpacked, each is a record with its seal."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    found = sorted(path.parent for path in tmp_path.rglob("run.json"))
    assert found
    for folder in found:
        assert (folder / "run.json.sha256").is_file()
        assert complaints(read_record.load(folder), present=True)[0] == [], folder.name


def test_the_committed_runs_take_less_than_eight_megabytes():
    """As `du` counts them, in whole blocks."""
    sizes = {path: -(-path.stat().st_size // BLOCK_BYTES) * BLOCK_BYTES for path in REFERENCE.rglob("*") if path.is_file()}
    largest = ", ".join(f"{path.relative_to(REFERENCE)} {size / 1e6:.1f} MB" for path, size in
                        sorted(sizes.items(), key=lambda one: -one[1])[:8])
    assert sum(sizes.values()) < MOST_BYTES, f"{largest} ...; `scripts/poolmark pack results/reference/NAME` packs one"


def test_the_page_of_a_committed_run_is_below_a_megabyte_and_a_half():
    """Pages are not committed. That of `bench` is the largest: it has the most figures."""
    run = read_record.load(REFERENCE / "bench")
    source = Source([run])
    source.damage[run.id] = []
    drawn = charts(source)
    assert len(report.page(drawn, report.context(source, drawn, run.home / "report")).encode("utf-8")) < PAGE_BYTES
