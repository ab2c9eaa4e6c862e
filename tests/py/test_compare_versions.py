# SPDX-License-Identifier: Apache-2.0
"""Programs of another version than the command: what their description lacks is said, by name, before anything is measured."""
import os
import sys

import pytest
from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import build_dir
from poolmark.facts import described, facts, plan
from poolmark.records import record
from poolmark.records.read_record import load

BUILD = build_dir()
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in PROGRAMS), reason="the programs are not built")

# The generator, with another description of itself.
OTHER = """#!{python}
import json, subprocess, sys
done = subprocess.run(["{program}", *sys.argv[1:]], capture_output=True, text=True)
if done.returncode == 0 and "--describe" in sys.argv:
    told = json.loads(done.stdout)
    {edit}
    done.stdout = json.dumps(told)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


def other(folder, edit):
    """A build folder whose generator describes itself otherwise."""
    folder.mkdir()
    for name in PROGRAMS:
        if name != "poolmark-loadgen":
            (folder / name).symlink_to(BUILD / name)
    program = folder / "poolmark-loadgen"
    program.write_text(OTHER.format(python=sys.executable, program=BUILD / "poolmark-loadgen", edit=edit), encoding="ascii")
    program.chmod(0o755)
    return folder


@pytest.fixture
def older(tmp_path):
    return other(tmp_path / "older", 'told.get("plan", {}).pop("connections_per_route", None)')  # which older versions do not have


def test_a_key_that_a_description_lacks_is_an_error_that_names_program_and_key(older):
    with pytest.raises(PoolmarkError, match="older/poolmark-loadgen --describe does not say 'connections_per_route': it is of another version"):
        plan.make_plan(10, "raw", 1000, 2, build=older)
    assert described.loadgen(older).get("no such") is None and "no such" not in described.loadgen(older)


@pytest.mark.parametrize("sides, said", [(("older", "build"), "on the baseline, "), (("build", "older"), "on the candidate, ")])
def test_a_build_that_cannot_plan_the_suite_is_refused_before_the_first_run(poolmark, older, tmp_path, sides, said):
    folders = {"older": older, "build": BUILD}
    done = poolmark("compare", *(folders[side] for side in sides), "--run", "suite quick --only slab", "--out", tmp_path / "out")
    assert done.returncode == 4 and "Traceback" not in done.stderr, done.stderr
    assert said in done.stderr and "does not say 'connections_per_route'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_builds_that_were_not_made_alike_are_refused_before_the_first_run(poolmark, tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(BUILD / name)
    broker = folder / "poolmark-broker"
    broker.unlink()
    broker.write_text(OTHER.format(python=sys.executable, program=BUILD / "poolmark-broker", edit='told["tool"]["flags"] = "-O0"'), encoding="ascii")
    broker.chmod(0o755)
    done = poolmark("compare", folder, BUILD, "--run", "suite quick --only slab", "--out", tmp_path / "out")
    assert done.returncode == 3 and "nothing was measured" in done.stderr and "tool.flags differs: -O0 in the baseline, -O2" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
    done = poolmark("compare", folder, BUILD, "--run", "suite quick --only slab", "--allow", "tool.flags", "--dry-run", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_a_record_is_of_the_commit_that_its_programs_say_and_says_when_they_say_several(tmp_path):
    copied = tmp_path / "copied"    # programs alone, as a CI job keeps them: nothing that make wrote stands beside them
    copied.mkdir()
    for name in PROGRAMS:
        (copied / name).symlink_to(BUILD / name)
    assert facts.tool(copied) == facts.tool(BUILD) and facts.tool(copied)["compiler"] != "unknown"
    assert facts.of_several(copied) is None and facts.of_several(BUILD) is None
    mixed = other(tmp_path / "mixed", 'told["tool"]["commit"] = "0123456789" * 4')
    made = record.Record.create("suite", suite="small", folder=tmp_path / "run", seed=1, build=mixed)
    made.close("complete")
    found = load(tmp_path / "run").data
    text = next(one["text"] for one in found["anomalies"] if one["what"] == "build")
    assert "poolmark-loadgen: commit 012345678901" in text and "poolmark-broker and poolmark-bench: commit " in text
    assert found["tool"] == facts.tool(BUILD) and found["status"] == "complete"
