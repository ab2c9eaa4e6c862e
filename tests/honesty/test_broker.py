# SPDX-License-Identifier: Apache-2.0
"""Duties of the reference broker: it handles received bytes before a reset, reports what it refuses, and bounds its memory by what
the process may use. A broker that fails here makes figures silently wrong."""
import csv
import json
import socket
import time

import pytest
from faults import Broker, cgroup, load, mosquitto, needs_mosquitto, needs_root, stopped

CLIENTS = 100


def _connect(port, name, will=b""):
    flags, rest = (6, b"\0\1w" + len(will).to_bytes(2, "big") + will) if will else (2, b"")
    body = b"\0\4MQTT\4" + bytes([flags]) + b"\0\0" + len(name).to_bytes(2, "big") + name + rest
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(bytes([0x10, len(body)]) + body)
    assert client.recv(4) == b"\x20\2\0\0"
    return client


def _lose_all(port, pid):
    """Clients publish on l, disconnect and reset their connections while the target is stopped. Returns how many messages arrived
    on l, and how many wills on w."""
    watcher = _connect(port, b"watcher")
    watcher.sendall(b"\x82\x0a\0\1\0\1l\0\0\1w\0")
    assert watcher.recv(6) == b"\x90\4\0\1\0\0"
    clients = []
    for i in range(CLIENTS):
        client = _connect(port, b"c%d" % i, will=b"gone")
        client.sendall(b"\x82\6\0\1\0\1o\0")
        assert client.recv(5) == b"\x90\3\0\1\0"
        clients.append(client)
    clients[0].sendall(b"\x30\4\0\1ox")  # unread data makes each close a reset
    for client in clients:
        client.recv(1, socket.MSG_PEEK)
    with stopped(pid):
        for client in clients:
            client.sendall(b"\x30\4\0\1lL\xe0\0")
            client.close()
    got = b""
    watcher.settimeout(60)
    while got.count(b"\0\1l") < CLIENTS:
        got += watcher.recv(65536)
    time.sleep(0.3)  # for wills, which have no event to wait for
    watcher.sendall(b"\xc0\0")
    while not got.endswith(b"\xd0\0"):
        got += watcher.recv(65536)
    watcher.close()
    return got.count(b"\0\1lL"), got.count(b"\0\1wgone")


def test_what_came_with_a_reset_is_handled_and_no_will_is_published():
    with Broker("--threads", "2") as broker:
        assert _lose_all(broker.port, broker.pid) == (CLIENTS, 0)


@needs_mosquitto
def test_the_same_of_mosquitto(tmp_path):
    with mosquitto(tmp_path) as (port, pid):
        assert _lose_all(port, pid) == (CLIENTS, 0)


def test_a_payload_that_the_broker_refuses_is_said_on_both_sides(tmp_path):
    with Broker("--record", tmp_path / "broker", "--max-packet-size", "1MiB") as broker:
        with load(tmp_path / "run", "publish", broker.port, "--pairs", "1", "--payload", "1MiB", "--publish-rate", "2",
                  "--duration", "1s", "--warmup", "0s") as run:
            assert run.end() == 1
            assert run.metric("messages.received") == 0
            assert "--max-packet-size" in run.said()
    metrics = json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["broker.connections_closed_for_cause"]["value"] >= 1


@needs_root
@pytest.mark.parametrize("limit", [256 << 20])
def test_the_bound_of_memory_is_what_the_control_group_allows(tmp_path, limit):
    with cgroup("memory", memory__limit_in_bytes=limit) as enter:
        with Broker("--record", tmp_path / "broker", before=enter):
            config = json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["config"]
    assert config["memory_limit_bytes"] == limit // 4 * 3


def test_a_message_that_shares_no_write_takes_no_buffers(tmp_path):
    """One message at a time to twenty subscribers: each is sent from the message itself, in a lazy shape."""
    with Broker("--record", tmp_path / "broker", "--shape", "lean") as broker:
        with load(tmp_path / "load", "publish", broker.port, "--pattern", "fan-out", "--publishers", 1, "--subscribers", 20,
                         "--publish-rate", 0, "--in-flight", 1, "--duration", "500ms", "--warmup", 0) as run:
            assert run.end() == 0
            deliveries = run.metric("messages.received")
    rows = list(csv.DictReader((tmp_path / "broker" / "pools.csv").open(encoding="utf-8")))
    gets = [int(row["gets"]) for row in rows if row["pool"] == "buffers"][-1]
    assert deliveries > 100 and gets < deliveries / 2
