# SPDX-License-Identifier: Apache-2.0
"""Draws charts as SVG without a browser. Node.js runs the Vega libraries that the pages inline too. librsvg makes PNG of them.

    svgs([spec, ...]) -> [text, ...]       PoolmarkError when Node.js or a library is missing
    png(svg, file)                         False when rsvg-convert is not installed
"""
import json
import shutil
import subprocess
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.paths import BROUGHT, MODULES

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
SECONDS = 300
PNG_PROGRAM, PNG_PACKAGE = "rsvg-convert", "librsvg2-bin"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js")
INK = {"labelColor": "currentColor", "titleColor": "currentColor"}
# For charts that are inlined into a page: the page's text colour, a transparent background.
INLINED: Json = {"background": "transparent", "font": "system-ui, sans-serif", "axis": INK | {"gridColor": "#8884", "domainColor": "#888",
           "tickColor": "#888"}, "legend": INK, "header": INK, "title": {"color": "currentColor"}, "view": {"stroke": "#8884"},
           "text": {"color": "currentColor"}}


def svgs(specs: list[Json]) -> list[str]:
    """One SVG text a specification, in their order. Each specification contains its rows."""
    missing = [name for name in LIBRARIES if not (MODULES / name).is_file()]
    if missing:
        raise PoolmarkError(f"{missing[0]}: is not there; {BROUGHT}")
    try:
        done = subprocess.run(["node", str(Path(__file__).parent / "draw_svg.cjs"), *(str(MODULES / name) for name in LIBRARIES)],
                              input=json.dumps(specs), capture_output=True, text=True, check=False, encoding="utf-8",
                              timeout=SECONDS)
    except OSError as error:
        raise PoolmarkError(f"node: cannot be started: {error.strerror}; {BROUGHT}") from error
    except subprocess.TimeoutExpired as error:
        raise PoolmarkError(f"the charts could not be drawn within {SECONDS} s") from error
    if done.returncode:
        why = f"node was killed by signal {-done.returncode}" if done.returncode < 0 else done.stderr.strip()[-800:]
        raise PoolmarkError(f"the charts could not be drawn: {why}")
    try:
        drawn: list[str] = json.loads(done.stdout)
    except ValueError as error:
        raise PoolmarkError(f"the charts could not be drawn: node printed {done.stdout[:80]!r}") from error
    return drawn


def png(svg: Path, made: Path) -> bool:
    """The SVG as PNG, on white, with two dots a pixel, for documents that take no SVG."""
    program = shutil.which(PNG_PROGRAM)
    if not program:
        return False
    done = subprocess.run([program, "--zoom", "2", "--background-color", "white", "--output", str(made), str(svg)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise PoolmarkError(f"{made.name}: {PNG_PROGRAM}: {done.stderr.strip()[-400:]}")
    return True
