# SPDX-License-Identifier: Apache-2.0
"""A target that grants or delivers another QoS than was asked for: the record says so, since its figures are of that QoS."""
import pytest
from faults import BUILD, ROOT, Load, changing, load, peer
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
        assert run.books["subscribes"]["measured"] == run.metric("clients.qos_changed") == 3
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
        assert "messages.duplicates_excluded" not in run.record["metrics"]     # before the PUBREL of the first
        verified(run)


class Again:
    """Sends each PUBLISH of QoS 1 or 2 once more, as the target would: at QoS 1 marked as DUP, at QoS 2 under another identifier. Takes away
    what the subscriber answers to that: the broker has sent its PUBLISH once."""

    def change(self, packet, end):
        at = end + 2 + int.from_bytes(packet[end:end + 2], "big")
        return packet + bytes([packet[0] | 8]) + packet[1:at] + bytes([packet[at] | 0x80]) + packet[at + 1:]

    def answers(self, data):
        if data[0] >> 4 not in (PUBACK, PUBREC, PUBCOMP):
            return data
        return b"".join(data[at:at + 4] for at in range(0, len(data), 4) if not data[at + 2] & 0x80)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_that_comes_twice_against_its_qos_is_the_targets_fault(tmp_path, broker, qos):
    again = Again()
    with changing(broker.port, again.change, again.answers) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 1, "--qos", qos, "--publish-rate", 100, "--duration", "200ms", "--warmup", 0) as run:
        assert run.end() == (1 if qos == 2 else 0)
        assert run.metric("messages.received") == 20 and run.metric("messages.duplicates") == 20
        told = run.anomaly("duplicates_excluded")
        if qos == 2:
            assert told.startswith(f"{run.metric('messages.duplicates'):.0f} messages arrived a second time")
            assert run.metric("messages.duplicates_excluded") == run.metric("messages.duplicates")
            assert "which their QoS excludes" in run.table()
        else:
            assert told == "" and "messages.duplicates_excluded" not in run.record["metrics"]
        verified(run)


class Swapping:
    """Sends each tenth PUBLISH after the one that follows it."""

    def __init__(self):
        self.number, self.held = 0, b""

    def __call__(self, packet, end):
        self.number += 1
        if self.number % 10 == 5:
            self.held = packet
            return b""
        held, self.held = self.held, b""
        return packet + held


@pytest.mark.parametrize("engine", ["paho", "raw"])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_out_of_order_are_told(tmp_path, broker, engine, qos):
    with changing(broker.port, Swapping()) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 1, "--qos", qos, "--publish-rate", 100, "--duration", "200ms", "--warmup", 0,
                 engine=engine) as run:
        assert run.end() == 1
        assert run.metric("messages.received") == run.books["deliveries"]["measured"] == 20 and run.metric("messages.lost") == 0
        assert run.metric("messages.out_of_order") == 2
        assert run.anomaly("out_of_order").startswith("2 messages arrived after a later one of the same publisher")
        assert "2 deliveries arrived after a later message of the same publisher" in run.table()
        verified(run)


MIX = """
[group.sensors]
role = "publisher"
connections = 3
qos = 1
[group.archive]
role = "subscriber"
from = "sensors"
connections = 2
qos = 0
[[phase]]
name = "arrive"
all = "connect"
[[phase]]
name = "day"
duration = "1s"
sensors = { do = "publish", rate = 50 }
"""


def at_qos_1(packet, end):
    """The PUBLISH of QoS 0 as one of QoS 1, of less than 126 bytes."""
    topic = end + 2 + int.from_bytes(packet[end:end + 2], "big")
    return bytes([packet[0] | 2, packet[1] + 2]) + packet[end:topic] + b"\x00\x01" + packet[topic:]


@pytest.mark.parametrize("change", [lambda packet, end: packet, at_qos_1], ids=["as asked", "higher"])
def test_a_reader_of_a_lower_qos_than_the_publishers_gets_its_own(tmp_path, broker, change):
    (tmp_path / "mix.toml").write_text(MIX, encoding="utf-8")
    with changing(broker.port, change) as port, \
            Load(tmp_path / "run", [ROOT / "scripts/poolmark", "mix", tmp_path / "mix.toml", "--build", BUILD, "--target", f"mqtt://127.0.0.1:{port}",
                                    "--engine", "raw", "--record", tmp_path / "run"]) as run:
        raised = change is at_qos_1
        assert run.end() == int(raised), run.said()
        assert run.metric("messages.received") == run.metric("deliveries.expected") > 50
        assert run.books["sensors.day.acks"]["measured"] == run.metric("messages.sent")
        assert ("messages.qos_changed" in run.record["metrics"]) == raised and run.anomaly("qos_lowered") == ""
        if raised:
            assert run.metric("messages.qos_changed") == run.metric("messages.received")
            assert f"{run.metric('messages.received'):.0f} deliveries came at QoS 1 where QoS 0 was asked for" in run.anomaly("qos_raised")
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
        assert run.metric("messages.received") == run.metric("messages.qos_changed") == 20 and run.metric("messages.lost") == 0
        assert "20 deliveries came at another QoS than was asked for" in run.table()
        assert run.anomaly("qos_lowered").startswith("20 deliveries came at QoS 0 where QoS 1 was asked for")
        verified(run)
