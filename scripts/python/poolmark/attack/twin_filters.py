# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import READY_S, Broker

SESSIONS, FILTERS, AGAIN = 5000, 20_000, 1500


def twin_filters(broker: Broker) -> Generator[None, None, None]:
    """a client with 20 000 filters that subscribes 1 500 times in one packet (8 KB) to a filter that 5 000 kept sessions have"""
    with broker.first() as client:
        client.subscribe(["t"], seconds=READY_S)
        client.subscribe([f"f/{number}" for number in range(FILTERS)], seconds=READY_S)
        for number in range(SESSIONS):
            with broker.connect(f"twin-{number}", clean=False) as other:
                other.subscribe(["t"])
        yield
        while True:
            if client.send(packets.subscribe(["t"] * AGAIN), 5.0):
                client.suback(5.0)
            yield
