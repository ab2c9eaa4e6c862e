# SPDX-License-Identifier: Apache-2.0
"""Suite `attack` with the real programs, at small size: an attacker beside the load is accounted for, in the record and by verify."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from documented import undocumented

from poolmark.base.paths import build_dir
from poolmark.records import read_record
from poolmark.verify.complaints import complaints

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
pytestmark = pytest.mark.skipif(
    not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen")), reason="the programs are not built")
SHORT = ["--set", "traffic.warmup=0s", "--set", "traffic.publish-rate=200", "--set", "connects.duration=1s",
         "--connections", "40"]


def start(tmp_path, only, seconds=1):
    return subprocess.Popen([str(ROOT / "scripts/poolmark"), "suite", "attack", "--build", str(BUILD), "--out", str(tmp_path / "run"),
                             "--only", only, "--set", f"traffic.duration={seconds}s", *SHORT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_an_attack_is_measured_beside_a_calm_cell(tmp_path):
    process = start(tmp_path, "calm|kept_sessions")
    told = process.communicate(timeout=240)[0]
    run = read_record.load(tmp_path / "run")
    calm, attack = run.data["cells"]
    assert process.returncode == 0, told
    assert undocumented(name for cell in run.data["cells"] for name in cell["metrics"]) == []
    for cell in (calm, attack):
        values = {name: one["value"] for name, one in cell["metrics"].items()}
        assert values["traffic.delivery.p99"] > 0 and values["arrival.p50"] > 0 and values["attack.stop_ns"] > 0
        assert values["cell.messages.lost"] == values["cell.clients.failed"] == values["cell.clients.dropped"] == 0
        assert values["broker.longest_turn_ns"] >= 0  # 0: none was timed
        assert 0 < values["broker.memory_highest_bytes"] < values["broker.memory_bound_bytes"]
    names = {one["what"] for one in attack["anomalies"]}
    assert "beside" in names and not names & {"other_clients", "other_connections", "target_busy"}
    assert not {one["what"] for one in calm["anomalies"]} & {"beside", "other_clients"}
    assert attack["metrics"]["attack.rounds"]["value"] >= 1 and attack["metrics"]["attack.connections"]["value"] >= 20
    assert "attack.rounds" not in calm["metrics"]
    assert attack["metrics"]["traffic.cpu.per_message_ns"]["value"] is None and calm["metrics"]["traffic.cpu.per_message_ns"]["value"] > 0
    assert ["scripts/poolmark", "attack", "kept-sessions"] == attack["commands"][1][:3]
    assert "rounds of the attack" in told
    assert complaints(run)[0] == []
    run.data["cells"][1]["metrics"]["attack.rounds"]["value"] += 1
    assert any("attack.rounds" in text for text in complaints(run)[0])
    report = subprocess.run([ROOT / "scripts/poolmark", "report", tmp_path / "run", "--out", tmp_path / "page"], cwd=ROOT,
                            capture_output=True, text=True, timeout=240)
    assert report.returncode == 0, report.stderr
    assert "of others under an attack" in (tmp_path / "page/report.md").read_text()


def attacker_of(pid):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "attack" in words and "--target" in words:
            return int(child)
    return None


def test_an_attacker_that_is_killed_makes_its_cell_incomplete(tmp_path):
    process = start(tmp_path, "retained_at_stop", seconds=4)
    until = time.monotonic() + 120
    while not (list(tmp_path.glob("run/cells/*/load/memory.csv")) and attacker_of(process.pid)):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)
    os.kill(attacker_of(process.pid), signal.SIGKILL)
    told = process.communicate(timeout=240)[0]
    cell = read_record.load(tmp_path / "run").data["cells"][0]
    assert process.returncode == 1 and cell["status"] == "incomplete", told
    assert any(one["what"] == "attack" and "SIGKILL" in one["text"] for one in cell["anomalies"])
    assert json.loads((tmp_path / f"run/cells/{cell['id']}/attack.json").read_text())["stop_ns"] > 0
    assert "attack.rounds" not in cell["metrics"]


def test_a_dry_run_names_the_attacker_and_the_load_beside_it(poolmark):
    done = poolmark("suite", "attack", "--only", "calm|fan_out", "--dry-run")
    assert done.returncode == 0, done.stderr
    calm, attack = done.stdout.split("\n# ")[1:]
    assert "scripts/poolmark attack fan-out --target mqtt://127.0.0.1:PORT1\n" in attack and "--beside 'the attack fan-out'" in attack
    assert "scripts/poolmark attack" not in calm and "--beside" not in calm
    assert "2 cells, about" in done.stderr


@pytest.mark.parametrize("text, complaint", [
    ('[axes]\nattack = ["calm", "fan-in"]\n', "attack 'fan-in' is not known"), ('[load]\nbeside = "me"\n', "what the suite sets itself")])
def test_a_wrong_attack_is_named_before_anything_starts(poolmark, tmp_path, text, complaint):
    (tmp_path / "x.toml").write_text(text + '[config]\nconnections = 1\n' * ("config" not in text) +
                                     '[[phase]]\nname = "connect"\nscenario = "connect"\n')
    done = poolmark("suite", tmp_path / "x.toml", "--dry-run")
    assert done.returncode == 2 and complaint in done.stderr


def test_the_generator_wants_a_name_for_what_is_beside_it():
    done = subprocess.run([BUILD / "poolmark-loadgen", "connect", "--target", "mqtt://127.0.0.1:1", "--beside", ""], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2 and "--beside: is empty" in done.stderr
