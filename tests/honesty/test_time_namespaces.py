# SPDX-License-Identifier: Apache-2.0
"""Generator and target in different time namespaces: their files have one time, so what is compared by it is right."""
import subprocess

import pytest
from faults import Broker, load, needs_root
from poolmark.base import host_clock
from poolmark.base.curves import MemoryCurve, pools_at, read_csv
from poolmark.records import arrivals
from poolmark.run.soak import in_use_since

AHEAD_S = 5000
APART = ["unshare", "--time", "--monotonic", str(AHEAD_S)]
BACK = ["unshare", "--time", "--monotonic", "-60"]

pytestmark = needs_root


@pytest.fixture(autouse=True)
def namespaces():
    done = subprocess.run([*APART, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no time namespace can be made here: {done.stderr.strip()}")


class Taken:
    """What records/arrivals.py makes of the files."""

    def __init__(self):
        self.figures = {}

    def metric(self, name, value, unit, better):
        self.figures[name] = value


whose = pytest.mark.parametrize("target, generator", [(APART, []), ([], APART), (BACK, APART)], ids=["target", "generator", "both"])


@whose
def test_arrivals_meet_the_expansions_that_there_were(tmp_path, target, generator):
    with Broker("--threads", "1", "--pool", "expand", "--initial", 16, "--record", tmp_path / "broker", prefix=target) as broker, \
            load(tmp_path / "run", "burst", broker.port, "--connections", 10, "--burst", 500, "--repeat", 1, "--stay", 0, "--calm", 0,
                 "--settle", 0, "--watch-pid", broker.pid, prefix=generator) as run:
        assert run.end() == 0
    taken = Taken()
    phase = {"name": "", "prefix": "", "folder": "run"}
    arrivals.take(taken, tmp_path / "run", phase, [tmp_path / "broker" / "events.csv"])
    arrivals.take_hit_rate(taken, tmp_path / "run", phase, [tmp_path / "broker" / "pools.csv"])
    assert taken.figures["arrival_expanding.count"] + taken.figures["arrival_steady.count"] == 500
    assert taken.figures["arrival_expanding.count"] > 0     # 500 came at once to 16 objects
    assert taken.figures["arrivals.pool_hit_rate"] is not None
    times = [row["at_ns"] for row in read_csv(tmp_path / "run/memory.csv", ("phase",))]
    for row in read_csv(tmp_path / "broker/events.csv", ("pool", "event")):
        assert times[0] - 60e9 < row["at_ns"] < times[-1] + 60e9
    assert run.record["clock"] == "host" and not run.anomaly("late") and not run.anomaly("stalled")


@whose
def test_pools_at_steps_are_those_of_the_step(tmp_path, target, generator):
    with Broker("--threads", "1", "--shape", "classic", "--record", tmp_path / "broker", prefix=target) as broker, \
            load(tmp_path / "run", "steps", broker.port, "--steps", "100,300", "--probe", 0, "--settle", 0,
                 "--watch-pid", broker.pid, "--watch-record", tmp_path / "broker", prefix=generator) as run:
        assert run.end() == 0
    rows = read_csv(tmp_path / "run/steps.csv", ())
    assert [row["connections"] for row in rows] == [100, 300] and all(row["objects_bytes"] for row in rows)
    curve = MemoryCurve(tmp_path / "run/memory.csv")
    in_use = [pools_at([tmp_path / "broker/pools.csv"], curve.at(count).last_ns)["connections"]["in_use"] for count in (100, 300)]
    assert in_use[0] <= 100 < in_use[1] <= 300


@whose
def test_a_soak_judges_pools_of_its_own_time(tmp_path, target, generator):
    began = host_clock.now_ns()
    with Broker("--threads", "1", "--pool", "fixed", "--initial", 100, "--record", tmp_path / "broker", prefix=target) as broker, \
            load(tmp_path / "run", "soak", broker.port, "--connections", 20, "--churn-rate", 5, "--pairs", 2, "--publish-rate", 50,
                 "--settle", 0, "--duration", "3s", "--watch-pid", broker.pid, "--watch-record", tmp_path / "broker", prefix=generator) as run:
        assert run.end() == 0
        assert not run.anomaly("pools") and run.metric("soak.pool_fullness") > 20
        assert in_use_since(tmp_path / "broker/pools.csv", began)[0]
        assert not in_use_since(tmp_path / "broker/pools.csv", host_clock.now_ns() + 60_000_000_000)[0]


def test_latencies_in_a_namespace_are_those_of_the_host(tmp_path):
    """Waits of the kernel are by the namespace's clock: an error of an hour would be a run that hangs, or one that never waits."""
    for engine in ("paho", "raw"):
        with Broker("--threads", "1", prefix=BACK) as broker, \
                load(tmp_path / engine, "publish", broker.port, "--pairs", 5, "--publish-rate", 200, "--duration", "2s", "--warmup", 0,
                     "--watch-pid", broker.pid, engine=engine, prefix=APART) as run:
            assert run.end() == 0
        assert run.metric("messages.received") > 300 and run.metric("delivery.max") < 10e9 and run.metric("schedule.lag_max") < 10e9
        times = [row["at_ns"] for row in read_csv(tmp_path / engine / "memory.csv", ("phase",))]
        assert 2e9 < times[-1] - times[0] and abs(times[-1] - host_clock.now_ns()) < 120e9
