# SPDX-License-Identifier: Apache-2.0
"""Where things are: in a checkout, whatever the current folder is, and in an installation.

An installation (mk/install.mk) has in share/poolmark/ what a checkout has in scripts/, results/ and third_party/. Its programs
are in bin/ beside share/, and it writes into the current folder. Nothing in it knows where it was installed.
"""
import os
import shutil
from pathlib import Path

from poolmark.base.errors import UsageError

DATA = Path(__file__).resolve().parents[3]  # scripts/ of a checkout, share/poolmark/ of an installation
INSTALLED = not (DATA.parent / "Makefile").exists()
ROOT = DATA if INSTALLED else DATA.parent    # where VERSION is
WORK = Path.cwd() if INSTALLED else ROOT     # where runs are written, and what paths in records are told from
RUNS = WORK / "results" / "runs"
SUITES = DATA / "suites"
SCHEMA = DATA / "run.schema.json" if INSTALLED else ROOT / "results" / "run.schema.json"
MODULES = DATA / "node_modules" if INSTALLED else ROOT / "third_party" / "node_modules"
COMMAND = DATA / "poolmark"                  # this command, to be started again
CALLED = "poolmark" if INSTALLED else "scripts/poolmark"
BROUGHT = "a package of your system brings it" if INSTALLED else "scripts/deps brings it"


def need_checkout(what: str) -> None:
    """For what builds commits or reads the source: an installation has neither."""
    if INSTALLED:
        raise UsageError(f"{what} needs a checkout of Poolmark; this is an installation")


def installed_programs() -> Path:
    beside = DATA.parents[1] / "bin"
    found = None if (beside / "poolmark-broker").exists() else shutil.which("poolmark-broker")
    return Path(found).resolve().parent if found else beside


def build_dir(asked: str | None = None) -> Path:
    """The folder with the programs: what was asked for, else $POOLMARK_BUILD, else build/ or where they are installed."""
    text = asked or os.environ.get("POOLMARK_BUILD")
    if INSTALLED and not text:
        return installed_programs()
    path = Path(text or "build")
    if path.is_absolute() or (asked and path.exists()):
        return path.resolve()
    return (WORK / path).resolve()


def writable(text: str) -> str:
    """Text that may hold bytes of a name that is not UTF-8 (Python keeps them as surrogates), so that it can be written:
    such a byte becomes \\xe9."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that are no byte of a name
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def choose_build(asked: str | None) -> Path:
    """As build_dir; from now on whoever asks for the build folder, programs started by this one too, gets this one."""
    path = build_dir(asked)
    os.environ["POOLMARK_BUILD"] = str(path)
    return path


def for_people(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
