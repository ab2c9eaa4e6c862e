# SPDX-License-Identifier: Apache-2.0
"""Subscriptions whose answers are lost, refused, or end with their connection: the books of the run have to say the same."""
import time

from faults import Broker, balances, children_of, load, stopped
from poolmark.records import read_record
from poolmark.verify.verify import complaints
from test_patterns import Unfaithful

SUBACK, UNSUBACK = 9, 11
SHORT = ("--connections", 20, "--filters", 5, "--repeat", 1, "--subscribe-rate", 500, "--drain", "500ms", "--timeout", "5s")
ALL = 20 * 5


def verified(run):
    """No complaint of verify about a record."""
    wrong, _ = complaints(read_record.load(run.folder))
    assert wrong == []


def test_an_answer_that_was_lost_is_in_the_books_and_keeps_later_changes_of_its_client_back(tmp_path):
    with Broker() as broker, Unfaithful(broker.port, lambda connection, number: "lose" if connection == 3 and number == 2 else "", SUBACK) as proxy, \
            load(tmp_path / "run", "subscribe", proxy.port, *SHORT) as run:
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        line = run.books["subacks"]
        assert balances(line) and line["attempted"] == ALL
        assert line["lost"] == proxy.counts["lose"] == 1
        assert line["not_sent"] == 2            # filters 3 and 4 of that client
        assert run.books["unsubacks"]["measured"] == ALL
        assert run.metric("subscriptions.failed") == 1 and "1 SUBSCRIBEs" in run.anomaly("unanswered")
        assert run.metric("subscribe.censored") == 1
        verified(run)


def test_a_connection_that_ends_before_its_answer_has_failed(tmp_path):
    with Broker() as broker, Unfaithful(broker.port, lambda connection, number: "close" if connection == 5 else "", UNSUBACK) as proxy, \
            load(tmp_path / "run", "subscribe", proxy.port, *SHORT) as run:
        assert run.end() == 1
        line = run.books["unsubacks"]
        assert balances(line) and line["attempted"] == ALL
        assert (line["failed"], line["not_sent"]) == (1, 4)
        assert run.metric("clients.dropped") == 1
        verified(run)


def test_refused_subscriptions_are_failures_and_no_losses(tmp_path):
    with Broker("--max-topic-levels", 3) as broker, load(tmp_path / "run", "subscribe", broker.port, *SHORT, "--wildcards", 0) as run:
        assert run.end() == 1
        line = run.books["subacks"]
        assert balances(line) and (line["attempted"], line["failed"]) == (ALL, ALL)
        assert run.books["unsubacks"]["measured"] == ALL    # UNSUBACK answers what was never there too [MQTT-3.10.4-5]
        assert "refused" in run.anomaly("refused")
        verified(run)


def test_what_verify_computes_is_what_the_run_says(tmp_path):
    with Broker() as broker, load(tmp_path / "run", "subscribe", broker.port, "--connections", 50, "--filters", 100, "--repeat", 1,
                                  "--subscribe-rate", 5000, "--settle", "500ms", "--watch-pid", broker.pid) as run:
        assert run.end() in (0, 1)
        verified(run)
        for name in ("memory.per_subscription_bytes", "subscriptions.rate", "memory.subscribed_bytes", "subscribe.p99", "subscriptions.added"):
            edited = read_record.load(run.folder)
            edited.data["metrics"][name]["value"] = (edited.data["metrics"][name]["value"] or 0) * 1.01 + 1
            assert any(name in text for text in complaints(edited)[0]), name


def test_a_generator_that_was_stopped_changes_late_and_leaves_nothing_out(tmp_path):
    """Each client has a change due every second. After 2.5 s without a worker two or three of each are due at once: they are sent one
    after the other, when the one before was answered. On a host so busy that an answer takes a second: made again."""
    for attempt in range(3):
        with Broker() as broker, load(tmp_path / str(attempt), "subscribe", broker.port, "--connections", 100, "--filters", 5, "--repeat", 1,
                                      "--subscribe-rate", 100, "--workers", 1) as run:
            run.wait_for(" subscribe ")
            with stopped(*children_of(run.pid)):
                time.sleep(2.5)
            code = run.end()
        assert all(balances(line) for line in run.books.values())
        assert run.books["subacks"]["attempted"] == run.books["unsubacks"]["attempted"] == 500
        if run.books["subacks"]["not_sent"] + run.books["unsubacks"]["not_sent"] == 0:
            break
    assert code == 0 and run.record["status"] == "complete"
    assert run.books["subacks"]["measured"] == run.books["unsubacks"]["measured"] == 500
    assert run.metric("subscribe.max") > 1.9e9 and run.anomaly("stalled") and run.anomaly("late")
    verified(run)
