# SPDX-License-Identifier: Apache-2.0
"""Options for argparse. The parser refuses an option that is given twice. Types understand `10k`, `512MiB` and `30s`. For a wrong
value argparse names the option, and the type names the value and the bounds. Exit code 2.

    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), metavar="N")
"""
import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from poolmark.base.errors import UsageError
from poolmark.base.escape import lines
from poolmark.base.faults import DID_YOU_MEAN, nearest
from poolmark.base.units import parse_bytes, parse_count, parse_seconds, show_bytes, show_count

MOST_CONNECTIONS = 100_000_000  # the generator's bound
MOST_REPETITIONS = 10_000
A_RUN = "WHAT"  # metavar of an option that takes a command to run
Number = TypeVar("Number", int, float)


class Once(argparse.Action):
    """Stores the value of an option that takes one. Given twice it is an error: the second would silently take the place of the
    first. Options of several values have action="append"."""

    _read: argparse.Namespace | None = None  # what it was last stored into

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
                 option_string: str | None = None) -> None:
        if option_string and self._read is namespace:
            given = " ".join(map(str, values)) if isinstance(values, list) else values
            raise argparse.ArgumentError(self, f"is given twice, the second time with {str(given)!r}; it takes one value")
        self._read = namespace
        setattr(namespace, self.dest, values)


def meant(parser: argparse.ArgumentParser, message: str) -> str:
    """For argparse's message about words that the parser does not have: "; did you mean '--connections'?" for each that is near an option; how
    `--run` is written where the parser has it."""
    start, known = "unrecognized arguments: ", [name for action in parser._actions for name in action.option_strings]  # pylint: disable=protected-access
    words = message.removeprefix(start).split() if message.startswith(start) else []
    if words and not words[0].startswith("-") and any(action.metavar == A_RUN for action in parser._actions):  # pylint: disable=protected-access
        return "; what --run starts is one argument with its options: --run 'suite quick --only slab'"
    hints = (nearest(word.partition("=")[0], known) for word in words if word.startswith("--"))
    return "".join(dict.fromkeys(hint for hint in hints if hint.startswith(DID_YOU_MEAN)))


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(lines(message + meant(self, message)))    # a word may be a file's name, and have control characters


def make_parser(**how: Any) -> argparse.ArgumentParser:
    """A parser whose options take one value each, unless they say otherwise. Names must be written in full."""
    made = Parser(allow_abbrev=False, **how)
    for name in (None, "store"):
        made.register("action", name, Once)
    return made


def _bounded(parse: Callable[[str], Number], low: Number, high: Number, show: Callable[[Number], str]) -> Callable[[str], Number]:
    bounds = f"it may be {show(low)} to {show(high)}"

    def read(text: str) -> Number:
        try:
            value = parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(f"{error}; {bounds}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; {bounds}")
        return value

    return read


def count(low: int, high: int) -> Callable[[str], int]:
    """A whole number from `low` to `high`."""
    return _bounded(parse_count, low, high, show_count)


def size(low: int, high: int) -> Callable[[str], int]:
    """A number of bytes."""
    return _bounded(parse_bytes, low, high, show_bytes)


def span(low: float, high: float) -> Callable[[str], float]:
    """A duration, in seconds."""
    return _bounded(parse_seconds, low, high, lambda seconds: f"{seconds:g}s")
