# SPDX-License-Identifier: Apache-2.0
"""scripts/release: an archive that contains its commit, and versions that agree."""
import shutil
import subprocess
import tarfile

import pytest
from conftest import ROOT

FILES = ("scripts/release", "scripts/tree-commit", "scripts/archived-commit", ".gitattributes", "VERSION", "CHANGELOG.md",
         "debian/changelog")
VERSION = (ROOT / "VERSION").read_text().strip()


def git(tree, *words):
    return subprocess.run(["git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@example.org", *words], check=True,
                          capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path):
    """A repository with the files that the script reads."""
    made = tmp_path / "tree"
    for name in FILES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made / name)
    git(made, "init", "-q")
    commit(made)
    return made


def commit(tree):
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "x")


def release(tree, out):
    return subprocess.run([tree / "scripts/release", out], capture_output=True, text=True, timeout=60, check=False)


def test_the_archive_knows_its_commit(tree, tmp_path):
    done = release(tree, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    archive = tmp_path / "out" / f"poolmark-{VERSION}.tar.xz"
    assert str(archive) in done.stdout and f"git tag -s v{VERSION}" in done.stdout
    subprocess.run(["sha256sum", "-c", f"{archive.name}.sha256"], cwd=archive.parent, check=True, capture_output=True)
    with tarfile.open(archive) as file:
        file.extractall(tmp_path)
    told = subprocess.run([tmp_path / f"poolmark-{VERSION}" / "scripts/tree-commit"], capture_output=True, text=True, check=True).stdout
    assert told == f"{git(tree, 'rev-parse', 'HEAD')} -1\n"
    assert git(tree, "status", "--porcelain") == "" and git(tree, "tag") == ""


@pytest.mark.parametrize("file, old, new, said", [
    ("VERSION", VERSION, "9.9.9", "the newest version of CHANGELOG.md is"),
    ("VERSION", VERSION, "next", 'VERSION is "next"'),
    ("debian/changelog", f"({VERSION})", "(0.0.9)", 'debian/changelog begins with "0.0.9"'),
    ("CHANGELOG.md", f"## {VERSION} - ", "## ", "the newest version of CHANGELOG.md is"),
])
def test_versions_that_do_not_agree_are_refused(tree, tmp_path, file, old, new, said):
    path = tree / file
    path.write_text(path.read_text().replace(old, new, 1))
    commit(tree)
    done = release(tree, tmp_path / "out")
    assert done.returncode == 1 and said in done.stderr and not (tmp_path / "out").exists()


def test_a_tree_with_changes_is_refused(tree, tmp_path):
    (tree / "new").write_text("x")
    done = release(tree, tmp_path / "out")
    assert done.returncode == 1 and "changes that no commit holds" in done.stderr


def test_a_tag_of_another_commit_is_refused(tree, tmp_path):
    git(tree, "tag", f"v{VERSION}")
    assert release(tree, tmp_path / "out").returncode == 0
    (tree / "new").write_text("x")
    commit(tree)
    done = release(tree, tmp_path / "again")
    assert done.returncode == 1 and "is the tag of another commit" in done.stderr
