# SPDX-License-Identifier: Apache-2.0
"""Slow readers: what a target keeps for them, drops or ends is in the record by its kind, and none of it is a loss of the others."""
import contextlib
import socket
import struct
import threading

from faults import Broker, balances, load
from poolmark.records import read_record
from poolmark.verify.verify import complaints

# One slow reader of three. The kernel holds some MiB for it, and the messages meanwhile are 26 MB.
HEAVY = ("--subscribers", 3, "--slow-share", 0.34, "--publish-rate", 200, "--message-bytes", "64KiB", "--before", "500ms", "--duration", "2s")


def verified(run):
    wrong, _ = complaints(read_record.load(run.folder))
    assert wrong == []


def test_what_the_target_keeps_for_a_slow_reader_is_memory_of_each(tmp_path):
    with Broker("--max-queued-bytes", "64MiB") as broker, load(tmp_path / "run", "slow", broker.port, *HEAVY, "--after", "2s", "--drain", "10s",
                                                               "--settle", "500ms", "--watch-pid", broker.pid) as run:
        assert run.end() == 0, run.said()
        assert run.record["status"] == "complete"
        assert run.metric("slow.memory_per_reader_bytes") > 8 << 20
        assert run.metric("memory.peak_bytes") >= run.metric("slow.memory_per_reader_bytes")
        assert run.metric("slow.missed") == 0 and run.books["recoveries"]["measured"] == 1
        verified(run)
        for name in ("slow.memory_per_reader_bytes", "slow.received", "delivery_before.p50", "recovery.max", "slow.tcp_per_reader_bytes"):
            edited = read_record.load(run.folder)
            edited.data["metrics"][name]["value"] = edited.data["metrics"][name]["value"] * 1.01 + 1
            assert any(name in text for text in complaints(edited)[0]), name


def test_what_the_target_drops_for_a_slow_reader_is_missed_and_no_loss(tmp_path):
    with Broker("--max-queued-bytes", "256KiB") as broker, load(tmp_path / "run", "slow", broker.port, *HEAVY, "--after", "1s") as run:
        assert run.end() == 0, run.said()
        line = run.books["slow_deliveries"]
        assert balances(line) and line["failed"] > 20 and line["lost"] == 0
        assert run.metric("slow.missed") == line["failed"] == run.metric("delivery_slow.censored")
        assert run.metric("slow.closed") == 0
        assert run.books["deliveries"]["lost"] == 0 and run.books["recoveries"]["measured"] == 1
        verified(run)


class Impatient:
    """A proxy to the broker that resets a connection whose reader lets it wait for a second, as some brokers do."""

    def __init__(self, broker_port):
        self.broker_port, self.closed = broker_port, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port, self.sockets = self.listener.getsockname()[1], []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, server = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.broker_port))
                self.sockets += [client, server]
                ended = threading.Event()   # a socket that is read by another thread is not closed by close
                threading.Thread(target=self.up, args=(client, server, ended), daemon=True).start()
                threading.Thread(target=self.down, args=(client, server, ended), daemon=True).start()

    def up(self, client, server, ended):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
        ended.set()

    def down(self, client, server, ended):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                while data:
                    try:
                        data = data[client.send(data):]
                    except BlockingIOError:
                        self.closed += 1
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        client.shutdown(socket.SHUT_RD)
                        ended.wait(10)
                        client.close()
                        server.close()
                        return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.sockets]:
            one.close()


def test_a_slow_reader_that_the_target_ends_is_no_dropped_client(tmp_path):
    with Broker() as broker, Impatient(broker.port) as proxy, \
            load(tmp_path / "run", "slow", proxy.port, *HEAVY[:-1], "5s", "--after", "1s", "--watch-pid", broker.pid) as run:
        assert run.end() == 0, run.said()
        assert proxy.closed == 1
        # When the target ended it nobody knows: what it kept for each was divided by all.
        assert run.record["metrics"]["slow.tcp_per_reader_bytes"]["value"] is None
        assert run.metric("slow.closed") == 1 and sum(run.record["summary"]["slow_closed"].values()) == 1
        assert run.metric("clients.dropped") == 0 and "slow readers lost" in run.anomaly("slow_closed")
        assert run.books["recoveries"]["failed"] == 1 and run.metric("slow.not_recovered") == 1
        assert run.books["deliveries"]["lost"] == 0
        verified(run)
