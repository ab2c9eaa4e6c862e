# SPDX-License-Identifier: Apache-2.0
"""The broker as an attack sees it, and the clients of the attack.

    broker = Broker("mqtt://127.0.0.1:1883")
    with broker.connect() as client:
        client.send(packets.subscribe(["#"] * 1024))
        client.read_for(0.5)
    broker.tally.rounds, broker.tally.refused

A client never raises because the broker refused it, closed it or does not read: that is counted, and `ended` is True. An attack goes
on with the next client. UsageError for a target that is not on the loopback: an attack is for a broker of one's own.
"""
import contextlib
import ipaddress
import itertools
import os
import select
import socket
import time
from dataclasses import asdict, dataclass

from poolmark.attack import packets
from poolmark.base.errors import PoolmarkError, UsageError

PATIENCE_S = 1.0        # of a client, for an answer and for a broker that does not read
READY_S = 120.0         # for what an attack prepares, such as retained messages
IP_BIND_ADDRESS_NO_PORT = 24
SOURCES = 64            # addresses that attackers connect from, 127.66.0.1 and so on: the load's ports stay free
CHUNK = 1 << 18


@dataclass
class Tally:
    rounds: int = 0
    connections: int = 0
    sent_bytes: int = 0
    refused: int = 0    # connections that were refused or closed, filters that were refused

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def address_of(url: str) -> tuple[str, int]:
    """(host, port) of mqtt://HOST[:PORT] on the loopback. Of several with commas the first."""
    rest = url.split(",")[0].removeprefix("mqtt://")
    host, _, port = rest.rpartition(":") if not rest.endswith("]") and ":" in rest else (rest, "", "1883")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        if not url.startswith("mqtt://") or not 0 < int(port) < 65536:
            raise ValueError
        there = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"--target {url}: is not mqtt://ADDRESS:PORT with an address of the loopback") from None
    if not there.is_loopback:
        raise UsageError(f"--target {url}: is not on the loopback; an attack is for a broker of one's own on this machine")
    return host, int(port)


class Client:
    """One TCP connection of an attack. `ended`: the broker refused or closed it."""

    def __init__(self, broker: "Broker", receive_bytes: int = 0):
        self.broker, self.ended, self.buffer = broker, False, bytearray()
        self.socket = socket.socket(broker.family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        broker.tally.connections += 1
        try:
            if broker.family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                self.socket.bind((f"127.66.0.{next(broker.sources)}", 0))
            self.socket.connect(broker.address)
            broker.is_reached = True
        except OSError:
            self.end()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.broker.tally.refused += 1

    def close(self, abrupt: bool = False) -> None:
        """`abrupt`: by a reset, which leaves no port behind."""
        if abrupt:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes, patience_s: float = PATIENCE_S) -> bool:
        """Sends all of `data`, unless the broker ends the connection or takes nothing for `patience_s`."""
        view = memoryview(data)
        self.socket.settimeout(patience_s)
        while view and not self.ended:
            try:
                sent = self.socket.send(view[:CHUNK])
            except TimeoutError:
                return False
            except OSError:
                self.end()
                return False
            self.broker.tally.sent_bytes += sent
            view = view[sent:]
        return not self.ended

    def _receive(self, until: float) -> bytes:
        """Some bytes; b"" when the time is over or the connection has ended."""
        left = until - time.monotonic()
        if left <= 0 or self.ended:
            return b""
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(CHUNK)
        except TimeoutError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.end()
        return data

    def read_for(self, seconds: float) -> int:
        """Reads and drops what comes in that time; returns its bytes."""
        until, count = time.monotonic() + seconds, 0
        while data := self._receive(until):
            count += len(data)
        return count

    def answer(self, kind: int, seconds: float = PATIENCE_S) -> bytes | None:
        """The body of the first packet of that kind; packets before it are dropped. None when it does not come."""
        until = time.monotonic() + seconds
        while True:
            while (found := self._next_packet()) is not None:
                if found[0] >> 4 == kind:
                    return found[1]
            data = self._receive(until)
            if not data:
                return None
            self.buffer += data

    def _next_packet(self) -> tuple[int, bytes] | None:
        """(first byte, body) of the next whole packet in the buffer."""
        count, at = 0, 1
        while True:
            if at >= len(self.buffer):
                return None
            count |= (self.buffer[at] & 127) << 7 * (at - 1)
            at += 1
            if not self.buffer[at - 1] & 128:
                break
        if len(self.buffer) < at + count:
            return None
        found = self.buffer[0], bytes(self.buffer[at:at + count])
        del self.buffer[:at + count]
        return found

    def subscribe(self, filters: list[str], qos: int = 0, seconds: float = PATIENCE_S) -> bool:
        """Whether a SUBACK came. Filters that it refuses are counted."""
        return self.send(packets.subscribe(filters, qos), seconds) and self.suback(seconds)

    def suback(self, seconds: float) -> bool:
        """The same of a SUBSCRIBE that was sent."""
        body = self.answer(packets.SUBACK, seconds)
        if body is None:
            return False
        self.broker.tally.refused += body[2:].count(packets.REFUSED)
        return True


class Broker:
    """The target. One attack at a time, one thread."""

    def __init__(self, url: str):
        self.address = address_of(url)
        self.family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.tally = Tally()
        self.is_reached = False     # a connection was made
        self.sources = itertools.cycle(range(1, SOURCES + 1))
        self.numbers = itertools.count(1)

    def open(self, receive_bytes: int = 0) -> Client:
        """A TCP connection that has sent nothing."""
        return Client(self, receive_bytes)

    def subscribers(self, stack: contextlib.ExitStack, number: int, topic: str) -> list[Client]:
        """So many clients with a subscription to `topic`, which `stack` closes."""
        clients = [stack.enter_context(self.connect()) for _ in range(number)]
        for client in clients:
            client.subscribe([topic])
        return clients

    def connect(self, client_id: str = "", clean: bool = True, receive_bytes: int = 0, will: str = "") -> Client:
        """A client with its CONNACK; `ended` when it was refused."""
        client = Client(self, receive_bytes)
        if client.send(packets.connect(client_id or f"attack-{os.getpid()}-{next(self.numbers)}", clean, will)):
            answer = client.answer(packets.CONNACK)
            if answer is None or answer[1:] != b"\0":
                client.end()
        return client

    def first(self) -> Client:
        """As connect(), for what an attack prepares. PoolmarkError when the broker does not take it."""
        client = self.connect()
        if client.ended:
            client.close()
            raise PoolmarkError(f"the broker at {self.address[0]}:{self.address[1]} takes no client")
        return client

    def retain(self, count: int, prefix: str = "attack/r") -> None:
        """Leaves so many retained messages of one byte. PoolmarkError when the broker does not get through them."""
        with self.first() as client:
            for low in range(0, count, 10_000):
                some = range(low, min(low + 10_000, count))
                client.send(b"".join(packets.publish(f"{prefix}/{i}", b"x", retain=True) for i in some), READY_S)
            client.send(packets.PINGREQ, READY_S)
            if client.answer(packets.PINGRESP, READY_S) is None:
                raise PoolmarkError(f"the broker did not take {count} retained messages within {READY_S:.0f} s")


def drain(clients: list[Client], wanted: int, seconds: float) -> int:
    """Reads what comes for `clients` until it is `wanted` bytes, or the time is over. Returns the bytes."""
    poll, owners, count, until = select.epoll(), {}, 0, time.monotonic() + seconds
    with contextlib.closing(poll):
        for client in clients:
            if not client.ended:
                client.socket.setblocking(False)
                poll.register(client.fileno(), select.EPOLLIN)
                owners[client.fileno()] = client
        while owners and count < wanted and (left := until - time.monotonic()) > 0:
            for number, _ in poll.poll(left):
                try:
                    data = owners[number].socket.recv(CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                count += len(data)
                if not data:
                    poll.unregister(number)
                    owners.pop(number).end()
    return count
