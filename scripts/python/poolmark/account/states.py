# SPDX-License-Identifier: Apache-2.0
"""States of a TCP connection over loopback, made with plain sockets, so that no program's memory is in the way.

A state is a function that brings `count` connections into it and returns what keeps them there. It runs in a process of its own,
whose end frees everything.
"""
import contextlib
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BACKLOG = 2048          # connections of one listener; net.core.somaxconn is 4096
MESSAGE = b"m" * 64
ANSWER = b"a" * 4
MUCH = b"d" * 65536

Option = tuple[int, int, int]       # level, name, value


@dataclass(frozen=True)
class Server:
    """What the server does with its end."""

    accepts: bool = True
    epoll_sets: int = 1
    flags: int = select.EPOLLIN
    options: tuple[Option, ...] = ()        # of an accepted socket
    listener: tuple[Option, ...] = ()       # of the listener; accepted sockets inherit sizes of buffers


@dataclass(frozen=True)
class State:
    name: str
    text: str
    server: Server = Server()
    act: Callable[["Pair"], None] | None = None
    once: bool = False      # leaves TIME-WAIT behind, which would end during the states after it: comes last, once
    share: int = 1          # a `share`-th of the connections, for states that take much memory
    against: str = ""       # the state that a server's option is compared with


@dataclass
class Pair:
    client: socket.socket | None
    server: socket.socket | None

    def ends(self) -> tuple[socket.socket, socket.socket]:
        """(client, server) of a pair that was accepted and of which no end is closed."""
        assert self.client is not None and self.server is not None
        return self.client, self.server

    def close(self, end: str) -> None:
        one = getattr(self, end)
        setattr(self, end, None)
        one.close()


@dataclass
class Held:
    pairs: list[Pair] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)


def unread(pair: Pair) -> None:
    pair.ends()[0].sendall(MESSAGE)


def used(pair: Pair) -> None:
    """A message and its answer; both are read."""
    client, server = pair.ends()
    client.sendall(MESSAGE)
    server.setblocking(True)
    server.recv(len(MESSAGE), socket.MSG_WAITALL)
    server.setblocking(False)
    server.sendall(ANSWER)
    client.recv(len(ANSWER), socket.MSG_WAITALL)


def slow(pair: Pair) -> None:
    """The client reads nothing, and the server writes until the kernel takes no more."""
    _, server = pair.ends()
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            server.send(MUCH)


def left(pair: Pair) -> None:
    pair.close("client")


def ended(pair: Pair) -> None:
    """The server closes first, so its end waits."""
    client, _ = pair.ends()
    pair.close("server")
    client.recv(1)
    pair.close("client")


SMALL = 4096
SMALL_BUFFERS = ((socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL), (socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL))
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
KEEP_ALIVE = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),)
REUSE_PORT = ((socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),)
DEFER = ((socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60),)

STATES = (
    State("half-open", "the server waits for the client's first data (TCP_DEFER_ACCEPT), or for its ACK",
          Server(accepts=False, listener=DEFER)),
    State("queued", "in the listener's queue, not accepted", Server(accepts=False)),
    State("accepted", "accepted, in no epoll set", Server(epoll_sets=0)),
    State("idle", "in one epoll set, nothing sent yet"),
    State("used", "a message of 64 B came and was read, an answer of 4 B went and was read", act=used),
    State("unread", "a message of 64 B came, not read", act=unread),
    State("slow-reader", "the client does not read; the server wrote what the kernel takes", act=slow, share=40),
    State("close-wait", "the client has closed, the server has not", act=left, once=True),
    State("time-wait", "both have closed, the server first", act=ended, once=True),
    State("edge", "EPOLLET", Server(flags=select.EPOLLIN | select.EPOLLET), act=used, against="used"),
    State("one-shot", "EPOLLONESHOT", Server(flags=select.EPOLLIN | select.EPOLLONESHOT), act=used, against="used"),
    State("two-sets", "in two epoll sets", Server(epoll_sets=2), act=used, against="used"),
    State("no-delay", "TCP_NODELAY", Server(options=NO_DELAY), act=used, against="used"),
    State("keep-alive", "SO_KEEPALIVE", Server(options=KEEP_ALIVE), act=used, against="used"),
    State("reuse-port", "listener with SO_REUSEPORT", Server(listener=REUSE_PORT), act=used, against="used"),
    State("small-buffers", "SO_SNDBUF and SO_RCVBUF of 4 KiB", Server(listener=SMALL_BUFFERS), act=used, against="used"),
    State("slow-small-buffers", "the same, and the client does not read", Server(listener=SMALL_BUFFERS), act=slow, share=40,
          against="slow-reader"),
)


def listen(server: Server) -> socket.socket:
    one = socket.socket()
    for option in server.listener:
        one.setsockopt(*option)
    one.bind(("127.0.0.1", 0))
    one.listen(BACKLOG)
    return one


def hold(state: State, count: int) -> Held:
    """Brings `count` connections into the state. OSError when the system refuses one."""
    held = Held()
    sets = [select.epoll() for _ in range(state.server.epoll_sets)]
    listeners = [listen(state.server) for _ in range(-(-count // BACKLOG))]
    held.others = [*sets, *listeners]
    for number in range(count):
        listener = listeners[number // BACKLOG]
        pair = Pair(socket.create_connection(listener.getsockname()), None)
        held.pairs.append(pair)
        if not state.server.accepts:
            continue
        pair.server, _ = listener.accept()
        pair.server.setblocking(False)
        for option in state.server.options:
            pair.server.setsockopt(*option)
        for one in sets:
            one.register(pair.server.fileno(), state.server.flags)
        if state.act:
            state.act(pair)
    return held
