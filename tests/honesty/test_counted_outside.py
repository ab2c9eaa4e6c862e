# SPDX-License-Identifier: Apache-2.0
"""A program that is not ours counts too: mosquitto_sub gets every message that the generator says it sent, each once.

POOLMARK_COUNT is the number of messages, 20 000 by default; `make count` counts a million at each QoS."""
import os
import shutil
import struct
import subprocess
import threading

import pytest
from faults import Broker, load

COUNT = int(os.environ.get("POOLMARK_COUNT", "20000"))
PUBLISHERS = 20
EACH = COUNT // PUBLISHERS
RATE = 20000 if COUNT > 100000 else 5000
GUARD_S = 60 + 5 * COUNT // RATE  # only a hanging program reaches it

needs_clients = pytest.mark.skipif(not (shutil.which("mosquitto_sub") and shutil.which("mosquitto_pub")),
                                   reason="mosquitto-clients is not installed")


def is_ours(data):
    """Whether a payload's check value is that of its fields and its length (loadgen/payload.c)."""
    pair, *rest = struct.unpack("<IQQQ", data[4:32]) if len(data) >= 32 else (0, 0, 0, 0)
    factors = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93
    total = sum(field * factor for field, factor in zip((pair | len(data) << 32, *rest), factors, strict=True)) + 0x504D4B32
    return data[:4] == (total >> 32 & 0xFFFFFFFF).to_bytes(4, "little")


class Subscriber:
    """mosquitto_sub on the generator's topics. `counts[publisher][sequence]`: how often that message came. `strange`: what else did."""

    def __init__(self, port, prefix, qos):
        self.prefix, self.port = f"poolmark/{prefix}", port
        self.counts, self.strange, self.ended = [bytearray(EACH) for _ in range(PUBLISHERS)], [], False
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-W", str(GUARD_S), "-p", str(port), "-q", str(qos), "-t", f"{self.prefix}/#", "-F", "%t %x", "-i",
             "counter"], stdout=subprocess.PIPE, text=True, bufsize=1 << 20)

    def send(self, name):
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", f"{self.prefix}/{name}", "-m", "x"], check=True,
                       timeout=GUARD_S)

    def wait(self):
        """Until it is subscribed. A message that is published before that is lost, so there are several."""
        got = threading.Thread(target=self.process.stdout.readline)
        got.start()
        while got.is_alive():
            self.send("begin")
            got.join(0.2)

    def read(self):
        """Counts until a message on the topic `end`."""
        for line in self.process.stdout:
            topic, payload = line.split()
            name = topic.removeprefix(f"{self.prefix}/")
            if name == "end":
                self.ended = True
                return
            data = bytes.fromhex(payload)  # loadgen/payload.h
            publisher, sequence = int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:13], "little")
            if is_ours(data) and name == f"f/{publisher}" and publisher < PUBLISHERS and sequence < EACH:
                self.counts[publisher][sequence] += 1
            elif name != "begin":
                self.strange.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@needs_clients
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mosquitto_counts_what_the_generator_says_it_sent(tmp_path, qos):
    # Room for all messages: mosquitto_sub may be slower than the generator, which is not what is counted here.
    with Broker("--max-queued-messages", 4 * COUNT, "--max-queued-bytes", 0) as broker, \
            Subscriber(broker.port, f"count{qos}", qos) as subscriber:
        subscriber.wait()
        with load(tmp_path / "run", "publish", broker.port, "--pattern", "fan-in", "--publishers", PUBLISHERS, "--qos", qos, "--prefix",
                  f"count{qos}", "--payload", 32, "--publish-rate", RATE, "--duration", f"{COUNT // RATE}s", "--warmup", 0, "--drain",
                  "60s") as run:
            reader = threading.Thread(target=subscriber.read)
            reader.start()
            assert run.end() == 0, run.said()
            subscriber.send("end")  # its queue is in order: after all the others
            reader.join()
            assert run.metric("messages.sent") == run.metric("messages.received") == COUNT
            assert run.metric("messages.lost") == run.metric("messages.duplicates") == 0
        times = [sum(one.count(number) for one in subscriber.counts) for number in range(3)]
        print(f"\nQoS {qos}: the generator says {COUNT} sent; mosquitto_sub got {times[1]} once, {COUNT - times[0] - times[1]} more "
              f"often, {times[0]} not")
        assert subscriber.ended and not subscriber.strange
        assert times == [0, COUNT, 0]
