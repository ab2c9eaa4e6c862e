# SPDX-License-Identifier: Apache-2.0
"""The tests of a comparison: exact values where they are known, error rates by simulation with a seed."""
import math

import numpy
import pytest
from scipy import stats

from poolmark.compare import permutation, power
from poolmark.compare import statistics_of_pairs as statistics
from poolmark.compare.permutation import Family, Sample


def rng(seed=1):
    return numpy.random.default_rng(seed)


def noise(generator, count, spread=.02, shift=0.0):
    return tuple(numpy.exp(generator.normal(shift, spread, count)))


def test_four_against_four_fully_apart_is_one_labelling_of_seventy():
    sample = Sample("c", (1.0, 1.01, 1.02, 1.03), (1.1, 1.12, 1.13, 1.11))
    found = Family([sample], rng()).results()[0]
    assert found.p == pytest.approx(1 / 70) and found.corrected == pytest.approx(1 / 70) and found.better == 1
    turned = Sample("c", sample.base, sample.candidate, -1)
    assert Family([turned], rng()).results()[0].better == pytest.approx(1 / 70)


def test_the_p_value_of_one_sample_is_that_of_all_labellings_of_welch():
    values = numpy.array([1.0, 1.3, 1.1, 1.25, 1.2, 1.4, 1.15, 1.5])
    found = Family([Sample("c", tuple(values[:4]), tuple(values[4:]))], rng()).results()[0]
    wanted = stats.ttest_ind(numpy.log(values[4:]), numpy.log(values[:4]), equal_var=False, alternative="greater",
                             permutations=10**6).pvalue
    assert found.p == pytest.approx(wanted)


def test_a_clear_change_among_many_metrics_keeps_the_least_p_that_there_is():
    generator = rng(2)
    samples = [Sample("c", noise(generator, 7), noise(generator, 7)) for _ in range(124)]
    samples.append(Sample("c", noise(generator, 7), noise(generator, 7, shift=math.log(2))))
    found = Family(samples, generator).results()
    assert found[-1].corrected < .01 and min(one.corrected for one in found[:-1]) > .05


def test_values_that_do_not_vary_at_all_are_told_apart_from_those_with_two_exchanged():
    for count in (4, 5, 6, 7, 10):
        found = Family([Sample("c", (17.06,) * count, (18.77,) * count)], rng()).results()[0]
        assert found.p <= 2 * max(1 / 5000, permutation.least_p(count, count))
        counts = Family([Sample("c", (0.0,) * count, (500.0,) * count)], rng()).results()[0]
        assert counts.p == found.p


def test_equal_values_are_no_evidence():
    found = Family([Sample("c", (5.0,) * 6, (5.0,) * 6), Sample("c", (0.0,) * 6, (0.0,) * 6)], rng()).results()
    assert all(one.p == one.corrected == one.better == 1 for one in found)


def test_a_small_change_in_every_cell_is_found_together():
    generator = rng(4)
    samples = [Sample(f"cell-{number}", noise(generator, 4, .03), noise(generator, 4, .03, .05)) for number in range(6)]
    family = Family(samples, generator)
    family.combine(list(range(6)))
    found = family.results()
    least = 1 / math.comb(8, 4)  # runs are relabelled, not cells: 6 cells of 4 runs have the p-values of 4 runs
    assert found[-1].corrected == pytest.approx(least) and sum(one.corrected < .1 for one in found[:-1]) < 6


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("count", [4, 5])
def test_false_alarms_of_a_family_stay_below_the_level(count, heavy):
    """300 families of 12 correlated metrics in 3 cells, which a run disturbs together. At 5 % at most 27 alarms, by the binomial's
    99.9 %."""
    generator, alarms = rng(count), 0
    for _ in range(300):
        samples, run = [], generator.normal(size=2 * count)
        for cell in range(3):
            common = run + (generator.standard_t(2, 2 * count) if heavy else generator.normal(size=2 * count))
            for _ in range(4):
                values = numpy.exp(.1 * (common + (generator.standard_t(2, 2 * count) if heavy else
                                                   generator.normal(size=2 * count))))
                samples.append(Sample(f"cell-{cell}", tuple(values[:count]), tuple(values[count:])))
        family = Family(samples, generator, rounds=499)
        family.combine([0, 4, 8])
        alarms += min(one.corrected for one in family.results()) <= .05
    assert alarms <= stats.binom.ppf(.999, 300, .05)


def test_the_interval_is_the_published_one_and_covers():
    # Mann-Whitney's critical values, two-sided 5 %: U = 0 for 4 and 4, 17 for 9 and 9, 127 for 20 and 20.
    assert [statistics.rank_of_limit([(n, n)], .95) for n in (3, 4, 9, 20)] == [0, 1, 18, 128]
    few = statistics.effect([1, 2, 3], [2, 3, 4])
    assert (few.low, few.high) == (-1, math.inf)
    generator, covered = rng(5), 0
    for _ in range(400):
        found = statistics.effect(numpy.exp(generator.normal(size=4)), numpy.exp(generator.normal(1, 1, 4)))
        covered += found.low <= math.expm1(1) <= found.high
    assert covered >= stats.binom.ppf(.001, 400, .95)


def test_from_zero_there_is_no_share():
    found = statistics.effect([0.0] * 5, [500.0] * 5)
    assert found.change == math.inf and found.difference == 500
    assert statistics.effect([0.0] * 5, [0.0] * 5).change == 0
    assert statistics.effect([4.0] * 5, [0.0] * 5).change == -1


def test_what_is_said_beforehand_is_found():
    """A change of the size `finds` is found in at least 17 of 20 comparisons with 6 repetitions."""
    size = power.finds(.03, 6, 10, .04)
    generator, found = rng(6), 0
    for _ in range(20):
        samples = [Sample("c", noise(generator, 6, .03), noise(generator, 6, .03, math.log1p(size) * (number == 0)))
                   for number in range(10)]
        found += Family(samples, generator).results()[0].corrected <= .04
    assert found >= 17
    assert power.finds(.03, 3, 10, .04) == math.inf and power.repetitions_for(.03, size, 10, .04) == 6
