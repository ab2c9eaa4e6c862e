# SPDX-License-Identifier: Apache-2.0
"""A target whose memory still moves when the time to become level is over, or is high for a moment between two readings."""
from faults import Broker, load
from others import is_verified
from test_lost_meanwhile import fickle
from test_soak import leaking

CONNECT = ("--connections", 120, "--settle", "600ms")


def test_memory_that_still_moves_at_the_reading_is_said_to(tmp_path):
    with Broker() as broker, leaking(broker.port) as (pid, port), load(tmp_path / "run", "connect", port, *CONNECT, "--watch-pid", pid) as run:
        assert run.end() == 0, run.said()
        told = run.anomaly("unsettled")
        assert 'after "connect" the target\'s memory was not level within 600 ms' in told and "it moved by +" in told
        assert is_verified(run.folder)[0]


def test_a_target_at_rest_is_not_said_to_move_however_short_the_time(tmp_path):
    with Broker() as broker, load(tmp_path / "run", "connect", broker.port, *CONNECT, "--watch-pid", broker.pid) as run:
        assert run.end() == 0, run.said()
        assert run.anomaly("unsettled") == ""


def test_memory_that_is_high_between_two_readings_is_told(tmp_path):
    """64 MiB for 50 ms, while clients come back; where a reading meets it, it is the peak."""
    with fickle("spike") as (pid, port), load(tmp_path / "run", "storm", port, "--by-client", "--connections", 4, "--settle", "600ms", "--watch-pid",
                                              pid) as run:
        assert run.end() == 0, run.said()
        peak = run.metric("memory.peak_bytes")
        assert peak > 64 << 20 or "between two of them" in run.anomaly("peak_missed").lower()
        assert is_verified(run.folder)[0]
