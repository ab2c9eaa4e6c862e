# SPDX-License-Identifier: Apache-2.0
"""Anomalies that withhold figures: generator, verify and the document have one table."""
import re
from pathlib import Path

import pytest

from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.model import steps
from poolmark.verify import inside, recompute, withheld

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()


def test_verify_withholds_what_the_generator_does():
    told = described.loadgen(BUILD)["withheld"]
    assert {what: tuple(starts) for what, starts in told.items()} == withheld.WITHHELD


def test_every_such_anomaly_is_explained():
    text = (ROOT / "results/README.md").read_text(encoding="utf-8")
    table = text[text.index("| anomaly | meaning |"):].split("\n\n")[0]
    assert set(withheld.WITHHELD) <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("what, parts", [("other_clients", {"user", "kernel"}), ("beside", {"user", "kernel"}), ("failed_share", {"user", "kernel"}), ("kernel_noise", {"kernel"}),
                                         ("served_before", {"user"}), ("not_the_target", {"user"}), ("target_busy", set()), ("late", set())])
def test_a_forecast_has_no_part_whose_figure_is_withheld(what, parts):
    """capacity printed kernel memory of which the record's anomaly other_clients said that it has no figure."""
    assert withheld.no_figures([{"what": what, "text": "why"}]) == dict.fromkeys(parts, "why")


def test_the_anomaly_of_another_phase_withholds_nothing_of_the_steps():
    cell = {"phases": [{"name": "steps", "scenario": "steps"}, {"name": "qos0", "scenario": "publish"}],
            "anomalies": [{"what": "served_before", "text": "qos0: the target served before"}, {"what": "kernel_noise", "text": "steps: other sockets"}]}
    assert withheld.no_figures(steps.of_steps(cell)) == {"kernel": "steps: other sockets"}
    assert steps.of_steps({"anomalies": cell["anomalies"]}) == cell["anomalies"]


@pytest.mark.parametrize("what", withheld.WITHHELD)
def test_a_record_with_the_anomaly_withholds_its_figures_and_no_others(what):
    starts = withheld.withheld({"anomalies": [{"what": what, "text": ""}, {"what": "late", "text": ""}]})
    assert starts == withheld.WITHHELD[what]
    for name in ("cpu.throttled_ns", "cpu.idle_share", "connect.p99", "kernel.page_table_growth_bytes", "clients.failed"):
        assert not name.startswith(starts)


def test_what_refused_clients_cost_is_withheld_of_every_act():
    starts = withheld.withheld({"anomalies": [{"what": "failed_share"}]})
    for act in ("connection", "arrival", "message", "delivery"):
        assert f"cpu.per_{act}_ns".startswith(starts)


def test_figures_of_parts_of_a_run_are_withheld_by_its_own_list():
    record = {"anomalies": [{"what": "other_clients", "text": "phase day: ..."}],
              "summary": {"withheld": {"other_clients": ["phase.day.cpu_seconds", "boards.day.delivery"], "foreign": ["boards.night.delivery"]}}}
    told = withheld.Withheld(record)
    assert all(told.has(name) for name in ("phase.day.cpu_seconds", "boards.day.delivery.p99", "memory.after_bytes"))
    assert not any(told.has(name) for name in ("phase.night.cpu_seconds", "boards.day.delivery.count", "boards.day.delivery.censored"))
    assert not told.has("boards.night.delivery.p99")    # the record has no such anomaly


@pytest.mark.parametrize("parts", [None, [], {"other_clients": None}, {"other_clients": [None, 1]}, "other_clients"])
def test_a_list_of_another_kind_withholds_nothing(parts):
    assert withheld.of_parts({"anomalies": [{"what": "other_clients", "text": ""}], "summary": {"withheld": parts}}) == ()


@pytest.mark.parametrize("metric, what", [({"value": None, "why": "see the anomaly foreign"}, "foreign"), ({"value": 1.0}, ""), (None, ""),
                                          ({"value": None, "why": "of 3 samples: it takes 100"}, "")])
def test_a_metric_without_a_value_may_name_the_anomaly(metric, what):
    assert withheld.reason_of(metric) == what


def made(value, better="lower"):
    return {"value": value, "unit": "1", "better": better}


COUNTED = {"what": "other_clients", "text": "counted by the target itself: 3 connections opened, 2 at most of this run's clients."}


def test_a_cell_whose_target_others_used_has_no_figure_of_the_target():
    names = {"step.100.user_bytes": None, "step.100.kernel_bytes": None, "step.100.connections.owned": None, "step.100.cpu_per_connection_ns": None,
             "step.100.took_ns": "doubt", "step.100.connect.p99": "doubt", "memory.full_bytes": None, "pool.hit_rate": None,
             "qos0.cpu.per_message_ns": None, "qos0.delivery.p99": "doubt", "generator.busiest_ran": "value", "broker.memory_bound_bytes": "value"}
    cell = {"id": "x.1", "phases": [{"name": "qos0", "prefix": "qos0."}], "anomalies": [COUNTED],
            "metrics": {name: made(1.0, "none" if what == "value" else "lower") for name, what in names.items()} | {"not.known": made(None)}}
    withheld.in_cell(cell)
    for name, what in names.items():
        assert (cell["metrics"][name]["value"] is None) == (what is None) and ("doubt" in cell["metrics"][name]) == (what == "doubt"), name
    assert cell["metrics"]["not.known"] == made(None)
    assert withheld.reasons(cell, "pool.hit_rate") == withheld.reasons(cell, "qos0.delivery.p99") == {"other_clients": COUNTED["text"]}
    assert withheld.reasons(cell, "generator.busiest_ran") == {}


def test_figures_of_a_target_that_stood_still_have_a_doubt_and_sizes_have_none():
    units = {"delivery.p99": "ns", "messages.rate": "1/s", "messages.lost": "1", "memory.full_bytes": "B", "soak.memory_slope": "B/h"}
    record = {"anomalies": [{"what": "target_stopped", "text": "it was"}], "metrics": {name: made(1.0) | {"unit": unit} for name, unit in units.items()}}
    assert [text.partition(":")[0] for text in withheld.wrong_doubts(record)] == ["delivery.p99", "messages.rate", "messages.lost"]
    for one in record["metrics"].values():
        one["doubt"] = "target_stopped"
    assert [text.partition(":")[0] for text in withheld.wrong_doubts(record)] == ["memory.full_bytes", "soak.memory_slope"]
    record["anomalies"] = []
    assert len(withheld.wrong_doubts(record)) == len(units)


def test_figures_of_a_generator_that_did_not_read_in_time_have_a_doubt():
    units = {"delivery.p99": "ns", "g.day.delivery.p99": "ns", "messages.lost": "1", "messages.rate": "1/s", "connect.p99": "ns", "cpu.per_delivery_ns": "ns"}
    record = {"anomalies": [{"what": "late_receiver", "text": "it was"}], "metrics": {name: made(1.0) | {"unit": unit} for name, unit in units.items()}}
    assert [text.partition(":")[0] for text in withheld.wrong_doubts(record)] == ["delivery.p99", "g.day.delivery.p99", "messages.lost"]
    for one in record["metrics"].values():
        one["doubt"] = "late_receiver"
    assert [text.partition(":")[0] for text in withheld.wrong_doubts(record)] == ["messages.rate", "connect.p99", "cpu.per_delivery_ns"]


def test_others_that_only_a_generator_saw_are_its_own_records_matter():
    """Its record has withheld what they cost; the brokers' counters, where there are any, have them too."""
    cell = {"id": "x.1", "anomalies": [{"what": "other_clients", "text": "connect: memory has no figure"}], "metrics": {"connect.p99": made(1.0)}}
    withheld.in_cell(cell)
    assert cell["metrics"] == {"connect.p99": made(1.0)}


@pytest.mark.parametrize("what, found", [(None, 1), ("swapped", 0), ("swap_not_counted", 0), ("late", 1)])
def test_swapped_memory_that_no_anomaly_tells_of_is_found(tmp_path, what, found):
    path = tmp_path / "memory.csv"
    path.write_text("at_ns,phase,connections,target_rss_bytes,target_pss_bytes,kernel_slab_bytes,target_swap_bytes\n"
                    "1,start,0,1000,1000,,0\n2,hold,10,900,900,,400\n", encoding="utf-8")
    record = {"readings": {"start": 1, "full": 2}, "metrics": {"memory.full_bytes": {"value": 1300}},
              "anomalies": [{"what": what, "text": ""}] if what else []}
    assert len(inside.swap_complaints(path, record)) == found
    path.write_text(path.read_text(encoding="utf-8").replace(",400", ",0"), encoding="utf-8")
    assert not inside.swap_complaints(path, record)
