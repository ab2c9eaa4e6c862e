# SPDX-License-Identifier: Apache-2.0
"""A mix is counted from outside too, its record is computed again, and its books balance whatever ends it."""
import collections
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest
from faults import BUILD, GUARD_S, ROOT, Broker, Load, balances, children_of

from poolmark.records.read_record import load as read_record
from poolmark.verify import recompute

MIX = """
[group.sensors]
role = "publisher"
connections = 20
qos = 1
topic = "house/%i/temperature"
client-id = "sensor-%i"
workers = 2

[group.boards]
role = "subscriber"
from = "sensors"
connections = 2

[group.control]
role = "publisher"
connections = 1
pattern = "fan-out"
topic = "house/command"

[group.lights]
role = "subscriber"
from = "control"
connections = 4

[group.phones]
role = "idle"
connections = 40
subscribe = true
clean = false

[[phase]]
name = "arrive"
all = "connect"

[[phase]]
name = "day"
duration = "DURATION"
sensors = { do = "publish", rate = 400 }
control = { do = "publish", rate = 50 }
phones = { do = "churn", rate = 20, by = "rst" }

[[phase]]
name = "night"
phones = "leave"
"""
needs_clients = pytest.mark.skipif(not (shutil.which("mosquitto_sub") and shutil.which("mosquitto_pub")), reason="mosquitto-clients is not installed")


def play(tmp_path, port, duration="1s"):
    (tmp_path / "mix.toml").write_text(MIX.replace("DURATION", duration), encoding="utf-8")
    return Load(tmp_path / "run", [ROOT / "scripts/poolmark", "mix", tmp_path / "mix.toml", "--build", BUILD, "--target",
                                   f"mqtt://127.0.0.1:{port}", "--engine", "raw", "--record", tmp_path / "run"])


def wrong_of(folder):
    return recompute.load_account(read_record(folder)).wrong


def send(port, topic):
    subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-m", "x"], check=True, timeout=GUARD_S)


@needs_clients
def test_mosquitto_counts_what_the_groups_say_they_sent(tmp_path):
    with Broker("--max-queued-messages", 10000) as broker:
        counter = subprocess.Popen(["mosquitto_sub", "-W", str(GUARD_S), "-p", str(broker.port), "-q", "1", "-t", "house/#", "-F", "%t", "-i",
                                    "counter"], stdout=subprocess.PIPE, text=True)
        try:
            began = threading.Thread(target=counter.stdout.readline)
            began.start()
            while began.is_alive():     # a message that is published before it has subscribed is lost
                send(broker.port, "house/begin")
                began.join(0.2)
            with play(tmp_path, broker.port) as run:
                assert run.end() == 0, run.said()
                send(broker.port, "house/end")      # its queue is in order: after all the others
                topics = collections.Counter(itertools.takewhile(lambda topic: topic != "house/end", map(str.strip, counter.stdout)))
                topics.pop("house/begin", None)
                assert topics == {"house/command": 50} | {f"house/{number}/temperature": 20 for number in range(20)}
                assert run.metric("sensors.day.messages.sent") == 400 and run.metric("control.day.messages.sent") == 50
                assert run.metric("boards.day.messages.received") == 800 and run.metric("lights.day.messages.received") == 200
                assert run.metric("phones.day.arrivals.resumed") == run.metric("phones.day.arrivals.count") == 20
        finally:
            counter.kill()
            counter.wait()
    assert wrong_of(tmp_path / "run") == []


def test_a_record_whose_groups_do_not_add_up_is_noticed(tmp_path):
    with Broker() as broker, play(tmp_path, broker.port) as run:
        assert run.end() == 0, run.said()
    file = tmp_path / "run/run.json"
    whole = file.read_text(encoding="utf-8")

    def told(change):
        record = json.loads(whole)
        change(record)
        file.write_text(json.dumps(record), encoding="utf-8")
        return "\n".join(wrong_of(tmp_path / "run"))

    assert told(lambda record: None) == ""
    assert "sensors.day.ack.p99" in told(lambda record: record["metrics"]["sensors.day.ack.p99"].update(value=1))
    assert "boards.day.messages.received" in told(lambda record: record["metrics"]["boards.day.messages.received"].update(value=801))
    assert "those of the groups and phases are 1001" in told(
        lambda record: record["books"]["boards.day.deliveries"].update(attempted=801, lost=1))
    assert "samples of lights.day.delivery" in told(
        lambda record: record["books"]["lights.day.deliveries"].update(attempted=201, measured=201))


@pytest.mark.parametrize("how", ["interrupted", "target", "worker"])
def test_the_books_of_each_group_balance_whatever_ends_the_run(tmp_path, how):
    with Broker() as broker, play(tmp_path, broker.port, "60s") as run:
        run.wait_for(" day ")
        if how == "interrupted":
            run.process.send_signal(signal.SIGINT)
        elif how == "target":
            broker.process.kill()
        else:
            os.kill(children_of(run.pid)[0], signal.SIGKILL)
        assert run.end() == 1
    assert run.record["status"] == "incomplete"
    assert all(balances(line) for line in run.books.values()), run.books
    assert "sensors.day.publishes" in run.books and "phones.night.connects" not in run.books
    assert wrong_of(tmp_path / "run") == []
