# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

MESSAGES, BYTES = 1500, 1 << 20


def unread(broker: Broker) -> Generator[None, None, None]:
    """1 500 messages of 1 MiB at QoS 1 to a subscriber that reads nothing"""
    message = packets.publish("attack/n", bytes(BYTES), qos=1)
    yield
    while True:
        with broker.connect(receive_bytes=4096) as reader, broker.connect() as publisher:
            reader.subscribe(["attack/n"], qos=1)
            for _ in range(MESSAGES):
                if not publisher.send(message):
                    break
        yield
