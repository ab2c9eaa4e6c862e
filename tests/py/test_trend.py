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


def test_verdicts_that_the_readings_contradict_are_found():
    found = judged(2 * HOUR, per_h=30 * MB)

    def record(**verdicts):
        return {"summary": {"verdicts": {name: {"verdict": one} for name, one in verdicts.items()}}}

    assert trend.complaints(record(memory="growing", memory_above_20_percent_an_hour="rings"), found) == []
    assert len(trend.complaints(record(memory="level", memory_above_20_percent_an_hour="silent"), found)) == 2
    assert trend.complaints(record(memory="not measured"), found) == []
    assert trend.complaints({}, found) == []
