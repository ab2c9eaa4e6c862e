# SPDX-License-Identifier: Apache-2.0
"""Figures without a second source: what other figures and files leave room for, and what not."""
import pytest

from poolmark.records.read_record import Run
from poolmark.verify import bounds

POOLS = "at_ns,pool,strategy,object_bytes,in_use,bytes_owned\n1,connections,slab,1000,0,50000\n2,connections,slab,1000,10000,20000000\n"


def broker(folder, value, **more):
    (folder / "broker").mkdir(exist_ok=True)
    (folder / "broker/pools.csv").write_text(POOLS, encoding="utf-8")
    metrics = {name: {"value": one, "unit": "B", "better": "none"} for name, one in value.items()}
    data = {"id": "broker-x", "kind": "broker", "status": "complete", "metrics": metrics, "config": {"memory_limit_bytes": 1 << 30}, "books": {},
            "host": {"memory_bytes": 8 << 30}, "started_utc": "2026-01-01T00:00:00Z", "ended_utc": "2026-01-01T00:01:00Z",
            "counters": {"long_turns": 0, "accepted": 5}} | more
    return Run(folder / "broker", data)


def told(run, name, latencies=None):
    found = bounds.of_broker(run) if run.data["kind"] == "broker" else bounds.of_load(run, latencies or {})
    return found[name].told(run.data["metrics"][name]["value"])


@pytest.mark.parametrize("peak, good", [(10_000_000, True), (9_000_000, False), (1 << 30, True), (2 << 30, False)])
def test_a_peak_is_between_what_connections_held_and_the_bound(tmp_path, peak, good):
    run = broker(tmp_path, {"broker.memory_peak_bytes": peak, "broker.memory_bound_bytes": (1 << 30) + (8 << 20)})
    assert (told(run, "broker.memory_peak_bytes") == "") is good


def test_a_reserve_that_was_there_before_may_be_beyond_the_bound(tmp_path):
    run = broker(tmp_path, {"broker.memory_peak_bytes": 1 << 40, "broker.memory_bound_bytes": 1000})
    assert told(run, "broker.memory_peak_bytes") == ""


def test_the_bound_is_what_the_broker_printed(tmp_path):
    run = broker(tmp_path, {"broker.memory_bound_bytes": 1_082_130_432})
    assert told(run, "broker.memory_bound_bytes") == ""         # the limit and 8 MiB
    (tmp_path / "broker.log").write_text("poolmark-broker: memory is bounded by 1.01 GiB: 1.00 GiB for clients (--memory-limit)\n", encoding="utf-8")
    assert told(run, "broker.memory_bound_bytes") == ""
    run.data["metrics"]["broker.memory_bound_bytes"]["value"] = 1_182_130_432
    assert "the broker printed 1.01 GiB (broker.log)" in told(run, "broker.memory_bound_bytes")
    assert told(broker(tmp_path, {"broker.memory_bound_bytes": None}), "broker.memory_bound_bytes") == ""


@pytest.mark.parametrize("turns, longest, good", [(0, 9_000_000, True), (0, 11_000_000, False), (2, 11_000_000, True), (2, 9_000_000, False), (2, 63e9, False)])
def test_the_longest_turn_and_the_number_of_long_ones_belong_together(tmp_path, turns, longest, good):
    run = broker(tmp_path, {"broker.longest_turn_ns": longest}, counters={"long_turns": turns})
    assert (told(run, "broker.longest_turn_ns") == "") is good


def test_without_a_limit_nothing_was_refused(tmp_path):
    assert told(broker(tmp_path, {"broker.memory_refused": 3}), "broker.memory_refused") == ""
    assert "no --memory-limit" in told(broker(tmp_path, {"broker.memory_refused": 3}, config={"memory_limit_bytes": 0}), "broker.memory_refused")


def load(folder, value, anomalies=(), status="complete"):
    (folder / "memory.csv").write_text("at_ns,phase,target_cpu_ns\n1,start,0\n2,end,100000000\n", encoding="utf-8")
    metrics = {name: {"value": one, "unit": "1", "better": "none"} for name, one in value.items()}
    return Run(folder, {"id": "load-x", "kind": "load", "status": status, "metrics": metrics, "config": {"payload_bytes": 64}, "host": {"cores": 4},
                        "books": {"connects": {"attempted": 10}, "arrivals": {"attempted": 5}}, "anomalies": [{"what": what} for what in anomalies]})


CARRIED = {"clients.connected": 10, "messages.sent": 100, "messages.received": 100}


@pytest.mark.parametrize("name, value, good", [
    ("network.ports_passed_over", 240, True), ("network.ports_passed_over", 241, False), ("cpu.idle_share", 0.6, True), ("cpu.idle_share", 0.7, False),
    ("clients.bytes_sent", 7040, True), ("clients.bytes_sent", 7039, False), ("clients.bytes_received", 6940, True), ("clients.bytes_received", 6939, False),
    ("generator.busiest_ran", 1.0, True), ("generator.busiest_ran", 1.2, False)])
def test_figures_of_a_load(tmp_path, name, value, good):
    assert (told(load(tmp_path, CARRIED | {name: value}), name) == "") is good
    if name.startswith("clients."):     # what was handed to the engine of a run that broke may not have gone out
        assert told(load(tmp_path, CARRIED | {name: value}, status="incomplete"), name) == ""


def test_a_target_that_is_called_busy_was(tmp_path):
    assert "at least 0.005" in told(load(tmp_path, {"cpu.idle_share": 0.001}, ["target_busy"]), "cpu.idle_share")


@pytest.mark.parametrize("whole, samples, good", [(5, 9, True), (2, 9, False), (None, 9, True), (None, 2, False)])
def test_no_more_acts_are_censored_than_did_not_end(tmp_path, whole, samples, good):
    run = load(tmp_path, {"ack_uncorrected.censored": 3, "ack.censored": whole})
    assert (told(run, "ack_uncorrected.censored", {"ack_uncorrected.count": samples}) == "") is good
