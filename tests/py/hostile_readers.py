# SPDX-License-Identifier: Apache-2.0
"""What reads a record, in one process: each reader is called as its command calls it, and what it prints is looked at.

    taken = read(record, run, scratch, rng)     # by one reader, chosen by its weight

Exceptions other than PoolmarkError pass through, and so does an AssertionError for a text that is not safe to show: a control character
on a terminal or in a document, a script in a page or in Markdown, a formula in a table for a spreadsheet.
"""
import contextlib
import csv
import io
import json
import re
import shutil
from types import SimpleNamespace

from poolmark import cli
from poolmark.base.errors import PoolmarkError
from poolmark.ci import trend
from poolmark.compare import change_points, compare, history, verdict_markdown, verdict_out, verdict_page
from poolmark.model import plot
from poolmark.records import tables
from poolmark.report import report, user_account
from poolmark.run import merge
from poolmark.verify import verify

NEED = ("--connections", "300k", "--rate", "20k/s", "--p99", "20ms", "--connects", "100", "--cores", "8", "--memory", "1GiB", "--reserve", "20%")


# --- what may be shown


def plain(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), f"not safe to show: {line!r}"


def markdown(text: str) -> None:
    plain(text)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    assert "```" not in outside and "<script" not in outside, f"Markdown ends what it is in: {outside!r}"


def page(text: str) -> None:
    assert "<script>alert" not in text, "a page has a script of a record"
    plain(re.sub(r"\s", " ", text))


def sheet(text: str) -> None:
    usual = csv.field_size_limit(1 << 24)
    try:
        for row in csv.reader(io.StringIO(text)):
            assert not any(one.startswith("=cmd") for one in row), f"a formula: {row}"
    finally:
        csv.field_size_limit(usual)
    text.encode()


# --- readers: each takes (folder, run, the run as it was, a folder for what it writes)


def by_verify(folder, _run, _other, _scratch):
    verify.verify(folder, True)


def by_report(_folder, run, _other, _scratch):
    source = report.verified([run])
    drawn = report.charts(source)
    values = report.context(source, drawn, run.folder)
    markdown(report.render("report.md", values))
    page(report.render("report.html", values | {"drawing": report.drawing(drawn, [])}))
    for chart in drawn:
        sheet(report.as_csv(chart.rows))


def by_compare(_folder, run, other, _scratch):
    for pair in ((run.data, other.data), (other.data, run.data)):
        found = compare.compare(*pair)
        plain(verdict_out.as_table(found, True)), markdown(verdict_markdown.as_markdown(found)), verdict_out.as_junit(found)
        json.dumps(verdict_out.as_json(found))
        page(verdict_page.as_html(found, draw=lambda specs: ["" for _ in specs]))


def by_history(_folder, run, _other, scratch):
    (scratch / "history.sqlite").unlink(missing_ok=True)
    db = history.open_history(scratch / "history.sqlite")
    try:
        history.append(db, run.data, "no regression")
        every = history.series(db, history.fingerprint(run.data))
        points = change_points.find_all([one.values for one in every])
        found = list(zip(every, points, change_points.last_nights([one.values for one in every], points), strict=True))
        page(trend.page(found, draw=lambda specs: ["" for _ in specs])), plain("\n".join(trend.lines(found)))
    finally:
        db.close()


def by_merge(folder, _run, other, scratch):
    out = scratch / "merged"
    shutil.rmtree(out, ignore_errors=True)
    merge.run(SimpleNamespace(runs=[folder, other.folder], out=str(out), allow_different=["host", "build"]))


def by_summary(_folder, run, _other, _scratch):
    plain(tables.terminal(run.data, []))
    for name, text in tables.documents(run.data, "x", []).items():
        (markdown if name.endswith(".md") else sheet)(text)


def by_plot(_folder, run, _other, _scratch):
    json.dumps(plot.memory_spec(run, "x"))


def by_account(_folder, run, _other, _scratch):
    user_account.print_run(run)


def capacity(*words, beside=False):
    def call(folder, _run, other, _scratch):
        options, module = cli.parser("capacity")
        module.run(options.parse_args([str(folder), *([str(other.folder)] if beside else []), *words]))
    return call


# (reader, how often it is taken among the others): those that take long are rare
READERS = [
    (by_verify, 120), (by_summary, 200), (by_plot, 200), (by_account, 100), (by_compare, 20), (by_history, 15), (by_merge, 15), (by_report, 1),
    (capacity(), 3), (capacity("--markdown"), 2), (capacity("--check"), 1), (capacity("--check", "--json", beside=True), 1), (capacity(*NEED), 2),
    (capacity(*NEED, "--markdown"), 1), (capacity(*NEED, "--strategy", "slab", "--what-if", "shape=classic", "--json", beside=True), 1)]
CALLS, WEIGHTS = zip(*READERS, strict=True)


def read(folder, run, other, scratch, rng, call=None) -> bool:
    """Whether a reader took it. Exceptions other than PoolmarkError pass through."""
    call = call or rng.choices(CALLS, WEIGHTS)[0]
    taken, out = False, io.StringIO()
    with contextlib.suppress(PoolmarkError), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        call(folder, run, other, scratch)
        taken = True
    plain(out.getvalue())
    return taken
