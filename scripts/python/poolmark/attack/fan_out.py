# SPDX-License-Identifier: Apache-2.0
import contextlib
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker, drain

SUBSCRIBERS, MESSAGES, TOPIC = 3000, 300, "attack/f"


def fan_out(broker: Broker) -> Generator[None, None, None]:
    """300 small PUBLISHes in one write, to 3 000 subscribers that read"""
    message = packets.publish(TOPIC, b"x")
    with contextlib.ExitStack() as stack:
        subscribers = broker.subscribers(stack, SUBSCRIBERS, TOPIC)
        yield
        while True:
            with broker.connect() as publisher:
                publisher.send(message * MESSAGES)
                living = [one for one in subscribers if not one.ended]
                drain(living, len(living) * MESSAGES * len(message), 5.0)
            yield
