# SPDX-License-Identifier: Apache-2.0
"""The suite with the real broker and load generator, at small size: the cells of the committed suites, several broker instances,
allocators, and processes killed half-way. Every record of a program fits the schema, and results/README.md describes each of its
metrics."""
import os
import signal
import subprocess
from pathlib import Path

import pytest
from documented import undocumented, undocumented_columns
from poolmark.records import read_record
from poolmark.base.paths import build_dir

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
pytestmark = pytest.mark.skipif(
    not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen")),
    reason="the programs are not built")

SMALL = """
[config]
shape = "classic"
engine = "raw"
connections = 60
[axes]
strategy = ["malloc", "fixed", "expand"]
[[override]]
when = { strategy = "fixed" }
broker.initial = ["60", "buffers=120", "arenas=60", "messages=64"]
[[phase]]
name = "connect"
scenario = "connect"
subscribe = true
settle = "1s"
[[phase]]
name = "qos1"
scenario = "publish"
pairs = 5
qos = 1
publish-rate = 50
warmup = "0s"
duration = "1s"
"""


def run_suite(tmp_path, text, *words, shell="exec"):
    file = tmp_path / "small.toml"
    file.write_text(text)
    argv = [str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(BUILD), "--out", str(tmp_path / "run"), *words]
    return subprocess.Popen(["bash", "-c", f'{shell} "$@"', "bash", *argv], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, tmp_path):
    out, err = process.communicate(timeout=240)
    run = read_record.load(tmp_path / "run")
    assert read_record.check_files(run) == []
    for record in run.folder.rglob("run.json"):
        data = read_record.load(record).data
        assert undocumented(name for part in [data, *data.get("cells", [])] for name in part.get("metrics", {})) == []
    assert undocumented_columns(run.folder) == []
    for cell in run.data["cells"]:
        for phase in cell.get("phases", []):        # the suite copies the generator's figures
            record = read_record.load(run.folder / "cells" / cell["id"] / phase["folder"]).data
            own = record["metrics"]
            # A killed generator leaves an unfinished record: "running", with or without figures.
            assert (own or record["status"] == "running") and {name: cell["metrics"][phase["prefix"] + name] for name in own} == own
    return process.returncode, out + err, run


def wait_for(condition, process):
    import time

    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)


def test_strategies_on_the_real_broker(tmp_path):
    code, told, run = finish(run_suite(tmp_path, SMALL), tmp_path)
    assert code == 0, told
    for cell in run.data["cells"]:
        metrics = {name: metric["value"] for name, metric in cell["metrics"].items()}
        assert metrics["clients.failed"] == metrics["clients.dropped"] == 0
        assert metrics["clients.connected"] == 60
        for name in ("connect.p50", "qos1.delivery.p50", "qos1.ack.p50", "memory.start_bytes", "memory.full_bytes", "connect.rate"):
            assert metrics[name] > 0, name
        if cell["config"]["strategy"] == "malloc":
            assert metrics["pool.hit_rate"] == 0
        else:
            assert metrics["pool.hit_rate"] > 0
    assert run.data["cells"][2]["metrics"]["pool.expansions"]["value"] > 0


def test_the_quick_suite_itself_with_a_few_paho_clients(tmp_path):
    text = (ROOT / "scripts/suites/quick.toml").read_text().replace('"10s"', '"1s"').replace("2000", "50")
    text = text.replace('"2s"', '"1s"\nsettle = "1s"')
    text = text.replace("clients-per-worker = 500", "clients-per-worker = 20")
    code, told, run = finish(run_suite(tmp_path, text, "--connections", "40", "--only", "expand"), tmp_path)
    assert code == 0, told
    assert {"qos0.delivery.p50", "qos1.delivery.p99_9", "qos1.ack.p99", "connect.rate", "cell.messages.lost"} <= set(run.data["cells"][0]["metrics"])


def test_the_million_suite_over_several_brokers(tmp_path):
    text = (ROOT / "scripts/suites/million.toml").read_text().replace('"30s"', '"1s"')
    text = text.replace("10,100,1000,10000,100000,250000,500000,", "200,")
    code, told, run = finish(run_suite(tmp_path, text, "--connections", "1200", "--only", "lean-expand-raw",
                                       shell="ulimit -n 1200 && exec"), tmp_path)
    assert code == 0, told
    cell = run.data["cells"][0]
    assert len([command for command in cell["commands"] if "poolmark-broker" in command[0]]) == 2
    assert cell["metrics"]["clients.alive"]["value"] == 1200
    load = read_record.load(run.folder / "cells" / cell["id"] / "load").data["config"]
    assert f"; {load['workers']} workers of {load['clients_per_worker']} raw clients" in run.data["config"]["plans"][0]
    assert cell["metrics"]["step.1200.objects_bytes"]["value"] > 0
    parts = [cell["metrics"][f"step.1200.{part}_bytes"]["value"] for part in ("objects", "buffers", "arenas", "messages", "rest")]
    assert sum(parts) == cell["metrics"]["step.1200.user_bytes"]["value"]
    assert "memory.svg" in run.data["files"]


def test_pairs_over_several_brokers_lose_nothing(tmp_path):
    text = SMALL.replace('["malloc", "fixed", "expand"]', '["malloc"]').replace("connections = 60", "connections = 1200")
    code, told, run = finish(run_suite(tmp_path, text, shell="ulimit -n 1200 && exec"), tmp_path)
    assert code == 0, told
    cell = run.data["cells"][0]
    assert len([command for command in cell["commands"] if "poolmark-broker" in command[0]]) == 2
    assert cell["metrics"]["qos1.messages.received"]["value"] == cell["metrics"]["qos1.messages.sent"]["value"] > 0
    assert cell["metrics"]["cell.messages.lost"]["value"] == 0


def test_each_allocator_is_the_one_loaded(tmp_path):
    text = SMALL.replace('["malloc", "fixed", "expand"]', '["malloc"]\nallocator = ["tcmalloc", "jemalloc", "mimalloc"]')
    text = text[:text.index("[[phase]]\nname = \"qos1\"")]
    code, told, run = finish(run_suite(tmp_path, text), tmp_path)
    assert code == 0, told
    assert len(run.data["cells"]) == 3


HELD = """
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
connections = 100
[[phase]]
name = "connect"
scenario = "connect"
hold = "1h"
settle = "1s"
"""


def child_of(pid, name):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if name in Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")[0]:
                return int(child)
        except OSError:
            pass
    return None


def holding(folder):
    memory = folder / "run/cells/lean-malloc-raw-100.1/load/memory.csv"
    return memory.is_file() and ",hold,100," in memory.read_text()


@pytest.mark.parametrize("victim", ["poolmark-broker", "poolmark-loadgen"])
def test_a_process_killed_half_way_ends_the_run_incomplete_and_leaves_nothing(tmp_path, victim):
    process = run_suite(tmp_path, HELD)
    wait_for(lambda: holding(tmp_path), process)
    pids = [child_of(process.pid, name) for name in ("poolmark-broker", "poolmark-loadgen")]
    assert all(pids)
    os.kill(child_of(process.pid, victim), signal.SIGKILL)
    code, told, run = finish(process, tmp_path)
    assert code == 1, told
    cell = run.data["cells"][0]
    assert run.data["status"] == cell["status"] == "incomplete"
    assert "was ended by SIGKILL" in " ".join(one["text"] for one in cell["anomalies"])
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    if victim == "poolmark-broker":
        assert cell["metrics"]["clients.connected"]["value"] == 100     # its end may be seen before that of the last connection
        assert 0 <= cell["metrics"]["clients.dropped"]["value"] <= 100


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    process = run_suite(tmp_path, HELD)
    wait_for(lambda: holding(tmp_path), process)
    process.send_signal(signal.SIGINT)
    code, told, run = finish(process, tmp_path)
    assert code == 130, told
    cell = run.data["cells"][0]
    assert cell["status"] == "incomplete"
    assert cell["metrics"]["clients.connected"]["value"] == 100
    assert cell["metrics"]["connect.p50"]["value"] > 0
