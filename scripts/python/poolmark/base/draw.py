# SPDX-License-Identifier: Apache-2.0
"""Draws charts as SVG without a browser. Node.js runs the Vega libraries that the pages inline too.

    svgs([spec, ...]) -> [text, ...]       PoolmarkError when Node.js or a library is missing
"""
import json
import subprocess
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import BROUGHT, MODULES

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js")
INK = {"labelColor": "currentColor", "titleColor": "currentColor"}
# For charts that are inlined into a page: the page's text colour, a transparent background.
INLINED = {"background": "transparent", "font": "system-ui, sans-serif", "axis": INK | {"gridColor": "#8884", "domainColor": "#888",
           "tickColor": "#888"}, "legend": INK, "header": INK, "title": {"color": "currentColor"}, "view": {"stroke": "#8884"},
           "text": {"color": "currentColor"}}


def svgs(specs: list[dict]) -> list[str]:
    """One SVG text a specification, in their order. Each specification contains its rows."""
    try:
        done = subprocess.run(["node", str(Path(__file__).parent / "draw_svg.cjs"), *(str(MODULES / name) for name in LIBRARIES)],
                              input=json.dumps(specs), capture_output=True, text=True, check=False, encoding="utf-8")
    except OSError as error:
        raise PoolmarkError(f"node: cannot be started: {error.strerror}; {BROUGHT}") from error
    if done.returncode:
        raise PoolmarkError(f"the charts could not be drawn: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout)
