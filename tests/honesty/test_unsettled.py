# SPDX-License-Identifier: Apache-2.0
"""A target whose memory still moves when the time to become level is over, or is high for a moment between two readings."""
from faults import Broker, load
from others import is_verified

from poolmark.records import read_record
from poolmark.report import report_text
from poolmark.report.source import Source
from poolmark.verify import recompute
from test_lost_meanwhile import fickle
from test_soak import leaking

CONNECT = ("--connections", 120, "--settle", "600ms")


def test_memory_that_still_moves_at_the_reading_is_said_to(tmp_path):
    with Broker() as broker, leaking(broker.port) as (pid, port), load(tmp_path / "run", "connect", port, *CONNECT, "--watch-pid", pid) as run:
        assert run.end() == 0, run.said()
        told = run.anomaly("unsettled")
        assert 'after "connect" the target\'s memory was not level within 600 ms' in told and "it moved by +" in told
        metrics = run.record["metrics"]
        assert metrics["memory.full_bytes"]["doubt"] == "unsettled" and "doubt" not in metrics["memory.start_bytes"] and "doubt" not in metrics["connect.p99"]
        assert is_verified(run.folder)[0]
        run_of = read_record.load(run.folder)
        text = report_text.tables(Source([run_of]), run_of)[0]
        assert next(value.text for name, value in text.rows if name.text == "memory.full_bytes").endswith(" ?")
        del run_of.data["metrics"]["memory.full_bytes"]["doubt"]
        assert any("memory.full_bytes: by an anomaly 'unsettled'" in one for one in recompute.again(run_of).wrong)


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
        missed = "between two of them" in run.anomaly("peak_missed").lower()
        assert missed or peak > 64 << 20
        assert (run.record["metrics"]["memory.peak_bytes"].get("doubt") == "peak_missed") == missed
        assert is_verified(run.folder)[0]
