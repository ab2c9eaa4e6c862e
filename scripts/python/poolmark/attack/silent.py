# SPDX-License-Identifier: Apache-2.0
import resource
import select
from collections.abc import Generator

from poolmark.attack.broker import Broker, Client

CLIENTS, A_ROUND, OWN = 8000, 1000, 64  # OWN: descriptors of this process that are no connections


def silent(broker: Broker) -> Generator[None, None, None]:
    """8 000 connections that send nothing; those that the broker closes come again"""
    most = min(CLIENTS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN)
    clients: list[Client] = []
    yield
    try:
        while True:
            clients = living(clients)
            for _ in range(min(A_ROUND, most - len(clients))):
                clients.append(broker.open())
                if clients[-1].ended:
                    break
            yield
    finally:
        for client in clients:
            client.close(abrupt=True)


def living(clients: list[Client]) -> list[Client]:
    """Those to which the broker has sent nothing, neither a refusal nor its end. The others are counted and closed."""
    poll = select.poll()
    for client in clients:
        poll.register(client.fileno(), select.POLLIN)
    closed = {number for number, _ in poll.poll(0)}
    for client in clients:
        if client.fileno() in closed:
            client.end()
            client.close(abrupt=True)
    return [client for client in clients if client.fileno() >= 0]
