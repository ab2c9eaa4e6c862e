# SPDX-License-Identifier: Apache-2.0
"""What a process may use, tested with made-up trees of control groups: versions 1 and 2, limits of parents, containers that see
only a part of the tree."""
import pytest

from poolmark.facts import allowance, host
from poolmark.facts.plan import make_plan

V2 = "31 23 0:28 {root} {point} rw,relatime shared:4 - cgroup2 cgroup2 rw\n"
V1 = "35 31 0:32 {root} {point} rw,relatime - cgroup cgroup rw,{controller}\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="ascii")


def tree(root, groups, mounts):
    write(root / "proc/self/cgroup", groups)
    write(root / "proc/self/mountinfo", "1 0 0:1 / / rw - tmpfs tmpfs rw\n" + mounts)
    return root / "sys/fs/cgroup"


def v2(root, path="/a/b", mount_root="/"):
    top = tree(root, f"0::{path}", V2.format(root=mount_root, point="/sys/fs/cgroup"))
    write(top / "cgroup.controllers", "cpu memory pids")
    return top


def test_version_2_takes_the_least_of_all_parents(tmp_path):
    top = v2(tmp_path)
    write(top / "a/b/memory.max", "max")
    write(top / "a/memory.max", 3 << 30)
    write(top / "a/memory.current", 1 << 30)
    write(top / "a/memory.stat", f"inactive_file {256 << 20}")
    write(top / "a/b/cpu.max", "max 100000")
    write(top / "a/cpu.max", "30000 100000")
    write(top / "a/b/pids.max", "100")
    write(top / "a/b/pids.current", "40")
    assert allowance.memory_limit_bytes(tmp_path) == 3 << 30
    assert allowance.memory_bytes(tmp_path) == (2 << 30) + (256 << 20)
    assert allowance.cpu_quota(tmp_path) == pytest.approx(0.3)
    assert allowance.processes(tmp_path) == 60


def test_version_1_takes_the_least_of_all_parents(tmp_path):
    mounts = "".join(V1.format(root="/", point=f"/sys/fs/cgroup/{name}", controller=name) for name in ("memory", "cpu", "pids"))
    top = tree(tmp_path, "4:memory:/a/b\n3:cpu:/a\n2:pids:/\n0::/", mounts)
    write(top / "memory/a/b/memory.limit_in_bytes", (1 << 63) - 4096)  # "no limit" in version 1
    write(top / "memory/a/memory.limit_in_bytes", 1 << 30)
    write(top / "memory/a/memory.usage_in_bytes", 512 << 20)
    write(top / "cpu/a/cpu.cfs_quota_us", 150000)
    write(top / "cpu/a/cpu.cfs_period_us", 100000)
    write(top / "cpu/a/cpu.stat", "nr_periods 9\nnr_throttled 7\nthrottled_time 5000")
    assert allowance.memory_limit_bytes(tmp_path) == 1 << 30
    assert allowance.memory_bytes(tmp_path) == 512 << 20
    assert allowance.cpu_quota(tmp_path) == pytest.approx(1.5)
    assert allowance.throttled(tmp_path) == (7, 5000)


def test_both_versions_at_once_are_told_apart(tmp_path):
    mounts = V2.format(root="/", point="/sys/fs/cgroup/unified") + V1.format(root="/", point="/sys/fs/cgroup/memory", controller="memory")
    top = tree(tmp_path, "4:memory:/x\n0::/y", mounts)
    write(top / "unified/cgroup.controllers", "")
    write(top / "memory/x/memory.limit_in_bytes", 1 << 20)
    assert allowance.memory_limit_bytes(tmp_path) == 1 << 20


@pytest.mark.parametrize("path, mount_root", [("/docker/c1/sub", "/docker/c1"), ("/", "/"), ("/../other", "/docker/c1")])
def test_a_container_that_sees_a_part_of_the_tree(tmp_path, path, mount_root):
    top = v2(tmp_path, path, mount_root)
    write(top / "memory.max", 5 << 20)
    write(top / "sub/memory.max", 9 << 20)
    assert allowance.memory_limit_bytes(tmp_path) == 5 << 20


def test_without_control_groups_there_is_no_limit_of_theirs(tmp_path):
    assert allowance.memory_limit_bytes(tmp_path) is None
    assert allowance.cpu_quota(tmp_path) is None and allowance.throttled(tmp_path) is None
    assert allowance.processes(tmp_path) is None


def test_reserved_ports_are_not_to_be_had(tmp_path):
    write(tmp_path / "proc/sys/net/ipv4/ip_local_port_range", "1000 1999")
    assert allowance.ports(tmp_path) == 1000
    write(tmp_path / "proc/sys/net/ipv4/ip_local_reserved_ports", "80,1000-1099,1990-2010,1050")
    assert allowance.ports(tmp_path) == 1000 - 100 - 10


def test_nothing_fits_that_cannot_be_read(monkeypatch):
    monkeypatch.setattr(allowance, "memory_bytes", lambda: None)
    checks = host.check_host(make_plan(100, "raw", 20_000, 2))
    assert host.verdict(checks) is None
    monkeypatch.setattr(allowance, "memory_bytes", lambda: 1)
    assert host.verdict(host.check_host(make_plan(100, "raw", 20_000, 2))) is False
    monkeypatch.setattr(allowance, "memory_bytes", lambda: 1 << 50)
    assert host.verdict(host.check_host(make_plan(100, "raw", 20_000, 2))) is True
