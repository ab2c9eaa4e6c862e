# SPDX-License-Identifier: Apache-2.0
"""Connections that were reset leave no trace in any list. Whose they were is known where the kernel tells which sockets end; elsewhere no
sentence says that they were the target's."""
import contextlib
import re
import socket
import struct
import threading

import test_strangers
from faults import Broker
from test_strangers import churn, listener, publish

own_network = test_strangers.own_network  # a fixture of every test here


@contextlib.contextmanager
def resetting(port):
    """Connects to the port again and again, and ends each connection by a reset. Yields the list of the ports it had."""
    end, had = threading.Event(), []

    def loop():
        while not end.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
                had.append(client.getsockname()[1])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.wait(0.002)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield had
    finally:
        end.set()
        thread.join()


def test_resets_at_another_server_take_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, listener() as port, resetting(port) as had, publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    assert len(had) > 100 and not run.anomaly("other_clients") and not run.anomaly("other_connections")
    assert run.metric("cpu.per_message_ns") > 0


def test_resets_at_the_target_are_counted(tmp_path):
    with Broker("--threads", "1") as broker, resetting(broker.port) as had, publish(tmp_path / "run", broker) as run:
        assert run.end() == 0
    told = re.search(r"beside those of this run (\d+) connections to the target were made", run.anomaly("other_clients"))
    assert told and 16 < int(told[1]) <= len(had) and run.metric("cpu.per_message_ns") is None


def test_resets_that_nobody_heard_are_not_said_to_be_the_targets(tmp_path):
    """While clients of the run come and go nobody listens to the ends of connections."""
    with Broker("--threads", "1") as broker, listener() as port, resetting(port) as had, churn(tmp_path / "run", broker) as run:
        assert run.end() == 0
    told = run.anomaly("other_clients") + run.anomaly("other_connections")
    assert len(had) > 100 and "connections to the target were made" not in told
    assert "may be of another program" in told or "it is not known by which" in told
