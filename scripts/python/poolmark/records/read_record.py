# SPDX-License-Identifier: Apache-2.0
"""Reads records, including broken or hostile ones. load() returns data that fits the schema, or raises a RecordError with the
file and the field.

    run = load("results/runs/suite-...-1a2b")     # a folder, its run.json, an id, or "latest"
    run.data["cells"], run.folder, run.file("cells/x/load/latency.hlog")

A packed record (packed.py) is unpacked into a temporary folder, so its files are read as those of any other.

No text of a record can be trusted: escape it before it goes into a page or a terminal.
"""
import functools
import hashlib
import itertools
import json
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from poolmark.base.errors import RecordError, UsageError
from poolmark.base.forms import Json, Place, RecordData
from poolmark.base.paths import RUNS
from poolmark.base.paths import SCHEMA as SCHEMA_FILE
from poolmark.facts import metrics
from poolmark.records import packed
from poolmark.records.record import SCHEMA, SEAL, files_of, sha256
from poolmark.records.schema import Fault, Schema

SEALS_SINCE = (0, 2)     # version
MAX_BYTES = 256 << 20
MAX_INTEGER = 1 << 63
MAX_REAL = 1e100        # far above any measurement; figures computed from it stay finite
MAX_LEVELS = 64         # of objects and lists; who copies or prints deeper ones would not come to their end
MAX_NAME, MAX_PART = 1000, 255      # bytes of a path, and of a name in it: no file system has longer ones
# Older schema versions that are read: name -> function that converts to the next version. None so far.
UPGRADES: dict[str, Callable[[Json], Json]] = {}


@dataclass
class Run:
    folder: Path                # its files are read here
    data: RecordData
    broken_seal: str = ""       # why run.json does not match its seal; "" when it matches or has no seal
    packed_in: Path | None = None   # of a packed record: the folder of its run.zip; `folder` is a temporary copy then

    @property
    def home(self) -> Path:
        """The folder of the record, into which a reader writes what it makes of it."""
        return self.packed_in or self.folder

    @property
    def sealed(self) -> bool:
        """False for a run that is not finished, and for records older than seals."""
        return "seal" in self.data or (self.folder / SEAL).exists()

    @property
    def id(self) -> str:
        return self.data["id"]

    def file(self, name: str) -> Path:
        """The path of one of its files. RecordError when it is missing or outside of the folder."""
        path = Path(os.path.realpath(self.folder / name))   # resolve() raises RuntimeError for a loop of links
        if not path.is_relative_to(self.folder.resolve()):
            raise RecordError(self.folder / "run.json", "files", f"{name!r} leads out of the run's folder")
        if not os.path.isfile(path):
            raise RecordError(self.folder / name, "", "is named in the record and is not there")
        return path


class _Refused:
    """Replaces a number that JSON or a record does not allow, until its field is known."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= 40 else text[:37] + "..."


def _integer(text: str) -> int | _Refused:
    # int() is slow for many digits; no recorded number has more than 20.
    return int(text) if len(text) <= 20 and abs(int(text)) < MAX_INTEGER else _Refused(text)


def _real(text: str) -> float | _Refused:
    value = float(text)
    return value if abs(value) <= MAX_REAL else _Refused(text)


def _pairs(pairs: list[tuple[str, Any]]) -> Json:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the field {key!r} comes twice in one object")
            seen.add(key)
    return made


def field_name(path: Iterable[str | int]) -> str:
    """cells[3].metrics["connect.p99"].value"""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif str(part).isidentifier():
            text += f".{part}" if text else str(part)
        else:
            text += f"[{reprlib.repr(str(part))}]"
    return text


def _find_refused(value: object, path: Place = ()) -> tuple[Place, _Refused] | None:
    if isinstance(value, _Refused):
        return path, value
    if len(path) > MAX_LEVELS:
        raise RecursionError
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found = _find_refused(item, (*path, key)) if isinstance(item, (dict, list, _Refused)) else None
        if found:
            return found
    return None


def _find_no_text(value: object, path: Place = ()) -> Place | None:
    """The place of a text, or of a name, with half of a surrogate pair: it is no Unicode, and could not be written anywhere."""
    if isinstance(value, str):
        return path if any("\ud800" <= letter <= "\udfff" for letter in value) else None
    items: Iterable[tuple[str | int, object]] = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found = _find_no_text(key, path) if isinstance(key, str) else None
        found = found if found is not None else _find_no_text(item, (*path, key))
        if found is not None:
            return found
    return None


def parse(text: str, name: Path | str) -> Any:
    """Parses JSON. RecordError names `name` and the place when it is not JSON or a number is not allowed."""
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_Refused,
                           object_pairs_hook=_pairs)
        refused = _find_refused(value)
    except json.JSONDecodeError as error:
        cut = " (is it cut off?)" if error.pos >= len(text.rstrip()) - 1 else ""
        raise RecordError(name, f"line {error.lineno} column {error.colno}", f"not JSON: {error.msg}{cut}") from error
    except ValueError as error:
        raise RecordError(name, "", str(error)) from error
    except RecursionError as error:
        raise RecordError(name, "", "is nested too deeply") from error
    if refused:
        path, what = refused
        raise RecordError(name, field_name(path), f"{what.text} is not a number that a record may hold")
    # A file is UTF-8, so only an escape can bring half of a pair.
    place = _find_no_text(value) if re.search(r"\\u[dD][89a-fA-F]", text) else None
    if place is not None:
        raise RecordError(name, field_name(place), "is not Unicode text: half of a surrogate pair")
    return value


@functools.cache
def form_of_records() -> Schema:
    return Schema(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _complaint(fault: Fault) -> str:
    shown = reprlib.repr(fault.value)
    match fault.rule:
        case "type":
            wanted = fault.wanted if isinstance(fault.wanted, str) else " or ".join(fault.wanted)
            return f"{shown} is not of type {wanted}"
        case "required":
            missing = [name for name in fault.wanted if name not in fault.value]
            return f"{', '.join(map(repr, missing))} is missing"
        case "enum":
            return f"{shown} is none of {', '.join(map(str, fault.wanted))}"
        case "const":
            return f"{shown} is not {fault.wanted!r}"
        case "pattern":
            return f"{shown} does not have the form {fault.wanted}"
    return f"{shown} breaks the rule '{fault.rule}' of the schema"


_fitting: set[bytes] = set()        # checksums of contents that fit the schema and the domains of its metrics


def _below_0(one: Mapping[str, Any], name: str) -> Iterable[tuple[Place, object]]:
    """(place, value) of each figure of a metric that is below 0 and cannot be."""
    figures = [one["value"], *one.get("samples", [])]
    if all(figure is None or figure >= 0 for figure in figures) or metrics.may_be_negative(name, one["unit"]):
        return []
    places: list[Place] = [("value",), *(("samples", i) for i in range(len(figures) - 1))]
    return [(place, figure) for place, figure in zip(places, figures, strict=True) if figure is not None and figure < 0]


def _long_names(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(field, text) of each path that no file can have: the system refuses even to look for it."""
    paths: list[tuple[Place, str]] = [(("files", name), name) for name in data.get("files", {})]
    for i, cell in enumerate(data.get("cells", [])):
        paths += [(("cells", i, "id"), cell["id"])]
        paths += [(("cells", i, "files", key), name) for key, name in cell.get("files", {}).items()]
        paths += [(("cells", i, "phases", j, "folder"), phase["folder"]) for j, phase in enumerate(cell.get("phases", []))]
    for place, path in paths:
        encoded = path.encode("utf-8", "surrogatepass")
        if len(encoded) > MAX_NAME or any(len(part) > MAX_PART for part in encoded.split(b"/")):
            yield field_name(place), f"{reprlib.repr(path)} is longer than the name of any file"


def _outside(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(field, text) of each figure outside of its metric's domain; `data` fits the schema. A damaged or edited record would be compared
    otherwise, and would look good."""
    parts: list[tuple[Place, Mapping[str, Any]]] = [((), data), *((("cells", i), cell) for i, cell in enumerate(data.get("cells", [])))]
    for path, part in parts:
        for name, one in part.get("metrics", {}).items():
            for place, value in _below_0(one, name):
                yield field_name((*path, "metrics", name, *place)), f"{value} is below 0, and {name} cannot be"


def complaints(data: Mapping[str, Any], at_most: int = 20) -> list[tuple[str, str]]:
    """Faults of a record's data as (field, text), in the record's order."""
    found: list[tuple[str, str]] = []
    for fault in form_of_records().faults(data):
        found.append((field_name(fault.place), _complaint(fault)))
        if len(found) == at_most:
            return found
    if not found:
        ids = [cell["id"] for cell in data.get("cells", [])]
        twice = next((name for name in ids if ids.count(name) > 1), None) if len(set(ids)) < len(ids) else None
        if twice is not None:
            found.append(("cells", f"two of them have the id {reprlib.repr(twice)}"))
        found += itertools.islice(itertools.chain(_long_names(data), _outside(data)), at_most - len(found))
    return found


def _refuse_night(folder: Path) -> None:
    """UsageError for the folder of a nightly comparison, which contains runs but is not a run."""
    if all(packed.record_in(folder / side) for side in ("base", "candidate")):
        raise UsageError(f"{folder}: is a night's folder, not a run; its two sides are the runs {folder}/base and "
                         f"{folder}/candidate")
    if any(folder.glob("runs/*/run.json")):
        raise UsageError(f"{folder}: is a night's folder, not a run, and the night did not end; its runs are in {folder}/runs")


def locate(where: Path | str) -> Path:
    """The run.json, or run.zip of a packed record, for a folder, a run.json, an id (or the unique beginning of one), or "latest"."""
    path = Path(where)
    if not path.exists() and "/" not in str(where) and (RUNS / path).is_dir():
        path = RUNS / path
    if path.is_dir():
        if not packed.record_in(path):
            _refuse_night(path)
        path = path / "run.json"
    if path.is_file():
        return path
    if path.name == "run.json" and (path.parent / packed.PACKED).is_file():
        return path.parent / packed.PACKED
    if "/" not in str(where) and RUNS.is_dir():
        runs = sorted(filter(None, map(packed.record_in, RUNS.iterdir())), key=lambda found: found.stat().st_mtime)
        if str(where) == "latest" and runs:
            return runs[-1]
        named = [found for found in runs if found.parent.name.startswith(str(where))]
        if len(named) == 1:
            return named[0]
        if named:
            raise UsageError(f"{where}: begins the names of {len(named)} runs; say more of it")
    if path.name == "run.json" and path.parent.is_dir():
        raise UsageError(f"{path}: there is no such file, so the folder holds no record")
    raise UsageError(f"{where}: no such run; name a run's folder, its run.json, an id under results/runs, or 'latest'")


def has_seals(data: Mapping[str, Any]) -> bool:
    """Whether the version that made this record seals its records."""
    version = re.match(r"(\d+)\.(\d+)", str(data.get("tool", {}).get("version", "")))
    return version is not None and (int(version[1]), int(version[2])) >= SEALS_SINCE


def seal_broken(folder: Path, content: bytes, data: RecordData) -> str:
    """What is wrong with the seal of run.json's `content`. A finished record names its seal, so a missing one is noticed."""
    try:
        told = (folder / SEAL).read_text(encoding="ascii").split()
    except FileNotFoundError:
        if "seal" in data:
            return f"{SEAL}: the record names it as its seal and it is not there"
        return f"{SEAL}: version {data['tool']['version']} seals its records; this one has no seal" if has_seals(data) else ""
    except (OSError, ValueError) as error:
        return f"{SEAL}: cannot be read: {getattr(error, 'strerror', None) or 'not text'}"
    if told != [hashlib.sha256(content).hexdigest(), "run.json"]:
        return f"run.json: is not what its seal {SEAL} says: it was changed after the run's end"
    return ""


def load(where: Path | str) -> Run:
    """The record at `where`, checked against the schema and the domains of its metrics. Raises RecordError or UsageError."""
    found = locate(where)
    if found.name != packed.PACKED:
        return _load(found)
    run = _load(packed.view(found) / "run.json", found)
    run.packed_in = found.parent
    return run


def _load(file: Path, told: Path | None = None) -> Run:
    """The record whose run.json is `file`. `told`: what errors name instead."""
    path = told or file
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise RecordError(path, "", f"has {size} bytes; a record of more than {MAX_BYTES} is not read")
        content = file.read_bytes()
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(path, f"byte {error.start}", "not UTF-8 text") from error
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}") from error
    data = parse(text, path)
    if not isinstance(data, dict):
        raise RecordError(path, "", f"holds {reprlib.repr(data)}, not a record")
    ended = data.get("status") != "running"
    version = data.get("schema")
    while isinstance(version, str) and version in UPGRADES:
        data = UPGRADES[version](data)
        version = data.get("schema")
    if version != SCHEMA:
        raise RecordError(path, "schema", f"{reprlib.repr(version)} is not known here; this tool reads {SCHEMA}")
    digest = hashlib.sha256(content).digest()
    if digest not in _fitting:      # one verify reads a record inside another several times
        for field, text in complaints(data, at_most=1):
            raise RecordError(path, field, text)
        _fitting.add(digest)
    record = cast(RecordData, data)  # it fits the schema
    return Run(file.parent, record, seal_broken(file.parent, content, record) if ended else "")


def bad_files(run: Run) -> dict[str, str]:
    """{name: fault} of the listed files that exist and have changed since the end of the run."""
    bad: dict[str, str] = {}
    for name, wanted in run.data.get("files", {}).items():
        if not os.path.exists(run.folder / name):
            continue
        try:
            path = run.file(name)
            size = path.stat().st_size
            if size != wanted["bytes"]:
                bad[name] = f"has {size} bytes, the record says {wanted['bytes']}"
            elif sha256(path) != wanted["sha256"]:
                bad[name] = "its checksum is not the one in the record"
        except RecordError as error:
            bad[name] = error.text
        except OSError as error:
            bad[name] = f"cannot be read: {error.strerror}"
    return bad


def check_files(run: Run, present: bool = False) -> list[str]:
    """Faults between a run's seal, its list of files and its folder. `present`: missing files are no fault."""
    listed = run.data.get("files", {})
    wrong = [run.broken_seal] if run.broken_seal else []
    wrong += [f"{name}: {text}" for name, text in bad_files(run).items()]
    if not present:
        wrong += [f"{name}: is named in the record and is not there" for name in listed if not os.path.exists(run.folder / name)]
    for cell in run.data.get("cells", []):
        wrong += [f"{name}: named by cell {cell['id']} and not in the list of files"
                  for name in cell.get("files", {}).values() if name not in listed]
    return wrong + _left_out_wrongly(run.data)


def _left_out_wrongly(data: RecordData) -> list[str]:
    """Only what a lost rank may still write to is left out of the list of files. A run that failed before it began has no ranks."""
    lost = {f"ranks/{one['rank']}" for one in data.get("ranks", []) if one["lost"]}
    return [f"files_left_out: names {name}, and that rank was not lost" for name in data.get("files_left_out", [])
            if "ranks" in data and name not in lost]


def added_files(run: Run) -> list[str]:
    """Files in the folder that were added after the end of the run, for example a report; not those of lost ranks."""
    return [name for name in files_of(run.folder) if name not in run.data.get("files", {})]
