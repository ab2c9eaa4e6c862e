# SPDX-License-Identifier: Apache-2.0
"""A job under Slurm: slurmctld, and a slurmd on each of two hosts of network namespaces, play the script that `cluster` prints.

Needs root, Debian's munge, slurmctld, slurmd and slurm-client, mpirun and the MPI generator; without them it is skipped with the reason. Nothing of a
Slurm that this machine may have is used: configuration, key, sockets and state are in the test's folder.
"""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from poolmark.base.paths import build_dir
from poolmark.cluster import calls, namespaces
from poolmark.cluster.namespaces import Hosts

GUARD_S = 180
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "scontrol", "mpirun")
MISSING = [tool for tool in TOOLS if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin")]
REASON = namespaces.why_not() or (f"not installed: {', '.join(MISSING)} (Debian: munge, slurmctld, slurmd, slurm-client, openmpi-bin)" if MISSING else None) or (
    "poolmark-loadgen-mpi is not built (make mpi)" if not os.access(build_dir() / calls.MPI, os.X_OK) else None)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

CONFIG = """\
ClusterName=poolmark
SlurmctldHost=node0({address0})
SlurmUser=root
SlurmctldPort=17001
SlurmdPort=17002
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
NodeName=node0 NodeAddr={address0} CPUs={cores} RealMemory={memory} State=UNKNOWN
NodeName=node1 NodeAddr={address1} CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """The daemons; they end with the hosts that they are on."""

    def __init__(self, hosts, folder):
        self.hosts, self.folder = hosts, folder
        self.env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin",
                    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.started = []

    def start(self, host, *words):
        log = open(self.folder / f"{words[0]}-{host}.out", "wb")
        self.started.append(subprocess.Popen([*self.hosts.prefix(host), *words], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True))
        log.close()

    def call(self, *words, text=None):
        return subprocess.run([*self.hosts.prefix("node0"), *words], env=self.env, input=text, capture_output=True, text=True, timeout=GUARD_S)

    def logs(self):
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in sorted(self.folder.glob("*.log")) + sorted(
            self.folder.glob("*.out")))

    def wait_for(self, what, wanted):
        limit = time.monotonic() + GUARD_S
        while not wanted():
            assert time.monotonic() < limit, f"{what}: {self.logs()}"
            assert all(one.poll() is None for one in self.started), self.logs()
            time.sleep(0.2)

    def open(self):
        folder = self.folder
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (folder / "state").mkdir()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        (folder / "slurm.conf").write_text(CONFIG.format(
            address0=self.hosts.address("node0"), address1=self.hosts.address("node1"), folder=folder, cores=os.sysconf("SC_NPROCESSORS_ONLN"),
            memory=memory * 9 // 10), encoding="utf-8")
        self.start("node0", "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
                   f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed")
        self.wait_for("munged", (folder / "munge.socket").exists)
        self.start("node0", "slurmctld", "-D")
        for host in ("node0", "node1"):
            (folder / f"spool-{host}").mkdir()
            self.start(host, "slurmd", "-D", "-N", host)
        self.wait_for("nodes", lambda: self.call("sinfo", "-h", "-o", "%T %D").stdout.split() == ["idle", "2"])

    def close(self):
        for one in reversed(self.started):
            one.terminate()
        for one in self.started:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


@pytest.fixture
def cluster(tmp_path):
    tmp_path.chmod(0o755)
    with Hosts(["node0", "node1", "broker"]) as hosts:
        made = Cluster(hosts, tmp_path)
        try:
            made.open()
            yield made
        finally:
            made.close()


def script(poolmark, tmp_path, url, *words):
    done = poolmark("cluster", "--launcher", "slurm", "--ranks", "2", "--cores", "1", "--memory", "2GiB", "--time", "10m", "--target", url, "--out",
                    tmp_path / "run", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_ranks_run_as_a_job_and_scancel_ends_one_in_order(poolmark, cluster, tmp_path):
    url = f"mqtt://{cluster.hosts.address('broker')}:1883"
    broker = subprocess.Popen([*cluster.hosts.prefix("broker"), str(build_dir() / "poolmark-broker"), "--listen", url.removeprefix("mqtt://")],
                              stdout=subprocess.PIPE, text=True)
    assert broker.stdout.readline().startswith("listening")
    text = script(poolmark, tmp_path, url, "connect", "--engine", "raw", "--connections", "200")
    done = cluster.call("sbatch", "--test-only", f"--chdir={tmp_path}", text=text)
    assert done.returncode == 0, done.stderr
    done = cluster.call("sbatch", "--wait", f"--chdir={tmp_path}", text=text)
    assert done.returncode == 0, f"{done.stderr}\n{[path.read_text() for path in tmp_path.glob('poolmark-*.log')]}\n{cluster.logs()}"
    record = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete" and len(record["ranks"]) == 2
    assert record["metrics"]["clients.connected"]["value"] == 200

    text = script(poolmark, tmp_path, url, "connect", "--engine", "raw", "--connections", "200", "--hold", "1h").replace(f"{tmp_path}/run", f"{tmp_path}/cut")
    job = cluster.call("sbatch", f"--chdir={tmp_path}", text=text).stdout.split()[-1]
    cluster.wait_for("the hold", lambda: (tmp_path / "cut/memory.csv").exists() and "hold" in (tmp_path / "cut/memory.csv").read_text(encoding="utf-8"))
    assert cluster.call("scancel", "--batch", "--signal=INT", job).returncode == 0
    cluster.wait_for("the end", lambda: cluster.call("squeue", "-h", "-j", job).stdout.strip() == "")
    assert json.loads((tmp_path / "cut/run.json").read_text(encoding="utf-8"))["status"] == "incomplete"
    broker.send_signal(signal.SIGTERM)
    assert broker.wait(GUARD_S) == 0
    broker.stdout.close()
