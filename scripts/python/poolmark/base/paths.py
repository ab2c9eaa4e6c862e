# SPDX-License-Identifier: Apache-2.0
"""Paths in a checkout, for any current folder, and in an installation.

In an installation (mk/install.mk), share/poolmark/ has the contents of scripts/, results/ and third_party/. The programs are
in bin/ beside share/. It writes into the current folder, and it can be moved: no file contains the installed path. Where pip
installed it (pyproject.toml), the package is in lib/pythonX.Y/site-packages/ beside share/.
"""
import os
import shutil
from pathlib import Path

from poolmark.base.errors import UsageError

_ABOVE = Path(__file__).resolve().parents
# scripts/ of a checkout, share/poolmark/ of an installation
DATA = _ABOVE[3] if (_ABOVE[3] / "suites").is_dir() else _ABOVE[5] / "share" / "poolmark"
INSTALLED = not (DATA.parent / "Makefile").exists()
ROOT = DATA if INSTALLED else DATA.parent    # has the file VERSION
WORK = Path.cwd() if INSTALLED else ROOT     # runs are written here; paths in records are relative to it
RUNS = WORK / "results" / "runs"
SUITES = DATA / "suites"
MIXES = DATA / "mixes"
SCHEMA = DATA / "run.schema.json" if INSTALLED else ROOT / "results" / "run.schema.json"
METRICS = SCHEMA.parent / "metrics.json"
MODULES = DATA / "node_modules" if INSTALLED else ROOT / "third_party" / "node_modules"
# This command, for starting it again.
COMMAND = DATA / "poolmark" if (DATA / "poolmark").is_file() else DATA.parents[1] / "bin" / "poolmark"
CALLED = "poolmark" if INSTALLED else "scripts/poolmark"
BROUGHT = "a package of your system brings it" if INSTALLED else "scripts/deps brings it"


def need_checkout(what: str) -> None:
    """UsageError in an installation: it can build no commits and has no source to read."""
    if INSTALLED:
        raise UsageError(f"{what} needs a checkout of Poolmark; this is an installation")


def installed_programs() -> Path:
    beside = DATA.parents[1] / "bin"
    found = None if (beside / "poolmark-broker").exists() else shutil.which("poolmark-broker")
    return Path(found).resolve().parent if found else beside


def build_dir(asked: str | None = None) -> Path:
    """The folder of the programs: `asked`, else $POOLMARK_BUILD, else build/ or the installed programs."""
    text = asked or os.environ.get("POOLMARK_BUILD")
    if INSTALLED and not text:
        return installed_programs()
    path = Path(text or "build")
    if path.is_absolute() or (asked and path.exists()):
        return path.resolve()
    return (WORK / path).resolve()


def writable(text: str) -> str:
    """Makes text printable that contains a name not in UTF-8. Python keeps such bytes as surrogates; each becomes \\xe9 or so."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that do not stand for a byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def choose_build(asked: str | None) -> Path:
    """As build_dir, and fixes the answer: later calls, and programs started from here, get the same folder."""
    path = build_dir(asked)
    os.environ["POOLMARK_BUILD"] = str(path)
    return path


def for_people(path: Path) -> str:
    """The path relative to the current folder where possible."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
