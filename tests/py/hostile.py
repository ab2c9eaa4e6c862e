# SPDX-License-Identifier: Apache-2.0
"""Makes hostile records: small copies of runs, changed at random (by a seed), and read by the readers.

    made = Originals(folder)
    for number in range(count):
        with made.changed(random.Random(f"{seed}/{number}")) as record:
            readers(record, rng)

For any content of a record or raw file, a reader must give a figure or a PoolmarkError that names the place. Anything else is a
traceback for the user. hostile_readers.py has the readers, and what they may print.

An original stays in memory, and a change writes only the files that it changes and takes them back: that is what makes a million of
them possible. In half of the changed records every checksum and the seal are made anew, as an attacker would: a reader that refuses
what was edited goes on there.
"""
import contextlib
import copy
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.records.read_record import Run, load
from poolmark.records.record import SEAL, files_of
from poolmark.verify.complaints import complaints



def nested(levels: int):
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


WILD = [None, True, False, 0, -1, 1, 2**62, -2**62, 1e308, -1e308, 5e-324, 0.5, "", "x", "0", "-1", "1e9", "\x1b[2J\x1b[31m", "\u202e",
        "<script>alert(1)</script>", "|*_`[a](b)", "a\nb\r\n", "../../etc/passwd", "/etc/passwd", "\0", "\ud800", "=cmd()", "é" * 300,
        "```\n<script>alert(1)</script>\n", "}\n```\n<script>alert(1)</script>", "\u2028<script>alert(1)</script>", "{{ 7*7 }}", "%s%n", "--out=/",
        "a" * 5000, "9" * 5000, "\u0663", "\u00b2", "--steps " + "9" * 5000, "x" * 300, -0.0, nested(70), nested(400), [], {}, [None], [[]], {"": None}, {"value": None}, [1, "x", None], {"a": {"b": []}},
        {"value": 1, "unit": "", "better": "lower"}, {"value": -5, "unit": "ns", "better": "higher", "samples": []}]
NAMES = ["", "value", "unit", "metrics", "config", "phases", "files", "folder", "scenario", "connections", "time", "step.10.user_bytes",
         "step.x.owned", "connect.p99", "latency", "latency_qos0", "memory", "round_1", "round_x", "engine", "strategy", "workload",
        "step.010.user_bytes", "step.0.user_bytes", "step." + "9" * 150 + ".user_bytes", "round_\u00b2", "round_" + "9" * 5000, "steps", "x" * 300,
        "cells/" + "\u00e9" * 200 + "/memory.csv", "run.json/x", ".", "a/" * 450 + "b", "late.messages.lost"]
WORDS = [b"", b"-1", b"99999999999999999999999", b"nan", b"inf", b"1e5", b"x", b"9" * 400, b" 1", b"1_0", "\u0663".encode(), b"-0", b"1e999", b"NaN", b"y" * 140_000, b"\x1b[31m", b"\xff", b",", b",,,,", b'"', b"\n", b"\0",
         b"Tag=", b"Tag=connect", b"#", b"HISTFAAAAA", "é".encode()]
METRICS = 5        # of a cell, in a small copy: the others are more of the same, and slow
VARIANTS = 4        # of a run, each with other metrics
SMALL = 6_000      # bytes of a record that is taken as often as any


def nodes(value, path=()):
    """The paths of all nodes except the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield (*path, key)
        yield from nodes(item, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def spoil_json(data, rng, paths=None) -> None:
    """One change. `paths`: the nodes, where they are known; some may be gone."""
    paths = list(nodes(data)) if paths is None else paths
    path = rng.choice(paths)
    with contextlib.suppress(KeyError, IndexError, TypeError):      # gone, by a change before
        holder, key = at(data, path[:-1]), path[-1]
        act = rng.randrange(6)
        if act == 0:
            del holder[key]
        elif act == 1 and isinstance(holder, dict):
            holder[rng.choice(NAMES)] = holder.pop(key)
        elif act == 2:
            holder[key] = json.loads(json.dumps(at(data, rng.choice(paths))))
        elif act == 3 and isinstance(holder, dict):
            holder[rng.choice(NAMES)] = copy.deepcopy(rng.choice(WILD))     # a later change may change it
        else:
            holder[key] = copy.deepcopy(rng.choice(WILD))


def spoil_bytes(content: bytes, rng) -> bytes:
    if not content:
        return rng.choice(WORDS)
    place = rng.randrange(len(content))
    act = rng.randrange(5)
    if act == 0:
        return content[:place]
    if act == 1:
        return content[:place] + bytes([rng.randrange(256)]) + content[place + 1:]
    if act == 2:
        return content[:place] + rng.choice(WORDS) + content[place:]
    lines = content.split(b"\n")
    line = rng.randrange(len(lines))
    if act == 3:
        fields = lines[line].split(b",")
        fields[rng.randrange(len(fields))] = rng.choice(WORDS)
        lines[line] = b",".join(fields)
    else:
        lines.insert(rng.randrange(len(lines)), lines[line])
    return b"\n".join(lines)


def sealed(content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  run.json\n".encode()


def small_copy(run: Path, to: Path, cells: int, rng, raw: bool = True, number: int = 0) -> Path:
    """A run with a few of its cells. With their raw files and inner records, which have all of their metrics, or without, as a committed
    copy may leave them out; then with a few metrics of each. Its list of files and its seal are new, so that they hold. `number`: copies
    of different numbers are different runs."""
    run_folder = load(run).folder
    data = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    first = rng.randrange(max(1, len(data.get("cells", ())) - cells + 1))
    data["cells"] = data.get("cells", [])[first:first + cells]
    data["command"], data["id"] = data["command"][:20], f"{data['id'].rpartition('-')[0]}-{number:04x}"
    ids = [cell["id"] for cell in data["cells"]]
    to.mkdir(parents=True)
    for name in data["files"] if raw else ():
        if (run_folder / name).is_file() and any(name.startswith(f"cells/{one}/") for one in ids) and not name.endswith(".log"):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run_folder / name, to / name)
    for cell in data["cells"] if not raw else ():
        few = set(rng.sample(sorted(cell["metrics"]), min(METRICS, len(cell["metrics"]))))
        cell["metrics"] = {name: one for name, one in cell["metrics"].items() if name in few}
        cell["commands"] = [words[:5] for words in cell.get("commands", [])[:2]]
    named = {name: one for name, one in data["files"].items() if any(name in cell.get("files", {}).values() for cell in data["cells"])}
    data["files"] = named | files_of(to)
    content = json.dumps(data).encode()
    (to / "run.json").write_bytes(content)
    (to / SEAL).write_bytes(sealed(content))
    return to


@dataclass
class Original:
    """A small run: as it was, in a folder and in memory, and a second folder in which it is changed."""
    run: Run
    other: Run                      # a second small copy of the same run
    folder: Path
    files: dict[str, bytes]
    records: dict[str, list]        # run.json of it and of the records in it -> the nodes
    others: list[str]               # raw files


@dataclass
class Changed:
    folder: Path
    original: Original
    names: list[str]        # of the files that differ


class Originals:
    def __init__(self, scratch: Path, reference: Path, rng, names=(), variants: int = VARIANTS) -> None:
        self.all: list[Original] = []
        for record in sorted(reference.iterdir()):
            if (record / SEAL).is_file() and (not names or record.name in names):
                copies = [load(small_copy(record, scratch / "whole" / f"{record.name}-{number}", rng.choice((1, 1, 4)), rng, number == 0, number))
                          for number in range(variants)]
                for number, run in enumerate(copies):
                    self._add(run, copies[number - 1], scratch / "changed" / run.folder.name)
        assert self.all
        # A large one takes longer, and most of it is more of the same.
        self.weights = list(itertools.accumulate(min(1.0, (SMALL / sum(map(len, one.files.values()))) ** 1.5) for one in self.all))

    def _add(self, run: Run, other: Run, folder: Path) -> None:
        shutil.copytree(run.folder, folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        records = {one: list(nodes(json.loads(content))) for one, content in files.items() if Path(one).name == "run.json"}
        self.all.append(Original(run, other, folder, files, records, [one for one in files if one not in records and Path(one).name != SEAL]))

    def whole(self) -> list[Original]:
        """Those of which nothing is refused for what was left out of them."""
        return [one for one in self.all if not complaints(one.run, present=True)[0]]

    @contextlib.contextmanager
    def changed(self, rng) -> Iterator[Changed]:
        """One of them with one to four changes, most of them in its records."""
        original = rng.choices(self.all, cum_weights=self.weights)[0]
        files = spoiled(original, rng, rng.random() < 0.5)
        try:
            for name, content in files.items():
                (original.folder / name).write_bytes(content)
            yield Changed(original.folder, original, list(files))
        finally:
            for name in files:
                (original.folder / name).write_bytes(original.files[name])


def spoiled(original: Original, rng, seal_again: bool) -> dict[str, bytes]:
    """{name: content} of the files that are changed. `seal_again`: and of what makes the checksums and seals hold again, as far as the record
    can still be read."""
    made: dict[str, bytes] = {}
    data: dict[str, object] = {}        # of records that are changed as JSON; written once
    for _ in range(rng.randint(1, 4)):
        if original.others and rng.random() < 0.35:
            name = rng.choice(original.others)
            made[name] = spoil_bytes(made.get(name, original.files[name]), rng)
            continue
        name = "run.json" if rng.random() < 0.7 else rng.choice(list(original.records))
        if name not in data:
            data[name] = json.loads(original.files[name])
        spoil_json(data[name], rng, original.records[name])
    whole = data.pop("run.json", None)
    for name, one in data.items():
        made[name] = content_of(one, rng)
    if seal_again:
        made |= {str(Path(name).with_name(SEAL)): sealed(made[name]) for name in data}
        whole = json.loads(original.files["run.json"]) if whole is None and made else whole
        with contextlib.suppress(TypeError, AttributeError, KeyError):
            whole["files"].update({name: {"sha256": hashlib.sha256(one).hexdigest(), "bytes": len(one)} for name, one in made.items() if name in whole["files"]})
    if whole is not None:
        made["run.json"] = content_of(whole, rng)
        if seal_again:
            made[SEAL] = sealed(made["run.json"])
    return made


def content_of(data, rng) -> bytes:
    content = json.dumps(data).encode()
    return spoil_bytes(content, rng) if rng.random() < 0.1 else content


def loaded(record: Changed) -> Run | None:
    """None when the door refuses it; the refusal can be printed."""
    try:
        return load(record.folder)
    except PoolmarkError as error:
        str(error).encode("utf-8", "backslashreplace")
        return None
