# SPDX-License-Identifier: Apache-2.0
"""Retained messages that a SUBSCRIBE brings: one that is lost, doubled or changed on its way, or left over by a run that was killed, is in
the books and figures of the run, and the broker's own counters agree with them."""
import os
import signal

import pytest
from faults import Broker, balances, children_of, corrupting, load
from poolmark.verify.verify import beside_brokers
from test_patterns import Unfaithful
from test_subscriptions import verified

CLIENTS, RETAINED, ROUNDS = 10, 30, 2
REST = ("--connections", CLIENTS, "--repeat", ROUNDS, "--drain", "1s", "--timeout", "5s")
SHORT = (*REST, "--retained", RETAINED, "--subscribe-rate", 100)
REPLAYS = CLIENTS * ROUNDS


def test_what_was_lost_on_its_way_leaves_one_replay_that_is_not_whole(tmp_path):
    with Broker() as broker, Unfaithful(broker.port, lambda connection, number: "lose" if connection == 3 and number == 7 else "") as proxy, \
            load(tmp_path / "run", "subscribe", proxy.port, *SHORT) as run:
        assert run.end() == 1
        assert proxy.counts["lose"] == 1
        replays, messages = run.books["replays"], run.books["replayed"]
        assert balances(replays) and balances(messages)
        assert (replays["attempted"], replays["lost"], replays["measured"]) == (REPLAYS, 1, REPLAYS - 1)
        assert (messages["attempted"], messages["lost"]) == (REPLAYS * RETAINED, 1)
        assert run.metric("replay.messages_lost") == run.metric("replay.censored") == 1
        assert run.metric("replay.max") >= 1e9      # the age of the one that is not whole: the drain
        assert run.record["status"] == "incomplete" and "1 retained messages did not arrive" in run.anomaly("lost")
        verified(run)


def test_a_double_stands_in_for_no_other_message(tmp_path):
    def act(connection, number):
        return {6: "double", 7: "lose"}.get(number, "") if connection == 3 else ""

    with Broker() as broker, Unfaithful(broker.port, act) as proxy, load(tmp_path / "run", "subscribe", proxy.port, *SHORT) as run:
        assert run.end() == 1
        assert proxy.counts["double"] == proxy.counts["lose"] == 1
        assert run.books["replays"]["lost"] == run.books["replayed"]["lost"] == 1
        assert run.metric("messages.duplicates") == 1 and run.metric("replay.messages") == REPLAYS * RETAINED - 1
        verified(run)


def test_changed_content_is_unreadable(tmp_path):
    counts = {}
    with Broker() as broker, corrupting(broker.port, lambda size: size - 1, counts) as port, \
            load(tmp_path / "run", "subscribe", port, *SHORT) as run:
        assert run.end() == 1
        line = run.books["replayed"]
        assert balances(line) and line["unreadable"] == counts["changed"] == REPLAYS * RETAINED // 10
        assert f"{line['unreadable']} retained messages arrived with other content" in run.anomaly("corrupt")
        assert run.record["status"] == "incomplete"
        verified(run)


def test_a_connection_that_ends_in_a_replay_has_failed(tmp_path):
    with Broker() as broker, Unfaithful(broker.port, lambda connection, number: "close" if connection == 5 and number == 3 else "") as proxy, \
            load(tmp_path / "run", "subscribe", proxy.port, *SHORT) as run:
        assert run.end() == 1
        assert run.books["replays"]["failed"] == 1 and balances(run.books["replays"]) and balances(run.books["replayed"])
        assert run.metric("replay.messages_lost") == RETAINED - 3 and run.metric("clients.dropped") == 1
        verified(run)


def test_messages_that_a_killed_run_left_are_foreign_to_the_next_and_one_that_ended_leaves_none(tmp_path):
    same = ("--prefix", "again")
    with Broker() as broker:
        with load(tmp_path / "killed", "subscribe", broker.port, *REST, "--retained", RETAINED, "--subscribe-rate", 1, *same) as run:
            run.wait_for(" subscribe ")
            for pid in (run.pid, *children_of(run.pid)):
                os.kill(pid, signal.SIGKILL)
            run.end()
        with load(tmp_path / "next", "subscribe", broker.port, *REST, "--retained", 20, "--subscribe-rate", 100, *same) as run:
            run.end()
            # Of 30 that were left 20 were replaced; the others come to each SUBSCRIBE.
            assert run.metric("replay.messages") == REPLAYS * 20
            assert f"{REPLAYS * 10} messages arrived that this run did not retain" in run.anomaly("foreign")
            verified(run)
    with Broker() as broker:
        for name, retained in (("first", RETAINED), ("second", 20)):
            with load(tmp_path / name, "subscribe", broker.port, *REST, "--retained", retained, "--subscribe-rate", 100, *same) as run:
                assert run.end() == 0, run.said()
                assert run.anomaly("foreign") == "" and run.record["status"] == "complete"


@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_the_brokers_counters_agree(tmp_path, engine):
    with Broker("--record", tmp_path / "broker") as broker, load(tmp_path / "run", "subscribe", broker.port, *SHORT, engine=engine) as run:
        assert run.end() == 0, run.said()
        assert run.metric("replay.retained") == 2 * RETAINED    # published, and removed
        verified(run)
    assert beside_brokers([str(run.folder)], [str(tmp_path / "broker")]) == 0


@pytest.mark.parametrize("words, told", [(("--filters", 2), "each client has one filter"), (("--target", "mqtt://127.0.0.1:2"), "it takes one"),
                                         (("--retained", 100000, "--connections", 1000000), "is the most that is counted")])
def test_a_call_that_cannot_be_counted_is_wrong(tmp_path, words, told):
    with load(tmp_path / "run", "subscribe", 1, "--retained", 5, *words) if "--retained" not in words else \
            load(tmp_path / "run", "subscribe", 1, *words) as run:
        assert run.end() == 2 and told in run.said()


def test_a_worker_that_dies_in_its_replays_leaves_books_that_balance(tmp_path):
    with Broker() as broker, load(tmp_path / "run", "subscribe", broker.port, *REST, "--retained", RETAINED, "--subscribe-rate", 2, "--workers",
                                  2) as run:
        run.wait_for(" subscribe ")
        os.kill(children_of(run.pid)[0], signal.SIGKILL)
        assert run.end() == 1
        assert run.record["status"] == "incomplete" and run.books["retains"]["measured"] == RETAINED
        assert all(balances(line) for line in run.books.values())
        verified(run)
