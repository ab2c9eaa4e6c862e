# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

FILTERS, RETAINED = 1024, 100_000


def hash_filters(broker: Broker) -> Generator[None, None, None]:
    """one SUBSCRIBE of 1 024 filters `#` (4 KB), against 100 000 retained messages"""
    broker.retain(RETAINED)
    yield
    while True:
        with broker.connect() as client:
            client.send(packets.subscribe(["#"] * FILTERS))
            client.read_for(0.5)
        yield
