# SPDX-License-Identifier: Apache-2.0
"""How busy the host was while benchmarks ran. Two builds that are measured in turn (in_turn.py) share one Noise: it is one finding, which goes
into both records and is told once.

    noise = Noise()
    ...                     all children have ended
    noise.percent           of all processors' time that others had; None when not known
    noise.findings          [(anomaly, text)]
"""
import functools
from collections.abc import Callable

from poolmark.facts.quiet import OthersClock, ThrottleClock, busy_text


Say = Callable[[str], object]


class Noise:
    """Counts from its creation to the first reading, which stands."""

    def __init__(self) -> None:
        self._others, self._throttle = OthersClock(), ThrottleClock()

    @functools.cached_property
    def percent(self) -> float | None:
        return self._others.percent()

    @functools.cached_property
    def findings(self) -> list[tuple[str, str]]:
        found = (("busy", busy_text(self.percent, "times are longer")), ("throttled", self._throttle.text()))
        return [(what, text) for what, text in found if text]


class Teller:
    """Says each text once, also when two builds have the same to say."""

    def __init__(self, say: Say) -> None:
        self._say, self._said = say, set[str]()

    def __call__(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)
