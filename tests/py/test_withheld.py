# SPDX-License-Identifier: Apache-2.0
"""Anomalies that withhold figures: generator, verify and the document have one table."""
import re
from pathlib import Path

import pytest

from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.verify import withheld

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()


def test_verify_withholds_what_the_generator_does():
    told = described.loadgen(BUILD)["withheld"]
    assert {what: tuple(starts) for what, starts in told.items()} == withheld.WITHHELD
    assert set(withheld.NO_FORECAST) <= set(told)


def test_every_such_anomaly_is_explained():
    text = (ROOT / "results/README.md").read_text(encoding="utf-8")
    table = text[text.index("| anomaly | meaning |"):].split("\n\n")[0]
    assert set(withheld.WITHHELD) <= set(re.findall(r"`(\w+)`", table))


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
