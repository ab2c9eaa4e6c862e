# SPDX-License-Identifier: Apache-2.0
"""nightly's history: one SQLite file, one row a metric and run.

    CREATE TABLE run    (id TEXT PRIMARY KEY, started_utc TEXT, commit_id TEXT, dirty INTEGER, host TEXT, verdict TEXT)
    CREATE TABLE metric (run TEXT REFERENCES run(id), cell TEXT, metric TEXT, unit TEXT, better TEXT, value REAL,
                         samples INTEGER, deviation REAL, PRIMARY KEY (run, cell, metric))

`host` is a fingerprint of the facts that a figure depends on (cores, CPU model, kernel, compiler, flags), and the settings of the
host as they are known (facts/comparable.py). A series contains only runs whose fingerprints are alike: the facts are the same, and so
are the settings that both know. `value` is the median over the run's repetitions, or the mean of a count that is 0 in most
of them and not in all (losses in 4 of 9). `samples` is the number of repetitions, `deviation` is
the relative spread of repetitions (compare/power.py), NULL if unknown. `dirty` is -1 if unknown. `PRAGMA user_version` is the
version of the schema, 2. Version 1 had no `deviation`; opening such a file upgrades it.
"""
import contextlib
import functools
import hashlib
import json
import math
import sqlite3
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from poolmark.facts.comparable import BUILD_FACTS, HOST_FACTS, flags_that_count, in_words, is_another, settings
from poolmark.base.errors import UsageError
from poolmark.base.forms import Json, RecordData
from poolmark.compare.pairing import by_config, stem, values
from poolmark.compare.power import deviation_of

Words = ParamSpec("Words")
Answer = TypeVar("Answer")

VERSION = 2
TABLES = """
CREATE TABLE run (id TEXT PRIMARY KEY, started_utc TEXT NOT NULL, commit_id TEXT NOT NULL, dirty INTEGER NOT NULL,
                  host TEXT NOT NULL, verdict TEXT NOT NULL);
CREATE TABLE metric (run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE, cell TEXT NOT NULL, metric TEXT NOT NULL,
                     unit TEXT NOT NULL, better TEXT NOT NULL, value REAL NOT NULL, samples INTEGER NOT NULL,
                     deviation REAL, PRIMARY KEY (run, cell, metric));
CREATE INDEX series ON metric (cell, metric);
"""


@dataclass
class Series:
    cell: str
    metric: str
    unit: str
    better: str
    values: list[float]
    runs: list[str]
    commits: list[str]
    dates: list[str]
    deviations: list[float | None]


def fingerprint(run: Mapping[str, Any]) -> str:
    facts = {key: run["host"].get(key) for key in HOST_FACTS if key not in ("memory_bytes", "cpu_quota")}
    quota, cores = run["host"].get("cpu_quota"), run["host"].get("cores")
    if quota is not None and quota != cores:
        facts["cpu_quota"] = quota
    facts |= {key: run["tool"].get(key) for key in BUILD_FACTS if key != "version"}
    facts["flags"] = flags_that_count(facts.get("flags") or "")
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    known = settings(run["host"]) | ({"changed": run["host"]["changed"]} if run["host"].get("changed") else {})
    return f"{digest} {json.dumps(known, sort_keys=True)}" if known else digest


@functools.lru_cache(maxsize=4096)
def parts_of(whole: str) -> tuple[str, Json]:
    """(digest, known settings) of a fingerprint."""
    digest, _, text = whole.partition(" ")
    try:
        known = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        known = {"unreadable": text}
    return digest, known if isinstance(known, dict) else {"unreadable": text}


def unlike(ours: str, theirs: str) -> list[str] | None:
    """The settings in which two fingerprints differ, empty when they are alike; None when the facts differ."""
    (digest, known), (other, known_there) = parts_of(ours), parts_of(theirs)
    if digest != other:
        return None
    found = [key for key in ("changed", "unreadable") if known.get(key) != known_there.get(key)]
    return found + [key for key in sorted({*known} & {*known_there}) if key not in found and is_another(key, known[key], known_there[key])]


def settings_told(ours: str, theirs: str, keys: Iterable[str]) -> str:
    """"settings.smt on / off; ...": these settings of two fingerprints."""
    known, known_there = parts_of(ours)[1], parts_of(theirs)[1]
    return "; ".join(f"{key} {in_words(known.get(key))} / {in_words(known_there.get(key))}" for key in keys)


def alike(ours: str, theirs: str) -> bool:
    return unlike(ours, theirs) == []


def open_history(path: Path | str) -> sqlite3.Connection:
    """Opens the file and creates it if missing. UsageError when it is not a history."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path)
        db.execute("PRAGMA foreign_keys = ON")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and not tables:
            db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version == 1 and tables:
            db.executescript(f"BEGIN; ALTER TABLE metric ADD COLUMN deviation REAL; PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise UsageError(f"{path}: a history of version {version}; this tool reads {VERSION}")
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path}: not a history: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: its folder cannot be made: {error.strerror}") from error
    return db


def told(function: Callable[Words, Answer]) -> Callable[Words, Answer]:
    """Turns SQLite's errors into a UsageError, so that a damaged history gives a message and no traceback."""
    @functools.wraps(function)
    def call(*words: Words.args, **named: Words.kwargs) -> Answer:
        try:
            return function(*words, **named)
        except sqlite3.Error as error:
            raise UsageError(f"the history cannot be used: {error}") from error

    return call


def middle(found: list[float], unit: str) -> float:
    """The value of a night: the median; the mean of a count whose median is 0, so that losses in some runs are not lost."""
    value = statistics.median(found)
    return statistics.fmean(found) if value == 0 and unit in ("1", "count") else value


@told
def append(db: sqlite3.Connection, run: RecordData, verdict_word: str) -> int:
    """Adds a run, or replaces it; returns the number of rows."""
    rows = []
    for cells in by_config(run).values():
        for name, one in cells[0]["metrics"].items():
            found = values(cells, name)
            if one["better"] != "none" and found:
                rows.append((run["id"], stem(cells[0]["id"]), name, one["unit"], one["better"],
                             middle(found, one["unit"]), len(found), deviation_of(found)))
    with db:
        db.execute("DELETE FROM run WHERE id = ?", (run["id"],))
        db.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?)",
                   (run["id"], run["started_utc"], run["tool"]["commit"], {True: 1, False: 0, None: -1}[run["tool"]["dirty"]], fingerprint(run),
                    verdict_word))
        db.executemany("INSERT OR REPLACE INTO metric VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


@told
def hosts(db: sqlite3.Connection) -> list[str]:
    """Fingerprints that are not alike; that of the newest run first."""
    found: list[str] = []
    for (host,) in db.execute("SELECT host FROM run GROUP BY host ORDER BY max(started_utc) DESC"):
        if not any(alike(one, str(host)) for one in found):
            found.append(str(host))
    return found


def all_alike(db: sqlite3.Connection, host: str) -> list[str]:
    """The fingerprints of the history that are like this one."""
    return [one for (one,) in db.execute("SELECT DISTINCT host FROM run") if alike(host, str(one))]


@told
def series(db: sqlite3.Connection, host: str) -> list[Series]:
    """Every cell and metric of the runs with a fingerprint like this one, oldest value first."""
    found: dict[tuple[str, str], Series] = {}
    like = all_alike(db, host)
    query = ("SELECT metric.cell, metric.metric, metric.unit, metric.better, metric.value, metric.deviation, run.id, run.commit_id, "
             "run.started_utc FROM metric JOIN run ON run.id = metric.run "
             f"WHERE run.host IN ({','.join('?' * len(like))}) ORDER BY run.started_utc, run.id")
    for cell, metric, unit, better, value, deviation, run, commit, date in db.execute(query, like):
        if not is_number(value) or deviation is not None and not is_number(deviation) or not all(isinstance(text, str) for text in (cell, metric, unit, better, commit, date)):
            raise UsageError(f"the history cannot be used: run {run!r} has {value!r} for {metric!r} of {cell!r}")
        one = found.setdefault((cell, metric), Series(cell, metric, unit, better, [], [], [], [], []))
        one.values.append(value)
        one.runs.append(run)
        one.commits.append(commit)
        one.dates.append(date)
        one.deviations.append(deviation)
    return list(found.values())


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


@told
def out_of_order(db: sqlite3.Connection, host: str) -> list[tuple[str, str]]:
    """(run, date) of each run that was added after a run of a later date: the clock was set back, or an older run was added
    later. Series are sorted by date."""
    found: list[tuple[str, str]] = []
    latest = ""
    like = all_alike(db, host)
    query = f"SELECT id, started_utc FROM run WHERE host IN ({','.join('?' * len(like))}) ORDER BY rowid"
    for run, date in db.execute(query, like):
        if str(date) < latest:
            found.append((str(run), str(date)))
        latest = max(latest, str(date))
    return found


def nights(path: Path | str, host: str | None) -> dict[tuple[str, str], list[float]]:
    """(cell, metric) -> spread of repetitions in each night with this fingerprint, oldest first. Empty without a readable
    history; power is then estimated from a record."""
    if host is None or not Path(path).is_file():
        return {}
    try:
        with contextlib.closing(open_history(path)) as db:
            return {(one.cell, one.metric): [deviation for deviation in one.deviations if deviation is not None]
                    for one in series(db, host)}
    except (UsageError, OSError):
        return {}
