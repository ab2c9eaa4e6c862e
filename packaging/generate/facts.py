# SPDX-License-Identifier: Apache-2.0
"""What manual pages and completions are made of: the programs' --describe and the command's argparse, as dataclasses."""
import argparse
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of a program's --describe

MPI = "poolmark-loadgen-mpi"    # built where there is an mpicc

PATHS = {"DIR": "folder", "FILE": "file", "FILE.toml": "file", "BUILD": "folder", **dict.fromkeys(("RUN", "BASE", "CANDIDATE"), "run")}


@dataclass
class Option:
    names: list[str]  # with their dashes
    argument: str | None
    help: str  # a sentence or so, with bounds and default
    heading: str = "Options"
    choices: list[str] = field(default_factory=list)
    only_equals: bool = False  # --name=VALUE is understood, --name VALUE is not
    several: bool = False  # an argument that is given again and again
    or_file: bool = False  # beside the choices also a TOML file

    @property
    def takes(self) -> str | None:
        """folder, file or run when the value is one."""
        return PATHS.get((self.argument or "").split("|")[0])


@dataclass
class Command:
    """A program, or one of its commands."""

    name: str
    summary: str
    arguments: list[Option] = field(default_factory=list)  # those without dashes; `names` is what they are called
    options: list[Option] = field(default_factory=list)
    commands: list["Command"] = field(default_factory=list)
    exit_codes: str = ""


ENDING = [Option(["--describe"], None, "print as JSON what this program is, and end", "Information"),
          Option(["--version"], None, "print version and build, and end", "Information"),
          Option(["--help", "-h"], None, "print help, and end", "Information")]


def ask(program: Path, *words: str) -> str:
    return subprocess.run([str(program), *words], capture_output=True, text=True, timeout=60, check=True).stdout


def bounds(row: Row) -> str:
    """As the help text has them: taken from there, for numbers are written there as they are typed."""
    match = re.search(r"; ((?:at least )?\S+(?: to \S+)?)(?: \[[^]]*\])?$", row["in_help"])
    return match[1] if match and row["low"] is not None else ""


def help_texts(text: str) -> dict[str, str]:
    """Option -> its text in a program's --help, on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        match = re.match(r"  --([\w-]+)(?: \S+)*?(?:  +(.*))?$", line)
        if match:
            name = match[1]
            found[name] = match[2] or ""
        elif name and line.startswith(" " * 20):
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name = ""
    return found


def described_option(row: Row, choices: dict[str, list[str]]) -> Option:
    argument = row["argument"]
    text = row["help"]
    if limits := bounds(row):
        text += f"; {limits}"
    if row["repeats"] and "several" not in text:
        text += "; may be given several times"
    if row["default"]:
        text += f" (default {row['default']})"
    return Option([f"--{row['name']}"], argument, text, row["heading"] or "Options",
                  row["choices"] or choices.get(row["name"], []))


def described(program: Path, summary: str, choices_of: Callable[[Row], dict[str, list[str]]]) -> tuple[Command, Row]:
    told = json.loads(ask(program, "--describe"))
    texts = help_texts(ask(program, "--help"))
    rows = [row | {"in_help": texts.get(row["name"], "")} for row in told["options"]]
    command = Command(told["program"], summary, options=[described_option(row, choices_of(told)) for row in rows])
    command.options += ENDING
    return command, told


def names(rows: list[Row]) -> list[str]:
    return [row["name"] for row in rows]


def broker(build: Path) -> Command:
    return described(build / "poolmark-broker", "an MQTT broker on pools of a chosen strategy", lambda told: {
        "pool": names(told["strategies"]), "shape": names(told["shapes"])})[0]


def loadgen(build: Path, program: str = "poolmark-loadgen", summary: str = "load an MQTT broker and record what it does") -> Command:
    command, told = described(build / program, summary, lambda told: {"engine": names(told["engines"])})
    for scenario in told["scenarios"]:
        its = {f"--{name}" for name in scenario["options"]}
        command.commands.append(Command(scenario["name"], scenario["summary"],
                                        options=[option for option in command.options if option.names[0] in its]))
    return command


def bench(build: Path) -> Command:
    command, _ = described(build / "poolmark-bench", "micro-benchmarks of pool strategies and allocators", lambda _: {})
    # The library's flags, of which it says names and values and no more.
    for name, value in re.findall(r"\[--(\w+)=([^\n]+)\]", ask(build / "poolmark-bench", "--help")):
        choices = re.findall(r"[\w]+", value) if "|" in value else []
        command.options.append(Option([f"--{name}"], re.sub(r"[{}<>]", "", value), "a flag of Google Benchmark", "Google Benchmark's flags",
                                      choices, only_equals=True))
    return command


def hot(build: Path) -> Command:
    command, told = described(build / "poolmark-hot", "benchmarks of a pool of live client connections", lambda _: {})
    scenarios = names(told["scenarios"])
    text = "; ".join(f"{row['name']}: {row['summary']}" for row in told["scenarios"])
    command.arguments = [Option(["SCENARIO"], "SCENARIO", text, choices=scenarios, several=True)]
    return command


def argparse_option(action: argparse.Action) -> Option:
    argument = None
    if action.nargs != 0:
        argument = action.metavar if isinstance(action.metavar, str) else action.dest.upper() if action.option_strings else action.dest
    text = (action.help or "") % {"default": action.default} if "%(" in (action.help or "") else (action.help or "").replace("%%", "%")
    return Option(list(action.option_strings) or [argument or action.dest], argument, text,
                  choices=[str(choice) for choice in action.choices or []], several=action.nargs in ("*", "+", argparse.REMAINDER))


def parsed(name: str, summary: str, parser: argparse.ArgumentParser) -> Command:
    command = Command(name, summary, exit_codes=(parser.epilog or "").removeprefix("exit codes: "))
    for action in parser._actions:  # argparse has no public way to ask
        if action.help != argparse.SUPPRESS:
            (command.options if action.option_strings else command.arguments).append(argparse_option(action))
    return command


def poolmark(scripts: Path) -> Command:
    from poolmark import cli

    command = Command("poolmark", "run, compare and report measurements of pools", options=ENDING[1:])
    for name, (_, summary) in cli.COMMANDS.items():
        command.commands.append(parsed(name, summary, cli.parser(name)[0]))
    suites = sorted(path.stem for path in (scripts / "suites").glob("*.toml"))
    for one in command.commands:
        if one.name == "suite":
            one.arguments[0].choices, one.arguments[0].or_file = suites, True
    return command


def everything(build: Path, scripts: Path) -> list[Command]:
    several = [loadgen(build, MPI, "load an MQTT broker from several hosts, as one run")] if (build / MPI).is_file() else []
    return [poolmark(scripts), broker(build), loadgen(build), *several, bench(build), hot(build)]
