# SPDX-License-Identifier: Apache-2.0
"""Messages with several subscribers, through a proxy that loses, doubles and delays single deliveries and counts what it did. The
books of the run have to say the same."""
import contextlib
import os
import signal
import socket
import threading
import time

import faults
import pytest
from faults import balances, load
from poolmark.records import read_record
from poolmark.verify.verify import complaints

PATTERNS = {"fan-in": ("--publishers", 10, "--subscribers", 3), "fan-out": ("--publishers", 2, "--subscribers", 12),
            "topics:3": ("--publishers", 4, "--subscribers", 7)}
SHORT = ("--duration", "500ms", "--warmup", "200ms", "--workers", 2)


class Unfaithful:
    """A proxy to the broker. `act(connection, number)` says what becomes of PUBLISH `number` (or another packet type, `kind`) of a
    connection to its subscriber:
    "lose", "double", "late" (after the next one), "close" (the connection), or anything else. `counts` has what it did, `sent_after` how
    often `mark` came from clients since the first loss or close."""

    def __init__(self, broker_port, act, kind=3, mark=b""):
        self.broker_port, self.act, self.kind, self.counts, self.lock = broker_port, act, kind, {}, threading.Lock()
        self.mark, self.sent_after = mark, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port, self.sockets = self.listener.getsockname()[1], []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            for number in range(1 << 30):
                pair = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.broker_port))
                self.sockets.extend(pair)
                threading.Thread(target=self.up, args=pair, daemon=True).start()
                threading.Thread(target=self.down, args=(*pair[::-1], number), daemon=True).start()

    def up(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.mark and any(what in self.counts for what in ("lose", "close")):
                    with self.lock:
                        self.sent_after += data.count(self.mark)
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def down(self, server, client, connection):
        number, held = 0, b""
        with contextlib.suppress(OSError):
            while head := server.recv(2, socket.MSG_WAITALL):  # short packets only
                packet = head + (server.recv(head[1], socket.MSG_WAITALL) if head[1] else b"")
                if head[0] >> 4 != self.kind:
                    client.sendall(packet)
                    continue
                what = self.act(connection, number)
                number += 1
                with self.lock:
                    self.counts[what] = self.counts.get(what, 0) + 1
                if what == "close":
                    client.shutdown(socket.SHUT_RDWR)
                    return
                if what == "late":
                    held += packet
                    continue
                client.sendall({"lose": b"", "double": packet * 2}.get(what, packet) + held)
                held = b""
        with contextlib.suppress(OSError):
            client.sendall(held)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.listener, *self.sockets):
            one.close()


@pytest.mark.parametrize("engine", ["paho", "raw"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_losses_and_doubles_are_counted_for_each_publisher_at_each_subscriber(tmp_path, broker, pattern, engine):
    def act(connection, number):
        # Every connection has its own; subscribers of many messages lose several in a row, and their last ones.
        step = (number + 7 * connection) % 50
        if number < 150 and step == 30:
            return "late"  # one follows
        return {10: "lose", 11: "lose", 20: "double", 49: "lose"}.get(step, "pass")

    with Unfaithful(broker.port, act) as proxy, \
            load(tmp_path / "run", "publish", proxy.port, "--pattern", pattern, *PATTERNS[pattern], *SHORT, "--publish-rate", 500, "--drain",
                 "2s", engine=engine) as run:  # so slow that the proxy keeps up on a busy host
        assert run.end() == 1
        assert proxy.counts["lose"] > 10 and proxy.counts["double"] > 5 and proxy.counts["late"] > 5
        assert run.metric("messages.sent") == 350
        assert run.metric("messages.lost") == proxy.counts["lose"]
        assert run.metric("messages.duplicates") == run.metric("messages.duplicates_excluded") == proxy.counts["double"]
        assert run.metric("messages.received") == run.metric("deliveries.expected") - proxy.counts["lose"]
        assert sum(proxy.counts.values()) == run.metric("deliveries.expected")
        line = run.books["deliveries"]
        assert balances(line) and balances(run.books["warm_up_deliveries"])
        assert run.metric("delivery.censored") == line["lost"] > 0
        assert run.record["status"] == "incomplete" and "lost" in run.anomaly("books")
        assert complaints(read_record.load(run.folder))[0] == []


@pytest.mark.parametrize("publishers", [1, 2])
def test_an_order_that_changed_is_told_for_each_publisher(tmp_path, broker, publishers):
    def act(connection, number):
        return "late" if number % 20 == 5 and number < 90 else "pass"

    with Unfaithful(broker.port, act) as proxy, \
            load(tmp_path / "run", "publish", proxy.port, "--pattern", "fan-out", "--publishers", publishers, "--subscribers", 5, *SHORT,
                 "--publish-rate", 200) as run:
        code = run.end()
        assert proxy.counts["late"] == 25 and run.metric("messages.received") == run.metric("deliveries.expected")
        # Of two publishers the next message is mostly of the other one, whose order is another.
        told = run.record["metrics"].get("messages.out_of_order", {"value": 0})["value"]
        assert code == int(told > 0) and (told == 25 if publishers == 1 else told < 25)
        assert complaints(read_record.load(run.folder))[0] == []


def test_at_a_higher_qos_the_last_messages_are_missed_too(tmp_path, broker):
    """The proxy swallows everything from some message on, so that no later one shows the loss."""
    with Unfaithful(broker.port, lambda connection, number: "lose" if number >= 100 else "pass") as proxy, \
            load(tmp_path / "run", "publish", proxy.port, "--pattern", "fan-out", "--publishers", 2, "--subscribers", 5, "--qos", 1,
                 *SHORT, "--publish-rate", 1000, "--drain", "1s") as run:
        assert run.end() == 1
        assert run.metric("deliveries.expected") == 3500 and run.metric("messages.received") == 500
        assert run.metric("messages.lost") == 3000
        assert run.books["deliveries"]["lost"] == 2500 and run.books["acks"]["measured"] == 500
        assert run.metric("delivery.max") > 0.9e9  # with their age


@pytest.mark.parametrize("loss", ["lose", "close"])
def test_without_a_rate_nobody_waits_for_what_is_lost(tmp_path, broker, loss):
    """One subscriber of four gets nothing further, and in the end all are gone. A publisher that waits for them has sent 40 messages
    after the first loss when its window of 10 is full for ever. This run is ended when more were sent, however long that takes here."""
    full = 40
    with Unfaithful(broker.port, lambda connection, number:
                    loss if number >= (20 if loss == "close" else 0) and (connection % 4 == 0 or number % 9 == 0) else "pass",
                    mark=b"/nobody/") as proxy, \
            load(tmp_path / "run", "publish", proxy.port, "--pattern", "fan-out", "--publishers", 1, "--subscribers", 12, "--prefix", "nobody",
                 "--publish-rate", 0, "--in-flight", 10, "--duration", "1h", "--warmup", 0) as run:
        limit = time.monotonic() + faults.GUARD_S
        while proxy.sent_after <= full + 20:
            assert run.process.poll() is None and time.monotonic() < limit, f"{proxy.sent_after} were sent after the first loss"
            time.sleep(0.02)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 1
        line = run.books["deliveries"]
        assert balances(line) and line["attempted"] == 12 * run.metric("messages.sent")
        assert run.metric("messages.sent") > full + 20 and line["unfinished"] >= proxy.counts[loss] > 0
        assert complaints(read_record.load(run.folder))[0] == []


@pytest.mark.parametrize("end", ["interrupt", "broker", "first_worker", "last_worker"])
def test_a_run_that_ends_early_balances(tmp_path, end):
    with faults.Broker() as broker, load(
            tmp_path / "run", "publish", broker.port, "--pattern", "topics:2", "--publishers", 6, "--subscribers", 8,
            "--publish-rate", 2000, "--duration", "1h", "--warmup", "100ms", "--qos", 1, "--workers", 3) as run:
        run.wait_for("publish ")
        time.sleep(0.5)
        workers = faults.children_of(run.pid)
        os.kill({"interrupt": run.pid, "broker": broker.pid, "first_worker": workers[0], "last_worker": workers[-1]}[end],
                signal.SIGINT if end == "interrupt" else signal.SIGKILL)
        assert run.end() == 1
        assert run.record["status"] == "incomplete"
        assert all(balances(run.books[source]) for source in ("publishes", "deliveries", "acks", "warm_up_deliveries"))
        assert run.books["deliveries"]["attempted"] == 4 * run.books["publishes"]["measured"]
        assert complaints(read_record.load(run.folder))[0] == []
