# SPDX-License-Identifier: Apache-2.0
"""Ends what a process that was killed has left running. A process of its own: it reads from a pipe whose only writer is
the one it watches over, so that the kernel tells it of that one's end, however it came. (A child can ask the kernel for
a signal at its parent's death, but a change of user, as mosquitto makes one, clears that wish.)

    watchdog = Watchdog()
    process = subprocess.Popen(argv, preexec_fn=watchdog.tell)
    ...
    watchdog.close()    # when those it was told of have ended

Each child tells of itself before it becomes the program: there is no moment in which it runs and is not known. It is
known by its number and its start time, and ended through a pidfd: nobody else can be hit who later has its number.
"""
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_S = 30.0  # from SIGTERM to SIGKILL: a generator's record is to be whole


def start_time(pid: int | str) -> str:
    """In clock ticks since boot; it stays the same when the process becomes another program."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]


class Watchdog:
    """Watches over the process that makes it, until that ends or closes it."""

    def __init__(self):
        # A session of its own: what is typed at a terminal, or its end, is for the one that it outlives.
        self._process = subprocess.Popen([sys.executable, "-I", "-S", str(Path(__file__).resolve())],
                                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         cwd="/", start_new_session=True)

    def close(self) -> None:
        """It ends what still runs, and is gone afterwards."""
        self._process.stdin.close()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self) -> None:
        """In a child, before exec. One short write: those of several are not mixed. Without a watchdog a child runs all
        the same."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.write(self._process.stdin.fileno(), f"{os.getpid()} {start_time('self')}\n".encode())
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as programs find it


class Known:
    """A process that it was told of, if it is still that one."""

    def __init__(self, pid: int, started: str):
        self.pid, self.started, self.pidfd = pid, started, None
        # Opened first: then it names one process, and that one is asked for its start.
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(pid)

    def runs(self) -> bool:
        try:
            words = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return False
        return len(words) > 19 and words[19] == self.started and words[0] != "Z"

    def send(self, number: int) -> None:
        """Through its descriptor; where the kernel gives none, by the number that was just seen to be its own."""
        if not self.runs():
            return
        with contextlib.suppress(OSError):
            if self.pidfd is not None:
                try:
                    signal.pidfd_send_signal(self.pidfd, number)
                    return
                except PermissionError:
                    pass  # refused by a container; its own refusal would be one of kill as well
            os.kill(self.pid, number)


def _still_running(known: list[Known], grace_s: float) -> list[Known]:
    """Which of them have not ended after so long; sooner when all have."""
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


def watch(pipe, grace_s: float = GRACE_S) -> None:
    """Reads who there is until the pipe's end, and ends those, the last one first."""
    told = [line.split() for line in pipe]
    known = [Known(int(pid), started) for pid, started in reversed(told)]
    for one in known:
        one.send(signal.SIGTERM)
    for one in _still_running(known, grace_s):
        one.send(signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin)
