# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark cluster: hosts and ranks, room, the mpirun line, what --run starts, and what is refused."""
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from poolmark import cli
from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.cluster import asked, calls, mpirun
from poolmark.cluster.asked import Asked, Host

ROOT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).resolve().parent / "fakes"
BUILD = build_dir()
HOSTS = ["--hosts", "load1,load2", "--memory", "16GiB", "--cores", "4", "--descriptors", "20000"]
TARGET = ["--target", "mqtt://broker.example:1883"]
CONNECT = ["connect", "--engine", "raw", "--connections", "20k"]


def faked(tmp_path, code):
    """An environment whose mpirun is the stand-in; its words go to tmp_path/words."""
    return {**os.environ, "PATH": f"{FAKES}:{os.environ['PATH']}", "FAKE_MPIRUN": str(tmp_path / "words"), "FAKE_MPIRUN_CODE": str(code)}


def words_in(tmp_path):
    return [json.loads(line) for line in (tmp_path / "words").read_text(encoding="utf-8").splitlines()]


# --- hosts and ranks


def test_hosts_are_names_with_numbers_of_ranks():
    assert asked.parse_hosts("a,b.example:2, 10.0.0.7") == (Host("a"), Host("b.example", 2), Host("10.0.0.7"))


@pytest.mark.parametrize("text, named", [("a,,b", "''"), ("a,a", "'a' is there twice"), ("a:0", "'0'"), ("a:x", "'x'"), ("a b", "'a b'"),
                                         ("-oProxyCommand=x", "-oProxyCommand"), ("a;b", "'a;b'"), ("", "''")])
def test_a_wrong_host_is_named(text, named):
    with pytest.raises(UsageError, match="--hosts") as error:
        asked.parse_hosts(text)
    assert named in str(error.value)


def test_a_hostfile_is_read_as_openmpi_reads_it(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# the generators\nload1\nload2 slots=2 # large\n\nload3 max_slots=4\n", encoding="utf-8")
    assert asked.read_hostfile(path) == (Host("load1"), Host("load2", 2), Host("load3"))


@pytest.mark.parametrize("text, named", [("load1 slot=2\n", "hosts:1: 'slot=2'"), ("load1\nload1\n", "twice"), ("\n# none\n", "names no host"),
                                         ("load1 slots=x\n", "hosts:1: 'x'")])
def test_a_wrong_line_of_a_hostfile_is_named(tmp_path, text, named):
    (tmp_path / "hosts").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        asked.read_hostfile(tmp_path / "hosts")
    assert named in str(error.value)


def test_ranks_go_to_the_hosts_in_turn():
    hosts = (Host("a", 3), Host("b", 1), Host("c", 2))
    assert [(one.name, number) for one, number in asked.placed(hosts, 5)] == [("a", 2), ("b", 1), ("c", 2)]
    assert [number for _, number in asked.placed(hosts, 2)] == [1, 1, 0]
    assert Asked(ranks=5, hosts=hosts).ranks_of_a_host == 2
    assert Asked(ranks=5).ranks_of_a_host == 5                              # all on this machine
    assert Asked(launcher=asked.SLURM, ranks=5).ranks_of_a_host == 1


def test_without_ranks_each_slot_has_one():
    assert asked.ranks_of(None, (Host("a", 2), Host("b"))) == 3
    with pytest.raises(UsageError, match="--ranks 4: 2 hosts with room for 3 ranks"):
        asked.ranks_of(4, (Host("a", 2), Host("b")))
    with pytest.raises(UsageError, match="how many ranks"):
        asked.ranks_of(None, ())


# --- the line


def test_the_line_names_hosts_ranks_targets_and_the_folder(poolmark):
    done = poolmark("cluster", "--hosts", "load1,load2:2", *HOSTS[2:], *TARGET, "--share", "fit", "--out", "there", "--program", "/opt/gen", *CONNECT)
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[0] == "mpirun" and words[words.index("-n") + 1] == "3" and words[words.index("--host") + 1] == "load1:1,load2:2"
    at = words.index("/opt/gen")
    assert words[at:] == ["/opt/gen", *CONNECT, "--target", "mqtt://broker.example:1883", "--share", "fit", "--record", "there"]
    assert "20 000 raw clients over 3 ranks, 2 ranks a host" in done.stderr


def test_a_line_for_this_machine_has_more_ranks_than_processors():
    words = mpirun.command(["gen"], Asked(ranks=64))
    assert "--oversubscribe" in words and "--host" not in words


def test_a_suite_gives_a_line_for_each_phase_and_names_the_broker_that_it_wants(poolmark, tmp_path):
    (tmp_path / "two.toml").write_text("""
[config]
connections = 1000
engine = "raw"
shape = "lean"
strategy = "slab"
[[phase]]
name = "connect"
scenario = "connect"
[[phase]]
name = "qos1"
scenario = "publish"
qos = 1
""", encoding="utf-8")
    done = poolmark("cluster", *HOSTS, *TARGET, "--out", "there", "suite", tmp_path / "two.toml")
    assert done.returncode == 0, done.stderr
    note, *lines = done.stdout.splitlines()
    assert note.startswith("# the broker") and note.endswith("--pool slab --shape lean")
    assert [line.split(" --record ")[1] for line in lines] == [f"there/lean-slab-raw-1000.1/{name}" for name in ("connect", "qos1")]
    done = poolmark("cluster", *HOSTS, *TARGET, "--out", "there", "suite", tmp_path / "two.toml", "--connections", "2000", "--only", "nothing")
    assert done.returncode == 2 and "--only 'nothing'" in done.stderr


# --- starting


@pytest.mark.parametrize("code, wanted", [(0, 0), (1, 1), (2, 2), (137, 1)])
def test_run_starts_it_and_has_its_exit_code(poolmark, tmp_path, code, wanted):
    done = poolmark("cluster", *HOSTS, *TARGET, "--out", tmp_path / "run", "--run", *CONNECT, env=faked(tmp_path, code))
    assert done.returncode == wanted, done.stderr
    assert "connect" in words_in(tmp_path)[0]


def test_a_signal_reaches_mpirun_as_sigint_and_is_the_exit_code(tmp_path):
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "cluster", *HOSTS, *TARGET, "--out", str(tmp_path / "run"), "--run", *CONNECT],
                               env=faked(tmp_path, "waits"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM


def test_without_mpirun_run_says_what_brings_it(poolmark, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("env", "python3", "git"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    done = poolmark("cluster", *HOSTS, *TARGET, "--run", *CONNECT, env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert done.returncode == 2 and "openmpi-bin" in done.stderr


# --- what is refused


@pytest.mark.parametrize("words, named", [
    ([], "a scenario with its options"),
    (["dance"], "'dance' is no scenario"),
    (["connect", "--connections", "none"], "none"),
    (["connect", "--target", "mqtt://x:1"], "--target before the scenario"),
    (["connect", "--record=x"], "--out before the scenario"),
    (["--hosts", "a,a", *CONNECT], "twice"),
    (["--hosts", "a", "--hostfile", "x", *CONNECT], "one of them"),
    (["--hostfile", "/nowhere", *CONNECT], "/nowhere"),
    (["--ranks", "0", *CONNECT], "--ranks"),
    (CONNECT, "how many ranks"),
    (["--ranks", "2", *CONNECT], "no --target"),
    (["--ranks", "2", "--target", "http://x", *CONNECT], "http://x"),
    (["--ranks", "2", *TARGET, "--image", "x", *CONNECT], "--image is for --launcher kubernetes"),
    (["--ranks", "2", *TARGET, "--partition", "x", *CONNECT], "--partition is for --launcher slurm"),
    (["--launcher", "slurm", "--ranks", "2", *TARGET, *CONNECT], "needs --memory"),
    (["--launcher", "slurm", "--hosts", "a,b", "--memory", "1GiB", "--cores", "2", *TARGET, *CONNECT], "--hosts is for --launcher mpirun"),
    (["--launcher", "slurm", "--ranks", "2", "--memory", "1GiB", "--cores", "2", "--partition", "a b", *TARGET, *CONNECT], "'a b'"),
    (["--launcher", "kubernetes", "--ranks", "2", "--memory", "1GiB", "--cores", "2", *TARGET, *CONNECT], "needs --image"),
    (["--launcher", "kubernetes", "--ranks", "2", "--memory", "1GiB", "--cores", "2", "--image", "a b", *TARGET, *CONNECT], "'a b'"),
    (["--launcher", "kubernetes", "--ranks", "2", "--memory", "1GiB", "--cores", "2", "--image", "a", "--name", "A_b", *TARGET, *CONNECT], "'A_b'"),
    (["--launcher", "pbs", *CONNECT], "pbs"),
    (["--ranks", "2", *TARGET, "--out=-x", *CONNECT], "-x"),
    (["--ranks", "2", *TARGET, "--delay", "1ms", *CONNECT], "--namespaces"),
    (["--namespaces", "2", *TARGET, *CONNECT], "--target"),
    (["--namespaces", "2", "--loss", "80%", *CONNECT], "80%"),
    (["rehearsal"], "two hosts or more"),
    (["--namespaces", "2", "rehearsal", "--raw", "10", "--pairs", "100"], "--pairs 100"),
    (["--namespaces", "2", "rehearsal", "--dance"], "--dance"),
    (["--ranks", "2", *TARGET, "suite", "nothing"], "nothing"),
    (["--ranks", "2", *TARGET, "suite", "cluster"], "has ranks of its own"),
    (["--ranks", "2", *TARGET, "suite", "lives"], "choose by --only"),
])
def test_bad_input_is_exit_2_and_named(capsys, monkeypatch, words, named):
    monkeypatch.setenv("POOLMARK_BUILD", str(BUILD))
    code = cli.run_command("cluster", words)
    out, err = capsys.readouterr()
    assert code == 2 and named in err and out == "", err


def test_a_mix_of_a_suite_is_refused_where_hosts_would_have_to_read_its_file(poolmark, tmp_path):
    (tmp_path / "office.toml").write_text('[group.phones]\nrole = "idle"\nconnections = 20\n[[phase]]\nname = "arrive"\nphones = "connect"\n',
                                          encoding="utf-8")
    (tmp_path / "s.toml").write_text(f'[config]\nconnections = 20\nengine = "raw"\nstrategy = "malloc"\n[[phase]]\nname = "office"\nscenario = "mix"\n'
                                     f'mix = "{tmp_path}/office.toml"\n', encoding="utf-8")
    done = poolmark("cluster", *HOSTS, *TARGET, "suite", tmp_path / "s.toml")
    assert done.returncode == 2 and "plays a mix" in done.stderr and "--plain" in done.stderr and done.stdout == ""
    plain = tmp_path / "office.json"
    plain.write_text(poolmark("mix", tmp_path / "office.toml", "--plain").stdout, encoding="utf-8")
    done = poolmark("cluster", *HOSTS, *TARGET, "--out", "there", "mix", "--engine", "raw", "--mix", plain)
    assert done.returncode == 0 and f"mix --engine raw --mix {plain}" in done.stdout, done.stderr
    assert "office: 20 raw clients over 2 ranks" in done.stderr or "mix: 20 raw clients over 2 ranks" in done.stderr


def test_the_calls_without_run_print_and_start_nothing(poolmark, tmp_path):
    env = faked(tmp_path, 0)
    for words in (["--namespaces", "2", "rehearsal", "--raw", "20", "--paho", "20", "--pairs", "2"], ["forecast"],
                  ["--namespaces", "2", "connect", "--connections", "20"]):
        done = poolmark("cluster", *words, env=env)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "words").exists()


def test_the_suite_cluster_starts_its_generators_by_mpirun(poolmark):
    done = poolmark("suite", "cluster", "--dry-run", "--only", "8ranks")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("mpirun ")]
    assert lines and all(" -n 8 " in line and "poolmark-loadgen-mpi" in line and " --record " in line
                         for line in lines)
    listed = poolmark("suite", "cluster", "--list").stdout
    assert all(f"{ranks}ranks" in listed for ranks in (2, 4, 8))


def test_a_suite_with_ranks_and_nothing_to_start_them_is_exit_2(poolmark, tmp_path):
    (tmp_path / "s.toml").write_text('[config]\nconnections = 10\nengine = "raw"\nstrategy = "malloc"\nranks = 2\n[[phase]]\nname = "connect"\n'
                                     'scenario = "connect"\n', encoding="utf-8")
    done = poolmark("suite", tmp_path / "s.toml", "--build", FAKES, "--out", tmp_path / "run", env=faked(tmp_path, 0))
    assert done.returncode == 2 and "make mpi" in done.stderr and not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["0", "-1", '"two"', "true", "1.5", "5000"])
def test_a_wrong_number_of_ranks_in_a_suite_is_named_with_its_line(capsys, monkeypatch, tmp_path, value):
    (tmp_path / "s.toml").write_text(f'[config]\nconnections = 10\nranks = {value}\n[[phase]]\nname = "connect"\nscenario = "connect"\n',
                                     encoding="utf-8")
    monkeypatch.setenv("POOLMARK_BUILD", str(BUILD))
    code = cli.run_command("suite", [str(tmp_path / "s.toml"), "--dry-run"])
    assert code == 2 and "s.toml:3: ranks is" in capsys.readouterr().err
