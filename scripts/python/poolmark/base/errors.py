# SPDX-License-Identifier: Apache-2.0
"""Errors that end a command: what was tried, on what, what went wrong, what to do about it."""


class PoolmarkError(Exception):
    """Ends the command with its text on stderr and `exit_code`."""

    exit_code = 1


class UsageError(PoolmarkError):
    """The command was called wrongly, or with a file that is not what it should be."""

    exit_code = 2


class RecordError(UsageError):
    """A record cannot be read: names the file and, where there is one, the field."""

    def __init__(self, path, field: str, text: str):
        self.path, self.field, self.text = str(path), field, text
        super().__init__(f"{path}: {field + ': ' if field else ''}{text}")
