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
