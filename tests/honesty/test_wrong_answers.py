# SPDX-License-Identifier: Apache-2.0
"""A target that answers what was not asked, or delivers under another topic, with another RETAIN flag or once more: the record says so."""
import itertools

import pytest
from faults import Broker, changing, load, peer
from test_patterns import Unfaithful
from test_qos import CONNACK
from test_subscriptions import verified

KEPT = b"\x20\x02\x01\x00"     # a CONNACK with session present
SHORT = ("--publish-rate", 200, "--duration", "100ms", "--warmup", 0)
PAIR = ("--pairs", 1, *SHORT)
FAN_OUT = ("--pattern", "fan-out", "--publishers", 1, "--subscribers", 1, *SHORT)
REPLAYS = ("--connections", 4, "--retained", 5, "--repeat", 1, "--subscribe-rate", 100, "--drain", "500ms")


def under_another_topic(packet, end):
    """The last character of the topic is another one."""
    last = end + 1 + int.from_bytes(packet[end:end + 2], "big")
    return packet[:last] + bytes([packet[last] ^ 1]) + packet[last + 1:]


def with_retain(packet, end):
    return bytes([packet[0] | 1]) + packet[1:]


def without_retain(packet, end):
    return bytes([packet[0] & 0xfe]) + packet[1:]


def some(changes):
    """Changes PUBLISH number n by `changes[n modulo 10]`."""
    numbers = itertools.count(1)
    return lambda packet, end: changes.get(next(numbers) % 10, lambda packet, end: packet)(packet, end)


def changed(run):
    return [one["what"] for one in run.record["anomalies"] if one["what"].endswith("_changed")]


@pytest.mark.parametrize("engine, more", [("raw", PAIR), ("paho", PAIR), ("raw", FAN_OUT)])
def test_what_a_delivery_says_of_itself_is_looked_at(tmp_path, broker, engine, more):
    wrong = {2: under_another_topic, 5: with_retain, 7: under_another_topic}
    with changing(broker.port, some(wrong)) as port, load(tmp_path / "run", "publish", port, *more, engine=engine) as run:
        assert run.end() == 1
        assert run.metric("messages.received") == 20 and run.metric("messages.lost") == run.metric("messages.duplicates") == 0
        assert run.metric("messages.topic_changed") == 4 and run.metric("messages.retain_changed") == 2
        assert run.anomaly("topic_changed").startswith("4 messages arrived under another topic than they were published to")
        assert run.anomaly("retain_changed").startswith("2 messages arrived with the wrong RETAIN flag")
        assert "4 deliveries came under another topic than they were published to" in run.table()
        assert "2 deliveries came with another RETAIN flag" in run.table()
        verified(run)


def test_so_are_the_messages_that_a_subscribe_brings(tmp_path, broker):
    with changing(broker.port, some({2: under_another_topic, 5: without_retain, 7: without_retain})) as port, \
            load(tmp_path / "run", "subscribe", port, *REPLAYS) as run:
        assert run.end() == 1
        assert run.metric("replay.messages") == 20 and run.record["status"] == "complete"
        assert run.metric("messages.topic_changed") == 2 and run.metric("messages.retain_changed") == 4
        assert changed(run) == ["topic_changed", "retain_changed"]
        verified(run)


def test_messages_with_retain_are_as_they_should_be(tmp_path, broker):
    """Live they have RETAIN 0. A subscriber that lost its connection subscribes again, and gets the last one with RETAIN 1."""
    with load(tmp_path / "live", "publish", broker.port, *PAIR, "--retain", "--prefix", "one") as run:
        assert run.end() == 0, run.said()
        assert changed(run) == []
    with Unfaithful(broker.port, lambda connection, number: "close" if number == 5 and not proxy.counts.get("close") else "") as proxy, \
            load(tmp_path / "again", "publish", proxy.port, *PAIR, "--retain", "--prefix", "two", "--backoff", "20ms", "--drain", "500ms") as run:
        run.end()
        assert proxy.counts["close"] == 1 and run.metric("arrivals.count") == 1
        assert changed(run) == []
        verified(run)


@pytest.mark.parametrize("more", [PAIR, FAN_OUT])
def test_what_comes_again_a_moment_after_the_last_first_arrival_is_a_duplicate(tmp_path, broker, more):
    """All 20 come a second time when all have come: 150 ms later, of 100 ms of messages."""
    with changing(broker.port, lambda packet, end: packet, later=0.15) as port, load(tmp_path / "run", "publish", port, *more) as run:
        assert run.end() == 1
        assert run.metric("messages.received") == run.metric("messages.duplicates") == run.metric("messages.duplicates_excluded") == 20
        verified(run)


def test_so_is_a_replay_that_comes_again(tmp_path, broker):
    with changing(broker.port, lambda packet, end: packet, later=0.15) as port, load(tmp_path / "run", "subscribe", port, *REPLAYS) as run:
        run.end()
        assert run.metric("replay.messages") == run.metric("messages.duplicates") == 20
        verified(run)


@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_session_that_a_clean_client_cannot_have_is_told(tmp_path, engine):
    with peer(lambda packet: {1: KEPT, 8: lambda rest: b"\x90\x03" + rest[:2] + b"\x00", 14: None}.get(packet, b"")) as port, \
            load(tmp_path / "run", "connect", port, "--connections", 3, "--subscribe", "--settle", 0, engine=engine) as run:
        assert run.end() == 1
        assert run.metric("clients.session_unasked") == 3 == run.metric("clients.connected")
        assert run.anomaly("session_unasked").startswith("3 connects with a clean session were answered by session present")
        assert run.books["subscribes"]["measured"] == 3
        verified(run)


def suback(rest):
    return b"\x90\x03" + rest[:2] + b"\x00"


def other_id(rest):
    return bytes([rest[0] ^ 1]) + rest[1:2]


# To a SUBSCRIBE. The first two have no answer to it.
WRONG = [lambda rest: b"\x90\x03" + other_id(rest) + b"\x00", lambda rest: b"\xb0\x02" + rest[:2], lambda rest: suback(rest) * 2,
         lambda rest: suback(rest) + b"\xb0\x02" + rest[:2], lambda rest: suback(rest) + b"\xd0\x00", lambda rest: suback(rest) + CONNACK,
         lambda rest: suback(rest) + b"\x40\x02" + rest[:2], lambda rest: suback(rest) + b"\x50\x02" + rest[:2],
         lambda rest: suback(rest) + b"\x70\x02" + rest[:2]]


def test_an_answer_that_nobody_asked_for_breaks_the_protocol(tmp_path):
    """Each client gets another one."""
    left = list(WRONG)
    with peer(lambda packet: {1: CONNACK, 14: None}.get(packet, b"") if packet != 8 else left.pop()) as port, \
            load(tmp_path / "run", "connect", port, "--connections", len(WRONG), "--subscribe", "--settle", 0) as run:
        assert run.end() == 1
        assert run.record["summary"]["dropped"] == {"protocol": len(WRONG)} and "the target broke the protocol" in run.anomaly("dropped")
        assert run.books["subscribes"]["failed"] == 2 and run.books["subscribes"]["measured"] == len(WRONG) - 2
        verified(run)


def test_an_unsuback_of_another_id_is_no_answer(tmp_path):
    with peer(lambda packet: {1: CONNACK, 8: suback, 10: lambda rest: b"\xb0\x02" + other_id(rest), 14: None}.get(packet, b"")) as port, \
            load(tmp_path / "run", "subscribe", port, "--connections", 2, "--filters", 1, "--repeat", 1, "--subscribe-rate", 100, "--drain",
                 "500ms") as run:
        assert run.end() == 1
        assert run.books["subacks"]["measured"] == run.books["unsubacks"]["failed"] == 2
        assert run.record["summary"]["dropped"] == {"protocol": 2}
        verified(run)


def test_with_paho_an_answer_of_another_id_counts_as_none(tmp_path):
    """Its library passes over it (docs/design.md)."""
    with peer(lambda packet: {1: CONNACK, 8: WRONG[0], 14: None}.get(packet, b"")) as port, \
            load(tmp_path / "run", "connect", port, "--connections", 2, "--subscribe", "--settle", 0, "--timeout", "1s", engine="paho") as run:
        assert run.end() == 1
        assert run.books["subscribes"]["lost"] == 2 and run.record["summary"]["dropped"] == {"timeout": 2}


def test_a_client_that_asks_a_lot_is_answered_and_not_ended(tmp_path):
    """Keep alive, signs of life, and messages with acknowledgements: no answer is one too many."""
    with Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 1, "--publish-rate", 50, "--duration", "2200ms",
                                  "--warmup", 0, "--qos", 2, "--keep-alive", 1, "--prove") as run:
        assert run.end() == 0, run.said()
        assert run.metric("clients.dropped") == 0
