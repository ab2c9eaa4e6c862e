# SPDX-License-Identifier: Apache-2.0
"""Memory that did not grow gives no slope: a broker that has served before uses again what it kept of it."""
import json
import subprocess
import sys

from faults import GUARD_S, ROOT, Broker, load

STEPS = ("--steps", "1000,2000,3000,4000", "--settle", "2s", "--probe", "0")


def capacity(folder):
    return subprocess.run([sys.executable, ROOT / "scripts/poolmark", "capacity", folder, "--json"], capture_output=True, text=True,
                          timeout=GUARD_S, check=False)


def test_a_broker_that_has_served_before_gives_no_figure_and_no_forecast(tmp_path):
    keeps = ["env", "MALLOC_TRIM_THRESHOLD_=100000000000", "MALLOC_MMAP_THRESHOLD_=100000000000"]  # as brokers of other allocators do
    with Broker("--pool", "malloc", "--shape", "lean", "--threads", "1", prefix=keeps) as broker:
        with load(tmp_path / "fresh", "steps", broker.port, *STEPS, "--watch-pid", broker.pid) as fresh:
            assert fresh.end() == 0
        with load(tmp_path / "again", "steps", broker.port, *STEPS, "--watch-pid", broker.pid) as again:
            again.end()
            assert again.metric("memory.per_connection_bytes") is None
            assert "restart it" in again.anomaly("resolution")
    told = capacity(tmp_path / "again")
    facts = json.loads(told.stdout)["cells"][0]
    assert told.returncode == 1
    assert facts["user"] is None and "user memory did not grow" in facts["no_forecast"] and "restart the target" in facts["no_forecast"]
    assert facts["sizes"] == [] and facts["held_out"] is None
    assert json.loads(capacity(tmp_path / "fresh").stdout)["cells"][0]["user"]["per_connection_bytes"] > 100
