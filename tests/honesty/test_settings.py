# SPDX-License-Identifier: Apache-2.0
"""Settings of a host that move figures and are easily forgotten: runs under other ones are not compared, and a run in which one was
changed says so. Each setting is really another one: by prctl, personality, a network namespace, or files laid over the kernel's."""
import ctypes
import os
import subprocess

import pytest
from commands import one_connect, poolmark, suite
from faults import GUARD_S, Broker, Load, in_namespace, load, needs_root

from poolmark.facts import comparable
from poolmark.records.read_record import load as read

NETWORK = {"net.core.somaxconn": "777", "net.ipv4.ip_local_port_range": "20000 30000", "net.ipv4.tcp_syncookies": "0", "net.ipv4.tcp_max_syn_backlog": "99",
           "net.ipv4.tcp_rmem": "4096 65536 1048576", "net.ipv4.tcp_wmem": "4096 65536 1048576", "net.ipv4.tcp_congestion_control": "reno"}
FILES = {"/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never", "/sys/kernel/mm/transparent_hugepage/defrag": "[always] defer never",
         "/proc/sys/vm/overcommit_memory": "2", "/proc/sys/kernel/numa_balancing": "9", "/proc/sys/net/ipv4/tcp_mem": "10000 20000 30000"}


def measured(folder, name, prefix=(), text=one_connect(20), before=None):
    done = subprocess.run([*prefix, *suite(folder, text, out=folder / name)], capture_output=True, text=True, timeout=GUARD_S, check=False,
                          preexec_fn=before)
    assert done.returncode == 0, done.stderr
    return read(folder / name).data


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run under the host's own settings."""
    folder = tmp_path_factory.mktemp("plain")
    measured(folder, "run")
    return folder / "run"


def assert_not_compared(plain, other, *names):
    """These runs differ in these facts, and `compare` names each."""
    assert sorted(fact for fact, _, _ in comparable.differences(read(plain).data, read(other).data)) == sorted(f"host.{name}" for name in names)
    done = poolmark("compare", plain, other)
    assert done.returncode == 3, done.stdout + done.stderr
    for name in names:
        assert f"host.{name} differs: " in done.stdout, done.stdout


def without_huge_pages():
    assert ctypes.CDLL(None, use_errno=True).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE


def test_programs_without_huge_pages(tmp_path, plain):
    measured(tmp_path, "other", before=without_huge_pages)
    assert_not_compared(plain, tmp_path / "other", "settings.thp_of_process")


def test_programs_whose_addresses_are_not_randomised(tmp_path, plain):
    measured(tmp_path, "other", prefix=["setarch", os.uname().machine, "-R"])
    assert_not_compared(plain, tmp_path / "other", "settings.address_randomisation")
    refused = poolmark("merge", plain, tmp_path / "other", "--out", tmp_path / "merged")
    assert refused.returncode == 2 and "settings.address_randomisation: full and off" in refused.stderr


@needs_root
def test_the_networks_settings(tmp_path):
    sets = " && ".join(f"sysctl -qw {name}='{value}'" for name, value in NETWORK.items())
    with in_namespace() as plain, in_namespace(setup=f"ip link set lo up && {sets}") as other:
        measured(tmp_path, "plain", prefix=plain)
        measured(tmp_path, "other", prefix=other)
    assert_not_compared(tmp_path / "plain", tmp_path / "other", "limits.somaxconn", "limits.port_range", "settings.tcp_syncookies", "settings.tcp_max_syn_backlog",
                        "settings.tcp_rmem", "settings.tcp_wmem", "settings.tcp_congestion_control")


def laid_over(folder, files):
    """The commands that lay files of these texts over the kernel's, for a mount namespace. Leaves out those that the kernel has not."""
    commands = []
    for number, (path, text) in enumerate(files.items()):
        if os.path.exists(path):
            (folder / f"file-{number}").write_text(f"{text}\n", encoding="ascii")
            commands.append(f"mount --bind '{folder}/file-{number}' {path}")
    return " && ".join(commands)


@needs_root
def test_huge_pages_overcommitting_and_memory_of_tcp(tmp_path, plain):
    with in_namespace("--mount", setup=laid_over(tmp_path, FILES)) as other:
        measured(tmp_path, "other", prefix=other)
    known = {"thp": 0, "settings.thp_defrag": 1, "settings.overcommit_memory": 2, "settings.numa_balancing": 3, "limits.tcp_mem_pages": 4}
    assert_not_compared(plain, tmp_path / "other", *(name for name, number in known.items() if os.path.exists(list(FILES)[number])))


@needs_root
def test_a_setting_that_is_changed_during_a_run_is_said(tmp_path):
    file = "/sys/kernel/mm/transparent_hugepage/defrag"
    if not os.path.exists(file):
        pytest.skip("a kernel without huge pages")
    with in_namespace("--mount", setup=laid_over(tmp_path, {file: "always [madvise] never"})) as prefix, Broker() as broker, \
            load(tmp_path / "run", "publish", broker.port, "--pairs", 1, "--publish-rate", 100, "--duration", "2s", "--warmup", 0, prefix=prefix) as run:
        run.wait_for("publish")
        (tmp_path / "file-0").write_text("[always] madvise never\n", encoding="ascii")
        assert run.end() == 0
    assert run.anomaly("host_changed") == ('settings.thp_defrag of the host was "madvise" at the start of the run and is "always" at its end: figures '
                                           "are of both")
    assert run.record["host"]["changed"] == {"settings.thp_defrag": ["madvise", "always"]}
    assert poolmark("verify", tmp_path / "run").returncode == 0


@needs_root
def test_a_suite_during_which_a_setting_is_changed_is_compared_with_no_other(tmp_path):
    file = "/sys/kernel/mm/transparent_hugepage/enabled"
    if not os.path.exists(file):
        pytest.skip("a kernel without huge pages")
    longer = one_connect(20, "2s")
    with in_namespace("--mount", setup=laid_over(tmp_path, {file: "always [madvise] never"})) as prefix:
        measured(tmp_path, "plain", prefix, longer)
        with Load(tmp_path / "other", [*prefix, *suite(tmp_path, longer, out=tmp_path / "other")]) as run:
            run.wait_for("[1/1]")  # the host was read, and the cell takes two seconds
            (tmp_path / "file-0").write_text("[always] madvise never\n", encoding="ascii")
            assert run.end() == 0, run.said()
    assert run.anomaly("host_changed") == "thp of the host was madvise at the start of the run and is always at its end: figures are of both"
    assert_not_compared(tmp_path / "plain", tmp_path / "other", "thp")
    assert "host.thp differs: madvise in the baseline, madvise, then always in the candidate" in poolmark("compare", tmp_path / "plain", tmp_path / "other").stdout
    assert poolmark("verify", tmp_path / "other").returncode == 0


def niced():
    os.nice(5)


def test_programs_of_another_priority(tmp_path, plain):
    measured(tmp_path, "other", before=niced)
    assert_not_compared(plain, tmp_path / "other", "settings.nice")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor")
def test_a_target_that_may_use_fewer_processors_or_has_another_priority(tmp_path):
    """It is started elsewhere, so the generator's host tells nothing of it."""
    found = []
    for name, prefix in (("plain", ()), ("other", ("taskset", "-c", str(min(os.sched_getaffinity(0))), "nice", "-n", "3"))):
        with Broker(prefix=prefix) as broker, load(tmp_path / name, "connect", broker.port, "--connections", 5, "--settle", 0, "--watch-pid",
                                                   broker.pid) as run:
            assert run.end() == 0, run.said()
            found.append(read(tmp_path / name).data)
    settings = [one["host"]["settings"] for one in found]
    assert settings[1]["target_cores"] == [1] and settings[0]["target_cores"] == [len(os.sched_getaffinity(0))]
    assert settings[1]["target_nice"] == [settings[0]["target_nice"][0] + 3] and settings[1]["target_scheduling"] == ["other"]
    differ = {fact for fact, _, _ in comparable.differences(*found) if fact.startswith("host.")}
    assert differ == {"host.settings.target_cores", "host.settings.target_nice"}


def test_a_target_whose_priority_is_changed_during_a_run_is_said(tmp_path):
    with Broker() as broker, load(tmp_path / "run", "connect", broker.port, "--connections", 5, "--settle", 0, "--hold", "1s", "--watch-pid",
                                  broker.pid) as run:
        run.wait_for("hold ")
        was = os.getpriority(os.PRIO_PROCESS, broker.pid)
        os.setpriority(os.PRIO_PROCESS, broker.pid, was + 1)
        assert run.end() == 0, run.said()
        assert run.anomaly("target_changed") == (f"target_nice (host.settings) of the watched processes was [{was}] at the start of the run and is "
                                                 f"[{was + 1}] at its end: figures are of both")
