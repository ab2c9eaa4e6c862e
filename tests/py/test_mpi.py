# SPDX-License-Identifier: Apache-2.0
"""poolmark-loadgen-mpi, started by mpirun as three ranks of this host: one record, the broker's own counts, a mix, what rank 0 shows, a clock that is
moved, ranks that are killed, a rank without room. tests/test_e2e_ranks*.c have more of it without MPI."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from poolmark.base.paths import build_dir
from poolmark.facts import described, host

sys.path.insert(0, str(ROOT / "tests" / "honesty"))
from faults import Broker, needs_root  # noqa: E402

BUILD = build_dir()
PROGRAM = BUILD / "poolmark-loadgen-mpi"
RANKS, GUARD_S = 3, 120
MOVED_NS = 5_000_000
MIX = """
[group.sensors]
role = "publisher"
connections = 12
qos = 1
[group.boards]
role = "subscriber"
from = "sensors"
connections = 6
[group.chat]
role = "pairs"
connections = 12
qos = 2
[group.phones]
role = "idle"
connections = 60
[[phase]]
name = "arrive"
all = { do = "connect", rate = 1000 }
[[phase]]
name = "day"
duration = "1s"
sensors = { do = "publish", rate = 300 }
chat = { do = "publish", rate = 120 }
phones = { do = "churn", rate = 60 }
[[phase]]
name = "night"
phones = "storm"
"""

needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or not PROGRAM.exists(),
    reason="mpirun is not installed (openmpi-bin), or poolmark-loadgen-mpi was not built (libopenmpi-dev; make mpi)")


class Run:
    """The program over RANKS ranks. `rank_1`: words of a shell that rank 1 runs before it begins."""

    def __init__(self, folder: Path, broker: Broker, scenario: str, *words: object, rank_1: str = ""):
        self.record_dir = folder / "load"
        command = [scenario, "--target", f"mqtt://{broker.address}", "--record", self.record_dir, "--quiet", *words]
        self.mark = str(folder)
        wrapper = f'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then :; {rank_1}\nfi\nexec "$0" "$@"'
        self.errors = folder / "errors"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                ["mpirun", "-n", str(RANKS), "--oversubscribe", "sh", "-c", wrapper, str(PROGRAM), *map(str, command)],
                env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "POOLMARK_TEST": self.mark},
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> int:
        return self.process.wait(GUARD_S)

    def pids(self, rank: int | None = None, name: str = "") -> list[int]:
        """Processes of this run, by the mark in their environment."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "environ").read_bytes().split(b"\0")
                ours = f"POOLMARK_TEST={self.mark}".encode() in words
                if ours and (rank is None or f"OMPI_COMM_WORLD_RANK={rank}".encode() in words) \
                        and (not name or (folder / "comm").read_text().strip() == name):
                    found.append(int(folder.name))
        return found

    def record(self) -> dict:
        return json.loads((self.record_dir / "run.json").read_text(encoding="utf-8"))

    def wait_until(self, true, what: str) -> None:
        limit = time.monotonic() + GUARD_S
        while not true():
            assert time.monotonic() < limit, f"{what}: {self.errors.read_text()}"
            time.sleep(0.05)

    def wait_for_record(self) -> dict:
        """Also when mpirun has ended before."""
        self.wait_until(lambda: (self.record_dir / "run.json").exists() and self.record()["status"] != "running", "the record does not end")
        return self.record()

    def anomaly(self, what: str) -> str:
        return " ".join(one["text"] for one in self.record()["anomalies"] if one["what"] == what)


def metric(record: dict, name: str) -> float:
    return record["metrics"][name]["value"]


def balanced(record: dict) -> None:
    for source, line in record["books"].items():
        assert line["attempted"] == sum(count for column, count in line.items() if column != "attempted"), source


def open_connections(broker: Broker) -> int:
    return len(list(Path(f"/proc/{broker.pid}/fd").iterdir()))


@needs_mpi
@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_clients_of_all_ranks_connect_and_are_in_one_record(tmp_path, poolmark, engine):
    with Broker("--record", tmp_path / "broker") as broker:
        with Run(tmp_path, broker, "connect", "--engine", engine, "--connections", 300, "--prove", "--settle", 0) as run:
            assert run.end() == 0, run.errors.read_text()
    record = run.record()
    assert record["status"] == "complete" and metric(record, "clients.connected") == metric(record, "clients.alive") == 300
    assert [one["rank"] for one in record["ranks"]] == [0, 1, 2]
    assert sum(one["counts"]["connected"] for one in record["ranks"]) == 300
    balanced(record)
    told = poolmark("verify", run.record_dir, "--broker", tmp_path / "broker")
    assert told.returncode == 0, told.stdout + told.stderr


@needs_mpi
@pytest.mark.parametrize("engine", ["raw", "paho"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_pairs_publish_and_the_broker_counted_the_same(tmp_path, poolmark, engine, qos):
    with Broker("--record", tmp_path / "broker") as broker:
        with Run(tmp_path, broker, "publish", "--engine", engine, "--pairs", 30, "--publish-rate", 900, "--duration", "1s", "--qos", qos) as run:
            assert run.end() == 0, run.errors.read_text()
    record, counters = run.record(), json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["counters"]
    assert record["status"] == "complete" and metric(record, "messages.lost") == metric(record, "messages.not_sent") == 0
    assert metric(record, "messages.sent") == metric(record, "messages.received") == counters["messages_received"] == counters["messages_sent"]
    assert all(one["counts"]["sent"] > 0 for one in record["ranks"])
    balanced(record)
    for command in (["verify", run.record_dir, "--broker", tmp_path / "broker"], ["report", run.record_dir, "--out", tmp_path / "page"]):
        told = poolmark(*command)
        assert told.returncode == 0, told.stdout + told.stderr


@needs_mpi
@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_mix_is_one_record_of_all_ranks_and_the_broker_counted_the_same(tmp_path, poolmark, engine):
    (tmp_path / "mix.toml").write_text(MIX, encoding="utf-8")
    plain = poolmark("mix", tmp_path / "mix.toml", "--plain")
    assert plain.returncode == 0, plain.stderr
    (tmp_path / "mix.json").write_text(plain.stdout, encoding="utf-8")
    with Broker("--record", tmp_path / "broker") as broker, Run(tmp_path, broker, "mix", "--engine", engine, "--mix", tmp_path / "mix.json",
                                                                "--watch-pid", broker.pid) as run:
        assert run.end() == 0, run.errors.read_text()
    record, counters = run.record(), json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["counters"]
    assert record["status"] == "complete" and metric(record, "messages.lost") == metric(record, "messages.not_sent") == 0
    assert metric(record, "messages.sent") == counters["messages_received"] and metric(record, "messages.received") == counters["messages_sent"]
    assert record["books"]["sensors.day.publishes"]["measured"] == 300 and record["books"]["phones.night.arrivals"]["measured"] == 60
    for group, clients in (("sensors", 12), ("boards", 6), ("chat", 12), ("phones", 60)):
        has = [one["groups"][group]["clients"] for one in record["ranks"]]
        assert sum(has) == clients and all(has), (group, has)
    balanced(record)
    for command in (["verify", run.record_dir, "--broker", tmp_path / "broker"], ["report", run.record_dir, "--out", tmp_path / "page"]):
        told = poolmark(*command)
        assert told.returncode == 0, told.stdout + told.stderr


@needs_mpi
def test_rank_0_alone_shows_the_run(tmp_path):
    """One stream of objects, one page of metrics, one file of percentiles: of all ranks together."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        page = f"127.0.0.1:{free.getsockname()[1]}"
    with Broker() as broker:
        command = ["mpirun", "-n", RANKS, "--oversubscribe", PROGRAM, "publish", "--engine", "raw", "--target", f"mqtt://{broker.address}", "--pairs", 30,
                   "--publish-rate", 300, "--duration", "2s", "--record", tmp_path / "load", "--json", "--quiet", "--hgrm", "--metrics", page,
                   "--self-latency", "--watch-pid", broker.pid]
        done = subprocess.run([*map(str, command)], env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"},
                              capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 0, done.stderr
    *seconds, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert seconds and {one["type"] for one in seconds} == {"second"} and summary["type"] == "summary" and summary["status"] == "complete"
    assert max(one["connections"] for one in seconds) == 60
    record = json.loads((tmp_path / "load/run.json").read_text(encoding="utf-8"))
    assert metric(record, "generator.added_latency_p50") > 0 and metric(record, "delivery.count") == summary["metrics"]["delivery.count"]
    rows = [line.split() for line in (tmp_path / "load/delivery.hgrm").read_text(encoding="utf-8").splitlines()[2:] if line and line[0] != "#"]
    assert int(rows[-1][2]) == metric(record, "delivery.count")


@needs_mpi
def test_a_clock_that_is_moved_is_found_within_its_bound(tmp_path):
    moved = BUILD / "tests/plugins/moved-clock.so"
    with Broker() as broker, Run(tmp_path, broker, "publish", "--engine", "raw", "--pairs", 30, "--publish-rate", 600, "--duration", "1s",
                                 rank_1=f"export LD_PRELOAD={moved.resolve()} POOLMARK_CLOCK_MOVED_NS={MOVED_NS}") as run:
        assert run.end() == 0, run.errors.read_text()
    record = run.record()
    for one, moved_ns in zip(record["ranks"], (0, MOVED_NS, 0), strict=True):
        clock = one["clock"]
        print(f"rank {one['rank']}: its clock was moved by {moved_ns / 1e6:g} ms; found {clock['offset_ns'] / 1e6:.4f} ms ahead, within {clock['bound_ns'] / 1e6:.4f} ms, "
              f"off by {abs(clock['offset_ns'] - moved_ns) / 1e6:.4f} ms")
        assert abs(clock["offset_ns"] - moved_ns) <= clock["bound_ns"], clock
        assert abs(clock["first_offset_ns"] - moved_ns) <= clock["first_bound_ns"], clock
        # Otherwise the test says nothing. A message on one host takes some microseconds.
        assert clock["bound_ns"] < MOVED_NS / 2, clock
    # Acts of rank 1 are at the instants of rank 0: a time that was not corrected would be in the figures.
    assert metric(record, "messages.received") == metric(record, "messages.sent")


@needs_mpi
def test_what_differs_between_hosts_is_told(tmp_path):
    with Broker() as broker, Run(tmp_path, broker, "publish", "--engine", "raw", "--pairs", 30, "--publish-rate", 300, "--duration", "1s",
                                 "--share", "fit", rank_1='ulimit -n 1000; exec setarch -R "$0" "$@"') as run:
        assert run.end() == 0, run.errors.read_text()
    record = run.record()
    assert record["ranks"][1]["host"]["limits"]["nofile_hard"] == 1000 != record["ranks"][0]["host"]["limits"]["nofile_hard"]
    told = [one["text"] for one in record["anomalies"] if one["what"] == "ranks_differ"]
    assert told and all("rank 1" in text and ("limits.nofile_" in text or "address_randomisation" in text) for text in told), told
    assert 'address_randomisation: rank 0 has "full", rank 1 has "off": figures of both are added' in told
    assert not run.anomaly("other_hosts")       # there is no figure that it withholds
    assert sum(one["clients"] for one in record["ranks"]) == 60 and record["config"]["share"] == "fit"


@needs_mpi
@pytest.mark.parametrize("victim", ["generator", "relay"])
def test_a_rank_that_is_killed_is_named_and_the_record_is_whole(tmp_path, poolmark, victim):
    with Broker() as broker, Run(tmp_path, broker, "connect", "--engine", "raw", "--connections", 90, "--workers", 2, "--hold", "1h", "--settle", 0) as run:
        before = open_connections(broker)
        run.wait_until(lambda: open_connections(broker) >= before + 90, "the clients do not connect")
        time.sleep(1.5)     # for the counts of a second, without which less is known
        relays = run.pids(1, "poolmark-relay")
        assert len(relays) == 1
        children = Path(f"/proc/{relays[0]}/task/{relays[0]}/children").read_text().split()
        os.kill(int(children[0]) if victim == "generator" else relays[0], signal.SIGKILL)
        assert run.end() != 0
        record = run.wait_for_record()
    assert record["status"] == "incomplete"
    assert "rank 1 was lost" in run.anomaly("rank_lost"), record["anomalies"]
    assert ("killed by SIGKILL" if victim == "generator" else "its MPI process was killed") in run.anomaly("rank_lost")
    # mpirun kills the other relays a second later: on a busy host rank 2 may have told less by then.
    assert [one["lost"] for one in record["ranks"]][:2] == [False, True]
    assert metric(record, "clients.connected") == 90 and metric(record, "clients.dropped") in ((30,) if victim == "generator" else (30, 60))
    balanced(record)
    told = poolmark("verify", run.record_dir)
    assert told.returncode == 0, told.stdout + told.stderr
    if victim == "generator":
        assert json.loads((run.record_dir / "ranks/2/rank.json").read_text(encoding="utf-8"))["counts"]["connected"] == 30


@needs_mpi
@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_rank_without_room_refuses_for_all_before_anything_is_opened(tmp_path):
    little = tmp_path / "meminfo"
    little.write_text("MemTotal: 300000 kB\nMemAvailable: 270000 kB\n", encoding="utf-8")
    again = f'exec unshare -m sh -c \'mount --bind {little} /proc/meminfo && exec "$0" "$@"\' "$0" "$@"'
    with Broker("--record", tmp_path / "broker") as broker, Run(tmp_path, broker, "connect", "--engine", "raw", "--connections", 9000, rank_1=again) as run:
        assert run.end() == 2
    said = run.errors.read_text()
    assert "rank 1 has no room for its 3000 clients" in said and "memory" in said and "Mend it there:" in said
    assert not run.record_dir.exists()
    assert json.loads((tmp_path / "broker/run.json").read_text(encoding="utf-8"))["counters"]["opened"] == 0


# A process of rank 1 holds 200 clients.
@needs_mpi
@pytest.mark.parametrize("share", ["even", "fit"])
def test_a_rank_with_few_descriptors_is_refused_with_the_command_or_has_no_clients(tmp_path, poolmark, share):
    with Broker("--record", tmp_path / "broker") as broker, Run(tmp_path, broker, "connect", "--engine", "raw", "--connections", 1800, "--workers", 2,
                                                                "--share", share, "--settle", 0, rank_1="ulimit -n 400") as run:
        assert run.end() == (0 if share == "fit" else 2), run.errors.read_text()
    if share == "even":
        assert "rank 1: 300 clients a worker are more than one process can hold there (200" in run.errors.read_text()
        assert "Mend it there: ulimit -Hn 500 as root" in run.errors.read_text() and not run.record_dir.exists()
        return
    assert [one["clients"] for one in run.record()["ranks"]] in ([900, 0, 900], [904, 0, 896])
    assert [one["workers"] for one in run.record()["ranks"]] == [2, 0, 2]
    assert poolmark("verify", run.record_dir).returncode == 0


@needs_mpi
def test_alone_it_is_the_program_for_one_host(tmp_path):
    with Broker() as broker:
        done = subprocess.run([PROGRAM, "connect", "--engine", "raw", "--target", f"mqtt://{broker.address}", "--connections", "20",
                               "--record", tmp_path / "load", "--share", "even"], capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "load/run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete" and "ranks" not in record


def test_the_kernels_part_of_a_client_is_half_of_what_both_ends_take():
    assert described.loadgen(BUILD)["room"]["client_kernel_bytes"] == host.KERNEL_BYTES // 2
