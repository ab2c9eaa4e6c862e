# SPDX-License-Identifier: Apache-2.0
"""Kernel memory of a connection: caches are told apart also when the kernel has merged them, and figures follow from the raw files."""
import argparse
import json
import os

import pytest

from poolmark.account import kernel, slabs, states
from poolmark.base.errors import UsageError
from poolmark.records.read_record import load
from poolmark.records.record import Record, files_of, seal
from poolmark.verify.verify import complaints

HEAD = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n"
BEFORE = HEAD + "TCP 10 13 2368 13 8 : tunables 0 0 0\nanon_vma_chain 100 128 64 64 1 : t\nmaple_node 5 16 256 16 1 : t\n"
AFTER = HEAD + "TCP 2010 2015 2368 13 8 : tunables 0 0 0\nanon_vma_chain 1100 1152 64 64 1 : t\nmaple_node 15 16 256 16 1 : t\n"
GROUPS = {name: frozenset(("anon_vma_chain", "eventpoll_pwq")) for name in ("anon_vma_chain", "eventpoll_pwq")}
SOCKSTAT = "sockets: used 70\nTCP: inuse 5 orphan 0 tw 3 alloc 9 mem {}\n"
readable = pytest.mark.skipif(not os.access(slabs.SLABINFO, os.R_OK), reason="the kernel shows its caches to root only")


def test_a_merged_cache_is_known_by_any_of_its_names():
    assert slabs.part_of("TCP", GROUPS) == "socket" and slabs.part_of("maple_node", GROUPS) == "other"
    assert slabs.part_of("anon_vma_chain", GROUPS) == "epoll" and slabs.part_of("anon_vma_chain", {}) == "other"


def test_an_object_costs_its_share_of_a_slab():
    grown = slabs.growth(slabs.parse(BEFORE), slabs.parse(AFTER), GROUPS)
    assert grown["socket"] == pytest.approx(2000 * 8 * slabs.PAGE_BYTES / 13)
    assert grown["epoll"] == pytest.approx(1000 * slabs.PAGE_BYTES / 64)
    assert grown["other"] == pytest.approx(10 * slabs.PAGE_BYTES / 16) and grown["file"] == 0


def test_links_of_one_group_are_found(tmp_path):
    (tmp_path / ":A-64").mkdir()
    for name in ("eventpoll_pwq", "anon_vma_chain"):
        (tmp_path / name).symlink_to(":A-64")
    (tmp_path / "TCP").mkdir()
    assert slabs.merged(tmp_path) == GROUPS and slabs.merged(tmp_path / "none") == {}


def test_figures_follow_from_the_raw_files(tmp_path):
    for name, content in (("before.slabinfo", BEFORE), ("after.slabinfo", AFTER), ("before.sockstat", SOCKSTAT.format(2)),
                          ("after.sockstat", SOCKSTAT.format(1002)),
                          (kernel.GROUPS, json.dumps({name: sorted(names) for name, names in GROUPS.items()}))):
        (tmp_path / name).write_text(content)
    made = kernel.of_cell(tmp_path, 1000)
    assert made["kernel.accounted_bytes"]["value"] == slabs.PAGE_BYTES
    assert made["kernel.connection_bytes"]["value"] == pytest.approx(2 * 8 * slabs.PAGE_BYTES / 13 + slabs.PAGE_BYTES / 64)


def test_caches_that_may_not_be_read_are_a_reason(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory: the kernel shows its caches to root only"):
        slabs.read(tmp_path / "none")


def test_more_connections_than_descriptors_are_refused():
    with pytest.raises(UsageError, match="take 20000064 descriptors, and a process may have"):
        kernel.check_room(10_000_000)


def test_what_leaves_time_wait_behind_comes_last_and_once():
    order = [(number, state.name) for number, state in kernel.turns(kernel.chosen(["close-wait", "idle", "time-wait"]), 2)]
    assert order == [(1, "idle"), (2, "idle"), (1, "close-wait"), (1, "time-wait")]


def test_every_option_is_compared_with_a_state_that_is_measured():
    names = [state.name for state in states.STATES]
    assert len(set(names)) == len(names) and {state.against for state in states.STATES} <= {"", *names}


@readable
def test_a_state_is_measured_and_verified(poolmark, tmp_path):
    """Unread data is in the kernel's packets, idle connections have none. Other programs use the same caches meanwhile, so only a
    large difference is looked at, and a disturbed run is made again."""
    for attempt in range(5):
        out = tmp_path / f"out{attempt}"
        done = poolmark("kernel", "--only", "idle", "--only", "unread", "--connections", "3000", "--repetitions", "1", "--out", str(out))
        assert done.returncode == 0, done.stderr
        run = load(out)
        data = {cell["config"]["state"]: cell["metrics"]["kernel.data_bytes"]["value"] for cell in run.data["cells"]}
        if data["unread"] > data["idle"] + 500:
            break
    assert data["unread"] > data["idle"] + 500
    assert complaints(run)[0] == []
    (out / "cells" / "idle.1" / "after.slabinfo").write_text(AFTER)
    assert any("kernel.socket_bytes" in text for text in complaints(load(out))[0])


@readable
def test_a_state_that_cannot_be_made_is_named_and_the_others_are_kept(tmp_path, monkeypatch, capsys):
    hold = states.hold

    def refused(state, connections):
        if state.name == "idle":
            raise OSError("Too many open files")
        return hold(state, connections)

    monkeypatch.setattr(states, "hold", refused)
    args = argparse.Namespace(connections=500, only=["idle", "accepted"], repetitions=1, out=str(tmp_path / "out"), list=False)
    assert kernel.run(args) == 1
    assert "poolmark kernel: idle: Too many open files" in capsys.readouterr().err
    data = load(tmp_path / "out").data
    assert data["status"] == "incomplete" and [cell["status"] for cell in data["cells"]] == ["complete", "failed"]
    assert data["cells"][1]["anomalies"][0]["text"] == "Too many open files"


def made_record(folder):
    record = Record.create("kernel", suite="kernel", folder=folder, config={"connections": 3000, "repetitions": 1})
    cell = record.cell("idle.1", {"state": "idle", "connections": 1000}, 1)
    for name, content in (("before.slabinfo", BEFORE), ("after.slabinfo", AFTER), ("before.sockstat", SOCKSTAT.format(2)),
                          ("after.sockstat", SOCKSTAT.format(1002)),
                          (kernel.GROUPS, json.dumps({name: sorted(names) for name, names in GROUPS.items()}))):
        (cell.folder / name).write_text(content)
        cell.file(name.replace(".", "_"), cell.folder / name)
    cell.data["metrics"] = kernel.of_cell(cell.folder, 1000)
    cell.finish("complete")
    kernel.write(record)
    record.close("complete")
    return folder


@pytest.mark.parametrize("name", [kernel.MARKDOWN, kernel.CSV])
def test_an_edited_table_of_kernel_memory_is_noticed(tmp_path, name):
    folder = made_record(tmp_path / "run")
    wrong, account = complaints(load(folder))
    assert wrong == [] and account.tables == 2
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("4.0" if name == kernel.CSV else "| idle | ", "5.0" if name == kernel.CSV else "| idle | 1", 1))
    data = json.loads((folder / "run.json").read_text())
    data["files"] = files_of(folder)
    (folder / "run.json").write_text(json.dumps(data))
    seal(folder)
    assert any(one.startswith(f"{name}: ") for one in complaints(load(folder))[0])


def test_a_count_that_the_kernel_does_not_tell_is_not_0():
    with pytest.raises(ValueError, match="no count of the pages of TCP"):
        kernel.accounted_bytes("sockets: used 70\n")
