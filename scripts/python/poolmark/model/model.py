# SPDX-License-Identifier: Apache-2.0
"""The memory model: bytes = base + connections x slope, separately for user and kernel memory.

Growing strategies own memory in steps, which a line does not fit. Where a pool follows its strategy's rule, its reserve (objects
owned and not in use) is subtracted before the fit and added by the rule afterwards. The broker computes that rule (--describe).
All other pools are part of the line, for example buffers, whose use has short peaks.

The fit is weighted. A reading has an error from the rest of the system, which does not depend on the count, and an error
proportional to itself. Intervals are Student's t at 95 %.
"""
import bisect
import math
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy

from poolmark.compare.blocks import Array
from poolmark.base.forms import Json
from poolmark.facts import described
from poolmark.base.curves import LEVEL_BYTES, LEVEL_SHARE, SOCKET_BYTES
from poolmark.base.distributions import t_quantile
from poolmark.base.errors import PoolmarkError, UsageError

CONFIDENCE = 0.95
SHARE_OFF = 0.005                    # relative error of a reading
USER_OFF_BYTES, KERNEL_OFF_BYTES = 1 << 20, 16 << 20
LARGE = 1_000                        # from so many connections on a pool's rule can be distinguished from chance
MOST = 1 << 36                       # upper bound of the search for connections


Pools = dict[str, dict[str, float]]     # pool -> object_bytes, owned, in_use


@dataclass
class Line:
    base: float
    slope: float
    covariance: Array
    freedom: int

    def at(self, connections: float) -> float:
        return self.base + self.slope * connections

    def _t(self) -> float:
        return t_quantile((1 + CONFIDENCE) / 2, self.freedom) if self.freedom > 0 else math.inf

    def margin(self, connections: float) -> float:
        """Half width of the 95 % interval of at(connections)."""
        row = numpy.array([1.0, connections])
        return self._t() * math.sqrt(max(0.0, float(row @ self.covariance @ row)))

    def slope_interval(self) -> tuple[float, float]:
        half = self._t() * math.sqrt(max(0.0, float(self.covariance[1, 1])))
        return self.slope - half, self.slope + half


def fit_line(counts: Sequence[float], values: Sequence[float], off_bytes: float = USER_OFF_BYTES) -> Line:
    """Weighted least squares. At least three points, because two give no interval."""
    x, y = numpy.asarray(counts, float), numpy.asarray(values, float)
    if len(x) < 3 or len(set(counts)) < 3:
        raise PoolmarkError(f"a line needs at least three steps with readings; there are {len(set(counts))}")
    weight = 1.0 / (off_bytes**2 + (SHARE_OFF * y) ** 2)
    weight /= weight.max()
    design = numpy.stack([numpy.ones_like(x), x], axis=1)
    normal = design.T @ (design * weight[:, None])
    inverse = numpy.linalg.inv(normal)
    base, slope = inverse @ (design.T @ (weight * y))
    left = y - (base + slope * x)
    freedom = len(x) - 2
    variance = float(weight @ (left * left)) / freedom
    return Line(float(base), float(slope), inverse * variance, freedom)


@dataclass(frozen=True)
class PoolRule:
    """Objects that a pool owns, by the objects in use, from the broker's --describe. A row (in use, owned) holds from its first
    number on. Without rows the pool owns the objects in use. `exact` is false where growth is by the load: then the objects in use
    alone do not say what is owned, and the pool is part of the line."""
    growth: tuple[tuple[int, int], ...] = ()
    exact: bool = True

    def owned(self, in_use: int) -> int:
        row = bisect.bisect_right(self.growth, in_use, key=lambda one: one[0]) - 1
        return max(in_use, self.growth[row][1] if row >= 0 else 0)


def pool_rules(config: Json) -> dict[str, PoolRule]:
    """The rule of each pool for a cell's configuration. Empty for another broker, and for options that this build's broker does
    not accept."""
    if config.get("target", "poolmark") != "poolmark":
        return {}
    words = [*shlex.split(str(config.get("broker_options", ""))), "--pool", str(config.get("strategy", "malloc"))]
    told, _ = described.ask("poolmark-broker", words)
    return {pool["name"]: PoolRule(tuple((in_use, owned) for in_use, owned in pool["growth"]), pool["rule"]["name"] == "factor")
            for pool in told["pools"]} if told else {}


@dataclass
class Step:
    """The measurements at one step, summed over all instances."""
    connections: int
    user_bytes: float
    kernel_bytes: float | None          # growth since the start
    pools: Pools = field(default_factory=dict)

    def reserve_bytes(self, names: Collection[str] | None = None) -> float:
        """Memory that the pools (all, or the named ones) own and that is not in use. 0 without figures of pools."""
        return sum(max(0, pool["owned"] - pool["in_use"]) * (pool["object_bytes"] or 0)
                   for name, pool in self.pools.items() if names is None or name in names)


@dataclass
class Model:
    steps: list[Step]
    instances: int
    rules: dict[str, PoolRule]          # of the pools that follow their rule
    user: Line                          # without the reserve of those pools
    kernel: Line | None

    def reserve_at(self, connections: int) -> float:
        """Memory not in use that the pools with a rule own at `connections`."""
        total = 0.0
        for name, rule in self.rules.items():
            last = self.steps[-1].pools[name]
            in_use = round(in_use_each(self.steps, name) * connections / self.instances)
            total += (rule.owned(in_use) - in_use) * last["object_bytes"] * self.instances
        return total

    def user_at(self, connections: int) -> float:
        return self.user.at(connections) + self.reserve_at(connections)

    def kernel_at(self, connections: int) -> float:
        return self.kernel.at(connections) if self.kernel else 0.0

    def total_at(self, connections: int, ends: int = 2) -> float:
        """User and kernel memory. `ends` 1: a server whose clients are elsewhere has half of a loopback pair's kernel memory."""
        return self.user_at(connections) + self.kernel_at(connections) * ends / 2

    def margin(self, connections: int, ends: int = 2) -> float:
        kernel = self.kernel.margin(connections) * ends / 2 if self.kernel else 0.0
        return math.hypot(self.user.margin(connections), kernel)

    def holds(self, budget_bytes: float, ends: int, sign: int = 0) -> int | None:
        """The most connections in a budget. `sign` +1 or -1: the end of the interval (-1 the fewest). None: no bound."""
        low, high = 0, MOST
        while high - low > 1:
            middle = (low + high) // 2
            need = self.total_at(middle, ends) - sign * self.margin(middle, ends)
            low, high = (middle, high) if need <= budget_bytes else (low, middle)
        return low if high < MOST else None

    def is_at_growth(self, connections: int) -> bool:
        """Whether one more connection would make the pools grow."""
        return self.reserve_at(connections + 1) > self.reserve_at(connections)

    def no_growth(self, name: str) -> str | None:
        """Why there is no "user" or "kernel" figure for a connection. None when there is one: its interval excludes zero, and
        memory grew by more than chance."""
        line = self.user if name == "user" else self.kernel
        if line is None:
            return None
        low, high = line.slope_interval()
        counts = [step.connections for step in self.steps]
        grown = line.slope * (max(counts) - min(counts))
        chance = 2 * max(LEVEL_BYTES, LEVEL_SHARE * max(step.user_bytes for step in self.steps))
        if low > 0 and (grown > chance if name == "user" else line.slope >= SOCKET_BYTES):
            return None
        interval = f"{low:.0f} to {high:.0f}" if math.isfinite(high) else "any"
        return (f"{name} memory did not grow with the connections by more than chance moves it ({line.slope:.0f} B for each, "
                f"{interval} at 95 %)")

    def no_forecast(self) -> str | None:
        """Why there is no forecast for other counts; None when there is one. Kernel memory that is not known is not 0."""
        if self.kernel is None:
            return ("no forecast: kernel memory was not read at three steps, and it is a part of what a size has to hold. Measure again "
                    "where /proc/meminfo may be read")
        for name in ("user", "kernel"):
            if why := self.no_growth(name):
                return (f"no forecast: {why}. A target that has served before uses again what it kept: restart the target and "
                        "measure again; or up to more connections, or on a quieter host")
        return None


def large_steps(steps: list[Step], pool: str) -> list[Step]:
    return [step for step in steps if step.connections >= LARGE and pool in step.pools]


def in_use_each(steps: list[Step], pool: str) -> float:
    """Objects in use for a connection, from the larger steps."""
    return float(numpy.median([step.pools[pool]["in_use"] / step.connections for step in large_steps(steps, pool)]))


def keeps_to(rule: PoolRule, steps: list[Step], pool: str, instances: int) -> bool:
    """Whether the rule is exact, and gives the owned objects within 5 % at every larger step."""
    large = large_steps(steps, pool)
    if not rule.exact or not large or not any(step.pools[pool]["in_use"] for step in large):
        return False
    return all(abs(rule.owned(round(step.pools[pool]["in_use"] / instances)) * instances - step.pools[pool]["owned"])
               <= 0.05 * step.pools[pool]["owned"] for step in large)


def make_step(connections: int, user_bytes: float, kernel_bytes: float | None, pools: Pools) -> Step:
    """`kernel_bytes`: growth since the start."""
    step = Step(connections, user_bytes, kernel_bytes, pools)
    # Unused objects have pages only if they were touched. A reserve above all user memory cannot be right and is dropped.
    if step.reserve_bytes() > user_bytes:
        step.pools = {}
    return step


def fit_model(steps: list[Step], config: Json, instances: int) -> Model:
    rules = {name: rule for name, rule in pool_rules(config).items() if name in steps[-1].pools and keeps_to(rule, steps, name, instances)}
    known = [step for step in steps if step.kernel_bytes is not None]
    user = fit_line([step.connections for step in steps], [step.user_bytes - step.reserve_bytes(rules) for step in steps])
    kernel = fit_line([step.connections for step in known], [step.kernel_bytes or 0.0 for step in known], KERNEL_OFF_BYTES) \
        if len(known) >= 3 else None
    return Model(steps, instances, rules, user, kernel)


@dataclass
class HeldOut:
    """The model's self-check: a step predicted from the others."""
    connections: int
    measured_bytes: float
    predicted_bytes: float

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted_bytes / self.measured_bytes - 1)


def no_such_step(connections: int, steps: Iterable[int]) -> PoolmarkError:
    return UsageError(f"there is no step of {connections} connections to hold out; there are: "
                      + ", ".join(str(step) for step in sorted(steps)))


def hold_out(steps: list[Step], config: Json, instances: int, connections: int) -> HeldOut:
    """Predicts the step of `connections` by a model of the other steps."""
    seen = [step for step in steps if step.connections != connections]
    step = next((step for step in steps if step.connections == connections), None)
    if step is None:
        raise no_such_step(connections, [one.connections for one in steps])
    model = fit_model(seen, config, instances)
    kernel = step.kernel_bytes if model.kernel and step.kernel_bytes is not None else None
    measured = step.user_bytes + (kernel or 0.0)
    predicted = model.user_at(connections) + (model.kernel_at(connections) if kernel is not None else 0.0)
    return HeldOut(connections, measured, predicted)
