# SPDX-License-Identifier: Apache-2.0
"""Records written by the programs themselves: verify accepts them and notices changes."""
import os
import subprocess
from pathlib import Path

import pytest

from poolmark.base.paths import build_dir
from poolmark.records.read_record import load

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
GUARD_S = 120
pytestmark = pytest.mark.skipif(
    not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen")),
    reason="the programs are not built")


def verify(*folders: Path) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "scripts/poolmark", "verify", *folders], capture_output=True, text=True,
                          timeout=GUARD_S, check=False)


def test_verify_accepts_fresh_records_of_broker_and_generator(tmp_path):
    broker, generator = tmp_path / "broker", tmp_path / "load"
    with subprocess.Popen([BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", "--record", broker],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().split()[1]
            assert process.stdout.readline() == "ready\n"
            subprocess.run([BUILD / "poolmark-loadgen", "connect", "--engine", "raw", "--target", f"mqtt://{address}",
                            "--connections", "5", "--quiet", "--record", generator], check=True, timeout=GUARD_S)
        finally:
            process.terminate()
        assert process.wait(GUARD_S) == 0
    done = verify(broker, generator)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "came after" not in done.stdout
    assert set(load(broker).data["files"]) == {"pools.csv", "events.csv", "account.csv"}
    assert set(load(generator).data["files"]) == {"latency.hlog", "memory.csv"}
    with open(generator / "memory.csv", "a", encoding="utf-8") as file:
        file.write("\n")
    done = verify(generator)
    assert done.returncode == 1
    assert "memory.csv: has" in done.stdout


@pytest.mark.parametrize("program", [["poolmark-broker", "--listen", "127.0.0.1:0"],
                                     ["poolmark-loadgen", "connect", "--target", "127.0.0.1:1"]])
def test_a_folder_that_cannot_be_used_is_bad_usage(tmp_path, program):
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/run.json").write_text("{}", encoding="utf-8")
    for folder in ("file", "file/below", "taken"):
        done = subprocess.run([BUILD / program[0], *program[1:], "--record", tmp_path / folder],
                              capture_output=True, text=True, timeout=GUARD_S, check=False)
        assert done.returncode == 2
        assert f"{program[0]}: --record: " in done.stderr and folder in done.stderr
        assert done.stdout == ""
