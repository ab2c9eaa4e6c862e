# SPDX-License-Identifier: Apache-2.0
"""A manual page (man(7) macros) of a program. What no table has is in packaging/man/NAME.man, behind the options."""
import re
import textwrap
from itertools import groupby
from pathlib import Path

from facts import Command, Option

LINE = 62  # characters of text in a line of the source, before those are added that escape


def escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return text.replace("'", "\\(aq").replace("`", "\\(ga").replace("~", "\\(ti").replace("^", "\\(ha")


def filled(text: str) -> str:
    """Text as lines of the source, none of which begins like a request."""
    lines = textwrap.wrap(" ".join(text.split()), LINE, break_long_words=False, break_on_hyphens=False)
    return "\n".join(re.sub(r"^([.'])", r"\\&\1", escape(line)) for line in lines)


def sentence(text: str) -> str:
    """Begins with a capital, and ends with one mark."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", "!")) else ".")


def head(option: Option) -> str:
    """--name VALUE, the names bold, the value italic."""
    value = ""
    if option.argument and option.names[0].startswith("-"):
        value = f"{'=' if option.only_equals else ' '}\\fI{escape(option.argument)}\\fR"
    return ", ".join(f"\\fB{escape(name)}\\fR{value}" for name in option.names)


def entry(option: Option) -> str:
    choices = ""
    if option.choices and not all(choice in f"{option.argument} {option.help}" for choice in option.choices):
        choices = f"; one of: {', '.join(option.choices)}"
    return f".TP\n{head(option)}\n{filled(option.help + choices) or 'No more is said of it.'}"


def entries(options: list[Option]) -> list[str]:
    """Under a heading of their own each; a single flag of someone else's needs no paragraph."""
    lines = []
    for heading, group in groupby(options, key=lambda option: option.heading):
        lines += [f".SS {escape(heading)}"] if heading != "Options" else []
        lines += [entry(option) for option in group]
    return lines


def synopsis(command: Command) -> list[str]:
    if not command.commands:
        arguments = "".join(f"\n[\\fI{escape(argument.names[0])}\\fR]..." for argument in command.arguments)
        return [f".B {escape(command.name)}", f"[\\fIoption\\fR]...{arguments}"]
    lines = []
    for number, one in enumerate(command.commands):
        lines += ([".br"] if number else []) + [f".B {escape(command.name)} {escape(one.name)}"]
        lines += [filled(" ".join([*(argument.names[0] for argument in one.arguments), "[OPTION]..."]))]
    return lines


def subcommands(command: Command) -> list[str]:
    lines = [".SH COMMANDS"]
    for one in command.commands:
        lines += [f".SS {escape(one.name)}", filled(sentence(one.summary))]
        if one.options and one.options[0] in command.options:  # a scenario: described below
            own = [option.names[0] for option in one.options]
            lines += [".PP", filled(f"Options: {', '.join(own)}.")]
        else:
            lines += [entry(option) for option in one.arguments + one.options]
        if one.exit_codes:
            lines += [".PP", filled(f"Exit codes: {one.exit_codes}.")]
    return lines


def page(command: Command, version: str, date: str, more: Path, others: list[str]) -> str:
    lines = [f'.TH {escape(command.name.upper())} 1 {date} "Poolmark {version}" "User Commands"', ".SH NAME",
             f"{escape(command.name)} \\- {escape(command.summary)}", ".SH SYNOPSIS", *synopsis(command)]
    described, behind = (more.read_text(encoding="utf-8").strip() + "\n").split(".\\\" OPTIONS\n")
    lines += [described.strip()]
    if command.commands:
        lines += subcommands(command)
    if command.arguments:
        lines += [".SH ARGUMENTS", *entries(command.arguments)]
    lines += [".SH OPTIONS", *entries(command.options), behind.strip(), ".SH SEE ALSO"]
    seen = [name for name in others if name != command.name]
    lines += [f".BR {escape(name)} (1){',' if name != seen[-1] else ''}" for name in seen]
    return "\n".join(line for line in lines if line) + "\n"
