# SPDX-License-Identifier: Apache-2.0
"""Tables for terminals, Markdown and CSV. Cells are text."""
import csv
import io
from collections.abc import Iterable, Sequence

from poolmark.base.escape import markdown as markdown_text
from poolmark.base.escape import spreadsheet
from poolmark.base.escape import terminal as clean

__all__ = ["clean", "csv_text", "markdown_table", "markdown_text", "text_table"]


def text_table(head: list[str], rows: Iterable[list[str]], align: str = "") -> str:
    """Columns are separated by two blanks. `align`: l or r for each column; by default the first is left, the others right."""
    align = align or "l" + "r" * (len(head) - 1)
    shown = [[clean(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    lines = []
    for row in shown:
        cells = [cell.rjust(width) if side == "r" else cell.ljust(width)
                 for cell, width, side in zip(row, widths, align, strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(head: list[str], rows: Iterable[list[str]], align: str = "") -> str:
    align = align or "l" + "r" * (len(head) - 1)
    lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("---:" if side == "r" else "---" for side in align) + "|")
    return "\n".join(lines)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([spreadsheet(value) for value in row] for row in rows)
    return out.getvalue()
