# SPDX-License-Identifier: Apache-2.0
"""stdout and stderr that do not end a run: what cannot be written is remembered, and the exit code says so at the end.

    output.install()
    code = command()
    return output.code(name, code)

stdout full, closed, or on a terminal that is gone: the command goes on (a suite's record is worth more than its table), and
its exit code 0 becomes COULD_NOT_WRITE; any other code stays, for it is true all the same. A reader that has had enough
(`| head`) is no error. What cannot be written to stderr is lost without a word: there is nowhere to say it.
"""
import errno
import io
import os
import sys

COULD_NOT_WRITE = 5


class Stream(io.TextIOWrapper):
    """As the stream that it takes the place of; an error of writing is kept in `failed`, and what follows is dropped."""

    failed: OSError | None = None

    def _keep(self, error: OSError) -> None:
        self.failed = self.failed or error
        with open(os.devnull, "wb") as null:  # what is still buffered goes there, at exit
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
    """stderr: what was printed before a message stands before it, also where both go to one file."""

    def write(self, text: str) -> int:
        sys.stdout.flush()
        return super().write(text)


def _replace(stream, number: int) -> Stream:
    # A name of a file may hold bytes that no encoding has.
    if stream is not None:
        kind = Messages if number == 2 else Stream
        return kind(stream.detach(), encoding=stream.encoding, errors="backslashreplace", line_buffering=stream.line_buffering)
    made = Stream(open(number, "wb", closefd=False), encoding="utf-8", errors="backslashreplace")
    made.failed = OSError(errno.EBADF, "it is closed")
    return made


def install() -> None:
    """Descriptors that were closed are opened on nothing: no file of ours may get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout, sys.stderr = _replace(sys.stdout, 1), _replace(sys.stderr, 2)


def code(name: str, found: int) -> int:
    """The command's exit code, when it has printed everything; else, once, why not."""
    sys.stdout.flush()
    failed = getattr(sys.stdout, "failed", None)
    if failed is None or failed.errno == errno.EPIPE:
        return found
    print(f"poolmark {name}: stdout could not be written: {failed.strerror}", file=sys.stderr)
    return found or COULD_NOT_WRITE
