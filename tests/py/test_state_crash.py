# SPDX-License-Identifier: Apache-2.0
"""Everything that `poolmark-broker --state` acknowledged survives kill -9 at any instant.

Clients publish, subscribe and leave, and the broker is killed at its n-th call that changes the state file: before it, in the middle
of it (half of the bytes are written) or after it, for n = 1, 2, ... until it lives to the end. After each kill it is started and
killed once more, at one of its first calls or while it ends. Then it is started again, the clients come back as MQTT demands, and every message is counted: acknowledged ones of QoS 1 came, those of QoS 2 came once, retained
messages are the last ones, sessions and subscriptions are there, and wills were published.

    POOLMARK_KILLS=10000 /usr/bin/python3 -m pytest -q -s tests/py/test_state_crash.py       (make kills KILLS=10000)

does so many kills: other orders of acts, by a seed, and every kill point of each.
"""
import os
import random
import shutil
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from mqtt_client import Client, Gone
from state_broker import BUILD, SHIM, StateBroker

pytestmark = [pytest.mark.skipif(not (BUILD / "poolmark-broker").exists(), reason="the programs are not built"),
              pytest.mark.skipif(not SHIM.exists(), reason="make tests builds the library that is preloaded")]

HOW = ["before", "half", "after"]
KILLS = int(os.environ.get("POOLMARK_KILLS", "0"))


class World:
    """Clients, what they were promised, and what they did. Their side survives the broker."""

    def __init__(self, seed):
        self.choose = random.Random(seed)
        self.subscriber, self.publisher, self.mortal = Client("subscriber"), Client("publisher"), Client("mortal", clean=True)
        self.known = set()      # client ids whose kept session the broker acknowledged
        self.subscribed = False
        self.due = {}           # payload: QoS, published while the subscription was acknowledged
        self.retained = {}      # topic: the last payload published
        self.number = 0
        self.wills = set()      # of connections that the broker acknowledged and that were not ended by a DISCONNECT

    def clients(self):
        return [self.subscriber, self.publisher, self.mortal]

    def arrive(self, client, port, will=None):
        present = client.connect(port, will)
        assert present or client.client_id not in self.known, f"the session of {client.client_id} is gone"
        if not client.clean:
            self.known.add(client.client_id)

    def publish(self, qos, retain=False, empty=False):
        self.number += 1
        payload = b"" if empty else b"%d" % self.number
        topic = f"r/{self.choose.randrange(3)}" if retain else "t/x"
        if retain:
            self.retained[topic] = payload
        elif self.subscribed:
            self.due[payload] = qos
        self.publisher.publish(topic, payload, qos, retain)

    def act(self, port):
        """One life of the broker. Raises Gone when it is killed."""
        self.arrive(self.subscriber, port)
        self.subscriber.subscribe("t/#", 2)
        self.subscribed = True
        self.arrive(self.publisher, port)
        self.publish(1)
        self.publish(2)
        self.arrive(self.mortal, port, ("t/will", b"will", 1, False))
        self.wills.add(b"will")
        for _ in range(6):
            self.choose.choice([self.publish_some, self.receive_some, self.leave, self.retain_some])(port)

    def publish_some(self, _port):
        for _ in range(3):
            self.publish(self.choose.randrange(1, 3))

    def retain_some(self, _port):
        self.publish(self.choose.randrange(1, 3), retain=True)
        self.publish(1, retain=True, empty=self.choose.random() < 0.3)

    def receive_some(self, port):
        if not self.subscriber.socket:
            self.arrive(self.subscriber, port)
        self.subscriber.ping()

    def leave(self, port):
        """Receives without an answer, and leaves one way or the other."""
        if not self.subscriber.socket:
            self.arrive(self.subscriber, port)
        self.subscriber.answers = self.choose.random() < 0.5
        seen = len(self.subscriber.messages)
        try:
            self.subscriber.ping()
        finally:
            if not self.subscriber.answers:  # they will come again, as new ones to this client
                del self.subscriber.messages[seen:]
            self.subscriber.answers = True
        if self.choose.random() < 0.5:
            self.subscriber.disconnect()
        else:
            self.subscriber.drop()

    def check(self, port):
        """After a restart everybody comes back and finishes."""
        for client in self.clients():
            client.drop()
        self.subscriber.answers = True
        self.arrive(self.publisher, port)
        self.publisher.finish()
        self.arrive(self.subscriber, port)
        if not self.subscribed:
            self.subscriber.subscribe("t/#", 2)
        self.publisher.publish("t/end", b"end", 1)
        while not any(message.topic == "t/end" for message in self.subscriber.messages):
            self.subscriber.handle()
        self.subscriber.ping()
        self.subscriber.ping()
        came = Counter(message.payload for message in self.subscriber.messages)
        for payload, qos in self.due.items():
            assert came[payload] >= 1, f"{payload} of QoS {qos} is lost"
            assert qos == 1 or came[payload] == 1, f"{payload} of QoS 2 came {came[payload]} times"
        assert self.wills <= set(came), "a will is lost"
        reader = Client("reader", clean=True)
        reader.connect(port)
        reader.subscribe("r/#", 1)
        reader.ping()
        found = {message.topic: message.payload for message in reader.messages}
        assert found == {topic: payload for topic, payload in self.retained.items() if payload}
        for client in [reader, *self.clients()]:
            client.drop()


def live(folder, seed, kill_at, how):
    """One life, a short one, and the life after them. Returns whether the first was ended by the kill."""
    path = folder / f"{seed}-{kill_at}" / "state"
    path.parent.mkdir()
    world = World(seed)
    threads = 1 + seed % 2
    with StateBroker(path, "--threads", threads, kill_at=kill_at, how=how) as broker:
        if broker.port:
            try:
                world.act(broker.port)
            except Gone:
                assert broker.wait() == -signal.SIGKILL, broker.said()
        if broker.process.poll() is None and broker.port:
            broker.process.send_signal(signal.SIGTERM)
        killed = broker.wait() == -signal.SIGKILL
    # Then killed while it starts, or ends at once.
    with StateBroker(path, "--threads", threads, kill_at=world.choose.randrange(1, 20), how=how) as broker:
        broker.process.terminate()
        broker.wait()
    with StateBroker(path, "--threads", threads) as broker:
        assert broker.port, broker.said()
        try:
            world.check(broker.port)
        except Gone as error:
            raise AssertionError(f"it ended in its second life: {broker.said()}") from error
        assert broker.stop() == 0
    shutil.rmtree(path.parent)
    return killed


def kill_everywhere(folder, seed, most):
    """Kills at each call, at most `most` times. Returns the number of kills."""
    kills = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for first in range(1, most + 1, 16):
            numbers = range(first, min(first + 16, most + 1))
            results = list(pool.map(lambda n: live(folder, seed, n, HOW[(n + seed) % 3]), numbers))
            kills += sum(results)
            if not all(results):
                return kills
    return kills


def test_nothing_acknowledged_is_lost_by_a_kill_at_any_write(in_memory):
    kills = kill_everywhere(in_memory, 1, 10_000)
    assert kills > 50, "the calls of the state file are not seen"


@pytest.mark.skipif(not KILLS, reason="POOLMARK_KILLS says how many")
def test_many_kills(in_memory):
    kills, seed = 0, 2
    while kills < KILLS:
        kills += kill_everywhere(in_memory, seed, KILLS - kills)
        seed += 1
    print(f"\n{kills} kills in {seed - 2} orders of acts: nothing acknowledged was lost")


def test_a_loss_would_be_found(tmp_path):
    """The check can fail: a message that was acknowledged and is gone."""
    path = tmp_path / "state"
    world = World(1)
    with StateBroker(path) as broker:
        world.act(broker.port)
        broker.stop()
    path.unlink()
    with StateBroker(path) as broker, pytest.raises(AssertionError, match="is gone"):
        world.check(broker.port)
    world.known, world.subscribed = set(), False
    with StateBroker(path) as broker, pytest.raises(AssertionError, match="is lost"):
        world.check(broker.port)
