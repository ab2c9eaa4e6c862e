# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark report RUN...: writes one self-contained page (it needs no network and opens from disk), the same as Markdown,
and the data of each chart as CSV. --static DIR writes every chart as SVG and PNG, without a browser. --serve shows the page on
127.0.0.1.

Each record is verified first, as by `verify --present`; a cell of which no file is there, while others have theirs, is damage too
(unless --present). Damage is named at the top of the page and on the terminal, damaged files are not used for charts,
and the exit code is 1.

All text of a record is escaped: jinja2 escapes the text, and what draws the charts is compressed and in base64, which ends no
script. That keeps a page near half a megabyte: most of it is the drawing library.
"""
import argparse
import csv
import io
import sys
from pathlib import Path

from poolmark.report import report_text, two_runs_told
from poolmark.report.answer import answer
from poolmark.base.draw import LIBRARIES, PNG_PACKAGE, PNG_PROGRAM, png, svgs
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.escape import markdown as in_markdown
from poolmark.base.escape import packed, spreadsheet
from poolmark.base.escape import terminal as plain
from poolmark.base.forms import Json
from poolmark.base.options import count
from poolmark.base.paths import BROUGHT, CALLED, MODULES, for_people
from poolmark.records.packed import PACKED
from poolmark.records.read_record import Run, bad_files, load
from poolmark.report.report_charts import Chart, charts
from poolmark.report.serve import serve
from poolmark.report.source import Source, cells_of
from poolmark.base.units import plural
from poolmark.verify.counts import lost_cells
from poolmark.verify.complaints import complaints, damage_told

SCRIPTS = (*LIBRARIES, "vega-embed/build/vega-embed.min.js")
TEMPLATES = Path(__file__).parent / "templates"
RAW_SHOWN = 400
SHOWN = 50      # faults named of a record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, its run.json, an id, or 'latest'")
    parser.add_argument("--present", action="store_true",
                        help="only files that are there: a cell whose files were all left out is no fault")
    parser.add_argument("--out", metavar="DIR", help="where to write (report/ in the folder of the first run)")
    parser.add_argument("--static", metavar="DIR", help="write every chart as SVG and PNG into this folder as well")
    parser.add_argument("--serve", metavar="PORT", nargs="?", type=count(0, 65535), const=0,
                        help="then show the page on 127.0.0.1 until Ctrl-C (port 0 or none: a free one)")


def as_csv(rows: list[Json]) -> str:
    """Fields quoted as in RFC 4180; lines end with LF."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0].keys())
    writer.writerows([spreadsheet(plain(value) if isinstance(value, str) else value) for value in row.values()] for row in rows)
    return out.getvalue()


def library(name: str) -> str:
    path = MODULES / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PoolmarkError(f"{for_people(path)}: {error.strerror}; {BROUGHT}") from error


def raw_files(source: Source, out: Path) -> list[tuple[str, str, str | None]]:
    """(cell, short name, link from the page) of the raw data behind the charts. Missing files, files outside of the run's folder, and
    those of a packed record have no link."""
    import os

    link: str | None
    found: list[tuple[str, str, str | None]] = []
    for run, cell, name_ in source.cells():
        for name, path in cell.get("files", {}).items():
            try:
                link = None if run.packed_in else Path(os.path.relpath(run.file(path), out.resolve())).as_posix()
            except RecordError:
                link = None
            found.append((name_.label, name, link))
    return found


ROLES = ("Baseline", "Candidate")


def context(source: Source, drawn: list[Chart], out: Path) -> Json:
    runs: list[Json] = []
    verdict = two_runs_told.verdict_of(source)
    roles = ROLES if verdict and verdict.tables else ("",) * len(source.runs)
    for run, role in zip(source.runs, roles, strict=True):
        commands = [(cell["id"], [" ".join(words) for words in cell.get("commands", [])])
                    for cell in cells_of(run) if cell.get("commands")]
        # Charts and tables name a run of several by the end of its id (source.name).
        named = f"{role}, ({run.id[-4:]}) in charts and tables: " if role else ""
        runs.append({"title": report_text.title(run), "role": named, "run": run.data, "answer": answer(source, run),
                     "tables": report_text.tables(source, run), "notes": report_text.notes(source, run),
                     "accounts": report_text.account_tables(source, run), "ranks": report_text.ranks_table(run),
                     "facts": report_text.facts(run), "anomalies": report_text.anomalies(run),
                     "cite": report_text.cite(run), "damage": source.damage[run.id], "commands": commands[:RAW_SHOWN]})
    title = f"{runs[0]['title'].partition(':')[0]}, two runs: what changed" if roles[0] else runs[0]["title"]
    raw = raw_files(source, out)
    absent = sum(link is None for _, _, link in raw)
    where = f"left out of this copy, or in {PACKED}" if any(run.packed_in for run in source.runs) else "left out of this copy"
    return {"runs": runs, "title": title, "verdict": verdict, "charts": drawn, "problems": source.problems, "raw": raw[:RAW_SHOWN],
            "more": f"{len(raw) - RAW_SHOWN} more in run.json." if len(raw) > RAW_SHOWN else "",
            "raw_files": plural(len(raw), "file"),
            "absent": f"{plural(absent, 'file')} without a link: {where}." if absent else ""}


def render(template: str, values: Json) -> str:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=template.endswith(".html"),
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(md=in_markdown, packed=packed, plain=plain)
    return environment.get_template(template).render(**values)


def draw_static(drawn: list[Chart], folder: Path) -> bool:
    """SVG of every chart, and PNG; False when there is no program for PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    also_png = True
    for chart, text in zip(drawn, svgs([spec_with_rows(chart) for chart in drawn]), strict=True):
        file = folder / f"{chart.name}.svg"
        file.write_text(text, encoding="utf-8")
        also_png = also_png and png(file, file.with_suffix(".png"))
    return also_png


def spec_with_rows(chart: Chart) -> Json:
    return chart.spec | {"datasets": {"rows": chart.rows}}


def drawing(drawn: list[Chart], libraries: list[str]) -> Json:
    """What a page needs for its charts: the scripts that draw, each chart, and its rows for download."""
    return {"libraries": libraries, "specs": [{"name": chart.name, "spec": spec_with_rows(chart)} for chart in drawn],
            "csv": {chart.name: as_csv(chart.rows) for chart in drawn}}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def verified(runs: list[Run], present: bool = False) -> Source:
    """The runs, the damage of each, and the files that charts must not use. `present`: a cell without files is no damage."""
    source = Source(runs)
    for run in runs:
        found = complaints(run, present=True)[0]
        source.unsound[run.id] = damage_told(run, found)
        wrong = found + ([] if present else lost_cells(run))
        more = [f"and {len(wrong) - SHOWN} more; {CALLED} verify {run.id} names them"] if len(wrong) > SHOWN else []
        source.damage[run.id] = wrong[:SHOWN] + more
        source.bad[run.id] = set(bad_files(run))
    return source


def page(drawn: list[Chart], values: Json) -> str:
    """report.html."""
    return render("report.html", values | {"drawing": drawing(drawn, [library(name) for name in SCRIPTS])})


def texts(drawn: list[Chart], values: Json) -> dict[str, str]:
    """{name in the report's folder: text} of all that is not the page."""
    return {"report.md": render("report.md", values), **{f"data/{chart.name}.csv": as_csv(chart.rows) for chart in drawn}}


def make(runs: list[Run], out: Path, static: Path | None = None, present: bool = False) -> Source:
    """Writes the report of `runs` into `out`; returns the source with its problems."""
    source = verified(runs, present)
    drawn = charts(source)
    values = context(source, drawn, out)
    documents = {"report.html": page(drawn, values), **texts(drawn, values)}
    try:
        for name, text in documents.items():
            write(out / name, text)
        if static is not None and not draw_static(drawn, static):
            print(f"no PNG: {PNG_PROGRAM} is not installed (Debian: {PNG_PACKAGE})", file=sys.stderr)
    except OSError as error:
        raise PoolmarkError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return source


def run(args: argparse.Namespace) -> int:
    runs = [load(where) for where in args.runs]
    if len({one.id for one in runs}) < len(runs):
        raise UsageError("a run was named twice")
    out = Path(args.out) if args.out else runs[0].home / "report"
    source = make(runs, out, Path(args.static) if args.static else None, args.present)
    damage = [(one, text) for one in runs for text in source.damage[one.id]]
    for one, text in damage:
        print(f"not as recorded: {one.id}: {plain(text)}")
    for problem in source.problems:
        print(f"left out: {plain(problem)}")
    print(f"{for_people(out)}/report.html ({(out / 'report.html').stat().st_size / 1e6:.2f} MB), report.md, data/")
    if args.serve is not None:
        serve(out / "report.html", [one.home for one in runs], args.serve)
    return 1 if damage else 0
