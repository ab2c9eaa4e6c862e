# SPDX-License-Identifier: Apache-2.0
"""A target that grants or delivers another QoS than was asked for: the record says so, since its figures are of that QoS."""
import pytest
from faults import changing, load, peer
from test_subscriptions import verified

CONNACK = b"\x20\x02\x00\x00"


def granting(qos):
    return peer(lambda packet: {1: CONNACK, 8: bytes([0x90, 3, 0, 1, qos]), 14: None}.get(packet, b""))


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_a_lower_qos_that_was_granted_is_told(tmp_path, engine):
    with granting(1) as port, load(tmp_path / "run", "connect", port, "--connections", 3, "--subscribe", "--qos", 2, "--settle", 0,
                                   engine=engine) as run:
        assert run.end() == 1
        assert run.anomaly("qos_lowered").startswith("3 subscriptions asked for QoS 2 and the target granted QoS 1")
        assert run.books["subscribes"]["measured"] == 3
        verified(run)


def test_a_qos_that_was_granted_as_asked_is_not(tmp_path):
    with granting(1) as port, load(tmp_path / "run", "connect", port, "--connections", 3, "--subscribe", "--qos", 1, "--settle", 0) as run:
        assert run.end() == 0 and run.anomaly("qos_lowered") == run.anomaly("qos_raised") == ""


def at_qos_0(packet, end):
    """The PUBLISH of QoS 1 as one of QoS 0, of less than 128 bytes."""
    topic = end + 2 + int.from_bytes(packet[end:end + 2], "big")
    return bytes([packet[0] & 0xf9, packet[1] - 2]) + packet[end:topic] + packet[topic + 2:]


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_deliveries_at_a_lower_qos_are_told(tmp_path, broker, engine):
    with changing(broker.port, at_qos_0) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 1, "--qos", 1, "--publish-rate", 100, "--duration", "200ms", "--warmup", 0,
                 engine=engine) as run:
        assert run.end() == 1
        assert run.metric("messages.received") == 20 and run.metric("messages.lost") == 0
        assert run.anomaly("qos_lowered").startswith("20 deliveries came at QoS 0 where QoS 1 was asked for")
        verified(run)
