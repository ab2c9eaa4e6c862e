# SPDX-License-Identifier: Apache-2.0
"""Others that load the target during a mix: their phase is named, and its figures, and those of memory after it, are not known."""
import json

import pytest
from faults import BUILD, ROOT, Broker, Load
from others import client_of, is_verified, packet, text
from test_mix_counted import wrong_of
from test_strangers_leave import publishes
from test_strangers_within import clients_at_once, publishes_and_leaves

import others
from poolmark.compare.pairing import why_without

own_network = others.own_network  # a fixture of every test here

MIX = """
[group.sensors]
role = "publisher"
connections = 10
topic = "house/%i/temperature"

[group.boards]
role = "subscriber"
from = "sensors"
connections = 2

[group.phones]
role = "idle"
connections = 40

[[phase]]
name = "arrive"
all = "connect"

[[phase]]
name = "day"
duration = "3s"
sensors = { do = "publish", rate = 100 }

[[phase]]
name = "shift"
duration = "3s"
phones = { do = "churn", rate = 20 }

[[phase]]
name = "night"
duration = "1s"
"""
PHASES = ("arrive", "day", "shift", "night")


def play(folder, broker, *more):
    file = folder.with_suffix(".toml")
    file.write_text(MIX, encoding="utf-8")
    return Load(folder, [ROOT / "scripts/poolmark", "mix", file, "--build", BUILD, "--target", f"mqtt://127.0.0.1:{broker.port}", "--engine", "raw",
                         "--watch-pid", str(broker.pid), "--record", folder, *more])


def not_known(run):
    """The names of metrics without a value, and of which the reason is an anomaly that the record has."""
    names = {name for name, one in run.record["metrics"].items() if str(one.get("why")).startswith("see the anomaly ")}
    assert all(run.anomaly(run.record["metrics"][name]["why"].removeprefix("see the anomaly ")) for name in names)
    assert all(run.metric(name) is None for name in names)
    return names


def of_phases(what, *phases):
    return {f"phase.{phase}.{what}" for phase in phases}


def test_a_mix_alone_has_every_figure(tmp_path):
    with Broker("--threads", "1") as broker, client_of(broker.port, b"monitor"), play(tmp_path / "run", broker) as run:
        assert run.end() == 0, run.said()
    assert not_known(run) == set() and not run.anomaly("other_clients") and not run.anomaly("other_connections")
    assert "withheld" not in run.record["summary"]
    for phase in PHASES:
        assert run.metric(f"phase.{phase}.memory_bytes") > 0 and run.metric(f"phase.{phase}.cpu_seconds") >= 0
    assert run.metric("memory.peak_bytes") > 0 and run.metric("boards.day.delivery.p99") > 0


def test_one_that_publishes_and_leaves_in_a_phase(tmp_path):
    with Broker("--threads", "1") as broker, play(tmp_path / "run", broker) as run:
        run.wait_for(" day ")
        publishes_and_leaves(broker.port)
        assert run.end() == 0, run.said()
    assert "phase day: memory and CPU time of the target have no figure: connections of others to the target carried" in run.anomaly("other_clients")
    assert "phase shift" not in run.anomaly("other_clients") and "phase arrive" not in run.anomaly("other_clients")
    missing = not_known(run)
    assert missing == (of_phases("cpu_seconds", "day") | of_phases("memory_bytes", "day", "shift", "night") | {"memory.peak_bytes", "memory.after_bytes"})
    assert run.metric("boards.day.delivery.p99") > 0 and run.metric("phase.shift.cpu_seconds") > 0
    assert sorted(run.record["summary"]["withheld"]["other_clients"]) == sorted(
        of_phases("cpu_seconds", "day") | of_phases("memory_bytes", "day", "shift", "night"))
    good, said = is_verified(tmp_path / "run")
    assert good and "not known, as an anomaly says" in said, said
    cell = {"metrics": run.record["metrics"], "anomalies": run.record["anomalies"]}
    assert "other_clients (1): phase day: " in why_without([cell], "phase.day.cpu_seconds")


def test_one_that_publishes_and_leaves_while_clients_connect_first(tmp_path):
    """Then memory with all connected is not known either."""
    with Broker("--threads", "1") as broker:
        file = tmp_path / "slow.toml"
        file.write_text(MIX.replace('all = "connect"', 'all = "connect"\nduration = "2s"'), encoding="utf-8")
        with Load(tmp_path / "run", [ROOT / "scripts/poolmark", "mix", file, "--build", BUILD, "--target", f"mqtt://127.0.0.1:{broker.port}", "--engine",
                                     "raw", "--watch-pid", str(broker.pid), "--record", tmp_path / "run"]) as run:
            run.wait_for(" arrive ")
            publishes_and_leaves(broker.port)
            assert run.end() == 0, run.said()
    missing = not_known(run)
    assert of_phases("memory_bytes", *PHASES) | {"memory.full_bytes", "memory.full_private_bytes"} <= missing
    assert "phase.day.cpu_seconds" not in missing and run.metric("memory.start_bytes") > 0
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_many_that_come_and_leave_while_a_group_churns(tmp_path):
    with Broker("--threads", "1") as broker, play(tmp_path / "run", broker) as run:
        run.wait_for(" shift ")
        clients_at_once(broker.port, 200)
        assert run.end() == 0, run.said()
    assert "phase shift: " in run.anomaly("other_clients") and "connections to the target were made meanwhile" in run.anomaly("other_clients")
    assert {"phase.shift.cpu_seconds", "phase.shift.memory_bytes", "phase.night.memory_bytes"} <= not_known(run)
    assert run.metric("phase.day.memory_bytes") > 0 and run.metric("phones.shift.arrivals.count") > 0
    assert is_verified(tmp_path / "run")[0]


def test_one_that_was_there_before_and_leaves_while_a_group_churns(tmp_path):
    with Broker("--threads", "1") as broker, client_of(broker.port, b"before") as other, play(tmp_path / "run", broker) as run:
        run.wait_for(" shift ")
        publishes(other)
        other.sendall(b"\xe0\0")
        other.close()
        assert run.end() == 0, run.said()
    assert "phase shift: " in run.anomaly("other_clients")
    assert {"phase.shift.cpu_seconds", "phase.shift.memory_bytes", "phase.night.memory_bytes"} <= not_known(run)
    assert run.metric("phase.day.cpu_seconds") > 0
    assert is_verified(tmp_path / "run")[0]


def test_messages_of_others_at_a_group_take_its_latencies_there(tmp_path):
    with Broker("--threads", "1") as broker, client_of(broker.port, b"other") as other, play(tmp_path / "run", broker) as run:
        run.wait_for(" day ")
        for _ in range(200):
            other.sendall(packet(0x30, text(b"house/3/temperature") + b"21 degrees"))
        other.sendall(b"\xc0\0")
        assert other.recv(2) == b"\xd0\0"
        run.end()
    assert "boards in phase day: latencies of deliveries have no figure: 400 messages of others" in run.anomaly("foreign")
    missing = not_known(run)
    assert {"boards.day.delivery.p50", "boards.day.delivery.max", "phase.day.cpu_seconds"} <= missing
    assert run.metric("boards.day.delivery.count") == run.metric("boards.day.messages.received") == 600
    assert not any(name.startswith("sensors.") for name in missing)
    good, said = is_verified(tmp_path / "run")
    assert good, said


@pytest.mark.parametrize("beside", [False, True])
def test_a_figure_that_is_put_in_the_place_of_one_that_is_not_known_is_noticed(tmp_path, beside):
    with Broker("--threads", "1") as broker, play(tmp_path / "run", broker, *(["--set", "beside=the other generators"] if beside else [])) as run:
        run.wait_for(" day ")
        publishes_and_leaves(broker.port)
        assert run.end() == 0, run.said()
    record = run.record
    assert bool(run.anomaly("other_clients")) != beside
    assert record["metrics"]["phase.day.cpu_seconds"]["why"] == f"see the anomaly {'beside' if beside else 'other_clients'}"
    assert wrong_of(tmp_path / "run") == []
    record["metrics"]["phase.day.cpu_seconds"]["value"] = 1.0
    (tmp_path / "run/run.json").write_text(json.dumps(record), encoding="utf-8")
    assert wrong_of(tmp_path / "run") == ["phase.day.cpu_seconds: the record says 1, and by an anomaly there is no figure"]
