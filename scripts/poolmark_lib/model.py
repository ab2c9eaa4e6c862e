# SPDX-License-Identifier: Apache-2.0
"""The memory model: bytes = base + connections x slope, for user and kernel memory apart.

Strategies that grow own memory in steps, which no line fits. So the line is fitted to what is in use, user memory less
the pools' reserve (objects owned and not in use, whose pages are touched), and the reserve is added back by the
strategy's own rule (pools/expand.h): owned grows by `growth` whenever in use reaches `expand_at` per cent of it.

The fit is weighted by 1 / connections, for readings scatter in proportion; intervals are Student's t at 95 %.
"""
import math
import re
from dataclasses import dataclass, field

import numpy
from scipy import stats

from poolmark_lib.curves import Point
from poolmark_lib.errors import PoolmarkError

WEIGHT_FLOOR = 1_000   # below that, scatter is the process's own and does not shrink with the count
CONFIDENCE = 0.95


@dataclass
class Line:
    base: float
    slope: float
    covariance: numpy.ndarray
    freedom: int

    def at(self, connections: float) -> float:
        return self.base + self.slope * connections

    def _t(self) -> float:
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)) if self.freedom > 0 else math.inf

    def margin(self, connections: float) -> float:
        """Half the width of the 95 % interval of at(connections)."""
        row = numpy.array([1.0, connections])
        return self._t() * math.sqrt(max(0.0, float(row @ self.covariance @ row)))

    def slope_interval(self) -> tuple[float, float]:
        half = self._t() * math.sqrt(max(0.0, float(self.covariance[1, 1])))
        return self.slope - half, self.slope + half


def fit_line(counts, values) -> Line:
    """Weighted least squares. At least three points, for two give no interval."""
    x, y = numpy.asarray(counts, float), numpy.asarray(values, float)
    if len(x) < 3 or len(set(counts)) < 3:
        raise PoolmarkError(f"a line needs at least three steps with readings; there are {len(set(counts))}")
    weight = 1.0 / numpy.maximum(x, WEIGHT_FLOOR)
    design = numpy.stack([numpy.ones_like(x), x], axis=1)
    normal = design.T @ (design * weight[:, None])
    inverse = numpy.linalg.inv(normal)
    base, slope = inverse @ (design.T @ (weight * y))
    left = y - (base + slope * x)
    freedom = len(x) - 2
    variance = float(weight @ (left * left)) / freedom
    return Line(float(base), float(slope), inverse * variance, freedom)


@dataclass
class PoolRule:
    """What a pool owns when `in_use` of its objects are, by the rule of its strategy."""
    strategy: str
    initial: int
    maximum: int = 0
    growth: float = 1.5
    expand_at: int = 80

    def owned(self, in_use: int) -> int:
        if self.strategy == "fixed":
            return max(self.initial, in_use)
        if self.strategy != "expand":
            return in_use
        owned = self.initial
        while in_use >= owned * self.expand_at // 100 and (not self.maximum or owned < self.maximum):
            owned = max(owned + 1, int(owned * self.growth))
            owned = min(owned, self.maximum) if self.maximum else owned
        return max(owned, in_use)


def option_values(options: str, name: str) -> dict[str, str]:
    """{"": "1024", "buffers": "2048"} out of "--initial 1024 --initial buffers=2048"."""
    found = {}
    for value in re.findall(rf"(?:^|\s)--{name} (\S+)", options):
        pool, _, number = value.rpartition("=")
        found[pool] = number
    return found


def pool_rules(config: dict) -> dict[str, PoolRule]:
    """The rule of each pool, by a cell's configuration."""
    options = str(config.get("broker_options", ""))
    initial, maximum = option_values(options, "initial"), option_values(options, "max")
    growth = float(option_values(options, "growth").get("", 1.5))
    at = int(option_values(options, "expand-at").get("", 80))
    rules = {}
    for pool in ("connections", "buffers", "arenas", "messages"):
        names = ("", pool) if pool == "connections" else (pool,)
        def number(table, names=names):
            return next((int(table[name]) for name in names if table.get(name, "").isdigit()), 0)
        rules[pool] = PoolRule(str(config.get("strategy", "malloc")), number(initial), number(maximum), growth, at)
    return rules


@dataclass
class Step:
    """What was measured at one step, all instances together."""
    connections: int
    user_bytes: float
    kernel_bytes: float | None          # grown since the start
    pools: dict = field(default_factory=dict)

    def reserve_bytes(self) -> float:
        return sum(max(0, pool["owned"] - pool["in_use"]) * (pool["object_bytes"] or 0) for pool in self.pools.values())


@dataclass
class Model:
    steps: list[Step]
    instances: int
    rules: dict[str, PoolRule]
    user: Line                      # of what is in use
    kernel: Line | None
    ruled: bool                     # the rules reproduce what the pools owned; else the reserve is a measured share

    def reserve_at(self, connections: int) -> float:
        """Bytes that the pools own beyond what is in use, at `connections`."""
        return reserve(self.steps, self.instances, self.rules, self.ruled, connections)

    def user_at(self, connections: int) -> float:
        return self.user.at(connections) + self.reserve_at(connections)

    def kernel_at(self, connections: int) -> float:
        return self.kernel.at(connections) if self.kernel else 0.0

    def total_at(self, connections: int, ends: int = 2) -> float:
        """User and kernel memory; `ends` 1 for a server whose clients are elsewhere: half of a loopback pair."""
        return self.user_at(connections) + self.kernel_at(connections) * ends / 2

    def margin(self, connections: int, ends: int = 2) -> float:
        kernel = self.kernel.margin(connections) * ends / 2 if self.kernel else 0.0
        return math.hypot(self.user.margin(connections), kernel)

    def holds(self, budget_bytes: float, ends: int, sign: int = 0) -> int:
        """The most connections in a budget; `sign` +1 or -1 takes the interval's ends (-1: the fewest)."""
        low, high = 0, 1 << 36
        while high - low > 1:
            middle = (low + high) // 2
            need = self.total_at(middle, ends) - sign * self.margin(middle, ends)
            low, high = (middle, high) if need <= budget_bytes else (low, middle)
        return low


def _shares(steps: list[Step], pool: str) -> tuple[float, float, int]:
    """Objects in use for a connection, the reserve as a share of them, and the object's size; of the larger steps."""
    large = [step for step in steps if step.connections >= WEIGHT_FLOOR and pool in step.pools] or \
            [step for step in steps if pool in step.pools]
    if not large:
        return 0.0, 0.0, 0
    used = float(numpy.median([step.pools[pool]["in_use"] / step.connections for step in large]))
    spare = [step.pools[pool]["owned"] / step.pools[pool]["in_use"] - 1 for step in large if step.pools[pool]["in_use"]]
    return used, max(0.0, float(numpy.median(spare))) if spare else 0.0, large[-1].pools[pool]["object_bytes"] or 0


def reserve(steps, instances, rules, ruled, connections) -> float:
    total = 0.0
    for pool in {name for step in steps for name in step.pools}:
        used, share, size = _shares(steps, pool)
        in_use = round(used * connections / instances)
        if ruled and pool in rules:
            total += (rules[pool].owned(in_use) - in_use) * size * instances
        else:
            total += share * in_use * size * instances
    return total


def rules_hold(steps: list[Step], instances: int, rules: dict[str, PoolRule]) -> bool:
    """Do the rules give what the pools owned, within 5 % of user memory, at the larger steps?"""
    large = [step for step in steps if step.connections >= WEIGHT_FLOOR]
    return all(abs(reserve(steps, instances, rules, True, step.connections) - step.reserve_bytes()) <= 0.05 * step.user_bytes
               for step in large)


def make_steps(points: list[Point], pools: list[dict]) -> list[Step]:
    """Steps out of points (the first is the start, 0 connections) and the pools' numbers at each."""
    start = next((point for point in points if point.connections == 0), None)
    steps = []
    for point, pool in zip(points, pools, strict=True):
        if point.connections == 0 or point.user_bytes is None:
            continue
        kernel = None
        if point.kernel_bytes is not None and start is not None and start.kernel_bytes is not None:
            kernel = point.kernel_bytes - start.kernel_bytes
        steps.append(Step(point.connections, point.user_bytes, kernel, pool))
    return steps


def fit_model(steps: list[Step], config: dict, instances: int) -> Model:
    rules = pool_rules(config)
    known = [step for step in steps if step.kernel_bytes is not None]
    user = fit_line([step.connections for step in steps], [step.user_bytes - step.reserve_bytes() for step in steps])
    kernel = fit_line([step.connections for step in known], [step.kernel_bytes for step in known]) \
        if len(known) >= 3 else None
    return Model(steps, instances, rules, user, kernel, rules_hold(steps, instances, rules))


@dataclass
class HeldOut:
    """The model's check on itself: a step predicted by the others."""
    connections: int
    measured_bytes: float
    predicted_bytes: float

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted_bytes / self.measured_bytes - 1)


def hold_out(steps: list[Step], config: dict, instances: int, connections: int) -> HeldOut:
    """Predicts the step of `connections` by a model that never saw it."""
    seen = [step for step in steps if step.connections != connections]
    step = next((step for step in steps if step.connections == connections), None)
    if step is None:
        raise PoolmarkError(f"there is no step of {connections} connections to hold out; there are: "
                            + ", ".join(str(one.connections) for one in steps))
    model = fit_model(seen, config, instances)
    kernel = step.kernel_bytes if model.kernel and step.kernel_bytes is not None else None
    measured = step.user_bytes + (kernel or 0.0)
    predicted = model.user_at(connections) + (model.kernel_at(connections) if kernel is not None else 0.0)
    return HeldOut(connections, measured, predicted)
