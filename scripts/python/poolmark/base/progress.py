# SPDX-License-Identifier: Apache-2.0
"""Progress of a long command and the time left. It prints at least every ten seconds.

    eta = Eta([40, 40, 90])                      # estimated seconds of each part
    with Beat(lambda: f"{what}; {eta.left()}"):  # stderr: a line every 9 s; on a terminal one line, updated every second,
                                                 # unless TERM is dumb
        for number in range(3):
            eta.begin()
            ...
            eta.end()

SIGALRM on the main thread prints the line. There is no second thread, so processes may be forked meanwhile. Only one Beat at a
time.
"""
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, Self

EVERY_S, ON_TERMINAL_S = 9.0, 1.0
OFF = 1.5       # an estimate that is off by so much is told
TELLS = 0.1     # of the whole estimate: parts that are less of it correct the rest by as much less


def span(seconds: float) -> str:
    """8 s, 2 min 40 s, 1 h 20 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


class Eta:
    """Time left of parts that run one after the other. The ratio of measured to estimated time so far corrects the estimates
    of the remaining parts."""

    def __init__(self, thought_s: Iterable[float], now: Callable[[], float] = time.monotonic) -> None:
        self.thought_s, self._now = list(thought_s), now
        self.done, self._thought, self._took = 0, 0.0, 0.0
        self._begun: float | None = None

    def total(self) -> float:
        return sum(self.thought_s)

    def begin(self) -> None:
        self._begun = self._now()

    def end(self) -> None:
        if self._begun is not None and self.done < len(self.thought_s):
            self._took += self._now() - self._begun
            self._thought += self.thought_s[self.done]
            self.done += 1
        self._begun = None

    def factor(self) -> float:
        """What the estimates ahead are multiplied by. A few small parts tell little of the large ones."""
        if self._thought <= 0 or self._took <= 0:
            return 1.0
        return float((self._took / self._thought) ** min(1.0, self._thought / (TELLS * self.total())))

    def off(self, parts: str) -> str:
        """A text where the estimate of the parts so far was off by more than half; "" otherwise, and when nothing is left."""
        factor = self.factor()
        if self.done >= len(self.thought_s) or 1 / OFF < factor < OFF:
            return ""
        return f"{parts} take {factor:.2g} times as long as estimated: {self.left()}"

    def left_s(self) -> float:
        ahead = self.factor() * sum(self.thought_s[self.done:])
        running = self._now() - self._begun if self._begun is not None else 0.0
        current = self.factor() * self.thought_s[self.done] if self.done < len(self.thought_s) else 0.0
        return max(0.0, ahead - min(running, current))

    def is_late(self) -> bool:
        """Whether the running part has taken longer than its estimate, so that its end is not known."""
        if self._begun is None or self.done >= len(self.thought_s):
            return False
        return self._now() - self._begun > self.factor() * self.thought_s[self.done]

    def left(self) -> str:
        left_s = self.left_s()
        if self.is_late():
            return "this part takes longer than estimated" + (f", about {span(left_s)} for those after it" if left_s else "")
        return f"about {span(left_s)} left" if left_s >= 1 else "less than 1 s left"


class Beat:
    """Prints progress while the block runs. `tell()` returns one line. A signal handler calls it, so it may only read."""

    def __init__(self, tell: Callable[[], str], every_s: float | None = None) -> None:
        self.tell = tell
        # A dumb terminal cannot overwrite a line, so it gets lines as a file does.
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.every_s = every_s or (ON_TERMINAL_S if self.terminal else EVERY_S)
        self._old: Any = None       # the handler before; the type is the signal module's own

    def _beat(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        text = self.tell()
        if text:
            # Bypass Python's buffers: the signal may arrive in the middle of a print.
            line = f"\r\x1b[K  {text}" if self.terminal else f"  {text}\n"
            try:
                os.write(sys.stderr.fileno(), line.encode("utf-8", errors="replace"))
            except (OSError, ValueError):
                pass

    def clear(self) -> None:
        """Removes the progress line before other text is printed."""
        if self.terminal:
            os.write(sys.stderr.fileno(), b"\r\x1b[K")

    def __enter__(self) -> Self:
        self._old = signal.signal(signal.SIGALRM, self._beat)
        signal.setitimer(signal.ITIMER_REAL, self.every_s, self.every_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old)
        self.clear()
