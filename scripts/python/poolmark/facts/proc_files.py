# SPDX-License-Identifier: Apache-2.0
"""Reads small files of /proc and /sys. The result is None for a file that cannot be read."""
import re
from pathlib import Path


def read_text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_ints(path: str) -> list[int] | None:
    text = read_text(path)
    try:
        return [int(word) for word in text.split()] if text else None
    except ValueError:
        return None


def read_int(path: str) -> int | None:
    values = read_ints(path)
    return values[0] if values and len(values) == 1 else None


def meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    facts = {}
    for line in (read_text("/proc/meminfo") or "").splitlines():
        match = re.match(r"(\S+):\s+(\d+)( kB)?", line)
        if match:
            facts[match[1]] = int(match[2]) * (1024 if match[3] else 1)
    return facts
