# SPDX-License-Identifier: Apache-2.0
"""User memory by account with the real programs: of a broker that runs, and of a suite's cell, which verify makes again."""
import contextlib
import csv
import os
import signal
import subprocess
import time

import pytest

from poolmark.base.paths import build_dir
from poolmark.records import accounts
from poolmark.records.read_record import load

BUILD = build_dir()
GUARD_S, CONNECTIONS = 120, 2000
PROGRAMS = ("poolmark-broker", "poolmark-loadgen")
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in PROGRAMS), reason="the programs are not built")


def lines(record):
    with open(record / accounts.FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def running(*words, **how):
    with subprocess.Popen([BUILD / words[0], *map(str, words[1:])], text=True, stderr=subprocess.DEVNULL, **how) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(GUARD_S)


@contextlib.contextmanager
def broker_with_clients(record, strategy):
    """A broker of which account.csv has a line with all connected."""
    with running("poolmark-broker", "--listen", "127.0.0.1:0", "--pool", strategy, "--shape", "lean", "--threads", 2, "--record", record,
                 stdout=subprocess.PIPE) as broker:
        address = broker.stdout.readline().split()[1]
        assert broker.stdout.readline() == "ready\n"
        with running("poolmark-loadgen", "connect", "--engine", "raw", "--target", f"mqtt://{address}", "--connections", CONNECTIONS,
                     "--subscribe", "--hold", "1h", "--quiet", stdout=subprocess.DEVNULL):
            until = time.monotonic() + GUARD_S
            while not any(int(row["connections"]) == CONNECTIONS for row in lines(record)):
                assert time.monotonic() < until, lines(record)
                time.sleep(0.1)
            yield broker


@pytest.mark.parametrize("strategy", ["malloc", "slab"])
def test_a_broker_that_runs_is_asked_and_the_kernel_is_asked_beside_it(poolmark, tmp_path, strategy):
    with broker_with_clients(tmp_path / "broker", strategy) as broker:
        until, done = time.monotonic() + GUARD_S, None
        while done is None or done.returncode != 0 and time.monotonic() < until:    # again, where a pool grew in between
            done = poolmark("account", "--pid", broker.pid, "--record", tmp_path / "broker")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "objects of connections" in done.stdout and "poolmark-broker" in done.stdout and "anonymous by the broker" in done.stdout
    assert [row["moment"] for row in lines(tmp_path / "broker")][0] == "start" and lines(tmp_path / "broker")[-1]["moment"] == "end"
    assert poolmark("verify", tmp_path / "broker").returncode == 0
    done = poolmark("account", tmp_path / "broker")
    assert f"{CONNECTIONS // 1000} 000 connections" in done.stdout and "not accounted for" in done.stdout


def test_a_process_that_is_not_that_broker_is_no_figure(poolmark, tmp_path):
    with broker_with_clients(tmp_path / "broker", "malloc"):
        pass
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = poolmark("account", "--pid", gone.pid, "--record", tmp_path / "broker")
    assert done.returncode == 2 and "cannot be asked: No such process" in done.stderr


def test_a_cell_of_a_suite_has_its_accounts_and_verify_makes_them_again(poolmark, tmp_path):
    done = poolmark("suite", "account", "--only", "lean-slab", "--connections", 1000, "--set", "connect.settle=3s", "--set", "connect.hold=3s",
                    "--set", "churn.duration=2s", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    cell = load(tmp_path / "run").data["cells"][0]
    metrics = cell["metrics"]
    assert metrics["account.connections"]["value"] == 1000 and metrics["account.end.connections"]["value"] == 0
    assert sum(metrics[f"account.{name}_bytes"]["value"] for name in accounts.ACCOUNTS) == metrics["account.pss_bytes"]["value"]
    assert metrics["account.subscriptions_bytes"]["value"] > 1000 * 48
    assert cell["files"]["account"].endswith("broker/account.csv")
    assert "User memory by account" in (tmp_path / "run/summary.md").read_text(encoding="utf-8")
    done = poolmark("verify", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "run" / cell["files"]["account"]
    for file in (tmp_path / "run/cells").rglob("*"):    # what a committed run keeps of a cell (results/reference/README.md)
        if file.is_file() and file != path:
            file.unlink()
    done = poolmark("verify", "--present", tmp_path / "run")
    count = sum(name.startswith("account.") for name in metrics)
    assert done.returncode == 0 and f"{count} figures computed again" in done.stdout, done.stdout + done.stderr
    assert poolmark("account", tmp_path / "run").stdout.count("objects of connections") == 1
    path.write_text(path.read_text(encoding="utf-8").replace(",level,1000,", ",level,1000,1"), encoding="utf-8")
    done = poolmark("verify", "--present", tmp_path / "run")
    assert done.returncode == 1 and "account.objects_bytes: the record says" in done.stdout
