# SPDX-License-Identifier: Apache-2.0
"""The models behind a capacity answer, on data whose truth is known: the law of scale, CPU time of messages, p99 by utilisation."""
import math

import numpy
import pytest
from poolmark.model import cpu, tail, usl

LOADS = [1, 2, 4, 8, 12, 16, 24, 32]
TRUTH = (10_000.0, 0.04, 0.0006)        # first, contention, coherency


def law_rate(load, first=TRUTH[0], contention=TRUTH[1], coherency=TRUTH[2]):
    return first * load / (1 + contention * (load - 1) + coherency * load * (load - 1))


def noisy(seed, loads=LOADS, noise=0.03, rate=law_rate):
    scatter = numpy.random.default_rng(seed).normal(0, noise, len(loads))
    return [(load, rate(load) * math.exp(one)) for load, one in zip(loads, scatter, strict=True)]


# --- the law of scale


def test_without_noise_the_law_is_found_exactly():
    found = usl.fit(noisy(0, noise=0))
    assert (found.first, found.contention, found.coherency) == pytest.approx(TRUTH, rel=1e-5)
    assert found.peak() == pytest.approx(math.sqrt((1 - TRUTH[1]) / TRUTH[2]), rel=1e-4)
    assert found.at(64)[1] == pytest.approx(law_rate(64), rel=1e-4)


def test_the_coefficients_are_in_their_intervals_as_often_as_the_intervals_say():
    inside = dict.fromkeys(usl.NAMES, 0)
    forecast = 0
    for seed in range(100):
        found = usl.fit(noisy(seed))
        for name, truth in zip(usl.NAMES, TRUTH, strict=True):
            low, high = found.interval(name)
            inside[name] += low <= truth <= high
        low, _, high = found.at(48)
        forecast += low <= law_rate(48) <= high
    assert min(inside.values()) >= 90 and forecast >= 90, (inside, forecast)
    # An interval that is always right because it is endless would pass as well.
    low, high = usl.fit(noisy(1)).interval("contention")
    assert high - low < 0.06


def test_clients_by_the_thousand_are_a_load_too():
    loads = [100, 200, 500, 1_000, 2_000, 5_000]
    found = usl.judge(noisy(3, loads, 0.01, lambda load: law_rate(load, 50.0, 1e-3, 1e-8)))
    assert not found.why and found.fit.contention == pytest.approx(1e-3, rel=0.2)


def test_a_law_is_accepted_and_its_largest_load_was_held_out():
    law = usl.judge(noisy(5, noise=0.005))
    assert law.why == () and law.held_out.load == 32 and law.held_out.holds
    assert law.held_out.measured == pytest.approx(law_rate(32), rel=0.05)


@pytest.mark.parametrize("told, rate", [
    ("below zero", lambda load: 10_000 * load if load < 24 else 60_000),                                                # a cliff
    ("predicted by the others", lambda load: 10_000 * load / (1 + 0.02 * (load - 1)) * (0.4 if load >= 32 else 1)),     # a step back
    ("predicted by the others", lambda load: law_rate(min(load, 16)) * (1 if load <= 16 else 1.8))])                    # a second socket
def test_a_curve_that_is_not_the_law_is_no_answer(told, rate):
    for seed in range(5):
        law = usl.judge(noisy(seed, noise=0.01, rate=rate))
        assert any(told in one for one in law.why), law.why


def test_a_rate_that_grows_faster_than_the_load_is_no_law():
    law = usl.judge(noisy(1, noise=0.001, rate=lambda load: 1_000 * load ** 1.4))
    assert any("below zero" in one for one in law.why)


def test_a_straight_line_says_that_its_end_is_not_known():
    law = usl.judge(noisy(2, [1, 2, 3, 4, 5, 6], 0.03, lambda load: 1_000 * load))
    assert any("both cover zero" in one for one in law.why)
    assert law.fit.peak() is None


@pytest.mark.parametrize("points, told", [([], "there are 0"), ([(1, 5.0), (2, 9.0)], "there are 2"),
                                          ([(1, 5.0), (2, 9.0), (3, 12.0), (4, 15.0), (4, 15.1), (4, 14.9)], "there are 4")])
def test_too_few_loads_are_no_answer(points, told):
    law = usl.judge(points)
    assert law.fit is None and told in law.why[0]


def test_an_interval_that_is_too_wide_is_no_answer():
    found = usl.fit(noisy(4, noise=0.05))
    assert found.is_known_at(32)
    far = next(load for load in (100, 1_000, 10_000, 1e6) if not found.is_known_at(load))
    low, rate, high = found.at(far)
    assert not (rate - low <= usl.WIDE * rate and high - rate <= usl.WIDE * rate)


# --- CPU time


def of_rates(rates, base=0.02, slope=8e-6, noise=0.0, seed=1):
    scatter = numpy.random.default_rng(seed).normal(0, noise, len(rates))
    return [(rate, (base + slope * rate) * math.exp(one) / rate * 1e9) for rate, one in zip(rates, scatter, strict=True)]


def test_processors_are_a_line_in_the_rate_where_several_were_measured():
    cost = cpu.message_cost(of_rates([1_000, 4_000, 16_000, 32_000]))
    assert cost.form == cpu.LINE and cost.base == pytest.approx(0.02) and cost.alone == pytest.approx(8e-6)
    assert cost.at(20_000)[1] == pytest.approx(0.18)
    assert cost.message_s(20_000) == pytest.approx(9e-6)


RISING = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]


def with_set_up(rate, base=0.01, first=20e-6, further=4e-6):
    """Processors of an M/G/1 queue whose idle server wakes up for the first message."""
    return base + rate * first / (1 + rate * (first - further))


def of_set_up(rates, noise=0.0, seed=1):
    scatter = numpy.random.default_rng(seed).normal(0, noise, len(rates))
    return [(rate, with_set_up(rate) * math.exp(one) / rate * 1e9) for rate, one in zip(rates, scatter, strict=True)]


def test_messages_that_share_their_wake_ups_cost_less_the_more_they_are():
    cost = cpu.message_cost(of_set_up(RISING))
    assert cost.form == cpu.SET_UP and cost.coefficients == pytest.approx([0.01, 20e-6, 16e-6], rel=1e-3)
    assert cost.at(64_000)[1] == pytest.approx(with_set_up(64_000), rel=1e-3)
    assert cost.at(640_000)[1] == pytest.approx(10 * cost.at(64_000)[1]), "beyond twice the highest rate a message costs what it does there"
    assert cost.at(0)[1] == pytest.approx(0.01, rel=1e-3)
    inside = 0
    for seed in range(100):
        low, _, high = cpu.message_cost(of_set_up(RISING * 3, noise=0.04, seed=seed)).at(20_000)
        inside += low <= with_set_up(20_000) <= high
    assert inside >= 90
    for rate in RISING[1:]:
        held = cpu.hold_out(of_set_up(RISING), rate)
        assert held.rate == rate and held.holds and held.error_percent == pytest.approx(0, abs=0.5)


def test_the_set_up_is_that_of_a_simulated_queue():
    """Not our formula, but a server that sleeps when it has nothing: Poisson arrivals, a wake-up of 15 us, 5 us a message."""
    random, waking, serving = numpy.random.default_rng(7), 15e-6, 5e-6
    points = []
    for rate in RISING:
        free, busy = 0.0, 0.0
        arrivals = numpy.cumsum(random.exponential(1 / rate, 40_000))
        for at in arrivals:
            work = serving + (waking if at > free else 0.0)
            free, busy = max(at, free) + work, busy + work
        points.append((rate, busy / arrivals[-1] / rate * 1e9))
    cost = cpu.message_cost(points)
    assert cost.form == cpu.SET_UP
    assert cost.alone == pytest.approx(waking + serving, rel=0.03) and float(cost.coefficients[2]) == pytest.approx(waking, rel=0.1)


def test_the_interval_of_processors_holds_the_truth():
    inside = 0
    for seed in range(100):
        low, _, high = cpu.message_cost(of_rates([1_000, 2_000, 4_000, 8_000, 16_000] * 3, noise=0.04, seed=seed)).at(20_000)
        inside += low <= 0.02 + 8e-6 * 20_000 <= high
    assert inside >= 90


def test_of_one_rate_a_message_costs_what_it_did_there():
    cost = cpu.message_cost([(2_000, 20_000.0), (2_010, 21_000.0), (1_990, 19_000.0)])
    assert cost.form == cpu.PROPORTIONAL and cost.runs == 3 and cost.alone == pytest.approx(20e-6)
    low, value, high = cost.at(10_000)
    assert value == pytest.approx(0.2) and low == pytest.approx(0.2 - 0.2 * 0.05 * 4.303 / math.sqrt(3), rel=0.01) and high > 0.22


def test_one_run_has_no_interval():
    assert cpu.message_cost([(2_000, 20_000.0)]).at(2_000) == (None, pytest.approx(0.04), None)
    assert cpu.mean_of([5.0]).half == math.inf


def test_a_rate_is_held_out_and_a_bend_is_noticed():
    assert cpu.hold_out(of_rates([1_000, 2_000, 4_000])) is None
    held = cpu.hold_out(of_rates([1_000, 2_000, 4_000, 8_000, 16_000]))
    assert held.rate == 16_000 and held.holds and held.error_percent == pytest.approx(0, abs=1e-6)
    bent = [*of_rates([1_000, 2_000, 4_000, 8_000]), (16_000, 4e4)]
    assert not cpu.hold_out(bent).holds


def test_no_points_and_a_line_that_falls_are_no_cost():
    assert cpu.message_cost([]) is None
    assert cpu.message_cost([(1_000, 1e6), (2_000, 4e5), (4_000, 1e5)]) is None


# --- p99


def p99_of(used):
    """A queue's: 0.5 ms / (1 - utilisation)."""
    return 0.5e6 / (1 - used)


def measured(seed, places=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), runs=4, noise=0.1):
    rng = numpy.random.default_rng(seed)
    return [(place * math.exp(rng.normal(0, 0.01)), p99_of(place) * math.exp(rng.normal(0, noise))) for place in places for _ in range(runs)]


def test_p99_does_not_fall_and_is_not_known_beyond():
    found = tail.fit([(0.1, 1e6), (0.2, 0.8e6), (0.3, 2e6), (0.4, 1.9e6)])
    assert list(found.levels) == sorted(found.levels)
    assert found.at(0.41) is None and found.holds(0.41, 1e12) is None
    low, _, high = found.at(0.25)
    more = math.exp(found.scatter)
    assert low * more == pytest.approx(math.sqrt(0.8) * 1e6) and high / more == pytest.approx(math.sqrt(2 * 1.9) * 1e6)
    assert found.at(0.05)[0] == 0 and found.at(0.05)[2] / more == pytest.approx(math.sqrt(0.8) * 1e6)


def test_p99_is_on_the_right_side_of_the_bound_in_19_of_20():
    """Forecasts at utilisations between the measured ones, against bounds fixed beforehand; `not known` is no forecast."""
    right = wrong = unknown = 0
    for seed in range(60):
        found = tail.fit(measured(seed))
        for used in (0.15, 0.25, 0.35, 0.45, 0.55, 0.65):
            new = p99_of(used) * math.exp(numpy.random.default_rng(1_000 + seed).normal(0, 0.1))
            for bound in (0.5e6, 0.75e6, 1e6, 1.5e6, 2e6):
                held = found.holds(used, bound)
                unknown += held is None
                right += held is not None and held == (new <= bound)
                wrong += held is not None and held != (new <= bound)
    assert right >= 0.95 * (right + wrong), (right, wrong)
    assert right > 2 * unknown, "a relation that never decides would pass as well"


def test_up_to_which_utilisation_a_bound_is_held():
    found = tail.fit([(0.1, 1e6), (0.2, 2e6), (0.4, 4e6), (0.8, 40e6)])
    assert found.held_up_to(20e6) == 0.4 and found.missed_from(20e6) == 0.8
    assert found.held_up_to(0.5e6) is None and found.missed_from(1e9) is None
    assert found.scatter is None and tail.fit([]) is None
