# SPDX-License-Identifier: Apache-2.0
"""Finds the line of a key in a TOML file; tomllib does not report lines.

    lines = lines_of(text)        # the text must have passed tomllib
    line_at(lines, ("phase", 1, "qos"))

A path consists of keys and, for an array of tables, an index from 0. A path that is not in the file gets the line of the
nearest enclosing table.
"""
import re

from poolmark.base.forms import Place

# Strings first, so that their contents are not taken for comments or brackets.
_TOKEN = re.compile(r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{},=.\n]|[^\s\[\]{},=.#"\']+', re.S)


def _name(token: str) -> str:
    return token[1:-1] if token[:1] in "\"'" else token


class _Scanner:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, int]] = []
        line = 1
        place = 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", place, match.start())
            place = match.start()
            if not match[0].startswith("#"):
                self.tokens.append((match[0], line))
        self.at = 0
        self.lines: dict[Place, int] = {(): 1}
        self.counts: dict[Place, int] = {}

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str, int]:
        self.at += 1
        return self.tokens[self.at - 1]

    def key(self, base: Place) -> tuple[Place, int]:
        """Reads a dotted key and stops after it."""
        line = self.tokens[self.at][1]
        while True:
            base += (_name(self.take()[0]),)
            if self.peek() != ".":
                return base, line
            self.take()

    def mark(self, path: Place, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def value(self, path: Place) -> None:
        """Skips a value. Marks the keys of inline tables and the elements of arrays."""
        token, _ = self.take()
        if token == "{":
            self.inline(path)
        elif token == "[":
            self.array(path)
        else:
            while self.peek() not in ("", "\n", ",", "]", "}"):
                self.take()

    def inline(self, path: Place) -> None:
        while (token := self.peek()) not in ("", "}"):
            if token in (",", "\n"):
                self.take()
                continue
            inner, line = self.key(path)
            self.mark(inner, line)
            self.take()  # =
            self.value(inner)
        self.take()

    def array(self, path: Place) -> None:
        number = 0
        while (token := self.peek()) not in ("", "]"):
            if token in (",", "\n"):
                self.take()
                continue
            self.mark((*path, number), self.tokens[self.at][1])
            self.value((*path, number))
            number += 1
        self.take()

    def header(self) -> Place:
        """[a.b] or [[a.b]]. Where `a` is itself an array of tables, its last element is meant."""
        self.take()
        several = self.peek() == "["
        if several:
            self.take()
        keys, line = self.key(())
        path: Place = ()
        for i, key in enumerate(keys):
            path += (key,)
            if several and i == len(keys) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                self.lines.setdefault(path, line)
                path += (self.counts[path],)
        self.lines[path] = line
        self.mark(path, line)
        while self.peek() == "]":
            self.take()
        return path

    def scan(self) -> dict[Place, int]:
        table: Place = ()
        while (token := self.peek()):
            if token == "\n":
                self.take()
            elif token == "[":
                table = self.header()
            else:
                path, line = self.key(table)
                self.mark(path, line)
                self.take()  # =
                self.value(path)
        return self.lines


def lines_of(text: str) -> dict[Place, int]:
    return _Scanner(text).scan()


def line_at(lines: dict[Place, int], path: Place) -> int:
    while path not in lines:
        path = path[:-1]
    return lines[path]
