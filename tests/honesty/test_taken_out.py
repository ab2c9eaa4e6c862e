# SPDX-License-Identifier: Apache-2.0
"""Figures and anomalies that are taken out of a record, which is sealed anew: its files and books still have them."""
from faults import load
from test_patterns import Unfaithful

from poolmark.records import read_record
from poolmark.verify.verify import complaints

WATCHED = ("memory.start_bytes", "memory.full_bytes")
TAKEN_OUT = ("messages.lost", "messages.sent", "messages.received", "messages.rate", "messages.seconds", "clients.connected", "connect.p99", "connect.count",
             "delivery.p99", "delivery.max", "delivery.mean", "ack.p99_9", *WATCHED)


def test_what_was_measured_cannot_be_taken_out_of_a_record(tmp_path, broker):
    """Without `messages.lost` a run that lost messages was "good", and a comparison had nothing of it."""
    with Unfaithful(broker.port, lambda connection, number: "lose" if number % 10 == 5 else "") as proxy, \
            load(tmp_path / "run", "publish", proxy.port, "--pairs", 2, "--qos", 1, "--publish-rate", 200, "--duration", "500ms", "--warmup", 0, "--drain",
                 "200ms", "--watch-pid", broker.pid) as run:
        assert run.end() == 1
        assert run.metric("messages.lost") == proxy.counts["lose"] > 0
    assert complaints(read_record.load(run.folder))[0] == []
    for name in TAKEN_OUT:
        less = read_record.load(run.folder)
        del less.data["metrics"][name]
        assert any(text.startswith(f"{name}: ") for text in complaints(less)[0]), name
    for what in ("books", "lost"):
        less = read_record.load(run.folder)
        less.data["anomalies"] = [one for one in less.data["anomalies"] if one["what"] != what]
        assert any(f"'{what}'" in text for text in complaints(less)[0]), what
