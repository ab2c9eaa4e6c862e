# SPDX-License-Identifier: Apache-2.0
"""The output of make."""
import os
import re
import subprocess

from conftest import ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "V")}

MAKEFILES = [ROOT / "Makefile", *sorted((ROOT / "mk").glob("*.mk"))]


def make(*words):
    done = subprocess.run(["make", *words], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_prints_a_short_line_a_file(tmp_path):
    assert make(f"B={tmp_path}", f"{tmp_path}/base/units.o") == "  CC      base/units.c\n"
    assert make(f"B={tmp_path}", "-B", "V=1", f"{tmp_path}/base/units.o").count("-c base/units.c -o") == 1
    assert make(f"B={tmp_path}", "-B", "-s", f"{tmp_path}/base/units.o") == ""


def test_v_1_prints_archives_too(tmp_path):
    assert make("-n", f"B={tmp_path}", "V=1", f"{tmp_path}/libwire.a").count("ar rcs") == 1
    for path in MAKEFILES:
        assert not re.search(r"^\t@(ar|\$\((CC|CXX|LD)\)) ", path.read_text(), re.M), path


def test_what_is_not_installed_is_named_in_one_line(tmp_path):
    done = subprocess.run(["make", "-j2", f"B={tmp_path}/b", f"HDR={tmp_path}/none", "programs"], cwd=ROOT, env=ENVIRONMENT, capture_output=True,
                          text=True, timeout=120, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2 and len(said) == 1 and 'run "make deps"' in said[0], done.stderr
    assert "CC" not in done.stdout


# Parts of others, called by packagers and CI.
PARTS = {"all", "help", "FORCE", "test-programs", "unit-tests", "install-programs", "install-data", "install-pages", "fuzzers"}


def test_help_names_every_target_that_a_user_calls():
    text = "\n".join(path.read_text() for path in MAKEFILES)
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.M) for name in line.split()}
    told = set(re.findall(r"\bmake ([\w-]+)", make("help")))
    assert phony - told - PARTS == set() and told <= phony
    for target in phony - {"FORCE"}:
        assert re.search(rf"^{target}(?: [\w ()$-]+)?:", text, re.M), f"{target} is .PHONY and has no rule"
    for target in told:
        make("-n", "-s", target, "DESTDIR=/nonexistent")


def test_scripts_say_how_they_are_called():
    for script in ("scripts/coverage", "scripts/deps", "scripts/release", "scripts/tree-commit", "scripts/run-tests", "scripts/failed-tests",
                   "packaging/build-deb"):
        for word in ("-h", "--help"):
            done = subprocess.run([ROOT / script, word], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, "") and script in done.stdout, f"{script}: {done}"
