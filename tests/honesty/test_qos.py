# SPDX-License-Identifier: Apache-2.0
"""A target that grants or delivers another QoS than was asked for: the record says so, since its figures are of that QoS."""
import pytest
from faults import changing, load, peer
from test_subscriptions import verified

PUBACK, PUBREC, PUBCOMP = 4, 5, 7
CONNACK = b"\x20\x02\x00\x00"


def granting(qos):
    suback = lambda rest: bytes([0x90, 3, *rest[:2], qos])  # noqa: E731
    return peer(lambda packet: {1: CONNACK, 8: suback, 14: None}.get(packet, b""))


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


def acking(answers):
    """A target that answers the first PUBLISH by these packet types, whatever its QoS."""
    acks = b"".join(bytes([kind << 4 | (kind == 6) << 1, 2, 0, 1]) for kind in answers)
    return peer(lambda packet: {1: CONNACK, 8: b"\x90\x03\x00\x01\x01", 3: acks}.get(packet, b""))


@pytest.mark.parametrize("qos, answers", [(2, [PUBACK]), (2, [PUBCOMP]), (2, [PUBREC, PUBREC]), (1, [PUBREC]), (1, [PUBCOMP]),
                                          (1, [PUBACK, PUBACK])])
def test_an_answer_of_another_qos_breaks_the_protocol(tmp_path, qos, answers):
    with acking(answers) as port, load(tmp_path / "run", "publish", port, "--pairs", 1, "--qos", qos, "--publish-rate", 100, "--duration",
                                       "20ms", "--warmup", 0, "--drain", "100ms") as run:
        assert run.end() == 1
        assert run.record["summary"]["dropped"] == {"protocol": 1} and "the target broke the protocol" in run.anomaly("dropped")
        assert run.books["acks"]["measured"] == (answers == [PUBACK, PUBACK])
        verified(run)


class Once:
    """Takes away each second PUBREC of a subscriber: the broker has sent its PUBLISH once."""

    def __init__(self):
        self.turn = 0

    def __call__(self, data):
        if data[0] not in (PUBREC << 4, PUBCOMP << 4):
            return data
        kept = b""
        for at in range(0, len(data), 4):
            is_rec = data[at] == PUBREC << 4
            self.turn += is_rec
            kept += b"" if is_rec and self.turn % 2 == 0 else data[at:at + 4]
        return kept


def test_a_message_that_comes_twice_at_qos_2_is_said(tmp_path, broker):
    with changing(broker.port, lambda packet, end: packet * 2, Once()) as port, load(tmp_path / "run", "publish", port, "--pairs", 1, "--qos", 2, "--publish-rate", 100,
                                             "--duration", "200ms", "--warmup", 0) as run:
        assert run.end() == 0
        assert run.metric("messages.received") == run.metric("messages.duplicates") == 20
        assert run.anomaly("duplicates") == "20 messages arrived a second time"
        verified(run)


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
