# SPDX-License-Identifier: Apache-2.0
"""A run counts once: in a merge, in a merge of merges, on the two sides of a comparison, among the runs that capacity answers by."""
import json
from types import SimpleNamespace

import pytest
from test_compare import make_run
from test_record import closed, spoil

from poolmark.compare import verdict
from poolmark.records import lineage, read_record
from poolmark.run import merge


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs a, b and c, each with a file of its own; ab and bc, which share b."""
    folder = tmp_path_factory.mktemp("runs")
    for name in "abc":
        closed(folder / name)
        inner = folder / name / "cells/classic-malloc.1/load/round_1.json"
        inner.write_text(json.dumps({"id": f"load-{name}"}))

        def listed(data, inner=inner):
            data["files"]["cells/classic-malloc.1/load/round_1.json"] = {"bytes": inner.stat().st_size, "sha256": read_record.sha256(inner)}

        spoil(folder / name, listed)
    for name in ("ab", "bc"):
        assert merge.run(SimpleNamespace(runs=[folder / part for part in name], out=str(folder / name), allow_different=[])) == 0
    return folder


def id_of(folder):
    return read_record.load(folder).id


def test_a_merge_refuses_a_run_that_two_merges_have_and_names_all_three(runs, poolmark, tmp_path):
    done = poolmark("merge", runs / "ab", runs / "bc", "--out", tmp_path / "joined")
    assert done.returncode == 2 and not (tmp_path / "joined").exists(), done.stdout
    assert all(id_of(runs / name) in done.stderr for name in ("b", "ab", "bc")), done.stderr


def test_a_merge_refuses_a_run_beside_a_merge_that_has_it(runs, poolmark, tmp_path):
    done = poolmark("merge", runs / "ab", runs / "a", "--out", tmp_path / "joined")
    assert done.returncode == 2 and id_of(runs / "a") in done.stderr and "by itself" in done.stderr, done.stderr


def test_a_merge_of_a_merge_names_all_its_runs_and_each_cell_its_own(runs, poolmark, tmp_path):
    done = poolmark("merge", runs / "ab", runs / "c", "--out", tmp_path / "joined")
    assert done.returncode == 0, done.stderr
    made = read_record.load(tmp_path / "joined").data
    assert [cell["source"] for cell in made["cells"]] == [id_of(runs / name) for name in "abc"]
    again = poolmark("merge", tmp_path / "joined", runs / "b", "--out", tmp_path / "twice")     # two merges deep
    assert again.returncode == 2 and id_of(runs / "b") in again.stderr, again.stderr


def test_a_run_is_known_by_its_files_where_the_sources_do_not_say_it(runs, poolmark, tmp_path):
    """As a version joined them that compared the names on the command line alone."""
    old = tmp_path / "old"
    done = poolmark("merge", runs / "ab", runs / "c", "--out", old)
    assert done.returncode == 0, done.stderr
    spoil(old, lambda data: [one.pop("runs", None) for one in data["sources"]])
    refused = poolmark("merge", old, runs / "b", "--out", tmp_path / "twice")
    assert refused.returncode == 2 and "are one file" in refused.stderr, refused.stderr
    ours, theirs = (read_record.load(folder).data for folder in (old, runs / "bc"))
    assert id_of(runs / "b") in lineage.shared(ours, theirs)        # its cells name it


def test_verify_tells_a_source_that_is_in_a_merge_twice(runs, poolmark, tmp_path):
    done = poolmark("merge", runs / "ab", runs / "c", "--out", tmp_path / "joined")
    assert done.returncode == 0, done.stderr
    assert "sources:" not in poolmark("verify", tmp_path / "joined").stdout
    b = id_of(runs / "b")
    spoil(tmp_path / "joined", lambda data: data["sources"].append({"id": "merge-x", "sha256": "0" * 64, "runs": [b, "suite-x"]}))
    done = poolmark("verify", tmp_path / "joined")
    assert done.returncode == 1 and f"the run {b} is there 2 times: in {id_of(runs / 'ab')} and in merge-x" in done.stdout, done.stdout
    assert poolmark("compare", tmp_path / "joined", runs / "c").returncode >= 2     # no verdict


def test_verify_finds_a_run_that_was_joined_under_two_names(runs, poolmark, tmp_path):
    done = poolmark("merge", runs / "a", runs / "b", "--out", tmp_path / "joined")
    assert done.returncode == 0, done.stderr

    def twice(data):
        first, second = (f"cells/classic-malloc.{number}/load/round_1.json" for number in (1, 2))
        data["files"][second] = data["files"][first]

    spoil(tmp_path / "joined", twice)
    text = poolmark("verify", "--present", tmp_path / "joined").stdout
    assert "one run is there 2 times" in text and "cells/classic-malloc.2/load/round_1.json" in text, text


def test_merges_of_merges_that_share_a_run_are_undecided():
    ours, theirs = make_run(seed=1), make_run(seed=2)
    ours["sources"] = [{"id": "merge-1", "sha256": "0" * 64, "runs": ["suite-a", "suite-b"]}, {"id": "suite-c", "sha256": "0" * 64}]
    theirs["sources"] = [{"id": "merge-2", "sha256": "0" * 64, "runs": ["suite-d", "suite-b"]}]
    found = verdict.compare(ours, theirs)
    assert found.code == verdict.INVALID and "both have the measurements of suite-b" in found.reasons[0]
    found = verdict.compare(ours, make_run("suite-b", seed=3))
    assert found.code == verdict.INVALID and "suite-b" in found.reasons[0]
    theirs["sources"] = [{"id": "merge-2", "sha256": "0" * 64, "runs": ["suite-d", "suite-e"]}]
    assert verdict.compare(ours, theirs).code == verdict.OK


def test_capacity_refuses_a_run_beside_a_merge_that_has_it(runs, poolmark):
    done = poolmark("capacity", runs / "ab", runs / "a", "--connections", "1k")
    assert done.returncode == 2 and id_of(runs / "a") in done.stderr and "times" in done.stderr, done.stderr
