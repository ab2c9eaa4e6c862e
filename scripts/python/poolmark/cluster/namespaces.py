# SPDX-License-Identifier: Apache-2.0
"""Hosts made of network namespaces on one machine: an address each, a name each, links with a delay and a loss, that can be cut.

    with Hosts(["host1", "host2", "broker"], delay_s=0.001) as hosts:
        children.start("broker", [*hosts.prefix("broker"), "poolmark-broker", "--listen", f"{hosts.address('broker')}:1883"], log)
        hosts.cut("host2")              # its link goes down

Each host has two links with the same delay and loss: one for the load, and one for the ranks' own words and mpirun's, as clusters have for
their management. On one machine a storm of connections takes all that passes frames, and what it holds up would count as a host that is lost.

Each host is a network and a name (UTS) namespace, kept by a process that sleeps. Nothing is made in the machine's own network: the switch
is in a namespace too. So all of it goes with these processes, which end with this one, also when it is killed. The hosts share the
machine's files, memory and processors.

Delay and loss are netem's, or, where the kernel has none, those of wire.py. Both are one way: a round trip has twice the delay. Needs root.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.cluster import wire

NETWORK, CONTROL_NETWORK = "10.77", "10.78"     # of the hosts; in no other namespace
LINK, CONTROL_LINK = wire.DEVICE, wire.CONTROL
PORTS = "1024 65535"
QUEUE_FRAMES = 100_000  # a link drops nothing of its own
MOST_HOSTS = 200
GUARD_S = 60.0          # only what hangs reaches it
GRACE_S = 5.0
SWITCH = "(switch)"     # no name of a host
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

AGENT = """\
#!/bin/sh
# What mpirun calls in place of ssh: HOST COMMAND...
case "$1" in
{cases}
*) echo "there is no host '$1'" >&2; exit 255 ;;
esac
shift
exec nsenter --target "$pid" --net --uts -- sh -c "$*"
"""
KEEPER = """\
{name}ip link set lo up || exit 1
echo "{ports}" > /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null
echo ready
exec sleep infinity
"""


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _call(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=GUARD_S)


def why_not() -> str | None:
    """Why no hosts can be made here; None when they can."""
    if os.geteuid() != 0:
        return "hosts of network namespaces take root"
    missing = [tool for tool in ("ip", "nsenter", "unshare") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)}: not installed (Debian: iproute2, util-linux)"
    done = _call(["unshare", "--net", "--uts", "true"])
    return f"no network namespace can be made here: {done.stderr.strip()}" if done.returncode else None


class Hosts:
    """`names`: of the hosts, in the order of their addresses. UsageError when none can be made, PoolmarkError when a step fails."""

    def __init__(self, names: Sequence[str], delay_s: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        if not 1 <= len(names) <= MOST_HOSTS or len(set(names)) < len(names):
            raise UsageError(f"{len(names)} hosts ({len(set(names))} names): there may be 1 to {MOST_HOSTS}, each with a name of its own")
        self.names, self.delay_s, self.loss, self.seed = list(names), delay_s, loss, seed
        self.keepers: dict[str, subprocess.Popen[str]] = {}
        self.way = "veth"                   # or veth with netem, or wire.py
        self.folder: Path | None = None     # of the agent
        self._wire: subprocess.Popen[str] | None = None

    # --- what is there

    def address(self, name: str) -> str:
        return f"{NETWORK}.0.{self.names.index(name) + 1}"

    def control(self, name: str) -> str:
        """Its address on the link for the ranks' own words."""
        return f"{CONTROL_NETWORK}.0.{self.names.index(name) + 1}"

    def prefix(self, name: str) -> list[str]:
        """Words before a command that is to run on that host."""
        return ["nsenter", "--target", str(self.keepers[name].pid), "--net", "--uts", "--"]

    @property
    def agent(self) -> Path:
        """For mpirun's plm_rsh_agent."""
        assert self.folder is not None, "open first"
        return self.folder / "enter-host"

    def on(self, name: str, *words: str) -> str:
        """Runs a short command on a host; PoolmarkError when it fails. Returns its output."""
        done = _call([*self.prefix(name), *words])
        if done.returncode:
            raise PoolmarkError(f"{name}: {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
        return done.stdout

    def cut(self, name: str) -> None:
        """The host's links go down: nothing comes, nothing goes, nobody is told."""
        for link in (LINK, CONTROL_LINK):
            self.on(name, "ip", "link", "set", link, "down")

    def mend(self, name: str) -> None:
        for link in (LINK, CONTROL_LINK):
            self.on(name, "ip", "link", "set", link, "up")

    def processes(self, name: str | None = None) -> list[int]:
        """Processes on that host, or on all, without those that keep them."""
        nets = {os.stat(f"/proc/{one.pid}/ns/net").st_ino for key, one in self.keepers.items() if name in (None, key)}
        own = {one.pid for one in self.keepers.values()} | ({self._wire.pid} if self._wire else set())
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) not in own:
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{entry}/ns/net").st_ino in nets:
                        found.append(int(entry))
        return found

    def words(self) -> str:
        """For people."""
        how = f"{1e3 * self.delay_s:g} ms each way, {100 * self.loss:g} % lost, by {self.way}" if self.delay_s or self.loss else "no delay, no loss"
        return f"{len(self.names)} hosts of network namespaces ({', '.join(self.names)}), links: {how}"

    # --- making

    def _keep(self, name: str, is_host: bool) -> None:
        kinds = ["--net", "--uts"] if is_host else ["--net"]
        script = KEEPER.format(name=f"hostname {name} || exit 1\n" if is_host else "", ports=PORTS)
        keeper = subprocess.Popen(["unshare", *kinds, "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_die_with_parent)
        self.keepers[name] = keeper
        assert keeper.stdout is not None and keeper.stderr is not None  # they are pipes
        if keeper.stdout.readline() != "ready\n":
            raise PoolmarkError(f"the host {name} cannot be made: {keeper.stderr.read().strip()}")

    def _give_address(self, name: str) -> None:
        for link, address in ((LINK, self.address(name)), (CONTROL_LINK, self.control(name))):
            self.on(name, "ip", "address", "add", f"{address}/16", "dev", link)
            self.on(name, "ip", "link", "set", link, "up", "txqueuelen", str(QUEUE_FRAMES))

    def _switch(self) -> None:
        """A bridge for each link, and a pair of devices from it to each host."""
        self._keep(SWITCH, False)
        for link in (LINK, CONTROL_LINK):
            self.on(SWITCH, "ip", "link", "add", f"br-{link}", "type", "bridge")
            self.on(SWITCH, "ip", "link", "set", f"br-{link}", "up")
            for number, name in enumerate(self.names, 1):
                port = f"{link}-{number}"
                self.on(SWITCH, "ip", "link", "add", port, "type", "veth", "peer", "name", link, "netns", str(self.keepers[name].pid))
                self.on(SWITCH, "ip", "link", "set", port, "master", f"br-{link}", "up")
        for name in self.names:
            self._give_address(name)

    def _netem(self) -> bool:
        """Whether the kernel has netem; then all links have it."""
        rule = ["netem", "limit", str(QUEUE_FRAMES), "delay", f"{1e6 * self.delay_s:.0f}us", *(["loss", f"{100 * self.loss:g}%"] if self.loss else [])]
        for number, (name, link) in enumerate((name, link) for name in self.names for link in (LINK, CONTROL_LINK)):
            done = _call([*self.prefix(name), "tc", "qdisc", "add", "dev", link, "root", *rule]) if shutil.which("tc") else None
            if done is None or done.returncode:
                if number:
                    raise PoolmarkError(f"{name}: netem: {done.stderr.strip() if done else 'tc is gone'}")
                return False
        return True

    def _make_wire(self) -> None:
        words = [sys.executable, "-I", "-S", str(Path(wire.__file__).resolve()), f"{1e6 * self.delay_s:.0f}", str(self.loss), str(self.seed)]
        self._wire = subprocess.Popen([*words, *(str(self.keepers[name].pid) for name in self.names)], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                      preexec_fn=_die_with_parent)
        assert self._wire.stdout is not None and self._wire.stderr is not None  # they are pipes
        if self._wire.stdout.readline() != "ready\n":
            raise PoolmarkError(f"no network can be made by wire.py: {self._wire.stderr.read().strip().splitlines()[-1:]}")
        for name in self.names:
            self._give_address(name)

    def _make_links(self) -> None:
        self._switch()
        if not self.delay_s and not self.loss:
            return
        if self._netem():
            self.way = "netem"
            return
        # The devices of the switch go with its namespace; the hosts' ends go with them.
        self._end(self.keepers.pop(SWITCH))
        limit = time.monotonic() + GUARD_S
        while any(_call([*self.prefix(name), "ip", "link", "show", link]).returncode == 0 for name in self.names for link in (LINK, CONTROL_LINK)):
            if time.monotonic() > limit:
                raise PoolmarkError("the links of the switch did not go with it")
            time.sleep(0.05)
        self._make_wire()
        self.way = "wire.py (this kernel has no netem)"

    def __enter__(self) -> Self:
        if reason := why_not():
            raise UsageError(reason)
        try:
            for name in self.names:
                self._keep(name, True)
            self._make_links()
            self.folder = Path(tempfile.mkdtemp(prefix="poolmark-hosts-"))
            cases = "\n".join(f"{name}|{self.address(name)}|{self.control(name)}) pid={self.keepers[name].pid} ;;" for name in self.names)
            self.agent.write_text(AGENT.format(cases=cases), encoding="utf-8")
            self.agent.chmod(0o700)
        except BaseException:
            self.close()
            raise
        return self

    # --- the end

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    def _end_processes(self) -> None:
        """Ends what still runs on the hosts: daemons of mpirun, ranks, brokers."""
        for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GUARD_S)):
            limit = time.monotonic() + wait_s
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while [pid for pid in self.processes() if not _is_zombie(pid)] and time.monotonic() < limit:
                time.sleep(0.02)

    def close(self) -> dict[str, int]:
        """Ends everything, the hosts too. Returns what wire.py counted."""
        counts: dict[str, int] = {}
        with contextlib.suppress(OSError):
            self._end_processes()
        if self._wire:
            with contextlib.suppress(subprocess.TimeoutExpired, ValueError, IndexError):
                self._wire.terminate()
                counts = json.loads(self._wire.communicate(timeout=GUARD_S)[0].splitlines()[-1])
            self._end(self._wire)
            self._wire = None
        for keeper in self.keepers.values():
            self._end(keeper)
        self.keepers.clear()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        return counts

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
