# SPDX-License-Identifier: Apache-2.0
"""The memory curve of a steps run as one SVG: bytes over connections, both logarithmic, user memory as solid lines and
kernel memory dashed. Colours are told apart without red and green; each line also has a mark and a name of its own.
"""
import math
from html import escape
from pathlib import Path

from poolmark.model.capacity import read_steps
from poolmark.base.errors import PoolmarkError
from poolmark.records.read_record import Run
from poolmark.records.summary import short_names, stem
from poolmark.base.table import clean
from poolmark.base.units import show_bytes, show_count

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 250, 48, 56
# Okabe and Ito's palette.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
STYLE = """text { font: 13px sans-serif; fill: #222 } .small { font-size: 11px; fill: #555 } .grid { stroke: #ddd }
.back { fill: #fff } polyline { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #eee } .small { fill: #bbb } .grid { stroke: #444 } .back { fill: #16181c } }"""


def _decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


class _Scale:
    def __init__(self, low: float, high: float, start: float, end: float):
        self.low, self.high = math.log10(low), math.log10(high)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)


def _mark(number: int, x: float, y: float, colour: str, title: str) -> str:
    inside = f"<title>{escape(title)}</title>"
    if number % 3 == 0:
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}">{inside}</circle>'
    if number % 3 == 1:
        return f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="{colour}">{inside}</rect>'
    return f'<path d="M{x} {y - 5} L{x + 5} {y + 4} L{x - 5} {y + 4} Z" fill="{colour}">{inside}</path>'


def _series(run: Run) -> list[tuple[str, list, list]]:
    """(name, user points, kernel points) of each cell that has steps."""
    found = []
    for cell in run.data["cells"]:
        try:
            steps, _ = read_steps(cell)
        except PoolmarkError:
            continue
        user = [(step.connections, step.user_bytes) for step in steps if step.user_bytes and step.user_bytes > 0]
        kernel = [(step.connections, step.kernel_bytes) for step in steps if step.kernel_bytes and step.kernel_bytes > 0]
        if user:
            found.append((stem(cell), user, kernel))
    return found


def memory_svg(run: Run, title: str) -> str | None:
    """The plot; None when no cell has readings at steps."""
    series = _series(run)
    points = [point for _, user, kernel in series for point in user + kernel]
    if not points:
        return None
    x_marks = _decades(min(point[0] for point in points), max(point[0] for point in points))
    y_marks = _decades(min(point[1] for point in points), max(point[1] for point in points))
    x = _Scale(x_marks[0], max(x_marks[-1], x_marks[0] * 10), LEFT, WIDTH - RIGHT)
    y = _Scale(y_marks[0], max(y_marks[-1], y_marks[0] * 10), HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
           f'aria-label="memory over connections"><style>{STYLE}</style>',
           f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
           f'<text x="{LEFT}" y="24">{escape(clean(title))}: memory over connections</text>']
    for mark in x_marks:
        out.append(f'<line class="grid" x1="{x(mark)}" y1="{TOP}" x2="{x(mark)}" y2="{HEIGHT - BOTTOM}"/>'
                   f'<text class="small" text-anchor="middle" x="{x(mark)}" y="{HEIGHT - BOTTOM + 18}">{show_count(mark)}</text>')
    for mark in y_marks:
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y(mark)}" x2="{WIDTH - RIGHT}" y2="{y(mark)}"/>'
                   f'<text class="small" text-anchor="end" x="{LEFT - 8}" y="{y(mark) + 4}">{_si(mark)}</text>')
    out.append(f'<text text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}">connections</text>')
    names = short_names([name for name, _, _ in series])
    for number, (name, (_, user, kernel)) in enumerate(zip(names, series, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        for part, line, dash in (("user", user, ""), ("kernel", kernel, ' stroke-dasharray="6 4"')):
            if not line:
                continue
            path = " ".join(f"{x(count)},{y(size)}" for count, size in line)
            out.append(f'<polyline stroke="{colour}"{dash} points="{path}"/>')
            out += [_mark(number, x(count), y(size), colour,
                          f"{name}, {part}: {show_count(count)} connections, {show_bytes(size)}") for count, size in line]
        at = TOP + 20 + 44 * number
        edge = WIDTH - RIGHT + 20
        out.append(_mark(number, edge, at - 4, colour, name) + f'<text x="{edge + 12}" y="{at}">{escape(clean(name))}</text>')
        last = f"user {show_bytes(user[-1][1])}" + (f", kernel {show_bytes(kernel[-1][1])}" if kernel else "")
        out.append(f'<text class="small" x="{edge + 12}" y="{at + 16}">{last}</text>')
    out.append(f'<text class="small" x="{WIDTH - RIGHT + 20}" y="{HEIGHT - BOTTOM}">solid: user memory, dashed: kernel</text></svg>')
    return "\n".join(out) + "\n"


def _si(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"


def write(run: Run, title: str) -> Path | None:
    """memory.svg in the run's folder; gives its path, None when there is nothing to draw."""
    drawn = memory_svg(run, title)
    if drawn is None:
        return None
    path = run.folder / "memory.svg"
    try:
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise PoolmarkError(f"{path.name}: cannot be written: {error.strerror}") from error
    return path
