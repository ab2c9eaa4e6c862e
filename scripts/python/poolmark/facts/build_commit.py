# SPDX-License-Identifier: Apache-2.0
"""Builds commits for a comparison. Each gets its own work tree, with a link to the installed npm packages."""
import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poolmark.facts import allowance
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.paths import MODULES, ROOT, need_checkout
from poolmark.base.progress import Beat

PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")


@dataclass
class Build:
    name: str                 # as the user named it
    folder: Path              # has the programs
    make: list[str] = field(default_factory=list)  # its make variables


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False, errors="replace")
    except OSError as error:
        raise UsageError(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        raise UsageError(f"git {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def commit_of(revision: str) -> str:
    """The commit's id. UsageError with git's reason, for example for a checkout of another user."""
    need_checkout(f"'{revision}' is no folder with programs, and building a commit")
    top = _git("rev-parse", "--show-toplevel")
    if Path(top).resolve() != ROOT:
        raise UsageError(f"{ROOT} is no checkout of its own: git takes it for a part of {top}, whose commits are not of it")
    try:
        return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except UsageError as error:
        raise UsageError(f"'{revision}' is no commit of this checkout: {str(error).rpartition('fatal: ')[2]}") from error


def existing(folder: Path | str) -> Build:
    """An existing build. UsageError names a missing program."""
    path = Path(folder).resolve()
    for program in PROGRAMS:
        if not os.access(path / program, os.X_OK):
            raise UsageError(f"{folder}: holds no {program}; name a build folder")
    return Build(str(folder), path)


def last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return lines[-1].strip() if lines else ""


def make(source: Path, folder: Path, variables: list[str], log: Path) -> None:
    """Makes only the programs. After a failure the error has the end of make's output."""
    targets = [str(folder / program) for program in PROGRAMS]
    with open(log, "wb") as file, Beat(lambda: f"make in {source.name}: {last_line(log)}"):
        done = subprocess.run(["make", f"-j{allowance.cores()}", f"B={folder}", *variables, *targets], cwd=source,
                              stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        end = log.read_text(errors="replace").splitlines()[-12:]
        raise PoolmarkError("make failed in " + source.name + ":\n  " + "\n  ".join(end))


@contextlib.contextmanager
def work_tree(revision: str, scratch: Path) -> Iterator[Path]:
    """A checkout of a commit under `scratch`, removed afterwards."""
    commit = commit_of(revision)
    path = scratch / f"source-{commit[:12]}"
    _git("worktree", "add", "--detach", "--quiet", "--force", str(path), commit)
    try:
        if MODULES.exists():
            (path / "third_party" / "node_modules").symlink_to(MODULES.resolve())
        yield path
    finally:
        with contextlib.suppress(UsageError):
            _git("worktree", "remove", "--force", str(path))


def of_commit(revision: str, scratch: Path, variables: Sequence[str] = ()) -> Build:
    """Builds a commit into `scratch`."""
    folder = scratch / f"build-{commit_of(revision)[:12]}"
    if not all((folder / program).exists() for program in PROGRAMS):
        folder.mkdir(parents=True, exist_ok=True)
        with work_tree(revision, scratch) as source:
            make(source, folder, list(variables), scratch / f"{folder.name}.log")
    return Build(revision, folder, list(variables))
