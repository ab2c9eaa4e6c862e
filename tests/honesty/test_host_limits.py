# SPDX-License-Identifier: Apache-2.0
"""`host` counts what the process may use, under a real control group, quota and affinity."""
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import POOLMARK
from faults import BUILD, ROOT, cgroup, chain, in_namespace, needs_root


def host(*words, before=None, prefix=()):
    done = subprocess.run([*prefix, *POOLMARK, "host", *map(str, words)], capture_output=True, text=True, timeout=120, preexec_fn=before,
                          check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@needs_root
def test_a_memory_limit_of_the_control_group_is_too_small_though_the_machine_is_not():
    assert host("--connections", "100k").returncode == 0
    with cgroup("memory", memory__limit_in_bytes=1 << 30) as enter:
        done = host("--connections", "100k", before=enter)
        told = json.loads(host("--connections", "100k", "--json", before=enter).stdout)
    assert done.returncode == 1 and "It does not fit." in done.stdout and "memory available" in done.stdout
    memory = next(check for check in told["checks"] if check["what"] == "memory available")
    assert memory["found"] <= 1 << 30 and memory["fits"] is False and "a control group limits us to 1 GiB" in memory["note"]


@needs_root
def test_a_memory_limit_of_a_group_above_ours_counts():
    with cgroup("memory", memory__limit_in_bytes=1 << 30) as enter:
        inner = Path(f"/sys/fs/cgroup/memory/poolmark-{os.getpid()}/inner")
        inner.mkdir()
        told = json.loads(host("--connections", "100k", "--json",
                               before=chain(enter, lambda: (inner / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii"))).stdout)
        inner.rmdir()
    memory = next(check for check in told["checks"] if check["what"] == "memory available")
    assert memory["found"] <= 1 << 30 and memory["fits"] is False and "a control group limits us to 1 GiB" in memory["note"]


@needs_root
def test_ports_are_those_of_the_network_namespace():
    with in_namespace(setup="ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range='40000 40999'") as prefix:
        done = host("--connections", "20k", "--engine", "paho", prefix=prefix)
        told = json.loads(host("--connections", "20k", "--engine", "paho", "--json", prefix=prefix).stdout)
    ports = next(check for check in told["checks"] if check["what"] == "ports to connect from")
    assert ports["found"] == 1000 and ports["fits"] is False and done.returncode == 1
    assert 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"' in done.stdout


@needs_root
def test_a_limit_of_processes_of_the_control_group_counts():
    with cgroup("pids", pids__max=200) as enter:
        done = host("--connections", "10k", before=enter)
    assert done.returncode == 1 and "processes and threads" in done.stdout and "pids.max" in done.stdout


@needs_root
def test_a_cpu_quota_is_said():
    with cgroup("cpu", cpu__cfs_quota_us=30000) as enter:
        done = host("--connections", "100", before=enter)
    assert "CPU quota: 0.3 of" in done.stdout


def test_cores_are_those_of_the_affinity_in_python_as_in_c():
    words = "import sys; sys.path.insert(0, 'scripts/python'); from poolmark.facts import facts; print(facts.host()['cores'])"
    first = min(os.sched_getaffinity(0))

    def on_one(*command):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {first})).stdout

    assert on_one(sys.executable, "-c", words).strip() == "1"
    for program in ("poolmark-broker", "poolmark-loadgen"):
        assert json.loads(on_one(BUILD / program, "--describe"))["host"]["cores"] == 1


@contextlib.contextmanager
def version_2(folder, controllers, **files):
    """A group of a version 2 hierarchy, mounted for the test. Yields the function with which a child enters it. Skips the test when
    the kernel has these controllers in version 1, or when the group cannot be created."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "cgroup2", "none", folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no version 2 hierarchy can be mounted: {mounted.stderr.strip()}")
    switch, group = folder / "cgroup.subtree_control", folder / f"poolmark-{os.getpid()}"
    try:
        absent = controllers - set((folder / "cgroup.controllers").read_text(encoding="ascii").split())
        if absent:
            pytest.skip(f"{' and '.join(sorted(absent))} are not in the version 2 hierarchy of this kernel (version 1 has them)")
        more = sorted(controllers - set(switch.read_text(encoding="ascii").split()))
        try:
            group.mkdir()
            switch.write_text(" ".join(f"+{one}" for one in more), encoding="ascii")
            for name, value in files.items():
                (group / name.replace("__", ".")).write_text(str(value), encoding="ascii")
        except OSError as error:
            pytest.skip(f"a version 2 group cannot be made: {error.strerror}")
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        switch.write_text(" ".join(f"-{one}" for one in more), encoding="ascii")
    finally:
        if group.exists():
            group.rmdir()
        subprocess.run(["umount", folder], check=False)


@needs_root
def test_limits_of_a_real_group_of_version_2_count(tmp_path):
    """Other tests (tests/test_cgroup.c, test_host.py) use made-up trees of version 2; this one uses a real group."""
    with version_2(tmp_path / "cgroup", {"memory", "cpu"}, memory__max=1 << 30, cpu__max="30000 100000") as enter:
        told = json.loads(host("--connections", "100k", "--json", before=enter).stdout)
        text = host("--connections", "100", before=enter).stdout
    memory = next(check for check in told["checks"] if check["what"] == "memory available")
    assert memory["found"] <= 1 << 30 and "a control group limits us to 1 GiB" in memory["note"]
    assert "CPU quota: 0.3 of" in text
