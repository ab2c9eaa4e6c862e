# SPDX-License-Identifier: Apache-2.0
"""The brokers' own counters and the books of the generators count the same traffic. Somebody else's is found by the difference, however
little it is, and an ordinary run has none."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from commands import poolmark, suite
from faults import GUARD_S, Broker, children_of, load

from poolmark.records import read_record
from poolmark.records.record import seal
from poolmark.verify import counters

# A cell for each way in which clients come, publish and go. `slab`, `sync`: only to have names of their own.
ORDINARY = """
title = "ordinary"
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = 200
[[group]]
[[group.phase]]
name = "connect"
scenario = "connect"
subscribe = true
prove = true
settle = "500ms"
[[group.phase]]
name = "qos1"
scenario = "publish"
pairs = 10
publish-rate = 500
qos = 1
warmup = "100ms"
duration = "500ms"
[[group.phase]]
name = "qos2"
scenario = "publish"
pattern = "fan-out"
subscribers = 20
publish-rate = 100
qos = 2
warmup = "100ms"
duration = "500ms"
[[group]]
config = { engine = "paho", connections = 30 }
[[group.phase]]
name = "connect"
scenario = "connect"
prove = true
settle = "500ms"
[[group.phase]]
name = "qos0"
scenario = "publish"
pairs = 5
publish-rate = 100
warmup = "100ms"
duration = "500ms"
[[group]]
config = { strategy = "slab" }
[[group.phase]]
name = "churn"
scenario = "churn"
connections = 50
churn-rate = 100
leave = "mix"
subscribe = true
duration = "1s"
settle = "500ms"
[[group.phase]]
name = "storm"
scenario = "storm"
connections = 50
leave = "rst"
by-client = true
backoff = "100ms"
settle = "500ms"
[[group]]
config = { strategy = "sync" }
[[group.phase]]
name = "steps"
scenario = "steps"
steps = "20,60"
probe = 10
duration = "300ms"
settle = "500ms"
"""

HELD = """
title = "held"
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = 200
[[phase]]
name = "connect"
scenario = "connect"
settle = "500ms"
hold = "3s"
"""


@contextlib.contextmanager
def running(folder, text):
    """A suite that runs; it is ended with the test."""
    process = subprocess.Popen(suite(folder, text), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(GUARD_S)
        process.stdout.close()


def told(cell) -> dict:
    """The anomalies of a cell that are of its brokers' counters."""
    return {one["what"]: one["text"] for one in cell["anomalies"] if one["text"].startswith(tuple(counters.BEGINNINGS.values()))}


def counted(folder, cell) -> dict:
    return {one.name: one for one in counters.compared(*counters.records_of(folder / "cells" / cell["id"], cell))}


# --- no false alarm, and exact where it is said to be ------------------------------------------------------------


def test_an_ordinary_cell_has_no_alarm_and_its_counters_are_exact(tmp_path):
    with running(tmp_path, ORDINARY) as process:
        said, _ = process.communicate(timeout=2 * GUARD_S)
    assert process.returncode == 0, said
    run = read_record.load(tmp_path / "run")
    cells = {cell["config"]["strategy"] + "-" + cell["config"]["engine"]: cell for cell in run.data["cells"]}
    found = {name: counted(run.folder, cell) for name, cell in cells.items()}
    assert [told(cell) for cell in cells.values()] == [{}] * 4
    # Connections, and messages in both directions: the same number in two programs' counts.
    for name, every in found.items():
        for one in ("opened", "connects_answered", "messages_received", "received_qos_0", "received_qos_1", "received_qos_2", "messages_sent"):
            assert every[one].range.exact() and every[one].counted == every[one].range.least, (name, every[one])
        assert every["bytes_sent"].counted >= every["bytes_sent"].range.least
        assert every["bytes_received"].counted <= every["bytes_received"].range.most
    assert found["malloc-raw"]["opened"].counted == 200 + 20 + 21 and found["malloc-paho"]["opened"].counted == 30 + 10
    assert found["malloc-raw"]["received_qos_1"].counted == 300 and found["malloc-raw"]["received_qos_2"].counted == 60
    assert found["malloc-raw"]["messages_sent"].counted == 300 + 20 * 60
    # A client of paho shows that it is alive by a message, one of raw by a ping.
    assert found["malloc-paho"]["received_qos_1"].counted == 30 and found["malloc-paho"]["received_qos_0"].counted == 60
    assert found["slab-raw"]["opened"].counted > 150 and found["sync-raw"]["opened"].counted == 210
    # All clients left in order: every byte that they sent was read.
    assert found["malloc-raw"]["bytes_received"].counted == found["malloc-raw"]["bytes_received"].range.most > 10000
    done = poolmark("verify", run.folder)
    assert done.returncode == 0, done.stdout


# --- somebody else in a cell -------------------------------------------------------------------------------------


def publish_once(port):
    """A client that connects, publishes one message, sees that the broker has it, and leaves."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(GUARD_S)
        client.sendall(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1s" + b"\x30\x08\0\5other!" + b"\xc0\0")
        answers = b""
        while len(answers) < 6:
            answers += client.recv(6)
        assert answers == b"\x20\2\0\0" + b"\xd0\0"
        client.sendall(b"\xe0\0")


def port_of(folder):
    log = (folder / "broker.log").read_text(encoding="utf-8")
    return int(next(line for line in log.splitlines() if line.startswith("listening ")).rpartition(":")[2])


def test_a_stranger_that_publishes_between_two_samples_is_found_by_the_brokers_counters(tmp_path):
    cell_folder = tmp_path / "run/cells/lean-malloc-raw-200.1"
    strangers = 1
    with running(tmp_path, HELD) as process:
        limit, memory = time.monotonic() + GUARD_S, cell_folder / "load/memory.csv"
        while not memory.is_file() or ",hold,200," not in memory.read_text(encoding="utf-8"):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        publish_once(port_of(cell_folder))
        if shutil.which("mosquitto_pub"):
            subprocess.run(["mosquitto_pub", "-p", str(port_of(cell_folder)), "-t", "other", "-m", "!"], check=True, timeout=GUARD_S)
            strangers = 2
        said, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 0, said
    run = read_record.load(tmp_path / "run")
    [cell] = run.data["cells"]
    text = told(cell)["other_clients"]
    assert set(told(cell)) == {"other_clients"} and cell["status"] == "complete"
    assert f"{200 + strangers} connections opened, 200 at most of this run's clients" in text
    assert f"{strangers} PUBLISH packets of QoS 0 received, 0 at most" in text and "bytes received" in text
    assert "! other_clients: counted by the target itself" in said
    # It is too little for the generator to see.
    assert not any(one["what"] == "other_clients" for one in read_record.load(cell_folder / "load").data["anomalies"])
    assert poolmark("verify", run.folder).returncode == 0

    # verify finds it again from the files.
    data = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    data["cells"][0]["anomalies"] = [one for one in cell["anomalies"] if one["text"] != text]
    (run.folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    seal(run.folder)
    done = poolmark("verify", run.folder)
    assert done.returncode == 1 and "by its files there is a 'other_clients', and the cell does not have it" in done.stdout


PUBLISHED = HELD + """
[[phase]]
name = "qos1"
scenario = "publish"
pairs = 5
publish-rate = 500
qos = 1
warmup = "100ms"
duration = "500ms"
"""


def held_with(folder, stranger):
    """As held_once(), of a run in which the generator itself was not late: on a busy host that marks figures too."""
    for number in range(5):
        run, said = held_once(folder.with_name(f"{folder.name}-{number}"), stranger)
        [cell] = run.data["cells"]
        if not {one["what"] for one in cell["anomalies"]} & {"late_receiver", "stalled"}:
            break
    return run, said


def held_once(folder, stranger):
    """The suite PUBLISHED; while its clients are held `stranger` gets the port of its broker. (record, what the suite printed)"""
    folder.mkdir()
    cell_folder = folder / "run/cells/lean-malloc-raw-200.1"
    with running(folder, PUBLISHED) as process:
        limit, memory = time.monotonic() + GUARD_S, cell_folder / "load/memory.csv"
        while not memory.is_file() or ",hold,200," not in memory.read_text(encoding="utf-8"):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        stranger(port_of(cell_folder))
        said, _ = process.communicate(timeout=GUARD_S)
    assert process.returncode == 0, said
    return read_record.load(folder / "run"), said


def test_figures_that_a_stranger_may_be_in_are_withheld_or_marked_for_every_reader(tmp_path):
    """A few bytes between two readings: only the broker counts them, and nobody knows which phase they were in."""
    base, _ = held_with(tmp_path / "alone", lambda port: None)
    run, said = held_with(tmp_path / "disturbed", publish_once)
    [ours], [cell] = base.data["cells"], run.data["cells"]
    assert not any(one.get("doubt") or one.get("why", "").startswith("withheld") for one in ours["metrics"].values())
    generators = {phase["prefix"]: read_record.load(run.folder / "cells" / cell["id"] / phase["folder"]).data["metrics"] for phase in cell["phases"]}
    on_target = ("memory.", "kernel.", "cpu.per_", "account.", "pool.")
    for name, one in cell["metrics"].items():
        if name.removeprefix("qos1.").startswith(on_target):
            assert one["value"] is None and one["why"] == "withheld: see the anomaly other_clients of the cell", name
        elif one["value"] is not None:
            assert one.get("doubt") == ("other_clients" if one["better"] != "none" else None), name
    for name in ("connect.p99", "qos1.delivery.p99", "qos1.messages.lost"):     # the generators' own figures stay, marked
        assert "doubt" in cell["metrics"][name]
        assert any(cell["metrics"][name]["value"] == found[name.removeprefix(prefix)]["value"] for prefix, found in generators.items()
                   if name.removeprefix(prefix) in found)
    assert {"memory.per_connection_bytes", "pool.hit_rate", "qos1.cpu.per_message_ns"} <= set(cell["metrics"])

    # The suite's table, its CSV, the report.
    table = {words[0].strip(): words[1].strip() for line in said.splitlines() if len(words := line.rsplit("  ", 1)) == 2}
    assert table["memory per connection"] == table["pool hit rate"] == table["CPU per message, qos1"] == "withheld"
    assert table["connect p99"].endswith(" ?") and table["clients failed"] == "0 ?" and "comparisons leave it out" in said
    lines = (run.folder / "summary.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert row["doubt"] == "other_clients" and row["pool.hit_rate [%]"] == "" and row["connect.p99 [ns]"] != ""
    assert ",doubt," not in (base.folder / "summary.csv").read_text(encoding="utf-8")
    assert poolmark("report", run.folder, "--out", tmp_path / "page").returncode == 0
    page = (tmp_path / "page/report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "Others used the target of 1 configuration meanwhile" in page and "| pool hit rate | withheld |" in page
    assert [line for line in page.splitlines() if line.startswith("| connect p99 |")][0].rstrip(" |").endswith(" ?")

    # A comparison decides by none of it, and says why.
    for pair in ((base, run), (run, base)):
        compared = poolmark("compare", *(one.folder for one in pair))
        assert compared.returncode in (2, 3) and "other_clients" in compared.stdout and "regression:" not in compared.stdout, compared.stdout

    # verify demands it.
    assert poolmark("verify", run.folder).returncode == 0
    for name, change, told in (("connect.p99", lambda one: one.pop("doubt"), "the record says doubt None, its files say 'other_clients'"),
                               ("pool.hit_rate", lambda one: one.update(value=99.0), "the record says 99, its files give none")):
        data = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        change(data["cells"][0]["metrics"][name])
        shutil.copytree(run.folder, tmp_path / name)
        (tmp_path / name / "run.json").write_text(json.dumps(data), encoding="utf-8")
        seal(tmp_path / name)
        done = poolmark("verify", tmp_path / name)
        assert done.returncode == 1 and f"{name}: {told}" in done.stdout, done.stdout


# --- generators that are started by hand -------------------------------------------------------------------------


def connect(folder, port, *more, count=300, **how):
    return load(folder, "connect", port, "--connections", count, *more, **how)


def beside(runs, brokers):
    return poolmark("verify", *runs, *(word for one in brokers for word in ("--broker", one)))


def test_connections_that_never_reached_the_broker_are_found(tmp_path):
    with Broker("--record", tmp_path / "one") as one, Broker("--record", tmp_path / "other") as other:
        with connect(tmp_path / "run", one.port, "--target", f"mqtt://127.0.0.1:{other.port}") as run:
            assert run.end() == 0
    done = beside([tmp_path / "run"], [tmp_path / "one"])
    assert done.returncode == 1 and "not_reached: not counted by the target: 150 connections opened, 300 at least" in done.stdout
    done = beside([tmp_path / "run"], [tmp_path / "one", tmp_path / "other"])
    assert done.returncode == 0 and "exactly: 300 connections opened" in done.stdout


def test_generators_that_share_a_target_on_purpose_say_so_and_are_no_strangers(tmp_path):
    how = ("--pairs", 10, "--publish-rate", 500, "--warmup", 0, "--beside", "another generator")
    with Broker("--threads", "1", "--record", tmp_path / "broker") as broker:
        with load(tmp_path / "one", "publish", broker.port, *how, "--duration", "4s", "--watch-pid", broker.pid) as one:
            one.wait_for("publish ")
            with load(tmp_path / "two", "publish", broker.port, *how, "--duration", "1s", "--watch-pid", broker.pid) as two:
                assert two.end() == 0
            assert one.end() == 0
    for run in (one, two):
        assert "another generator loads the target on purpose" in run.anomaly("beside") and run.metric("cpu.per_message_ns") is None
        assert not run.anomaly("other_clients") and not run.anomaly("target_busy") and run.record["status"] == "complete"
    done = beside([tmp_path / "one", tmp_path / "two"], [tmp_path / "broker"])
    assert done.returncode == 0 and "exactly: 40 connections opened, 40 CONNECTs answered, 2 500 PUBLISH packets received" in done.stdout
    done = beside([tmp_path / "one"], [tmp_path / "broker"])
    assert done.returncode == 1 and "other_clients: counted by the target itself: 40 connections opened, 20 at most" in done.stdout


def interrupt(run):
    os.kill(run.pid, signal.SIGINT)


def kill_a_worker(run):
    os.kill(children_of(run.pid)[0], signal.SIGKILL)


@pytest.mark.parametrize("fault", [interrupt, kill_a_worker])
@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_run_that_ends_early_accuses_nobody(tmp_path, fault, engine):
    with Broker("--threads", "1", "--record", tmp_path / "broker") as broker:
        with load(tmp_path / "run", "publish", broker.port, "--pairs", 20, "--publish-rate", 2000, "--qos", 1, "--duration", f"{GUARD_S}s",
                  "--workers", 2, engine=engine) as run:
            run.wait_for("publish ")
            fault(run)
            assert run.end() == 1
    done = beside([tmp_path / "run"], [tmp_path / "broker"])
    assert "other_clients" not in done.stdout and "not_reached" not in done.stdout and done.returncode == 0, done.stdout


def test_clients_that_were_refused_accuse_nobody(tmp_path):
    with Broker("--threads", "1", "--max-connections", 100, "--record", tmp_path / "broker") as broker:
        with connect(tmp_path / "run", broker.port, "--timeout", "5s") as run:
            assert run.end() == 1
    done = beside([tmp_path / "run"], [tmp_path / "broker"])
    assert done.returncode == 0, done.stdout
    counts = json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["counters"]
    assert counts["opened"] == 300 and counts["accepted"] == counts["connects_answered"] == 100 and counts["refused_limit"] == 200
    # Their bytes are counted too, in both directions.
    assert counts["bytes_received"] == run.metric("clients.bytes_sent") and counts["bytes_sent"] == run.metric("clients.bytes_received")
