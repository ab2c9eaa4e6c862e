# SPDX-License-Identifier: Apache-2.0
"""MQTT clients for scenes that need each connect by itself: one blocking connection, or a burst of them.

Not for load: the generator is poolmark-loadgen. Times are those of the host's clock in nanoseconds, as in the broker's events.csv.
"""
import selectors
import socket
import struct
import time

from poolmark.base import host_clock
from poolmark.base.errors import PoolmarkError


def connect_packet(name: str) -> bytes:
    """CONNECT of MQTT 3.1.1, clean session, no keep alive."""
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name.encode("ascii")
    return bytes((0x10, len(body))) + body


class Client:
    """One client. `code`: the return code of its CONNACK, or None when the connection ended without one."""

    def __init__(self, port: int, name: str, timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(connect_packet(name))
        got = b""
        while len(got) < 4 and (part := self.socket.recv(4 - len(got))):
            got += part
        self.code = got[3] if len(got) == 4 else None

    def close(self) -> None:
        """Disconnects and waits until the broker has closed its end, so that its objects are back."""
        try:
            self.socket.sendall(b"\xe0\x00")
            self.socket.recv(1)
        except OSError:
            pass
        self.socket.close()


def burst(port: int, count: int, at_once: int, timeout_s: float = 60.0) -> tuple[list[tuple[int, int]], list[socket.socket]]:
    """`count` connects, `at_once` under way at a time. Returns ([(begin, CONNACK)] in ns, the open sockets). PoolmarkError when
    one is refused or the time is over."""
    chosen, begun = selectors.DefaultSelector(), 0
    times: list[tuple[int, int]] = []
    opened: list[socket.socket] = []
    under_way: dict[int, socket.socket] = {}    # by number
    limit = time.monotonic() + timeout_s

    def begin(number: int) -> None:
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = host_clock.now_ns()
        one.connect_ex(("127.0.0.1", port))
        under_way[number] = one
        chosen.register(one, selectors.EVENT_WRITE, (began, number))

    try:
        while len(times) < count:
            while begun < count and begun - len(times) < at_once:
                begin(begun)
                begun += 1
            ready = chosen.select(max(0.0, limit - time.monotonic()))
            if not ready and time.monotonic() >= limit:
                raise PoolmarkError(f"{len(times)} of {count} clients had a CONNACK within {timeout_s:.0f} s")
            for key, events in ready:
                began, number = key.data
                one = under_way[number]
                if events & selectors.EVENT_WRITE:
                    if code := one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        raise PoolmarkError(f"client {number}: cannot connect: error {code}")
                    one.send(connect_packet(f"burst-{number}"))
                    chosen.modify(one, selectors.EVENT_READ, key.data)
                    continue
                got = one.recv(4)
                if len(got) != 4 or got[3] != 0:
                    raise PoolmarkError(f"client {number}: refused")
                times.append((began, host_clock.now_ns()))
                chosen.unregister(one)
                opened.append(under_way.pop(number))
    except BaseException:
        for one in (*under_way.values(), *opened):
            one.close()
        raise
    finally:
        chosen.close()
    return times, opened
