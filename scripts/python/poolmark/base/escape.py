# SPDX-License-Identifier: Apache-2.0
"""Makes text of a record safe to show. A record, a log or a file name may contain anything: control characters for the
terminal, Markdown or HTML markup, a leading "=" for a spreadsheet. This module escapes it for each of them.

    terminal(text)      one line without control characters or changes of text direction
    lines(text)         the same for a text of several lines
    markdown(text)      plain text for Markdown; HTML is escaped too
    packed(value)       JSON, compressed, of letters and digits that no markup ends
    spreadsheet(value)  a cell of a CSV file

jinja2 and html.escape escape HTML, after terminal().
"""
import base64
import gzip
import json
import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def terminal(text: object) -> str:
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in str(text))


def lines(text: object) -> str:
    """As terminal(), for a text of several lines."""
    return "\n".join(map(terminal, str(text).split("\n")))


def markdown(text: object) -> str:
    plain = terminal(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", plain)


def packed(value: object) -> str:
    """The JSON of `value`, by gzip, in base64; the same bytes for the same value. A page unpacks it by DecompressionStream."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def spreadsheet(value: object) -> object:
    """Puts a quote before a text that a spreadsheet would take for a formula. A number written as text stays as it is."""
    if not isinstance(value, str) or value[:1] not in tuple("=+-@\t\r") or re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", value):
        return value
    return "'" + value
