# SPDX-License-Identifier: Apache-2.0
"""The rule by which a claim holds.

A measurement is an interval: the lowest to the highest of its repetitions, widened on both sides by half of its width and at least by
`floor`, a share of the median (docs/claims.md has the floors). So a second run, whose repetitions lie somewhat outside of the first
one's, comes to the same verdict or to "too noisy to tell".

    holds               the interval lies in the claimed range
    does not hold       it lies outside, all of it on one side
    too noisy to tell   a bound of the range is in the interval
    contradicts itself  the statement excludes itself by its own figures, whatever is measured

Fewer than three repetitions have no spread worth the name: too noisy to tell. So is a time that was measured while other programs
had more than a tenth of the processors, when they may be the reason: one that does not hold, or that holds by a lower bound. One
that stays below an upper bound in spite of them holds.

Counts and sequences have no spread: they are compared as they are. The sources do not say whether their MB are 10^6 or 2^20 bytes:
a claim holds when it holds in one of the two.
"""
import statistics
from dataclasses import dataclass, replace

from poolmark.claims.catalogue import Claim, number_text
from poolmark.claims.measured import Measured

HOLDS, FAILS, NOISY, CONTRADICTS, UNMEASURED = ("holds", "does not hold", "too noisy to tell", "contradicts itself", "not measured")
VERDICTS = (HOLDS, FAILS, NOISY, CONTRADICTS)
WIDEN, LEAST_REPETITIONS = 0.5, 3
BINARY = {"KB": 1.024, "MB": 1.048576}  # bytes of a KiB by a KB, of a MiB by a MB


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. `low`, `high`: the extremes of the repetitions, or the interval of a forecast."""

    claim: Claim
    verdict: str
    why: str
    measured: Measured | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    sequence: tuple[float, ...] = ()


def interval(measured: Measured) -> tuple[float, float, float]:
    """(value, low, high) as measured. The value is the median of the repetitions unless the measure says otherwise."""
    if measured.interval:
        low, high = measured.interval
        return (statistics.median(measured.values) if measured.values else (low + high) / 2), low, high
    low, high = measured.spread or (min(measured.values), max(measured.values))
    return statistics.median(measured.values) if measured.value is None else measured.value, low, high


def guarded(value: float, low: float, high: float, floor: float, whole: float = 0.0) -> tuple[float, float]:
    """`whole`: what the value is a difference from, so that its floor is a share of the compared quantity: 100 for a gain in per
    cent, which is a ratio less one."""
    margin = max((high - low) * WIDEN, abs(whole + value) * floor)
    return low - margin, high + margin


def _place(low: float, high: float, claim: Claim, scale: float) -> str:
    """Where the interval lies: in, above, below, or across a bound."""
    least = -float("inf") if claim.low is None else claim.low * scale
    most = float("inf") if claim.high is None else claim.high * scale
    if low >= least and high <= most:
        return "in"
    if low > most:
        return "above"
    return "below" if high < least else "across"


def why_across(claim: Claim, measured: Measured, scale: float) -> str:
    """Why a bound lies in the interval by which two runs may differ."""
    value, low, high = interval(measured)
    if measured.interval:
        return "A bound lies in the interval of the forecast."
    if _place(low, high, claim, scale) == "across":
        return "A bound lies between the lowest and the highest repetition."
    share, half = measured.floor, (high - low) * WIDEN
    if half >= abs(measured.whole + value) * share:
        return f"A bound is nearer to the repetitions than half of the width that they have: {number_text(half)} {claim.unit.partition(',')[0]}."
    return (f"A bound is nearer than {number_text(100 * share)} %{' of the compared quantity' if measured.whole else ''}, below which two "
            "runs of the same are not told apart.")


def how_far(value: float, claim: Claim) -> str:
    """By how much the value misses the range: "3.2 times the upper bound"."""
    bound, word = (claim.high, "upper") if claim.high is not None and value > claim.high else (claim.low or 0.0, "lower")
    if claim.low is not None and claim.low == claim.high:
        word = "claimed"
    named = f"the {word} bound" if word != "claimed" else "the claimed value"
    if claim.unit.startswith(("%", "percent")):
        return f"{number_text(abs(value - bound))} points {'above' if value > bound else 'below'} {named}"
    if not bound or bound * value <= 0:
        return f"{number_text(abs(value - bound))} {'above' if value > bound else 'below'} {named}"
    ratio = value / bound
    if ratio >= 2:
        return f"{number_text(ratio)} times {named}"
    if ratio <= 0.5:
        return f"{number_text(1 / ratio)} times less than {named}"
    return f"{number_text(abs(ratio - 1) * 100)} % {'above' if ratio > 1 else 'below'} {named}"


def _judge_range(claim: Claim, measured: Measured) -> Judged:
    value, low, high = interval(measured)
    edges = (low, high) if measured.interval or measured.kind in ("counted", "computed") else guarded(value, low, high, measured.floor, measured.whole)
    scales = [1.0] + [factor for unit, factor in BINARY.items() if claim.unit.startswith(unit)]
    places = [_place(*edges, claim, scale) for scale in scales]
    judged = Judged(claim, NOISY, measured.because, measured, value, low, high)
    if measured.interval is None and measured.kind not in ("counted", "computed") and len(measured.values) < LEAST_REPETITIONS:
        return replace(judged, why=f"Fewer than {LEAST_REPETITIONS} repetitions show no spread. {measured.because}".strip())
    if "in" in places:
        note = "" if places[0] == "in" else " (with 1 MB as 2^20 bytes)"
        return replace(judged, verdict=HOLDS, why=f"In the range{note}. {measured.because}".strip())
    if "across" in places:
        return replace(judged, why=f"{why_across(claim, measured, scales[places.index('across')])} {measured.because}".strip())
    return replace(judged, verdict=FAILS, why=f"{number_text(value)} is {how_far(value, claim)}. {measured.because}".strip())


def _judge_sequence(claim: Claim, measured: Measured) -> Judged:
    first = measured.sequences[0]
    judged = Judged(claim, NOISY, "The repetitions differ. " + measured.because, measured, sequence=first)
    if any(one != first for one in measured.sequences):
        return judged
    if first == claim.expect:
        return replace(judged, verdict=HOLDS, why=f"The same, number for number. {measured.because}".strip())
    at = next((i for i, pair in enumerate(zip(first, claim.expect)) if pair[0] != pair[1]), min(len(first), len(claim.expect)))
    found = number_text(first[at]) if at < len(first) else "nothing"
    wanted = number_text(claim.expect[at]) if at < len(claim.expect) else "nothing"
    return replace(judged, verdict=FAILS, why=f"Number {at + 1} is {found}, where {wanted} was claimed. {measured.because}".strip())


def judge(claim: Claim, measured: Measured, busy: str = "") -> Judged:
    """`busy`: what other programs had of the host while it was measured, where that was too much."""
    judged = _judge_sequence(claim, measured) if claim.expect else _judge_range(claim, measured)
    if busy and measured.timed and (judged.verdict == FAILS or judged.verdict == HOLDS and claim.low is not None):
        judged = replace(judged, verdict=NOISY, why=f"{busy[:1].upper()}{busy[1:]}. {judged.why}")
    if measured.contradiction:
        return replace(judged, verdict=CONTRADICTS, why=f"{measured.contradiction} By the measurement alone it {_alone(judged)}.")
    return judged


def _alone(judged: Judged) -> str:
    return {HOLDS: "holds: ", FAILS: "does not hold: ", NOISY: "cannot be told: "}[judged.verdict] + judged.why.rstrip(".")


def unmeasured(claim: Claim, why: str) -> Judged:
    return Judged(claim, UNMEASURED, why)
