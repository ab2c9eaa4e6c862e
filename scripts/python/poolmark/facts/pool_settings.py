# SPDX-License-Identifier: Apache-2.0
"""With which pool options does the reference broker take a number of connections without an expansion?

A connection takes an object and an arena, and in an eager shape two buffers for good. In a lazy shape a buffer is taken
only while something is to be sent or a packet is half there: of each thread's connections as many at once as it has events
in a turn (broker/net/loop.c). Messages follow the traffic and are left alone. Shapes, strategies and when a pool grows the
broker says itself (--describe).
"""
import re
import shlex

from poolmark.facts import described

BROKER = "poolmark-broker"
MOST = 1 << 32


def told_of(config: dict, *words: str) -> dict | None:
    """What the broker says of a cell's options; None when it does not take them, or the cell had another broker."""
    options = shlex.split(str(config.get("broker_options", "")))
    shape = ["--shape", str(config["shape"])] if config.get("shape") and "--shape" not in options else []
    return described.ask(BROKER, [*shape, *without_counts(options), "--pool", str(config.get("strategy")), *words])[0]


def without_counts(options: list[str]) -> list[str]:
    """Without --initial and --max: those are what is looked for."""
    kept, skip = [], False
    for word in options:
        if not skip and word not in ("--initial", "--max"):
            kept.append(word)
        skip = not skip and word in ("--initial", "--max")
    return kept


def threads_of(commands: list) -> int:
    """Of one instance, by the command lines of a cell."""
    for words in commands:
        if words and BROKER in words[0] and "--threads" in words[:-1]:
            return int(words[words.index("--threads") + 1])
    return 1


def holds(config: dict, initial: int, in_use: int) -> bool:
    """Can `in_use` objects be out of a pool that began with `initial`, and it has not grown?"""
    growth = (told_of(config, "--initial", str(initial)) or {"pools": [{"growth": []}]})["pools"][0]["growth"]
    return initial >= in_use and (len(growth) < 2 or growth[1][0] > in_use)


def initial_for(config: dict, in_use: int) -> int:
    """The fewest objects of which `in_use` can be out without an expansion."""
    low, high = in_use - 1, max(1, in_use)
    while not holds(config, high, in_use) and high < MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(config, middle, in_use) else (middle, high)
    return high


def keeps_ready(strategy) -> bool:
    return any(one["name"] == strategy and "preheats" in one["capabilities"] for one in described.broker()["strategies"])


def initial_of_pools(config: dict, commands: list, connections: int) -> dict[str, int] | None:
    """--initial of each pool of a broker with `connections`; None where it cannot be said: another broker, a strategy
    that keeps nothing ready, strategies or shape unknown."""
    options = str(config.get("broker_options", ""))
    if config.get("target", "poolmark") != "poolmark" or not keeps_ready(config.get("strategy")) \
            or not config.get("shape") and "--shape" not in options or re.search(r"(?:^|\s)--pool ", options):
        return None
    told = told_of(config)
    if told is None:
        return None
    buffers = 2 * connections if told["shape"]["eager"] else min(2 * connections, told["events_of_a_turn"] * threads_of(commands))
    in_use = {"connections": connections, "buffers": buffers, "arenas": connections}
    return {pool: initial_for(config, count) for pool, count in in_use.items()}


def words(initial: dict[str, int]) -> str:
    return " ".join(f"--initial {count}" if pool == "connections" else f"--initial {pool}={count}"
                    for pool, count in initial.items())
