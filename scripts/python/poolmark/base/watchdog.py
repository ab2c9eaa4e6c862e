# SPDX-License-Identifier: Apache-2.0
"""Ends the children of a process that was killed.

    watchdog = Watchdog()
    process = subprocess.Popen(argv, preexec_fn=watchdog.tell)
    ...
    watchdog.close()    # after the children have ended

The watchdog is a process of its own. It reads from a pipe whose only writer is the watched process, so the kernel reports
every kind of end as end of file. (PR_SET_PDEATHSIG does not suffice: a change of user, as in mosquitto, clears it.)

Each child registers itself before exec, so no child runs unregistered. It is identified by pid and start time and ended
through a pidfd. A process that gets the same pid later cannot be hit.
"""
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_S = 30.0  # from SIGTERM to SIGKILL: a generator needs time to complete its record


def start_time(pid: int | str) -> str:
    """In clock ticks since boot. exec does not change it."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]


class Watchdog:
    """Watches the process that creates it, until that process ends or calls close()."""

    def __init__(self) -> None:
        # A session of its own, so that Ctrl-C or the end of the terminal does not end the watchdog first.
        self._process = subprocess.Popen([sys.executable, "-I", "-S", str(Path(__file__).resolve())],
                                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         cwd="/", start_new_session=True)
        assert self._process.stdin is not None  # it is a pipe
        self._pipe = self._process.stdin

    def close(self) -> None:
        """Ends registered children that still run, and waits for the watchdog to exit."""
        self._pipe.close()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self) -> None:
        """Call in a child before exec. Writes one short line, so lines of several children do not mix. A child without a
        watchdog runs too."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.write(self._pipe.fileno(), f"{os.getpid()} {start_time('self')}\n".encode())
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the default that programs expect


class Known:
    """A registered process. Its pid counts only while the start time is the same."""

    def __init__(self, pid: int, started: str) -> None:
        self.pid, self.started = pid, started
        self.pidfd: int | None = None
        # Opened first: the pidfd is then fixed to one process, whose start time is checked afterwards.
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(pid)

    def runs(self) -> bool:
        try:
            words = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return False
        return len(words) > 19 and words[19] == self.started and words[0] != "Z"

    def send(self, number: int) -> None:
        """Sends through the pidfd. Without a pidfd it uses kill, right after the start time was checked."""
        if not self.runs():
            return
        with contextlib.suppress(OSError):
            if self.pidfd is not None:
                try:
                    signal.pidfd_send_signal(self.pidfd, number)
                    return
                except PermissionError:
                    pass  # a container may refuse the pidfd call; kill reports its own refusal
            os.kill(self.pid, number)


def _still_running(known: list[Known], grace_s: float) -> list[Known]:
    """The processes that still run after `grace_s`. Returns earlier when all have ended."""
    deadline = time.monotonic() + grace_s
    poll = select.poll()
    for one in known:
        if one.pidfd is not None:
            poll.register(one.pidfd, select.POLLIN)
    left = [one for one in known if one.runs()]
    while left and (ms := (deadline - time.monotonic()) * 1000) > 0:
        for pidfd, _ in poll.poll(min(ms, 100)):
            poll.unregister(pidfd)
        left = [one for one in left if one.runs()]
    return left


def watch(pipe: Iterable[str], grace_s: float = GRACE_S) -> None:
    """Reads registrations until the pipe is closed, then ends the registered processes, the last one first."""
    told = [line.split() for line in pipe]
    known = [Known(int(pid), started) for pid, started in reversed(told)]
    for one in known:
        one.send(signal.SIGTERM)
    for one in _still_running(known, grace_s):
        one.send(signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
