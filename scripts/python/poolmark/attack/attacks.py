# SPDX-License-Identifier: Apache-2.0
"""All attacks. One is a generator, in a file of its own: it prepares what it needs and yields, which says that it is ready. Then it
makes its attack again and again, and yields after each round. Its description says what a round is.

A new attack: its file, and a line here. Suites, `scripts/poolmark attack` and docs/robustness.md take it from this list.
"""
from collections.abc import Callable, Generator

from poolmark.attack import (
    deep_filter,
    emptied_topics,
    fan_out,
    hash_filters,
    kept_sessions,
    large_retained,
    long_connect,
    long_filter,
    long_topics,
    many_filters,
    many_levels,
    many_matches,
    overlapping_filters,
    retained_at_stop,
    silent,
    takeovers,
    tiny_retained,
    twin_filters,
    unfinished,
    unread,
    unreleased,
    wills,
)
from poolmark.attack.broker import Broker

FUNCTIONS: tuple[Callable[[Broker], Generator[None, None, None]], ...] = (
    hash_filters.hash_filters, deep_filter.deep_filter, fan_out.fan_out, many_levels.many_levels, unfinished.unfinished,
    long_connect.long_connect, unread.unread, silent.silent, tiny_retained.tiny_retained, large_retained.large_retained,
    kept_sessions.kept_sessions, overlapping_filters.overlapping_filters, takeovers.takeovers, many_filters.many_filters, wills.wills,
    unreleased.unreleased, long_topics.long_topics, many_matches.many_matches, twin_filters.twin_filters, emptied_topics.emptied_topics,
    long_filter.long_filter, retained_at_stop.retained_at_stop,
)
ATTACKS = {function.__name__.replace("_", "-"): function for function in FUNCTIONS}


def about(name: str) -> str:
    """What the attack is, in a line."""
    return " ".join((ATTACKS[name].__doc__ or "").split())
