# SPDX-License-Identifier: Apache-2.0
"""Rates over time, as loadgen/schedule.h has them and records and plans describe them: schedule, schedule_from_per_s, schedule_over_ns,
schedule_steps.

    acts_by(config, 500.0, 10.0)    the acts that a rate of 500/s by that schedule has in its first 10 s
"""
from collections.abc import Mapping
from typing import Any


def is_constant(shape: Mapping[str, Any]) -> bool:
    return bool(shape.get("schedule", "constant") == "constant")


def is_shaped(shape: Mapping[str, Any]) -> bool:
    """Does the rate rise or fall?"""
    return shape.get("schedule") in ("ramp", "stairs")


def acts_by(shape: Mapping[str, Any], rate: float, time_s: float) -> float:
    """The integral of the rate; of a Poisson process the mean."""
    if not is_shaped(shape):
        return rate * time_s
    first, over = float(shape["schedule_from_per_s"]), float(shape["schedule_over_ns"]) / 1e9
    inside = min(time_s, over)
    if shape["schedule"] == "ramp":
        done = inside * (first + (rate - first) * inside / over / 2)
    else:
        steps = int(shape["schedule_steps"])
        each = over / steps
        step = min(int(inside / each), steps - 1)
        rates = [first + (rate - first) * number / (steps - 1) for number in range(step + 1)]
        done = sum(rates[:-1]) * each + (inside - step * each) * rates[-1]
    return done + (time_s - inside) * rate


def seconds_of(shape: Mapping[str, Any], rate: float, acts: float) -> float:
    """When so many acts are due."""
    if not is_shaped(shape):
        return acts / rate
    low, high = 0.0, float(shape["schedule_over_ns"]) / 1e9
    whole = acts_by(shape, rate, high)
    if acts > whole:
        return high + (acts - whole) / rate
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if acts_by(shape, rate, middle) < acts else (low, middle)
    return high
