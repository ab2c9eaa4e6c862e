# SPDX-License-Identifier: Apache-2.0
"""What people and programs see of the load generator: progress, --json, the summary, the percentile files."""
import fcntl
import json
import os
import re
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from poolmark.base.paths import build_dir
from poolmark.records import hlog

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = build_dir() / "poolmark-loadgen"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="the programs are not built")


@pytest.fixture(scope="module")
def port():
    with subprocess.Popen([PROGRAM.with_name("poolmark-broker"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as broker:
        try:
            yield broker.stdout.readline().split(":")[-1].strip()
        finally:
            broker.terminate()


def run(port, *words, code=0, **how):
    done = subprocess.run([PROGRAM, words[0], "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw", *map(str, words[1:])],
                          capture_output=True, text=True, timeout=60, check=False, **how)
    assert done.returncode == code, done.stderr
    return done


def test_the_summary_is_short_and_every_name_comes_on_request(port, tmp_path):
    words = ["publish", "--pairs", 5, "--qos", 1, "--duration", "1s", "--warmup", 0]
    short = run(port, *words, "--record", tmp_path / "a").stdout
    assert 15 <= len(short.splitlines()) <= 25
    assert re.search(r"^connections +10 +10$", short, re.M) and re.search(r"^delivery( +\S+ \w+){5} +1000$", short, re.M), short
    assert str(tmp_path / "a") in short and "delivery.p99" not in short
    whole = run(port, *words, "--record", tmp_path / "b", "--all").stdout
    metrics = json.loads((tmp_path / "b/run.json").read_text())["metrics"]
    assert len(metrics) > 30 and all(re.search(rf"^{re.escape(name)} ", whole, re.M) for name in metrics)
    assert run(port, *words, "--quiet").stdout == ""


def test_percentile_files_agree_with_the_log_as_another_implementation_reads_it(port, tmp_path):
    """HdrHistogram_c writes NAME.hgrm; poolmark.records.hlog decodes latency.hlog in Python."""
    run(port, "publish", "--pairs", 5, "--qos", 1, "--duration", "1s", "--warmup", 0, "--record", tmp_path / "run", "--hgrm", "--quiet")
    logged = hlog.by_tag(hlog.read(tmp_path / "run/latency.hlog"))
    files = {path.stem: path.read_text() for path in (tmp_path / "run").glob("*.hgrm")}
    assert set(files) == set(logged) and {"connect", "ack", "delivery", "delivery_uncorrected"} <= set(files)
    for name, text in files.items():
        lines = text.splitlines()
        assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        rows = [line.split() for line in lines[2:] if line and line[0] != "#"]
        assert float(rows[-1][1]) == 1 and int(rows[-1][2]) == logged[name].count
        for value, share, below, _ in rows:
            assert float(value) == pytest.approx(logged[name].percentile(100 * int(below) / logged[name].count) / 1e6, rel=2e-3, abs=1e-3), share
    listed = json.loads((tmp_path / "run/run.json").read_text())["files"]
    assert {f"{name}.hgrm" for name in files} <= set(listed)


def test_percentile_files_without_a_record_are_a_wrong_call(port):
    assert "--record" in run(port, "connect", "--connections", 1, "--hgrm", code=2).stderr


# --- --json ----------------------------------------------------------------------------------------------------------

PUBLISH = ["publish", "--pairs", 5, "--qos", 1, "--duration", "2s", "--warmup", 0, "--publish-rate", 200, "--rate", 1000]


def test_an_object_a_second_has_always_the_same_keys_and_the_summary_is_the_last(port, tmp_path):
    done = run(port, *PUBLISH, "--json", "--quiet", "--record", tmp_path / "run")
    assert all(line.startswith("poolmark-loadgen: ") for line in done.stderr.splitlines())  # anomalies alone
    *seconds, summary = map(json.loads, done.stdout.splitlines())
    assert len(seconds) >= 2 and len({tuple(sorted(one)) for one in seconds}) == 1
    assert all((one["type"], one["schema"]) == ("second", "poolmark.load/1") for one in seconds)
    last = seconds[-1]
    assert last["connections"] == last["connections_wanted"] == 10 and last["target_rss_bytes"] is None
    assert any(0 < (one["messages_per_s_asked"] or 0) <= 200 and one["delivery"]["count"] > 0 and one["delivery"]["p50_ns"] > 0 for one in seconds)
    assert sum(one["connect"]["count"] for one in seconds) == 10
    assert summary["type"] == "summary" and summary["status"] == "complete" and summary["record"] == str(tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert summary["limit"] == record["summary"]["limit"]
    assert {name: one["value"] for name, one in record["metrics"].items()} == pytest.approx(summary["metrics"], nan_ok=True)
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs/commands.md").read_text().split("## What the load generator prints")[1]))
    assert set(last) | set(summary) <= documented


@pytest.mark.parametrize("words, phase, kinds", [
    (("churn", "--churn-rate", 100, "--duration", "2s"), "churn", {"arrivals": ("arrival", 100)}),
    (("burst", "--burst", 50, "--burst-rate", 100, "--repeat", 2, "--stay", 0, "--calm", 0), "burst", {"arrivals": ("arrival", 100)}),
    (("storm", "--by-client"), "storm", {"arrivals": ("arrival", None)}),
    (("soak", "--churn-rate", 100, "--pairs", 2, "--publish-rate", 200, "--duration", "2s"), "soak",
     {"arrivals": ("arrival", 100), "messages": ("delivery", 200)}),
    (("subscribe", "--filters", 5, "--subscribe-rate", 100, "--repeat", 1), "subscribe",
     {"subscribes": ("subscribe", 100), "unsubscribes": ("unsubscribe", 100)})])
def test_the_life_that_is_measured_is_seen_while_it_goes_on(port, words, phase, kinds):
    """Asked and had rate, and the latency of the last second: as an object, and as a line."""
    done = run(port, words[0], "--connections", 20, *words[1:], "--json")
    *seconds, summary = map(json.loads, done.stdout.splitlines())
    for plural, (latency, rate) in kinds.items():
        seen = [one for one in seconds if one[f"{plural}_per_s"] > 0]
        assert seen and any(one[latency]["count"] > 0 and one[latency]["max_ns"] > 0 for one in seconds), (plural, seconds)
        asked = [one[f"{plural}_per_s_asked"] for one in seconds]
        if rate:
            assert any(0 < (one or 0) <= rate * 1.001 for one in asked), asked
            assert re.search(rf" \d+ {plural}/s of \d+, ", done.stderr), done.stderr
        else:
            assert not any(asked) and re.search(rf" \d+ {plural}/s, p50 ", done.stderr), done.stderr
        assert summary[plural if plural != "messages" else "messages_sent"] >= sum(one[latency]["count"] for one in seconds) > 0
        assert re.search(rf" \d+ {plural}/s( of \d+)?,( \d+/s arrived,)? p50 ", done.stderr), done.stderr


def test_slow_has_the_rate_that_was_had_and_its_record_bears_it_out(port, tmp_path):
    text = run(port, "slow", "--subscribers", 10, "--publish-rate", 200, "--before", "300ms", "--duration", "400ms", "--after", "300ms",
               "--record", tmp_path / "run").stdout
    assert re.search(r"^messages a second +200\.0/s +\d+\.\d/s$", text, re.M), text
    metrics = json.loads((tmp_path / "run/run.json").read_text())["metrics"]
    assert 0 < metrics["messages.rate"]["value"] <= 220 and metrics["messages.seconds"]["value"] >= 1
    done = subprocess.run([ROOT / "scripts/poolmark", "verify", tmp_path / "run"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_objects_say_what_went_wrong():
    done = run(1, "connect", "--connections", 3, "--json", "--quiet", code=1)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["status"] == "failed" and summary["failed_by"] == {"tcp_refused": 3}
    assert "nobody listens" in summary["ended_early"]


def test_a_reader_that_does_not_read_misses_objects_and_holds_up_no_run(port, tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    with subprocess.Popen([PROGRAM, "publish", "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw", "--pairs", "2", "--duration",
                           "2s", "--json", "--quiet", "--record", tmp_path / "run"], stdout=write) as process:
        os.close(write)
        while process.poll() is None and not re.search(r'"status": *"complete"', _text(tmp_path / "run/run.json")):
            time.sleep(0.02)  # the record is closed although nobody has read
        assert process.poll() is None
        with os.fdopen(read, "rb") as stream:
            summary = json.loads(stream.read().lstrip(b"x").splitlines()[-1])
        assert process.wait(60) == 0 and summary["seconds_left_out"] >= 2


def _text(path):
    return path.read_text() if path.exists() else ""


# --- progress --------------------------------------------------------------------------------------------------------


def on_a_terminal(port, rows, columns, *words):
    """What a terminal of this size gets, in its own order."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen([PROGRAM, words[0], "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw", *map(str, words[1:])],
                          stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # EIO: end of the output
            pass
        os.close(ours)
        assert process.wait(60) == 0
    return said.decode()


def screen(said, rows, columns):
    """The lines of a terminal after that output: text, CR, LF, and the two or three sequences that progress uses. Without anomalies,
    of which a busy host has some."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+", said):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif move := re.fullmatch(r"\x1b\[(\d+)A", piece):
            row -= int(move[1])
            assert row >= max(0, len(lines) - rows)  # a terminal cannot go above its first row
        elif piece == "\x1b[J":
            del lines[row + 1:]
            lines[row] = ""
        elif piece not in ("\r", "\x1b[K"):
            assert len(piece) < columns or piece.startswith("poolmark-loadgen: "), piece
            lines[row] = piece
    return [line for line in lines if not line.startswith("poolmark-loadgen: ")]


def test_a_terminal_shows_one_frame_that_is_drawn_anew(port):
    lines = screen(on_a_terminal(port, 24, 80, *PUBLISH), 24, 80)
    text = "\n".join(lines)
    assert text.count("clients") == text.count("errors") == 1, text
    assert re.search(r"^  clients +10 of 10 connected, 0 failed, 0 dropped$", text, re.M)
    assert re.search(r"^  messages +\d+/s", text, re.M) and re.search(r"^  errors +none$", text, re.M)


@pytest.mark.parametrize("rows, columns", [(5, 80), (24, 30)])
def test_a_small_terminal_is_never_overrun(port, rows, columns):
    lines = screen(on_a_terminal(port, rows, columns, *PUBLISH), rows, columns)
    assert sum("connected" in line or "clients" in line for line in lines) == 1, lines


def test_without_a_terminal_it_is_a_plain_line_a_second(port):
    said = run(port, *PUBLISH).stderr
    assert "\x1b" not in said and "\r" not in said
    assert re.search(r"^ +\d\.\d s  publish  10 of 10 connected, 0 failed, 0 dropped, \d+ messages/s of \d+, \d+/s arrived, p50 \S+ \w+, p99 ", said, re.M), said
