# SPDX-License-Identifier: Apache-2.0
"""Rates over time (loadgen/schedule.h) as plans tell them and verify computes them again."""
import pytest

from poolmark.base import schedules
from poolmark.verify import counts

RAMP = {"schedule": "ramp", "schedule_from_per_s": 100.0, "schedule_over_ns": 10_000_000_000}
STAIRS = RAMP | {"schedule": "stairs", "schedule_steps": 5}


def rate_at(shape, time_s):
    part = min(time_s / 10, 1)
    return 100 + 400 * (part if shape is RAMP else min(int(part * 5), 4) / 4)


@pytest.mark.parametrize("shape", [RAMP, STAIRS], ids=["ramp", "stairs"])
def test_acts_are_the_integral_of_the_rate(shape):
    steps = 12_000
    for end_s in (1, 5, 10, 12):
        summed = sum(rate_at(shape, (number + 0.5) * end_s / steps) for number in range(steps)) * end_s / steps
        assert schedules.acts_by(shape, 500, end_s) == pytest.approx(summed, rel=1e-3)
        assert schedules.seconds_of(shape, 500, schedules.acts_by(shape, 500, end_s)) == pytest.approx(end_s)
    assert schedules.acts_by(shape, 500, 10) == pytest.approx(3000)


def test_a_rate_without_a_shape_is_constant():
    assert schedules.acts_by({}, 500, 3) == schedules.acts_by({"schedule": "poisson"}, 500, 3) == 1500
    assert schedules.seconds_of({"schedule": "poisson"}, 500, 1500) == 3


def record(config, attempted=0, status="complete"):
    return {"status": status, "config": config, "metrics": {}, "books": {"publishes": {"attempted": attempted}, "arrivals": {"attempted": attempted}}}


def test_the_rate_that_was_asked_for_is_the_schedules_mean():
    publish = {"scenario": "publish", "publish_rate_per_s": 500.0, "duration_ns": 10_000_000_000, "rate_per_s": 50.0}
    asked = {"connect.rate_asked": [50.0]}
    assert counts.asked_figures(record(publish)) == asked | {"messages.rate_asked": [500.0]}
    assert counts.asked_figures(record(publish | RAMP)) == asked | {"messages.rate_asked": [pytest.approx(300)]}
    assert counts.asked_figures(record(publish | STAIRS)) == asked | {"messages.rate_asked": [pytest.approx(300)]}
    assert counts.asked_figures(record(publish | {"schedule": "poisson"}, 4960)) == asked | {"messages.rate_asked": [496.0, 500.0]}
    assert counts.asked_figures(record(publish | RAMP, status="incomplete")) == asked
    churn = {"scenario": "churn", "arrival_rate_per_s": 500.0, "duration_ns": 20_000_000_000} | RAMP
    assert counts.asked_figures(record(churn)) == {"arrivals.rate_asked": [pytest.approx(400)]}
    # Of so many acts, and beside a rate that is constant.
    assert counts.asked_figures(record({"scenario": "connect", "rate_per_s": 50.0} | RAMP)) == {}
    soak = {"scenario": "soak", "arrival_rate_per_s": 500.0, "publish_rate_per_s": 7.0, "duration_ns": 10_000_000_000} | STAIRS
    assert counts.asked_figures(record(soak)) == {"arrivals.rate_asked": [pytest.approx(300)], "messages.rate_asked": [7.0]}
