# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

RETAINED = 400_000


def retained_at_stop(broker: Broker) -> Generator[None, None, None]:
    """SIGTERM with 400 000 retained messages: the end of the broker is what is attacked; until then a PINGREQ a round"""
    broker.retain(RETAINED)
    with broker.first() as client:
        yield
        while True:
            client.send(packets.PINGREQ)
            client.answer(packets.PINGRESP)
            yield
