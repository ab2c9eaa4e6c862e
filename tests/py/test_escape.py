# SPDX-License-Identifier: Apache-2.0
"""One module escapes text, and no code escapes in another way."""
import re
from pathlib import Path

import pytest

from poolmark.base import escape

LIB = Path(__file__).resolve().parents[2] / "scripts/python/poolmark"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "a\nb", "\x9b31m", "\u202eabc", "\u2028", "\ud800", "\0"])
def test_nothing_that_a_terminal_obeys_is_left(text):
    assert escape.terminal(text).isprintable() and escape.REPLACEMENT in escape.terminal(text)
    assert escape.markdown(text).isprintable()
    escape.terminal(text).encode("utf-8")


def test_several_lines_stay_lines():
    assert escape.lines("a\n\x1b[1mb") == f"a\n{escape.REPLACEMENT}[1mb"


def test_markdown_and_html_in_it_are_text():
    assert escape.markdown("<b>|*_`[a](b)#~\\") == "&lt;b&gt;\\|\\*\\_\\`\\[a\\](b)\\#\\~\\\\"


@pytest.mark.parametrize("value, shown", [("=cmd()", "'=cmd()"), ("@x", "'@x"), ("-1.5e3", "-1.5e3"), ("+2", "+2"), ("-x", "'-x"),
                                          (-3, -3), ("a=b", "a=b"), ("", "")])
def test_a_spreadsheet_computes_nothing(value, shown):
    assert escape.spreadsheet(value) == shown


def test_no_other_module_escapes_by_itself():
    own = [path.name for path in LIB.rglob("*.py") if path.name != "escape.py"
           and re.search(r"&lt;|isprintable\(\)|unicodedata|u003c", path.read_text(encoding="utf-8"))]
    assert own == []
