# SPDX-License-Identifier: Apache-2.0
"""Wrong option values: exit code 2, a message with option, value and bounds, and nothing is written."""
import os
from pathlib import Path

import pytest

FAKES = Path(__file__).resolve().parent / "fakes"

WRONG = [
    ("suite quick --repetitions 0", "--repetitions", "'0' is out of bounds; it may be 1 to 10 000"),
    ("suite quick --repetitions x", "--repetitions", "'x' is not a count"),
    ("suite quick --connections 0", "--connections", "'0' is out of bounds; it may be 1 to 100 000 000"),
    ("suite quick --connections -1", "--connections", "'-1' is not a count"),
    ("suite quick --connections abc", "--connections", "'abc' is not a count"),
    ("host --connections 0", "--connections", "it may be 1 to 100 000 000"),
    ("host --connections abc", "--connections", "'abc' is not a count"),
    ("host --clients-per-worker 0", "--clients-per-worker", "it may be 1 to 100 000 000"),
    ("bench --min-time abc", "--min-time", "'abc' is not a span of time"),
    ("bench --min-time 0", "--min-time", "it may be 1e-06s to 3600s"),
    ("bench --repetitions 0", "--repetitions", "it may be 1 to 1 000"),
    ("bench --budget 0.5s", "--budget", "'0.5s' is out of bounds"),
    ("capacity x --spare lots", "--spare", "'lots' is not a number of bytes"),
    ("capacity x --hold-out 0", "--hold-out", "it may be 1"),
    ("sensitivity --comparisons 0", "--comparisons", "it may be 1"),
]


@pytest.mark.parametrize("words, option, text", WRONG, ids=[words for words, _, _ in WRONG])
def test_a_wrong_value_is_named_with_its_option_and_bounds(poolmark, words, option, text):
    done = poolmark(*words.split())
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    assert f"argument {option}: " in said and text in said and "it may be " in said
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words, option, second", [
    ("host --connections 10 --connections=20", "--connections", "20"),
    ("suite quick --repetitions 2 --only slab --repetitions 2", "--repetitions", "2"),
    ("bench --list --filter lifo --filter grow", "--filter", "grow")])
def test_an_option_with_one_value_is_given_once(poolmark, words, option, second):
    done = poolmark(*words.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"argument {option}: is given twice, the second time with '{second}'; it takes one value" in done.stderr


def test_options_of_several_values_and_flags_may_be_repeated(poolmark):
    done = poolmark("suite", "quick", "--set", "duration=1s", "--set", "qos1.payload=64", "--list", "--list")
    assert done.returncode == 0, done.stderr


SUITE = """
[config]
strategy = "malloc"
connections = 10
[[phase]]
name = "connect"
scenario = "connect"
"""


@pytest.mark.parametrize("make", [lambda folder: Path("/proc/x"), lambda folder: folder / "small.toml"],
                         ids=["where nothing can be made", "a file"])
def test_a_folder_that_cannot_be_made_is_named_with_its_option(poolmark, tmp_path, make):
    file = tmp_path / "small.toml"
    file.write_text(SUITE)
    done = poolmark("suite", file, "--build", FAKES, "--out", make(tmp_path), env={**os.environ, "FAKE_LOAD": "nothing"})
    assert done.returncode == 2
    assert f"--out {make(tmp_path)}: cannot be made: " in done.stderr and "Traceback" not in done.stderr
    assert file.read_text() == SUITE
