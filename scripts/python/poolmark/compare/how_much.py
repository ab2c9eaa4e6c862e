# SPDX-License-Identifier: Apache-2.0
"""How much a metric changed, in words. From 0 there is no percentage, so a count that was 0 in some run is told as counts, "500 in 1 of 6
runs, 0 in 6 of the baseline", and another value whose median was 0 by its differences."""
import math

import numpy

from poolmark.base.escape import terminal as plain
from poolmark.base.units import plural, show_count
from poolmark.compare.pairing import NOT_COMPLETE, Judged, is_count
from poolmark.compare.power import repetitions_for


def percent(share: float) -> str:
    return f"{share * 100:+.1f} %" if math.isfinite(share) else "from 0" if share > 0 else "-"


def show(share: float) -> str:
    return f"{share:.1%}".replace("%", " %") if share < 0.1 else f"{share:.0%}".replace("%", " %")


def spread(share: float) -> str:
    """Of repetitions or nights, with two digits: 0.12 %, 3.4 %, 150 %."""
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.2g} %"


def in_unit(value: float, unit: str) -> str:
    scales: dict[str, tuple[tuple[float, str | None], ...]] = {
        "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
        "B": ((1 << 30, "GiB"), (1 << 20, "MiB"), (10240, None), (1, "B"))}
    for scale, name in scales.get(unit, ()):
        if abs(value) >= scale:
            value, unit = (value / 1024, "KiB") if name is None else (value / scale, name)
            break
    text = show_count(value) if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text}/s" if unit == "1/s" else f"{text} {'' if unit in ('1', 'count', 'ratio') else plain(unit)}".strip()


def signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else ''}{in_unit(value, unit)}"


def has_no_percentage(row: Judged) -> bool:
    """Counts that were 0 in some run, and values whose median was 0."""
    return min(row.base + row.candidate) <= 0 and (is_count(row.unit, row.better) or float(numpy.median(row.base)) == 0)


def often(row: Judged) -> str:
    """"500 in 1 of 6 runs, 0 in 6 of the baseline"; of what is no count the two medians."""
    if not is_count(row.unit, row.better):
        return " to ".join(in_unit(float(numpy.median(side)), row.unit) for side in (row.base, row.candidate))
    return row.in_runs


def is_sometimes(row: Judged) -> bool:
    """Whether a count is more than in the baseline and still 0 in some run: medians say nothing of it."""
    return row.is_more and 0 in row.candidate and not float(numpy.median(row.base))


def change_of(row: Judged) -> str:
    if is_sometimes(row):
        return "more often"
    return signed(row.effect.apart[1], row.unit) if has_no_percentage(row) else percent(row.effect.change)


def interval_of(row: Judged) -> str:
    apart = has_no_percentage(row)
    low, high = (row.effect.apart[0], row.effect.apart[2]) if apart else (row.effect.low, row.effect.high)
    if math.isfinite(low) and math.isfinite(high):
        return f"{signed(low, row.unit)} to {signed(high, row.unit)}" if apart else f"{percent(low)} to {percent(high)}"
    return "too few runs" if math.isfinite(row.effect.change) else "-"


def worse_by(row: Judged, *, most: bool) -> str:
    """The end of the interval, "5 % worse"; "500 more" where there is no percentage."""
    if not has_no_percentage(row):
        return f"{show(max(0.0, row.worse[2]) if most else row.worse[1])} worse"
    low, _, high = row.effect.apart
    ends = (low, high) if row.better == "lower" else (-high, -low)
    return f"{in_unit(max(0.0, ends[1] if most else ends[0]), row.unit)} {'more' if row.better == 'lower' else 'less'}"


def would_decide(row: Judged, size: float, tests: int, alpha: float) -> str:
    """How many repetitions would find a change of that size."""
    count = repetitions_for(row.deviation, size, tests, alpha)
    have = min(len(row.base), len(row.candidate))
    if count is None:
        return "more repetitions than 100 would be needed; a quieter host would help"
    return f"{max(count, have + 1)} repetitions would find {show(size)}"


def beyond(row: Judged) -> str:
    """What the test found, beside its p."""
    return often(row) if has_no_percentage(row) else f"beyond the noise floor of {row.floor:.1%}"


def undecided(row: Judged, alpha: float) -> str:
    """Why a row without a percentage is undecided: how many there were, and what is missing."""
    count = min(len(row.base), len(row.candidate))
    if not all(map(math.isfinite, row.effect.apart)) and count < row.enough:
        return f"{often(row)}: {plural(count, 'repetition')} give no interval, {row.enough} do"
    if row.q <= alpha:
        return f"{often(row)}: looks worse (p = {row.q:.2g}), but the interval leaves open that nothing changed"
    return f"{often(row)}: too few runs to tell (p = {row.p:.2g})"


def losses_first(row: Judged) -> tuple[bool, bool, bool]:
    """Sort key: losses that were not there before, then what looks worse."""
    return not row.is_loss, row.metric == NOT_COMPLETE, not row.suspicious
