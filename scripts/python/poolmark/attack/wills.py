# SPDX-License-Identifier: Apache-2.0
import contextlib
from collections.abc import Generator

from poolmark.attack.broker import Broker, drain

SUBSCRIBERS, A_ROUND, TOPIC = 1000, 200, "attack/w"


def wills(broker: Broker) -> Generator[None, None, None]:
    """200 clients with a will to 1 000 subscribers, whose connections are reset at once"""
    with contextlib.ExitStack() as stack:
        subscribers = broker.subscribers(stack, SUBSCRIBERS, TOPIC)
        yield
        while True:
            clients = [broker.connect(will=TOPIC) for _ in range(A_ROUND)]
            for client in clients:
                client.close(abrupt=True)
            drain(subscribers, 1 << 30, 0.5)
            yield
