# SPDX-License-Identifier: Apache-2.0
"""stdout and stderr whose failure does not end a run. Write errors are remembered, and the exit code reports them at the end.

    output.install()
    code = command()
    return output.code(name, code)

When stdout is full, closed or a terminal that is gone, the command goes on: a suite's record is worth more than its table.
Exit code 0 then becomes COULD_NOT_WRITE; any other code is kept, as its reason still holds. A reader that closes the pipe
early (`| head`) is no error. Text that cannot be written to stderr is lost, as there is nowhere to report it.
"""
import errno
import io
import os
import sys
from typing import cast

COULD_NOT_WRITE = 5


class Stream(io.TextIOWrapper):
    """Replaces a standard stream. Keeps the first write error in `failed` and drops all later text."""

    failed: OSError | None = None

    def _keep(self, error: OSError) -> None:
        self.failed = self.failed or error
        with open(os.devnull, "wb") as null:  # takes the text that is still buffered, at exit
            os.dup2(null.fileno(), self.fileno())

    def write(self, text: str) -> int:
        try:
            return len(text) if self.failed else super().write(text)
        except OSError as error:
            self._keep(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._keep(error)


class Messages(Stream):
    """stderr. Flushes stdout before each message, so that the order is kept when both go to one file."""

    def write(self, text: str) -> int:
        sys.stdout.flush()
        return super().write(text)


def _replace(stream: io.TextIOWrapper | None, number: int) -> Stream:
    # A file name may contain bytes that are not valid in any encoding.
    if stream is not None:
        kind = Messages if number == 2 else Stream
        return kind(stream.detach(), encoding=stream.encoding, errors="backslashreplace", line_buffering=stream.line_buffering)
    made = Stream(open(number, "wb", closefd=False), encoding="utf-8", errors="backslashreplace")
    made.failed = OSError(errno.EBADF, "it is closed")
    return made


def install() -> None:
    """Opens closed standard descriptors on /dev/null, so that no file of ours gets their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    out, err = cast(io.TextIOWrapper | None, sys.stdout), cast(io.TextIOWrapper | None, sys.stderr)  # None when closed
    sys.stdout, sys.stderr = _replace(out, 1), _replace(err, 2)


def code(name: str, found: int) -> int:
    """The exit code, after all output is flushed. Prints the reason once when stdout failed."""
    sys.stdout.flush()
    failed = getattr(sys.stdout, "failed", None)
    if failed is None or failed.errno == errno.EPIPE:
        return found
    print(f"poolmark {name}: stdout could not be written: {failed.strerror}", file=sys.stderr)
    return found or COULD_NOT_WRITE
