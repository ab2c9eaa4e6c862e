# SPDX-License-Identifier: Apache-2.0
"""Compares a report in the folder of its run with a new one of the same run. `verify` calls it.

A report of several runs is not compared: the others are elsewhere. Neither is one of a record that is damaged, since it says so
itself. Charts as pictures are known by name; they are drawn, and their data are beside them.
"""
import contextlib
import re

from poolmark.base.errors import PoolmarkError
from poolmark.records.read_record import Run
from poolmark.records.record import sha256
from poolmark.report import report
from poolmark.report.report_charts import charts
from poolmark.report.source import Source
from poolmark.verify import derived
from poolmark.verify.account import Account

FOLDER = "report/"
CITED = re.compile(r"SHA-256 of run\.json ([0-9a-f]{64})")
PICTURES = "pictures of a report, whose data are compared"
SEVERAL = "of a report of several runs"
OF_DAMAGED = "of a report of a record that is damaged"


def _text(run: Run, name: str) -> str:
    with open(run.folder / FOLDER / name, encoding="utf-8", newline="") as file:
        return file.read()


def _made(run: Run, names: list[str], whole: bool) -> dict[str, str]:
    """The report's texts as they would be made now. Its page only where it has to be the same."""
    source = Source([run])
    source.damage[run.id] = []
    drawn = charts(source)
    values = report.context(source, drawn, run.folder / "report")
    made = report.texts(drawn, values)
    if whole and "report.html" in names:
        with contextlib.suppress(PoolmarkError):  # a library of charts is not installed
            made["report.html"] = report.page(drawn, values)
    return made


def _compare(run: Run, names: list[str], account: Account) -> None:
    listed = run.data.get("files", {})
    there = all((run.folder / name).is_file() for name in listed)
    # Charts and what they lack depend on the raw files that were there when the report was made.
    whole = there and derived.same_version(run.data)
    made = _made(run, names, whole)
    for name in names:
        if name.endswith((".svg", ".png")):
            account.leave(PICTURES, FOLDER + name)
        elif name not in made or name.endswith(".csv") and not there:
            account.leave(derived.NOT_MADE, FOLDER + name)
        else:
            derived.compare(FOLDER + name, _text(run, name), made[name], account, whole)


def check(run: Run, added: list[str], account: Account, wrong: list[str]) -> list[str]:
    """Compares the files of report/ among `added`; adds faults to `wrong`. Returns those of `added` that are none of a report's."""
    names = [name.removeprefix(FOLDER) for name in added if name.startswith(FOLDER)]
    ours = [name for name in names if re.fullmatch(r"report\.(html|md)|data/[\w-]+\.csv|[\w-]+\.(svg|png)", name)]
    rest = [name for name in added if name.removeprefix(FOLDER) not in ours or not name.startswith(FOLDER)]
    if "report.md" not in ours:
        return added
    before = len(account.wrong)
    try:
        cited = CITED.findall(_text(run, "report.md"))
        if set(cited) != {sha256(run.folder / "run.json")}:
            if len(set(cited)) > 1 and sha256(run.folder / "run.json") in cited:
                account.leave(SEVERAL, FOLDER)
            else:
                wrong.append(f"{FOLDER}report.md: is of another run.json than the one beside it")
        elif wrong:
            account.leave(OF_DAMAGED, FOLDER)
        else:
            _compare(run, ours, account)
    except (PoolmarkError, OSError, *derived.WRONG_DATA) as error:
        account.leave(derived.NOT_MADE, f"{FOLDER}: {error}")
    wrong += account.wrong[before:]
    return rest
