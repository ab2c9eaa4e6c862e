# SPDX-License-Identifier: Apache-2.0
"""The bare client (bench/bare): it moves what it says, its figures follow from its files, and suite `speed` puts it beside the
generator. What a run measures is not judged here."""
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from poolmark.base.errors import RecordError
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.records import bare, beside, read_record
from poolmark.verify.complaints import complaints

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "bare-client")),
                                reason="the programs are not built")
GUARD_S = 120


class Broker:
    """A reference broker with a record."""

    def __init__(self, folder):
        self.folder = folder
        self.process = subprocess.Popen([str(BUILD / "poolmark-broker"), "--listen", "127.0.0.1:0", "--record", str(folder)],
                                        stdout=subprocess.PIPE, text=True)
        lines = iter(self.process.stdout.readline, "")
        self.address = next(line.split()[1] for line in lines if line.startswith("listening "))
        assert next(line for line in lines if line.strip() == "ready")

    def counters(self):
        self.stop()
        return json.loads((self.folder / "run.json").read_text())["counters"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=GUARD_S)


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "broker")
    yield made
    if made.process.poll() is None:
        made.stop()


def run(broker, folder, *words):
    argv = [str(BUILD / "bare-client"), "--target", f"mqtt://{broker.address}", "--watch-pid", str(broker.process.pid), "--record", str(folder),
            "--warmup", "100ms", "--duration", "300ms", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=GUARD_S)


@pytest.mark.parametrize("words", [("--pairs", 7, "--publish-rate", 0), ("--pairs", 7, "--publish-rate", 0, "--qos", 1),
                                   ("--pattern", "fan-in", "--publishers", 5, "--publish-rate", 0),
                                   ("--pattern", "fan-in", "--publishers", 5, "--publish-rate", 0, "--qos", 1, "--in-flight", 1),
                                   ("--pairs", 3, "--publish-rate", 2000), ("--pattern", "fan-in", "--publishers", 3, "--publish-rate", 2000,
                                                                            "--qos", 1, "--payload", "10KiB")])
def test_what_it_counts_is_what_the_broker_counted(tmp_path, broker, words):
    done = run(broker, tmp_path / "bare", *words)
    assert done.returncode == 0, done.stderr
    figures = bare.metrics_of(tmp_path / "bare")
    sent = figures["messages.sent"]["value"]
    assert sent > 0 and figures["messages.received"]["value"] == sent and figures["messages.lost"]["value"] == 0
    assert done.stdout.startswith(f"{sent} messages sent, {sent} arrived;")
    counted = broker.counters()
    assert counted["messages_received"] == counted["messages_sent"] == sent
    assert counted["received_qos_1"] == (sent if "--qos" in words else 0)


def test_with_a_rate_each_message_is_sent_and_has_a_latency_and_a_lag(tmp_path, broker):
    done = run(broker, tmp_path / "bare", "--pairs", 3, "--publish-rate", 1000)
    assert done.returncode == 0, done.stderr
    figures = bare.metrics_of(tmp_path / "bare")
    # Message 0 is due at the start, and those of 100 to 399 ms are measured.
    assert 390 <= figures["messages.sent"]["value"] <= 400
    assert 290 <= figures["delivery.count"]["value"] <= 300
    assert figures["delivery.p50"]["value"] > 0 and "schedule.lag_p99" in figures
    assert all(described.metric_of(name, described.catalogue(BUILD)) for name in figures)


def test_a_target_that_ends_is_a_failure(tmp_path, broker):
    argv = [str(BUILD / "bare-client"), "--target", broker.address, "--pairs", "2", "--publish-rate", "100", "--duration", "1h"]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    broker.process.kill()
    _, told = client.communicate(timeout=GUARD_S)
    assert client.returncode == 1 and told.startswith("bare-client: ")


def test_another_packet_than_was_sent_is_a_failure(broker):
    """A relay that turns the first byte of the first PUBLISH of the broker into another one."""
    host, port = broker.address.rsplit(":", 1)
    server = socket.create_server(("127.0.0.1", 0))

    def forward(source, sink, spoil):
        seen = b""
        while part := source.recv(1 << 16):
            if spoil:
                at = (seen + part).find(b"\x00\x14poolmark/bare/000000") - len(seen)
                seen = (seen + part)[-64:]
                if at >= 2:
                    part = part[:at - 2] + b"\x31" + part[at - 1:]
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)

    def serve():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            peer = socket.create_connection((host, int(port)))
            for pair in ((client, peer, False), (peer, client, True)):
                threading.Thread(target=lambda pair=pair: quietly(forward, *pair), daemon=True).start()

    def quietly(function, *values):
        try:
            function(*values)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    done = subprocess.run([str(BUILD / "bare-client"), "--target", f"127.0.0.1:{server.getsockname()[1]}", "--pairs", "1", "--publish-rate", "0",
                           "--in-flight", "1", "--duration", "1h"], capture_output=True, text=True, timeout=GUARD_S)
    server.close()
    assert done.returncode == 1 and "another packet arrived than was sent" in done.stderr


@pytest.mark.parametrize("words, told", [
    (("--pattern", "fan-in", "--pairs", "3"), "--pairs is for the pattern pairs"), (("--publishers", "3"), "--publishers is for the pattern fan-in"),
    (("--qos", "2"), "--qos"), (("--payload", "8"), "--payload"), (("--watch-pid", "x"), "is no process"), (("here",), "'here' is no option"),
    (("--pattern", "fan-out"), "--pattern")])
def test_a_wrong_call_is_exit_2(words, told):
    done = subprocess.run([str(BUILD / "bare-client"), *words], capture_output=True, text=True, timeout=GUARD_S)
    assert done.returncode == 2 and told in done.stderr


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = subprocess.run([str(BUILD / "bare-client"), "--target", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=GUARD_S)
    assert done.returncode == 1 and "cannot connect" in done.stderr


# --- its figures

LINES = """at_ns,phase,sent,received,client_cpu_ns,target_cpu_ns
1000000000,start,0,0,10,5000
2000000000,warm,900,800,20,7000
4000000000,end,3000,2900,30,9000
4100000000,after,3000,2990,40,20000
"""


def write(folder, text):
    (folder / bare.FILE).write_text(text)
    (folder / bare.LATENCIES).write_text("#[Histogram log format version 1.3]\n")


def test_figures_follow_from_the_lines(tmp_path):
    write(tmp_path, LINES)
    values = {name: one["value"] for name, one in bare.metrics_of(tmp_path).items()}
    assert values == {"messages.sent": 3000, "messages.received": 2990, "messages.lost": 10, "messages.rate": 1050.0, "messages.seconds": 2.0,
                      "cpu.per_message_ns": 5.0}
    write(tmp_path, LINES.replace(",20000", ","))
    assert bare.metrics_of(tmp_path)["cpu.per_message_ns"]["value"] is None


@pytest.mark.parametrize("text, told", [(LINES.rsplit("4100", 1)[0], "there is no line 'after'"), (LINES.replace("2900", ""), "end, received"),
                                        (LINES.replace("sent", "set"), "start, sent")])
def test_a_file_that_is_not_whole_is_named(tmp_path, text, told):
    write(tmp_path, text)
    with pytest.raises(RecordError) as caught:
        bare.metrics_of(tmp_path)
    assert told in str(caught.value)


# --- beside the generator


def speed(poolmark, tmp_path, *words):
    return poolmark("suite", "speed", "--build", BUILD, "--repetitions", "2", "--out", tmp_path / "run", "--set", "duration=300ms", "--set",
                    "warmup=100ms", *words)


def test_suite_speed_makes_one_table_of_both_and_verify_takes_it(tmp_path, poolmark):
    done = speed(poolmark, tmp_path, "--only", "pairs_qos1|tenth", "--set", "tenth.publish-rate=1000")
    run = read_record.load(tmp_path / "run")
    assert run.data["status"] in ("complete", "failed", "incomplete") and len(run.data["cells"]) == 8, done.stderr
    assert complaints(run)[0] == []
    rows = list(beside.lines(run.data))
    assert [line.label() for line in rows] == ["pairs-qos1: messages per second", "pairs-qos1: CPU per message", "tenth: messages per second",
                                               "tenth: behind the schedule, p99", "tenth: delivery p50", "tenth: delivery p99"]
    assert all(len(side.values) == 2 for side in rows[0].sides)
    if min(value for side in rows[0].sides for value in side.values) > 0:   # a starved run may have moved nothing
        assert rows[0].ratio()[0] > 0
    assert all(len(side.values) == 2 for line in rows[4:] for side in line.sides)
    ours, theirs = (next(cell for cell in run.data["cells"] if cell["config"]["client"] == one) for one in ("generator", "bare"))
    assert ours["commands"][1][0].endswith("poolmark-loadgen") and theirs["commands"][1][0].endswith("bare-client")
    assert "bare" in theirs["files"] and "record" in ours["files"]
    # An edited count is found, from either file.
    file = run.file(theirs["files"]["bare"])
    text = file.read_text()
    file.write_text(text.replace("after", "afters"))
    assert any("bare.csv" in one for one in complaints(run)[0])


@pytest.mark.parametrize("text, told", [('scenario = "connect"', "client bare can only publish"), ('scenario = "publish"\nqos = 2', "--qos")])
def test_a_phase_that_the_bare_client_cannot_play_is_a_fault_of_the_file(tmp_path, poolmark, text, told):
    file = tmp_path / "x.toml"
    file.write_text(f'[config]\nengine = "raw"\nconnections = 10\nclient = "bare"\n[[phase]]\nname = "load"\n{text}\n')
    done = poolmark("suite", file, "--build", BUILD, "--dry-run")
    assert done.returncode == 2 and f"{file}:5: " in done.stderr and told in done.stderr
