# SPDX-License-Identifier: Apache-2.0
"""The processes that a suite starts. Each gets its own session and process group, and waiting is by events. They are ended
after an exception, after a signal, and also when this process is killed: the kernel sends them SIGTERM, and a watchdog ends
the others.

    with Children() as children:
        broker = children.start("broker", argv, log=path, read="stdout")
        children.read_until(broker, lambda line: line == "ready", timeout_s=60)
        load = children.start("load", argv, log=path)
        children.wait(load, timeout_s=600, watch=[broker])
        children.stop(load)
        children.stop(broker)

One thread only. SIGINT, SIGTERM and SIGHUP raise Interrupted once while Children is open. Ending the children is not
interrupted again, and its time is bounded.
"""
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from poolmark.facts import allocators
from poolmark.base.errors import PoolmarkError
from poolmark.base.watchdog import Watchdog

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(Exception):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"interrupted by {signal.Signals(number).name}")


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    wanted: dict[str, str | None] = dict(os.environ)
    wanted |= dict.fromkeys(allocators.variables_set())
    wanted |= changes
    return {name: value for name, value in wanted.items() if value is not None}


def _prepare_child(watchdog: Watchdog) -> None:
    # In the child, before exec: end with the parent, and restore the default signal handlers.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    watchdog.tell()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


LOOK_AGAIN_MS = 50  # poll interval without a pidfd


def _pidfd(pid: int) -> int | None:
    """None without pidfd_open: an old kernel, or a container that refuses it."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


class Child:
    """One process. `returncode` is None while it runs."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self.log = name, process, log
        self.pidfd = _pidfd(process.pid)
        self.lines: list[str] = []
        self.log_lost = ""  # the reason when its log is incomplete
        self._asked_to_end = False
        self._partial = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def exited(self) -> bool:
        if self.returncode is not None:
            return True
        if self.pidfd is not None:
            return bool(select.select([self.pidfd], [], [], 0)[0])
        # Not reaped, so its pid stays reserved.
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def ask_to_end(self, number: int = signal.SIGTERM) -> None:
        """Sends the signal only once, because programs may take a second one as impatience."""
        if not self._asked_to_end and self.returncode is None and not self.exited():
            self._asked_to_end = True
            self.process.send_signal(number)

    def how_it_ended(self) -> str:
        code = self.returncode
        if code is None:
            return f"{self.name} still runs"
        if code < 0:
            why = " (by somebody, or by the kernel for want of memory: dmesg and oom_kill of its control group tell)" if code == -signal.SIGKILL else ""
            return f"{self.name} was ended by {signal.Signals(-code).name}{why}"
        return f"{self.name} ended with exit code {code}"

    def last_lines(self, count: int = 5) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if not lines and os.statvfs(self.log.parent).f_bavail == 0:
                return "(nothing: the disk that its log is on is full)"
        except OSError:
            return ""
        return " | ".join(lines[-count:])

    def take_output(self) -> bool:
        """Moves its output into `lines` and its log; False at the end of the output."""
        if self.process.stdout is None:  # it goes to the log directly
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        try:
            with open(self.log, "ab") as file:
                file.write(data)
        except OSError as error:  # a full disk: the run goes on without this part of the log
            self.log_lost = error.strerror
        *whole, self._partial = (self._partial + data).split(b"\n")
        self.lines += [line.decode("utf-8", errors="replace") for line in whole]
        return bool(data)


class Children:
    def __init__(self) -> None:
        self._all: list[Child] = []
        self._armed = False
        self._pending: int | None = None
        self._old: dict[int, Any] = {}          # signal -> its handler before, of the signal module's own type
        self._watchdog: Watchdog | None = None  # started with the first child

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._old[number] = signal.signal(number, self._on_signal)
        self._armed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        unraised, self._armed = self._pending if self._armed else None, False
        self.stop_all()
        if self._watchdog:
            self._watchdog.close()
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if unraised is not None and kind is None:
            raise Interrupted(unraised)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._pending is None:
            self._pending = number
            if self._armed:
                self._armed = False
                raise Interrupted(number)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        # The next wait raises a signal that arrives here, so that no child starts without its caller knowing it.
        armed, self._armed = self._armed, False
        try:
            yield
        finally:
            self._armed = armed

    def _raise_what_came(self) -> None:
        if self._armed and self._pending is not None:
            self._armed = False
            raise Interrupted(self._pending)

    def start(self, name: str, argv: list[str], log: Path, env: Mapping[str, str | None] | None = None, read: str = "") -> Child:
        """Starts a program; its output goes to `log`. With `read` "stdout" or "both" the output passes through this process
        first (`lines`). The program gets our environment without allocator variables. `env` changes it further: a value, or
        None to remove a variable."""
        try:
            file = open(log, "ab")
        except OSError as error:
            raise PoolmarkError(f"{log}: cannot be written: {error.strerror}") from error
        with self._held(), file:
            try:
                watchdog = self._watchdog = self._watchdog or Watchdog()
                process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if read else file,
                    stderr=subprocess.STDOUT if read == "both" else file, env=_environment(env or {}),
                    start_new_session=True, preexec_fn=lambda: _prepare_child(watchdog))
            except OSError as error:
                raise PoolmarkError(f"{argv[0]}: cannot be started: {error.strerror}") from error
            child = Child(name, process, log)
            self._all.append(child)
        return child

    def read_until(self, child: Child, wanted: Callable[[str], bool], timeout_s: float) -> None:
        """Reads the child's output until `wanted(line)` is true. PoolmarkError when the child ends or the time is over."""
        self._raise_what_came()
        deadline = time.monotonic() + timeout_s
        seen = 0
        while True:
            for line in child.lines[seen:]:
                seen += 1
                if wanted(line.strip()):
                    return
            left = deadline - time.monotonic()
            if left <= 0:
                raise PoolmarkError(f"{child.name} was not ready within {timeout_s:.0f} s; its log ends: "
                                    f"{child.last_lines()}")
            if select.select([child.process.stdout], [], [], left)[0] and not child.take_output():
                self.stop(child)
                raise PoolmarkError(f"{child.how_it_ended()} before it was ready; its log ends: {child.last_lines()}")

    def wait(self, child: Child, timeout_s: float, watch: Sequence[Child] = ()) -> Child | None:
        """Waits until `child` or one of `watch` ends, and returns that one; None after the timeout."""
        self._raise_what_came()
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        owners: dict[int, Child] = {}
        for one in (child, *watch):
            if one.exited():
                return one
            output = one.process.stdout
            for number in (one.pidfd, output.fileno() if output else None):
                if number is not None:
                    poll.register(number, select.POLLIN)
                    owners[number] = one
        unseen = [one for one in (child, *watch) if one.pidfd is None]
        while (left := deadline - time.monotonic()) > 0:
            for ready, _ in poll.poll(min(left * 1000, LOOK_AGAIN_MS) if unseen else left * 1000):
                one = owners[ready]
                if ready == one.pidfd:
                    return one
                if not one.take_output():
                    poll.unregister(ready)
            ended = next((one for one in unseen if one.exited()), None)
            if ended is not None:
                return ended
        return None

    def stop(self, child: Child, number: int = signal.SIGTERM, grace_s: float = 10.0) -> int:
        """Ends a child with the signal, and after `grace_s` with SIGKILL; then ends its whole group. Returns its exit code."""
        if child.returncode is not None:
            return child.returncode
        armed, self._armed = self._armed, False
        if not child.exited():
            child.ask_to_end(number)
            if self.wait(child, grace_s) is None:
                child.process.kill()
                self.wait(child, 60.0)
        # Not reaped yet, so its pid still names its group: processes that it left behind are killed too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        code = child.process.wait()
        if child.process.stdout:
            while select.select([child.process.stdout], [], [], 0)[0] and child.take_output():
                pass
            child.process.stdout.close()
        if child.pidfd is not None:
            os.close(child.pidfd)
            child.pidfd = None
        self._all.remove(child)
        if armed and self._pending is not None:
            raise Interrupted(self._pending)
        self._armed = armed
        return code

    def stop_all(self) -> None:
        """Stops the last started first. All get their signal at once, so that they end in parallel."""
        for child in reversed(self._all):
            child.ask_to_end()
        for child in list(reversed(self._all)):
            self.stop(child)
