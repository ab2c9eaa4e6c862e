# SPDX-License-Identifier: Apache-2.0
import contextlib
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker, drain

SUBSCRIBERS, MESSAGES, A_ROUND, TOPIC = 300, 300, 50, "attack/o"


def takeovers(broker: Broker) -> Generator[None, None, None]:
    """50 connections of one client identifier at once, each with 300 PUBLISHes to 300 subscribers in its first write"""
    begun = packets.connect("attack-same") + packets.publish(TOPIC, b"x") * MESSAGES
    with contextlib.ExitStack() as stack:
        subscribers = broker.subscribers(stack, SUBSCRIBERS, TOPIC)
        yield
        while True:
            with contextlib.ExitStack() as connections:
                for client in [connections.enter_context(broker.open()) for _ in range(A_ROUND)]:
                    client.send(begun)
                drain(subscribers, 1 << 30, 0.5)
            yield
