# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

FILTERS = 300_000


def many_filters(broker: Broker) -> Generator[None, None, None]:
    """a SUBSCRIBE of 300 000 filters, an UNSUBSCRIBE of all of them, the SUBSCRIBE again, and the end of the session (3 MB each)"""
    filters = [f"attack/m/{number}" for number in range(FILTERS)]
    subscribe, unsubscribe = packets.subscribe(filters), packets.unsubscribe(filters)
    yield
    while True:
        with broker.connect() as client:
            for request, answer in ((subscribe, packets.SUBACK), (unsubscribe, packets.UNSUBACK), (subscribe, packets.SUBACK)):
                if client.send(request, 5.0):
                    client.answer(answer, 5.0)
            client.close(abrupt=True)
        yield
