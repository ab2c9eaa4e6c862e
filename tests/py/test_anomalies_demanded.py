# SPDX-License-Identifier: Apache-2.0
"""Anomalies that a record must have by its own figures (poolmark/verify/anomalies.py)."""
import pytest

from poolmark.verify import anomalies


def record(scenario="connect", told=(), version="0.9.0", status="complete", config=None, books=None, **metrics):
    return {"kind": "load", "status": status, "tool": {"version": version}, "config": {"scenario": scenario, **(config or {})},
            "books": books or {}, "anomalies": [{"what": one, "text": "x"} for one in told],
            "metrics": {name.replace("__", "."): {"value": value, "unit": "1", "better": "none"} for name, value in metrics.items()}}


@pytest.mark.parametrize("metrics, anomaly", [
    ({"arrivals__failed": 13}, "away"), ({"schedule__lag_p99": 1_500_000}, "late"),
    ({"schedule__lag_p99": None, "schedule__lag_max": 2_000_000}, "late"), ({"network__listen_drops": 77, "connect_uncorrected__max": 2e8}, "accept_queue"),
    ({"network__listen_overflows": 77, "network__syn_retransmits": 4, "arrival_uncorrected__max": 1e9}, "accept_queue"),
    ({"network__syn_retransmits": 4, "connect_uncorrected__max": 1.04e9}, "retransmits"),
    ({"clients__dropped": 1}, "dropped"), ({"generator__throttled_ns": 5}, "throttled"), ({"slow__closed": 2}, "slow_closed")])
def test_a_figure_demands_its_anomaly(metrics, anomaly):
    wrong = anomalies.missing(record(**metrics))
    assert len(wrong) == 1 and f"an anomaly '{anomaly}'" in wrong[0]
    assert anomalies.missing(record(told=[anomaly], **metrics)) == [] == anomalies.missing(record(told=["many"], **metrics))
    assert anomalies.missing(record(status="running", **metrics)) == [] == anomalies.missing(record(version="0.1.0", **metrics))


def test_a_load_on_purpose_demands_its_anomaly():
    wrong = anomalies.missing(record(config={"beside": "the attack fan-out"}))
    assert len(wrong) == 1 and "an anomaly 'beside'" in wrong[0]
    assert anomalies.missing(record(config={"beside": "the attack fan-out"}, told=["beside"])) == []


def test_times_in_which_the_target_stood_still_demand_theirs():
    stops = {"target_stops": [{"pid": 1, "kind": "frozen", "looks": 3, "of_looks": 9, "ns": 3, "longest_ns": 3, "longest_from_ns": 1}]}
    wrong = anomalies.missing(record() | stops)
    assert len(wrong) == 1 and "an anomaly 'target_stopped'" in wrong[0]
    assert anomalies.missing(record(told=["target_stopped"]) | stops) == []


def test_figures_within_bounds_demand_none():
    quiet = {"schedule__lag_p99": 900_000, "schedule__lag_max": 9_000_000, "arrivals__failed": 0, "network__listen_drops": 0}
    assert anomalies.missing(record(**quiet)) == []
    others = {"network__listen_overflows": 77, "network__syn_retransmits": 10, "connect_uncorrected__max": 33_000_000}
    assert anomalies.missing(record(**others)) == []    # of others: no connect of this run waited for a packet that comes again
    assert anomalies.missing(record("soak", messages__lost=3)) == []
    assert "messages.lost is 3" in anomalies.missing(record("publish", messages__lost=3))[0]


@pytest.mark.parametrize("scenario, config, attempted", [
    ("connect", {"connections": 2000}, 2000), ("burst", {"connections": 16000, "burst": 12000}, 4000),
    ("steps", {"connections": 1_000_000, "probes": 100}, 1_000_100)])
def test_connections_are_those_of_the_books(scenario, config, attempted):
    books = {"connects": {"attempted": attempted}}
    assert anomalies.other_size(record(scenario, config=config, books=books)) == []
    wrong = anomalies.other_size(record(scenario, config={**config, "connections": config["connections"] - 1000}, books=books))
    assert len(wrong) == 1 and wrong[0].startswith("config.connections")


def test_an_anomaly_of_a_phase_is_one_of_its_cell():
    load = {"anomalies": [{"what": "late", "text": "by 2 ms"}]}
    cell = {"id": "a.1", "anomalies": [{"what": "late", "text": "qos0: by 2 ms"}]}
    assert anomalies.missing_in_cell(cell, {"name": "qos0"}, load) == []
    assert "'late', and the cell does not" in anomalies.missing_in_cell(cell | {"anomalies": []}, {"name": "qos0"}, load)[0]
