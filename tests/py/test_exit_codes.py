# SPDX-License-Identifier: Apache-2.0
"""Exit codes: the table in docs/commands.md and --help agree, and a command ends with each code."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import made_runs
import pytest

from poolmark import cli
from poolmark.records.record import Record

ROOT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).resolve().parent / "fakes"
SUITE = """
[config]
connections = 100
engine = "raw"
strategy = "malloc"
[[phase]]
name = "connect"
scenario = "connect"
"""


def documented_codes() -> dict[str, str]:
    """command -> "0 ..., 1 ..., ..." from the table in docs/commands.md."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    table = text[text.index("Exit codes of `scripts/poolmark`"):].split("\n\n")[1]
    found = {}
    for line in table.splitlines()[2:]:
        names, zero, other = (cell.strip() for cell in line.strip("|").split("|"))
        for name in re.findall(r"`(\w+)`", names) or ["all"]:
            found[name] = f"0 {zero}, {other}" if zero else other
    return found


def test_the_document_has_the_codes_that_help_tells():
    command, told = cli, documented_codes()
    assert told.pop("all") == command.COMMON_EXIT_CODES
    assert set(told) == set(command.COMMANDS)
    for name, codes in told.items():
        assert f"{codes}, {command.COMMON_EXIT_CODES}" == command.exit_codes(name), name


def closed(folder, suite="small"):
    Record.create("suite", suite=suite, folder=folder, seed=1).close("complete")
    return folder


def write_suite(tmp_path):
    (tmp_path / "small.toml").write_text(SUITE, encoding="utf-8")
    return tmp_path / "small.toml"


@pytest.mark.parametrize("how, code", [({}, 0), ({"FAKE_LOAD": "fails"}, 1), ({"FAKE_LOAD": "nothing"}, 1), ({"FAKE_BROKER": "dies"}, 1)])
def test_suite(poolmark, tmp_path, how, code):
    done = poolmark("suite", write_suite(tmp_path), "--build", FAKES, "--out", tmp_path / "run", env={**os.environ, **how})
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_suite_interrupted(tmp_path, number):
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "suite", str(write_suite(tmp_path)), "--build", str(FAKES), "--out",
                                str(tmp_path / "run")], env={**os.environ, "FAKE_LOAD": "waits"}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while not any("connected" in log.read_text() for log in tmp_path.glob("run/cells/*/connect.log")):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(120) == 128 + number


def test_host(poolmark):
    assert poolmark("host", "--connections", "100M").returncode == 1
    assert poolmark("host", "--connections", "none").returncode == 2


def test_verify_and_report(poolmark, tmp_path):
    made_runs.make_suite(tmp_path / "run")
    assert poolmark("verify", tmp_path / "run").returncode == 0
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "page").returncode == 0
    assert poolmark("report", tmp_path / "run", "--out", "/dev/null/page").returncode == 1
    next((tmp_path / "run").glob("cells/*/load/latency.hlog")).write_text("")
    assert poolmark("verify", tmp_path / "run").returncode == 1
    assert poolmark("report", tmp_path / "run", "--out", tmp_path / "page").returncode == 1
    (tmp_path / "run/run.json").write_text("{")
    assert poolmark("verify", tmp_path / "run").returncode == 2
    assert poolmark("report", tmp_path / "run").returncode == 2


def test_compare_and_merge(poolmark, tmp_path):
    base, other = closed(tmp_path / "a"), closed(tmp_path / "b", suite="other")
    made_runs.make_suite(tmp_path / "once")
    assert poolmark("compare", tmp_path / "once", tmp_path / "once").returncode == 2  # one run a side is undecided
    assert poolmark("compare", base, other).returncode == 3
    assert poolmark("compare", base).returncode == 4
    assert poolmark("compare", base, tmp_path / "none").returncode == 4
    assert poolmark("merge", base, other, "--out", tmp_path / "m").returncode == 2
    closed(tmp_path / "c")
    assert poolmark("merge", base, tmp_path / "c", "--out", tmp_path / "m").returncode == 0


@pytest.mark.parametrize("words", [("suite", "quick", "--wrong"), ("host", "--wrong"), ("capacity",), ("bench", "--wrong"), ("report",),
                                   ("verify",), ("merge",), ("trend", "--wrong"), ("sensitivity", "--wrong"), ("limit",), ("limit", "publish"), ("mix",), ("mix", "nothing")])
def test_a_wrong_call(poolmark, words):
    done = poolmark(*words)
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("compare", "--wrong"), ("nightly", "--repetitions", "1"), ("nightly", "--wrong")])
def test_a_wrong_call_of_what_gives_a_verdict(poolmark, words):
    assert poolmark(*words).returncode == 4


def test_names_that_are_not_utf8_are_no_traceback(poolmark, tmp_path):
    """A folder name in Latin-1: every command with a folder reads it, or reports in one sentence why not."""
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    name = os.fsdecode(folder)
    suite = write_suite(Path(name))
    done = poolmark("suite", suite, "--build", FAKES, "--out", f"{name}/run")
    assert done.returncode == 0, done.stderr
    command = json.loads(Path(f"{name}/run/run.json").read_text(encoding="utf-8"))["command"]
    assert any("caf\\xe9" in word for word in command)
    for words in (("verify", f"{name}/run"), ("report", f"{name}/run"), ("capacity", f"{name}/run"), ("verify", f"{name}/none"),
                  ("compare", f"{name}/run", f"{name}/run", "--out", f"{name}/verdict"), ("trend", "--history", f"{name}/none"),
                  ("suite", "quick", "--build", name), ("merge", f"{name}/run", f"{name}/run")):
        done = poolmark(*words)
        assert "Traceback" not in done.stderr and done.returncode < 6, (words, done.stderr)


def test_a_damaged_history_and_a_missing_build_are_one_sentence(poolmark, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "empty.sqlite") as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    (tmp_path / "text.sqlite").write_text("x" * 5000)
    for name in ("empty", "text", "none"):
        done = poolmark("trend", "--history", tmp_path / f"{name}.sqlite")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, (name, done.stderr)
    done = poolmark("host", "--connections", "10", env={**os.environ, "POOLMARK_BUILD": str(tmp_path)})
    assert done.returncode == 2 and "is not there; run make first" in done.stderr and done.stderr.count("\n") == 1
