# SPDX-License-Identifier: Apache-2.0
"""Errors that end a command. Each says what was tried, on what, what went wrong and what to do."""
from pathlib import Path


class PoolmarkError(Exception):
    """Ends the command with its text on stderr and `exit_code`."""

    exit_code = 1


class UsageError(PoolmarkError):
    """The command line is wrong, or a file has the wrong content."""

    exit_code = 2


class RecordError(UsageError):
    """A record cannot be read. Names the file and, if known, the field."""

    def __init__(self, path: Path | str, field: str, text: str) -> None:
        self.path, self.field, self.text = str(path), field, text
        super().__init__(f"{path}: {field + ': ' if field else ''}{text}")
