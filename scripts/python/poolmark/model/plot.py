# SPDX-License-Identifier: Apache-2.0
"""The memory curve of a steps run as one SVG: bytes over connections, both axes logarithmic. User memory has solid lines, kernel
memory dashed lines; each configuration has a colour."""
from pathlib import Path

from poolmark.base.draw import SCHEMA, svgs
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.table import clean
from poolmark.model.steps import read_steps
from poolmark.records.read_record import Run
from poolmark.records.summary import short_names, stem

# Okabe and Ito's palette, for readers who do not distinguish red and green.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"]
MIB = 1 << 20


def rows(run: Run) -> list[Json]:
    """User and kernel memory of each cell at each step, in MiB. Values not above zero are left out of the logarithmic axis."""
    found: list[tuple[str, str, float, float]] = []
    for cell in run.data.get("cells", []):
        try:
            steps, _ = read_steps(cell)
        except PoolmarkError:
            continue
        for part, name in (("user", "user_bytes"), ("kernel", "kernel_bytes")):
            found += [(stem(cell), part, step.connections, getattr(step, name)) for step in steps if (getattr(step, name) or 0) > 0]
    stems = list(dict.fromkeys(name for name, _, _, _ in found))
    short = dict(zip(stems, map(clean, short_names(stems)), strict=True))
    return [{"configuration": short[name], "memory": part, "connections": count, "memory_mib": size / MIB}
            for name, part, count, size in found]


def memory_spec(run: Run, title: str) -> Json | None:
    """The chart; None when no cell has readings at steps."""
    values = rows(run)
    if not values:
        return None
    counts = {"labelExpr": "format(datum.value, '~s')", "labelOverlap": "greedy", "tickCount": 6}
    return {"$schema": SCHEMA, "title": f"{clean(title)}: memory over connections", "width": 640, "height": 400,
            "background": "white", "data": {"values": values}, "mark": {"type": "line", "point": True}, "encoding": {
                "x": {"field": "connections", "type": "quantitative", "scale": {"type": "log"}, "axis": counts},
                "y": {"field": "memory_mib", "type": "quantitative", "title": "MiB", "scale": {"type": "log"},
                      "axis": {"format": ",~r", "labelOverlap": True}},
                "color": {"field": "configuration", "type": "nominal", "scale": {"range": COLOURS},
                          "legend": {"labelLimit": 300}},
                "strokeDash": {"field": "memory", "type": "nominal", "sort": ["user", "kernel"], "scale": {
                    "domain": ["user", "kernel"], "range": [[1, 0], [6, 4]]}, "legend": {"symbolType": "stroke", "symbolStrokeColor": "#555"}},
                "detail": [{"field": "memory"}]}}


def write(run: Run, title: str) -> Path | None:
    """Writes memory.svg into the run's folder; returns its path, or None without data."""
    spec = memory_spec(run, title)
    if spec is None:
        return None
    path = run.home / "memory.svg"
    try:
        path.write_text(svgs([spec])[0], encoding="utf-8")
    except OSError as error:
        raise PoolmarkError(f"{path.name}: cannot be written: {error.strerror}") from error
    return path
