# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/capacity.md that come from committed runs: the held-out points of suite `forecast`, and the answer to the question that
the document begins with. `scripts/poolmark capacity --write` renews them; a test compares them."""
from pathlib import Path

from poolmark.base.table import markdown_table, markdown_text
from poolmark.model import held_out, needs, needs_told
from poolmark.model.asked import Asked
from poolmark.model.evidence import gather
from poolmark.records.read_record import Run
from poolmark.verify import reference

DOCUMENT = Path("docs/capacity.md")
FORECAST, LOADS = "forecast", "loads"       # folders of results/reference
COMMAND = f"scripts/poolmark suite {FORECAST}"
STRATEGY = "slab"
# --connections 300k --bytes 15k --rate 20k/s --p99 20ms --reserve 20 %
QUESTION = Asked(connections=300_000, each_bytes=15_000, each_text="15k", rate=20_000.0, p99_ns=20e6, reserve=0.2, strategy=STRATEGY)


def committed(root: Path) -> list[Run]:
    return [run for name in (FORECAST, LOADS) if (run := reference.record_of(name, root)) is not None]


def held(root: Path) -> str:
    """How far forecasts of the committed experiment were off, and whether that is within what was promised."""
    runs = committed(root)
    told = reference.source(runs[0] if runs and runs[0].data.get("suite") == FORECAST else None, COMMAND)
    if not runs:
        return told
    points, sides, left_out, verdicts = held_out.judged(runs, None)
    lines = [f"- {markdown_text(text)}: {'held' if holds else 'NOT HELD'}" for text, holds in verdicts]
    lines += [f"- left out, because others disturbed them: {len(left_out)}"] if left_out else []
    every = held_out.rows(points) + held_out.side_rows(sides)
    return told + "\n".join(lines) + "\n\n" + (markdown_table(held_out.HEAD, every, "lllrrrl") + "\n" if every else "")


def answer(root: Path) -> str:
    """The answer by these runs, as its paragraph to paste."""
    runs = committed(root)
    if not runs:
        return reference.source(None, COMMAND)
    facts = needs.answer(gather(runs, None), QUESTION, False)
    return "\n".join(f"> {markdown_text(line)}" for line in [needs_told.paragraph(facts), *facts["notes"]]) + "\n\n"


TABLES = {"held": held, "answer": answer}


def filled(text: str, root: Path) -> str:
    return reference.filled(text, DOCUMENT, "capacity", TABLES, root)
