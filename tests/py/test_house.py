# SPDX-License-Identifier: Apache-2.0
"""The list of folders in docs/design.md ("The house") is that of the tree, and lines that are read as text have a readable length."""
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

HIDDEN = {"build", "__pycache__", "node_modules", "corpus", "runs"}     # made, or fetched, or of one line's program alone
LONGEST = 150


def house() -> str:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    return text.split("## The house")[1].split("```")[1]


def entries(block: str) -> dict[str, str]:
    """{folder: what its line and the further lines of it say}. A name that is indented by three is a folder of the one above."""
    found: dict[str, str] = {}
    top = last = ""
    for line in block.splitlines():
        match = re.match(r"( |   )(\S.*?)(?:  +(.*)|)$", line)
        if not match or line.startswith("      "):
            if last:
                found[last] += " " + line.strip()
            continue
        names = [name.strip().rstrip("/") for name in match[2].split(",")]
        if match[1] == " ":
            top = names[0].removesuffix("/poolmark")    # of the command scripts/poolmark
        for name in names:
            last = name if match[1] == " " else f"{top}/{name}"
            found[last] = f"{found.get(last, '')} {match[3] or ''}"
    return found


def folders(under: Path) -> set[str]:
    """Of what git tracks, for a checkout may have more (a venv); of all that is there where there is no git."""
    done = subprocess.run(["git", "ls-files"], cwd=under, capture_output=True, text=True, check=False)
    found = {line.split("/")[0] for line in done.stdout.splitlines() if "/" in line} or {path.name for path in under.iterdir() if path.is_dir()}
    return {name for name in found if name not in HIDDEN and not name.startswith(".")}


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text))


def test_every_folder_of_the_tree_is_in_the_list_and_none_that_is_not_there():
    listed = entries(house())
    assert folders(ROOT) == {name for name in listed if "/" not in name and (ROOT / name).is_dir()}
    for top in ("base", "wire", "pools", "broker", "loadgen", "bench"):
        assert folders(ROOT / top) == {name.partition("/")[2] for name in listed if name.startswith(f"{top}/")}, top
    assert folders(ROOT / "scripts") - words(listed["scripts"]) <= {name.split("/")[1] for name in listed if name.startswith("scripts/")}
    assert [name for name in listed if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("entry, folder", [("scripts/python/poolmark", "scripts/python/poolmark"), ("tests", "tests"), ("results", "results")])
def test_a_list_of_sub_folders_is_whole(entry, folder):
    told = words(entries(house())[entry])
    assert folders(ROOT / folder) - told == set()
    if entry.endswith("python/poolmark"):
        assert told - {"its", "package"} == folders(ROOT / folder)


@pytest.mark.parametrize("folder, source", [("loadgen/scenarios", "scenarios.c"), ("loadgen/engines", "engines.c")])
def test_scenarios_and_engines_are_those_of_the_program(folder, source):
    made = re.findall(r"^    X\((\w+)\)", (ROOT / folder / source).read_text(encoding="utf-8"), re.M)
    assert entries(house())[folder].partition(":")[2].replace(",", " ").split() == made


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/design.md"])
def test_no_line_of_text_is_too_long_to_be_read(name):
    """A row of a table cannot be broken."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    long = [f"{name}:{number}: {len(line)} characters" for number, line in enumerate(lines, 1) if len(line) > LONGEST and not line.startswith("|")]
    assert long == []
