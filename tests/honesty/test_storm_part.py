# SPDX-License-Identifier: Apache-2.0
"""A storm in which only one of two targets goes away and comes back."""
from faults import Broker, load


def test_a_storm_of_a_part_of_the_connections_is_said_to_be_one(tmp_path):
    with Broker() as stays:
        with Broker() as goes, \
                load(tmp_path / "run", "storm", stays.port, "--target", f"mqtt://127.0.0.1:{goes.port}", "--connections", 20, "--await", "3s", "--backoff",
                     "20ms", "--settle", 0) as run:
            run.wait_for("storm ")
            port = goes.port
            goes.__exit__()
            with Broker(listen=f"127.0.0.1:{port}"):
                assert run.end() == 0, run.said()
    told = run.anomaly("partial_storm")
    assert told.startswith("10 connections were lost within --await, of 20 that were there") and "one of several targets" in told
    assert run.metric("arrivals.count") == 10
