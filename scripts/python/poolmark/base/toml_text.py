# SPDX-License-Identifier: Apache-2.0
"""Reads a TOML file that people wrote.

    text, data = read_text(Path("mine.toml"))       # UsageError: mine.toml:LINE: what is wrong
"""
import codecs
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.faults import FileFaults
from poolmark.base.forms import Json, Place
from poolmark.base.paths import for_people
from poolmark.base.toml_lines import line_at, lines_of

MOST_LEVELS = 32    # of tables and lists in a file


def _fault(path: Path, line: int | None, text: str) -> FileFaults:
    where = for_people(path)
    return FileFaults(where, [f"{where}{f':{line}' if line else ''}: {text}"])


def _keys(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, table, key) of each line that begins as KEY = ..., and (line, table, "") of each [table]."""
    table, number_of = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[(\[?)\s*([^\]=,{]+?)\s*\]", line):
            number_of[header[2]] = number_of.get(header[2], 0) + 1
            table = header[2] + (f"#{number_of[header[2]]}" if header[1] else "")     # each [[table]] is one of its own
            yield number, table, ""
        elif key := re.match(r"\s*([\w.\-\"']+)\s*=", line):
            yield number, table, key[1]


def _told(error: tomllib.TOMLDecodeError, text: str) -> tuple[int | None, str]:
    """(line, the parser's error); of what is there twice, what that is and where it was first."""
    at = re.search(r"line (\d+)", str(error))
    line = int(at[1]) if at else None
    found = [one for one in _keys(text) if line is None or one[0] <= line]
    if not found or not re.match("Cannot (overwrite|declare|mutate)", str(error)):
        return line, f"not TOML: {error}"
    last, table, key = found[-1]
    name = repr(key) if key else f"[{table}]"
    first = next((number for number, *one in found[:-1] if one == [table, key]), None)
    return last, f"{name} is there twice, first in line {first}" if first else f"{name}: not TOML: {error}"


def _decoded(path: Path, content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)     # as some editors write it; it says nothing
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, f"byte 0x{content[error.start]:02x} is not UTF-8, and TOML is UTF-8 text; save the file as UTF-8") from error


def beyond(data: object) -> Place | None:
    """The place of a number that TOML does not have, or of what is nested so deep that readers would not come to its end; None: all is well."""
    left: list[tuple[Place, object]] = [((), data)]
    while left:
        place, value = left.pop()
        if len(place) > MOST_LEVELS or isinstance(value, int) and not -1 << 63 <= value < 1 << 63:
            return place
        if isinstance(value, (dict, list)):
            left += [((*place, key), one) for key, one in (value.items() if isinstance(value, dict) else enumerate(value))]
    return None


def _check_values(path: Path, text: str, data: Json) -> None:
    place = beyond(data)
    if place is None:
        return
    if len(place) > MOST_LEVELS:
        raise UsageError(f"{path}: {'.'.join(map(str, place[:3]))} is nested more than {MOST_LEVELS} levels deep")
    raise _fault(path, line_at(lines_of(text), place), f"{place[-1]} has a number of more than 64 bits, and TOML has none")


def read_text(path: Path) -> tuple[str, Json]:
    """(text, its TOML). UsageError names the file, and the line that is not TOML or not UTF-8."""
    try:
        text = _decoded(path, path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise _fault(path, *_told(error, text)) from error
    except ValueError as error:     # a number of more digits than Python reads
        raise UsageError(f"{path}: not TOML: {error}") from error
    _check_values(path, text, data)
    return text, data
