# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark: one line and one module for each command."""
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_an_unknown_command_is_exit_2_and_the_known_ones_are_named(poolmark):
    done = poolmark("dance")
    assert done.returncode == 2
    assert "'dance' is not a command" in done.stderr and "verify" in done.stderr


def test_no_command_is_exit_2_and_shows_usage(poolmark):
    done = poolmark()
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_the_version_is_the_programs(poolmark):
    done = poolmark("--version")
    assert done.returncode == 0
    assert done.stdout.split()[1] == (ROOT / "VERSION").read_text().strip()


def test_help_names_every_command(poolmark):
    done = poolmark("--help")
    assert done.returncode == 0
    assert "suite" in done.stdout and "merge" in done.stdout


@pytest.mark.parametrize("command, text", [
    ("suite", "130 or 143 interrupted"), ("bench", "130 or 143 interrupted"), ("host", "1 it does not"),
    ("capacity", "gives no forecast"), ("verify", "1 something is not"), ("merge", "2 wrong call"), ("report", "2 wrong call"),
    ("trend", "2 wrong call"), ("sensitivity", "2 wrong call"), ("compare", "3 not comparable"), ("nightly", "3 not comparable"),
])
def test_help_tells_the_exit_codes(poolmark, command, text):
    done = poolmark(command, "--help")
    assert done.returncode == 0
    told = " ".join(done.stdout[done.stdout.rindex("exit codes: "):].split())
    assert text in told


@pytest.mark.parametrize("words", [("verify",), ("verify", "--wrong", "x"), ("merge", "--ou", "x", "y"), ("suite", "README.md")])
def test_a_wrong_call_is_exit_2(poolmark, words):
    assert poolmark(*words).returncode == 2


def test_it_works_from_any_folder(poolmark, tmp_path):
    assert poolmark("verify", "--help", cwd=tmp_path).returncode == 0
