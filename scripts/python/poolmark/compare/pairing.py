# SPDX-License-Identifier: Apache-2.0
"""Pairs the cells of two records by configuration, and makes a row of each metric for judging.

A row has one value a repetition; a round of a benchmark counts as a repetition.
"""
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from poolmark.base.forms import CellData, Config, MetricData, RecordData, sound_value, value_of
from poolmark.base.units import plural
from poolmark.facts import metrics as catalogue
from poolmark.records import lineage, raw_data
from poolmark.verify import withheld
from poolmark.bench import full_speed
from poolmark.compare import rounds_in_turn
from poolmark.compare.blocks import Blocks, blocks_of
from poolmark.compare.primary import PRIMARY
from poolmark.compare.statistics_of_pairs import UNKNOWN, Effect

LEAST_SAMPLES = 4       # with so many repetitions at full speed the others are left out
NOT_COMPLETE = "cell.not_complete"  # always primary
COMBINED = "combined"   # the role of a row over all cells
SAME_RUN = ("baseline and candidate are one and the same run: nothing is learnt from that; name two runs, or let --run "
            "measure two builds")


def is_count(unit: str, better: str) -> bool:
    """Whether it counts what should be rare: losses, failures."""
    return unit in ("1", "count") and better == "lower"


def in_some(values: list[float]) -> str:
    """All of a count, and in how many runs: "500 in 1 of 6"."""
    some, count = sum(value > 0 for value in values), len(values)
    return f"{sum(values):.10g} in " + (f"{some} of {count}" if 0 < some < count else str(count))


@dataclass
class Judged:
    cell: str            # its id without the number of the repetition
    config: Config
    metric: str
    unit: str
    better: str
    base: list[float]
    candidate: list[float]
    files: dict[str, list[str]] = field(default_factory=dict)  # "base"/"candidate" -> [path of raw data in its run]
    role: str = PRIMARY
    blocks: Blocks | None = None  # of the values, where both builds were measured in turn
    p: float = 1.0
    q: float = 1.0      # p corrected for the family
    q_better: float = 1.0
    effect: Effect = UNKNOWN
    floor: float = 0.0
    finds: float = math.inf     # least change that would be found 19 times in 20
    at_worst: float = math.inf  # upper bound of the worsening (one-sided, 95 %)
    limit: float = math.inf     # a larger `finds` is of no use
    deviation: float = 0.0      # of one repetition, in the unit of `change`
    enough: int = 0     # repetitions a side that give an interval
    left_out: int = 0   # repetitions of either side without a value
    why_left_out: str = ""
    broken: str = ""    # "over budget" or "under budget"
    by_budget: bool = False     # a budget decided
    by_bound: bool = False      # has no better direction but that of a budget's max or min
    moved: str = ""     # of a row over all cells that looks worse because of fewer than half of them: which
    unconfirmed: bool = False   # worse, and a second measurement could not say so
    verdict: str = "undecided"  # regression, improvement, same, undecided
    why: str = ""

    @property
    def decides(self) -> bool:
        return self.role in (PRIMARY, COMBINED)

    @property
    def where(self) -> str:
        return f"{self.cell}, of which {self.moved} moved" if self.moved else self.cell

    @property
    def worse(self) -> tuple[float, float, float]:
        """(change, low end, high end) of the interval, with positive values for worse."""
        one = self.effect
        return (one.change, one.low, one.high) if self.better == "lower" else (-one.change, -one.high, -one.low)

    @property
    def is_more(self) -> bool:
        """Whether a count that is 0 in some run is more than in the baseline, by the mean."""
        return (is_count(self.unit, self.better) and min(self.base + self.candidate) == 0
                and sum(self.candidate) / len(self.candidate) > sum(self.base) / len(self.base))

    @property
    def is_loss(self) -> bool:
        """Whether more went wrong than in the baseline, where some runs had none of it."""
        return self.is_more and (self.metric == NOT_COMPLETE or catalogue.is_fault(self.metric))

    @property
    def in_runs(self) -> str:
        """Of a count: "500 in 1 of 6 runs, 0 in 6 of the baseline"."""
        return f"{in_some(self.candidate)} run{'s' if len(self.candidate) != 1 else ''}, {in_some(self.base)} of the baseline"

    @property
    def more_often(self) -> str:
        """Where the medians of losses or failures do not differ: how many there are in how many runs. Empty when not in more of them than of
        the baseline's."""
        if not is_count(self.unit, self.better) or self.effect.change != 0:
            return ""
        ours, theirs = (sum(value > 0 for value in side) for side in (self.base, self.candidate))
        more = sum(self.candidate) / len(self.candidate) > sum(self.base) / len(self.base)
        return self.in_runs if more and theirs / len(self.candidate) > ours / len(self.base) else ""

    @property
    def much_more(self) -> str:
        """Where the medians of losses or failures do not differ and the candidate's mean is larger by more than the useful size: how
        much. An interval of medians says nothing of what happens in few runs."""
        if not is_count(self.unit, self.better) or self.effect.change != 0:
            return ""
        ours, theirs = (sum(side) / len(side) for side in (self.base, self.candidate))
        if theirs <= ours * (1 + self.limit):
            return ""
        return f"{self.in_runs}: too few runs to tell (p = {self.p:.2g})"

    @property
    def worst(self) -> float:
        """The most that it may be worse, by the interval that is printed and by the one-sided one."""
        return max(self.at_worst, self.worse[2])

    def worse_than_all(self, alpha: float) -> str:
        """In how many of the candidate's runs it is worse than in any of the baseline's, where so many would be there by chance less often
        than alpha (an exceedance test: the k worst of all values are the candidate's with the probability of drawing them so). Middles and
        intervals do not see a minority of runs. Empty otherwise."""
        sign = 1.0 if self.better == "lower" else -1.0
        worst = max(sign * value for value in self.base)
        beyond = [value for value in self.candidate if sign * value > worst + self.floor * abs(worst)]
        count, both = len(self.candidate), len(self.base) + len(self.candidate)
        if not beyond or math.prod((count - number) / (both - number) for number in range(len(beyond))) > alpha:
            return ""
        return (f"in {len(beyond)} of {plural(count, 'run')} worse than in any of the baseline's {len(self.base)}, which the middle does not show: "
                "look at the runs one by one")

    @property
    def suspicious(self) -> bool:
        """Undecided, with the whole interval on the worse side."""
        return self.verdict == "undecided" and self.worse[1] > 0


def stem(cell_id: str) -> str:
    head, _, tail = cell_id.rpartition(".")
    return head if head and tail.isdigit() else cell_id


def counts(cell: CellData) -> bool:
    """False only for a cell that was interrupted, or had the wrong allocator. A cell that lost messages or clients, or whose
    target did not start, is incomplete and counts: leaving it out would hide the fault."""
    told = {anomaly["what"] for anomaly in cell.get("anomalies", [])}
    return cell["status"] == "complete" or not told & {"interrupted", "allocator"} and (bool(cell["metrics"]) or "start" in told)


def with_cells(run: RecordData) -> RecordData:
    """A generator's own record with its measurement as the one cell; other records as they are. All else of its configuration is
    compared as a whole (comparable.py)."""
    if run.get("kind") != "load" or run.get("cells"):
        return run
    config = {key: run["config"].get(key) for key in ("scenario", "engine")}
    files = {Path(name).stem: name for name in run.get("files", {}) if name.endswith((".hlog", ".csv"))}
    made = run.copy()
    made["cells"] = [{"id": str(config["scenario"]), "config": config, "repetition": 1, "status": run["status"], "files": files,
                      "metrics": run.get("metrics") or {}, "anomalies": run.get("anomalies") or []}]
    return made


def by_config(run: RecordData) -> dict[str, list[CellData]]:
    cells: dict[str, list[CellData]] = {}
    for cell in run.get("cells", []):
        if counts(cell):
            cells.setdefault(json.dumps(cell["config"], sort_keys=True), []).append(cell)
    return cells


def at_full_speed(ours: list[CellData], theirs: list[CellData]) -> tuple[list[CellData], list[CellData]]:
    """Benchmarks: only the repetitions at full speed when both sides have LEAST_SAMPLES of them; otherwise all of both. One side
    filtered alone would be compared with the other side's slow repetitions."""
    full = [[cell for cell in cells if (value_of(cell["metrics"], full_speed.FULL) or 0.0) >= 1.0]
            for cells in (ours, theirs)]
    return (full[0], full[1]) if min(map(len, full)) >= LEAST_SAMPLES else (ours, theirs)


def values(cells: list[CellData], metric: str) -> list[float]:
    """One value a repetition, of those that others did not disturb. For a single repetition its samples instead, when there are several."""
    found = [cell["metrics"][metric] for cell in cells if metric in cell["metrics"] and "doubt" not in cell["metrics"][metric]]
    if len(found) == 1 and len(found[0].get("samples", [])) > 1:
        return [float(value) for value in found[0]["samples"]]
    return [float(one["value"]) for one in found if one["value"] is not None]


def metrics_of(cells: list[CellData]) -> dict[str, MetricData]:
    """Every metric that one of the repetitions has."""
    found: dict[str, MetricData] = {}
    for cell in cells:
        for name, one in cell["metrics"].items():
            found.setdefault(name, one)
    return found


def without_value(cells: list[CellData], found: list[float]) -> int:
    """Repetitions that measured something, but not this metric."""
    return max(0, sum(bool(cell["metrics"]) for cell in cells) - len(found))


def why_without(cells: list[CellData], metric: str) -> str:
    """Why repetitions of a side have no value of a metric, in the words of their records: "value in 3 of 8 runs: served_before (5): TEXT";
    "" when all have one. A value that others may have disturbed counts as none."""
    ran = [cell for cell in cells if cell["metrics"]]
    without = [cell for cell in ran if sound_value(cell["metrics"], metric) is None]
    found: dict[str, tuple[int, str]] = {}
    if not without:
        return ""
    for cell in without:
        found |= {what: (found.get(what, (0, ""))[0] + 1, text) for what, text in withheld.reasons(cell, metric).items()}
    reasons = "; ".join(f"{what} ({count}): {text}" for what, (count, text) in found.items())
    return f"value in {len(ran) - len(without)} of {plural(len(ran), 'run')}" + (f": {reasons}" if reasons else "")


def files_of(cells: list[CellData], metric: str) -> list[str]:
    return [path for cell in cells for path in raw_data.files_behind(cell, metric)]


def turns(cells: list[CellData], metric: str | None = None) -> list[int | None]:
    """The turn of each repetition that has a value of the metric; None of one that does not know its turn."""
    return [cell.get("turn") for cell in cells
            if metric is None or sound_value(cell["metrics"], metric) is not None]


def shared_runs(base: RecordData, candidate: RecordData) -> str:
    """Why a comparison of the two says nothing: they are one run, under whatever names, or both have a run in common, also by merges of merges.
    Empty otherwise."""
    if base == candidate:
        return SAME_RUN
    both = lineage.shared(base, candidate)
    return f"baseline and candidate both have the measurements of {both}: what they share cannot differ; compare others" if both else ""


def in_turn(base: RecordData, candidate: RecordData) -> bool:
    """True for the two sides of one comparison that measured both builds in turn."""
    return isinstance(base.get("comparison"), str) and base["comparison"] == candidate.get("comparison")


def not_complete(name: str, ours: list[CellData], theirs: list[CellData], interleaved: bool, rounds: bool) -> list[Judged]:
    """A row that counts incomplete repetitions (1 for each); none when all are complete. `rounds`: each round is a repetition."""
    base, candidate = ([value for cell in cells for value in rounds_in_turn.rounds_of(cell)] if rounds else
                       [float(cell["status"] != "complete") for cell in cells] for cells in (ours, theirs))
    if not any(base + candidate):
        return []
    return [Judged(name, ours[0]["config"], NOT_COMPLETE, "1", "lower", base, candidate,
                   blocks=blocks_of(turns(ours), turns(theirs)) if interleaved and not rounds else None)]


def with_zeros(cells: list[CellData], others: list[CellData]) -> list[CellData]:
    """The cells, with 0 for each count that is only recorded where there were any, when a cell of either side has it. Messages at the wrong
    clients in the candidate alone are more than in the baseline, and not a figure of one side."""
    names = {name: one for cell in [*cells, *others] for name, one in cell["metrics"].items() if catalogue.is_if_any(name)}
    return [with_zero_of(cell, names) for cell in cells] if names else cells


def with_zero_of(cell: CellData, names: dict[str, MetricData]) -> CellData:
    """`names`: counts of messages. A cell has none of them where its messages were not counted at all."""
    none: dict[str, MetricData] = {name: {"value": 0, "unit": one["unit"], "better": one["better"]} for name, one in names.items()
                                   if name not in cell["metrics"] and f"{name.rpartition('.')[0]}.lost" in cell["metrics"]}
    made = cell.copy()
    made["metrics"] = {**cell["metrics"], **none}
    return made


@dataclass
class Paired:
    rows: list[Judged] = field(default_factory=list)    # not yet judged
    notes: list[str] = field(default_factory=list)      # cells and metrics without a partner
    one_sided: list[tuple[str, str]] = field(default_factory=list)  # (cell, metric) with a value, or this unit, on one side only
    on_neither: list[tuple[str, str]] = field(default_factory=list)  # (cell, metric) without a value on both sides
    missing_cells: list[str] = field(default_factory=list)          # in the baseline, not in the candidate
    missing_metrics: list[tuple[str, str]] = field(default_factory=list)  # the same, in cells that both have


Direction = Callable[[str, str, MetricData], str]     # (cell, metric, its figure) -> "lower", "higher" or "none"


def its_own(_cell: str, _metric: str, one: MetricData) -> str:
    return one["better"]


def pair(base: RecordData, candidate: RecordData, direction: Direction = its_own) -> Paired:
    """`direction`: which side of a metric is better; one without any is left out."""
    ours, theirs, found, interleaved = by_config(base), by_config(candidate), Paired(), in_turn(base, candidate)
    by_rounds = rounds_in_turn.are(base, candidate)
    rows, notes, one_sided = found.rows, found.notes, found.one_sided
    for key, cells in ours.items():
        name = stem(cells[0]["id"])
        if key not in theirs:
            notes.append(f"{name}: only in the baseline")
            found.missing_cells.append(name)
            continue
        cells, theirs[key] = with_zeros(cells, theirs[key]), with_zeros(theirs[key], cells)
        measured = len(cells) + len(theirs[key])
        cells, theirs[key] = at_full_speed(cells, theirs[key])
        left_out = measured - len(cells) - len(theirs[key])
        if left_out:
            notes.append(f"{name}: {left_out} of {measured} repetitions were not at the processor's full speed; left out")
        rounds = by_rounds and all("turn" not in cell for cell in [*cells, *theirs[key]])
        rows += not_complete(name, cells, theirs[key], interleaved, rounds)
        on_neither: list[str] = []
        for metric, one in metrics_of(cells).items():
            better = direction(name, metric, one)
            if better == "none":
                continue
            if not any(metric in cell["metrics"] for cell in theirs[key]):
                notes.append(f"{name}: {metric} is only in the baseline")
                found.missing_metrics.append((name, metric))
                continue
            row = Judged(name, cells[0]["config"], metric, one["unit"], better, values(cells, metric),
                         values(theirs[key], metric), {"base": files_of(cells, metric),
                                                       "candidate": files_of(theirs[key], metric)}, by_bound=one["better"] == "none")
            meanings = {(told["unit"], told["better"]) for cell in [*cells, *theirs[key]] if (told := cell["metrics"].get(metric))}
            if len(meanings) > 1:
                notes.append(f"{name}: {metric} is in {' and in '.join(f'{unit} ({better} is better)' for unit, better in sorted(meanings))}; left out")
                one_sided.append((name, metric))
            elif row.base and row.candidate:
                if rounds:
                    row.blocks = blocks_of(rounds_in_turn.turns(base, len(row.base)), rounds_in_turn.turns(candidate, len(row.candidate)))
                row.left_out = without_value(cells, row.base) + without_value(theirs[key], row.candidate)
                if interleaved and len(cells) > 1 < len(theirs[key]):
                    row.blocks = blocks_of(turns(cells, metric), turns(theirs[key], metric))
                if row.left_out:
                    row.why_left_out = ", ".join(f"{side}: {why}" for side, both in (("baseline", cells), ("candidate", theirs[key]))
                                                 if (why := why_without(both, metric)))
                    notes.append(f"{name}: {metric} has no value in {plural(row.left_out, 'repetition')}: {row.why_left_out}")
                rows.append(row)
            elif row.base or row.candidate:
                notes.append(f"{name}: {metric} was measured on one side only: {why_without(theirs[key] if row.base else cells, metric)}")
                one_sided.append((name, metric))
            else:
                on_neither.append(metric)
                found.on_neither.append((name, metric))
                why = why_without(theirs[key], metric).partition(": ")[2]
                on_neither[-1] += f" ({why})" if why else ""
        if on_neither:
            notes.append(f"{name}: measured on neither side: {', '.join(on_neither)}")
    notes += [f"{stem(cells[0]['id'])}: only in the candidate" for key, cells in theirs.items() if key not in ours]
    return found


OF_A_METRIC = re.compile(r"(\S+): (\S+) (has no value in .+|is only in the baseline|was measured on one side only: .+)", re.S)
OF_SEVERAL = {"has": "have", "is": "are", "was": "were"}


def notes_told(notes: list[str]) -> list[str]:
    """For people: the metrics of a cell that have one reason are in one note. verdict.json has a note for each."""
    found: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        match = OF_A_METRIC.fullmatch(note)
        found.setdefault((match[1], match[3]) if match else (note, ""), []).append(match[2] if match else "")
    told = []
    for (cell, reason), metrics in found.items():
        word, _, rest = reason.partition(" ")
        told.append(cell if not reason else f"{cell}: {', '.join(metrics)} {word if len(metrics) == 1 else OF_SEVERAL[word]} {rest}")
    return told


def one_side_told(one: str, notes: list[str]) -> str:
    """A primary metric with a value on one side, and the reason that its records give."""
    cell, _, metric = one.rpartition(" ")
    start = f"{cell}: {metric} was measured on one side only: "
    why = next((note.removeprefix(start) for note in notes if note.startswith(start)), "")
    return f"{one}: a primary metric that was measured on one side only" + (f" ({why})" if why else "")
