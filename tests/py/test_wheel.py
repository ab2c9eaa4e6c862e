# SPDX-License-Identifier: Apache-2.0
"""The package as pip installs it (pyproject.toml), away from the checkout, with the programs of another folder."""
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT

SOURCES = ("pyproject.toml", "VERSION", "README.md", "LICENSE", "scripts/python", "scripts/suites", "scripts/monitoring", "results/run.schema.json",
           "results/metrics.json", "results/claims.toml", "third_party/package-lock.json")
BUILD = (ROOT / os.environ.get("POOLMARK_BUILD", "build")).resolve()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A virtual environment with the package; the system's Python has what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "home").mkdir()
    for name in SOURCES:  # setuptools builds beside its sources
        into = folder / "source" / name
        into.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, into, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, into)
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", folder / "installed"], check=True)
    done = subprocess.run([sys.executable, "-m", "pip", "--python", folder / "installed/bin/python", "install", "--no-index", "--no-deps",
                           "--no-build-isolation", "--disable-pip-version-check", folder / "source"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / "source")
    return folder


def call(place, *words):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place / "home"), "LANG": "C.UTF-8", "TERM": "dumb"}
    return subprocess.run([place / "installed/bin/poolmark", *map(str, words)], cwd=place / "home", env=environment, capture_output=True,
                          text=True, timeout=120, check=False)


def test_the_command_is_there_with_its_suites(place):
    told = call(place, "--version")
    version = (ROOT / "VERSION").read_text().strip()
    assert told.returncode == 0 and re.fullmatch(rf"poolmark {re.escape(version)} \(unknown, Python [\d.]+\S*\)\n", told.stdout), told
    listed = call(place, "suite", "--list")
    assert {line.partition(":")[0] for line in listed.stdout.splitlines()} == {path.stem for path in (ROOT / "scripts/suites").glob("*.toml")}


def test_every_command_has_its_help(place):
    from poolmark.cli import COMMANDS

    for name in COMMANDS.keys() - {"host"}:  # its choices are the programs' own
        done = call(place, name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: poolmark {name}"), (name, done.stderr)


def test_it_says_what_it_needs_without_the_programs(place):
    done = call(place, "suite", "quick", "--dry-run")
    assert done.returncode == 2 and "poolmark-broker" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_it_measures_and_reads_with_programs_of_another_folder(place):
    done = call(place, "suite", "quick", "--only", "slab", "--connections", "200", "--set", "engine=raw", "--set", "duration=200ms",
                "--set", "warmup=100ms", "--build", BUILD, "--out", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    done = call(place, "verify", "run")
    assert (done.returncode, "good; complete" in done.stdout) == (0, True), done.stdout + done.stderr


def test_pyproject_names_what_is_there():
    """A file that is not there is left out of the package without a word."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for patterns in data["tool"]["setuptools"]["data-files"].values():
        for pattern in patterns:
            assert list(ROOT.glob(pattern)), pattern
