# SPDX-License-Identifier: Apache-2.0
"""Figures from the kernel's counters at the start and at the end of a load, made again."""
import pytest

from poolmark.verify import kernel_counts, withheld


def record(**parts):
    return {"surroundings": {name: {"start": start, "end": end} for name, (start, end) in parts.items()}}


@pytest.mark.parametrize("parts, figures", [
    ({"network": ({"tcp_timeouts": 5}, {"tcp_timeouts": 9})}, {"network.tcp_timeouts": [4]}),
    ({"network": ({"tcp_timeouts": 5}, {"tcp_timeouts": 9}), "target_network": ({"tcp_timeouts": 1}, {"tcp_timeouts": 8})},
     {"network.tcp_timeouts": [11]}),
    # The target had ended, and with it its namespace: the rest is not the sum.
    ({"network": ({"tcp_timeouts": 5}, {"tcp_timeouts": 9}), "target_network": ({"tcp_timeouts": 1}, {"tcp_timeouts": None})},
     {"network.tcp_timeouts": [None]}),
    ({"network": ({"tcp_timeouts": 9}, {"tcp_timeouts": 5})}, {"network.tcp_timeouts": [None]}),    # it began anew
    ({"generator": ({"throttled_ns": 7}, {"throttled_ns": 7}), "target": ({"throttled_ns": None}, {"throttled_ns": 3})},
     {"generator.throttled_ns": [0], "cpu.throttled_ns": [None]})])
def test_a_figure_is_the_growth_where_both_readings_are_known(parts, figures):
    assert kernel_counts.figures(record(**parts)) == figures


def test_a_record_from_before_the_counters_has_none():
    assert kernel_counts.figures({}) == {}


PASSED = {"what": "other_connections", "text": f"3 {withheld.PASSING}, while connections of this run ended too: what they carried is not known"}


def test_a_doubt_stands_where_an_anomaly_demands_it_and_nowhere_else():
    def made(doubt, anomalies):
        metric = {"value": 7.0, "unit": "ns", "better": "lower"} | ({"doubt": "other_connections"} if doubt else {})
        return {"config": {"scenario": "churn"}, "metrics": {"cpu.per_arrival_ns": metric}, "anomalies": anomalies, "surroundings": {}}

    assert withheld.wrong_doubts(made(True, [PASSED])) == withheld.wrong_doubts(made(False, [])) == []
    assert "it has no doubt" in withheld.wrong_doubts(made(False, [PASSED]))[0]
    assert "no anomaly says why" in withheld.wrong_doubts(made(True, []))[0]
    unheard = {"what": "other_connections", "text": f"1 connection of others {withheld.UNHEARD}"}
    assert withheld.wrong_doubts(made(False, [unheard])) == []
    marked = unheard | {"text": f"{unheard['text']}; {withheld.MARKED}"}
    assert withheld.wrong_doubts(made(True, [marked])) == [] != withheld.wrong_doubts(made(False, [marked]))
    older = made(False, [PASSED])
    del older["surroundings"]
    assert withheld.wrong_doubts(older) == []
