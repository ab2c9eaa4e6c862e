# SPDX-License-Identifier: Apache-2.0
"""Reads a TOML file that people wrote."""
import re
import tomllib
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.faults import FileFaults
from poolmark.base.forms import Json
from poolmark.base.paths import for_people


def read_text(path: Path) -> tuple[str, Json]:
    """(text, its TOML). UsageError names the file and the line that is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise FileFaults(for_people(path), [f"{for_people(path)}{f':{line[1]}' if line else ''}: not TOML: {error}"]) from error
