# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
from collections.abc import Generator

from poolmark.attack import packets
from poolmark.attack.broker import Broker

READERS, DEPTH, A_ROUND = 8, 12, 100


def overlapping_filters(broker: Broker) -> Generator[None, None, None]:
    """100 small PUBLISHes in one write, each of which 4 096 filters of each of 8 clients match"""
    filters = ["/".join(levels) for levels in itertools.product("a+", repeat=DEPTH)]
    message = packets.publish("/".join("a" * DEPTH), b"x")
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(broker.connect()) for _ in range(READERS)]
        for one in readers:
            one.subscribe(filters, seconds=10.0)
        yield
        while True:
            with broker.connect() as publisher:
                publisher.send(message * A_ROUND)
                for one in readers:
                    one.read_for(0.05)
            yield
