# SPDX-License-Identifier: Apache-2.0
"""The tables of verdicts in docs/claims.md, and the ten furthest from what was said in README.md, from the committed reference run
(results/reference/claims)."""
import math
import os
import re
from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.escape import markdown
from poolmark.base.forms import RecordData
from poolmark.claims import catalogue
from poolmark.claims.verdict import FAILS
from poolmark.records.packed import record_in
from poolmark.records.read_record import load

DOCUMENT, FRONT, REFERENCE = Path("docs/claims.md"), Path("README.md"), Path("results/reference/claims")
BLOCK = re.compile(r"(<!-- claims: ([a-z]+) -->\n).*?(<!-- end of claims -->)", re.S)
FURTHEST, SURPRISING = 10, "surprising"
SHORT = {"preheat": "preheated broker (Zig)", "expand": "expanding broker (Zig)", "hot": "connection pool (Go)", "sync": "sync.Pool (Go)", "blocks": "sized blocks (Rust)"}
NOTHING = "No reference run has been committed yet; `scripts/poolmark claims` measures on your machine.\n"


def judged_by(claim: catalogue.Claim) -> str:
    """What is measured, and the claimed range: "broker memory: 10 to 15 MB"."""
    _, comma, rest = claim.unit.partition(", ")
    return f"{claim.metric}{comma}{rest}: {catalogue.claimed_text(claim)}"


def tables_of(data: RecordData) -> dict[str, str]:
    """{system: a table of its claims} from a record's data, with the statement of each."""
    _, claims = catalogue.load()
    found: dict[str, list[str]] = {}
    for row in (data["summary"] or {})["claims"]:
        claim = claims.get(row["id"])
        if claim is None:
            raise PoolmarkError(f"the reference run has a claim {row['id']!r} that results/claims.toml does not have")
        found.setdefault(claim.system, ["| claim | said, and what it is judged by | measured | verdict | why |", "|---|---|---|---|---|"]).append(
            f"| `{claim.id}` | {markdown(claim.says)} *{markdown(judged_by(claim))}* | {markdown(row['shown'])} | "
            f"**{markdown(row['verdict'])}** | {markdown(row['why'])} |")
    return {system: "\n".join(lines) + "\n" for system, lines in found.items()}


def distance(claim: catalogue.Claim, value: float | None) -> float:
    """How far a value is from the claimed range, on the logarithm: 0 inside, infinite where there is no ratio. A gain in per cent is a ratio
    less one."""
    whole = 100.0 if claim.unit.startswith(("%", "percent")) else 0.0
    if value is None:
        return 0.0
    bound = claim.high if claim.high is not None and value > claim.high else claim.low if claim.low is not None and value < claim.low else value
    if bound == value:
        return 0.0
    return abs(math.log((whole + value) / (whole + bound))) if whole + value > 0 and whole + bound > 0 else math.inf


def furthest(data: RecordData) -> str:
    """The claims that do not hold, the furthest from their range first: at most FURTHEST."""
    _, claims = catalogue.load()
    rows = [row for row in (data["summary"] or {})["claims"] if row["verdict"] == FAILS]
    rows.sort(key=lambda row: -distance(claims[row["id"]], row["value"]))
    lines = ["| of | said | judged by | measured here |", "|---|---|---|---|"]
    for row in rows[:FURTHEST]:
        claim = claims[row["id"]]
        lines.append(f"| {SHORT.get(claim.system, claim.system)} | {markdown(claim.says)} | {markdown(judged_by(claim))} | **{markdown(row['shown'])}** |")
    return "\n".join(lines) + "\n"


def filled(text: str, tables: dict[str, str]) -> str:
    """The document with its tables. UsageError for a block of an unknown design."""
    systems = [*catalogue.load()[0], SURPRISING]

    def fill(match: re.Match[str]) -> str:
        if match[2] not in systems:
            raise UsageError(f"{DOCUMENT}: there is no design {match[2]!r}; there are: {', '.join(systems)}")
        return f"{match[1]}\n{tables.get(match[2], NOTHING)}\n{match[3]}"

    return BLOCK.sub(fill, text)


def current(root: Path) -> dict[Path, str]:
    """What the two documents should be."""
    folder = root / REFERENCE
    data = load(folder).data if record_in(folder) else None
    tables = tables_of(data) | {SURPRISING: furthest(data)} if data else {}
    return {name: filled((root / name).read_text(encoding="utf-8"), tables) for name in (DOCUMENT, FRONT)}


def write(root: Path) -> str:
    for name, text in current(root).items():
        new = root / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        os.replace(new, root / name)
    return f"{DOCUMENT}, {FRONT}: written" + ("" if record_in(root / REFERENCE) else f"; {REFERENCE} is not there, so they have no figures")
