# SPDX-License-Identifier: Apache-2.0
"""Where things are, whatever the current folder is."""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
RUNS = ROOT / "results" / "runs"
SUITES = ROOT / "scripts" / "suites"
SCHEMA = ROOT / "results" / "run.schema.json"


def build_dir(asked: str | None = None) -> Path:
    """The folder with the programs: what was asked for, else $POOLMARK_BUILD, else build/."""
    text = asked or os.environ.get("POOLMARK_BUILD") or "build"
    path = Path(text)
    if path.is_absolute() or (asked and path.exists()):
        return path.resolve()
    return (ROOT / path).resolve()


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
