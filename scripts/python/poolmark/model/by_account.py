# SPDX-License-Identifier: Apache-2.0
"""Memory of shapes and strategies that were not measured, by account: what a connection holds, plus what the strategy owns beyond it.

    account = of_shape(measured, "classic", "expand", None)     the broker with another shape, strategy, or both
    account = of_shape(measured, None, None, 15_000)            another server: its connections hold 15 000 B each, and nothing else
    account.user_at(300_000, instances=1)

    user memory = base + n x (held + beside) + reserve of the strategy

`held` is what the shape's pools give a connection (an object, an arena; eager: two buffers as well). `beside` is what a connection of the
measured broker takes besides (its session in the tables, allocator, libraries): its slope without any reserve, less its shape. The
reserve of a strategy that grows by the factor follows from its rule (--describe). That of one that grows as needed is the share that
the measured cell of that strategy had at its largest step. docs/where-the-bytes-go.md has the kernel's part, which no shape changes.
Figures by account are computed and not measured, and have no interval.
"""
from dataclasses import dataclass

from poolmark.base.errors import UsageError
from poolmark.base.faults import nearest
from poolmark.base.paths import CALLED
from poolmark.facts import described
from poolmark.model.evidence import Memory
from poolmark.model.model import PoolRule, fit_line, pool_rules

OBJECTS, ARENAS, BUFFERS = "connections", "arenas", "buffers"


@dataclass(frozen=True)
class Account:
    base_bytes: float               # of one instance without connections
    held: dict[str, tuple[int, float]]     # pool -> (objects of a connection, bytes of an object)
    beside_bytes: float
    rules: dict[str, PoolRule]      # of pools whose reserve follows from their rule
    share: float                    # reserve of the others, of what they have in use
    words: str                      # what it was computed for

    @property
    def held_bytes(self) -> float:
        return sum(count * size for count, size in self.held.values())

    def reserve_at(self, connections: float, instances: int = 1) -> float:
        total = 0.0
        for pool, (count, size) in self.held.items():
            in_use = round(count * connections / instances)
            rule = self.rules.get(pool)
            spare = (rule.owned(in_use) - in_use) if rule else in_use * self.share
            total += spare * size * instances
        return total

    def user_at(self, connections: float, instances: int = 1) -> float:
        return self.base_bytes * instances + connections * (self.held_bytes + self.beside_bytes) + self.reserve_at(connections, instances)

    def arithmetic(self) -> str:
        reserve = ("the reserve by the strategy's rule" if self.rules else f"{100 * self.share:.1f} % reserve" if self.share else
                   "no reserve")
        return (f"{self.base_bytes / (1 << 20):.1f} MiB + n x ({self.held_bytes:.0f} B held"
                + (f" + {self.beside_bytes:.0f} B beside" if self.beside_bytes else "") + f") + {reserve}")


def held_by(shape: str) -> dict[str, tuple[int, float]]:
    """What a connection takes of each pool in a named shape."""
    known = described.shapes()
    if shape not in known:
        raise UsageError(f"shape {shape!r}: there is no such shape" + nearest(shape, known))
    one = known[shape]
    held = {OBJECTS: (1, float(one["object_bytes"])), ARENAS: (1, float(one["arena_bytes"]))}
    return held | ({BUFFERS: (2, float(max(one["read_bytes"], one["write_bytes"])))} if one["eager"] else {})


def _check_strategy(strategy: str) -> None:
    known = described.strategies()
    if strategy not in known:
        raise UsageError(f"strategy {strategy!r}: there is no such strategy" + nearest(strategy, known))


def _capabilities(strategy: str) -> set[str]:
    return {word for one in described.broker()["strategies"] if one["name"] == strategy for word in one["capabilities"]}


def reserve_share(measured: Memory) -> float | None:
    """What the pools of a cell owned beyond their use at the largest step, of what was in use. None without figures of pools."""
    pools = measured.steps[-1].pools.values()
    used = sum(pool["in_use"] * (pool["object_bytes"] or 0) for pool in pools)
    owned = sum(max(pool["owned"], pool["in_use"]) * (pool["object_bytes"] or 0) for pool in pools)
    return owned / used - 1 if used > 0 else None


def reserve_of(strategy: str, memory: list[Memory]) -> tuple[dict[str, PoolRule], float]:
    """(rules, share) of a strategy. UsageError, with the run that would tell, where neither is known."""
    capabilities = _capabilities(strategy)
    if "grows" not in capabilities:
        # fixed: as many objects as there are connections. malloc, sync: nothing beyond what is in use.
        return {}, 0.0
    rules = pool_rules({"strategy": strategy})
    exact = {name: rule for name, rule in rules.items() if rule.exact and len(rule.growth) > 1}
    if exact:
        return exact, 0.0
    shares = [share for one in memory if one.kind.strategy == strategy and (share := reserve_share(one)) is not None]
    if not shares:
        raise UsageError(f"strategy {strategy!r}: what it owns beyond its use follows from no rule, and no run here has measured it: "
                         f"{CALLED} suite million --only {strategy}")
    return {}, max(shares)


def net_slope(measured: Memory) -> tuple[float, float]:
    """(base, bytes of a connection) of user memory without any reserve."""
    line = fit_line([step.connections for step in measured.steps], [step.user_bytes - step.reserve_bytes() for step in measured.steps])
    return line.base, line.slope


def of_shape(measured: Memory, shape: str | None, strategy: str | None, each_bytes: int | None, memory: list[Memory]) -> Account:
    """`measured`: the cell to start from. `shape` or `strategy` None: the measured one. `each_bytes`: what a connection of another
    server holds, instead of a shape. `memory`: all cells that may tell a strategy's reserve."""
    if measured.kind.target != "poolmark":
        raise UsageError(f"{measured.cell['id']}: of target {measured.kind.target}, of which neither shape nor strategy is known")
    base, slope = net_slope(measured)
    base /= measured.instances
    strategy = strategy or str(measured.kind.strategy)
    _check_strategy(strategy)
    rules, share = reserve_of(strategy, memory)
    if each_bytes is not None:
        return Account(base, {OBJECTS: (1, float(each_bytes))}, 0.0, rules, share, f"{each_bytes} B a connection, strategy {strategy}")
    held = held_by(shape or str(measured.kind.shape))
    before = sum(count * size for count, size in held_by(str(measured.kind.shape)).values())
    return Account(base, held, max(0.0, slope - before), rules, share, f"shape {shape or measured.kind.shape}, strategy {strategy}")
