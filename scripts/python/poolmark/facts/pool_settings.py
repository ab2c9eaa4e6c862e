# SPDX-License-Identifier: Apache-2.0
"""Finds pool options with which the broker takes a number of connections without an expansion.

A connection takes an object and an arena, and in an eager shape also two buffers, for its lifetime. In a lazy shape it takes a
buffer only while data waits to be sent or a packet is incomplete. Then a thread needs buffers for at most as many connections as
it handles events in a turn (broker/net/loop.c). Message counts depend on the traffic and are not set. The broker describes its
shapes, strategies and pool growth itself (--describe).
"""
import re
import shlex
from collections.abc import Sequence

from poolmark.base.forms import Config, Json
from poolmark.facts import described

BROKER = "poolmark-broker"
MOST = 1 << 32


def told_of(config: Config, *words: str) -> Json | None:
    """The broker's description for a cell's options; None when the broker refuses them or the cell had another broker."""
    options = shlex.split(str(config.get("broker_options", "")))
    shape = ["--shape", str(config["shape"])] if config.get("shape") and "--shape" not in options else []
    return described.ask(BROKER, [*shape, *without_counts(options), "--pool", str(config.get("strategy")), *words])[0]


def without_counts(options: list[str]) -> list[str]:
    """The options without --initial and --max, which are to be found."""
    kept: list[str] = []
    skip = False
    for word in options:
        if not skip and word not in ("--initial", "--max"):
            kept.append(word)
        skip = not skip and word in ("--initial", "--max")
    return kept


def threads_of(commands: Sequence[Sequence[str]]) -> int:
    """Threads of one instance, from the command lines of a cell."""
    for words in commands:
        if words and BROKER in words[0] and "--threads" in words[:-1]:
            return int(words[words.index("--threads") + 1])
    return 1


def holds(config: Config, initial: int, in_use: int) -> bool:
    """Whether a pool that started with `initial` objects can give out `in_use` of them without growing."""
    growth = (told_of(config, "--initial", str(initial)) or {"pools": [{"growth": []}]})["pools"][0]["growth"]
    return initial >= in_use and (len(growth) < 2 or growth[1][0] > in_use)


def initial_for(config: Config, in_use: int) -> int:
    """The smallest initial number of objects with which `in_use` can be given out without an expansion."""
    low, high = in_use - 1, max(1, in_use)
    while not holds(config, high, in_use) and high < MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(config, middle, in_use) else (middle, high)
    return high


def keeps_ready(strategy: object) -> bool:
    return any(one["name"] == strategy and "preheats" in one["capabilities"] for one in described.broker()["strategies"])


def initial_of_pools(config: Config, commands: Sequence[Sequence[str]], connections: int) -> dict[str, int] | None:
    """--initial of each pool for `connections`. None for another broker, a strategy without preheated objects, or an unknown
    strategy or shape."""
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
