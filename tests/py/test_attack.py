# SPDX-License-Identifier: Apache-2.0
"""Attacks: each is made once against the real broker, which then still serves others. The command, the packets, and the figures that a
suite takes of an attack."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from poolmark.attack import attacks, broker, packets
from poolmark.attack.attack import make
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.paths import SUITES, build_dir
from poolmark.records import attacked
from poolmark.records.record import metric
from poolmark.report import answer
from poolmark.report.names import Name

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
built = pytest.mark.skipif(not os.access(BUILD / "poolmark-broker", os.X_OK), reason="the programs are not built")
# Smaller attacks: what is tested is that each is made, and counted.
SMALL = {"RETAINED": 500, "SUBSCRIBERS": 40, "MESSAGES": 20, "CLIENTS": 8, "A_ROUND": 20, "LEVELS": 400, "BYTES": 200_000, "SESSIONS": 20,
         "DEPTH_OF_ALL": 8,
         "TOPICS_OF_TWO": 300}


@contextlib.contextmanager
def running_broker(*options):
    """(url, process) of the reference broker."""
    process = subprocess.Popen([BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", *map(str, options)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    try:
        yield f"mqtt://{process.stdout.readline().split()[1]}", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def shrink(monkeypatch, name):
    module = __import__(f"poolmark.attack.{name.replace('-', '_')}", fromlist=["x"])
    for constant, value in SMALL.items():
        if hasattr(module, constant):
            monkeypatch.setattr(module, constant, value)


@built
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_is_made_and_others_are_still_served(name, monkeypatch):
    shrink(monkeypatch, name)
    with running_broker("--threads", 1, "--memory-limit", "64MiB", "--max-connections", 500) as (url, process):
        target = broker.Broker(url)
        with contextlib.closing(attacks.ATTACKS[name](target)) as rounds:
            next(rounds)
            before = target.tally.sent_bytes
            next(rounds)
            next(rounds)
            assert target.tally.connections > 0 and (target.tally.sent_bytes > before or name == "silent")
            with broker.Broker(url).connect() as other:
                assert not other.ended and other.subscribe(["others/#"], seconds=30)
                other.send(packets.publish("others/x", b"hello"))
                assert other.answer(3, 30) == packets.text("others/x") + b"hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@built
def test_who_retains_without_end_leaves_room_for_the_others():
    with running_broker("--memory-limit", "16MiB", "--pool", "malloc") as (url, _):
        target = broker.Broker(url)
        with target.connect() as one:
            for number in range(1_000_000):     # each acknowledged, until one is not and the connection ends
                one.send(packets.publish(f"attack/{number}/{'x' * 1000}", b"x", qos=1, retain=True))
                if one.answer(4, 30) is None:
                    break
        assert one.ended and 1_000 < number < 100_000
        with target.connect() as other:
            assert other.subscribe([f"others/{i}" for i in range(1000)], seconds=30)
            other.send(packets.publish("others/7", b"hello", qos=1))
            assert other.answer(3, 30) == packets.text("others/7") + b"hello"


@built
def test_what_the_broker_refuses_is_counted_and_ends_no_attack(monkeypatch):
    with running_broker("--max-connections", 3, "--max-topic-levels", 5) as (url, _):
        target = broker.Broker(url)
        with target.connect() as one, target.connect() as two:
            assert one.subscribe(["a/b", "a/b/c/d/e/f"]) and target.tally.refused == 1
            two.send(b"\xf0\x00")        # no packet of MQTT 3.1.1: it is closed
            assert two.answer(packets.PINGRESP) is None and two.ended and target.tally.refused == 2
            assert not two.send(b"x") and two.read_for(0.1) == 0
            with contextlib.ExitStack() as stack:
                ended = [stack.enter_context(target.connect()).ended for _ in range(4)]
            assert sum(ended) >= 1 and target.tally.refused >= 3
        with pytest.raises(PoolmarkError, match="takes no client"), contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(target.first())


def test_without_a_broker_nothing_can_be_prepared():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(PoolmarkError, match="takes no client"):
        make("retained-at-stop", broker.Broker(f"mqtt://127.0.0.1:{port}"), 1, lambda: None)


def test_packets_are_those_of_the_protocol():
    assert packets.connect("a") == bytes.fromhex("100d00044d51545404020000000161")
    assert packets.subscribe(["a/b"], 1) == bytes.fromhex("820800010003612f6201")
    assert packets.connect("a", will="w") == bytes.fromhex("101300044d515454040600000001610001770001") + b"x"
    assert packets.unsubscribe(["a/b"]) == bytes.fromhex("a20700010003612f62")
    assert packets.publish("t", b"x", qos=2, number=258) == bytes.fromhex("3406000174") + b"\1\2x"
    assert packets.publish("t", b"x", qos=1, retain=True) == bytes.fromhex("33060001740001") + b"x"
    assert [packets.length(number) for number in (0, 127, 128, (16 << 20) - 1)] == [b"\0", b"\x7f", b"\x80\1", b"\xff\xff\xff\7"]


@pytest.mark.parametrize("url, complaint", [
    ("mqtt://192.0.2.1:1883", "not on the loopback"), ("mqtt://0.0.0.0:1883", "not on the loopback"), ("127.0.0.1:1883", "is not mqtt"),
    ("mqtt://127.0.0.1:0", "is not mqtt"), ("mqtt://example.org:1883", "is not mqtt"), ("mqtt://127.0.0.1:port", "is not mqtt")])
def test_only_a_broker_of_ones_own_is_attacked(url, complaint):
    with pytest.raises(UsageError, match=complaint):
        broker.Broker(url)
    assert broker.address_of("mqtt://localhost:1,mqtt://127.0.0.1:2") == ("127.0.0.1", 1)
    assert broker.address_of("mqtt://[::1]:1884") == ("::1", 1884) and broker.address_of("mqtt://127.0.0.9") == ("127.0.0.9", 1883)


def test_an_attack_of_nobody_is_a_failure(poolmark):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = poolmark("attack", "silent", "--target", f"mqtt://127.0.0.1:{port}", "--for", "100ms")
    assert done.returncode == 1 and f"no connection was made; is there a broker at mqtt://127.0.0.1:{port}?" in done.stderr


def test_a_wrong_call_is_named(poolmark):
    for words, complaint in (([], "name an attack"), (["flood"], "no attack 'flood'"), (["fan-out"], "no --target"),
                             (["fan-out", "--target", "mqtt://192.0.2.1:1"], "not on the loopback"),
                             (["fan-out", "--target", "mqtt://127.0.0.1:1", "--for", "soon"], "--for")):
        done = poolmark("attack", *words)
        assert done.returncode == 2 and complaint in done.stderr, words
    listed = poolmark("attack", "--list").stdout.splitlines()
    assert [line.partition(": ")[0] for line in listed] == list(attacks.ATTACKS) and all(line.partition(": ")[2] for line in listed)


@built
def test_the_command_says_when_it_begins_and_what_it_did(poolmark):
    with running_broker() as (url, _):
        done = poolmark("attack", "kept-sessions", "--target", url, "--for", "300ms")
    assert done.returncode == 0, done.stderr
    ready, told = done.stdout.splitlines()
    told = json.loads(told)
    assert ready == "ready" and told["attack"] == "kept-sessions"
    assert told["rounds"] >= 1 and told["connections"] >= 20 and told["sent_bytes"] > 20 * 60_000 and told["refused"] == 0


def test_the_suite_has_every_attack_and_a_calm_cell():
    suite = tomllib.loads((SUITES / "attack.toml").read_text())
    assert suite["axes"]["attack"] == [attacked.CALM, *attacks.ATTACKS]
    files = {path.stem for path in (ROOT / "scripts/python/poolmark/attack").glob("*.py")}
    assert {name.replace("-", "_") for name in attacks.ATTACKS} == files - {"__init__", "attack", "attacks", "broker", "packets"}


# --- what a suite takes of it


class Cell:
    def __init__(self):
        self.found = {}

    def metric(self, name, value, unit, better="none"):
        self.found[name] = (value, unit, better)


def test_a_cell_has_the_figures_of_its_attack(tmp_path):
    cell = Cell()
    attacked.take(cell, tmp_path, [])
    assert cell.found == {}
    attacked.write(tmp_path, {"attack": "fan-out", "rounds": 3, "connections": 4, "sent_bytes": 5, "refused": 0, "stop_ns": 6})
    attacked.take(cell, tmp_path, [])
    assert cell.found == {"attack.rounds": (3, "1", "none"), "attack.connections": (4, "1", "none"), "attack.sent_bytes": (5, "B", "none"),
                          "attack.refused": (0, "1", "none"), "attack.stop_ns": (6, "ns", "lower")}
    attacked.write(tmp_path, {"attack": "calm", "stop_ns": 6})
    calm = Cell()
    attacked.take(calm, tmp_path, [])
    assert calm.found == {"attack.stop_ns": (6, "ns", "lower")}


@pytest.mark.parametrize("text", ["", "[]", '{"rounds": -1}', '{"rounds": "many"}', '{"stop_ns": true}'])
def test_a_damaged_file_of_an_attack_is_refused(tmp_path, text):
    (tmp_path / attacked.FILE).write_text(text)
    with pytest.raises(RecordError):
        attacked.take(Cell(), tmp_path, [])


def cell_of(attack, delivery, arrival):
    values = {"traffic.delivery.p99": delivery, "arrival.p99": arrival}
    return {"id": f"x-{attack}.1", "config": {"attack": attack}, "phases": [{"name": "traffic"}, {"name": "connects"}], "files": {},
            "metrics": {name: metric(value, "ns", "lower") for name, value in values.items()}}


def test_what_others_felt_is_the_worst_of_a_cells_phases():
    assert attacked.others(cell_of("calm", 5, 7)) == {"delivery": 5, "arrival": 7}
    assert attacked.others(cell_of("calm", None, 7)) == {"arrival": 7}
    assert attacked.attack_of({"config": {}}) is None


def test_the_page_says_the_worst_attack_and_how_many_keep_the_goal():
    cells = [cell_of("calm", 1e6, 2e6), cell_of("fan-out", 9e6, 3e6), cell_of("silent", 12e6, 4e6)]
    groups = {Name(cell["id"], "slab", ""): [cell] for cell in cells}
    told = answer._of_attacks(groups)
    assert told == ["Delivery p99 of others under an attack: at most 12 ms, with silent (1 ms without one); 1 of 2 attacks within 10 ms.",
                    "Arrival p99 of others under an attack: at most 4 ms, with silent (2 ms without one); 2 of 2 attacks within 10 ms."]


# --- the attacker of a cell


class Children:
    """Stands in for facts/children.py: a child whose output and exit code are given."""

    def __init__(self, code):
        self.code = code

    def stop(self, child, grace_s):
        child.returncode = self.code
        return self.code


@pytest.mark.parametrize("line, code, ended, complaint", [
    ('{"rounds": 0, "connections": 1, "sent_bytes": 1, "refused": 0}', 0, False, "not made once"),
    ("ready", 0, False, "did not say"), ('{"rounds": 1}', 0, False, "did not say"),
    ('{"rounds": 1, "connections": 1, "sent_bytes": 1, "refused": 0}', 1, False, "before it was to"),
    ('{"rounds": 1, "connections": 1, "sent_bytes": 1, "refused": 0}', 0, True, "before it was to")])
def test_an_attacker_that_did_not_attack_is_named(line, code, ended, complaint):
    from poolmark.run.attacker import Attacker

    attacker = Attacker(None, "fan-out")
    attacker.child = SimpleNamespace(lines=[line], exited=lambda: ended, how_it_ended=lambda: "it ended", last_lines=lambda: line)
    with pytest.raises(PoolmarkError, match=complaint):
        attacker.stop(Children(code))
