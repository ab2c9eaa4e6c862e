# SPDX-License-Identifier: Apache-2.0
"""Documents whose tables come from committed records (results/reference/): what nobody has measured says so.

A table stands between `<!-- NAME: TABLE -->` and `<!-- end of NAME -->`. A command of that name renews the tables of its document
(--write) or compares them (--check).
"""
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import markdown
from poolmark.base.paths import ROOT
from poolmark.records.packed import record_in
from poolmark.records.read_record import Run, load
from poolmark.verify.complaints import damage

REFERENCE = Path("results/reference")
UNKNOWN = "not measured yet"

Maker = Callable[[Path], str]       # of a table, from the root of the checkout


def table(head: list[str], rows: list[list[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, ["---"] * len(head), *rows])


def record_of(name: str, root: Path) -> Run | None:
    """A committed run; None when there is none. PoolmarkError when it is not as it was when it ended."""
    folder = root / REFERENCE / name
    if not record_in(folder):
        return None
    run = load(folder)
    if wrong := damage(run):
        raise PoolmarkError(wrong)
    return run


def source(run: Run | None, command: str) -> str:
    if run is None:
        return f"Nobody has measured this yet: `{command}`.\n\n"
    busy = any(one["what"] == "busy" for cell in run.data.get("cells", []) for one in cell.get("anomalies", []))
    shared = ", of which other programs had more than a tenth" if busy else ""
    return (f"Run {markdown(run.id)}, {run.data['status']}, commit {markdown(run.data['tool']['commit'][:12])}, "
            f"{run.data['host'].get('cores')} cores of {markdown(str(run.data['host'].get('cpu_model')))}{shared}: `{command}`.\n\n")


def filled(text: str, document: Path, name: str, tables: Mapping[str, Maker], root: Path) -> str:
    """The document with its tables. UsageError for a block of an unknown name."""
    def fill(match: re.Match[str]) -> str:
        if match[2] not in tables:
            raise UsageError(f"{document}: there is no table {match[2]!r}; there are: {', '.join(tables)}")
        return f"{match[1]}\n{tables[match[2]](root)}\n{match[3]}"

    block = re.compile(rf"(<!-- {name}: ([a-z]+) -->\n).*?(<!-- end of {name} -->)", re.S)
    return block.sub(fill, text)


def renew(document: Path, make: Callable[[str], str], write: bool, command: str) -> int:
    """Writes the document, or compares it: the exit code."""
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    wanted = make(text)
    if text == wanted:
        return 0
    if write:
        new = path.with_suffix(".new")
        new.write_text(wanted, encoding="utf-8")
        os.replace(new, path)
    print(f"{document}: {'written' if write else f'differs; scripts/poolmark {command} --write renews it'}")
    return 0 if write else 1
