# SPDX-License-Identifier: Apache-2.0
"""A suite's file: what a broker would refuse by address, and faults that are told once."""
import pytest
from test_suite_faults import BUILD, built, faults_of

from poolmark.suites import suite_file

PHASE = """
[[phase]]
name = "connect"
scenario = "connect"
"""
CELLS = """
[config]
engine = "raw"
connections = 100

[axes]
strategy = ["malloc", "slab"]
"""
LIMIT = '[broker]\nmax-connections-per-address = 40\n'


@built
def test_a_bound_for_an_address_is_compared_with_the_clients_that_come_from_it(tmp_path):
    (text,), = faults_of(tmp_path, CELLS + LIMIT + PHASE, build=BUILD).values()
    assert "--max-connections-per-address 40 for 100 clients at once from 1 address: 60 would be refused; refusals = true" in text


@built
@pytest.mark.parametrize("text", [
    "refusals = true\n" + CELLS + LIMIT + PHASE, CELLS + LIMIT.replace("40", "100") + PHASE,
    CELLS + LIMIT + '[load]\nsource = "127.0.3.1,127.0.3.2,127.0.3.3"\n' + PHASE])
def test_an_address_that_may_have_them_is_none(tmp_path, text):
    file = tmp_path / "x.toml"
    file.write_text(text)
    assert suite_file.load(str(file), build=BUILD).cells


RATIO = '\n[[ratio]]\nmetric = "connect.p99"\n'


@built
@pytest.mark.parametrize("ratio, told", [
    ('of = "slab"\nto = { strategy = "malloc" }\n', "of is 'slab'; it must be a table"),
    ('of = { strategy = "slab" }\ntoo = { strategy = "malloc" }\n', "'too' is not a key there"),
    ('of = { strategy = "slab" }\n', "ratio: 'to' is missing")])
def test_a_fault_of_a_ratio_is_told_once(tmp_path, ratio, told):
    found = [text for texts in faults_of(tmp_path, CELLS + PHASE + RATIO + ratio, build=BUILD).values() for text in texts]
    assert len(found) == 1 and told in found[0], found


@built
@pytest.mark.parametrize("table, told", [
    ('[[impossible]]\nwhen = "slab"\nwhy = "x"\n', "when is 'slab'; it must be a table"),
    ('[beside]\naxis = "strategy"\nrows = ["engine"]\nfigures = 3\n', "figures is 3; it must be a table")])
def test_a_fault_of_a_table_that_needs_its_keys_is_told_once(tmp_path, table, told):
    found = [text for texts in faults_of(tmp_path, CELLS + PHASE + table, build=BUILD).values() for text in texts]
    assert len(found) == 1 and told in found[0], found
