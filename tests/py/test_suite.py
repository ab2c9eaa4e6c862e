# SPDX-License-Identifier: Apache-2.0
"""The suite runner with stand-ins for broker and generator (tests/py/fakes): faults are marked, measurements are kept, and no
process is left running."""
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from poolmark.records import raw_data, read_record, summary
from poolmark.facts.plan import make_plan
from poolmark.records.record import Record
from poolmark.run.cell_run import CellRun
from poolmark.suites.suite_cells import CellPlan

ROOT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).resolve().parent / "fakes"
SUITE = """
title = "small <b>"
[config]
shape = "classic"
engine = "paho"
allocator = "glibc"
connections = 100
[axes]
strategy = ["malloc", "expand"]
[[phase]]
name = "connect"
scenario = "connect"
[[phase]]
name = "qos0"
scenario = "publish"
pairs = 10
qos = 0
[[phase]]
name = "qos1"
scenario = "publish"
pairs = 10
qos = 1
"""
STEPS = """
kind = "steps"
plot = "memory"
[config]
shape = "lean"
strategy = "expand"
engine = "raw"
connections = 1000
[[phase]]
name = "steps"
scenario = "steps"
steps = "10,100,1000,5000"
probe = 0
"""


@pytest.fixture
def suite(tmp_path, poolmark):
    """Runs a suite of this text on the stand-ins; returns (process, run)."""

    def call(*words, text=SUITE, **how):
        file = tmp_path / "small.toml"
        file.write_text(text)
        done = poolmark("suite", file, "--build", FAKES, "--out", tmp_path / "run", *words,
                        env={**os.environ, "COLUMNS": "120", **how})
        found = read_record.load(tmp_path / "run") if (tmp_path / "run").exists() else None
        return done, found

    return call


def texts(cell):
    return " ".join(anomaly["text"] for anomaly in cell["anomalies"])


def test_a_good_run_is_complete_and_its_table_is_printed(suite, poolmark):
    done, run = suite()
    assert done.returncode == 0, done.stderr
    assert run.data["status"] == "complete"
    assert [cell["id"] for cell in run.data["cells"]] == ["classic-malloc-paho-100.1", "classic-expand-paho-100.1"]
    metrics = run.data["cells"][0]["metrics"]
    assert metrics["memory.per_connection_bytes"]["value"] == 18000
    assert metrics["kernel.per_connection_bytes"]["value"] == 8400
    assert metrics["memory.start_bytes"]["value"] == 4_000_000
    assert metrics["pool.hit_rate"]["value"] == 75
    assert metrics["pool.expansions"]["value"] == 3
    assert metrics["pool.longest_expansion_ns"]["value"] == 7000
    assert metrics["qos0.delivery.p99"]["value"] == metrics["qos1.delivery.p99"]["value"] == 99000
    assert "qos1.ack.p50" in metrics and "qos0.ack.p50" not in metrics and "delivery.p99" not in metrics
    assert "memory per connection" in done.stdout and "malloc" in done.stdout
    assert "small &lt;b&gt;" in (run.folder / "summary.md").read_text()
    assert len((run.folder / "summary.csv").read_text().splitlines()) == 3
    assert poolmark("verify", run.folder).returncode == 0
    assert all((run.folder / name).is_file() for cell in run.data["cells"] for name in cell["files"].values())


@pytest.mark.parametrize("percent, ours, told", [(42.0, True, True), (9.0, True, False), (None, True, False), (42.0, False, False)])
def test_a_cell_beside_busy_others_says_so(tmp_path, percent, ours, told):
    record = Record.create("suite", suite="small", folder=tmp_path / "run", seed=1)
    config = {"target": "poolmark", "connections": 100}
    cell = record.cell("malloc.1", config)
    cell_run = CellRun(cell, CellPlan("malloc.1", config, 1), make_plan(100, "raw", 20_000, 2), FAKES, 1, None)
    cell_run.serving = [] if ours else None     # of a target that ran before: its processes cannot be seen
    for number in range(4):
        cell.anomaly("late", f"by {number} ms")
    cell_run.tell_busy(SimpleNamespace(percent=lambda: percent))
    cell.finish("complete")
    note = "! malloc.1: busy: other processes had 42 % of the processors' time: the cell is slower than on a quiet host"
    assert (note in summary.terminal(record.data, [])) is told
    assert any(one["what"] == "busy_unknown" for one in cell.data["anomalies"]) is (not ours)
    record.close("complete")


def test_steps_give_memory_between_first_and_last(suite):
    done, run = suite(text=STEPS)
    assert done.returncode == 0, done.stderr
    metrics = run.data["cells"][0]["metrics"]
    assert run.data["kind"] == "steps"
    assert metrics["memory.per_connection_bytes"]["value"] == 18000
    assert metrics["step.100.user_bytes"]["value"] == 4_000_000 + 1_800_000
    assert metrics["step.1000.kernel_bytes"]["value"] == 8_400_000
    assert "step.5000.user_bytes" not in metrics
    assert metrics["step.1000.delivery.p99"]["value"] == 99000
    assert metrics["step.1000.objects_bytes"]["value"] == 80000
    assert "step.1000.rest_bytes" not in metrics
    assert metrics["step.1000.connections.owned"]["value"] == 10
    assert metrics["step.1000.connections.in_use"]["value"] == 0
    assert "lean-expand-raw-1000, step by step:" in done.stdout
    assert run.data["cells"][0]["files"]["steps"].endswith("load/steps.csv")
    drawn = ElementTree.parse(run.folder / "memory.svg").findall(".//{http://www.w3.org/2000/svg}path[@aria-roledescription='line mark']")
    assert len(drawn) == 2
    assert "memory.svg" in run.data["files"]


def test_more_connections_than_a_process_holds_make_several_brokers(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(STEPS.replace("1000,5000", "1000").replace("connections = 1000", "connections = 4000"))
    done = subprocess.run(["bash", "-c", 'ulimit -n 3000 && exec "$@"', "bash", str(ROOT / "scripts/poolmark"), "suite",
                           str(file), "--build", str(FAKES), "--out", str(tmp_path / "run")],
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    cell = read_record.load(tmp_path / "run").data["cells"][0]
    assert len([command for command in cell["commands"] if "broker" in command[0]]) == 2
    assert cell["metrics"]["pool.expansions"]["value"] == 6  # both instances
    load = next(command for command in cell["commands"] if "loadgen" in command[0])
    assert load.count("--watch-pid") == 2
    assert len(load[load.index("--target") + 1].split(",")) == 2
    assert "plan: lean-expand-raw-4000: 2 broker instances of 2 000 connections" in done.stderr


def test_repetitions_are_interleaved(suite):
    _, run = suite("--repetitions", "2")
    assert [cell["repetition"] for cell in run.data["cells"]] == [1, 1, 2, 2]
    assert [cell["config"]["strategy"] for cell in run.data["cells"]] == ["malloc", "expand", "expand", "malloc"]


def test_only_chooses_cells_and_connections_are_set(suite):
    _, run = suite("--only", "expand", "--connections", "50")
    assert [cell["id"] for cell in run.data["cells"]] == ["classic-expand-paho-50.1"]
    assert run.data["cells"][0]["config"]["connections"] == 50


def test_clients_that_failed_fail_the_cell_and_are_counted(suite):
    done, run = suite(FAKE_LOAD="fails")
    assert done.returncode == 1
    assert run.data["status"] == "failed"
    cell = run.data["cells"][0]
    assert cell["status"] == "failed"
    assert cell["metrics"]["cell.clients.failed"]["value"] == 9  # three in each phase
    assert cell["metrics"]["qos1.clients.failed"]["value"] == 3
    assert cell["metrics"]["memory.per_connection_bytes"]["value"] == 18000
    assert "malloc!" in done.stdout


def test_messages_that_one_phase_lost_reach_its_name_the_cell_its_state_and_the_table(suite, poolmark):
    done, run = suite("--only", "malloc", FAKE_LOAD="loses")
    assert done.returncode == 1
    cell = run.data["cells"][0]
    values = {name: metric["value"] for name, metric in cell["metrics"].items() if name.endswith("messages.lost")}
    assert values == {"qos0.messages.lost": 0, "qos1.messages.lost": 5, "cell.messages.lost": 5}
    assert cell["status"] == run.data["status"] == "incomplete"
    assert [phase["prefix"] for phase in cell["phases"]] == ["", "qos0.", "qos1."]
    assert re.search(r"^messages lost +5$", done.stdout, re.M) and re.search(r"^delivery p99, qos1 +99 us$", done.stdout, re.M)
    assert "cell.messages.lost [1]" in (run.folder / "summary.csv").read_text()
    assert raw_data.phase_of(cell, "qos1.delivery.p99") == "qos1" and raw_data.phase_of(cell, "connect.p99") == ""
    assert raw_data.files_behind(cell, "cell.messages.lost")[2].endswith("load-qos1/run.json")
    told = poolmark("verify", run.folder)
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_phase_that_lost_messages_keeps_no_later_one_from_running(suite):
    text = SUITE.replace("qos = 0", "qos = 9").replace("qos = 1", "qos = 0").replace("qos = 9", "qos = 1")
    _, run = suite("--only", "malloc", text=text, FAKE_LOAD="loses")
    assert [phase["name"] for phase in run.data["cells"][0]["phases"]] == ["connect", "qos0", "qos1"]


def test_a_load_record_that_cannot_be_read_is_named(suite):
    done, run = suite("--only", "malloc", FAKE_LOAD="garbage")
    assert done.returncode == 1
    assert run.data["status"] == "incomplete"
    assert "load/run.json: line 1" in texts(run.data["cells"][0])
    assert str(run.folder) not in texts(run.data["cells"][0])


@pytest.mark.parametrize("how, text", [("nothing", "left no record"), ("dies", "was ended by SIGKILL")])
def test_a_generator_that_leaves_nothing_makes_the_cell_incomplete(suite, how, text):
    done, run = suite("--only", "malloc", FAKE_LOAD=how)
    assert done.returncode == 1
    assert run.data["cells"][0]["status"] == "incomplete"
    assert text in texts(run.data["cells"][0])
    assert run.data["cells"][0]["metrics"]["pool.hit_rate"]["value"] == 75


def test_a_broker_that_crashes_half_way_ends_the_run_with_the_loss_counted(suite):
    done, run = suite("--only", "malloc", FAKE_LOAD="waits", FAKE_BROKER="crashes")
    assert done.returncode == 1
    cell = run.data["cells"][0]
    assert run.data["status"] == cell["status"] == "incomplete"
    assert "broker was ended by SIGKILL (by somebody, or by the kernel for want of memory: dmesg and oom_kill" in texts(cell)
    assert cell["metrics"]["clients.dropped"]["value"] == 7
    assert cell["metrics"]["memory.per_connection_bytes"]["value"] == 18000


@pytest.mark.parametrize("how, text", [("dies", "no memory for the preheat"), ("silent", "named no address")])
def test_a_broker_that_does_not_start_fails_its_cell_and_the_run_goes_on(suite, how, text):
    done, run = suite(FAKE_BROKER=how)
    assert done.returncode == 1
    assert [cell["status"] for cell in run.data["cells"]] == ["failed", "failed"]
    assert text in texts(run.data["cells"][1])


def test_a_broker_that_ends_uncleanly_fails_its_cell(suite):
    done, run = suite("--only", "malloc", FAKE_BROKER="unclean")
    assert done.returncode == 1
    assert "exit code 3" in texts(run.data["cells"][0])


def test_another_allocator_than_asked_for_fails_the_cell(suite):
    done, run = suite("--only", "malloc", FAKE_BROKER="jemalloc")
    assert done.returncode == 1
    assert "glibc was asked for; loaded was jemalloc" in texts(run.data["cells"][0])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_measured_and_leaves_nothing_running(tmp_path, number):
    file = tmp_path / "small.toml"
    file.write_text(SUITE)
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(FAKES), "--out",
                                str(tmp_path / "run")], env={**os.environ, "FAKE_LOAD": "waits"}, cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "cells" / "classic-malloc-paho-100.1" / "connect.log"
    wait_for(lambda: log.is_file() and "connected" in log.read_text())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 3  # broker, generator, watchdog
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 128 + number, err
    assert not any(alive(pid) for pid in children)
    run = read_record.load(tmp_path / "run")
    assert run.data["status"] == "incomplete"
    cell = run.data["cells"][0]
    assert cell["status"] == "incomplete"
    assert cell["metrics"]["memory.per_connection_bytes"]["value"] == 18000
    assert "1 of 2 cells were not begun" in run.data["anomalies"][0]["text"]
    assert "memory per connection" in out


def test_an_interrupt_in_the_last_cell_speaks_of_no_others(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SUITE)
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(FAKES), "--out",
                                str(tmp_path / "run"), "--only", "malloc"], env={**os.environ, "FAKE_LOAD": "waits"},
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "cells" / "classic-malloc-paho-100.1" / "connect.log"
    wait_for(lambda: log.is_file() and "connected" in log.read_text())
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=240) and process.returncode == 130
    assert read_record.load(tmp_path / "run").data["anomalies"][0]["text"] == "interrupted by SIGINT"


@pytest.mark.parametrize("target", ["poolmark", "mosquitto"])
def test_children_go_when_the_suite_is_killed(tmp_path, target):
    if target == "mosquitto" and not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("mosquitto is not installed")
    file = tmp_path / "small.toml"
    text = SUITE.replace("[config]", f'[config]\ntarget = "{target}"')
    if target == "mosquitto":
        text = text.replace('[axes]\nstrategy = ["malloc", "expand"]\n', "").replace('shape = "classic"\n', "")
    file.write_text(text)
    process = subprocess.Popen([str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(FAKES), "--out",
                                str(tmp_path / "run")], env={**os.environ, "FAKE_LOAD": "waits"}, cwd=ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cells = tmp_path / "run" / "cells"
    wait_for(lambda: any("connected" in log.read_text() for log in cells.glob("*/connect.log")))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in children))
    assert read_record.load(tmp_path / "run").data["status"] == "running"


def wait_for(condition, guard_s=120):
    import time

    end = time.monotonic() + guard_s
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_list_and_dry_run_start_nothing(poolmark, tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SUITE)
    assert "\nquick: " in poolmark("suite", "--list").stdout
    assert poolmark("suite", file, "--list").stdout.split() == ["classic-malloc-paho-100.1", "classic-expand-paho-100.1"]
    done = poolmark("suite", file, "--dry-run", "--build", "nowhere")
    assert done.returncode == 2 and "run make first" in done.stderr
    done = poolmark("suite", file, "--dry-run", "--build", FAKES)
    assert done.returncode == 0, done.stderr
    assert "/fakes/poolmark-broker --listen 127.0.0.1:0 --pool malloc --shape classic --record " in done.stdout
    assert "poolmark-loadgen publish --target mqtt://127.0.0.1:PORT1 --engine paho --pairs 10 --qos 1" in done.stdout
    assert "--connections 100 " in done.stdout
    done = poolmark("suite", file, "--dry-run", "--connections", "70")
    cell = "results/runs/RUN/cells/classic-malloc-paho-70.1"
    assert (f"--connections 70 --watch-record {cell}/broker --fresh-target --watch-pid PID1 --seed 1 --record {cell}/load "
            in done.stdout)    # the first phase of a broker that is started for it
    assert done.stdout.count("--fresh-target") == 2    # of each cell
    assert not (ROOT / "results/runs/RUN").exists()


@pytest.mark.parametrize("text, limit", [(SUITE, 20_000), (STEPS.replace("connections = 1000", "connections = 4000"), 3_000)])
def test_a_dry_run_prints_what_a_run_then_records(tmp_path, text, limit):
    """Equal word for word, except for ports and process ids, which are not known before."""
    (tmp_path / "small.toml").write_text(text)

    def call(*words):
        done = subprocess.run(["bash", "-c", f'ulimit -n {limit} && exec "$@"', "bash", str(ROOT / "scripts/poolmark"), "suite",
                               str(tmp_path / "small.toml"), "--build", str(FAKES), "--out", str(tmp_path / "run"), *words],
                              capture_output=True, text=True, timeout=240, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = [shlex.split(line) for line in call("--dry-run").splitlines() if line and not line.startswith("#")]
    assert not (tmp_path / "run").exists()
    call()
    made = [command for cell in read_record.load(tmp_path / "run").data["cells"] for command in cell["commands"]]
    assert len(told) == len(made)
    for planned, real in zip(told, made, strict=True):
        planned = [re.sub(r":PORT\d+", ":N", word).replace(f"{tmp_path}/run/", "") for word in planned]
        planned = ["N" if word.startswith("PID") else word for word in planned]
        real = [re.sub(r"(mqtt://[0-9.]+):\d+", r"\1:N", word) for word in real]
        real = ["N" if before == "--watch-pid" else word for before, word in zip(["", *real], real, strict=False)]
        assert planned == real


def test_strategies_are_taken_when_the_broker_knows_them(poolmark, tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SUITE + '[axes_if_known]\nstrategy = ["slab", "other"]\n')
    done = poolmark("suite", file, "--list", "--build", FAKES)
    assert [line.split("-")[1] for line in done.stdout.split()] == ["malloc", "expand", "slab"], done.stderr


@pytest.mark.parametrize("words, text", [
    ((), "name a suite"),
    (("nothing",), "there is no suite 'nothing'; there are: "),
    (("quick", "--only", "("), "not a regular expression"),
    (("quick", "--only", "zzz"), "matches none"),
    (("quick", "--connections", "many"), "many"),
    (("quick", "--build", "/nowhere"), "run make first"),
])
def test_a_wrong_call_is_exit_2(poolmark, words, text):
    done = poolmark("suite", *words)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("mine")
    file = tmp_path / "small.toml"
    file.write_text(SUITE)
    done = subprocess.run([str(ROOT / "scripts/poolmark"), "suite", str(file), "--build", str(FAKES), "--out",
                           str(tmp_path / "run")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_the_committed_suites_can_all_be_planned(poolmark):
    for name in ("quick", "idle", "million", "lives", "open", "subscriptions", "soak", "pressure"):
        assert poolmark("suite", name, "--dry-run").returncode == 0, name


@pytest.mark.skipif(not Path("/usr/sbin/mosquitto").exists(), reason="mosquitto is not installed")
def test_mosquitto_as_a_target_and_the_ratio_to_it(suite):
    text = """
[config]
engine = "raw"
allocator = "glibc"
connections = 1000
[axes]
target = ["poolmark", "mosquitto"]
[[override]]
when = { target = "poolmark" }
config = { shape = "lean", strategy = "malloc" }
[[phase]]
name = "steps"
scenario = "steps"
steps = "100,1000"
probe = 0
[[ratio]]
metric = "memory.per_connection_bytes"
of = { target = "poolmark" }
to = { target = "mosquitto" }
"""
    done, run = suite(text=text)
    assert done.returncode == 0, done.stderr + done.stdout
    peer = run.data["cells"][1]
    assert peer["id"] == "mosquitto-raw-1000.1" and peer["status"] == "complete"
    assert "pool.hit_rate" not in peer["metrics"]
    assert "= 1.00 (1.00 to 1.00) poolmark / mosquitto, 1 and 1 runs" in done.stdout


def test_a_broker_that_runs_already_is_a_target(suite):
    text = SUITE.replace('[axes]\nstrategy = ["malloc", "expand"]', 'target = "mqtt://127.0.0.1:1"').replace('shape = "classic"\n', "")
    done, run = suite(text=text)
    assert done.returncode == 0, done.stderr
    cell = run.data["cells"][0]
    assert not any("broker" in command[0] for command in cell["commands"])
    assert "memory.per_connection_bytes" not in cell["metrics"] and "qos1.delivery.p50" in cell["metrics"]


def test_an_interrupt_between_starting_and_listing_a_child_loses_none(tmp_path):
    """A signal during the start of a child is raised by the next wait, when the caller knows the child."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / 'scripts/python')!r})
from pathlib import Path
from poolmark.facts import children as module
real = module.subprocess.Popen
def popen(*args, **options):
    process = real(*args, **options)
    os.kill(os.getpid(), signal.SIGTERM)
    return process
module.subprocess.Popen = popen
try:
    with module.Children() as children:
        child = children.start("sleep", ["sleep", "1000"], Path({str(tmp_path / 'log')!r}))
        children.wait(child, 60.0)
        print("not interrupted")
except module.Interrupted as interrupted:
    print(interrupted)
print(Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["interrupted by SIGTERM", "[]"], done.stderr
