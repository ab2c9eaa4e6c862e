# SPDX-License-Identifier: Apache-2.0
from collections.abc import Generator

from poolmark.attack.broker import Broker

A_ROUND, ID_BYTES = 20, 60_000


def kept_sessions(broker: Broker) -> Generator[None, None, None]:
    """sessions that are kept, each of a client identifier of 60 000 bytes, whose clients do not come back"""
    number = 0
    yield
    while True:
        for _ in range(A_ROUND):
            number += 1
            with broker.connect(f"{number:0{ID_BYTES}d}", clean=False):
                pass
        yield
