# SPDX-License-Identifier: Apache-2.0
"""The table of docs/ten-million-connections.md that comes from a committed run: does a figure of the target depend on the number of ranks?
`scripts/poolmark cluster --write` renews it; a test compares it."""
from pathlib import Path

from poolmark.base.table import markdown_table
from poolmark.records import summary
from poolmark.records.beside import figure_label
from poolmark.verify import reference

DOCUMENT = Path("docs/ten-million-connections.md")
SUITE = "cluster"
COMMAND = f"scripts/poolmark suite {SUITE}"
HEAD = ["figure", "ranks", "medians of all runs, and their range", "runs of each", "verdict"]


def same(root: Path) -> str:
    """Each [[ratio]] of the suite with its verdict."""
    run = reference.record_of(SUITE, root)
    if run is None:
        return reference.source(None, COMMAND)
    found = [summary.ratio_of(run.data.get("cells", []), ratio) for ratio in run.data["config"].get("ratios") or []]
    rows = [[figure_label(one.metric), " / ".join(one.sides), one.middles(), f"{len(one.ours)} and {len(one.theirs)}", one.verdict] for one in found if one]
    return reference.source(run, COMMAND) + markdown_table(HEAD, rows, "llrrl") + "\n"


TABLES = {"same": same}


def filled(text: str, root: Path) -> str:
    return reference.filled(text, DOCUMENT, "cluster", TABLES, root)


def renew(root: Path, write: bool) -> int:
    """The exit code: 1 where it differs and was not to be written."""
    return reference.renew(DOCUMENT, lambda text: filled(text, root), write, "cluster")
