# SPDX-License-Identifier: Apache-2.0
"""Writes a run's record. Format: results/README.md, schema: results/run.schema.json. read_record.py reads it.

A record is a folder with run.json. run.json is complete at any instant, because each save writes a new file and renames it over
the old one. Its status is "running" from the start, so a killed run can be told from a finished one.

    record = Record.create("suite", suite="quick", config={...}, seed=1)
    cell = record.cell("classic-malloc.1", {"strategy": "malloc"}, repetition=1)
    cell.metric("connect.p99", 1.7e6, "ns", "lower")
    cell.file("latency", cell.folder / "load" / "latency.hlog")
    cell.finish("complete")
    record.close("complete")

One thread at a time per record. UsageError when a folder is taken or cannot be created, PoolmarkError when it cannot be written.
"""
import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from poolmark.facts import comparable, facts, metrics
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.forms import AnomalyData, CellData, Config, EntriesData, FileData, MetricData, PhaseData, RecordData, value_of
from poolmark.base.paths import INSTALLED, ROOT, RUNS, WORK, installed_programs, writable
from poolmark.records.packed import record_in

SCHEMA = "poolmark.run/1"
SEAL = "run.json.sha256"  # checksum of run.json in sha256sum's format; base/record_seal.h says what it protects against
CLOCK_STEP_S = 1.0      # more than slewing, which is at most a second in half an hour
FINAL = ("complete", "incomplete", "failed")


def utc_now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def wall_ahead_s() -> float:
    """Wall clock minus monotonic clock. Constant unless the wall clock is set."""
    return time.time() - time.monotonic()


def new_id(kind: str) -> str:
    return f"{kind}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def left_out(folder: Path) -> list[Path]:
    """Folders that the records below `folder` leave out of their files: those of ranks that were lost, and may still write there."""
    found: list[Path] = []
    for path in folder.rglob("run.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, RecursionError):      # what is no record leaves nothing out
            if b"files_left_out" in (content := path.read_bytes()):
                found += [path.parent / str(name) for name in json.loads(content).get("files_left_out", [])]
    return found


def files_of(folder: Path) -> dict[str, FileData]:
    """{"relative/path": {"sha256", "bytes"}} of every regular file below `folder`, without run.json, its seal, and what records leave out."""
    found: dict[str, FileData] = {}
    others = left_out(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or name in ("run.json", "run.json.new", SEAL) or any(one in path.parents for one in others):
            continue
        found[name] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    return found


def seal(folder: Path) -> None:
    """Writes the seal of run.json on disk. After an OSError there is no seal."""
    path = folder / SEAL
    try:
        path.write_text(f"{sha256(folder / 'run.json')}  run.json\n", encoding="ascii")
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def command_line(argv: Iterable[str] | None = None) -> list[str]:
    """The command as typed in the checkout, without absolute paths of this machine."""
    words = list(sys.argv if argv is None else argv)
    return [relative_word(word) for word in words]


def relative_word(word: str) -> str:
    """`word` without the checkout's folder; in an installation, without the folder of the programs and the current one. A shared library
    is named without its folder."""
    for folder in (installed_programs(), WORK) if INSTALLED else (ROOT,):
        word = str(word).replace(f"{folder}/", "")
    return re.sub(r"(^|=)/\S*/(?=[^/\s]+\.so(\.[0-9.]+)?$)", r"\1", str(word))


def as_utf8(value: object) -> object:
    """A JSON value that can be encoded, since file names may contain bytes that are not UTF-8."""
    if isinstance(value, dict):
        return {as_utf8(key): as_utf8(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_utf8(item) for item in value]
    return writable(value) if isinstance(value, str) else value


def number(value: float | None) -> float | int | None:
    """A JSON number from an int, float or numpy scalar; None when it is not finite."""
    if value is None:
        return None
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, int):
        return int(plain)
    return float(plain) if math.isfinite(plain) else None


def metric(value: float | None, unit: str, better: str = "none", samples: Iterable[float | None] | None = None) -> MetricData:
    """One metric. `better`: "lower", "higher", or "none" when neither is better."""
    if better not in ("lower", "higher", "none"):
        raise ValueError(f"better is {better!r}")
    made: MetricData = {"value": number(value), "unit": unit, "better": better}
    if samples is not None:
        made["samples"] = [sample for sample in map(number, samples) if sample is not None]
    return made


def in_domain(name: str, made: MetricData) -> MetricData:
    """The metric; without a figure, and with the reason, where one came out below 0 and cannot be: no reader would take the record."""
    figures = [made["value"], *made.get("samples", [])]
    below = [figure for figure in figures if figure is not None and figure < 0]
    if not below or metrics.may_be_negative(name, made["unit"]):
        return made
    return {"value": None, "unit": made["unit"], "better": made["better"], "why": f"{below[0]:.9g} came out, and it cannot be below 0"}


def put_first(new: Path, path: Path) -> None:
    """Renames `new` to `path`; FileExistsError when that is there. A link does not replace, as a rename does: of two runs that begin in one
    folder, one gets it."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:     # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(new, path)
        return
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def entries_of(part: CellData | RecordData) -> EntriesData:
    """How many metrics and anomalies it has."""
    return {"metrics": len(part.get("metrics", {})), "anomalies": dict(Counter(one["what"] for one in part.get("anomalies", [])))}


class Cell:
    """One cell of a run: configuration and measurements. Belongs to its record."""

    def __init__(self, record: "Record", data: CellData) -> None:
        self.record, self.data = record, data

    @property
    def id(self) -> str:
        return self.data["id"]

    @property
    def folder(self) -> Path:
        """The folder for this cell's files; created on first use."""
        path = self.record.folder / "cells" / self.id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def metric(self, name: str, value: float | None, unit: str, better: str = "none",
               samples: Iterable[float | None] | None = None) -> None:
        self.data["metrics"][name] = in_domain(name, metric(value, unit, better, samples))

    def value(self, name: str) -> float | None:
        """A metric's value, or None."""
        return value_of(self.data["metrics"], name)

    def anomaly(self, what: str, text: str) -> None:
        self.data["anomalies"].append(self.record.anomaly_of(what, text))

    def command(self, argv: Iterable[object]) -> None:
        """Adds a command line of this cell, with paths relative to the run's folder or the checkout."""
        words = [str(word).replace(f"{self.record.folder}/", "") for word in argv]
        self.data["commands"].append(command_line(words))

    def phase(self, phase: PhaseData) -> None:
        """Adds a phase that left files: {"name", "scenario", "folder"}; the folder is inside the cell's."""
        self.data.setdefault("phases", []).append(phase)

    def file(self, key: str, path: Path) -> None:
        """Adds a file of this cell, if it exists."""
        if path.is_file():
            self.data["files"][key] = path.relative_to(self.record.folder).as_posix()

    def finish(self, status: str) -> None:
        if status not in FINAL:
            raise ValueError(f"status is {status!r}")
        self.data["status"] = status
        with contextlib.suppress(PoolmarkError):  # the run goes on; close() reports what could not be written
            self.record.save()


class Record:
    """The record of one run."""

    def __init__(self, folder: Path, data: RecordData, build: Path | None = None) -> None:
        self.folder, self.data = folder, data
        self._started = time.monotonic()
        self._wall_ahead_s = wall_ahead_s()
        self._host, self._build, self._changes_told = data["host"], build, False
        self.unwritten: str | None = None  # why run.json on disk lacks a part of `data`

    @classmethod
    def create(cls, kind: str, *, suite: str | None = None, folder: Path | str | None = None,
               command: Sequence[str] | None = None, config: Config | None = None, seed: int | None = None, build: Path | None = None) -> "Record":
        """Creates `folder` (default: results/runs/ID) and a first run.json."""
        run_id = new_id(kind)
        path = Path(folder) if folder is not None else RUNS / run_id
        where = f"--out {path}" if folder is not None else str(path)
        if record_in(path):
            raise UsageError(f"{where}: holds a record already, and a record is never overwritten; name another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{where}: cannot be made: {error.strerror}") from error
        data: RecordData = {
            "schema": SCHEMA, "id": run_id, "kind": kind, "suite": suite, "status": "running",
            "started_utc": utc_now(), "ended_utc": None, "seed": seed, "tool": facts.tool(build),
            # The run's folder is recorded as ".", since a record names no path of this machine.
            "command": ["." if word == str(folder) else word for word in command_line(command)], "host": facts.host(build), "libraries": facts.libraries(),
            "config": config or {}, "cells": [], "metrics": {}, "summary": {}, "anomalies": [], "files": {},
        }
        record = cls(path.resolve(), data, build)
        record.save(first=True)
        return record

    @property
    def id(self) -> str:
        return self.data["id"]

    def elapsed_s(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def cell(self, cell_id: str, config: Config, repetition: int = 1) -> Cell:
        if any(cell["id"] == cell_id for cell in self.data["cells"]):
            raise ValueError(f"there is a cell {cell_id!r} already")
        data: CellData = {"id": cell_id, "config": dict(config), "repetition": repetition, "status": "running", "commands": [],
                          "metrics": {}, "files": {}, "anomalies": []}
        self.data["cells"].append(data)
        return Cell(self, data)

    def metric(self, name: str, value: float | None, unit: str, better: str = "none",
               samples: Iterable[float | None] | None = None) -> None:
        self.data["metrics"][name] = in_domain(name, metric(value, unit, better, samples))

    def anomaly(self, what: str, text: str) -> None:
        self.data["anomalies"].append(self.anomaly_of(what, text))

    def anomaly_of(self, what: str, text: str) -> AnomalyData:
        """An anomaly at the current time, without this machine's folders in its text."""
        return {"at_s": self.elapsed_s(), "what": what, "text": relative_word(text.replace(f"{self.folder}/", ""))}

    def save(self, first: bool = False) -> None:
        """Replaces run.json. After a PoolmarkError the old one is still complete. `first`: there is none; UsageError when another run began in this
        folder meanwhile."""
        text = json.dumps(as_utf8(self.data), indent=1, ensure_ascii=False, allow_nan=False)
        new = self.folder / "run.json.new"
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            put_first(new, self.folder / "run.json") if first else os.replace(new, self.folder / "run.json")
        except FileExistsError as error:
            raise UsageError(f"{self.folder}: another run has just begun to record there, and a record is never overwritten; name another folder") from error
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            self.unwritten = error.strerror
            raise PoolmarkError(f"{self.folder}/run.json: cannot be written: {error.strerror}") from error
        self.unwritten = None

    def close(self, status: str) -> None:
        """Records checksums of all files and the status, then seals the record. Cells still running become incomplete. When
        run.json cannot be written it raises PoolmarkError; the old run.json then says incomplete and why, if that fits."""
        if status not in FINAL:
            raise ValueError(f"status is {status!r}")
        for cell in self.data["cells"]:
            if cell["status"] == "running":
                cell["status"] = "incomplete"
        self.tell_changes()
        files = files_of(self.folder)
        for cell in self.data["cells"]:
            cell["entries"] = entries_of(cell)
        self.data["entries"] = entries_of(self.data)
        self.data["status"], self.data["ended_utc"], self.data["seal"], self.data["files"] = status, utc_now(), SEAL, files
        try:
            self.save()
        except PoolmarkError as error:
            self._save_in_place(str(error))
            with contextlib.suppress(OSError):
                seal(self.folder)
            raise
        try:
            seal(self.folder)
        except OSError as error:
            self.unwritten = error.strerror
            raise PoolmarkError(f"{self.folder}/{SEAL}: cannot be written: {error.strerror}") from error

    def tell_changes(self) -> None:
        """Tells what was changed around the run while it lasted, and whether its programs are of one source. Call it before tables are
        made of the record: that is the run's end, and close() looks no second time, since tables would lack what it finds. It does so
        for records without tables."""
        if self._changes_told:
            return
        self._changes_told = True
        self._tell_clock_step()
        self._tell_host_changes()
        if self._build and (text := facts.of_several(self._build)):
            self.anomaly("build", text)

    def _tell_clock_step(self) -> None:
        """Corrects the start when the wall clock was set during the run. The new time is taken as right, so the start is
        counted back from the end. Otherwise the run would have a wrong place in a history."""
        step_s = wall_ahead_s() - self._wall_ahead_s
        if abs(step_s) < CLOCK_STEP_S:
            return
        self._wall_ahead_s += step_s
        told = self.data["started_utc"]
        started = datetime.now(timezone.utc) - timedelta(seconds=self.elapsed_s())
        self.data["started_utc"] = started.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.anomaly("clock", f"the wall clock was set by {step_s:+.1f} s during the run; durations are by the monotonic clock and hold, "
                              f"the start, {told} by the clock as it was, is counted back from the end")

    def _tell_host_changes(self) -> None:
        """Records the settings of the host that are others than at the start. A joined record has the host of its sources."""
        told = self.data["host"].get("changed", {})
        if self.data["host"] is not self._host or not (now := facts.host(self._build)):
            return
        start = {key: value for key, value in self.data["host"].items() if key != "changed"}
        found = [one for one in comparable.host_differences(start, now) if one[0] not in told and one[0] != "memory_bytes"]  # of a balloon
        for key, ours, theirs in found:
            self.anomaly("host_changed", f"{key} of the host was {comparable.in_words(ours)} at the start of the run and is "
                                         f"{comparable.in_words(theirs)} at its end: figures are of both")
        if found:
            self.data["host"]["changed"] = told | {key: [ours, theirs] for key, ours, theirs in found}

    def _save_in_place(self, why: str) -> None:
        """Last resort on a full disk: overwrites run.json within its size, without indentation. Writes all data if they fit,
        otherwise the last saved data, marked incomplete. This write is not atomic, but nothing else is running then."""
        self.anomaly("disk", f"the end of the run could not be written: {why}")
        self.data["status"] = "incomplete"
        path = self.folder / "run.json"
        try:
            size = path.stat().st_size
            last = json.loads(path.read_text(encoding="utf-8"))
            for cell in last["cells"]:
                cell["status"] = "incomplete" if cell["status"] == "running" else cell["status"]
            last.pop("entries", None)
            last.update(status="incomplete", ended_utc=self.data["ended_utc"], seal=SEAL, anomalies=self.data["anomalies"])
            for data in (self.data, last, last | {"cells": [], "anomalies": self.data["anomalies"][-1:]}):
                content = json.dumps(as_utf8(data), separators=(",", ":"), ensure_ascii=False).encode()
                if len(content) < size:
                    with open(path, "r+b") as file:
                        file.write(content + b"\n")
                        file.truncate()
                    return
        except (OSError, ValueError, KeyError):
            return
