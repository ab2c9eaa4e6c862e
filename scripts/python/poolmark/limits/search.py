# SPDX-License-Identifier: Apache-2.0
"""The search for the highest rate that holds a bound. Pure: the next rate and the answer follow from the rules and the trials so far,
so verify repeats both.

    rules, trials = Rules(start=10_000, least=100, most=1_000_000), []
    while (rate := next_rate(rules, trials)) is not None:
        trials.append(Trial(rate, HELD))        # or FAILED, LIMITED, NOTHING
    answer(rules, trials)

1. From `start` the rate doubles until it does not hold, or halves until it holds. A rate has failed when most of at least two trials
   there did not hold: one alone may have been disturbed.
2. Then trials are at a fifth and at four fifths of what the trials so far leave possible (belief.py), in turn, until that interval is
   narrow enough. Both sides of the limit are tried as often; at its middle a noisy trial would tell least of how wide the noise is.
3. Then both of its ends are tried until each has `repeat` trials. What contradicts widens the interval: back to 2.

A trial that failed for the generator or the host (LIMITED) steers the search as one that failed for the target. It is not counted
against the target: when most of the trials that bound the interval from above are such, the answer is "at least".
"""
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from poolmark.limits.belief import Belief

HELD, FAILED, LIMITED, NOTHING = "held", "failed", "limited", "nothing"
LIMIT, AT_LEAST, BELOW, UNCLEAR = "limit", "at least", "below", "unclear"     # kinds of answers; and NOTHING
TARGET, ASKED, ENDED = "target", "asked", "ended"
UNCLEAR_FACTOR = 2.0        # an interval wider than that is no answer, and no limit where trials mix over more than that
FAILED_FROM = 2             # trials, for a rate to have failed
PARTS = (0.2, 0.8)          # of what is possible: where the next trial is, in turn
TRIED_IN_VAIN = 2           # trials one after the other that measured nothing end a search


@dataclass(frozen=True)
class Rules:
    start: float
    least: float            # no rate below is tried
    most: float             # no rate above is tried
    within: float = 0.05    # wanted width of the interval, as a share
    repeat: int = 3         # trials at each end of the interval
    trials: int = 30        # at most


@dataclass(frozen=True)
class Trial:
    rate: float             # asked for
    verdict: str
    by: str = TARGET        # who was the limit of a trial that did not hold


@dataclass(frozen=True)
class Answer:
    kind: str
    by: str                 # target, generator, host, others; asked: --most was reached; ended: the search ended too early
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    mixed_percent: float | None = None
    wide: bool = False      # the interval is wider than was asked for
    low_held: int = 0       # of the trials at or below `low`: how many held
    low_tried: int = 0
    high_failed: int = 0    # of the trials at or above `high`: how many did not hold
    high_tried: int = 0


def rounded(rate: float, way: Callable[[float], int] = round) -> float:
    """Three digits. `way`: round, math.floor or math.ceil."""
    step = 10.0 ** (math.floor(math.log10(rate)) - 2)
    slack = 1e-9 if way is math.floor else -1e-9 if way is math.ceil else 0.0
    return float(f"{way(rate / step + slack) * step:.6g}")


def standing(trials: list[Trial], rate: float) -> str:
    """HELD or FAILED by most trials at that rate; "" while that is open."""
    tried = [trial for trial in trials if trial.rate == rate]
    held = sum(trial.verdict == HELD for trial in tried)
    if 2 * held > len(tried):
        return HELD
    return FAILED if len(tried) >= FAILED_FROM and 2 * held < len(tried) else ""


def bracket(rules: Rules, trials: list[Trial]) -> tuple[float | None, float | None, float | None]:
    """(rate to try, rate that holds, rate that does not); no rate to try when both are known or an end of the range is reached."""
    rate, low, high = rules.start, None, None  # type: float, float | None, float | None
    while True:
        found = standing(trials, rate)
        if not found:
            return rate, low, high
        if found == HELD:
            low = rate
            if high is not None or rate >= rules.most:
                return None, low, high
            rate = min(rules.most, rounded(2 * rate))
        else:
            high = rate
            if low is not None or rate <= rules.least:
                return None, low, high
            rate = max(rules.least, rounded(rate / 2))


def _measured(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.verdict != NOTHING]


def _belief(trials: list[Trial]) -> Belief:
    return Belief([(trial.rate, trial.verdict == HELD) for trial in trials])


def in_vain(trials: list[Trial]) -> bool:
    last = trials[-TRIED_IN_VAIN:]
    return len(last) == TRIED_IN_VAIN and all(trial.verdict == NOTHING for trial in last)


def next_rate(rules: Rules, trials: list[Trial]) -> float | None:
    """The rate of the next trial; None: the search is over."""
    if len(trials) >= rules.trials or in_vain(trials):
        return None
    known = _measured(trials)
    rate, low, high = bracket(rules, known)
    if rate is not None:
        return rate
    if low is None or high is None:
        end = rules.least if low is None else rules.most
        return end if sum(trial.rate == end for trial in known) < rules.repeat else None
    return _refine(rules, known)


def _refine(rules: Rules, known: list[Trial]) -> float | None:
    belief = _belief(known)
    low, _, high = belief.interval()
    wide = 1 + rules.within

    def inside(rate: float) -> float:
        return min(rules.most, max(rules.least, rate))

    if high / low > wide:
        return inside(rounded(belief.quantile(PARTS[len(known) % len(PARTS)])))
    below, above = inside(rounded(low, math.floor)), inside(rounded(high, math.ceil))
    ends = ((below, below / wide, below), (above, above, above * wide))
    return next((end for end, first, last in ends
                 if sum(first <= trial.rate <= last for trial in known) < rules.repeat), None)


def _main(trials: list[Trial]) -> str:
    """Who was the limit of most of these; the target only when it was of more than half."""
    found = Counter(trial.by for trial in trials)
    if 2 * found[TARGET] > len(trials):
        return TARGET
    others = [(count, name) for name, count in sorted(found.items()) if name != TARGET]
    return max(others)[1] if others else TARGET


def answer(rules: Rules, trials: list[Trial]) -> Answer:
    known = _measured(trials)
    if not known:
        return Answer(NOTHING, "")
    held = [trial.rate for trial in known if trial.verdict == HELD]
    other = [trial for trial in known if trial.verdict != HELD]
    rate, low, high = bracket(rules, known)
    at_end = rate is None and (low is None or high is None)
    if not held or at_end and low is None:
        high = min(trial.rate for trial in other) if high is None else high
        found = Answer(BELOW, _main([trial for trial in other if trial.rate >= high]), high=high)
    elif not other or at_end:
        found = Answer(AT_LEAST, ASKED if at_end else ENDED, low=max(held) if low is None else low)
    else:
        found = _by_belief(rules, known, other)
        if found.kind == UNCLEAR and low is not None and high is None and all(trial.rate > low for trial in other):
            found = Answer(AT_LEAST, ENDED, low=low)        # the search ended while the rate still rose
    return _with_counts(found, known)


def _by_belief(rules: Rules, known: list[Trial], other: list[Trial]) -> Answer:
    belief = _belief(known)
    low, middle, high = belief.interval()
    by = _main([trial for trial in other if low <= trial.rate <= high * (1 + rules.within)] or other)
    mixed = belief.mixed_percent()
    clear = max(high / low, 1 + mixed / 100) <= UNCLEAR_FACTOR
    kind = UNCLEAR if not clear else LIMIT if by == TARGET else AT_LEAST
    return Answer(kind, by, middle, low, high, mixed, high / low > 1 + rules.within)


def _with_counts(found: Answer, known: list[Trial]) -> Answer:
    below = [trial.verdict == HELD for trial in known if found.low is not None and trial.rate <= found.low]
    above = [trial.verdict != HELD for trial in known if found.high is not None and trial.rate >= found.high]
    return replace(found, low_held=sum(below), low_tried=len(below), high_failed=sum(above), high_tried=len(above))
