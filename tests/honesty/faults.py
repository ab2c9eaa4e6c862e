# SPDX-License-Identifier: Apache-2.0
"""Programs under test, and the faults that the honesty tests inject into them.

    with Broker("--threads", "1") as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", "10") as run:
        run.wait_for("publish")            # waits for a word of its progress lines
        with stopped(broker.pid):
            time.sleep(2)
        assert run.end() == 1
        assert run.record["status"] == "incomplete" and "lost" in run.anomaly("books")

Faults: `stopped` (SIGSTOP), `tmpfs` and `full` (disks), `cgroup`, `refusing` (system calls that a kernel or a container
refuses), `as_user`, `in_namespace`. Every program ends with the test that started it.
"""
import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from poolmark.base.paths import build_dir

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
GUARD_S = 120  # only a hanging program reaches it
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="this fault takes root")
needs_mosquitto = pytest.mark.skipif(not os.access("/usr/sbin/mosquitto", os.X_OK), reason="mosquitto is not installed")
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def chain(*steps):
    """Combines several preexec_fn into one."""
    def run():
        for step in steps:
            if step:
                step()
    return run


class Broker:
    """poolmark-broker with these arguments and `--listen 127.0.0.1:0` (or `listen`). Waits until it is ready."""

    def __init__(self, *arguments, listen="127.0.0.1:0", before=None, prefix=()):
        self.process = subprocess.Popen(
            [*prefix, BUILD / "poolmark-broker", "--listen", listen, *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, preexec_fn=chain(_die_with_parent, before))
        self.address = self.process.stdout.readline().split()[1]
        self.port = int(self.address.rsplit(":", 1)[1])
        assert self.process.stdout.readline() == "ready\n"

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def mosquitto(folder, prefix=(), port=0):
    """mosquitto on this port of the loopback, by default a free one; `prefix` may start it in a namespace. Yields (port, pid) when it
    listens."""
    if port == 0:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections -1\n", encoding="ascii")
    process = subprocess.Popen([*prefix, "/usr/sbin/mosquitto", "-c", folder / "mosquitto.conf"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    limit = time.monotonic() + GUARD_S
    try:
        while not _listens(port, process.pid):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        yield port, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        process.wait(10)


def _listens(port, pid):
    """Whether a socket listens on that port in the network namespace of the process."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        return any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows)
    return False


class Load:
    """A run of poolmark-loadgen. `record` is its run.json, after its end."""

    def __init__(self, folder, command, before=None, stdout=None, stderr=None, env=None):
        self.folder = Path(folder)
        self.log = self.folder.with_name(self.folder.name + ".stderr")
        self.out = self.folder.with_name(self.folder.name + ".stdout")
        with open(self.log, "wb") as log, open(self.out, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out if stdout is None else stdout,
                                            stderr=log if stderr is None else stderr, env=env,
                                            preexec_fn=chain(_die_with_parent, before))

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def table(self):
        return self.out.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text):
        """Waits until its progress lines contain `text`."""
        limit = time.monotonic() + GUARD_S
        while text not in self.said():
            assert self.process.poll() is None, f"it ended before it said {text!r}: {self.said()}"
            assert time.monotonic() < limit, f"it never said {text!r}"
            time.sleep(0.02)

    def wait_for_after(self, before, text):
        """Waits until its progress lines contain `text` after the last `before`."""
        limit = time.monotonic() + GUARD_S
        while text not in self.said().rpartition(before)[2]:
            assert self.process.poll() is None, f"it ended before it said {text!r} again: {self.said()}"
            assert time.monotonic() < limit, f"it never said {text!r} again"
            time.sleep(0.02)

    def end(self):
        """Waits for its end. Returns the exit code, or minus the signal that ended it."""
        return self.process.wait(GUARD_S)

    @property
    def record(self):
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    @property
    def books(self):
        return self.record["books"]

    def metric(self, name):
        return self.record["metrics"][name]["value"]

    def anomaly(self, what):
        """The texts of the record's anomalies of that kind, one a line; "" without any."""
        return "\n".join(a["text"] for a in self.record["anomalies"] if a["what"] == what)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


def load(folder, scenario, port, *arguments, engine="raw", prefix=(), host="127.0.0.1", **how):
    """Starts poolmark-loadgen against a port of this host; its record goes to `folder`."""
    return Load(folder, [*prefix, BUILD / "poolmark-loadgen", scenario, "--target", f"mqtt://{host}:{port}",
                         "--engine", engine, "--record", folder, *map(str, arguments)], **how)


def balances(line):
    """Whether the books of one source balance."""
    return line["attempted"] == sum(count for name, count in line.items() if name != "attempted")


@contextlib.contextmanager
def stopped(*pids):
    """Sends SIGSTOP, and SIGCONT at the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def children_of(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


@contextlib.contextmanager
def changing(broker_port, change, answers=bytes, others=bytes, later=0):
    """A proxy to the broker that sends a subscriber `change(packet, end)` instead of each PUBLISH, and `others(packet)` instead of another
    packet. A packet's fixed header is its first `end` bytes. What clients send reaches the broker as `answers(data)`. `later`: each PUBLISH
    comes once more, so many seconds after it came. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    sockets = []

    def up(client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(answers(data))
            server.shutdown(socket.SHUT_RDWR)

    def again(client, packet):
        with contextlib.suppress(OSError):
            client.sendall(packet)

    def down(server, client):
        with contextlib.suppress(OSError), server.makefile("rb") as stream:
            while head := stream.read(2):
                while head[-1] & 128:
                    head += stream.read(1)
                packet = head + stream.read(sum((byte & 127) << 7 * i for i, byte in enumerate(head[1:])))
                client.sendall(change(packet, len(head)) if head[0] >> 4 == 3 else others(packet))
                if later and head[0] >> 4 == 3:
                    threading.Timer(later, again, (client, packet)).start()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                pair = listener.accept()[0], socket.create_connection(("127.0.0.1", broker_port))
                sockets.extend(pair)
                threading.Thread(target=up, args=pair, daemon=True).start()
                threading.Thread(target=down, args=pair[::-1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in (listener, *sockets):
            one.close()


def doubling(broker_port):
    """A proxy to the broker that sends each PUBLISH to a subscriber twice. Yields its port."""
    return changing(broker_port, lambda packet, end: packet * 2)


def corrupting(broker_port, place, counts):
    """A proxy to the broker that changes the byte `place(bytes)` of the payload of each tenth PUBLISH to a subscriber, and counts
    those that it changes. `bytes` is the payload's size. Yields its port."""
    counts.update(seen=0, changed=0)

    def change(packet, end):
        counts["seen"] += 1
        if counts["seen"] % 10:
            return packet
        counts["changed"] += 1
        topic = int.from_bytes(packet[end:end + 2], "big")
        payload = end + 2 + topic + (2 if packet[0] & 6 else 0)
        at = payload + place(len(packet) - payload)
        return packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1:]
    return changing(broker_port, change)


@contextlib.contextmanager
def peer(answer):
    """A server that answers each packet with `answer(type)`: bytes to send, a function that makes them of the packet's rest, or None to
    close. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients, ending = [], threading.Event()

    def serve(client):
        with contextlib.suppress(OSError):
            while not ending.is_set() and (head := client.recv(2, socket.MSG_WAITALL)):
                length = head[1]  # short packets only
                rest = client.recv(length, socket.MSG_WAITALL)
                said = answer(head[0] >> 4)
                said = said(rest) if callable(said) else said
                if said is None:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(said)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                clients.append(listener.accept()[0])
                threading.Thread(target=serve, args=(clients[-1],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        listener.close()
        for client in clients:
            client.close()


# --- disks -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tmpfs(folder, size="200k"):
    """A small disk at `folder`. Needs root."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def full(folder):
    """Keeps the disk of `folder` full."""
    filler = folder / ".filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (4096, 1):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
        yield
    finally:
        os.close(fd)
        filler.unlink()


# --- system calls that a kernel or a container refuses ---------------------------------------------------------------

SYSTEM_CALLS = {"epoll_pwait2": 441, "pidfd_open": 434, "getrandom": 318}  # x86-64


def refusing(*names, error=errno.ENOSYS):
    """A preexec_fn that makes these system calls fail with `error` in the program and its children (seccomp)."""
    def instruction(code, value, true=0, false=0):
        return struct.pack("HBBI", code, true, false, value)

    program = instruction(0x20, 0)  # load the number of the system call
    for name in names:
        program += instruction(0x15, SYSTEM_CALLS[name], 0, 1)  # for this system call:
        program += instruction(0x06, 0x00050000 | error)  # SECCOMP_RET_ERRNO
    program += instruction(0x06, 0x7FFF0000)  # SECCOMP_RET_ALLOW

    def install():
        buffer = ctypes.create_string_buffer(program)
        filters = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
        _libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if _libc.prctl(22, 2, ctypes.c_char_p(filters), 0, 0) != 0:  # PR_SET_SECCOMP
            raise OSError(ctypes.get_errno(), "seccomp")
    return install


def as_user(uid=NOBODY):
    """A preexec_fn that runs the program as another user. Needs root."""
    def switch():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        _die_with_parent()  # a change of user clears it
    return switch


# --- namespaces and control groups: all need root --------------------------------------------------------------------


@contextlib.contextmanager
def in_namespace(kind="--net", setup="ip link set lo up"):
    """A new namespace, kept by a sleeping process. Yields the command prefix that starts programs in it. Skips the test where none can
    be made."""
    keeper = subprocess.Popen(["unshare", kind, "sh", "-c", f"{setup} && echo ready && exec sleep {GUARD_S}"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_die_with_parent)
    try:
        if keeper.stdout.readline() != "ready\n":
            pytest.skip(f"no namespace can be made here: {keeper.communicate()[1].strip()}")
        yield ["nsenter", "--target", str(keeper.pid), kind]
    finally:
        keeper.kill()
        keeper.wait()


@contextlib.contextmanager
def cgroup(controller, **files):
    """A control group (version 1) with these files set; "__" in a name stands for ".", as in cpu__cfs_quota_us=30000. Yields a
    preexec_fn that moves a program into it. Skips the test without such a hierarchy, and where no group can be made in it."""
    folder = Path("/sys/fs/cgroup") / controller / f"poolmark-{os.getpid()}"
    if not folder.parent.joinpath("cgroup.procs").exists():
        pytest.skip(f"there is no control group {controller} of version 1")
    try:
        with contextlib.suppress(OSError):
            folder.rmdir()  # left by a test of that number that was killed
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group {controller} can be made here: {error.strerror}")
    try:
        for name, value in files.items():
            folder.joinpath(name.replace("__", ".")).write_text(str(value), encoding="ascii")
        yield lambda: folder.joinpath("cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    finally:
        limit = time.monotonic() + GUARD_S
        while True:  # until its last process has ended
            try:
                folder.rmdir()
                break
            except OSError:
                assert time.monotonic() < limit
                time.sleep(0.05)


HIDE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int is_hidden(const char *path)
{
    const char *end = getenv("HIDE_END");
    size_t have = strlen(path), want = end ? strlen(end) : 0;
    return want && have >= want && !strncmp(path, "/proc/", 6) && !strcmp(path + have - want, end);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list list; \
        va_start(list, flags); \
        int mode = va_arg(list, int); \
        va_end(list); \
        if (is_hidden(path)) { \
            errno = atoi(getenv("HIDE_ERRNO")); \
            return -1; \
        } \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
"""


def preloading(folder, name, text, **variables):
    """An environment in which programs have the C functions of `text` in place of the library's."""
    library = folder / f"{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-x", "c", "-o", library, "-", "-ldl"], input=text, text=True, check=True)
    return {**os.environ, "LD_PRELOAD": str(library), **{key: str(value) for key, value in variables.items()}}


def hiding(folder, end, error):
    """An environment in which files of /proc whose path ends with `end` cannot be opened."""
    return preloading(folder, "hide", HIDE, HIDE_END=end, HIDE_ERRNO=error)


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, now);
    if (id == CLOCK_REALTIME && access(getenv("CLOCK_STEP_FILE"), F_OK) == 0)
        now->tv_sec += atoi(getenv("CLOCK_STEP_S"));
    return code;
}
"""


def setting_the_clock(folder, file, seconds):
    """An environment whose wall clock steps by so many seconds as soon as `file` exists."""
    return preloading(folder, "clock", CLOCK, CLOCK_STEP_FILE=file, CLOCK_STEP_S=seconds)
