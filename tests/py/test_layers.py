# SPDX-License-Identifier: Apache-2.0
"""The picture of the folders in docs/design.md is true: includes and calls follow it, and no files call in a circle.

Folders: the table between the lines `layers` of docs/design.md. A file may include only files of its own folder, and folders or
files in its row. Files: the object files of a build show the calls between files. A forward declaration of a type is no call.
"""
import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from poolmark.base.paths import build_dir

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
SUFFIXES = (".c", ".h", ".cc")
NO_LAYERS = {"tests", "examples", "third_party", "build", "mk"}   # top folders with C that no program is made of
NOT_ALWAYS = {"loadgen/mpi"}    # built where there is an mpicc


def picture() -> dict[str, set[str]]:
    """{folder or file: folders and files that it may include}."""
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    return rows_of(text.split("<!-- layers -->")[1].split("<!-- end of layers -->")[0])


def rows_of(table: str) -> dict[str, set[str]]:
    """Of each line but the two of the heading. A line that is no row is a fault: its folder would be in no check."""
    drawn: dict[str, set[str]] = {}
    for line in table.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        names = re.findall(r"`([^`]+)`", cells[0])
        assert len(cells) == 2 and names and not drawn.keys() & set(names), f"no row of two cells, or a folder of another row: {line}"
        drawn |= {name: set(re.findall(r"`([^`]+)`", cells[1])) for name in names}
    return drawn


def sources(drawn: dict[str, set[str]]) -> list[Path]:
    roots = sorted({name.split("/")[0] for name in drawn})
    return sorted(path.relative_to(ROOT) for root in roots for path in (ROOT / root).rglob("*") if path.suffix in SUFFIXES)


def includes(path: Path) -> list[Path]:
    """Files of the project that a file includes."""
    named = re.findall(r'^#include "([^"]+)"', (ROOT / path).read_text(encoding="utf-8"), re.M)
    return [there for name in named for there in (Path(name), path.parent / name) if (ROOT / there).is_file()]


def upward(files: dict[Path, list[Path]], drawn: dict[str, set[str]]) -> list[str]:
    """All includes that the picture does not allow."""
    wrong = []
    for path, others in files.items():
        folder = str(path.parent)
        may = drawn.get(str(path), drawn.get(str(path.with_suffix("")), drawn.get(folder)))
        if may is None:
            wrong.append(f"{path}: {folder} is not in the picture")
            continue
        wrong += [f"{path} includes {other}: {folder} may include {', '.join(sorted(may)) or 'no other folder'}"
                  for other in others if not {str(other.parent), str(other)} & (may | {folder})]
    return wrong


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Each circle of nodes: sets of nodes that reach one another (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def calls(drawn: dict[str, set[str]]) -> dict[str, dict[str, set[str]]]:
    """{file: {called file: called functions}} of the built objects, without suffixes."""
    owner, wanted = {}, defaultdict(set)
    objects = [path for source in sources(drawn) if source.suffix == ".c"
               if (path := BUILD / source.with_suffix(".o")).is_file()]
    told = subprocess.run(["nm", "-A", *objects], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        path, _, rest = line.partition(":")
        name, words = str(Path(path).relative_to(BUILD).with_suffix("")), rest.split()
        if words[-2] in "TW":
            owner[words[-1]] = name
        elif words[-2] == "U":
            wanted[name].add(words[-1])
    graph = {name: defaultdict(set) for name in wanted}
    for name, functions in wanted.items():
        for function in functions:
            if owner.get(function, name) != name:
                graph[name][owner[function]].add(function)
    return graph


def test_includes_are_those_of_the_picture():
    drawn = picture()
    wrong = upward({path: includes(path) for path in sources(drawn)}, drawn)
    assert not wrong, "\n" + "\n".join(wrong)


def folders_with_sources() -> set[str]:
    """Of the whole tree, whatever the picture has: of what git tracks, where there is git."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    paths = [Path(line) for line in done.stdout.splitlines()] or [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    return {str(path.parent) for path in paths
            if path.suffix in SUFFIXES and len(path.parts) > 1 and path.parts[0] not in NO_LAYERS and not path.parts[0].startswith(".")}


def test_the_picture_has_every_folder_and_none_that_is_not_there():
    drawn = picture()
    found = {str(path.parent) for path in sources(drawn)}
    assert "base" in found and found == folders_with_sources()
    assert sorted({name for name in drawn if "." not in name} ^ found) == []
    assert sorted(name for name in drawn if "." in name and not (ROOT / name).is_file()) == []
    assert sorted(name for may in drawn.values() for name in may if not (ROOT / name).exists()) == []


def test_the_picture_has_no_circle():
    drawn = picture()
    assert circles({name: may for name, may in drawn.items() if "." not in name}) == []


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_no_files_call_each_other_in_a_circle():
    graph = calls(picture())
    found = circles({name: set(others) for name, others in graph.items()})
    text = [f"{one} calls {other}: {', '.join(sorted(graph[one][other])[:4])}"
            for circle in found for one in circle for other in circle if other in graph.get(one, {})]
    assert not found, "\n" + "\n".join(text)


@pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the programs are not built")
def test_calls_are_those_of_the_picture():
    drawn, wrong = picture(), []
    called = calls(drawn)
    assert {name for name in drawn if "." not in name} - {str(Path(one).parent) for one in called} - NOT_ALWAYS == set()
    for one, others in called.items():
        folder = str(Path(one).parent)
        may = drawn.get(f"{one}.c", drawn.get(folder, set()))
        wrong += [f"{one} calls {', '.join(sorted(functions)[:4])} of {other}" for other, functions in sorted(others.items())
                  if str(Path(other).parent) not in may | {folder}]
    assert not wrong, "\n" + "\n".join(wrong)


def test_a_row_without_includes_is_a_row_and_no_line_is_left_out():
    head = "| folder | may include |\n| --- | --- |\n"
    assert rows_of(f"{head}| `base` | |\n| `wire`, `net` | `base` |") == {"base": set(), "wire": {"base"}, "net": {"base"}}
    for line in ("| base | |", "`base`", "| `base` | `wire` | `net` |", "| `wire` | |\n| `wire` | `base` |"):
        with pytest.raises(AssertionError, match="no row"):
            rows_of(head + line)


def test_a_circle_and_an_upward_include_are_found():
    """The checks above can fail."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}}) == []
    drawn = {"base": set(), "wire": {"base"}, "wire/main.c": {"base", "top"}}
    files = {Path("base/x.c"): [Path("base/x.h"), Path("wire/y.h")], Path("wire/main.c"): [Path("top/t.h")],
             Path("other/z.c"): []}
    assert upward(files, drawn) == ["base/x.c includes wire/y.h: base may include no other folder",
                                    "other/z.c: other is not in the picture"]
