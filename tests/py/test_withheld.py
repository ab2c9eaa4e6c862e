# SPDX-License-Identifier: Apache-2.0
"""Anomalies that withhold figures: generator, verify and the document have one table."""
import re
from pathlib import Path

import pytest

from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.model import steps
from poolmark.verify import withheld

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
