# SPDX-License-Identifier: Apache-2.0
"""What the generator's --help says: every option, or those of one scenario; exit codes."""
import os
import re
import subprocess

import pytest
from poolmark.base.paths import build_dir

PROGRAM = build_dir() / "poolmark-loadgen"
pytestmark = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="the generator is not built")


def help_of(*words):
    done = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(re.findall(r"^  --([a-z-]+)", done.stdout, re.M))


def test_help_has_every_option_and_the_exit_codes():
    text, options = help_of()
    assert {"pairs", "steps", "hold", "target"} <= options
    assert re.search(r"Exit code: 0 all fine; 1 a client failed.*SIGINT.*2 wrong call", text, re.S)


@pytest.mark.parametrize("scenario, its, others", [
    ("connect", {"hold", "subscribe"}, {"pairs", "steps"}), ("publish", {"pairs", "payload"}, {"hold", "steps"}),
    ("steps", {"steps", "watch-record"}, {"pairs", "connections"}),
])
def test_help_of_a_scenario_has_its_options_and_no_empty_part(scenario, its, others):
    text, options = help_of(scenario)
    assert its | {"target", "record"} <= options and not others & options
    assert f"Usage: poolmark-loadgen {scenario} --target" in text
    assert not re.search(r"^[A-Z]\w+( \w+)*\n+[A-Z]\w+( \w+)*$", text, re.M)
