# SPDX-License-Identifier: Apache-2.0
"""The attacker of a cell: scripts/poolmark attack as a process of its own, from before the first phase to the end of the last.

    attacker = Attacker(cell, "hash-filters")
    attacker.start(children, urls)      # returns when the attack is prepared and begins
    ...                                 # the phases of the load, each with --beside
    counts = attacker.stop(children)    # {"rounds": ..., "connections": ..., "sent_bytes": ..., "refused": ...}
"""
import json
from typing import Any

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import COMMAND
from poolmark.facts.children import Child, Children
from poolmark.records.attacked import CALM

READY_S = 180.0     # an attack may leave 400 000 retained messages first
STOP_S = 30.0
PREPARE_S = 3.0     # what that takes as a rule, for an estimate


def attack_of(config: dict[str, Any]) -> str | None:
    """The attack of a cell by its configuration; None for a calm one and one of another suite."""
    attack = config.get("attack")
    return None if attack in (None, CALM) else str(attack)


def beside(config: dict[str, Any]) -> dict[str, str]:
    """The generator's option that says what is beside its load."""
    attack = attack_of(config)
    return {"beside": f"the attack {attack}"} if attack else {}


class Attacker:
    def __init__(self, cell: Any, attack: str):
        self.cell, self.attack = cell, attack
        self.child: Child | None = None

    def argv(self, urls: list[str]) -> list[str]:
        return [str(COMMAND), "attack", self.attack, "--target", urls[0]]

    def start(self, children: Children, urls: list[str]) -> None:
        """PoolmarkError when the attack cannot be prepared."""
        argv = self.argv(urls)
        self.cell.command(argv)
        self.child = children.start("the attacker", argv, self.cell.folder / "attack.log", read="stdout")
        children.read_until(self.child, lambda line: line == "ready", READY_S)

    def stop(self, children: Children) -> dict[str, int]:
        """What it counted. PoolmarkError when it ended by itself, or made no round: then nothing was attacked."""
        assert self.child is not None, "start() comes first"
        ended_before = self.child.exited()
        code = children.stop(self.child, grace_s=STOP_S)
        if ended_before or code != 0:
            raise PoolmarkError(f"{self.child.how_it_ended()} before it was to; its log ends: {self.child.last_lines()}")
        try:
            told = json.loads(self.child.lines[-1])
            counts = {key: told[key] for key in ("rounds", "connections", "sent_bytes", "refused")}
        except (ValueError, LookupError, TypeError) as error:
            raise PoolmarkError(f"the attacker did not say what it did; its log ends: {self.child.last_lines()}") from error
        if counts["rounds"] < 1:
            raise PoolmarkError(f"the attack {self.attack} was not made once while the load ran")
        return counts
