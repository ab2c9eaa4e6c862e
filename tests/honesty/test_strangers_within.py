# SPDX-License-Identifier: Apache-2.0
"""Others that come and leave within one act of a run, so that no reading finds them there: what they cost is not charged to the
clients of the run. The record says so, and with a suite its record, its table, the report and a comparison."""
import contextlib
import json
import os
import re
import resource
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from commands import poolmark, suite
from faults import GUARD_S, Broker, children_of, load
from others import client_of, is_verified, packet, text

import others
from poolmark.records.read_record import load as read
from poolmark.verify.verify import complaints

own_network = others.own_network  # a fixture of every test here

MANY = 3000
OF_A_CONNECTION = ("cpu.per_connection_ns", "memory.per_connection_bytes", "kernel.per_connection_bytes")


@pytest.fixture
def descriptors():
    """This process may have MANY sockets open, and some more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + 500:
        pytest.skip(f"this process may have no more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def all_at_once(port, count):
    """So many connections are open together, and are then closed."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            all_of_them.enter_context(socket.create_connection(("127.0.0.1", port)))


def one_after_the_other(port, count):
    for _ in range(count):
        socket.create_connection(("127.0.0.1", port)).close()


def clients_at_once(port, count):
    """The same with a CONNECT each: the target makes a session for each."""
    with contextlib.ExitStack() as all_of_them:
        for number in range(count):
            all_of_them.enter_context(client_of(port, b"other%d" % number))


def publishes_and_leaves(port, leaves="disconnect", messages=60):
    """One client that connects, publishes messages of 10 000 bytes, which are kept, and leaves. The target has read all of them."""
    with client_of(port, b"gone") as other:
        for number in range(messages):
            other.sendall(packet(0x31, text(b"kept/%d" % number) + bytes(10000)))
        other.sendall(b"\xc0\0")
        assert other.recv(2) == b"\xd0\0"
        if leaves == "reset":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            other.sendall(b"\xe0\0")


def carried(run):
    """How many bytes connections of others carried, as the record says."""
    told = re.search(r"connections of others to the target carried (\d+) bytes", run.anomaly("other_clients"))
    return int(told[1]) if told else 0


def assert_none(run, names):
    """These figures are not known in the record, and not known on the screen. An anomaly before may withhold one too (kernel_noise)."""
    assert run.anomaly("other_clients")
    for name in names:
        one = run.record["metrics"][name]
        assert one["value"] is None and "see the anomaly " in one["why"], name
        assert not any(line.split()[:1] == [name] and "not known" not in line for line in run.table().splitlines()), name


def connect(folder, broker, *more):
    """Clients connect for more than two seconds."""
    return load(folder, "connect", broker.port, "--connections", 400, "--rate", 150, "--settle", "1s", "--watch-pid", broker.pid, "--all",
                *more)


@pytest.mark.parametrize("come", [all_at_once, one_after_the_other])
def test_three_thousand_that_come_and_leave_while_ours_connect(tmp_path, descriptors, come):
    with Broker("--threads", "1") as broker, connect(tmp_path / "run", broker) as run:
        run.wait_for("connect ")
        come(broker.port, MANY)
        assert run.end() == 0
    told = re.search(r"had (\d+) descriptors open beyond those|beside those of this run (\d+) connections", run.anomaly("other_clients"))
    assert told and 16 < int(told[1] or told[2]) <= MANY + 16
    assert_none(run, OF_A_CONNECTION)
    assert run.metric("network.passive_opens") >= MANY and run.metric("clients.connected") == 400
    good, said = is_verified(tmp_path / "run")
    assert good and "not known, as an anomaly says" in said, said


@pytest.mark.parametrize("leaves, subscribe", [("disconnect", False), ("reset", True)])
def test_one_that_publishes_and_leaves_while_ours_connect(tmp_path, leaves, subscribe):
    with Broker("--threads", "1") as broker, connect(tmp_path / "run", broker, *(["--subscribe"] if subscribe else [])) as run:
        run.wait_for("connect ")
        publishes_and_leaves(broker.port, leaves)
        assert run.end() == 0
    assert 600_000 <= carried(run) <= 620_000
    assert_none(run, OF_A_CONNECTION)
    assert is_verified(tmp_path / "run")[0]


def test_one_that_publishes_and_leaves_during_a_step_gives_that_step_no_figure(tmp_path):
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "steps", broker.port, "--steps", "200,400", "--rate", 100, "--probe", 0, "--settle", "1s", "--watch-pid",
                 broker.pid) as run:
        run.wait_for("connect ")
        publishes_and_leaves(broker.port)
        assert run.end() == 0
    first, second = run.record["steps"]
    assert first["cpu_per_connection_ns"] is None and second["cpu_per_connection_ns"] > 0
    assert "step of 200 connections: CPU time of a connection has no figure: other_clients" in run.anomaly("step_cost")
    assert carried(run) >= 600_000 and run.metric("memory.per_connection_bytes") is None
    assert is_verified(tmp_path / "run")[0]


SUBSCRIBE = ("--connections", 100, "--filters", 5, "--repeat", 1, "--subscribe-rate", 200, "--settle", "1s", "--all")
OF_A_SUBSCRIPTION = ("cpu.per_change_ns", "memory.subscribed_bytes", "memory.after_bytes", "memory.peak_bytes")


def subscribe(folder, broker):
    """Subscriptions come for two and a half seconds, and go."""
    return load(folder, "subscribe", broker.port, *SUBSCRIBE, "--watch-pid", broker.pid)


def test_one_that_publishes_and_leaves_while_ours_subscribe(tmp_path):
    """On a busy host a change may still be under way when the client's next is due: exit code 1, and the same figures."""
    with Broker("--threads", "1") as broker:
        with subscribe(tmp_path / "alone", broker) as alone:
            alone.end()
        assert not alone.anomaly("other_clients") and all(alone.metric(name) > 0 for name in OF_A_SUBSCRIPTION)
        with subscribe(tmp_path / "beside", broker) as beside:
            beside.wait_for(" subscribe ")
            publishes_and_leaves(broker.port)
            beside.end()
    assert 600_000 <= carried(beside) <= 620_000
    assert_none(beside, OF_A_SUBSCRIPTION)
    assert beside.record["status"] == "complete" or beside.anomaly("not_sent")
    good, said = is_verified(tmp_path / "beside")
    assert good, said


def test_many_that_come_and_leave_while_ours_subscribe(tmp_path):
    with Broker("--threads", "1") as broker, subscribe(tmp_path / "run", broker) as run:
        run.wait_for(" subscribe ")
        one_after_the_other(broker.port, 300)
        run.end()
    assert "connections to the target were made meanwhile" in run.anomaly("other_clients")
    assert_none(run, OF_A_SUBSCRIPTION)


def test_what_others_leave_behind_while_readers_are_slow_is_no_memory_of_readers(tmp_path):
    with Broker("--threads", "1", "--max-queued-bytes", "64MiB") as broker, \
            load(tmp_path / "run", "slow", broker.port, "--subscribers", 3, "--slow-share", 0.34, "--publish-rate", 20, "--message-bytes", "64KiB",
                 "--before", "500ms", "--duration", "2s", "--after", "1s", "--settle", "500ms", "--watch-pid", broker.pid) as run:
        run.wait_for(" slow ")
        publishes_and_leaves(broker.port, messages=1500)
        run.end()
    assert carried(run) >= 15_000_000
    assert_none(run, ("slow.memory_per_reader_bytes", "memory.after_bytes", "memory.peak_bytes"))
    assert is_verified(tmp_path / "run")[0]


def test_a_burst_of_others_within_a_burst(tmp_path):
    """In the second burst our clients come back from the ports that they had, so the list of sockets has no new ones of them."""
    def burst(folder):
        return load(folder, "burst", broker.port, "--connections", 100, "--burst", 300, "--burst-rate", 150, "--repeat", 2, "--stay", "500ms",
                    "--calm", "500ms", "--settle", "1s", "--watch-pid", broker.pid, "--all")

    figures = ("cpu.per_arrival_ns", "memory.peak_bytes", "memory.after_bytes")
    with Broker("--threads", "1") as broker:
        with burst(tmp_path / "alone") as alone:
            assert alone.end() == 0
        assert not alone.anomaly("other_clients") and all(alone.metric(name) > 0 for name in figures)
        with burst(tmp_path / "beside") as beside, socket.create_server(("127.0.0.1", 0)) as elsewhere:
            beside.wait_for(" calm ")
            beside.wait_for_after(" calm ", " burst ")
            clients_at_once(broker.port, 300)
            one_after_the_other(elsewhere.getsockname()[1], 20)  # so not all that is new is at the target
            assert beside.end() == 0
    if os.geteuid() != 0 and beside.anomaly("other_connections"):
        return  # without a namespace of its own: programs of the host connected to others meanwhile
    told = re.search(r"beside those of this run (\d+) connections to the target", beside.anomaly("other_clients"))
    assert told and 200 <= int(told[1]) <= 300
    assert_none(beside, figures)
    assert beside.metric("arrivals.count") == 600
    assert is_verified(tmp_path / "beside")[0]


def test_a_soak_beside_others_has_no_verdict_on_memory(tmp_path):
    """Others connect all the time. Without them, so short a soak is too short to tell."""
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "soak", broker.port, "--connections", 50, "--churn-rate", 20, "--pairs", 2, "--publish-rate", 20, "--settle",
                 "500ms", "--duration", "3s", "--watch-pid", broker.pid) as run:
        run.wait_for(" soak ")
        one_after_the_other(broker.port, 300)
        assert run.end() == 0
    told = run.record["summary"]["verdicts"]["memory"]
    assert told["verdict"] == "not measured" and "others loaded the target" in told["why"]
    assert "soak.memory_slope" not in run.record["metrics"]
    assert_none(run, ("memory.after_bytes", "memory.peak_bytes"))
    good, said = is_verified(tmp_path / "run")
    assert good, said


def test_a_look_from_time_to_time_takes_no_figure(tmp_path):
    """A monitor that connects, says a few bytes, and leaves."""
    with Broker("--threads", "1") as broker, connect(tmp_path / "run", broker) as run:
        run.wait_for("connect ")
        for number in range(5):
            with client_of(broker.port, b"look%d" % number) as other:
                other.sendall(b"\xc0\0\xe0\0")
        assert run.end() == 0
    assert not run.anomaly("other_clients") and run.metric("cpu.per_connection_ns") > 0


def test_a_look_while_clients_take_turns_leaves_the_figures_with_a_doubt(tmp_path):
    """Nobody hears the ends of connections then, so what these carried is not known. Only a sentence said so."""
    with Broker("--threads", "1") as broker, \
            load(tmp_path / "run", "churn", broker.port, "--connections", 100, "--churn-rate", 50, "--duration", "2s", "--settle", "1s", "--watch-pid",
                 broker.pid) as run:
        run.wait_for(" churn ")
        for number in range(3):
            with client_of(broker.port, b"look%d" % number) as other:
                other.sendall(b"\xc0\0\xe0\0")
                while other.recv(100):     # the target ends it: one that is reset leaves no trace
                    pass
        assert run.end() == 0
    assert "3 connections of others to the target came and ended meanwhile" in run.anomaly("other_connections"), run.record["anomalies"]
    metrics = run.record["metrics"]
    for name in ("cpu.per_arrival_ns", "memory.after_bytes", "memory.peak_bytes"):
        assert metrics[name]["doubt"] == "other_connections" and metrics[name]["value"] > 0
    assert all("doubt" not in metrics[name] for name in ("arrivals.count", "arrival.p50", "clients.connected"))
    assert is_verified(tmp_path / "run")[0]
    edited = read(tmp_path / "run")
    del edited.data["metrics"]["cpu.per_arrival_ns"]["doubt"]
    assert any("cpu.per_arrival_ns: by an anomaly others may be in it" in text for text in complaints(edited)[0])


# --- the same in a suite's cell ----------------------------------------------------------------------------------------

SUITE = """
title = "others"
primary = ["cpu.per_connection_ns"]
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = 400
[[phase]]
name = "connect"
scenario = "connect"
rate = 100
settle = "1s"
"""


def port_of_cell(process, folder):
    """The port of the cell's broker, when its clients have begun to connect."""
    limit = time.monotonic() + GUARD_S
    while True:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
        if not any(",connect," in path.read_text(encoding="utf-8") for path in folder.glob("cells/*/load/memory.csv")):
            continue
        for pid in children_of(process.pid):
            with contextlib.suppress(OSError):
                found = re.search(rb"mqtt://127\.0\.0\.\d+:(\d+)", Path(f"/proc/{pid}/cmdline").read_bytes())
                if found:
                    return int(found[1])


def run_suite(folder, act=None):
    process = subprocess.Popen(suite(folder.parent, SUITE, out=folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if act:
            act(port_of_cell(process, folder))
        out, err = process.communicate(timeout=GUARD_S)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The suite without others."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    code, out, err = run_suite(folder)
    assert code == 0, out + err
    return folder


@pytest.mark.parametrize("act, told", [(lambda port: one_after_the_other(port, MANY), "connections to the target were made|descriptors open beyond"),
                                       (publishes_and_leaves, "connections of others to the target carried 6[01]")], ids=["many", "one"])
def test_in_a_suites_cell_record_table_report_and_comparison_say_it(tmp_path, alone, act, told):
    code, out, err = run_suite(tmp_path / "beside", act)
    assert code == 0, err   # nothing was lost: what is not known is null (docs/commands.md)
    cell, = read(tmp_path / "beside").data["cells"]
    generator = json.loads((tmp_path / "beside/cells" / cell["id"] / "load/run.json").read_text(encoding="utf-8"))
    said = [one["text"] for one in cell["anomalies"] if one["what"] == "other_clients"]
    assert len(said) == 2  # by the generator, and by the target's own counters
    assert re.search(told, said[0]) and said[0].startswith("connect: ") and "Somebody else used the target" in said[1]
    for name in OF_A_CONNECTION:
        assert generator["metrics"][name]["value"] is None and cell["metrics"][name]["value"] is None, name
    assert "other_clients" in out and re.search(r"memory per connection +withheld", out)
    assert read(alone).data["cells"][0]["metrics"]["cpu.per_connection_ns"]["value"] > 0

    report = poolmark("report", tmp_path / "beside", "--out", tmp_path / "page")
    assert report.returncode == 0, report.stdout + report.stderr
    for page in ("report.md", "report.html"):
        assert "other_clients: connect: memory" in (tmp_path / "page" / page).read_text(encoding="utf-8").replace("\\", "")
    verify = poolmark("verify", tmp_path / "beside")
    assert verify.returncode == 0 and "not known, as an anomaly says" in verify.stdout, verify.stdout
    compared = poolmark("compare", alone, tmp_path / "beside")
    assert compared.returncode in (2, 3), compared.stdout   # no clean bill: the candidate has no figure for what decides
