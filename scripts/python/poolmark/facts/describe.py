# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark describe: the programs' descriptions (--describe), as JSON or as tables of the documents.

A document has a table of facts between two lines, `<!-- facts: NAME -->` and `<!-- end of facts -->`. --write updates these
tables. --check names the documents that differ; exit code 1.
"""
import argparse
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from poolmark.facts import described, metrics
from poolmark.base.errors import UsageError
from poolmark.base.forms import Json
from poolmark.base.paths import ROOT, build_dir, need_checkout
from poolmark.base.units import show_bytes, show_count

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "results/README.md", "docs/design.md", "docs/benchmarks.md", "docs/mix.md", "results/metrics.json")
BLOCK = re.compile(r"(<!-- facts: ([a-z]+) -->\n)(.*?)(<!-- end of facts -->)", re.S)
LATENCY = ("p50", "p99", "p99_9", "max", "mean", "count", "censored")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table. Definitions are Markdown already, but a bar in one must be escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def metric_row(metric: Json, name: str, definition: str) -> list[str]:
    decides = " (primary)" if metric["primary"] else ""
    return [f"`{name}`{decides}", metric["unit"] + (", may be below 0" if metric["signed"] else ""), metric["better"], definition]


def metrics_table(build: Path | None) -> str:
    """A line for each metric; the metrics of a latency share one line."""
    rows: list[list[str]] = []
    names = {one["name"] for one in described.catalogue(build)}
    for metric in described.catalogue(build):
        group, _, last = metric["name"].rpartition(".")
        if metric["name"] != f"{group}.p50" or f"{group}.count" not in names:
            if last in LATENCY and rows and rows[-1][0].startswith(f"`{group}.p50` ..."):
                if metric["primary"]:
                    rows[-1][0] += f", `.{last}` primary"
                continue
            rows.append(metric_row(metric, metric["name"], metric["definition"]))
        else:
            rows.append(metric_row(metric, metric["name"], metric["definition"].removesuffix(": median")))
            rows[-1][0] += f" ... `.{[part for part in LATENCY if f'{group}.{part}' in names][-1]}`"
    return table(["metric", "unit", "better", "what it is"], rows)


def engines_table(build: Path | None) -> str:
    return table(["engine", "what it is", "clients a process", "user memory a client", "a process", "can"], [
        [f"`{one['name']}`", one["summary"], f"{show_count(one['clients'])}, at most {show_count(one['clients_max'])}",
         show_bytes(one["client_bytes"]), show_bytes(one["process_bytes"]), ", ".join(one["capabilities"])]
        for one in described.engines(build).values()])


def strategies_table(build: Path | None) -> str:
    return table(["strategy", "what it is", "can"], [
        [f"`{one['name']}`", one["summary"], ", ".join(one["capabilities"])] for one in described.broker(build)["strategies"]])


def shapes_table(build: Path | None) -> str:
    """The shapes. Natural sizes depend on the broker's structures, so they are not given as numbers."""
    def size(shape: Json, key: str) -> str:
        return "the broker's own" if shape["natural"] and key in ("object_bytes", "arena_bytes") else f"{show_count(shape[key])} B"

    return table(["shape", "object", "read buffer", "write buffer", "arena", "taken"], [
        [f"`{one['name']}`", *(size(one, key) for key in ("object_bytes", "read_bytes", "write_bytes", "arena_bytes")),
         "when a connection arrives" if one["eager"] else "when it is needed"] for one in described.shapes(build).values()])


def scenarios_table(build: Path | None) -> str:
    told = described.loadgen(build)
    headings = tuple(f"{one['name']}: " for one in told["scenarios"])
    own = {row["name"] for row in told["options"] if (row["heading"] or "").startswith(headings)}
    return table(["scenario", "what it does", "options of its own"], [
        [f"`{one['name']}`", one["summary"], ", ".join(f"`--{name}`" for name in one["options"] if name in own)]
        for one in told["scenarios"]])


def keys_table(part: str, of: str) -> Callable[[Path | None], str]:
    """A function that makes the table of the keys of a scenario's file. `of`: what a key is for: roles, or acts."""
    def made(build: Path | None) -> str:
        keys = next(one["keys"] for one in described.scenarios(build).values() if "keys" in one)[part]
        every = max(len(row["of"]) for row in keys)
        rows = [[f"`{row['name']}`", "`true`" if row["kind"] == "flag" else row["argument"],
                 *(["all" if len(row["of"]) == every else ", ".join(row["of"])] if of else []),
                 row["help"] + (f" ({row['default']})" if row["default"] not in (None, "0") else "")] for row in keys]
        return table(["key", "value", *([of] if of else []), "what it is (default)"], rows)

    return made


TABLES = {"metrics": metrics_table, "engines": engines_table, "strategies": strategies_table, "shapes": shapes_table,
          "scenarios": scenarios_table, "groupkeys": keys_table("group", "role"), "phasekeys": keys_table("phase", ""),
          "actkeys": keys_table("act", "do")}


def filled(text: str, where: str, build: Path | None) -> str:
    """The document's text with the current tables. The one of JSON (facts/metrics.py) is such a table as a whole."""
    def fill(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise UsageError(f"{where}: there are no facts {match[2]!r}; there are: {', '.join(TABLES)}")
        return f"{match[1]}\n{TABLES[match[2]](build)}\n{match[4]}"

    return metrics.text_of(described.catalogue(build)) if where.endswith(".json") else BLOCK.sub(fill, text)


def documents(build: Path | None) -> dict[str, tuple[str, str]]:
    """name -> (current text, correct text)"""
    need_checkout("writing or checking documents")
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
    return {name: (text, filled(text, name, build)) for name, text in texts.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", choices=sorted(TABLES), help="print this table instead of JSON")
    parser.add_argument("--write", action="store_true", help="renew the tables of facts in the documents")
    parser.add_argument("--check", action="store_true", help="exit 1 where a document differs from the programs")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")


def run(args: argparse.Namespace) -> int:
    build = build_dir(args.build)
    if args.markdown:
        print(TABLES[args.markdown](build), end="")
        return 0
    if not args.write and not args.check:
        print(json.dumps({told["program"]: told for told in
                          (described.broker(build), described.loadgen(build), described.bench(build))}, indent=1))
        return 0
    differ = {name: wanted for name, (text, wanted) in documents(build).items() if text != wanted}
    for name, wanted in differ.items():
        if args.write:
            new = ROOT / f"{name}.new"
            new.write_text(wanted, encoding="utf-8")
            os.replace(new, ROOT / name)
        print(f"{name}: {'written' if args.write else 'differs; scripts/poolmark describe --write renews it'}")
    return 1 if differ and not args.write else 0
