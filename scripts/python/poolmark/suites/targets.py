# SPDX-License-Identifier: Apache-2.0
"""The broker of a cell: the reference broker (one or more instances), mosquitto, or a broker that is already running.

A target is started, provides its `urls` and the `pids` to watch, and is stopped. Its programs are started through Children.
"""
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from poolmark.facts import allocators
from poolmark.facts.children import Child, Children
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import Json
from poolmark.base.toml_values import shown
from poolmark.base.units import parse_bytes, parse_count
from poolmark.facts.plan import Plan
from poolmark.records.read_record import load
from poolmark.records.record import Cell

READY_S = 180.0
STOP_S = 30.0
MOSQUITTO = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto")
# Options of poolmark-broker that mean the same to mosquitto, whose names have "_" for "-"; and those of mosquitto alone.
SHARED: dict[str, Callable[[object], int]] = {"max-queued-messages": parse_count, "max-queued-bytes": parse_bytes,
                                              "max-inflight-messages": parse_count, "message-size-limit": parse_bytes}
MOSQUITTO_FLAGS = ("set-tcp-nodelay",)


def option_words(options: Mapping[str, object]) -> list[str]:
    """Converts {"initial": ["1024", "buffers=9"], "no-touch": true} to command-line words."""
    words: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words.append(f"--{name}")
            elif one is not False and one is not None:
                words += [f"--{name}", str(one)]
    return words


class Target:
    """A target without our own processes: a broker that was running before. A suite does not watch it."""

    starts = False  # a target that is started for its cell, and has served nobody before

    def __init__(self, cell: Cell, urls: list[str], allocator: str | None = None) -> None:
        self.cell, self.urls = cell, urls
        self.allocator = allocator or str(cell.data["config"].get("allocator", "glibc"))  # a name, or a path
        self.processes: list[Child] = []
        self.running: list[int] = []    # processes that ran before and are watched

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self.processes] or self.running

    def start(self, children: Children) -> None:
        pass

    def stop(self, children: Children) -> list[str]:
        """Ends all its processes at once; returns texts about those that did not end cleanly."""
        running = [child for child in self.processes if child.returncode is None]
        for child in running:
            child.ask_to_end()
        return [f"{child.how_it_ended()}; its log ends: {child.last_lines()}" for child in running
                if children.stop(child, grace_s=STOP_S) != 0]

    def records(self) -> list[Path]:
        """The folders of its processes' own records."""
        return []

    def allocator_found(self) -> str | None:
        """The allocator that it used; known after its end."""
        return None


class PoolmarkBroker(Target):
    """build/poolmark-broker, with as many instances as the plan has."""

    starts = True

    def __init__(self, cell: Cell, build: Path, plan: Plan, options: Json, allocator: str | None = None) -> None:
        super().__init__(cell, [], allocator)
        self.build, self.plan, self.options = build, plan, options

    def _name(self, instance: int) -> str:
        return "broker" if self.plan.instances == 1 else f"broker-{instance + 1}"

    def records(self) -> list[Path]:
        return [self.cell.folder / self._name(i) for i in range(len(self.processes))]

    def argv(self, instance: int) -> list[str]:
        config = self.cell.data["config"]
        words = [str(self.build / "poolmark-broker")]
        for address in self.plan.listens(instance):
            words += ["--listen", address]
        options = {"pool": config.get("strategy"), "shape": config.get("shape"), "threads": self.plan.threads or None}
        options.update(self.options)
        return words + option_words(options) + ["--record", str(self.cell.folder / self._name(instance))]

    def start(self, children: Children) -> None:
        environment = allocators.environment(self.allocator)
        for instance in range(self.plan.instances):
            argv = self.argv(instance)
            self.cell.command(argv)
            self.processes.append(children.start(f"broker {instance + 1}" if self.plan.instances > 1 else "broker",
                                                 argv, self.cell.folder / f"{self._name(instance)}.log",
                                                 env=environment, read="stdout"))
        for child in self.processes:
            children.read_until(child, lambda line: line == "ready", READY_S)
            ports = [line.split()[1] for line in child.lines if line.startswith("listening ") and len(line.split()) > 1]
            if not ports:
                raise PoolmarkError(f"{child.name} said it was ready and named no address it listens on")
            self.urls += [f"mqtt://{address}" for address in ports]
        self.cell.file("log", self.cell.folder / f"{self._name(0)}.log")

    def stop(self, children: Children) -> list[str]:
        unclean = super().stop(children)
        for key in ("pools", "events", "account"):
            self.cell.file(key, self.cell.folder / self._name(0) / f"{key}.csv")
        return unclean

    def allocator_found(self) -> str | None:
        """The allocator from the broker's own record."""
        loaded = (load(self.records()[0]).data["host"].get("loaded") or {}).get("allocator")
        return loaded.split()[0].split("-")[0].lower() if isinstance(loaded, str) and loaded else None


class Mosquitto(Target):
    """mosquitto with a generated configuration, on a free port of 127.0.0.1."""

    starts = True

    def __init__(self, cell: Cell, options: Json, allocator: str | None = None) -> None:
        super().__init__(cell, [], allocator)
        self.options = options
        self._allocator: str | None = None

    @staticmethod
    def program() -> str:
        """UsageError with the command that installs it."""
        for path in MOSQUITTO:
            if Path(path).is_file():
                return path
        raise UsageError("mosquitto is not installed: apt-get install mosquitto (as root; Debian, Ubuntu) brings it")

    def config_file(self) -> Path:
        return self.cell.folder / "mosquitto.conf"

    def config_text(self, port: int | str) -> str:
        """Nothing is kept on disk, everybody may come, and no client is logged. Then the options of the cell."""
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "max_connections -1",
                 "connection_messages false", "log_dest stderr", "log_type error", "log_type warning", "log_type notice",
                 "log_type information"]
        for name, value in self.options.items():
            text = SHARED[name](value) if name in SHARED else str(value).lower()
            lines.append(f"{name.replace('-', '_')} {text}")
        return "\n".join(lines) + "\n"

    def _start_on(self, children: Children, port: int) -> Child:
        config = self.config_file()
        config.write_text(self.config_text(port))
        argv = [self.program(), "-c", str(config)]
        child = children.start("mosquitto", argv, self.cell.folder / "broker.log", read="both",
                               env=allocators.environment(self.allocator))
        try:
            children.read_until(child, lambda line: line.endswith(" running"), READY_S)
        except PoolmarkError:
            children.stop(child)
            raise
        self.cell.command(argv)
        return child

    def start(self, children: Children) -> None:
        for attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            try:
                self.processes = [self._start_on(children, port)]
                break
            except PoolmarkError as error:
                # Another process may have taken the port between the check and the start.
                if attempt == 4 or "in use" not in str(error):
                    raise
        self.urls = [f"mqtt://127.0.0.1:{port}"]
        self._allocator = allocators.loaded_in(self.pids[0], self.allocator)
        self.cell.file("log", self.cell.folder / "broker.log")

    def allocator_found(self) -> str | None:
        return self._allocator


def wrong_for_mosquitto(name: str, value: object) -> str | None:
    """What is wrong with an option of a suite's [broker] for target mosquitto; None when it is right."""
    if name in MOSQUITTO_FLAGS:
        return None if isinstance(value, bool) else f"{name} is {shown(value)}; it must be true or false"
    if name not in SHARED:
        return f"{name!r} is no option that a suite sets for mosquitto; those are {', '.join((*SHARED, *MOSQUITTO_FLAGS))}"
    try:
        number = SHARED[name](value)
    except UsageError as error:
        return f"{name}: {error}"
    if number == 0 and SHARED[name] is parse_count:
        return f"{name} is 0, which mosquitto takes for no bound, and poolmark-broker for none at all"
    return None


def make_target(cell: Cell, build: Path, plan: Plan, options: Json, allocator: str | None = None) -> Target:
    """`allocator`: the path of one that is a file."""
    kind = cell.data["config"].get("target", "poolmark")
    if kind == "poolmark":
        return PoolmarkBroker(cell, build, plan, options, allocator)
    if kind == "mosquitto":
        return Mosquitto(cell, options, allocator)
    if str(kind).startswith("mqtt://"):
        return Target(cell, [word for word in str(kind).split(",") if word])
    raise UsageError(f"target is {shown(kind)}; it must be poolmark, mosquitto or mqtt://HOST:PORT")
