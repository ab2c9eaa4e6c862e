# SPDX-License-Identifier: Apache-2.0
"""Collects the faults of a file with their lines, so that the reader sees all of them at once.

    faults = Faults("x.toml", text)
    faults.add(("config", "shap"), "'shap' is not a key there", known=KEYS, wrong="shap")
    faults.end()      # raises when there are faults, one line each: FILE:LINE: TEXT

A path consists of keys and indices, as those of toml_lines.py.
"""
import difflib
from collections.abc import Iterable

from poolmark.base.errors import UsageError
from poolmark.base.forms import Place
from poolmark.base.toml_lines import line_at, lines_of
from poolmark.base.toml_values import plain


class FileFaults(UsageError):
    """`found`: the text of each fault, as printed."""

    def __init__(self, path: str, found: list[str]) -> None:
        self.found = found
        count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
        super().__init__("\n".join([f"{path}: {count}, nothing was started", *found]))


DID_YOU_MEAN = "; did you mean "
MOST_NAMES = 40     # more are no help on one line


def likely(wrong: object, known: Iterable[object]) -> str | None:
    """The known name that was meant; None when none is similar."""
    near = difflib.get_close_matches(plain(wrong).lower(), [plain(name) for name in known], n=1, cutoff=0.6)
    return near[0] if near else None


def nearest(wrong: object, known: Iterable[object], printed_by: str = "scripts/poolmark describe") -> str:
    """"; did you mean 'shape'?", or the known names when none is similar; of many names only how many there are, and what prints
    them."""
    names = [plain(name) for name in known]
    if near := likely(wrong, names):
        return f"{DID_YOU_MEAN}{near!r}?"
    if len(names) > MOST_NAMES:
        return f"; there are {len(names)}: {printed_by} prints them"
    return f"; there are: {', '.join(names)}" if names else ""


class Faults:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._lines = lines_of(text)
        self._elsewhere: dict[Place, str] = {}      # values from the command line (--set), not from the file
        self._written: dict[Place, Place] = {}      # where a part stands that was read as another
        self._found: list[tuple[int, str]] = []
        self.places: set[Place] = set()             # of all faults

    def came_from(self, path: Place, where: str) -> None:
        """The value at `path` came from an option of the command line."""
        self._elsewhere[path] = where

    def stands_at(self, meant: Place, written: Place) -> None:
        """What the file has at `written` is checked as if it were at `meant`: [[phases]] as [[phase]]."""
        self._written[meant] = written

    def _in_file(self, path: Place) -> Place:
        left = dict(self._written)      # each applies once: ("config",) may stand at ("config", 0)
        while found := next((path[:length] for length in range(len(path), 0, -1) if path[:length] in left), None):
            path = left.pop(found) + path[len(found):]
        return path

    def _place(self, path: Place) -> tuple[int, str]:
        for length in range(len(path), 0, -1):
            if path[:length] in self._elsewhere:
                return 0, self._elsewhere[path[:length]]
        line = line_at(self._lines, self._in_file(path))
        return line, f"{self.path}:{line}"

    def add(self, path: Place, text: str, known: Iterable[object] | None = None, wrong: object = None) -> None:
        self.places.add(path)
        line, where = self._place(path)
        told = f"{where}: {text}" + (nearest(wrong if wrong is not None else path[-1], known) if known is not None else "")
        if all(told != one for _, one in self._found):
            self._found.append((line, told))

    def __bool__(self) -> bool:
        return bool(self._found)

    def end(self) -> None:
        if self._found:
            raise FileFaults(self.path, [told for _, told in sorted(self._found, key=lambda one: one[0])])
