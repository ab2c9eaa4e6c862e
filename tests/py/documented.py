# SPDX-License-Identifier: Apache-2.0
"""Which metrics of a run are in no program's catalogue, and which columns of its files are not as documented."""
import re
from pathlib import Path

from poolmark.facts import described
from poolmark.base.paths import ROOT, build_dir


def undocumented(names) -> list[str]:
    known = described.catalogue(build_dir())
    return sorted(name for name in set(names) if described.metric_of(name, known) is None)


def columns() -> dict[str, list[str]]:
    """{"memory.csv": [its columns]} as results/README.md has them, in its order."""
    text = (ROOT / "results" / "README.md").read_text()
    found: dict[str, list[str]] = {}
    for part in re.split(r"\n(?=`\w+\.csv`, )", text[text.index("## CSV files"):])[1:]:
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        found[re.match(r"`(\w+\.csv)`", part)[1]] = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return found


def undocumented_columns(folder: Path) -> list[str]:
    """Where a run's CSV file has other columns than the document."""
    known, wrong = columns(), []
    for path in folder.rglob("*.csv"):
        head = path.read_text().partition("\n")[0].split(",")
        if path.name in known and sorted(head) != sorted(known[path.name]):
            wrong.append(f"{path.name}: {sorted(set(head) ^ set(known[path.name]))}")
    return wrong
