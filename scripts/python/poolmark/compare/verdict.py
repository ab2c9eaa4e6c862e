# SPDX-License-Identifier: Apache-2.0
"""The verdict of a comparison: pairs cells by configuration, judges every metric, gives one answer.

Primary metrics decide (primary.py). Each is one test in each cell, and one more over all cells when there are several
(permutation.py). All tests together raise a false alarm in at most 5 of 100 comparisons: 4 for the primary metrics, 1 for all
others. A metric is

- a regression when its corrected p-value is below that level and the change is beyond the noise floor, or when a budget is
  broken. max_worse_percent is broken when the whole interval is beyond it.
- the same when a worsening of the size `finds` would have been found 19 times in 20, that size is small enough to be useful, and
  a larger worsening is excluded (equivalence by an interval, as TOST).
- undecided in all other cases, with what would decide it. An interval beyond the floor is never "same".
"""
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy

from poolmark.base.distributions import heads_at_least, normal_above, t_beyond, t_quantile
from poolmark.base.forms import RecordData
from poolmark.base.units import plural
from poolmark.facts import comparable
from poolmark.compare import blocks, how_much, permutation, primary
from poolmark.compare import statistics_of_pairs as statistics
from poolmark.compare.asked import Budget, direction_by, has_bound, idle_budgets, unmatched_why
from poolmark.compare.blocks import Array
from poolmark.compare.how_much import beyond, losses_first, show, would_decide, worse_by
from poolmark.compare.pairing import COMBINED, NOT_COMPLETE, Judged, one_side_told, pair, shared_runs, with_cells
from poolmark.compare.power import TARGET_POWER, limit_of

ALPHA = 0.05
ALPHA_PRIMARY, ALPHA_OTHERS = 0.04, 0.01
MOST_REACH = 5.0        # on the logarithm; a change of a factor above 150 counts as never found
LEAST_FLOOR = 0.005     # half a percent alone is never a regression

OK, REGRESSION, INVALID, NOT_COMPARABLE = 0, 1, 2, 3
WORDS = {OK: "no regression", REGRESSION: "regression", INVALID: "undecided", NOT_COMPARABLE: "not comparable"}


@dataclass
class Verdict:
    base: RecordData
    candidate: RecordData
    rows: list[Judged]
    code: int = INVALID
    reasons: list[str] = field(default_factory=list)
    differences: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    one_sided: list[str] = field(default_factory=list)  # primary metrics with a value on one side only
    on_neither: list[str] = field(default_factory=list)  # metrics that are primary by name, without a value on both sides
    missing: list[str] = field(default_factory=list)    # cells and primary metrics of the baseline that the candidate lacks
    idle: list[str] = field(default_factory=list)       # budgets that cover nothing
    shown_by_cells: list[Judged] = field(default_factory=list)  # rows over all cells that do not look worse, or are of few cells
    incomplete: bool = False    # interrupted: what was measured is judged, and decides nothing

    @property
    def word(self) -> str:
        return WORDS[self.code]

    def of(self, verdict: str) -> list[Judged]:
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def deciding(self) -> list[Judged]:
        return [row for row in self.rows if row.decides]


# (baseline, candidate, share of the error rates) -> verdict
Judge = Callable[[RecordData, RecordData, float], Verdict]


def give_roles(rows: list[Judged], patterns: list[str]) -> None:
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row.cell, set()).add(row.metric)
    for row in rows:
        row.role = (primary.PRIMARY if row.metric == NOT_COMPLETE else primary.DUPLICATE if row.by_bound else
                    primary.role(row.cell, row.metric, names[row.cell], patterns))


def as_sample(row: Judged) -> permutation.Sample:
    return permutation.Sample(row.cell, tuple(row.base), tuple(row.candidate), 1 if row.better == "lower" else -1, row.blocks)


def scale_of(row: Judged) -> float:
    """The divisor that turns an error of differences into the unit of `change`; 1 for logarithms."""
    if as_sample(row).logarithmic:
        return 1.0
    return max(abs(float(numpy.median(row.base))), 1.0 if row.unit in ("1", "count") else 0.0) or 1.0


def one_sided(confidence: float) -> float:
    """The confidence of the two-sided interval whose one end has this one-sided confidence."""
    return 2 * confidence - 1


def measure(row: Judged, confidence: float, rng: numpy.random.Generator) -> None:
    row.effect = statistics.effect(row.base, row.candidate, confidence, row.blocks)
    ends = statistics.effect(row.base, row.candidate, one_sided(confidence), row.blocks)
    row.at_worst = ends.high if row.better == "lower" else -ends.low
    row.floor = max(LEAST_FLOOR, statistics.noise_floor(without_drift(row), rng))
    row.limit = limit_of(row.metric)
    row.enough = permutation.least_repetitions((1 - confidence) / 2)


def without_drift(row: Judged) -> Array:
    """The baseline's values over the middle of their block; unchanged where there is one block or a value is zero."""
    sample, values = as_sample(row), numpy.array(row.base, float)
    if not sample.logarithmic:
        return values
    apart: Array = values / numpy.exp(blocks.middles(numpy.log([*row.base, *row.candidate]), sample.unit))[:len(values)]
    return apart


def over_all_cells(rows: list[Judged]) -> list[tuple[Judged, list[int]]]:
    """A combined row for each metric that several cells have, with the indexes of their rows."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.metric, []).append(place)
    made: list[tuple[Judged, list[int]]] = []
    for metric, found in places.items():
        ours = [rows[place] for place in found]
        if len(found) > 1 and all(as_sample(row).logarithmic for row in ours):
            row = Judged(f"all {len(found)} cells", {}, metric, ours[0].unit, ours[0].better,
                         [float(numpy.median(row.base)) for row in ours], [float(numpy.median(row.candidate)) for row in ours],
                         role=COMBINED)
            made.append((row, found))
    return made


def few_that_moved(row: Judged, rows: list[Judged]) -> str:
    """"1 (cell-3)": the cells that moved, where a row over all cells looks worse because of fewer than half of them; "" otherwise."""
    parts = [part for part in rows if part.metric == row.metric]
    moved = [part.cell for part in parts if part.worse[0] > part.floor]
    return f"{len(moved)} ({', '.join(moved[:3])})" if row.suspicious and moved and 2 * len(moved) < len(parts) else ""


def is_of_few(row: Judged, rows: list[Judged]) -> bool:
    """Whether a change over all cells, or what looks like one, is that of fewer than half of them, which have it by themselves: the others would be
    called changed."""
    parts = [part for part in rows if part.metric == row.metric]
    sign = {"regression": 1, "improvement": -1}.get(row.verdict, 1 if row.suspicious else 0)
    moved = [part for part in parts if sign * part.worse[0] > part.floor]
    by_themselves = [part for part in moved if part.verdict == row.verdict and (part.suspicious or row.verdict != "undecided")
                     or row.verdict == "undecided" and part.verdict == "regression"]
    return sign != 0 and 2 * len(moved) < len(parts) and bool(by_themselves)


def error_over_cells(parts: list[Judged]) -> tuple[float, int]:
    """Standard error of the mean of the cells' changes, and its degrees of freedom. One run measures all cells, so what disturbs it
    moves them together: the error is that of the runs' means over all cells. Where the cells have different numbers of
    repetitions, they cannot be put together by runs, and count as independent."""
    samples = [as_sample(part) for part in parts]
    if len({sample.unit for sample in samples}) == 1:
        ours, theirs = (tuple(float(value) for value in numpy.exp(numpy.mean(numpy.log([getattr(sample, side) for sample in samples]), axis=0)))
                        for side in ("base", "candidate"))
        return permutation.standard_error(permutation.Sample("all", ours, theirs, blocks=samples[0].blocks))
    errors = [permutation.standard_error(sample) for sample in samples]
    return math.sqrt(sum(one ** 2 for one, _ in errors)) / len(parts), sum(freedom for _, freedom in errors)


def measure_combined(row: Judged, parts: list[Judged], confidence: float) -> None:
    """The mean of the cells' changes, and its interval."""
    middle = float(numpy.mean([math.log1p(part.effect.change) for part in parts]))
    error, freedom = error_over_cells(parts)
    if all(len(side) < 2 for part in parts for side in (part.base, part.candidate)):  # the spread is unknown
        reach, low = math.inf, -math.inf
    else:
        reach = t_beyond((1 - confidence) / 2, freedom) * error
        low = math.expm1(middle - reach)
        end = middle if row.better == "lower" else -middle
        row.at_worst = math.expm1(end + t_beyond(1 - confidence, freedom) * error)
    row.effect = statistics.Effect(math.expm1(middle), low, math.inf if math.isinf(reach) else math.expm1(middle + reach),
                                   float(numpy.median(numpy.subtract(row.candidate, row.base))))
    row.floor = max(LEAST_FLOOR, float(numpy.mean([part.floor for part in parts])))
    row.limit = limit_of(row.metric)


def spread_of(row: Judged) -> tuple[float, int]:
    """The deviation of one repetition, in the unit of `change`, and its degrees of freedom."""
    error, freedom = permutation.standard_error(as_sample(row))
    return error / scale_of(row) / math.sqrt(1 / len(row.base) + 1 / len(row.candidate)), freedom


def what_they_find(rows: list[Judged], critical: float, alpha: float) -> None:
    """The least change that passes the critical z 19 times in 20. With few repetitions the spread itself is uncertain, so half of
    the variance comes from the metric's other cells (as in moderated variances, Smyth 2004)."""
    spreads: dict[str, list[float]] = {}
    for row in rows:
        spreads.setdefault(row.metric, []).append(spread_of(row)[0])
    for row in rows:
        own, freedom = spread_of(row)
        row.deviation = math.sqrt((own ** 2 + float(numpy.mean(numpy.square(spreads[row.metric])))) / 2)
        possible = math.isfinite(critical) and as_sample(row).least_p <= alpha
        t = t_beyond(float(normal_above(critical)), freedom) if possible else math.inf
        reach = (t + t_quantile(TARGET_POWER, freedom)) * row.deviation * math.sqrt(1 / len(row.base) + 1 / len(row.candidate))
        row.finds = reach if not as_sample(row).logarithmic else math.expm1(reach) if reach < MOST_REACH else math.inf
        row.floor = max(LEAST_FLOOR, min(row.floor, row.finds))  # one disturbed run of the baseline may not excuse what is found


def test_family(rows: list[Judged], alpha: float, confidence: float, rng: numpy.random.Generator, *, combined: bool) -> list[Judged]:
    """Gives p-values to the rows of one family; returns the combined rows that it adds."""
    family = permutation.Family([as_sample(row) for row in rows], rng)
    added = over_all_cells(rows) if combined else []
    for row, places in added:
        family.combine(places)
        measure_combined(row, [rows[place] for place in places], confidence)
    every = rows + [row for row, _ in added]
    for row, result in zip(every, family.results(), strict=True):
        row.p, row.q, row.q_better = result.p, result.corrected, result.better
    critical = family.critical(alpha, [place for place, row in enumerate(every) if min(row.q, row.q_better) > alpha])
    what_they_find(rows, critical, alpha)
    for row, places in added:
        row.finds = min(rows[place].finds for place in places)
        row.deviation = min(rows[place].deviation for place in places)
    return [row for row, _ in added]


def judge(row: Judged, alpha: float, tests: int) -> None:
    change, best, _ = row.worse
    count = min(len(row.base), len(row.candidate))
    if row.q <= alpha and change > row.floor and best > 0:
        row.verdict, row.why = "regression", f"p = {row.q:.2g}, {beyond(row)}"
    elif row.q_better <= alpha and -change > row.floor and row.worse[2] < 0:
        row.verdict, row.why = "improvement", f"p = {row.q_better:.2g}, {beyond(row)}"
    elif row.q <= alpha and row.more_often:
        row.verdict, row.why = "regression", f"p = {row.q:.2g}, {row.more_often}"
    elif row.role != COMBINED and as_sample(row).least_p > alpha:
        row.why = f"{plural(count, 'repetition')} can find nothing here, {permutation.least_repetitions(alpha)} would"
    elif row.role == COMBINED and not math.isfinite(row.finds) and best <= row.floor:
        row.why = f"none of the {count} cells has repetitions that could find anything"
    elif how_much.has_no_percentage(row):
        judge_by_counts(row, alpha, tests)
    elif best > row.floor:
        row.why = "looks worse, and is not sure enough: " + would_decide(row, change, tests, alpha)
    elif row.q <= alpha and change > row.floor:
        row.why = f"looks worse (p = {row.q:.2g}), but the interval leaves open that nothing changed: " + would_decide(
            row, change, tests, alpha)
    elif rare := row.much_more or row.worse_than_all(alpha / max(1, tests)):
        row.why = rare
    elif row.finds > row.limit and row.at_worst > LEAST_FLOOR:
        row.why = (f"too noisy to tell: it would have to be {show(row.finds)} worse to be found" if math.isfinite(row.finds)
                   else "too noisy to tell") + "; " + would_decide(row, row.limit, tests, alpha)
    elif row.at_worst <= min(max(LEAST_FLOOR, row.finds), row.limit) and row.worse[2] <= row.limit:
        row.verdict, row.why = "same", f"at most {show(max(0.0, row.at_worst))} worse" + (
            f"; {show(max(LEAST_FLOOR, row.finds))} would have been found" if row.finds <= row.limit else "")
    elif not math.isfinite(row.worst):
        row.why = f"{plural(count, 'repetition')} give no interval, {row.enough} do; " + would_decide(row, row.limit / 2, tests, alpha)
    else:
        row.why = f"it may be {show(row.worst)} worse; " + would_decide(row, max(row.floor, min(row.worst, row.limit) / 2), tests, alpha)
    without_some(row)


def judge_by_counts(row: Judged, alpha: float, tests: int) -> None:
    """Judges a row without a percentage that is neither worse nor better by its test."""
    change, best, worst = row.worse
    unsure = best > row.floor or row.q <= alpha and change > row.floor or row.finds > row.limit and row.at_worst > LEAST_FLOOR
    rare = row.much_more or row.worse_than_all(alpha / max(1, tests))
    if not unsure and not rare and row.at_worst <= min(max(LEAST_FLOOR, row.finds), row.limit) and worst <= row.limit:
        row.verdict, row.why = "same", how_much.often(row)
    else:
        row.why = rare if rare and not unsure else how_much.undecided(row, alpha)


def without_some(row: Judged) -> None:
    """Repetitions without a value may be the worse ones, so nothing good is said of a row that has some."""
    if row.left_out and row.verdict in ("same", "improvement"):
        row.verdict = "undecided"
        row.why = f"{plural(row.left_out, 'repetition')} without a value: those that have one may be the better ones; {row.why_left_out}"
    elif row.left_out and row.verdict == "undecided":
        row.why = f"{plural(row.left_out, 'repetition')} without a value; {row.why}; {row.why_left_out}"


def unsure_of_bound(row: Judged, budget: Budget, share: float, tests: int) -> str:
    """Why a max or min is neither broken nor kept; "" when it is one of both. One look decides by the median of the candidate. A look at a
    sequential comparison (share < 1) stops the measurement, so its share of the error rates holds for both answers, by a sign test:
    for "broken" over all `tests` rows with a bound together, for "kept" in each, since all have to be kept."""
    values = row.candidate
    beyond = sum(budget.broken_by(value, row.unit) is not None for value in values)
    broken = budget.broken_by(float(numpy.median(values)), row.unit)
    side, alpha = (beyond, ALPHA * share / max(1, tests)) if broken else (len(values) - beyond, ALPHA * share)
    if share < 1 and heads_at_least(side, len(values)) > alpha:
        told = broken[1] if broken else "within its budget"
        return f"{told}, in {side} of {plural(len(values), 'repetition')}: too few to be sure"
    if not broken and row.left_out:
        return f"within its budget, and {plural(row.left_out, 'repetition')} without a value; {row.why_left_out}"
    return ""


def apply_bounds(row: Judged, budgets: Sequence[Budget], share: float, tests: int) -> tuple[bool, str]:
    """(whether a max or min is broken, which makes the row a regression; why one is unsure, or "")."""
    unsure = ""
    for budget in budgets:
        if not has_bound(budget) or not budget.covers(row.cell, row.metric, row.unit):
            continue
        why, broken = unsure_of_bound(row, budget, share, tests), budget.broken_by(float(numpy.median(row.candidate)), row.unit)
        if broken and not why:
            row.role, row.by_budget, row.verdict, (row.broken, row.why) = primary.PRIMARY, True, "regression", broken
            return True, ""
        unsure = unsure or why
    return False, unsure


def withhold_unsure(row: Judged, why: str) -> None:
    """A row whose max or min is neither broken nor kept is undecided, unless another test calls it worse."""
    row.role = primary.PRIMARY
    if row.verdict != "regression":
        row.verdict, row.why = "undecided", why


def apply_worsenings(row: Judged, budgets: Sequence[Budget]) -> bool:
    """Judges a row by max_worse_percent; False when it has none."""
    covering = [budget for budget in budgets if budget.covers(row.cell, row.metric, row.unit)]
    accepted = [budget.max_worse_percent / 100 for budget in covering if budget.max_worse_percent is not None]
    if not accepted:
        return False
    limit = min(accepted)
    _, best, worst = row.worse
    row.role, row.by_budget, row.floor = primary.PRIMARY, True, limit
    if best > limit:
        row.verdict, row.why = "regression", f"at least {worse_by(row, most=False)}, and the budget is {show(limit)}"
    elif worst <= limit:
        row.verdict, row.why = "same", f"at most {worse_by(row, most=True)}, and the budget is {show(limit)}"
    elif not math.isfinite(worst) and math.isfinite(row.effect.change):
        row.verdict, row.why = "undecided", (f"{plural(min(len(row.base), len(row.candidate)), 'repetition')} without an interval, "
                                             f"{permutation.least_repetitions((1 - statistics.CONFIDENCE) / 2)} have")
    else:
        row.verdict = "undecided"
        between = (f"between {show(best)} and {show(worst)} worse" if math.isfinite(best) and math.isfinite(worst) else
                   f"{how_much.often(row)}, interval {how_much.interval_of(row)}")
        row.why = f"{between}: the budget of {show(limit)} is within"
    without_some(row)
    return True


def judge_budgets(rows: list[Judged], budgets: Sequence[Budget], share: float) -> tuple[set[int], list[tuple[Judged, str]]]:
    """(ids of the rows that budgets decided, rows whose max or min is unsure with the reason)."""
    settled: set[int] = set()
    unsure: list[tuple[Judged, str]] = []
    tests = sum(any(has_bound(budget) and budget.covers(row.cell, row.metric, row.unit) for budget in budgets) for row in rows)
    for row in rows:
        broken, why = apply_bounds(row, budgets, share, tests)
        if broken or apply_worsenings(row, budgets):
            settled.add(id(row))
        if why:
            unsure.append((row, why))
    return settled, unsure


def judge_others(rows: list[Judged], share: float, rng: numpy.random.Generator) -> None:
    """Metrics that are not primary share an error rate of 1 %, so they decide only when clearly worse."""
    alpha = ALPHA_OTHERS * share
    test_family(rows, alpha, 1 - ALPHA * share, rng, combined=False)
    for row in rows:
        judge(row, alpha, len(rows))
        if row.verdict == "undecided" and row.worse[0] > row.floor and row.q <= ALPHA * share:
            row.why = f"not a primary metric, p = {row.q:.2g}: " + row.why


def judge_shown(rows: list[Judged], rng: numpy.random.Generator) -> None:
    """Duplicates never decide; their verdicts are for reading."""
    test_family(rows, ALPHA_OTHERS, statistics.CONFIDENCE, rng, combined=False)
    for row in rows:
        judge(row, ALPHA_OTHERS, len(rows))
        if row.verdict == "regression":
            row.verdict, row.why = "undecided", f"looks worse ({row.why}); told by another metric as well"


def decide(verdict: Verdict) -> None:
    """Sets the verdict's code and its reasons, by its rows as they are now."""
    verdict.reasons = []
    statuses = {"baseline": verdict.base["status"], "candidate": verdict.candidate["status"]}
    unfinished = [f"the {side} is {status}" for side, status in statuses.items() if status != "complete"]
    regressions = verdict.of("regression")
    undecided = [row for row in verdict.rows if row.verdict == "undecided" and
                 (row.decides or row.unconfirmed or
                  row.role == primary.OTHER and row.suspicious and row.why.startswith("not a primary"))]
    if regressions:
        verdict.code = REGRESSION
        verdict.reasons = [f"{row.cell} {row.metric}: {row.why}" for row in sorted(regressions, key=losses_first)]
    elif verdict.missing:
        verdict.code = NOT_COMPARABLE
    elif undecided or unfinished or verdict.one_sided or verdict.on_neither or verdict.idle or not verdict.deciding:
        verdict.code = INVALID
        if undecided:
            primaries = sum(row.decides for row in undecided)
            verdict.reasons = [f"{primaries} of {len(verdict.deciding)} tests of primary metrics are undecided"] if primaries else []
            verdict.reasons += [f"{row.cell} {row.metric}: {row.why}" for row in sorted(undecided, key=losses_first)]
    else:
        verdict.code, verdict.reasons = OK, [text] if (text := found_told(verdict.deciding)) else []
    verdict.reasons += [f"{one}: the baseline has it and the candidate does not" for one in verdict.missing]
    if verdict.missing:
        verdict.reasons.append("--allow-missing compares what both have")
    verdict.reasons += [one_side_told(one, verdict.notes) for one in verdict.one_sided]
    verdict.reasons += [f"{one}: a primary metric that was measured on neither side" for one in verdict.on_neither] + verdict.idle + unfinished
    shared = shared_runs(verdict.base, verdict.candidate)
    if shared and verdict.code in (OK, INVALID):
        verdict.code, verdict.reasons = INVALID, [shared]
    elif shared and shared not in verdict.notes:
        verdict.notes.append(shared)


def found_told(rows: list[Judged], most: int = 5) -> str:
    """What "no regression" excludes: of each metric the worsening that would have been found, in the cell where that is largest."""
    worst: dict[str, Judged] = {}
    for row in (one for one in rows if not how_much.has_no_percentage(one)):
        if row.role != COMBINED and row.verdict == "same" and 0 < row.finds < math.inf and row.finds > getattr(worst.get(row.metric), "finds", 0.0):
            worst[row.metric] = row
    found = sorted(worst.values(), key=lambda row: -row.finds)
    told = [f"{show(max(LEAST_FLOOR, row.finds))} of {row.metric} ({row.cell})" for row in found[:most]]
    more = f"; smaller ones of {plural(len(found) - most, 'other metric')}" if len(found) > most else ""
    return f"a worsening of this size would have been found 19 times in 20: {', '.join(told)}{more}" if told else ""


def should_decide(found: list[tuple[str, str]], rows: list[Judged], patterns: list[str]) -> list[str]:
    """The primary metrics among these (cell, metric)."""
    names: dict[str, set[str]] = {}
    for cell, metric in [*((row.cell, row.metric) for row in rows), *found]:
        names.setdefault(cell, set()).add(metric)
    return [f"{cell} {metric}" for cell, metric in found
            if primary.role(cell, metric, names[cell], patterns) == primary.PRIMARY]


def unmatched(judged: Sequence[str], candidate: RecordData, known: list[tuple[str, str]]) -> list[str]:
    """The names of --judge that match none of these (cell, metric)."""
    return [one for one in judged if one not in ("all", "primary") and not any(
        primary.matches(pattern, cell, metric) for pattern in primary.in_phases(one, candidate) for cell, metric in known)]


def not_comparable(base: RecordData, candidate: RecordData, reasons: list[str], differences: Sequence[tuple[str, str, str]] = (),
                   notes: Sequence[str] = ()) -> Verdict:
    return Verdict(base, candidate, [], NOT_COMPARABLE, reasons, list(differences), list(notes))


def compare(base: RecordData, candidate: RecordData, *, budgets: Sequence[Budget] = (), allowed: Collection[str] = (), seed: int = 1,
            judged: Sequence[str] = (), share: float = 1.0, allow_missing: bool = False) -> Verdict:
    """Judges the data of two records. `allowed`: facts that may differ ("host.kernel"). `judged`: patterns of metrics that
    decide instead of the suite's own. `share`: the part of the error rates for this look (sequential tests).
    `allow_missing`: cells and metrics that the candidate lacks are noted, and the rest is compared."""
    found = [fact for fact in comparable.differences(base, candidate) if fact[0] not in allowed]
    if found:
        return not_comparable(base, candidate, [f"{fact} differs: {ours} in the baseline, {theirs} in the candidate"
                                                for fact, ours, theirs in found], found)
    base, candidate = with_cells(base), with_cells(candidate)
    paired = pair(base, candidate, direction_by(budgets))
    rows, notes = paired.rows, paired.notes
    if not rows:
        without = next((f": {note}" for note in notes if "was measured on one side only" in note), "")
        return not_comparable(base, candidate, [f"no figure has values of both{without}" if without else "no configuration was measured in both"],
                              notes=notes)
    patterns = primary.patterns_for(base, candidate, list(judged))
    give_roles(rows, patterns)
    there = [*((row.cell, row.metric) for row in rows), *paired.one_sided, *paired.on_neither, *paired.missing_metrics]
    told = [f"--judge {one}: {unmatched_why(one, candidate)}" for one in unmatched(judged, candidate, there)]
    if told and not allow_missing:
        return not_comparable(base, candidate, told, notes=notes)
    notes += told
    if not any(row.role == primary.PRIMARY and row.metric != NOT_COMPLETE for row in rows):
        if judged:
            return not_comparable(base, candidate, [f"--judge {one}: {unmatched_why(one, candidate)}" for one in judged])
        notes.append(f"no metric is primary ({', '.join(patterns)}); all of them decide")
        give_roles(rows, ["*"])
    rng = numpy.random.default_rng(seed)
    confidence = 1 - (1 - statistics.CONFIDENCE) * share
    for row in rows:
        measure(row, confidence, rng)
    whole = bool(judged)
    alpha = (ALPHA if whole else ALPHA_PRIMARY) * share
    settled, unsure = judge_budgets(rows, budgets, share)
    ours = [row for row in rows if row.role == primary.PRIMARY and id(row) not in settled]
    added = test_family(ours, alpha, confidence, rng, combined=True)
    for row in [*ours, *added]:
        judge(row, alpha, len(ours) + len(added))
    left = [row for row in added if row.verdict == "undecided" and not row.suspicious or is_of_few(row, ours)]
    added = [row for row in added if not any(row is one for one in left)]
    for row in added:
        row.moved = few_that_moved(row, ours)
    rest = [row for row in rows if not row.decides]
    judge_others([row for row in rest if row.role == primary.OTHER], share, rng)
    judge_shown([row for row in rest if row.role == primary.DUPLICATE], rng)
    if whole:
        for row in rest:
            if row.verdict == "regression":
                row.verdict, row.why = "undecided", f"looks worse ({row.why}); not asked for"
            row.why = row.why.replace("not a primary metric, ", "not asked for, ")
    for row, why in unsure:
        withhold_unsure(row, why)
    verdict = Verdict(base, candidate, rows + added, notes=notes, one_sided=should_decide(paired.one_sided, rows, patterns),
                      on_neither=should_decide(paired.on_neither, rows, primary.named(patterns)), shown_by_cells=left)
    if not allow_missing:
        verdict.missing = paired.missing_cells + should_decide(paired.missing_metrics, rows, patterns)
        verdict.idle = idle_budgets(list(budgets), rows, candidate)
    decide(verdict)
    return verdict
