# SPDX-License-Identifier: Apache-2.0
"""With which pool options does the reference broker take a number of connections without an expansion?

A connection takes an object and an arena, and in an eager shape two buffers for good. In a lazy shape a buffer is taken
only while something is to be sent or a packet is half there: of each thread's connections as many at once as it has events
in a turn (broker/loop.c). Messages follow the traffic and are left alone.
"""
import math
import re

from poolmark_lib.model import option_values

KEEP_READY = ("fixed", "expand", "slab", "blocks")      # strategies that have an --initial
EVENTS_OF_A_TURN = 64
EXPAND_AT = 80


def is_eager(config: dict) -> bool | None:
    """None when the configuration has no shape."""
    told = re.search(r"(?:^|\s)--shape (\S+)", str(config.get("broker_options", "")))
    shape = told[1] if told else str(config.get("shape", ""))
    return None if not shape else shape == "classic" or "eager" in shape.split(",")


def threads_of(commands: list) -> int:
    """Of one instance, by the command lines of a cell."""
    for words in commands:
        if words and "poolmark-broker" in words[0] and "--threads" in words[:-1]:
            return int(words[words.index("--threads") + 1])
    return 1


def owned_for(in_use: int, strategy: str, expand_at: int) -> int:
    """The fewest objects of which `in_use` can be out without an expansion: it starts when that many reach the trigger."""
    return in_use if strategy == "fixed" else math.ceil((in_use + 1) * 100 / expand_at)


def initial_of_pools(config: dict, commands: list, connections: int) -> dict[str, int] | None:
    """--initial of each pool of a broker with `connections`; None where it cannot be said: another broker, a strategy
    that keeps nothing ready, strategies or shape unknown."""
    options = str(config.get("broker_options", ""))
    strategy, eager = config.get("strategy"), is_eager(config)
    if config.get("target", "poolmark") != "poolmark" or strategy not in KEEP_READY or eager is None:
        return None
    if option_values(options, "pool"):
        return None
    at = option_values(options, "expand-at").get("", "")
    at = int(at) if at.isdigit() and int(at) > 0 else EXPAND_AT
    buffers = 2 * connections if eager else min(2 * connections, EVENTS_OF_A_TURN * threads_of(commands))
    in_use = {"connections": connections, "buffers": buffers, "arenas": connections}
    return {pool: owned_for(count, strategy, at) for pool, count in in_use.items()}


def words(initial: dict[str, int]) -> str:
    return " ".join(f"--initial {count}" if pool == "connections" else f"--initial {pool}={count}"
                    for pool, count in initial.items())
