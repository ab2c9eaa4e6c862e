# SPDX-License-Identifier: Apache-2.0
"""Whether the broker of a cell can do what the suite asks of it: hold the cell's connections under its own bounds, and use its pools' options.

    BrokerCheck(data, faults, build, gone).run(cells, ask_pools=True)

A suite that wants clients to be refused says `refusals = true`. An option of pools is a fault where no cell that gets it has a strategy
that uses it: with several strategies on one line of options some may not.
"""
import math
from collections.abc import Collection, Iterator
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.faults import Faults
from poolmark.base.forms import Json, Place
from poolmark.base.units import parse_bytes, parse_count, plural, show_count
from poolmark.facts import described, host, own_pools
from poolmark.facts.plan import RESERVE
from poolmark.suites.suite_cells import CellPlan
from poolmark.suites.suite_options import BROKER, LOADGEN, load_words
from poolmark.suites.targets import option_words

USED_BY = {"growth": "grows", "expand-at": "grows", "expand": "grows", "initial": "preheats", "max": "bounded", "no-touch": "preheats"}
MEANT = "; refusals = true says that this is meant"


def tables(data: Json, name: str, plan: CellPlan) -> Iterator[Place]:
    """The places of an option of [broker] that the cell may have got it from, what counts most first."""
    for i, one in reversed(list(enumerate(data.get("override", [])))):
        if name in one.get("broker", {}) and all(plan.config.get(key) == value for key, value in one.get("when", {}).items()):
            yield ("override", i, "broker", name)
    for i, group in enumerate(data.get("group", [])):
        if name in group.get("broker", {}):
            yield ("group", i, "broker", name)
    yield ("broker", name)


class BrokerCheck:
    """`gone`: keys that are left out of the cells, since they have faults of their own."""

    def __init__(self, data: Json, faults: Faults, build: Path, gone: Collection[str]) -> None:
        self.data, self.faults, self.build, self.gone = data, faults, build, gone

    def add(self, plan: CellPlan, name: str, text: str) -> None:
        place = next(tables(self.data, name, plan))
        if place not in self.faults.places:
            self.faults.add(place, text)

    # --- bounds

    def clients(self, plan: CellPlan) -> int:
        """The most clients at once; 0 where a phase has a fault, which is told at its own line."""
        found = [described.ask(LOADGEN, load_words(plan.config, plan.load, phase), self.build)[0] for phase in plan.phases]
        return max((int(one["plan"]["clients"]) for one in found if one), default=0) if all(found) else 0

    def bytes_of_one(self, plan: CellPlan) -> int:
        """What a connection takes at least of --memory-limit: its object and its arena."""
        options = {"pool": plan.config.get("strategy"), "shape": plan.config.get("shape"), **plan.broker}
        told = described.ask(BROKER, option_words(options), self.build)[0]
        return sum(int(one["object_bytes"]) for one in told["pools"] if one["name"] in ("connections", "arenas")) if told else 0

    def addresses(self, plan: CellPlan, clients: int, instances: int) -> int:
        """The most addresses that the clients of one instance come from: those of --source, or as many as their routes take."""
        given = [one for phase in plan.phases for one in [phase.get("source", plan.load.get("source"))] if one]
        if given:
            return max(len(one) if isinstance(one, list) else len(str(one).split(",")) for one in given)
        found = [described.ask(LOADGEN, load_words(plan.config, plan.load, phase), self.build)[0] for phase in plan.phases]
        per_route = min((int(one["plan"]["connections_per_route"]) for one in found if one), default=0)
        return max(1, math.ceil(clients / max(1, per_route * instances)))

    def of_an_address(self, plan: CellPlan, of_one: int, clients: int, instances: int) -> None:
        most = parse_count(plan.broker.get("max-connections-per-address", 0))
        if most == 0 or plan.config.get("ranks"):       # ranks on several hosts have addresses of their own
            return
        count = self.addresses(plan, clients, instances)
        if most * count < of_one:
            self.add(plan, "max-connections-per-address",
                     f"cell {plan.id}: --max-connections-per-address {show_count(most)} for {show_count(of_one)} clients at once from "
                     f"{plural(count, 'address')}: {show_count(of_one - most * count)} would be refused{MEANT}")

    def bounds(self, plan: CellPlan) -> None:
        clients = self.clients(plan)
        instances = max(1, math.ceil(clients / max(1, host.descriptor_limit() - RESERVE)))
        of_one = math.ceil(clients / instances)     # the fullest has so many
        most = parse_count(plan.broker.get("max-connections", 0))
        if 0 < most < of_one:
            self.add(plan, "max-connections", f"cell {plan.id}: --max-connections {show_count(most)} for {show_count(of_one)} clients at once: "
                                              f"{show_count(of_one - most)} would be refused{MEANT}")
        self.of_an_address(plan, of_one, clients, instances)
        limit = parse_bytes(plan.broker.get("memory-limit", 0))
        least = self.bytes_of_one(plan) if limit else 0
        if limit < of_one * least:
            self.add(plan, "memory-limit", f"cell {plan.id}: --memory-limit {plan.broker['memory-limit']} for {show_count(of_one)} clients at once, "
                                           f"each of which takes at least {show_count(least)} bytes: not all would be let in{MEANT}")

    # --- options of pools

    def strategies(self, plan: CellPlan) -> set[str]:
        """Of all its pools."""
        pools = plan.broker.get("pool", [])
        apart = [str(one).rpartition("=")[2] for one in (pools if isinstance(pools, list) else [pools])]
        return {str(plan.config.get("strategy", "malloc")), *apart}

    def unused(self, cells: list[CellPlan]) -> None:
        able: dict[str, list[str]] = {one["name"]: one["capabilities"] for one in described.broker(self.build)["strategies"] if one["serves"]}
        for name, capability in USED_BY.items():
            having = [cell for cell in cells if name in cell.broker and "=" not in str(cell.broker[name])]     # of a named pool the broker says so
            used = {one for cell in having for one in self.strategies(cell)}
            if not having or any(own_pools.is_path(one) or capability in able.get(one, [capability]) for one in used):
                continue
            can = [one for one in able if capability in able[one]]
            self.add(having[0], name, f"{name}: no cell that gets it has a strategy that uses it (they have {', '.join(sorted(used))}); "
                                      f"{', '.join(can[:-1])} and {can[-1]} use it")

    def run(self, cells: list[CellPlan], ask_pools: bool) -> None:
        """`ask_pools`: whether the cells are the file's own: others may leave strategies out."""
        if {"target", "strategy", "shape", "engine"} & set(self.gone):
            return
        mine = [cell for cell in cells if cell.config.get("target", "poolmark") == "poolmark"]
        for cell in mine if not self.data.get("refusals") and "connections" not in self.gone else []:
            try:
                self.bounds(cell)
            except UsageError:      # an option that cannot be read is told at its own line
                continue
        if ask_pools:
            self.unused(mine)
