# SPDX-License-Identifier: Apache-2.0
"""A target that hands on another content than was published is named, and such a message is in no latency."""
import pytest
from faults import balances, changing, corrupting, load
from poolmark.records import read_record
from poolmark.verify.verify import complaints

PLACES = {"the sequence": lambda size: 8, "the send time": lambda size: 24, "the first after the header": lambda size: 32,
          "the middle": lambda size: size // 2, "the last": lambda size: size - 1}


def check(run, line, count, header):
    assert run.record["status"] == "incomplete"
    assert all(balances(line) for line in run.books.values())
    assert line["measured"] == line["attempted"] - count
    if header:  # nothing says which message that was
        assert run.anomaly("strange").startswith(f"{count} messages arrived that are none of ours, or with another header")
        assert line["lost"] == count and run.anomaly("corrupt") == ""
    else:
        assert run.anomaly("corrupt") == f"{count} messages arrived with other content than was sent"
        assert line["unreadable"] == count and line["lost"] == 0 and run.anomaly("lost") == ""
        assert run.metric("messages.corrupt") == count and f"{count} deliveries had another content" in run.table()
    assert run.metric("messages.received") == line["measured"]
    assert run.metric("messages.duplicates") == 0
    assert complaints(read_record.load(run.folder))[0] == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_a_changed_byte_of_each_tenth_message_is_noticed(tmp_path, broker, engine, qos, place):
    counts = {}
    with corrupting(broker.port, PLACES[place], counts) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 2, "--publish-rate", 400, "--duration", "500ms", "--warmup", 0,
                 "--payload", 90, "--drain", "1s", "--qos", qos, engine=engine) as run:
        assert run.end() == 1
        assert counts["changed"] >= 20
        check(run, run.books["deliveries"], counts["changed"], place in ("the sequence", "the send time"))
        if qos == 1:
            assert run.books["acks"]["measured"] == 200


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_messages_that_span_reads_are_checked_to_their_end(tmp_path, broker, engine):
    counts = {}
    with corrupting(broker.port, PLACES["the last"], counts) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 2, "--publish-rate", 60, "--duration", "500ms", "--warmup", 0,
                 "--payload", "200KiB", engine=engine) as run:
        assert run.end() == 1
        assert counts["changed"] == 3
        check(run, run.books["deliveries"], 3, header=False)


def test_a_changed_message_of_the_warm_up_of_other_patterns_and_without_a_rate_is_named(tmp_path, broker):
    counts = {}
    for name, more in {"fan-out": ("--pattern", "fan-out", "--publishers", 2, "--subscribers", 6, "--publish-rate", 100),
                       "flood": ("--pairs", 2, "--publish-rate", 0)}.items():
        with corrupting(broker.port, PLACES["the last"], counts) as port, \
                load(tmp_path / name, "publish", port, *more, "--warmup", "200ms", "--duration", "300ms") as run:
            assert run.end() == 1
            warm, line = run.books["warm_up_deliveries"], run.books["deliveries"]
            assert all(balances(line) for line in run.books.values())
            assert warm["unreadable"] + line["unreadable"] == counts["changed"] == run.metric("messages.corrupt")
            assert warm["unreadable"] > 0 and line["unreadable"] > 0 and warm["lost"] + line["lost"] == 0
            assert run.anomaly("corrupt") == f"{counts['changed']} messages arrived with other content than was sent"
            assert complaints(read_record.load(run.folder))[0] == []


def test_a_changed_probe_message_is_named(tmp_path, broker):
    counts = {}
    with corrupting(broker.port, PLACES["the last"], counts) as port, \
            load(tmp_path / "run", "steps", port, "--steps", 10, "--probe", 10, "--settle", 0, "--duration", "500ms") as run:
        assert run.end() == 1
        assert run.anomaly("corrupt") == f"{counts['changed']} probe messages arrived with other content than was sent"
        assert all(balances(line) for line in run.books.values()) and run.books["probe_deliveries"]["unreadable"] > 0
        assert complaints(read_record.load(run.folder))[0] == []


TEMPLATE = '{"id":"%UNIQUE%","n":%SEQUENCE%,"of":%PUBLISHER%,"at":%TIMESTAMPMS%}'


@pytest.mark.parametrize("kind", ["range", "normal", "file", "template"])
@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_every_kind_of_payload_is_checked(tmp_path, broker, engine, kind):
    (tmp_path / "body").write_bytes(bytes(range(256)) * 3)
    (tmp_path / "template").write_text(TEMPLATE, encoding="ascii")
    options = {"range": ("--payload", "64..400"), "normal": ("--payload", "normal:300,60"),
               "file": ("--payload-file", tmp_path / "body"), "template": ("--payload-template", tmp_path / "template")}[kind]
    counts = {}
    with corrupting(broker.port, PLACES["the last"], counts) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 2, "--publish-rate", 400, "--duration", "250ms", "--warmup", 0,
                 *options, engine=engine) as run:
        assert run.end() == 1
        assert counts["seen"] == 100 and counts["changed"] == 10
        check(run, run.books["deliveries"], 10, header=False)


def test_a_changed_number_of_a_template_is_noticed(tmp_path, broker):
    """The header says which message it is, so the text beside it has to agree."""
    (tmp_path / "template").write_text(TEMPLATE, encoding="ascii")
    counts = {}
    with corrupting(broker.port, lambda size: TEMPLATE.index("%SEQUENCE%") + 64 - len("%UNIQUE%"), counts) as port, \
            load(tmp_path / "run", "publish", port, "--pairs", 2, "--publish-rate", 400, "--duration", "250ms", "--warmup", 0,
                 "--payload-template", tmp_path / "template") as run:
        assert run.end() == 1
        check(run, run.books["deliveries"], 10, header=False)


def to_all(data):
    """A SUBSCRIBE as one to everything."""
    return b"\x82\x06" + data[2:4] + b"\x00\x01#" + data[-1:] if data[0] == 0x82 else data


@pytest.mark.parametrize("more", [("--pairs", 4), ("--pattern", "topics:4", "--publishers", 4, "--subscribers", 4)])
def test_messages_of_this_run_at_the_wrong_subscribers_are_no_messages_of_others(tmp_path, broker, more):
    with changing(broker.port, lambda packet, end: packet, to_all) as port, \
            load(tmp_path / "run", "publish", port, *more, "--publish-rate", 200, "--duration", "200ms", "--warmup", 0) as run:
        assert run.end() == 1
        assert run.record["status"] == "complete" and run.metric("messages.received") == 40
        count = int(run.metric("messages.misdelivered"))
        assert count == 120 and "messages.foreign" not in run.record["metrics"]
        assert run.anomaly("misdelivered").startswith(f"{count} messages of this run arrived at clients that did not subscribe to them")
        assert run.anomaly("foreign") == run.anomaly("strange") == "" and f"{count} messages of this run" in run.table()
        assert complaints(read_record.load(run.folder))[0] == []
