# SPDX-License-Identifier: Apache-2.0
"""The metrics that results/README.md names, to hold them against those of a run."""
import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "results" / "README.md"
LATENCY = "(p50|p99|p99_9|max|mean|count)"


def patterns() -> list[str]:
    """A regular expression for each name in the table of metrics: N is a number, POOL a pool's name, * one of a latency's
    six, and a name that begins with a dot goes on from the one before it."""
    text = README.read_text()
    found, family = [], ""
    for line in text[text.index("| metric | unit |"):text.index("## CSV files")].splitlines()[2:]:
        for name in re.findall(r"`([^`]+)`", line.split("|")[1] if "|" in line else ""):
            if name.startswith("."):
                name = family + name
            family = re.match(r"(?:step\.N(?:\.POOL)?|[^.]*)", name)[0]
            found.append(re.escape(name).replace(r"\*", LATENCY).replace(r"step\.N\.", r"step\.\d+\.")
                         .replace("POOL", "[a-z]+"))
    return found


def undocumented(names) -> list[str]:
    known = re.compile("|".join(patterns()))
    return sorted(name for name in set(names) if not known.fullmatch(name))
