# SPDX-License-Identifier: Apache-2.0
"""Finds metrics of a run that no program's catalogue has, and file columns that differ from the document."""
import re
from pathlib import Path

from poolmark.facts import described
from poolmark.base.paths import ROOT, build_dir


def undocumented(names) -> list[str]:
    known = described.catalogue(build_dir())
    return sorted(name for name in set(names) if described.metric_of(name, known) is None)


def columns() -> dict[str, list[str]]:
    """{"memory.csv": [its columns]} from results/README.md, in its order."""
    text = (ROOT / "results" / "README.md").read_text()
    found: dict[str, list[str]] = {}
    for part in re.split(r"\n(?=`\w+\.csv`, )", text[text.index("## CSV files"):])[1:]:
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        found[re.match(r"`(\w+\.csv)`", part)[1]] = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return found


def undocumented_columns(folder: Path) -> list[str]:
    """Columns in which a run's CSV files differ from the document."""
    known, wrong = columns(), []
    for path in folder.rglob("*.csv"):
        head = path.read_text().partition("\n")[0].split(",")
        if path.name in known and sorted(head) != sorted(known[path.name]):
            wrong.append(f"{path.name}: {sorted(set(head) ^ set(known[path.name]))}")
    return wrong
