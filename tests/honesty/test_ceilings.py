# SPDX-License-Identifier: Apache-2.0
"""Real limits that stop a run at N connections: each is named, with the command that mends it."""
import errno
import os
import re
import resource
import subprocess
import time

from faults import (BUILD, NOBODY, SYSTEM_CALLS, Broker, as_user, cgroup, chain, children_of, in_namespace, load, needs_root, refusing, stopped)


def assert_told(run, name, text, mend):
    """In the summary that a person reads, among the anomalies, and in the record."""
    found = [one for one in run.record["summary"]["ceilings"] if one["name"] == name]
    assert len(found) == 1 and text in found[0]["text"] and mend in found[0]["mend"], run.record["summary"]["ceilings"]
    assert f"{name}: {found[0]['text']}" in run.table() and mend in run.table()
    assert found[0]["text"] in run.anomaly("ceiling")


@needs_root
def test_local_ports_with_either_engine(tmp_path):
    with in_namespace(setup="ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range='40000 40099'") as prefix, \
            Broker(prefix=prefix, listen="127.0.0.1:1883") as broker:  # takes no port of the range
        for engine, text in (("raw", "50 connects found no local port: there are 100 (40000 to 40099)"),
                             ("paho", "does not say why, while all local ports were in use")):
            with load(tmp_path / engine, "connect", broker.port, "--connections", 150, "--settle", 0, "--ports", "kernel",
                      prefix=prefix, engine=engine) as run:
                assert run.end() == 1
                assert_told(run, "ports", text, 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"')


@needs_root
def test_clients_with_ports_of_their_own_need_an_address_for_each_range(tmp_path):
    with in_namespace(setup="ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range='40000 40099'") as prefix, \
            Broker(prefix=prefix, listen="127.0.0.1:1883") as broker, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 150, "--settle", 0, "--ports", "bind", prefix=prefix) as run:
        assert run.end() == 0
        assert run.record["config"]["source_addresses"] == 2  # at most 88 connections each
        assert run.record["config"]["ports"]["per_route"] == 75
        # Of one address only: the range is named, and what widens it.
        with load(tmp_path / "one", "connect", broker.port, "--connections", 150, "--source", "127.0.0.1", "--ports", "bind", prefix=prefix) as one:
            assert one.end() == 2
            assert "there are 100 (40000 to 40099), an eighth is left to others. sudo sysctl -w net.ipv4.ip_local_port_range=" in one.said()


def test_what_paho_cannot_is_no_limit_of_the_host(tmp_path):
    for words, text in ((("--connections", 12000), "or --engine raw, which takes them at one target. The bound is this program's own"),
                        (("--connections", 3000, "--clients-per-worker", 3000), "or a smaller --clients-per-worker. The bound is this engine's own")):
        with load(tmp_path / "run", "connect", 1, *words, engine="paho") as run:
            assert run.end() == 2 and text in run.said() and "limit of open files" not in run.said()


@needs_root
def test_descriptors_of_a_worker(tmp_path, broker):
    with load(tmp_path / "run", "connect", broker.port, "--connections", 100, "--rate", 25, "--settle", 0, "--workers", 1) as run:
        run.wait_for("connect ")
        worker, = children_of(run.pid)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (20, 20))
        assert run.end() == 1
        assert_told(run, "descriptors", "a worker may have 20", "ulimit -n 1048576")


def test_descriptors_of_the_target(tmp_path):
    with Broker("--threads", 1, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))) as broker, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 200, "--rate", 400, "--settle", 0, "--watch-pid", broker.pid) as run:
        assert run.end() == 1
        assert_told(run, "target_descriptors", "of the 100 descriptors", "start the target under a larger limit")


@needs_root
def test_descriptors_of_a_target_of_another_user(open_folder):
    """Whose limits a user without CAP_SYS_RESOURCE may read, though not by prlimit."""
    with Broker("--threads", 1, before=chain(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)), as_user(NOBODY))) as broker, \
            load(open_folder / "run", "connect", broker.port, "--connections", 200, "--rate", 400, "--settle", 0, "--watch-pid", broker.pid,
                 before=as_user(50000 + os.getpid() % 10000)) as run:
        assert run.end() == 1
        assert_told(run, "target_descriptors", "of the 100 descriptors", "start the target under a larger limit")
        used, = re.findall(r"the target had (\d+) of the 100", run.anomaly("ceiling"))
        assert int(used) <= 100 and "backlog" not in run.anomaly("ceiling")


@needs_root
def test_the_queue_of_a_listener(tmp_path):
    with in_namespace(setup="ip link set lo up && sysctl -qw net.core.somaxconn=16") as prefix, \
            Broker("--threads", 1, prefix=prefix) as broker:
        with stopped(broker.pid):
            run = load(tmp_path / "run", "connect", broker.port, "--connections", 200, "--settle", 0, prefix=prefix)
            run.wait_for("connect ")
            time.sleep(1)  # more than a SYN takes
        with run:
            run.end()
            assert_told(run, "backlog", "net.core.somaxconn bounds it to 16", "sudo sysctl -w net.core.somaxconn=4096")


def test_memory_for_a_socket(tmp_path, broker, monkeypatch):
    monkeypatch.setitem(SYSTEM_CALLS, "socket", 41)
    with load(tmp_path / "run", "connect", broker.port, "--connections", 20, "--settle", 0,
              before=refusing("socket", error=errno.ENOBUFS)) as run:
        assert run.end() == 1
        assert_told(run, "memory", "20 connects found no memory for a socket", "fewer connections")


@needs_root
def test_a_cpu_quota(tmp_path, broker):
    with cgroup("cpu", cpu__cfs_quota_us=5000) as enter, \
            load(tmp_path / "run", "publish", broker.port, "--pairs", 10, "--publish-rate", 0, "--duration", "2s", before=enter) as run:
        run.end()
        assert_told(run, "cpu_quota", "a CPU quota of 0.05 processors", "raise cpu.cfs_quota_us")    # a group of version 1


def start(broker, before):
    return subprocess.run([BUILD / "poolmark-loadgen", "connect", "--target", f"mqtt://127.0.0.1:{broker.port}", "--engine", "raw",
                           "--connections", "100", "--workers", "20"], capture_output=True, text=True, timeout=60, preexec_fn=before, check=False)


@needs_root
def test_processes_of_the_control_group(broker):
    with cgroup("pids", pids__max=5) as enter:
        done = start(broker, enter)
    assert done.returncode == 1 and done.stdout == ""
    assert "cannot start worker 5 of 20: Resource temporarily unavailable; pids.max of the control group is 5: raise it" in done.stderr


@needs_root
def test_processes_of_the_user(broker):
    done = start(broker, chain(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (4, 4)), as_user(50000 + os.getpid() % 10000)))  # whose processes are ours alone
    assert done.returncode == 1 and "cannot start worker" in done.stderr
    assert "this user may have 4 processes: ulimit -u 65536" in done.stderr
