# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody here wrote meet the broker: python3-paho-mqtt and MQTT.js. paho's C clients: test_e2e_paho.c and test_e2e_paho_sync.c;
mosquitto's: tests/honesty/test_counted_outside.py. Each library publishes at every QoS, leaves, comes back and dies, and says what came."""
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import ROOT
from poolmark.base.paths import build_dir

BROKER = build_dir() / "poolmark-broker"
COUNT, GUARD_S = 200, 60
MQTT_JS = next((path for path in (ROOT / "third_party/node_modules/mqtt", Path("/usr/share/nodejs/mqtt")) if path.exists()), None)

pytestmark = pytest.mark.skipif(not os.access(BROKER, os.X_OK), reason="the programs are not built")


@pytest.fixture(params=[(), ("--threads", "3"), ("--shape", "classic", "--pool", "slab")], ids=["lean", "threads", "classic"])
def port(request):
    with subprocess.Popen([BROKER, "--listen", "127.0.0.1:0", *request.param], stdout=subprocess.PIPE, text=True) as broker:
        found = next(int(line.rsplit(":", 1)[1]) for line in broker.stdout if line.startswith("listening "))
        yield found
        broker.terminate()
        assert broker.wait(GUARD_S) == 0


def check(told):
    """Each message once, in the order of its topic, at its QoS."""
    numbers = [str(number) for number in range(COUNT)]
    for part, every in (("here", (0, 1, 2)), ("away", (1, 2))):
        assert len(told[part]) == COUNT * len(every)
        for qos in every:
            assert [one[1:] for one in told[part] if one[0] == f"w/{qos}"] == [[number, qos, False] for number in numbers]
    assert told["granted"] == [2] and told["present"] is True
    assert told["retained"] == [["r/1", "kept", 1, True]]
    assert told["will"] == [["w/will", "gone", 1, False]]
    assert told["end"] == [["w/end", "end", 2, False]]      # and nothing came twice before it


@pytest.mark.skipif(not MQTT_JS or not shutil.which("node"), reason="MQTT.js is not installed (Debian: node-mqtt)")
def test_mqtt_js_gets_each_message_once(port):
    # Another node than Debian's does not look where Debian's modules are.
    env = os.environ | {"NODE_PATH": ":".join(str(path) for path in (MQTT_JS.parent, *Path("/usr/lib").glob("*/nodejs"), "/usr/lib/nodejs"))}
    done = subprocess.run(["node", ROOT / "tests/js/witness.cjs", MQTT_JS, f"mqtt://127.0.0.1:{port}", str(COUNT)], capture_output=True, text=True,
                          timeout=4 * GUARD_S, check=False, env=env)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


class PahoClient:
    """paho.mqtt.client with a thread of its own; what came, and its events."""

    def __init__(self, mqtt, port, client_id, clean=True, will=None):
        try:
            self.client = mqtt.Client(client_id=client_id, clean_session=clean, protocol=mqtt.MQTTv311)
        except (TypeError, ValueError):     # from version 2 on
            self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, client_id=client_id, clean_session=clean, protocol=mqtt.MQTTv311)
        self.changed, self.came, self.present, self.granted = threading.Condition(), [], None, None
        self.client.on_connect = lambda _client, _data, flags, code: self.note(present=bool(flags["session present"]) if code == 0 else code)
        self.client.on_subscribe = lambda _client, _data, _id, granted: self.note(granted=list(granted))
        self.client.on_message = lambda _client, _data, one: self.note(one=[one.topic, one.payload.decode(), one.qos, bool(one.retain)])
        if will:
            self.client.will_set(*will)
        self.client.connect("127.0.0.1", port, keepalive=0)
        self.client.loop_start()
        self.wait(lambda: self.present is not None)

    def note(self, one=None, **facts):
        with self.changed:
            if one:
                self.came.append(one)
            for name, value in facts.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def wait(self, is_so):
        with self.changed:
            assert self.changed.wait_for(is_so, GUARD_S)

    def subscribe(self, topic_filter, qos):
        self.granted = None
        self.client.subscribe(topic_filter, qos)
        self.wait(lambda: self.granted is not None)
        return self.granted

    def take(self, count):
        self.wait(lambda: len(self.came) >= count)
        came, self.came = self.came, []
        return came

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        self.client.loop_stop()
        self.client.socket().close()


def test_paho_for_python_gets_each_message_once(port):
    mqtt = pytest.importorskip("paho.mqtt.client", reason="python3-paho-mqtt is not installed")
    publisher, subscriber = PahoClient(mqtt, port, "py-publisher"), PahoClient(mqtt, port, "py-subscriber", clean=False)

    def publish(topic, payload, qos, retain=False):
        return publisher.client.publish(topic, payload, qos, retain)

    def publish_all(every):
        for sent in [publish(f"w/{qos}", str(number), qos) for number in range(COUNT) for qos in every]:
            sent.wait_for_publish()
            assert sent.is_published()

    told = {"granted": subscriber.subscribe("w/#", 2)}
    publish_all((0, 1, 2))
    told["here"] = subscriber.take(3 * COUNT)
    subscriber.leave()
    publish_all((1, 2))
    subscriber = PahoClient(mqtt, port, "py-subscriber", clean=False)
    told |= {"present": subscriber.present, "away": subscriber.take(2 * COUNT)}
    publish("r/1", "kept", 1, True).wait_for_publish()
    subscriber.subscribe("r/+", 1)
    told["retained"] = subscriber.take(1)
    PahoClient(mqtt, port, "py-mortal", will=("w/will", "gone", 1, False)).die()
    told["will"] = subscriber.take(1)
    publish("w/end", "end", 2).wait_for_publish()
    told["end"] = subscriber.take(1)
    subscriber.leave()
    publisher.leave()
    check(told)
