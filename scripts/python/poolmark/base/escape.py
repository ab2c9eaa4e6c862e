# SPDX-License-Identifier: Apache-2.0
"""Text of a record on its way to a person: the one place that makes it harmless. What a record, a log or a file's name holds
may be anything: terminals obey control characters, Markdown and HTML their signs, spreadsheets a leading "=".

    terminal(text)      one line, nothing that a terminal obeys, nothing that turns the direction of writing
    lines(text)         the same of a text of several lines
    markdown(text)      as text in Markdown, where HTML is obeyed too
    script_json(value)  JSON that can stand in a script element
    spreadsheet(value)  a cell of a CSV file

HTML is escaped by jinja2 and html.escape, after terminal().
"""
import json
import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def terminal(text) -> str:
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in str(text))


def lines(text) -> str:
    """As terminal(), of a text that may have several lines."""
    return "\n".join(map(terminal, str(text).split("\n")))


def markdown(text) -> str:
    text = terminal(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", text)


def script_json(value) -> str:
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def spreadsheet(value):
    """A text that a spreadsheet would take for a formula gets a quote before it; a number written out is none."""
    if not isinstance(value, str) or value[:1] not in tuple("=+-@\t\r") or re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", value):
        return value
    return "'" + value
