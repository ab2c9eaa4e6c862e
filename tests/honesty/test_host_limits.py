# SPDX-License-Identifier: Apache-2.0
"""`host` counts what the process may use: under a real control group, quota, and affinity."""
import json
import os
import subprocess
import sys

from faults import ROOT, cgroup, needs_root

POOLMARK = [sys.executable, str(ROOT / "scripts/poolmark")]


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
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {first}))
    assert done.stdout.strip() == "1"
