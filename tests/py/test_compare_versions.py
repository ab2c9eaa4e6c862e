# SPDX-License-Identifier: Apache-2.0
"""Programs of another version than the command: what their description lacks is said, by name, before anything is measured."""
import os
import sys

import pytest
from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import build_dir
from poolmark.facts import described, plan

BUILD = build_dir()
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in PROGRAMS), reason="the programs are not built")

# The generator, without a key that its older versions do not have.
OLDER = """#!{python}
import json, subprocess, sys
done = subprocess.run(["{program}", *sys.argv[1:]], capture_output=True, text=True)
if done.returncode == 0 and "--describe" in sys.argv:
    told = json.loads(done.stdout)
    told.get("plan", {{}}).pop("connections_per_route", None)
    done.stdout = json.dumps(told)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""


@pytest.fixture
def older(tmp_path):
    folder = tmp_path / "older"
    folder.mkdir()
    for name in PROGRAMS:
        if name != "poolmark-loadgen":
            (folder / name).symlink_to(BUILD / name)
    program = folder / "poolmark-loadgen"
    program.write_text(OLDER.format(python=sys.executable, program=BUILD / "poolmark-loadgen"), encoding="ascii")
    program.chmod(0o755)
    return folder


def test_a_key_that_a_description_lacks_is_an_error_that_names_program_and_key(older):
    with pytest.raises(PoolmarkError, match="older/poolmark-loadgen --describe does not say 'connections_per_route': it is of another version"):
        plan.make_plan(10, "raw", 1000, 2, build=older)
    assert described.loadgen(older).get("no such") is None and "no such" not in described.loadgen(older)


@pytest.mark.parametrize("sides, said", [(("older", "build"), "on the baseline, "), (("build", "older"), "on the candidate, ")])
def test_a_build_that_cannot_plan_the_suite_is_refused_before_the_first_run(poolmark, older, tmp_path, sides, said):
    folders = {"older": older, "build": BUILD}
    done = poolmark("compare", *(folders[side] for side in sides), "--run", "suite quick --only slab", "--out", tmp_path / "out")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert said in done.stderr and "does not say 'connections_per_route'" in done.stderr
    assert not (tmp_path / "out").exists()
