# SPDX-License-Identifier: Apache-2.0
"""The output of make."""
import os
import re
import subprocess

from conftest import ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "V")}


def make(*words):
    done = subprocess.run(["make", *words], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_prints_a_short_line_a_file(tmp_path):
    assert make(f"B={tmp_path}", f"{tmp_path}/base/units.o") == "  CC      base/units.c\n"
    assert make(f"B={tmp_path}", "-B", "V=1", f"{tmp_path}/base/units.o").count("-c base/units.c -o") == 1
    assert make(f"B={tmp_path}", "-B", "-s", f"{tmp_path}/base/units.o") == ""


def test_help_names_every_target_that_a_user_calls():
    told = set(re.findall(r"\bmake ([\w-]+)", make("help")))
    assert {"suite", "test", "bench", "million", "install", "uninstall", "library", "deb", "analyse", "types", "coverage", "fuzz", "clean"} <= told
    for target in told:
        make("-n", "-s", target, "DESTDIR=/nonexistent")
