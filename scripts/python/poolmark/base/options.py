# SPDX-License-Identifier: Apache-2.0
"""Option types for argparse; `10k`, `512MiB` and `30s` are understood. For a wrong value argparse names the option, and the
type names the value and the bounds. Exit code 2.

    parser.add_argument("--connections", type=count(1, MOST_CONNECTIONS), metavar="N")
"""
import argparse

from poolmark.base.errors import UsageError
from poolmark.base.units import parse_bytes, parse_count, parse_seconds, show_bytes, show_count

MOST_CONNECTIONS = 100_000_000  # the generator's bound
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
    """A whole number from `low` to `high`."""
    return _bounded(parse_count, low, high, show_count)


def size(low: int, high: int):
    """A number of bytes."""
    return _bounded(parse_bytes, low, high, show_bytes)


def span(low: float, high: float):
    """A duration, in seconds."""
    return _bounded(parse_seconds, low, high, lambda seconds: f"{seconds:g}s")
