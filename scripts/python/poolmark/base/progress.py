# SPDX-License-Identifier: Apache-2.0
"""How far a long command is, and how long it will still take. No silence is longer than ten seconds.

    eta = Eta([40, 40, 90])                      # seconds that the parts are thought to take
    with Beat(lambda: f"{what}; {eta.left()}"):  # on stderr: a line each nine seconds; one line, each second, on a terminal
                                                 # whose TERM is not dumb
        for number in range(3):
            eta.begin(number)
            ...
            eta.end()

A beat comes by SIGALRM, on the main thread: no thread of its own, so that programs may be forked meanwhile. One at a time.
"""
import os
import signal
import sys
import time

EVERY_S, ON_TERMINAL_S = 9.0, 1.0


def span(seconds: float) -> str:
    """8 s, 2 min 40 s, 1 h 20 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


class Eta:
    """Of parts done one after the other. What the parts so far took, over what they were thought to take, mends what is
    thought of the others."""

    def __init__(self, thought_s: list[float], now=time.monotonic):
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
        return self._took / self._thought if self._thought > 0 else 1.0

    def left_s(self) -> float:
        ahead = self.factor() * sum(self.thought_s[self.done:])
        running = self._now() - self._begun if self._begun is not None else 0.0
        current = self.factor() * self.thought_s[self.done] if self.done < len(self.thought_s) else 0.0
        return max(0.0, ahead - min(running, current))

    def left(self) -> str:
        return f"about {span(self.left_s())} left"


class Beat:
    """Says where things stand while the block runs. `tell()` answers one line; it is called within a signal handler's call,
    so it only reads."""

    def __init__(self, tell, every_s: float | None = None):
        self.tell = tell
        # One that cannot go back in its line is written to as a file is.
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.every_s = every_s or (ON_TERMINAL_S if self.terminal else EVERY_S)
        self._old = None

    def _beat(self, *_) -> None:
        text = self.tell()
        if text:
            # Past Python's own buffers: the handler may have come in the middle of a print.
            line = f"\r\x1b[K  {text}" if self.terminal else f"  {text}\n"
            try:
                os.write(sys.stderr.fileno(), line.encode("utf-8", errors="replace"))
            except (OSError, ValueError):
                pass

    def clear(self) -> None:
        """Before something else is said."""
        if self.terminal:
            os.write(sys.stderr.fileno(), b"\r\x1b[K")

    def __enter__(self):
        self._old = signal.signal(signal.SIGALRM, self._beat)
        signal.setitimer(signal.ITIMER_REAL, self.every_s, self.every_s)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old)
        self.clear()
