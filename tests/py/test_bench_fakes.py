# SPDX-License-Identifier: Apache-2.0
"""The benchmark runner with small programs instead of poolmark-bench. They misbehave, take too long, or find no full speed."""
import json
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from bench_told import anomalies, texts
from conftest import ROOT
from poolmark.base.paths import build_dir

FAKE = """\
#!{python}
import json, os, sys, time
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
if "--describe" in sys.argv:
    os.execv({real!r}, ["poolmark-bench", "--describe"])
if "--benchmark_list_tests" in sys.argv:
    print("lifo/null/64\\nlifo/malloc/64\\nlifo/bad/64")
    sys.exit(0)
if "--poolmark_probe" in sys.argv:
    print("0.25")
    {probe}
    sys.exit(0)
name = flags["benchmark_filter"].strip("^$")
out = flags["benchmark_out"]
number = int(os.path.basename(out).split(".")[0].split("-")[0])
again = "poolmark_patience_ms" in flags
preload = os.path.basename(os.environ.get("LD_PRELOAD", ""))
allocator = preload.split(".")[0].removeprefix("lib") or "glibc"
one = {{"name": name, "per_op": 1e-9 * number}}
data = {{"context": {{"allocator": allocator, "glibc_tunables": os.environ.get("GLIBC_TUNABLES", "")}},
         "benchmarks": [one]}}
def write(text):
    with open(out, "w") as file:
        file.write(text)
{body}
write(json.dumps(data))
"""


@pytest.fixture
def fake(tmp_path):
    """Creates a build folder with a poolmark-bench whose runs execute `body`; returns the folder."""

    def make(body="", probe="pass"):
        folder = tmp_path / "build"
        folder.mkdir()
        program = folder / "poolmark-bench"
        program.write_text(FAKE.format(python=sys.executable, body=textwrap.dedent(body), probe=probe,
                                       real=str(build_dir() / "poolmark-bench")))
        program.chmod(0o755)
        return folder

    return make


def run_fake(poolmark, folder, out, *words):
    done = poolmark("bench", "--build", folder, "--out", out, "--filter", "/(null|malloc|bad)/", "--seed", "1", *words)
    return done, json.loads((out / "run.json").read_text())


def statuses(data):
    return {cell["id"]: cell["status"] for cell in data["cells"]}


@pytest.mark.parametrize("body, what, named", [
    ("""
     if name == "lifo/bad/64":
         one.update(error_occurred=True, error_message="a get gave no object")
     """, "skipped", "lifo/bad/64: a get gave no object"),
    ("""
     if name == "lifo/bad/64":
         write('{"context": {')
         sys.exit(0)
     """, "report", "cells/lifo/bad/64.1/1.json: is not JSON"),
    ("""
     if name == "lifo/bad/64":
         print("no such strategy", file=sys.stderr)
         sys.exit(2)
     """, "process", "ended with exit code 2: no such strategy"),
    ("""
     if name == "lifo/bad/64":
         os.kill(os.getpid(), 11)
     """, "process", "was ended by SIGSEGV"),
    ("""
     if name == "lifo/bad/64":
         data["context"]["allocator"] = "jemalloc"
     """, "report", "context.allocator: is 'jemalloc'; lifo/bad/64 asked for 'glibc'"),
])
def test_one_that_fails_is_named_and_the_others_are_kept(poolmark, tmp_path, fake, body, what, named):
    done, data = run_fake(poolmark, fake(body), tmp_path / "run", "--repetitions", "2")
    assert done.returncode == 1
    assert named in done.stderr
    assert data["status"] == "incomplete"
    assert statuses(data) == {"lifo/null/64.1": "complete", "lifo/malloc/64.1": "complete", "lifo/bad/64.1": "failed"}
    assert anomalies(data) == [what]
    assert named in texts(data)[0]
    values = {cell["id"]: cell["metrics"].get("time", {}).get("samples") for cell in data["cells"]}
    assert values["lifo/null/64.1"] == pytest.approx([1, 2])
    assert not values["lifo/bad/64.1"]
    assert poolmark("verify", tmp_path / "run").returncode == 0


def slow_until(attempt):
    """A fake whose lifo/malloc/64 finds no full speed before that attempt of a round."""
    return f"""
        one.update(any_speed_ns=1.0, full_speed_share=1.0, at_full_speed=1.0, step_ns=0.2)
        seen = os.path.join(os.path.dirname(sys.argv[0]), f"seen-{{number}}")
        if name == "lifo/malloc/64" and allocator == "glibc" and not os.environ.get("GLIBC_TUNABLES"):
            count = int(open(seen).read()) + 1 if os.path.exists(seen) else 1
            open(seen, "w").write(str(count))
            assert again == (count > 1), sys.argv
            if count < {attempt}:
                one.update(per_op=1e-6, full_speed_share=0.001 * count, at_full_speed=0.0)
        """


def test_what_found_no_full_speed_is_measured_again(poolmark, tmp_path, fake):
    done, data = run_fake(poolmark, fake(slow_until(3)), tmp_path / "run", "--repetitions", "2")
    assert done.returncode == 0, done.stderr
    assert {one["what"] for one in data["anomalies"]} <= {"busy"}
    cells = {cell["id"]: cell for cell in data["cells"]}
    assert cells["lifo/malloc/64.1"]["metrics"]["time"]["samples"] == pytest.approx([1, 2])
    words = [" ".join(words) for words in cells["lifo/malloc/64.1"]["commands"]]
    assert len(words) == 6 and sum("--poolmark_patience_ms=1000" in one for one in words) == 4
    assert all("--benchmark_min_time=0.03" in one for one in words if "patience" not in one)
    assert all("--benchmark_min_time=0.12" in one for one in words if "patience" in one)
    assert len(cells["lifo/null/64.1"]["commands"]) == 2
    assert "--poolmark_step_ns=0.25" in " ".join(cells["lifo/null/64.1"]["commands"][0] +
                                                cells["lifo/malloc/64.1"]["commands"][0] +
                                                cells["lifo/bad/64.1"]["commands"][0])
    assert data["summary"]["step_ns"] == 0.2  # the fastest that any process saw, passed to later ones
    assert any("--poolmark_step_ns=0.2000" in one for one in words)
    files = cells["lifo/malloc/64.1"]["files"]
    assert files["round_1"].endswith("/1-again-2.json") and files["round_2"].endswith("/2-again-2.json")
    assert sorted(path.name for path in (tmp_path / "run" / files["round_1"]).parent.iterdir()) == ["1-again-2.json", "2-again-2.json"]
    assert any("/1-again-2.json" in one for one in words)
    assert poolmark("verify", tmp_path / "run").returncode == 0


def test_what_stays_slow_is_told_and_kept_with_its_best_attempt(poolmark, tmp_path, fake):
    done, data = run_fake(poolmark, fake(slow_until(99)), tmp_path / "run", "--repetitions", "2", "--again", "1")
    assert done.returncode == 0, done.stderr
    assert [one["what"] for one in data["anomalies"] if one["what"] != "busy"] == ["slow"]
    assert "2 of 6 measurements found too little" in done.stderr and "they are in the figures of 1 of 3 benchmarks" in done.stderr
    cell = next(cell for cell in data["cells"] if cell["id"] == "lifo/malloc/64.1")
    assert cell["metrics"]["time"]["samples"] == pytest.approx([1000, 1000])
    assert cell["metrics"]["full_speed_share"]["samples"] == pytest.approx([0.002, 0.002])
    assert len(cell["commands"]) == 4


def test_a_second_attempt_that_fails_leaves_the_figure_that_is_there(poolmark, tmp_path, fake):
    body = slow_until(99) + """
        if again:
            write("{")
            sys.exit(0)
        """
    done, data = run_fake(poolmark, fake(body), tmp_path / "run", "--repetitions", "1", "--again", "1")
    assert done.returncode == 0, done.stderr
    assert "lifo/malloc/64, again: " in done.stderr and "is not JSON" in done.stderr
    cell = next(cell for cell in data["cells"] if cell["id"] == "lifo/malloc/64.1")
    assert (data["status"], cell["status"], [one["what"] for one in cell["anomalies"]]) == ("complete", "complete", ["again"])
    assert cell["metrics"]["time"]["value"] == pytest.approx(1000)
    assert not list((tmp_path / "run").rglob("*again*"))
    assert poolmark("verify", tmp_path / "run").returncode == 0


def test_a_program_that_knows_no_speed_is_told_none(poolmark, tmp_path, fake):
    done, data = run_fake(poolmark, fake(probe="sys.exit(2)"), tmp_path / "run", "--repetitions", "1")
    assert done.returncode == 0, done.stderr
    assert data["config"]["windows"] == "any" and data["summary"]["step_ns"] is None
    assert not any("poolmark_step_ns" in word for cell in data["cells"] for words in cell["commands"] for word in words)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_interrupted_before_its_first_round_has_a_record(poolmark, tmp_path, fake, number, code):
    mark = "open(os.path.join(os.path.dirname(sys.argv[0]), 'second'), 'w').close(); time.sleep(600)"
    folder, out = fake(probe=mark), tmp_path / "run"
    assert interrupted(folder, out, "second", number=number)[0] == code
    data = json.loads((out / "run.json").read_text())
    assert data["status"] == "incomplete" and anomalies(data) == ["interrupted"]
    assert poolmark("verify", out).returncode == 0


def test_the_budget_ends_a_run_between_rounds(poolmark, tmp_path, fake):
    done, data = run_fake(poolmark, fake("time.sleep(1.2)"), tmp_path / "run", "--repetitions", "3", "--budget", "3s")
    assert done.returncode == 0, done.stderr
    assert anomalies(data) == ["budget"]
    assert "of 3 whole rounds fit the budget" in texts(data)[0]
    assert all(len(cell["metrics"].get("time", {}).get("samples", [])) < 3 for cell in data["cells"])


def interrupted(folder, out, mark, *words, number=signal.SIGINT):
    """Sends the signal when a program of the run has created the mark; returns (exit code, stdout, stderr)."""
    process = subprocess.Popen(
        [str(ROOT / "scripts" / "poolmark"), "bench", "--build", str(folder), "--out", str(out), "--filter",
         "/(null|malloc|bad)/", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (folder / mark).exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, stdout, stderr


def test_an_interrupted_run_keeps_what_it_measured(tmp_path, fake):
    folder, out = fake("""
        if number == 2:
            open(os.path.join(os.path.dirname(sys.argv[0]), "second"), "w").close()
            time.sleep(600)
        """), tmp_path / "run"
    code, stdout, stderr = interrupted(folder, out, "second", "--repetitions", "2")
    assert code == 130, stderr
    data = json.loads((out / "run.json").read_text())
    assert data["status"] == "incomplete"
    assert anomalies(data) == ["interrupted", "books"]
    books = data["books"]["measurements"]
    assert (books["attempted"], books["measured"], books["not_sent"], books["unfinished"]) == (6, 3, 2, 1)
    assert all(cell["metrics"]["time"]["samples"] == pytest.approx([1]) for cell in data["cells"])
    assert "lifo/64" in stdout


def test_a_run_interrupted_in_a_second_attempt_keeps_the_first(poolmark, tmp_path, fake):
    folder, out = fake(slow_until(99) + """
        if again:
            write("{")
            open(os.path.join(os.path.dirname(sys.argv[0]), "second"), "w").close()
            time.sleep(600)
        """), tmp_path / "run"
    code, _, stderr = interrupted(folder, out, "second", "--repetitions", "1")
    assert code == 130, stderr
    data = json.loads((out / "run.json").read_text())
    assert data["status"] == "incomplete" and {cell["status"] for cell in data["cells"]} == {"complete"}
    cell = next(cell for cell in data["cells"] if cell["id"] == "lifo/malloc/64.1")
    assert cell["metrics"]["time"]["value"] == pytest.approx(1000) and cell["files"]["round_1"].endswith("/1.json")
    assert not list(out.rglob("*again*"))
    assert poolmark("verify", out).returncode == 0


def test_a_counter_that_no_catalogue_has_is_told(fake, poolmark, tmp_path):
    _, data = run_fake(poolmark, fake("one.update(made_up_ns=7.0, at_full_speed=1.0)"), tmp_path / "run", "--repetitions", "1")
    assert [one["text"] for one in data["anomalies"] if one["what"] == "catalogue"] == [
        "the program's catalogue has no made_up_ns: their unit is not known"]
