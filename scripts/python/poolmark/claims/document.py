# SPDX-License-Identifier: Apache-2.0
"""The table of verdicts in docs/claims.md, from the committed reference run (results/reference/claims)."""
import os
import re
from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import markdown
from poolmark.base.forms import RecordData
from poolmark.claims import catalogue
from poolmark.records.packed import record_in
from poolmark.records.read_record import load

DOCUMENT, REFERENCE = Path("docs/claims.md"), Path("results/reference/claims")
BLOCK = re.compile(r"(<!-- claims: ([a-z]+) -->\n).*?(<!-- end of claims -->)", re.S)
NOTHING = "No reference run has been committed yet; `scripts/poolmark claims` measures on your machine.\n"


def tables_of(data: RecordData) -> dict[str, str]:
    """{system: a table of its claims} from a record's data, with the statement of each."""
    _, claims = catalogue.load()
    found: dict[str, list[str]] = {}
    for row in (data["summary"] or {})["claims"]:
        claim = claims.get(row["id"])
        if claim is None:
            raise PoolmarkError(f"the reference run has a claim {row['id']!r} that results/claims.toml does not have")
        found.setdefault(claim.system, ["| claim | said | measured | verdict | why |", "|---|---|---|---|---|"]).append(
            f"| `{claim.id}` | {markdown(claim.says)} | {markdown(row['shown'])} | **{markdown(row['verdict'])}** | {markdown(row['why'])} |")
    return {system: "\n".join(lines) + "\n" for system, lines in found.items()}


def filled(text: str, tables: dict[str, str]) -> str:
    """The document with its tables. UsageError for a block of an unknown design."""
    systems, _ = catalogue.load()

    def fill(match: re.Match[str]) -> str:
        if match[2] not in systems:
            raise UsageError(f"{DOCUMENT}: there is no design {match[2]!r}; there are: {', '.join(systems)}")
        return f"{match[1]}\n{tables.get(match[2], NOTHING)}\n{match[3]}"

    return BLOCK.sub(fill, text)


def current(root: Path) -> str:
    """What the document should be."""
    folder = root / REFERENCE
    tables = tables_of(load(folder).data) if record_in(folder) else {}
    return filled((root / DOCUMENT).read_text(encoding="utf-8"), tables)


def write(root: Path) -> str:
    text = current(root)
    new = root / f"{DOCUMENT}.new"
    new.write_text(text, encoding="utf-8")
    os.replace(new, root / DOCUMENT)
    return f"{DOCUMENT}: written" + ("" if record_in(root / REFERENCE) else f"; {REFERENCE} is not there, so it has no figures")
