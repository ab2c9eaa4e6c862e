# SPDX-License-Identifier: Apache-2.0
"""The trend of memory: the same verdicts as loadgen/trend.c (tests/test_trend.c), and the complaints of verify."""
import math
import random

import pytest
from poolmark.records import trend

S, MB, HOUR = 1_000_000_000, 1_000_000, 3600


def judged(seconds, level=100 * MB, per_h=0.0, noise=0, extra=lambda second: 0):
    chance = random.Random(1)
    return trend.judge([(7 + i * S, int(level + per_h * i / HOUR + chance.randint(-noise, noise) + extra(i))) for i in range(seconds)])


@pytest.mark.parametrize("seconds,options,verdict", [
    (2 * HOUR, {}, "level"),
    (2 * HOUR, {"noise": 50_000}, "level"),
    (2 * HOUR, {"per_h": 30 * MB, "noise": 200_000}, "growing"),
    (2 * HOUR, {"per_h": -30 * MB, "noise": 200_000}, "falling"),
    (30, {}, "too short to tell"),
    (5, {}, "too short to tell"),
    (0, {}, "too short to tell"),
    (2 * HOUR, {"extra": lambda i: min(0, i - 600) * 60_000}, "level"),         # grows to its size in the first tenth
    (2 * HOUR, {"extra": lambda i: 50 * MB if i % 100 < 20 else 0}, "level"),   # bursts
    (2 * HOUR, {"extra": lambda i: 20 * MB * math.sin(i / 880)}, "too short to tell"),
])
def test_verdicts(seconds, options, verdict):
    assert judged(seconds, **options).verdict == verdict


def test_the_slope_and_its_interval_are_those_of_the_growth():
    found = judged(2 * HOUR, per_h=30 * MB, noise=200_000)
    assert found.slope == pytest.approx(30e6, rel=0.01) and found.low < found.slope < found.high
    assert found.above(20) == "rings" and found.above(50) == "silent" and judged(30, level=20 * MB).above(20) == "too short to tell"
    # Level memory moves by a thousandth between two readings: no interval is narrower.
    level = judged(HOUR)
    assert level.slope == 0 and level.high == -level.low and level.high == pytest.approx(100_000 / 0.885, rel=0.01)


def test_the_interval_holds_no_slope_in_nearly_all_series_that_depend_on_themselves():
    """Readings that remember: each is 0.8 of the one before, in bins. Independent readings would find a trend in far more than
    one of twenty."""
    wrong, runs = 0, 200
    for seed in range(runs):
        chance, value, points = random.Random(seed), 0.0, []
        for i in range(60):
            value = 0.8 * value + chance.gauss(0, 10 * MB)
            points.append((i * 120 * S, int(500 * MB + value)))
        wrong += trend.judge(points).verdict in ("growing", "falling")
    assert wrong / runs < 0.1


def by_the_c_test(noise, extra):
    """The series of tests/test_trend.c: a linear congruential generator of its own."""
    chance, points = 12345, []
    for i in range(2 * HOUR):
        chance = (chance * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        points.append((7 + i * S, 100 * MB + ((chance >> 33) % (2 * noise + 1) - noise if noise else 0) + extra(i)))
    return trend.judge(points)


def last(per_mille, size=20 * MB):
    return lambda i: size if i >= 2 * HOUR - 2 * HOUR // 1000 * per_mille else 0


@pytest.mark.parametrize("noise,extra,verdict,end_mb,above", [
    (0, last(20), "higher at the end", 20, "too short to tell"),
    (0, last(50), "higher at the end", 20, "too short to tell"),
    (0, last(80), "too short to tell", 20, "too short to tell"),
    (3 * MB, last(50), "higher at the end", 20, "too short to tell"),
    (50_000, lambda i: max(0, i - 6840) * 100_000, "higher at the end", 31, "too short to tell"),   # a leak that began there
    (0, last(50, -20 * MB), "lower at the end", -20, "silent"),
    (50_000, lambda i: last(50)(i) - i * 1000, "higher at the end", 20, "too short to tell"),
    (50_000, lambda i: last(50, -20 * MB)(i) + i * 1000, "lower at the end", -20, "silent"),
    (50_000, lambda i: last(50)(i) + (40 * MB if 3000 <= i < 3110 else 0), "higher at the end", 20, "too short to tell"),
    (50_000, lambda i: i % 900 * 2_000, "level", 0, "silent"),
    (50_000, lambda i: 50 * MB if i % 100 < 20 else 0, "level", 0, "silent"),
])
def test_the_end_is_compared_with_all_before(noise, extra, verdict, end_mb, above):
    found = by_the_c_test(noise, extra)
    assert (found.verdict, found.above(20)) == (verdict, above) and abs(found.end_bytes / 1e6 - end_mb) < 1.5, found


def kept(seed, keeps, deviation, bins=60):
    """Bins that keep that share of the one before, with that standard deviation."""
    chance, value, found = random.Random(seed), 0.0, []
    for _ in range(bins):
        value = keeps * value + chance.gauss(0, deviation * math.sqrt(1 - keeps * keeps))
        found.append(value)
    return found


def saws(seed, _keeps, size):
    """Grows and falls, as of a collector: a period of 4 to 15 bins, and any place of it at the end."""
    chance = random.Random(seed)
    period, first = chance.uniform(4, 15), chance.uniform(0, 15)
    return [(first + i) % period / period * size + chance.gauss(0, size / 50) for i in range(60)]


def bursts(seed, share, size):
    """Bins of bursts that come by chance."""
    chance = random.Random(seed)
    return [(size if chance.random() < share else 0) + chance.gauss(0, size / 100) for _ in range(60)]


def share_of_ends(series, *how, added=lambda i: 0.0, runs=400):
    """Of so many series of 60 bins in two hours at 500 MB, the share with an end beyond all before."""
    found = 0
    for seed in range(runs):
        # The first tenth of the time is left out: readings that are not judged stand before it.
        points = [(i * 108 * S, int(500 * MB + (bins[i - 7] + added(i - 7) if i >= 7 else 0))) for bins in [series(seed, *how)] for i in range(67)]
        found += trend.judge(points).end_bytes != 0
    return found / runs


@pytest.mark.parametrize("series,how,at_most", [
    (kept, (0.0, 10 * MB), 0.01), (kept, (0.0, 50 * MB), 0.01), (kept, (0.5, 50 * MB), 0.01), (kept, (0.8, 50 * MB), 0.05),
    (saws, (None, 100 * MB), 0.02), (bursts, (0.1, 100 * MB), 0.03), (bursts, (0.3, 100 * MB), 0.02)])
def test_level_series_seldom_have_another_end(series, how, at_most):
    assert share_of_ends(series, *how) <= at_most


@pytest.mark.parametrize("series,how,bins,at_least", [
    (kept, (0.0, 10 * MB), 1, 0.99), (kept, (0.0, 10 * MB), 3, 0.99), (kept, (0.0, 10 * MB), 5, 0.99), (kept, (0.8, 10 * MB), 3, 0.99),
    (kept, (0.0, 20 * MB), 3, 0.9), (saws, (None, 20 * MB), 3, 0.99)])
def test_a_step_of_a_fifth_at_the_end_is_found(series, how, bins, at_least):
    assert share_of_ends(series, *how, added=lambda i: 100 * MB if i >= 60 - bins else 0.0, runs=200) >= at_least


def test_verdicts_that_the_readings_contradict_are_found():
    found = judged(2 * HOUR, per_h=30 * MB)

    def record(**verdicts):
        return {"summary": {"verdicts": {name: {"verdict": one} for name, one in verdicts.items()}}}

    assert trend.complaints(record(memory="growing", memory_above_20_percent_an_hour="rings"), found) == []
    assert len(trend.complaints(record(memory="level", memory_above_20_percent_an_hour="silent"), found)) == 2
    assert trend.complaints(record(memory="not measured"), found) == []
    assert trend.complaints({}, found) == []
