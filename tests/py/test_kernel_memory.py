# SPDX-License-Identifier: Apache-2.0
"""Kernel memory is freed between cells, or the record says that this was not permitted."""
import os

import pytest

from poolmark.facts import kernel_memory
from poolmark.run import suite
from poolmark.records.record import Record


def caches(folder, names=("TCP", "dentry")):
    for name in names:
        (folder / "slab" / name).mkdir(parents=True)
        (folder / "slab" / name / "shrink").touch()
    (folder / "drop_caches").touch()
    return folder / "drop_caches", folder / "slab"


def test_names_and_inodes_first_then_each_slab(tmp_path):
    switch, slabs = caches(tmp_path)
    assert kernel_memory.drop_caches(switch, slabs)
    assert switch.read_text() == "2\n"
    assert [(slabs / name / "shrink").read_text() for name in ("TCP", "dentry")] == ["1\n", "1\n"]


def test_a_switch_that_is_not_there_is_no_error(tmp_path):
    assert not kernel_memory.drop_caches(tmp_path / "none", tmp_path)


def test_a_slab_that_refuses_is_no_error(tmp_path):
    switch, slabs = caches(tmp_path)
    os.remove(slabs / "TCP" / "shrink")
    (slabs / "TCP" / "shrink").mkdir()
    assert not kernel_memory.drop_caches(switch, slabs)


class Asked:
    drop_caches = True


@pytest.mark.parametrize("allowed", [True, False])
def test_the_record_says_once_that_it_was_not_allowed(tmp_path, monkeypatch, allowed):
    settled = []
    monkeypatch.setattr(suite, "drop_caches", lambda: allowed)
    monkeypatch.setattr(suite, "settle", settled.append)
    record = Record.create("suite", suite="x", folder=tmp_path / "run", seed=1, config={})
    for connections in (1000, 1_000_000, 1_000_000):
        suite.fresh_kernel(Asked, record, connections)
    assert [anomaly["what"] for anomaly in record.data["anomalies"]] == ([] if allowed else ["caches"])
    assert len(settled) == (5 if allowed else 3)
