# SPDX-License-Identifier: Apache-2.0
"""The verdict of a comparison: cells paired by configuration, every metric judged, one answer over all.

A metric is a regression when the difference is significant over all metrics (q below ALPHA), its interval leaves out
"no change", it is larger than the noise floor, and it goes the wrong way. It is undecided when there are too few
repetitions for any answer, or when either side varies so much that a change worth knowing would not be seen: the floor,
or the interval of the change on its bad side, is above TOO_NOISY.
"""
import json
from dataclasses import dataclass, field

import numpy

from poolmark_lib import comparable, full_speed, raw_data
from poolmark_lib import statistics_of_pairs as statistics

ALPHA = 0.05
LEAST_SAMPLES = 4       # 4 against 4 is the least that Mann-Whitney can call different at 5 %
LEAST_FLOOR = 0.005     # half a percent is never a regression by itself
TOO_NOISY = 0.20        # a floor or an interval above this hides what one wants to know

OK, REGRESSION, INVALID, NOT_COMPARABLE = 0, 1, 2, 3
WORDS = {OK: "no regression", REGRESSION: "regression", INVALID: "invalid or too noisy",
         NOT_COMPARABLE: "not comparable"}


@dataclass
class Judged:
    cell: str            # its id without the repetition
    config: dict
    metric: str
    unit: str
    better: str
    base: list[float]
    candidate: list[float]
    files: dict = field(default_factory=dict)  # "base"/"candidate" -> [path in its run], the raw data behind the values
    p: float = 1.0
    q: float = 1.0
    effect: statistics.Effect | None = None
    floor: float = 0.0
    candidate_floor: float = 0.0
    broken: str = ""    # "over budget" or "under budget"
    verdict: str = "undecided"  # regression, improvement, same, undecided
    why: str = ""


@dataclass
class Verdict:
    base: dict
    candidate: dict
    rows: list[Judged]
    code: int = INVALID
    reasons: list[str] = field(default_factory=list)
    differences: list = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        return WORDS[self.code]

    def of(self, verdict: str) -> list[Judged]:
        return [row for row in self.rows if row.verdict == verdict]


def stem(cell_id: str) -> str:
    head, _, tail = cell_id.rpartition(".")
    return head if head and tail.isdigit() else cell_id


def by_config(run: dict) -> dict[str, list[dict]]:
    cells: dict[str, list[dict]] = {}
    for cell in run.get("cells", []):
        if cell["status"] == "complete":
            cells.setdefault(json.dumps(cell["config"], sort_keys=True), []).append(cell)
    return cells


def at_full_speed(cells: list[dict]) -> list[dict]:
    """Benchmarks: the repetitions that ran at the processor's full speed, when they are enough; else all."""
    full = [cell for cell in cells if (cell["metrics"].get(full_speed.FULL, {}).get("value") or 0.0) >= 1.0]
    return full if len(full) >= LEAST_SAMPLES else cells


def values(cells: list[dict], metric: str) -> list[float]:
    """One value a repetition; the raw samples only when there is no more than one repetition."""
    found = [cell["metrics"][metric] for cell in cells if metric in cell["metrics"]]
    if len(found) == 1 and len(found[0].get("samples", [])) > 1:
        return [float(value) for value in found[0]["samples"]]
    return [float(one["value"]) for one in found if one["value"] is not None]


def files_of(cells: list[dict], metric: str) -> list[str]:
    return [path for cell in cells for path in raw_data.files_behind(cell, metric)]


def pair(base: dict, candidate: dict) -> tuple[list[Judged], list[str]]:
    """Rows not yet judged, and what has no partner."""
    ours, theirs = by_config(base), by_config(candidate)
    rows, notes = [], []
    for key, cells in ours.items():
        name = stem(cells[0]["id"])
        if key not in theirs:
            notes.append(f"{name}: only in the baseline")
            continue
        measured = len(cells) + len(theirs[key])
        cells, theirs[key] = at_full_speed(cells), at_full_speed(theirs[key])
        left_out = measured - len(cells) - len(theirs[key])
        if left_out:
            notes.append(f"{name}: {left_out} of {measured} repetitions were not at the processor's full speed; left out")
        for metric, one in cells[0]["metrics"].items():
            if one["better"] == "none":
                continue
            row = Judged(name, cells[0]["config"], metric, one["unit"], one["better"], values(cells, metric),
                         values(theirs[key], metric), {"base": files_of(cells, metric),
                                                       "candidate": files_of(theirs[key], metric)})
            units = {cell["metrics"][metric]["unit"] for cell in theirs[key] if metric in cell["metrics"]}
            if units - {row.unit}:
                notes.append(f"{name}: {metric} is in {row.unit} and in {', '.join(sorted(units))}; left out")
            elif row.base and row.candidate:
                rows.append(row)
            else:
                notes.append(f"{name}: {metric} was measured on one side only")
    notes += [f"{stem(cells[0]['id'])}: only in the candidate" for key, cells in theirs.items() if key not in ours]
    return rows, notes


def measure(row: Judged, rng) -> None:
    row.effect = statistics.effect(row.base, row.candidate, rng)
    row.floor = max(LEAST_FLOOR, statistics.noise_floor(row.base, rng))
    row.candidate_floor = statistics.noise_floor(row.candidate, rng)
    row.p = statistics.mann_whitney(numpy.asarray(row.base), numpy.asarray(row.candidate))


def too_noisy(row: Judged, limit: float) -> str | None:
    """Why nothing can be said of a row that is not significant: the worst that its interval allows, or one side's own
    spread, is beyond the limit."""
    worst = row.effect.high if row.better == "lower" else -row.effect.low
    if worst > limit:
        return f"too noisy to tell: it may be {worst:.0%} worse"
    for side, floor in (("baseline", row.floor), ("candidate", row.candidate_floor)):
        if floor > limit:
            return f"too noisy to tell: the {side} differs from itself by {floor:.0%}"
    return None


def judge(row: Judged, budgets: list) -> None:
    change = row.effect.change if row.better == "lower" else -row.effect.change
    crosses = row.effect.low <= 0 <= row.effect.high
    accepted = [budget.max_worse_percent / 100 for budget in budgets if budget.max_worse_percent is not None
                and budget.covers(row.cell, row.metric)]
    for budget in budgets:
        broken = budget.covers(row.cell, row.metric) and budget.broken_by(float(numpy.median(row.candidate)),
                                                                                  row.unit)
        if broken:
            row.verdict, (row.broken, row.why) = "regression", broken
            return
    floor = min(accepted) if accepted else row.floor
    if min(len(row.base), len(row.candidate)) < LEAST_SAMPLES:
        row.why = f"{len(row.base)} and {len(row.candidate)} repetitions; it takes {LEAST_SAMPLES} on each side"
    elif row.q < ALPHA and not crosses and abs(change) > floor:
        row.verdict = "regression" if change > 0 else "improvement"
        row.why = f"q = {row.q:.2g}, beyond {'the budget' if accepted else 'the noise floor'} of {floor:.1%}"
    elif noise := too_noisy(row, max([TOO_NOISY, *accepted])):
        row.why = noise
    else:
        row.verdict = "same"
        row.why = "not significant" if row.q >= ALPHA or crosses else f"below the floor of {floor:.1%}"


def decide(verdict: Verdict) -> None:
    """The one answer, with its reasons."""
    if verdict.differences and not verdict.rows:
        verdict.code = NOT_COMPARABLE
        return
    statuses = {"baseline": verdict.base["status"], "candidate": verdict.candidate["status"]}
    unfinished = [f"the {side} is {status}" for side, status in statuses.items() if status != "complete"]
    regressions = verdict.of("regression")
    judged = [row for row in verdict.rows if row.verdict != "undecided"]
    if regressions:
        verdict.code = REGRESSION
        verdict.reasons = [f"{row.cell} {row.metric}: {row.why}" for row in regressions]
    elif not verdict.rows or len(judged) * 2 < len(verdict.rows):
        verdict.code = INVALID
        verdict.reasons = [f"{len(verdict.rows) - len(judged)} of {len(verdict.rows)} metrics are undecided"]
        few = [row for row in verdict.rows if min(len(row.base), len(row.candidate)) < LEAST_SAMPLES]
        if few:
            verdict.reasons.append(f"{len(few)} of them have too few repetitions: it takes at least {LEAST_SAMPLES} on each "
                                   "side, better 9 (--repetitions)")
        noisy = sum(row.verdict == "undecided" for row in verdict.rows) - len(few)
        if noisy:
            verdict.reasons.append(f"{noisy} of them are too noisy to tell: they could be {TOO_NOISY:.0%} worse and not be "
                                   "seen; a quieter host or more repetitions would say more")
    elif unfinished:
        verdict.code = INVALID
    else:
        verdict.code = OK
    verdict.reasons += unfinished


def compare(base: dict, candidate: dict, *, budgets=(), allowed=(), seed: int = 1, only=None) -> Verdict:
    """Judges two records' data. `allowed` are facts that may differ ("host.kernel"); `only(cell, metric)` picks rows."""
    found = [fact for fact in comparable.differences(base, candidate) if fact[0] not in allowed]
    if found:
        verdict = Verdict(base, candidate, [], differences=found)
        verdict.reasons = [f"{fact} differs: {ours} and {theirs}" for fact, ours, theirs in found]
        decide(verdict)
        return verdict
    rows, notes = pair(base, candidate)
    rows = [row for row in rows if only is None or only(row.cell, row.metric)]
    verdict = Verdict(base, candidate, rows, notes=notes)
    if not rows:
        verdict.code = NOT_COMPARABLE
        verdict.reasons = ["no configuration was measured in both"]
        return verdict
    rng = numpy.random.default_rng(seed)
    for row in rows:
        measure(row, rng)
    for row, q in zip(rows, statistics.benjamini_hochberg([row.p for row in rows])):
        row.q = q
        judge(row, list(budgets))
    decide(verdict)
    return verdict
