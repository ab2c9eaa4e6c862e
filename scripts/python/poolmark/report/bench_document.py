# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/benchmarks.md that come from committed runs: scripts/poolmark bench --write renews them, --check compares them.

Their figures are those of run.json: medians, and of headlines the intervals. What nobody has measured says so.
"""
import re
from collections.abc import Sequence
from pathlib import Path

from poolmark.base.forms import CellData, Json, value_of
from poolmark.base.paths import ROOT
from poolmark.bench.bench_headlines import Headline
from poolmark.bench.bench_plan import FLOOR, UNTIL_DECIDED
from poolmark.bench.bench_statistics import CONFIDENCE, Spread
from poolmark.base.units import show_ns
from poolmark.bench.bench_tables import Columns, show
from poolmark.records.read_record import Run
from poolmark.verify import reference
from poolmark.verify.reference import UNKNOWN, record_of, source, table

DOCUMENT = Path("docs/benchmarks.md")

MEMORY: Columns = (("most in use: memory / live bytes", "peak_ratio", 1), ("of it in huge pages", "peak_huge_share", 1),
                   ("read, ns", "peak_read_ns", 1), ("fewest in use: memory / live bytes", "end_ratio", 1),
                   ("in huge pages", "end_huge_share", 1), ("read, ns ", "end_read_ns", 1), ("a get, its writing and a put, ns", "time", 1))
MIXED: Columns = (("ns", "time", 1),)
COLD: Columns = (("first touch, ns", "time", 1), ("faults each", "faults_each", 1), ("in huge pages, MiB", "huge_bytes", 1 << 20),
                 ("open, us", "open_ns", 1e3))


def spread_of(headline: Json) -> Spread:
    return Spread(headline["rounds"], headline["median"], headline["q1"], headline["q3"], 0.0, headline["low"], headline["high"],
                  headline["low"], headline["high"], headline["confidence"])


def interval(headline: Json) -> str:
    """Of a time in ns."""
    return (f"{show_ns(headline['median'])} ({show_ns(headline['low'])} to {show_ns(headline['high'])}; "
            f"{headline['rounds']} rounds, {headline['confidence'] * 100:.0f} %)")


def apart(one: Json, other: Json) -> str:
    """Whether a pool's tail differs from that of a call without a pool."""
    if min(one["confidence"], other["confidence"]) < CONFIDENCE:
        return "not told apart"
    if one["low"] > other["high"]:
        return "longer"
    return "shorter" if one["high"] < other["low"] else "not told apart"


def tails(root: Path) -> str:
    """The tails of single gets, with what the host does to a call without a pool."""
    run = record_of("bench", root)
    found = {one["name"]: one for one in (run.data.get("summary") or {}).get("headlines", [])} if run else {}
    rows = []
    for workload, _, what in UNTIL_DECIDED:
        named = {match[1]: one for name, one in found.items() if (match := re.match(rf"{workload}: (\w+), ", name))}
        bare = named.get(FLOOR)
        for contender, one in named.items():
            if contender != FLOOR:
                told = Headline(one["name"], spread_of(one), one["unit"], one["aim"]).told()
                if one["confidence"] < CONFIDENCE:
                    told = f"{told.partition(':')[0]}: not shown by {one['rounds']} rounds"
                rows.append([f"`{workload}` ({what})", f"`{contender}`", interval(one), interval(bare) if bare else UNKNOWN,
                             apart(one, bare) if bare else "-", told])
    head = ["workload", "pool", "p99.99 of a get", "the same without a pool (`bare`)", "the pool's is", "aim"]
    return source(run, "scripts/poolmark bench") + table(head, rows or [[f"`{workload}`", *[UNKNOWN] * 5] for workload, _, _ in UNTIL_DECIDED])


def rows_of(cells: Sequence[CellData], workload: str, columns: Columns) -> list[list[str]]:
    """A row a contender, by the name of its benchmark: WORKLOAD/CONTENDER/BYTES."""
    rows = []
    for cell in cells:
        name, contender = cell["id"].split("/")[:2]
        if name == workload and cell["metrics"]:
            values = [value_of(cell["metrics"], metric) for _, metric, _ in columns]
            rows.append((value_of(cell["metrics"], "time") or 0.0, [f"`{contender}`", *(
                "-" if value is None else show(value / divisor) for value, (_, _, divisor) in zip(values, columns, strict=True))]))
    return [row for _, row in sorted(rows)]


def of_set(run: Run | None, parts: Sequence[tuple[str, str, Columns]]) -> str:
    """A table for each of (workload, words, columns)."""
    cells = run.data["cells"] if run else []
    return "\n".join(f"{words}:\n\n" + table(["contender", *(head.strip() for head, _, _ in columns)], rows_of(cells, workload, columns)
                                            or [["-", *[UNKNOWN] * len(columns)]]) for workload, words, columns in parts)


def wear(root: Path) -> str:
    run = record_of("wear", root)
    return source(run, "scripts/poolmark bench --set wear") + of_set(run, (
        ("wear", "`wear`, an hour of churn of six sizes in a minute", MEMORY),
        ("mixed", "`mixed`, six sizes, the first line of each written, an operation is a put and a get", MIXED),
        ("cold_huge", "`cold_huge`, the first touch of objects of a pool just opened, huge pages allowed", COLD),
        ("cold_preheated_huge", "`cold_preheated_huge`, the same after a preheat", COLD)))


TABLES = {"tails": tails, "wear": wear}


def filled(text: str, root: Path) -> str:
    return reference.filled(text, DOCUMENT, "bench", TABLES, root)


def renew(write: bool) -> int:
    return reference.renew(DOCUMENT, lambda text: filled(text, ROOT), write, "bench")
