# SPDX-License-Identifier: Apache-2.0
"""The commit of a tree: an unknown commit is reported with git's reason, and never replaced by that of another repository."""
import os
import shutil
import subprocess
import sys

import pytest
from faults import ROOT, as_user, needs_root

WORDS = "import sys; sys.path.insert(0, 'scripts/python'); from poolmark.facts import facts; print(facts.tool())"


def git(folder, *words):
    return subprocess.run(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org", *words], check=True,
                          capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(open_folder):
    """A copy of the files that commands and make need, without .git, inside another repository."""
    outer = open_folder / "outer"
    (outer / "tree").mkdir(parents=True)
    git(outer, "init", "-q")
    git(outer, "commit", "-q", "--allow-empty", "-m", "not ours")
    shutil.copytree(ROOT / "scripts", outer / "tree/scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "results", outer / "tree/results", ignore=shutil.ignore_patterns("reference", "runs"))
    (outer / "tree/base").mkdir()
    for name in ("Makefile", "base/build.h"):
        shutil.copyfile(ROOT / name, outer / "tree" / name)
    return outer / "tree"


def tool(tree, before=None):
    done = subprocess.run([sys.executable, "-B", "-c", WORDS], cwd=tree, capture_output=True, text=True, timeout=60, check=True,
                          preexec_fn=before, env={**os.environ, "HOME": "/nonexistent"})
    return eval(done.stdout)  # noqa: S307: our own output


def make_facts(tree, before=None):
    out = subprocess.run(["make", "-pn", "--no-print-directory", "help"], cwd=tree, capture_output=True, text=True, timeout=60, check=False,
                         preexec_fn=before, env={**os.environ, "HOME": "/nonexistent"}).stdout
    return {name: next(line.split(":= ")[1] for line in out.splitlines() if line.startswith(f"{name} := ")) for name in ("commit", "dirty")}


def test_a_tree_inside_another_repository_is_not_of_its_commit(tree):
    found = tool(tree)
    assert found["commit"] == "unknown" and found["dirty"] is None
    assert make_facts(tree) == {"commit": "unknown", "dirty": "-1"}
    done = subprocess.run([sys.executable, tree / "scripts/poolmark", "nightly", "--history", "none"], capture_output=True, text=True,
                          timeout=60, check=False, cwd=tree)
    assert done.returncode == 4 and "is no checkout of its own" in done.stderr and done.stderr.count("\n") == 1


def test_files_that_a_command_writes_itself_do_not_make_the_tree_changed(tree):
    """A count of `robustness --measure` that is not committed yet made the next one's tree dirty."""
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "ours")
    (tree / "results/reference/robustness").mkdir(parents=True)
    (tree / "results/reference/robustness/counts.json").write_text("{}")

    def dirty(*but):
        return subprocess.run([tree / "scripts/tree-commit", *but], capture_output=True, text=True, check=True).stdout.split()[1]

    assert dirty() == "1" and dirty("results/reference/robustness", "docs/robustness.md") == "0"
    (tree / "Makefile").write_text("changed")
    assert dirty("results/reference/robustness") == "1"


def test_a_checkout_of_its_own_has_its_commit_and_says_whether_it_is_changed(tree):
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "ours")
    commit = git(tree, "rev-parse", "HEAD")
    found = tool(tree)
    assert found["commit"] == commit and found["dirty"] is False
    (tree / "new").write_text("x", encoding="ascii")
    assert tool(tree)["dirty"] is True and make_facts(tree) == {"commit": commit, "dirty": "1"}


@needs_root
def test_a_checkout_of_another_user_gives_gits_own_reason(tree):
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "ours")
    found = tool(tree, as_user())
    assert found["commit"] == "unknown" and found["dirty"] is None
    assert make_facts(tree, as_user()) == {"commit": "unknown", "dirty": "-1"}
    done = subprocess.run([sys.executable, "-B", tree / "scripts/poolmark", "nightly", "--history", "none", "--out", "/tmp/none-such"],
                          capture_output=True, text=True, timeout=60, check=False, cwd=tree, preexec_fn=as_user(),
                          env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == 4 and "dubious ownership" in done.stderr and "Traceback" not in done.stderr
