# SPDX-License-Identifier: Apache-2.0
"""tests/honesty/README.md has every case in which a measurement was silently wrong, each with tests that exist."""
import re
from pathlib import Path

HONESTY = Path(__file__).resolve().parents[1] / "honesty"
TEXT = (HONESTY / "README.md").read_text(encoding="utf-8")
# Sections, and how many cases each has. A case is not taken out; a new one is added here too.
CASES = {"1. The books are closed": 20, "2. Absent, forbidden and gone are three things": 18,
         "3. What is not the target's fault is not charged to it": 17,
         "4. Open loop everywhere, and no choosing of samples by their outcome": 4, "5. Readers believe nothing": 5, "Also found": 8,
         "Shown for all": 1, "Relatives: others load the target": 17,
         "Relatives: a figure that is not known": 6, "Relatives: what a process next door does": 9,
         "Relatives: records and memory": 5, "Relatives: connections that are lost again, and few acts": 14}


def rows_of(section):
    """(case, names of tests) of each row."""
    body = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [(case, re.findall(r"`([^`]+)`", tests)) for case, tests in re.findall(r"^\| (.+?) \| (.+) \|$", body, re.M) if case != "case"]


def exists(test):
    """Whether FILE::NAME is a test that is run."""
    file, _, name = test.partition("::")
    path = (HONESTY / file).resolve()
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    pattern = rf"^def {name}\(" if path.suffix == ".py" else rf"cmocka_unit_test\w*\({name}\b"
    return bool(re.search(pattern, text, re.M))


def test_every_section_has_all_its_cases():
    assert re.findall(r"^## (.+)$", TEXT, re.M) == list(CASES)
    assert {section: len(rows_of(section)) for section in CASES} == CASES


def test_every_case_has_tests_that_exist():
    rows = [row for section in CASES for row in rows_of(section)]
    assert not [case for case, tests in rows if not tests]
    assert not [(case, test) for case, tests in rows for test in tests if not exists(test)]


def test_a_test_that_is_not_there_would_be_found():
    assert exists("test_books.py::test_a_run_that_goes_well_closes_its_books")
    assert exists("../test_books.c::test_each_kind_of_gap_opens_a_line_that_balances")
    assert not exists("test_books.py::test_a_run_that_goes_well") and not exists("test_none.py::test_x")
    assert not exists("../test_books.c::test_each_kind_of_gap")
