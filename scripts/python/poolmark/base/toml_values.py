# SPDX-License-Identifier: Apache-2.0
"""Shows values as TOML writes them, for messages to who wrote the file.

    shown(True), shown("a"), plain("a")     # true, 'a', a
"""
import datetime
from typing import Any


def shown(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.date, datetime.time)):     # a datetime is a date
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {shown(one)}' for key, one in value.items())} }}" if value else "{}"
    return repr(value)


def plain(value: Any) -> str:
    """The same, but a text without quotes: to compare values, and for lists of names."""
    return value if isinstance(value, str) else shown(value)
