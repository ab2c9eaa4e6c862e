# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark soak: a short one holds with the real broker, each verdict can fail, and verify makes them again."""
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from documented import undocumented, undocumented_columns

from poolmark.attack import packets
from poolmark.base.errors import RecordError
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.records import read_record, rounds
from poolmark.records.rounds import FAILS, HOLDS, UNTOLD, Round
from poolmark.run import soak
from poolmark.verify.complaints import complaints

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
built = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen")),
                           reason="the programs are not built")


def level(**last):
    """Five rounds of a broker in which nothing is left; `last` changes the last one."""
    rows = [Round(number, number * 10, 1_000_000 if number > 1 else 900_000, 20, 0, 500, 0, 0, 200) for number in range(1, 6)]
    for name, value in last.items():
        setattr(rows[-1], name, value)
    return rows


def found(rows, warm_up=2):
    return {name: one["verdict"] for name, one in rounds.verdicts(rows, warm_up).items()}


def test_a_level_broker_holds_every_verdict():
    assert set(found(level()).values()) == {HOLDS}
    assert set(found(level(memory_bytes=1_010_000)).values()) == {HOLDS}       # 1 % is not too much
    assert set(found(level(memory_bytes=100_000, descriptors=3)).values()) == {HOLDS}


@pytest.mark.parametrize("last, name, why", [
    ({"memory_bytes": 1_010_001}, "memory", "+1.00 %"), ({"descriptors": 21}, "descriptors", "+1 at the end"),
    ({"objects_in_use": 1}, "pools", "1 object in use"), ({"messages_lost": 1}, "losses", "1 of 2 500 messages lost"),
    ({"clients_lost": 1}, "losses", "1 client failed"), ({"records_not_complete": 1}, "losses", "1 record of the load not complete")])
def test_each_verdict_can_fail(last, name, why):
    rows = level(**last)
    verdicts = found(rows)
    assert verdicts.pop(name) == FAILS and set(verdicts.values()) == {HOLDS}
    assert why in rounds.verdicts(rows, 2)[name]["why"]


def test_an_object_that_is_left_counts_after_any_round():
    rows = level()
    rows[0].objects_in_use = 7
    assert found(rows)["pools"] == FAILS


@pytest.mark.parametrize("last, name", [({"memory_bytes": None}, "memory"), ({"descriptors": None}, "descriptors"),
                                        ({"objects_in_use": None}, "pools")])
def test_what_could_not_be_read_cannot_be_told(last, name):
    assert found(level(**last))[name] == UNTOLD


def test_too_few_rounds_and_no_message_tell_nothing():
    assert set(found(level()[:3]).values()) == {UNTOLD} == set(found([]).values())
    assert found([Round(number, 1, 1, 1, 0) for number in range(1, 6)])["losses"] == UNTOLD


@pytest.mark.parametrize("name, column", [("messages.misdelivered", "messages_lost"), ("messages.duplicates_excluded", "messages_lost"),
                                          ("messages.out_of_order", "messages_lost"), ("messages.lost", "messages_lost"),
                                          ("clients.session_unasked", "clients_lost"), ("clients.dropped", "clients_lost")])
def test_every_fault_of_a_round_counts(name, column):
    """Losses held where messages came to the wrong clients, or twice."""
    row = Round(1, 10, 1, 1, 0)
    one = soak.Soak.__new__(soak.Soak)
    one.count(row, "qos2", {"status": "complete", "anomalies": [], "metrics": {name: {"value": 3}, "messages.duplicates": {"value": 5}}})
    assert getattr(row, column) == 3 and row.messages_lost + row.clients_lost == 3


def test_rounds_come_back_from_their_file_as_they_went(tmp_path):
    path, rows = tmp_path / "rounds.csv", level(memory_bytes=None)
    path.write_text(",".join(rounds.COLUMNS) + "\n" + "".join(map(rounds.line, rows)))
    assert rounds.read(path) == rows
    for text in ("round\n1\n", ",".join(rounds.COLUMNS) + "\n" + "," * (len(rounds.COLUMNS) - 1) + "\n"):
        path.write_text(text)
        with pytest.raises(RecordError):
            rounds.read(path)


def test_a_short_soak_has_short_pieces():
    assert [soak.piece_s(seconds) for seconds in (5, 60, 1800)] == [0.5, 1.5, 3.0]


@built
@pytest.mark.parametrize("name, scenario, options", [*soak.steps(1), ("kills", *soak.KILLED)], ids=lambda value: str(value)[:8])
def test_the_generator_takes_each_call_of_a_round(name, scenario, options):
    told, wrong = described.ask("poolmark-loadgen", soak.load_words(scenario, options), BUILD)
    assert told is not None, wrong


@built
def test_a_short_soak_holds(tmp_path):
    done = subprocess.run([ROOT / "scripts/poolmark", "soak", "--for", "5s", "--build", BUILD, "--out", tmp_path / "run"],
                          capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_record.load(tmp_path / "run")
    values = {name: one["value"] for name, one in run.data["metrics"].items()}
    assert run.data["status"] == "complete" and undocumented(values) == [] == undocumented_columns(run.folder)
    assert {one["verdict"] for one in run.data["summary"]["verdicts"].values()} == {HOLDS}
    assert values["soak.rounds"] >= 4 and values["soak.kills"] == 200 * values["soak.rounds"]
    assert values["soak.messages_checked"] > 1000 and values["soak.messages_lost"] == values["soak.objects_left"] == 0
    assert complaints(run)[0] == []
    run.data["metrics"]["soak.kills"]["value"] += 1
    run.data["summary"]["verdicts"]["pools"]["verdict"] = FAILS
    wrong = " ".join(complaints(run)[0])
    assert "soak.kills" in wrong and "summary.verdicts.pools" in wrong


HURRIED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from poolmark.run import soak
every = soak.steps
soak.steps = lambda seconds: [step for step in every(seconds) if step[0] == "qos1"]
soak.REST_S = 2.0
from poolmark.cli import main
sys.exit(main(["soak", *sys.argv[2:]]))
"""


@built
def test_a_client_that_stays_makes_pools_and_descriptors_fail(tmp_path):
    """The client comes when the warm-up is over."""
    process = subprocess.Popen([sys.executable, "-c", HURRIED, str(ROOT / "scripts/python"), "--for", "5s", "--build", str(BUILD), "--out",
                                str(tmp_path / "run")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(240, process.kill)
    guard.start()
    try:
        said = ""
        while "round 2" not in said:
            line = process.stderr.readline()
            assert line, process.communicate()
            said += line
        log = (tmp_path / "run/broker.log").read_text()
        host, _, port = next(text.split()[1] for text in log.splitlines() if text.startswith("listening ")).rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(packets.connect("who-stays"))
            assert client.recv(4) == b"\x20\x02\0\0"
            told, _ = process.communicate()
    finally:
        guard.cancel()
        process.kill()
    assert process.returncode == 1, told
    data = read_record.load(tmp_path / "run").data
    verdicts = {name: one["verdict"] for name, one in data["summary"]["verdicts"].items()}
    assert data["status"] == "failed" and verdicts["pools"] == verdicts["descriptors"] == FAILS and verdicts["losses"] == HOLDS


@built
def test_a_broker_that_is_killed_ends_the_soak(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HURRIED, str(ROOT / "scripts/python"), "--for", "60s", "--build", str(BUILD), "--out",
                                str(tmp_path / "run")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(240, process.kill)
    guard.start()
    try:
        while "round 1" not in process.stderr.readline():
            assert process.poll() is None
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if b"poolmark-broker" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), 9)
        told = process.communicate()
    finally:
        guard.cancel()
        process.kill()
    data = read_record.load(tmp_path / "run").data
    assert process.returncode == 1 and data["status"] == "incomplete", told
    assert any("SIGKILL" in one["text"] for one in data["anomalies"])


def test_a_wrong_call_is_named(poolmark, tmp_path):
    for words, complaint in ((["--for", "1s"], "out of bounds"), (["--for", "long"], "--for"), (["--build", str(tmp_path)], "is not there")):
        done = poolmark("soak", *words)
        assert done.returncode == 2 and complaint in done.stderr, done.stderr
