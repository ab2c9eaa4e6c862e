# SPDX-License-Identifier: Apache-2.0
"""--until-sure: the error rates over all looks hold; a clear change or the time limit ends it early."""
import numpy
from scipy import stats
from test_compare import make_run

from poolmark.compare import sequential, verdict
from poolmark.compare.permutation import Family, Sample, least_p


def test_the_shares_are_one_and_the_first_look_can_find_something():
    assert abs(sum(sequential.SHARES) - 1) < 1e-12 and len(sequential.SHARES) == len(sequential.LOOKS)
    assert all(least_p(count, count) < verdict.ALPHA_PRIMARY * share
               for count, share in zip(sequential.LOOKS, sequential.SHARES, strict=True))


def looked_at(generator, change=0.0, heavy=False) -> int | None:
    """The look at which a family of three metrics is called worse, by the verdict's own tests."""
    draw = (lambda: generator.standard_t(2, (2, 3, 19))) if heavy else (lambda: generator.normal(size=(2, 3, 19)))
    base, candidate = numpy.exp(.05 * draw())
    for count, share in zip(sequential.LOOKS, sequential.SHARES, strict=True):
        samples = [Sample("c", tuple(base[one, :count]), tuple(candidate[one, :count] * (1 + change))) for one in range(3)]
        if min(one.corrected for one in Family(samples, generator, rounds=999).results()) <= verdict.ALPHA * share:
            return count
    return None


def test_five_looks_at_equal_builds_raise_no_more_false_alarms_than_one():
    """150 families each, normal and heavy-tailed. At 5 % no more alarms than the binomial's 99.9 %."""
    generator = numpy.random.default_rng(11)
    for heavy in (False, True):
        alarms = sum(looked_at(generator, heavy=heavy) is not None for _ in range(150))
        assert alarms <= stats.binom.ppf(.999, 150, .05)


def test_a_clear_change_is_found_early_and_a_small_one_later():
    generator = numpy.random.default_rng(12)
    assert [looked_at(generator, .5) for _ in range(10)].count(4) >= 8
    small = [looked_at(generator, .06) for _ in range(10)]
    assert sum(one is not None for one in small) >= 8 and any((one or 99) > 4 for one in small)


def runs(scale):
    def judge_at(state):
        base = make_run(seed=1, repetitions=state["count"], spread=.03)
        candidate = make_run(seed=2, repetitions=state["count"], spread=.03, scale=scale)
        return lambda share: verdict.compare(base, candidate, share=share)

    state = {"count": 0, "time": 0.0}

    def extend(count):
        state["time"] += 10.0 * (count - state["count"])
        state["count"] = count

    return state, extend, lambda share: judge_at(state)(share)


def test_it_ends_when_it_is_decided_and_says_so():
    state, extend, judge = runs(1.4)
    found = sequential.until_sure(extend, judge, 1e9, say=lambda text: None, clock=lambda: state["time"])
    assert found.code == verdict.REGRESSION and state["count"] == 4 and "decided after 4" in found.notes[-1]


def test_it_ends_before_a_look_that_the_time_does_not_allow():
    state, extend, judge = runs(1.06)
    said = []
    found = sequential.until_sure(extend, lambda share: verdict.compare(
        make_run(seed=1, repetitions=state["count"], spread=.5), make_run(seed=2, repetitions=state["count"], spread=.5),
        share=share), 65, say=said.append, clock=lambda: state["time"])
    assert found.code == verdict.INVALID and state["count"] == 6 and "would not be done within 65 s" in found.notes[-1]
    assert len(said) == 2
