# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

A_ROUND, MOST = 5000, 1_000_000


def tiny_retained(broker: Broker) -> Generator[None, None, None]:
    """retained messages of one byte, each on a topic of its own, as fast as the broker takes them; 1 000 000 topics at most"""
    number = 0
    yield
    while True:
        with broker.connect() as client:
            some = [(number + i) % MOST for i in range(A_ROUND)]
            client.send(b"".join(packets.publish(f"attack/t/{i}", b"x", retain=True) for i in some))
            client.send(packets.PINGREQ)
            client.answer(packets.PINGRESP)
        number += A_ROUND
        yield
