# SPDX-License-Identifier: Apache-2.0
"""The figures and tables of an experiment of `sensitivity`, from its comparisons.jsonl: cells, summary.table, sensitivity.md and .csv.

What a comparison said is in comparisons.jsonl alone: its runs are not kept.
"""
from dataclasses import replace

from poolmark.base.errors import RecordError
from poolmark.base.forms import value_of
from poolmark.compare import comparisons, sensitivity
from poolmark.records.read_record import Run
from poolmark.verify.account import ABSENT, Account


def _read(run: Run) -> tuple[list[sensitivity.Trial], comparisons.Results, int | None] | None:
    """(trials, comparisons of each, repetitions that were asked for); None without the comparisons."""
    path = run.folder / comparisons.STATE
    if not path.is_file():
        return None
    results = comparisons.read(path)
    known = {trial.name: trial for trial in sensitivity.TRIALS}
    if unknown := [name for name in results if name not in known]:
        raise RecordError(path, "trial", f"there is no kind of comparison {unknown[0]!r}")
    asked = run.data.get("config", {}).get("repetitions") or {}
    trials = [replace(known[name], variables=results[name][0].variables) if results.get(name) else known[name]
              for name in asked if name in known]
    given = {count for name, count in asked.items() if name in known and count != known[name].repetitions}
    return trials, results, given.pop() if len(given) == 1 else None


def documents(run: Run) -> dict[str, str]:
    found = _read(run)
    if found is None:
        return {}
    trials, results, repetitions = found
    return sensitivity.documents(run.data, trials, {trial.name: results.get(trial.name, []) for trial in trials}, repetitions)


def account(run: Run, account: Account) -> None:
    found = _read(run)
    cells = {cell["id"]: cell for cell in run.data.get("cells", [])}
    if found is None:
        for name, one_cell in cells.items():
            for metric in one_cell["metrics"]:
                account.leave(ABSENT, f"{name}: {metric}")
        return
    trials, results, repetitions = found
    wanted = {trial.name: trial.wanted for trial in trials}
    for name, done in results.items():
        for number, one in enumerate(done, 1):
            cell = cells.get(f"{name}.{number}")
            if cell is None:
                account.wrong.append(f"{name}.{number}: {comparisons.STATE} has this comparison, the record does not")
                continue
            del cells[f"{name}.{number}"]
            if one.right != (one.exit_code == wanted.get(name)):
                account.wrong.append(f"{name}.{number}: {comparisons.STATE}: right is {one.right!r} and the exit code {one.exit_code}")
            for metric, value in sensitivity.figures(one).items():
                account.compare(f"{name}.{number}: ", metric, value_of(cell["metrics"], metric), [value])
    account.wrong += [f"{name}: the record has this comparison, {comparisons.STATE} does not" for name in cells]
    table = (run.data.get("summary") or {}).get("table")
    made = [sensitivity.HEADS, *sensitivity.lines_of(trials, results, repetitions, sensitivity.is_older(run.data))]
    if table is not None and table != made:
        account.wrong.append(f"summary.table: is not what {comparisons.STATE} gives")
