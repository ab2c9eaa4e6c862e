# SPDX-License-Identifier: Apache-2.0
"""Sessions of others that are away: the target queues for them what a run publishes, and no list of sockets shows them."""
import contextlib
import socket
import subprocess
import time

import pytest
from faults import Broker, load, needs_mosquitto
from others import is_verified, packet, text
from test_strangers_elsewhere import mosquitto

AWAY = 50


def leave_sessions(port, count):
    """So many clients subscribe to everything at QoS 1, and leave. Their sessions stay."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(packet(0x10, text(b"MQTT") + b"\x04\0\0\0" + text(b"away-%d" % number)) + packet(0x82, b"\0\1" + text(b"#") + b"\1"))
            got = b""
            while len(got) < 9:
                got += client.recv(100)
            client.sendall(b"\xe0\0")
            assert client.recv(1) == b""


def publish(folder, port, pid, *more):
    return load(folder, "publish", port, "--pairs", 5, "--publish-rate", 200, "--duration", "500ms", "--warmup", 0, "--qos", 1, "--watch-pid",
                pid, *more)


def seen_by_the_target(port):
    done = subprocess.run(["mosquitto_sub", "-p", str(port), "-V", "mqttv311", "-t", "$SYS/broker/clients/disconnected", "-C", "1", "-W", "5"],
                          capture_output=True, text=True, check=True)
    return int(done.stdout)


@needs_mosquitto
def test_sessions_that_are_away_are_told_with_their_number(tmp_path):
    with mosquitto(tmp_path / "target", "sys_interval 1") as ((port,), pid):
        with publish(tmp_path / "alone", port, pid) as alone:
            assert alone.end() == 0
        leave_sessions(port, AWAY)
        while seen_by_the_target(port) != AWAY:
            time.sleep(0.1)
        with publish(tmp_path / "beside", port, pid) as beside:
            assert beside.end() == 0
    assert alone.record["summary"]["kept_sessions"] == {"start": 0, "end": 0, "why": None} and not alone.anomaly("kept_sessions")
    found = beside.record["summary"]["kept_sessions"]
    # mosquitto takes a connection without its CONNECT for one of the clients that it knows: then it counts one less.
    assert found["start"] == AWAY and found["end"] in (AWAY - 1, AWAY) and found["why"] is None
    assert f"sessions of other clients that are away: {AWAY} at the start" in beside.anomaly("kept_sessions")
    one = beside.record["metrics"]["cpu.per_message_ns"]
    assert one["value"] is None or one["doubt"] == "kept_sessions"
    good, said = is_verified(tmp_path / "beside")
    assert good, said


@needs_mosquitto
def test_so_are_those_that_come_meanwhile(tmp_path):
    with mosquitto(tmp_path / "target", "sys_interval 1") as ((port,), pid):
        with load(tmp_path / "run", "connect", port, "--connections", 20, "--hold", "3s", "--settle", 0, "--watch-pid", pid) as run:
            run.wait_for("hold ")
            leave_sessions(port, 3)
            assert run.end() == 0
    assert run.record["summary"]["kept_sessions"] == {"start": 0, "end": 3, "why": None}
    assert "0 at the start, 3 at the end" in run.anomaly("kept_sessions") and "doubtful" not in run.anomaly("kept_sessions")


def test_of_another_target_it_is_said_that_nothing_is_known(tmp_path):
    with Broker("--threads", "1") as broker, publish(tmp_path / "run", broker.port, broker.pid) as run:
        assert run.end() == 0
    kept = run.record["summary"]["kept_sessions"]
    assert kept["start"] is None and "this target does not tell" in kept["why"] and not run.anomaly("kept_sessions")


@pytest.mark.parametrize("line", ["allow_anonymous false", "sys_interval 0"])
@needs_mosquitto
def test_a_target_that_refuses_says_why(tmp_path, line):
    with mosquitto(tmp_path / "target", line) as ((port,), pid), publish(tmp_path / "run", port, pid) as run:
        with contextlib.suppress(AssertionError):
            assert run.end() == 0
    assert "does not let a client read $SYS" in run.record["summary"]["kept_sessions"]["why"]
