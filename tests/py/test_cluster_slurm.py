# SPDX-License-Identifier: Apache-2.0
"""A job under Slurm: slurmctld, and a slurmd on each of two hosts of network namespaces, play the script that `cluster` prints.

Needs root, Debian's munge, slurmctld, slurmd and slurm-client, mpirun and the MPI generator; without them the runs are skipped with the reason.
"""
import json
import os
import shutil

import pytest

from poolmark.base.paths import build_dir
from poolmark.cluster import calls, namespaces, slurm_here
from poolmark.cluster.namespaces import Hosts
from poolmark.cluster.slurm_here import Slurm
from poolmark.facts.children import Children

GUARD_S = 180
REASON = namespaces.why_not() or slurm_here.why_not() or ("not installed: mpirun (Debian: openmpi-bin)" if not shutil.which("mpirun") else None) or (
    "poolmark-loadgen-mpi is not built (make mpi)" if not os.access(build_dir() / calls.MPI, os.X_OK) else None)
needs_slurm = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def test_what_is_not_installed_is_named_and_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(slurm_here, "SYSTEM", "")
    told = slurm_here.why_not()
    assert "slurmctld" in told and "sbatch" in told and "apt-get install --no-install-recommends munge slurmctld slurmd slurm-client" in told


@pytest.fixture
def slurm(tmp_path):
    tmp_path.chmod(0o755)
    with Children() as children, Hosts(["host0", "host1", "broker"]) as hosts, Slurm(children, hosts, ["host0", "host1"], tmp_path / "slurm") as made:
        yield made
    assert not made.daemons and not hosts.keepers


# The command makes hosts and Slurm, and ends them: a record of all ranks, of which every figure follows from its files.
@needs_slurm
def test_a_call_is_played_under_sbatch(poolmark, tmp_path):
    tmp_path.chmod(0o755)
    done = poolmark("cluster", "--namespaces", "2", "--launcher", "slurm", "--out", tmp_path / "there", "--run", "connect", "--engine", "raw",
                    "--connections", "200", "--prove", "--settle", "0", timeout=GUARD_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sbatch --test-only: exit code 0: sbatch: Job 1 to start at" in done.stderr and "slurm-wlm 2" in done.stderr
    record = json.loads((tmp_path / "there/run/run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete" and [one["clients"] for one in record["ranks"]] == [100, 100]
    assert record["metrics"]["clients.connected"]["value"] == 200
    assert poolmark("verify", tmp_path / "there/run").returncode == 0


@needs_slurm
def test_scancel_ends_a_job_in_order(poolmark, slurm, tmp_path):
    url = f"mqtt://{slurm.hosts.address('broker')}:1883"
    broker = slurm.children.start("broker", [*slurm.hosts.prefix("broker"), str(build_dir() / "poolmark-broker"), "--listen", url.removeprefix("mqtt://")],
                                  tmp_path / "broker.log", read="stdout")
    slurm.children.read_until(broker, lambda line: line == "ready", GUARD_S)
    done = poolmark("cluster", "--launcher", "slurm", "--ranks", "2", "--cores", "1", "--memory", "2GiB", "--time", "10m", "--target", url, "--out",
                    tmp_path / "cut", "connect", "--engine", "raw", "--connections", "200", "--settle", "0", "--hold", "1h")
    assert done.returncode == 0, done.stderr
    job = slurm.call("sbatch", f"--chdir={tmp_path}", text=done.stdout).stdout.split()[-1]
    memory = tmp_path / "cut/memory.csv"
    slurm.wait_for("the hold", lambda: memory.exists() and "hold" in memory.read_text(encoding="utf-8"))
    assert slurm.call("scancel", "--batch", "--signal=INT", job).returncode == 0
    slurm.wait_for("the end", lambda: slurm.call("squeue", "-h", "-j", job).stdout.strip() == "")
    assert json.loads((tmp_path / "cut/run.json").read_text(encoding="utf-8"))["status"] == "incomplete"
    assert slurm.children.stop(broker) == 0
