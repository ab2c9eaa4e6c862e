# SPDX-License-Identifier: Apache-2.0
"""tests/conformance.md has every numbered statement of MQTT 3.1.1 once, with tests that exist or with a reason."""
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TABLE = (TESTS / "conformance.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| MQTT-(\S+) \| (.+?) \| (.+) \|$", TABLE, re.M)

# Appendix B of the specification: for each section, how many statements it has. They are numbered from 1.
STATEMENTS = {
    "1.5.3": 3, "2.2.2": 2, "2.3.1": 7, "3.1.0": 2, "3.1.2": 24, "3.1.3": 11, "3.1.4": 5, "3.2.0": 1, "3.2.2": 6, "3.3.1": 12, "3.3.2": 3,
    "3.3.4": 1, "3.3.5": 2, "3.6.1": 1, "3.8.1": 1, "3.8.3": 4, "3.8.4": 6, "3.9.3": 2, "3.10.1": 1, "3.10.3": 2, "3.10.4": 6, "3.12.4": 1,
    "3.14.1": 1, "3.14.4": 3, "4.1.0": 2, "4.3.1": 1, "4.3.2": 2, "4.3.3": 2, "4.4.0": 1, "4.5.0": 2, "4.6.0": 6, "4.7.1": 3, "4.7.2": 1,
    "4.7.3": 4, "4.8.0": 2, "6.0.0": 4, "7.0.0": 2, "7.1.1": 1, "7.1.2": 1,
}
NUMBERS = [f"{section}-{number}" for section, count in STATEMENTS.items() for number in range(1, count + 1)]
REASONS = ("a client's", "no WebSocket", "the broker connects to no server", "wildcards are supported", "two bytes of length", "TCP")


def registered(program: str) -> set[str]:
    """The tests that a program runs. A test that is only defined does not count."""
    source = TESTS / f"{program}.c"
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    return set(re.findall(r"\b(?:cmocka_unit_test(?:_setup_teardown)?|TEST)\(\s*(\w+)", text))


def test_every_statement_is_there_once_in_order():
    assert len(NUMBERS) == 141
    assert [number for number, _, _ in ROWS] == NUMBERS


def test_every_row_names_a_test_or_a_reason():
    unshown = [number for number, _, shown in ROWS if not re.search(r"`test_\w+\.\w+`", shown) and not shown.startswith(REASONS)]
    assert not unshown


def test_every_test_that_is_named_exists_and_is_run():
    named = {(number, *name.split(".")) for number, _, shown in ROWS for name in re.findall(r"`([^`]+)`", shown)}
    tests = {program: registered(program) for _, program, _ in named}
    assert len(named) > 150
    assert not sorted(row for row in named if row[2] not in tests[row[1]])


def test_tests_are_called_by_statements_that_exist():
    called = {(path.stem, name, f"{a}.{b}.{c}-{d}") for path in TESTS.glob("test_*.c") for name in registered(path.stem)
              for a, b, c, d in re.findall(r"(?:mqtt|and)_(\d+)_(\d+)_(\d+)_(\d+)_", name)}
    assert len(called) > 50
    assert not sorted(row for row in called if row[2] not in NUMBERS)
