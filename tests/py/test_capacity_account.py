# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity --connections ... : memory computed by account, and the limits that a host sets."""
import pytest
from capacity_made import COUNTS, HOST, ROOT, answer, figure, limit, load_cell, made, metric
from poolmark.base.errors import UsageError
from poolmark.model import by_account, host_limits, needs_told
from poolmark.records import read_record

# --- by account


def lean_run(folder, strategy="malloc", reserve=0.0):
    """The broker's own objects: 144 B in the pools and 100 B beside."""
    held = sum(size for _, size in by_account.held_by("lean").values())
    cell = load_cell(1, strategy=strategy, shape="lean", noise=0)
    for count in COUNTS:
        owned = round(count * (1 + reserve))
        cell["metrics"][f"step.{count}.user_bytes"] = metric(4e6 + 100 * count + held * owned, "B")
        for pool, (_, size) in by_account.held_by("lean").items():
            cell["metrics"] |= {f"step.{count}.{pool}.{what}": metric(value, "1") for what, value in
                                (("object_bytes", size), ("owned", owned), ("in_use", count))}
    return made(folder, "steps", [cell])


def test_a_shape_that_was_not_measured_is_computed_and_marked(tmp_path):
    facts = answer([lean_run(tmp_path)], connections=100_000, what_if={"shape": "classic"})
    for told in (needs_told.text(facts), needs_told.markdown(facts), facts["paragraph"]):
        assert "shape lean; memory computed for shape classic, strategy " in told
    found = figure(facts, "memory of the server")
    assert found["value"] == pytest.approx(4e6 + 100_000 * (100 + 3_072 + 2 * 4_096 + 6_144), rel=0.005)
    assert found["known"] == "computed" and found["low"] is None and "by account" in found["basis"]
    assert limit(facts, "memory")["known"] == "computed" and figure(facts, "hosts")["known"] == "computed"


def test_bytes_of_another_server_take_the_place_of_the_shape(tmp_path):
    facts = answer([lean_run(tmp_path)], connections=300_000, each_bytes=15_000, each_text="15k")
    assert figure(facts, "memory of the server")["value"] == pytest.approx(4e6 + 300_000 * 15_000, rel=0.005)
    assert "15k is 15 000 B" in facts["paragraph"] and "15k is 15 000 B" in needs_told.text(facts)


def test_the_reserve_of_a_strategy_is_by_its_rule_or_as_measured(tmp_path):
    plain = figure(answer([lean_run(tmp_path / "a")], connections=100_000, each_bytes=10_000), "memory of the server")["value"]
    grown = figure(answer([lean_run(tmp_path / "b")], connections=100_000, each_bytes=10_000, what_if={"strategy": "expand"}), "memory of the server")["value"]
    assert 1.2 < grown / plain < 1.9
    slab = figure(answer([lean_run(tmp_path / "c", "slab", 0.15)], connections=100_000, each_bytes=10_000), "memory of the server")["value"]
    assert slab == pytest.approx(4e6 + 100_000 * 11_500, rel=0.01)
    with pytest.raises(UsageError, match="no run here has measured it"):
        answer([lean_run(tmp_path / "d")], connections=5, what_if={"strategy": "slab"})


def test_by_account_against_what_the_quick_suite_measured():
    """From lean cells to shape classic. What depends on a reserve is known less well: docs/capacity.md says how well."""
    million, quick = (read_record.load(ROOT / "results/reference" / name) for name in ("million", "quick"))
    cells = {cell["config"]["strategy"]: cell["metrics"]["memory.full_bytes"]["value"] for cell in quick.data["cells"]}
    for strategy, most in (("malloc", 0.01), ("sync", 0.01), ("fixed", 0.01), ("expand", 0.15), ("slab", 0.15)):
        facts = answer([million], True, connections=10_000, what_if={"shape": "classic", "strategy": strategy})
        assert figure(facts, "memory of the server")["value"] == pytest.approx(cells[strategy], rel=most), strategy


# --- limits of a host


def test_each_limit_has_its_arithmetic_and_what_mends_it():
    found = {one.name: one for one in host_limits.settings(HOST, None, 3, 300_000)}
    assert found["descriptors of a process"].carries == 20_000 - 512 and "16 processes" in found["descriptors of a process"].arithmetic
    assert "LimitNOFILE=1048576" in found["descriptors of a process"].mend
    assert found["open files of the host"].carries == 1_590_000 and found["open files of the host"].mend == "-"
    assert found["ports of the clients"].carries == 3 * 28_232 and "ip_local_port_range" in found["ports of the clients"].mend
    assert found["TCP memory (tcp_mem)"].carries == (360_000 - 16_384) * 10
    assert host_limits.first_of(list(found.values())).name == "descriptors of a process"
    halved = {one.name: one for one in host_limits.settings(HOST, 8 << 30, None, 1_000_000)}
    assert halved["open files of the host"].carries == 790_000 and "fs.file-max=1010000" in halved["open files of the host"].mend
    assert halved["ports of the clients"].share is None


def test_a_host_whose_limits_are_not_recorded_says_so():
    assert all(one.carries is None and "is not in the record" in one.arithmetic for one in host_limits.settings({}, None, None, 5))
    assert all(one.carries is None for one in host_limits.settings({"limits": {"nofile_hard": "x", "file_max": -1, "port_range": [1], "tcp_mem_pages": 3}},
                                                                   None, None, 5))
