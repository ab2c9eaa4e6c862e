# SPDX-License-Identifier: Apache-2.0
"""Reads a TOML file that people wrote.

    text, data = read_text(Path("mine.toml"))       # UsageError: mine.toml:LINE: what is wrong
"""
import re
import tomllib
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.faults import FileFaults
from poolmark.base.forms import Json
from poolmark.base.paths import for_people


def _fault(path: Path, line: int | str | None, text: str) -> FileFaults:
    where = for_people(path)
    return FileFaults(where, [f"{where}{f':{line}' if line else ''}: {text}"])


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, f"byte 0x{content[error.start]:02x} is not UTF-8, and TOML is UTF-8 text; save the file as UTF-8") from error


def read_text(path: Path) -> tuple[str, Json]:
    """(text, its TOML). UsageError names the file, and the line that is not TOML or not UTF-8."""
    try:
        text = _decoded(path, path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
        return text, tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise _fault(path, line[1] if line else None, f"not TOML: {error}") from error
