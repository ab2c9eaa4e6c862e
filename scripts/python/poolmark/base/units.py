# SPDX-License-Identifier: Apache-2.0
"""Parses and prints numbers with units. The rules are those of base/units.h."""
import re
from collections.abc import Mapping

from poolmark.base.errors import UsageError

_COUNT = {"": 1, "k": 1000, "K": 1000, "M": 10**6, "G": 10**9}
_BYTES = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20,
          "GiB": 1 << 30}
_SECONDS = {"": 1.0, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


# A number as people write it, which a float holds: \d would take the digits of every script, and a float ends at 309 digits.
NUMBER = r"([0-9]{1,40}(?:\.[0-9]{1,40})?)"


def whole(text: str) -> int | None:
    """A whole number of a file or a name, below 2^63; None for any other text. int() takes more: blanks, 1_0, the digits of every script, and it
    raises ValueError for too many. isdigit() takes a superscript, which int() does not."""
    return int(text) if re.fullmatch("[0-9]{1,19}", text) and int(text) < 1 << 63 else None


def signed(text: str) -> int | None:
    """The same, and below 0."""
    value = whole(text.removeprefix("-"))
    return -value if value is not None and text.startswith("-") else value


def _split(text: object, table: Mapping[str, float], what: str) -> tuple[str, float]:
    match = re.fullmatch(rf"{NUMBER}([A-Za-z]*)", str(text).strip().replace("_", ""))
    if not match or match[2] not in table:
        raise UsageError(f"{str(text)!r} is not {what}")
    return match[1], table[match[2]]


def parse_count(text: object) -> int:
    """128, 10k, 1.5M."""
    number, factor = _split(text, _COUNT, "a count; examples: 500, 10k, 1M")
    value = float(number) * factor
    if value != int(value) or value > 2**53:
        raise UsageError(f"{str(text)!r} is not a whole number that can be counted to")
    return int(value)


def parse_bytes(text: object) -> int:
    """3072, 4KiB, 512MB."""
    number, factor = _split(text, _BYTES, "a number of bytes; examples: 512MiB, 8GiB, 16GB")
    return int(float(number) * factor)


def parse_seconds(text: object) -> float:
    """500ms, 30s, 2m; a bare number means seconds."""
    number, factor = _split(text, _SECONDS, "a span of time; examples: 500ms, 30s, 2m")
    return float(number) * factor


def show_count(count: float | None) -> str:
    """12 345 678, grouped by blanks."""
    return "-" if count is None else f"{round(count):,}".replace(",", " ")


def show_bytes(count: float | None) -> str:
    """738 B, 17.3 KiB, 1.52 GiB."""
    if count is None:
        return "-"
    value, sign = abs(float(count)), "-" if count <= -0.5 else ""  # a value that rounds to 0 has no sign
    if value < 1024:
        return f"{sign}{value:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            return f"{sign}{value:.3g} {unit}" if value < 1000 else f"{sign}{value:.0f} {unit}"
    return ""


def show_ns(ns: float | None) -> str:
    """812 ns, 17.1 us, 2.04 ms, 1.50 s."""
    if ns is None:
        return "-"
    value = float(ns)
    if value < 1000:
        return f"{value:.0f} ns"
    for unit in ("us", "ms", "s"):
        value /= 1000
        if value < 1000 or unit == "s":
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return ""


def show_number(value: float | None) -> str:
    """A metric's value with all its digits, for comparing."""
    return "none" if value is None else f"{value:.10g}"


def show(value: float | None, unit: str) -> str:
    """A metric's value for people."""
    if value is None:
        return "-"
    match unit:
        case "ns":
            return show_ns(value)
        case "B":
            return show_bytes(value)
        case "%":
            return f"{value:.1f} %"
        case "1":
            return show_count(value)
        case "1/s":
            return show_count(value) + "/s"
    return f"{value:.4g} {unit}"


def plural(count: int, what: str) -> str:
    """1 file, 2 files, 2 anomalies."""
    several = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count} {what if count == 1 else several}"
