# SPDX-License-Identifier: Apache-2.0
"""Repeats a search for the highest rate from its record: the verdict of each trial from its files, the rate of each trial from the
trials before it, and the answer from all of them. A trial that was left out, or judged otherwise, contradicts the rates after it."""
from typing import Any

from poolmark.base.forms import CellData, Metrics
from poolmark.limits import bounds, told
from poolmark.limits.search import Rules, Trial, answer, next_rate
from poolmark.limits.verdict import judge
from poolmark.records.read_record import Run

LEAST_RATE, MOST_RATE = 0.001, 1e9
# Faults of a record that was edited: fields of another type, or absent.
BROKEN = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)


def files_are_there(run: Run, cell: CellData) -> bool:
    """Whether the files of a trial that the record lists are there."""
    start = f"cells/{cell['id']}/load/"
    return all((run.folder / name).is_file() for name in run.data.get("files", {}) if name.startswith(start))


def wrong_trial(run: Run, cell: CellData) -> list[str]:
    """What a trial's verdict in the record does not follow from."""
    where = f"{cell['id']}: trial"
    try:
        config = run.data["config"]
        found = bounds.parse(config["bounds"], config["scenario"])
        made = judge(run.folder / "cells" / cell["id"] / "load", config["scenario"], found, cell.get("anomalies", []))
    except BROKEN as error:
        return [f"{where}: cannot be judged again: {type(error).__name__} {error}"]
    return [f"{where}: {name} is {cell['trial'].get(name)!r} in the record, its files give {value!r}" for name, value in made.items()
            if cell["trial"].get(name) != value]


def _wrong_order(run: Run, name: str, rules: Rules, trials: list[Trial]) -> list[str]:
    for number, trial in enumerate(trials):
        wanted = next_rate(rules, trials[:number])
        if wanted is None or abs(wanted - trial.rate) > 1e-6 * trial.rate:
            then = "the search was over" if wanted is None else f"{wanted:g} a second were next"
            return [f"{name}: trial {number + 1} is of {trial.rate:g} a second; after the trials before it {then}: one was left out, added "
                    "or judged otherwise"]
    if run.data["status"] == "complete" and next_rate(rules, trials) is not None:
        return [f"{name}: the record is complete, and the search has not ended after {len(trials)} trials"]
    return []


def answer_again(run: Run, cell: CellData) -> tuple[Metrics, list[str]]:
    """(metrics of an answer's cell, what is wrong with it)"""
    try:
        cells = next(trials for one, trials in told.cells_of(run.data) if one["id"] == cell["id"])
        rules, trials = Rules(**run.data["config"]["rules"]), [told.trial_of(one) for one in cells]
        if not all(LEAST_RATE <= rate <= MOST_RATE for rate in [rules.start, rules.least, rules.most, *(one.rate for one in trials)]):
            return {}, [f"{cell['id']}: a rate of the search is no rate"]
        found: Any = answer(rules, trials)
        wrong = _wrong_order(run, cell["id"], rules, trials)
        wrong += [f"{cell['id']}: answer: {name} is {cell['answer'].get(name)!r} in the record, its trials give {value!r}"
                  for name, value in told.facts_of(found).items() if cell["answer"].get(name) != value]
        return told.metrics_of(found, trials), wrong
    except (*BROKEN, StopIteration) as error:
        return {}, [f"{cell['id']}: its search cannot be repeated: {type(error).__name__} {error}"]
