# SPDX-License-Identifier: Apache-2.0
"""What the kernel counts of others is no limit of a run that nothing stopped; what it did to a process of the run is."""
import os
import subprocess
import sys
import time
from pathlib import Path

from commands import POOLMARK
from faults import Broker, cgroup, children_of, in_namespace, load, needs_root, stopped

SYN_AGAIN_NS, ACK_AGAIN_NS = 950_000_000, 190_000_000    # loadgen/connects.h
# A listener that takes nobody, and more clients than its queue holds.
CROWD = """import socket, time
full = socket.create_server(("127.0.0.1", 0), backlog=1)
clients = [socket.socket() for _ in range(12)]
for one in clients:
    one.setblocking(False)
    one.connect_ex(full.getsockname())
time.sleep(1.5)
"""


def oom_kills():
    return int(next(line for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines() if line.startswith("oom_kill ")).split()[1])


@needs_root
def test_full_queues_and_kills_of_others_accuse_nobody(tmp_path):
    with in_namespace() as prefix, Broker("--threads", 1, prefix=prefix) as broker, cgroup("memory", memory__limit_in_bytes=16 << 20) as enter, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 90, "--rate", 30, "--settle", 0, "--watch-pid", broker.pid,
                 prefix=prefix) as run:
        run.wait_for("connect ")
        before = oom_kills()
        others = [subprocess.Popen([*prefix, sys.executable, "-c", CROWD]),
                  subprocess.Popen([sys.executable, "-c", "len(bytearray(b'x') * (1 << 28))"], preexec_fn=enter, stderr=subprocess.DEVNULL)]
        assert run.end() == 0
        for one in others:
            one.wait(60)
        assert oom_kills() > before                                     # whoever's they were
        assert run.metric("network.listen_overflows") > 0 and run.metric("network.syn_retransmits") > 0
        slowest_ns = run.metric("connect_uncorrected.max")
        assert (run.anomaly("accept_queue") != "") == (slowest_ns >= ACK_AGAIN_NS)    # none, but on a machine that stood still
        if slowest_ns < ACK_AGAIN_NS:
            assert run.anomaly("retransmits") == ""
        if slowest_ns < SYN_AGAIN_NS:
            assert run.anomaly("ceiling") == "" and "ceilings" not in run.record["summary"] and "ceiling" not in run.table()


@needs_root
def test_a_worker_that_the_kernel_killed_for_want_of_memory(tmp_path, broker):
    """The target stands still, and the worker holds what its sockets do not take: it is by far the largest of its group."""
    with cgroup("memory", memory__limit_in_bytes=56 << 20) as enter, \
            load(tmp_path / "run", "publish", broker.port, "--pairs", 8, "--workers", 1, "--publish-rate", 1000, "--payload", "64KiB",
                 "--warmup", 0, "--duration", "20s", before=enter) as run:
        run.wait_for("publish ")
        with stopped(broker.pid):
            assert run.end() == 1
        assert "died, killed by SIGKILL" in run.anomaly("broken")
        ceiling = next(one for one in run.record["summary"]["ceilings"] if one["name"] == "memory")
        file = f"/sys/fs/cgroup/memory/poolmark-{os.getpid()}/memory.limit_in_bytes"
        assert ceiling["text"] == f"the kernel killed a worker of the generator for want of memory: its control group may have 56.0 MiB ({file})"
        assert f"sudo tee {file}" in ceiling["mend"] and "--engine raw" not in ceiling["mend"]


def test_a_rate_that_was_had_has_no_limit_though_acts_were_late(tmp_path, broker):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 4, "--workers", 1, "--publish-rate", 400, "--warmup", 0, "--duration",
              "2s") as run:
        run.wait_for("publish ")
        with stopped(*children_of(run.pid)):
            time.sleep(0.15)        # seven messages of a hundred
        run.end()
        assert run.anomaly("late") and run.metric("messages.received") == 800
        if run.metric("messages.rate") >= 0.99 * run.metric("messages.rate_asked"):
            assert run.record["summary"]["limit"] == {"by": "none", "why": "the rate was kept"}


def test_a_run_that_was_killed_is_told_from_one_that_runs(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 10, "--hold", "60s") as run:
        run.wait_for("hold ")

        def told():
            return subprocess.run([*POOLMARK, "verify", str(tmp_path / "run")], capture_output=True, text=True, timeout=60, check=False).stdout
        assert "a process of its command runs here" in told()
        run.process.kill()
        run.process.wait()
        assert "no process of this host runs its command: it was killed" in told() and "oom_kill" in told()
