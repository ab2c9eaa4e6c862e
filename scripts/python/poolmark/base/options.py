# SPDX-License-Identifier: Apache-2.0
"""Types of options for argparse: `10k`, `512MiB`, `30s` are understood; of a value that is wrong or out of bounds
argparse says the option, and these say the value and the bounds. Exit code 2.

    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), metavar="N")
"""
import argparse

from poolmark.base.errors import UsageError
from poolmark.base.units import parse_bytes, parse_count, parse_seconds, show_bytes, show_count

MOST_CONNECTIONS = 100_000_000  # what the generator takes
MOST_REPETITIONS = 10_000


def _bounded(parse, low, high, show):
    bounds = f"it may be {show(low)} to {show(high)}"

    def read(text: str):
        try:
            value = parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(f"{error}; {bounds}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; {bounds}")
        return value

    return read


def count(low: int, high: int):
    """A whole number of `low` to `high`."""
    return _bounded(parse_count, low, high, show_count)


def size(low: int, high: int):
    """A number of bytes."""
    return _bounded(parse_bytes, low, high, show_bytes)


def span(low: float, high: float):
    """A span of time, in seconds."""
    return _bounded(parse_seconds, low, high, lambda seconds: f"{seconds:g}s")
