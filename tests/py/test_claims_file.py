# SPDX-License-Identifier: Apache-2.0
"""Published claims: the file as it is, and the documents' tables of the committed run."""
import math
from pathlib import Path

import pytest
from claims_made import claim

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.claims import catalogue, document, verdict
from poolmark.records import record as records

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "results/claims.toml"
# Of the file as it was published: it is never edited to fit a measurement.
SHA256 = "40e55d002f8c52f66f865352e6665e03b01823e436e12cfd95262570c26e4b9a"


# --- the file

def test_the_file_is_as_it_was_handed_over():
    assert records.sha256(FILE) == SHA256


def test_there_are_43_claims_of_five_designs():
    systems, found = catalogue.load()
    assert len(found) == 43 and len(systems) == 5 and {one.system for one in found.values()} == set(systems)


GOOD = """[system]
a = "b"
[[claim]]
id = "x"
system = "a"
source = "s"
says = "t"
metric = "m"
unit = "u"
setup = "n"
high = 1.0
"""


@pytest.mark.parametrize("change, told", [
    (('system = "a"\n', 'system = "c"\n'), "system is 'c'"), (("high = 1.0", "low = 2.0\nhigh = 1.0"), "low 2.0 is above high 1.0"),
    (("high = 1.0", ""), "a range (low, high) or a sequence"), (("high = 1.0", "high = nan"), "high is nan"),
    (("high = 1.0", 'high = 1.0\nexpect = [1]'), "one of the two"), (("high = 1.0", 'high = 1.0\nhow = "x"'), "no field 'how'"),
    (('says = "t"', 'says = ""'), "says is missing or empty"), (("[[claim]]", "[[claim"), "not TOML")])
def test_a_wrong_file_is_refused_with_its_fault(change, told):
    with pytest.raises(UsageError, match="."):
        catalogue.parse(GOOD.replace(*change, 1), "f.toml")
    try:
        catalogue.parse(GOOD.replace(*change, 1), "f.toml")
    except UsageError as error:
        assert told in str(error) and "f.toml" in str(error)


def test_an_id_comes_once():
    with pytest.raises(UsageError, match="of this id already"):
        catalogue.parse(GOOD + GOOD[GOOD.index("[[claim]]"):], "f.toml")


# --- the documents

def test_the_document_has_a_table_for_each_design_and_is_as_the_reference_says():
    text, front = ((ROOT / name).read_text(encoding="utf-8") for name in (document.DOCUMENT, document.FRONT))
    assert {match[2] for match in document.BLOCK.finditer(text)} == set(catalogue.load()[0])
    assert document.SURPRISING in {match[2] for match in document.BLOCK.finditer(front)}
    assert document.current(ROOT) == {document.DOCUMENT: text, document.FRONT: front}


def test_tables_of_the_document_come_from_the_record():
    data = {"summary": {"claims": [{"id": "startup-time", "shown": "0.03 s", "verdict": "holds", "why": "So."}]}}
    assert "| **holds** | So. |" in document.tables_of(data)["expand"]
    with pytest.raises(PoolmarkError, match="'gone'"):
        document.tables_of({"summary": {"claims": [{"id": "gone"}]}})


def test_the_front_page_has_the_claims_that_are_furthest_off():
    made = {"startup-time": (8.0, "8 s", verdict.FAILS), "preheat-1024-objects": (36.0, "36 MB", verdict.FAILS), "startup-memory": (1e9, "much", verdict.NOISY)}
    told = document.furthest({"summary": {"claims": [{"id": name, "value": value, "shown": shown, "verdict": what}
                                                     for name, (value, shown, what) in made.items()]}})
    assert [line.split(" | ")[-1] for line in told.splitlines()[2:]] == ["**36 MB** |", "**8 s** |"], told
    gain = claim(unit="% faster", low=20.0, high=30.0)
    assert document.distance(gain, -50.0) == pytest.approx(math.log(1.2 / 0.5)) and document.distance(gain, 25.0) == 0
    assert document.distance(claim(unit="n", low=None, high=0.0), 4.0) == math.inf
