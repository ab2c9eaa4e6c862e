# SPDX-License-Identifier: Apache-2.0
"""sensitivity: counts what comparisons say of builds whose speed the test sets, and writes as it goes."""
import argparse
import random

from test_compare import make_run, save

from poolmark_lib import sensitivity
from poolmark_lib.build_commit import Build
from poolmark_lib.interleave import Job
from poolmark_lib.read_record import load
from poolmark_lib.record import Record
from poolmark_lib.verdict import OK, REGRESSION

SELF = sensitivity.Trial("get-self", "with itself", Job("bench"), (), (), ("connect.p99",), OK, 8)
SLOWER = sensitivity.Trial("get-5-percent", "slower", Job("bench"), ("HANDICAP_GET=0",),
                           ("HANDICAP_GET=5",), ("connect.p99",), REGRESSION, 8)


def stand_in(stop_after=10 ** 9):
    rng, asked = random.Random(3), []

    def run(job, build, out, seed):
        asked.append(build.name)
        if len(asked) > stop_after:
            raise KeyboardInterrupt
        scale = 1.05 if build.name == "slow" else 1.0
        made = make_run(f"bench-20260101T000000Z-{len(asked):04x}", repetitions=1, cells=2, scale=scale,
                        seed=rng.randrange(1 << 30))
        for cell in made["cells"]:
            cell["files"] = {}
        return load(save(out, made))

    return run


def go(tmp_path, **more):
    record = Record.create("nightly", suite="sensitivity", folder=tmp_path / "out")
    args = argparse.Namespace(comparisons=4, repetitions=None, seed=1)
    builds = {variables: Build(name, tmp_path) for variables, name in
              (((), "plain"), (("HANDICAP_GET=0",), "even"), (("HANDICAP_GET=5",), "slow"))}
    return record, lambda: sensitivity.experiment(record, [SELF, SLOWER], args, builds=builds, run=stand_in(**more),
                                                  say=lambda text: None)


def test_a_slower_build_is_found_and_an_equal_one_is_not(tmp_path):
    record, start = go(tmp_path)
    results = start()
    assert [one["right"] for one in results["get-5-percent"]] == [True] * 4
    assert sum(one["right"] for one in results["get-self"]) >= 3
    record.close("complete")
    assert "| 4 | 4 | 0 |" in (record.folder / "sensitivity.md").read_text()
    assert len((record.folder / "sensitivity.csv").read_text().splitlines()) == 1 + 2 * 4 * 3
    assert len(load(record.folder).data["cells"]) == 8


def test_what_was_compared_before_an_interrupt_is_kept(tmp_path):
    record, start = go(tmp_path, stop_after=40)
    try:
        start()
    except KeyboardInterrupt:
        record.close("incomplete")
    kept = load(record.folder)
    assert kept.data["status"] == "incomplete" and len(kept.data["cells"]) == 2
    assert (record.folder / "sensitivity.csv").read_text().count("\n") == 1 + 2 * 3
