# SPDX-License-Identifier: Apache-2.0
"""Hosts made of network namespaces: addresses, names, links with delay and loss, and nothing left behind. Need root."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.cluster import namespaces, wire
from poolmark.cluster.namespaces import Hosts

ROOT = Path(__file__).resolve().parents[2]
GUARD_S = 120
needs_hosts = pytest.mark.skipif(namespaces.why_not() is not None, reason=str(namespaces.why_not()))

# Answers each datagram; prints how many it got when told to end.
ECHO = """
import signal, socket, sys
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
there.bind((sys.argv[1], 7))
print("ready", flush=True)
while True:
    data, other = there.recvfrom(2048)
    there.sendto(data, other)
"""
# The least time of a round trip of so many, in seconds; fails when none comes back.
ROUNDS = """
import socket, sys, time
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.settimeout(0.5)
found = []
for number in range(int(sys.argv[2])):
    begun = time.monotonic()
    here.sendto(str(number).encode(), (sys.argv[1], 7))
    try:
        while here.recv(2048) != str(number).encode():
            pass
        found.append(time.monotonic() - begun)
    except (TimeoutError, OSError):
        pass
print(min(found), len(found)) if found else sys.exit("nothing came back")
"""


class Echo:
    """A server on one of the hosts."""

    def __init__(self, hosts, name):
        self.process = subprocess.Popen([*hosts.prefix(name), sys.executable, "-c", ECHO, hosts.address(name)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def rounds(hosts, name, to, number=5):
    least, came = hosts.on(name, sys.executable, "-c", ROUNDS, hosts.address(to), str(number)).split()
    return float(least), int(came)


def gone(pids):
    limit = time.monotonic() + GUARD_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return True


def test_without_root_the_reason_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="take root"), Hosts(["a"]):
        pass


@pytest.mark.parametrize("names", [[], ["a", "a"], [f"h{i}" for i in range(namespaces.MOST_HOSTS + 1)]])
def test_a_wrong_number_of_hosts_is_refused(names):
    with pytest.raises(UsageError, match="each with a name of its own"):
        Hosts(names)


@needs_hosts
def test_each_host_has_an_address_and_a_name_and_reaches_the_others():
    with Hosts(["a", "b", "c"]) as hosts, Echo(hosts, "b"):
        assert [hosts.on(name, "hostname").strip() for name in ("a", "b", "c")] == ["a", "b", "c"]
        assert "10.77.0.2/16" in hosts.on("b", "ip", "-4", "address", "show", "dev", "eth0")
        assert rounds(hosts, "a", "b")[1] == rounds(hosts, "c", "b")[1] == 5
        with pytest.raises(PoolmarkError, match="nothing came back"):
            rounds(hosts, "a", "c")         # nobody answers there
    assert hosts.keepers == {} and os.uname().nodename not in ("a", "b", "c")


@needs_hosts
def test_a_host_whose_link_is_cut_is_not_reached_until_it_is_mended():
    with Hosts(["a", "b"]) as hosts, Echo(hosts, "b"):
        hosts.cut("b")
        with pytest.raises(PoolmarkError, match="nothing came back"):
            rounds(hosts, "a", "b", 2)
        hosts.mend("b")
        assert rounds(hosts, "a", "b", 20)[1] > 0


@needs_hosts
@pytest.mark.parametrize("by_wire", [False, True])
def test_a_round_trip_takes_at_least_twice_the_delay_of_a_link(monkeypatch, by_wire):
    if by_wire:
        monkeypatch.setattr(Hosts, "_netem", lambda self: False)
    with Hosts(["a", "b"], delay_s=0.02) as hosts, Echo(hosts, "b"):
        least, came = rounds(hosts, "a", "b")
        assert came == 5 and least >= 0.04
        assert "20 ms" in hosts.words() and ("wire" in hosts.way if by_wire else hosts.way != "veth")


@needs_hosts
def test_the_wire_loses_the_share_that_was_asked_for_and_counts_it(monkeypatch):
    monkeypatch.setattr(Hosts, "_netem", lambda self: False)
    hosts = Hosts(["a", "b"], loss=0.2, seed=7)
    with hosts, Echo(hosts, "b"):
        hosts.on("a", sys.executable, "-c", "import socket, sys, time\nhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                 "for number in range(4000):\n    here.sendto(b'x', (sys.argv[1], 7))\n    if number % 50 == 0: time.sleep(0.005)", hosts.address("b"))
        counts = hosts.close()
    assert counts["taken"] >= 4000
    assert counts["lost"] + counts["passed"] + counts["refused"] <= counts["taken"]     # some may have been on their way
    assert 0.15 < counts["lost"] / counts["taken"] < 0.25       # 0.2, within 8 times its deviation


@needs_hosts
def test_nothing_is_left_when_the_body_fails():
    with pytest.raises(KeyError), Hosts(["a", "b"]) as hosts:
        pids = [keeper.pid for keeper in hosts.keepers.values()]
        left = subprocess.Popen([*hosts.prefix("a"), "sleep", "1000"])
        while hosts.on("a", "true") or left.pid not in hosts.processes("a"):
            time.sleep(0.01)
        folder = hosts.folder
        raise KeyError
    assert left.wait(GUARD_S) == -signal.SIGTERM and gone(pids) and not folder.exists()


@needs_hosts
def test_nothing_is_left_when_the_process_is_killed(tmp_path):
    text = ("import sys, time\nsys.path.insert(0, sys.argv[1])\nfrom poolmark.cluster.namespaces import Hosts\n"
            "with Hosts(['a', 'b'], delay_s=0.001) as hosts:\n"
            "    print(*[one.pid for one in hosts.keepers.values()], *([hosts._wire.pid] if hosts._wire else []), flush=True)\n    time.sleep(1000)\n")
    process = subprocess.Popen([sys.executable, "-c", text, str(ROOT / "scripts/python")], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) >= 2
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(pids)


@needs_hosts
def test_the_agent_runs_a_command_on_the_host_that_it_names():
    with Hosts(["a", "b"]) as hosts:
        def call(*words):
            return subprocess.run([hosts.agent, *words], capture_output=True, text=True, timeout=GUARD_S)

        assert call("b", "hostname; echo", "'two  words'").stdout == "b\ntwo  words\n"
        assert call(hosts.address("a"), "hostname").stdout == "a\n"
        done = call("c", "hostname")
        assert done.returncode == 255 and "'c'" in done.stderr


# --- wire.py without devices


def test_the_wire_gives_a_frame_to_the_card_that_it_is_for_and_to_all_others_before_it_knows():
    ends = [os.pipe() for _ in range(3)]
    devices = [write for _, write in ends]
    made = wire.Wire(devices, 0.0, 0.0, 1)
    card = bytes([2, 0, 0, 0, 0, 1])
    made.give(b"\xff" * 6 + card + b"to all", devices[0])
    assert [os.read(ends[i][0], 100)[12:] for i in (1, 2)] == [b"to all", b"to all"]
    made.control = [devices[2]]     # a network of its own
    made.devices = devices[:2]
    made.give(b"\xff" * 6 + card + b"to all", devices[0])
    assert os.read(ends[1][0], 100)[12:] == b"to all"
    made.at[card] = devices[0]
    made.give(card + b"\x02\0\0\0\0\x02" + b"to one", devices[1])
    assert os.read(ends[0][0], 100)[12:] == b"to one"
    for read, write in ends:
        os.close(write)
        assert os.read(read, 100) == b""        # and nothing else came
        os.close(read)
    assert made.counts() == {"taken": 0, "lost": 0, "passed": 4, "refused": 0}
