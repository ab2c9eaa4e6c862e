# SPDX-License-Identifier: Apache-2.0
"""What a shared run works with: its folder, the programs, brokers that it starts, how often and how much.

    with work.broker("expand", ["--pool", "expand"]) as broker:
        rc = broker.connect(client)
        broker.private_bytes()
    broker.pools(), broker.events()      # after its end

One thread. PoolmarkError when a program does not do what it should.
"""
import contextlib
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.base.paths import COMMAND
from poolmark.claims.clients import Client
from poolmark.facts.children import Child, Children

READY_S, STOP_S, GUARD_S = 60.0, 30.0, 1800.0
LEVEL_BYTES, LEVEL_S = 65536, 5.0  # memory is level when two readings 50 ms apart differ by no more


def private_bytes(pid: int) -> int:
    """Anonymous memory that the process shares with nobody, resident or swapped out, in bytes."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError as error:
        raise PoolmarkError(f"/proc/{pid}/smaps_rollup: cannot be read: {error.strerror}") from error
    found = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:]}
    return found["Anonymous"] - found.get("LazyFree", 0) + found.get("SwapPss", 0)


def events_of(folder: Path, pool: str = "connections") -> list[Json]:
    """The events of one pool in a broker's record; numbers are integers."""
    with open(folder / "events.csv", encoding="utf-8", newline="") as file:
        return [{key: int(text) if text.lstrip("-").isdigit() else text for key, text in row.items()}
                for row in csv.DictReader(file) if row["pool"] == pool]


def pool_of(folder: Path, pool: str = "connections") -> Json:
    """The last line of a pool in a broker's pools.csv."""
    with open(folder / "pools.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pool"] == pool]
    if not rows:
        raise PoolmarkError(f"{folder}/pools.csv: has no line of the pool {pool}")
    return {key: int(text) if text.isdigit() else text for key, text in rows[-1].items()}


def broker_folders(folder: Path, name: str) -> list[Path]:
    """The records of the brokers NAME.1, NAME.2 ... of a run. FileNotFoundError when there is none."""
    found = sorted(folder.glob(f"{name}.*/broker"), key=lambda path: int(path.parent.name.rpartition(".")[2]))
    if not found:
        raise FileNotFoundError(folder / f"{name}.1" / "broker")
    return found


class Broker:
    """One process of the reference broker with a record of its own."""

    def __init__(self, child: Child, folder: Path, port: int, ready_s: float, commands: list[Any]) -> None:
        self.child, self.folder, self.port, self.ready_s = child, folder, port, ready_s
        commands.append(child.process.args)

    def connect(self, number: int, timeout_s: float = 10.0) -> Client:
        return Client(self.port, f"claim-{number}", timeout_s)

    def private_bytes(self) -> int:
        """Private memory once it is level."""
        limit, last = time.monotonic() + LEVEL_S, private_bytes(self.child.pid)
        while time.monotonic() < limit:
            time.sleep(0.05)
            now = private_bytes(self.child.pid)
            if abs(now - last) <= LEVEL_BYTES:
                return now
            last = now
        return last

    def events(self, pool: str = "connections") -> list[Json]:
        """Complete after its end."""
        return events_of(self.folder, pool)

    def pool(self, pool: str = "connections") -> Json:
        return pool_of(self.folder, pool)


@dataclass
class Work:
    build: Path
    folder: Path          # of this run
    children: Children
    repetitions: int = 5
    quick: bool = False
    commands: list[Any] = field(default_factory=list)    # command lines of what it started

    @contextlib.contextmanager
    def broker(self, name: str, words: list[str]) -> Iterator[Broker]:
        """A broker on a free port of the loopback; ended at the end of the block."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        argv = [str(self.build / "poolmark-broker"), "--listen", "127.0.0.1:0", "--record", str(folder / "broker"), *words]
        began = time.monotonic()
        child = self.children.start("poolmark-broker", argv, folder / "broker.log", read="stdout")
        try:
            self.children.read_until(child, lambda line: line == "ready", READY_S)
            port = next(int(line.rpartition(":")[2]) for line in child.lines if line.startswith("listening "))
            yield Broker(child, folder / "broker", port, time.monotonic() - began, self.commands)
        finally:
            code = self.children.stop(child, grace_s=STOP_S)
        if code != 0:
            raise PoolmarkError(f"{child.how_it_ended()}; its log ends: {child.last_lines()}")

    def output(self, name: str, argv: list[str], codes: tuple[int, ...] = (0,)) -> str:
        """Runs a program; returns its stdout. PoolmarkError for another exit code."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.commands.append(argv)
        log = self.folder / f"{name}.log"
        child = self.children.start(argv[0].rpartition("/")[2], argv, log, read="stdout")
        ended = self.children.wait(child, GUARD_S)
        code = self.children.stop(child)
        if ended is None or code not in codes:
            raise PoolmarkError(f"{child.how_it_ended()}; its log {log} ends: {child.last_lines()}")
        return "\n".join(child.lines)

    def json_of(self, name: str, argv: list[str]) -> Json:
        text = self.output(name, argv)
        try:
            found: Json = json.loads(text[text.index("{"):])
        except ValueError as error:
            raise PoolmarkError(f"{name}: printed no JSON: {error}") from error
        return found

    def poolmark(self, name: str, words: list[str], codes: tuple[int, ...] = (0,)) -> Path:
        """Runs another command of Poolmark into the folder `name`; returns that folder."""
        folder = self.folder / name
        self.output(f"{name}-command", [str(COMMAND), *words, "--build", str(self.build), "--out", str(folder)], codes)
        return folder
