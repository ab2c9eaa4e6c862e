# SPDX-License-Identifier: Apache-2.0
"""The search for the highest rate, on simulated targets whose limit is known: the stated interval contains the limit in at least 95 of
100 searches. All randomness has a seed."""
import math

import numpy
import pytest
from poolmark.limits import search
from poolmark.limits.belief import Belief
from poolmark.limits.search import (ASKED, AT_LEAST, BELOW, ENDED, FAILED, HELD, LIMIT, LIMITED, NOTHING, TARGET, UNCLEAR, Rules, Trial,
                                    answer, bracket, next_rate, rounded, standing)

RULES = Rules(start=10_000, least=100, most=10_000_000)
SEARCHES = 60


def run_search(rules, verdict_of):
    """`verdict_of(rate)`: a verdict, or (verdict, by)."""
    trials = []
    while (rate := next_rate(rules, trials)) is not None:
        found = verdict_of(rate)
        trials.append(Trial(rate, *(found if isinstance(found, tuple) else (found,))))
    return trials, answer(rules, trials)


def logistic(rng, limit, width, disturbed=0.0):
    """Holds every other time at the limit."""
    def verdict_of(rate):
        chance = 1 / (1 + (rate / limit) ** min(1 / width, 700 / max(1e-9, abs(math.log(rate / limit)))))
        return HELD if rng.random() < chance and rng.random() >= disturbed else FAILED
    return verdict_of


def queue(rng, limit, noise):
    """A queue's response: p99 = 1 ms / (1 - load), times a noise whose median is 1; the bound is 10 ms, so the limit is at a load of 0.9."""
    def verdict_of(rate):
        load = 0.9 * rate / limit
        return HELD if load < 1 and rng.lognormal(0, noise) / (1 - load) <= 10 else FAILED
    return verdict_of


TARGETS = {
    "sharp": lambda rng, limit: logistic(rng, limit, 0.0005),
    "a little noise": lambda rng, limit: logistic(rng, limit, 0.02),
    "noise": lambda rng, limit: logistic(rng, limit, 0.08),
    "much noise": lambda rng, limit: logistic(rng, limit, 0.2),
    "sharp, one trial of twenty disturbed": lambda rng, limit: logistic(rng, limit, 0.0005, disturbed=0.05),
    "noise, one trial of twenty disturbed": lambda rng, limit: logistic(rng, limit, 0.05, disturbed=0.05),
    "a queue": lambda rng, limit: queue(rng, limit, 0.1),
    "a noisy queue": lambda rng, limit: queue(rng, limit, 0.5),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_interval_contains_the_limit_in_95_of_100_searches(name):
    found = []
    for seed in range(SEARCHES):
        rng = numpy.random.default_rng(seed)
        limit = float(numpy.exp(rng.uniform(math.log(2_000), math.log(300_000))))
        trials, told = run_search(RULES, TARGETS[name](rng, limit))
        assert len(trials) <= RULES.trials
        found.append(told.low is not None and told.high is not None and told.low <= limit <= told.high)
    assert sum(found) >= 0.95 * SEARCHES, f"{name}: {sum(found)} of {SEARCHES}"


def test_a_sharp_limit_is_known_to_the_width_that_was_asked_for_in_few_trials():
    rng = numpy.random.default_rng(1)
    for limit in (2_345.0, 34_567.0, 345_678.0):
        trials, told = run_search(RULES, TARGETS["sharp"](rng, limit))
        assert told.kind == LIMIT and told.by == TARGET and not told.wide
        assert told.low <= limit <= told.high <= 1.05 * told.low
        assert len(trials) <= 27
        assert told.low_held == told.low_tried >= RULES.repeat and told.high_failed == told.high_tried >= RULES.repeat


def test_a_noisy_limit_has_a_wider_interval_and_says_so():
    wide = [run_search(RULES, logistic(numpy.random.default_rng(seed), 50_000, 0.2))[1] for seed in range(10)]
    assert all(one.wide for one in wide)
    assert min(one.high / one.low for one in wide) > 1.10
    sharp = run_search(RULES, logistic(numpy.random.default_rng(1), 50_000, 0.0005))[1]
    assert numpy.median([one.mixed_percent for one in wide]) > 5 * sharp.mixed_percent


def test_a_target_that_holds_every_rate():
    trials, told = run_search(Rules(start=1000, least=100, most=5000), lambda rate: HELD)
    assert (told.kind, told.by, told.low, told.high) == (AT_LEAST, ASKED, 5000, None)
    assert [trial.rate for trial in trials] == [1000, 2000, 4000, 5000, 5000, 5000]     # the last one as often as an end


def test_a_target_that_holds_no_rate():
    trials, told = run_search(Rules(start=1000, least=300, most=5000), lambda rate: FAILED)
    assert (told.kind, told.by, told.low, told.high) == (BELOW, TARGET, None, 300)
    assert [trial.rate for trial in trials] == [1000, 1000, 500, 500, 300, 300, 300]


@pytest.mark.parametrize("by", ["generator", "host", "others"])
def test_a_generator_that_is_the_limit_is_no_failure_of_the_target(by):
    trials, told = run_search(RULES, lambda rate: HELD if rate <= 90_000 else (LIMITED, by))
    assert (told.kind, told.by) == (AT_LEAST, by)
    assert 85_000 < told.low <= 90_000
    _, told = run_search(RULES, lambda rate: (LIMITED, by))
    assert (told.kind, told.by) == (BELOW, by)


def test_the_target_is_the_limit_only_when_it_was_of_most_trials_that_bound_the_interval():
    """Far above its limit the generator gives up too. What bounds the interval is the target."""
    _, told = run_search(RULES, lambda rate: HELD if rate <= 90_000 else (FAILED, TARGET) if rate < 110_000 else (LIMITED, "host"))
    assert (told.kind, told.by) == (LIMIT, TARGET)
    count = iter(range(1000))
    _, told = run_search(RULES, lambda rate: HELD if rate <= 90_000 else (LIMITED, "host") if next(count) % 3 else FAILED)
    assert (told.kind, told.by) == (AT_LEAST, "host")


def test_a_target_that_flaps_is_not_clear():
    """Every trial holds by the toss of a coin, whatever the rate. There is no limit, and nearly no search may find one."""
    kinds = []
    for seed in range(40):
        coin = numpy.random.default_rng(seed)
        trials, told = run_search(RULES, lambda rate, coin=coin: HELD if coin.random() < 0.5 else FAILED)
        assert len(trials) == RULES.trials
        kinds.append(told.kind)
    assert kinds.count(LIMIT) <= 4 and kinds.count(UNCLEAR) >= 30, kinds


def test_a_disturbed_trial_does_not_end_the_climb():
    """The trial at 20 000 fails once; the limit is at 200 000."""
    seen = []

    def verdict_of(rate):
        seen.append(rate)
        return HELD if rate <= 200_000 and not (rate == 20_000 and seen.count(20_000) == 1) else FAILED

    _, told = run_search(RULES, verdict_of)
    assert seen.count(20_000) == 3 and told.low <= 200_000 <= told.high


def test_two_trials_in_vain_end_a_search_and_one_does_not():
    trials, told = run_search(RULES, lambda rate: NOTHING)
    assert len(trials) == 2 and told.kind == NOTHING
    verdicts = iter([NOTHING])
    _, told = run_search(RULES, lambda rate: next(verdicts, HELD if rate < 50_000 else FAILED))
    assert told.kind == LIMIT and told.low <= 50_000 <= told.high


def test_a_search_that_ended_early_says_what_it_knows():
    told = answer(RULES, [Trial(10_000, HELD), Trial(20_000, HELD), Trial(40_000, FAILED)])
    assert (told.kind, told.by, told.low) == (AT_LEAST, ENDED, 20_000)
    told = answer(RULES, [Trial(10_000, FAILED), Trial(10_000, FAILED), Trial(5_000, FAILED)])
    assert (told.kind, told.high) == (BELOW, 10_000)
    assert answer(RULES, []).kind == NOTHING


def test_a_rate_stands_by_most_of_its_trials():
    def of(*verdicts):
        return standing([Trial(5, one) for one in verdicts], 5)
    assert of(HELD) == HELD and of(FAILED) == "" and of(FAILED, FAILED) == FAILED and of(FAILED, HELD) == ""
    assert of(FAILED, HELD, HELD) == HELD and of(FAILED, HELD, LIMITED) == FAILED and of() == ""
    assert bracket(RULES, [Trial(10_000, HELD), Trial(20_000, FAILED), Trial(20_000, FAILED)]) == (None, 10_000, 20_000)


@pytest.mark.parametrize("rate, nearest, down, up", [(12_345, 12_300, 12_300, 12_400), (10_000, 10_000, 10_000, 10_000),
                                                     (99_960, 100_000, 99_900, 100_000), (3.14159, 3.14, 3.14, 3.15)])
def test_rates_have_three_digits(rate, nearest, down, up):
    assert (rounded(rate), rounded(rate, math.floor), rounded(rate, math.ceil)) == (nearest, down, up)


def test_the_belief_is_between_the_trials_and_moves_with_contradictions():
    clear = Belief([(1000, True)] * 3 + [(1100, False)] * 3)
    low, middle, high = clear.interval()
    assert 700 < low < 1000 < middle < 1100 < high < 1600
    mixed = Belief([(1000, True)] * 3 + [(1100, False)] * 3 + [(1000, False)] * 2 + [(1100, True)] * 2)
    assert mixed.interval()[2] / mixed.interval()[0] > high / low and mixed.mixed_percent() > clear.mixed_percent()


def test_the_next_rate_follows_from_the_trials_alone():
    rng = numpy.random.default_rng(3)
    trials, _ = run_search(RULES, logistic(rng, 40_000, 0.05))
    assert [next_rate(RULES, trials[:number]) for number in range(len(trials))] == [trial.rate for trial in trials]
    assert search.next_rate(RULES, trials) is None
