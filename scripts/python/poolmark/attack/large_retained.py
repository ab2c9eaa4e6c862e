# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

MESSAGES, BYTES = 60, 15 << 20


def large_retained(broker: Broker) -> Generator[None, None, None]:
    """60 retained messages of 15 MiB at QoS 1"""
    payload = bytes(BYTES)
    yield
    while True:
        for number in range(MESSAGES):
            with broker.connect() as client:
                if client.send(packets.publish(f"attack/l/{number}", payload, qos=1, retain=True)):
                    client.answer(packets.PUBACK)
                if client.ended:
                    break
        yield
