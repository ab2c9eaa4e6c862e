# SPDX-License-Identifier: Apache-2.0
"""Makes hostile records: small copies of runs, changed at random (by a seed), and read by every reader.

    for number in range(count):
        readers(make_hostile(folder, originals, random.Random(f"{seed}/{number}")))

For any content of a record or raw file, a reader must give a figure or a PoolmarkError that names the place. Anything else is a
traceback for the user.
"""
import contextlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

from poolmark import cli
from poolmark.records import summary
from poolmark.run import merge
from poolmark.verify import verify
from poolmark.compare import change_points, compare, history, verdict_markdown, verdict_out, verdict_page
from poolmark.model import plot
from poolmark.report import report
from poolmark.ci import trend
from poolmark.base.errors import PoolmarkError
from poolmark.records.read_record import load
from poolmark.records.record import files_of

WILD = [None, True, False, 0, -1, 1, 2**62, -2**62, 1e308, -1e308, 5e-324, 0.5, "", "x", "0", "-1", "1e9", "\x1b[2J\x1b[31m", "\u202e",
        "<script>alert(1)</script>", "|*_`[a](b)", "a\nb\r\n", "../../etc/passwd", "/etc/passwd", "\0", "\ud800", "=cmd()", "é" * 300,
        "a" * 5000, [], {}, [None], [[]], {"": None}, {"value": None}, [1, "x", None], {"a": {"b": []}},
        {"value": 1, "unit": "", "better": "lower"}, {"value": -5, "unit": "ns", "better": "higher", "samples": []}]
NAMES = ["", "value", "unit", "metrics", "config", "phases", "files", "folder", "scenario", "connections", "time", "step.10.user_bytes",
         "step.x.owned", "connect.p99", "latency", "latency_qos0", "memory", "round_1", "round_x", "engine", "strategy", "workload"]
WORDS = [b"", b"-1", b"99999999999999999999999", b"nan", b"inf", b"1e5", b"x", b"\x1b[31m", b"\xff", b",", b",,,,", b'"', b"\n", b"\0",
         b"Tag=", b"Tag=connect", b"#", b"HISTFAAAAA", "é".encode()]


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


def spoil_json(data, rng) -> None:
    paths = list(nodes(data))
    path = rng.choice(paths)
    holder, key = at(data, path[:-1]), path[-1]
    act = rng.randrange(6)
    if act == 0:
        del holder[key]
    elif act == 1 and isinstance(holder, dict):
        holder[rng.choice(NAMES)] = holder.pop(key)
    elif act == 2:
        holder[key] = json.loads(json.dumps(at(data, rng.choice(paths))))
    elif act == 3 and isinstance(holder, dict):
        holder[rng.choice(NAMES)] = rng.choice(WILD)
    else:
        holder[key] = rng.choice(WILD)


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


def small_copy(run: Path, to: Path, cells: int) -> Path:
    """A run with only its first cells, their raw files and inner records. The list of files is new, so checksums match."""
    run_folder = load(run).folder
    data = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    data["cells"] = data["cells"][:cells]
    data["command"] = data["command"][:20]
    ids = [cell["id"] for cell in data["cells"]]
    to.mkdir(parents=True)
    for name in data["files"]:
        if (run_folder / name).is_file() and any(name.startswith(f"cells/{one}/") for one in ids) and not name.endswith(".log"):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run_folder / name, to / name)
    data["files"] = files_of(to)
    (to / "run.json").write_text(json.dumps(data), encoding="utf-8")
    return to


def make_hostile(folder: Path, original: Path, rng) -> Path:
    """A copy of `original` with one to four changes, most of them in its records."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    records = sorted(folder.rglob("run.json"))
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    for _ in range(rng.randint(1, 4)):
        if others and rng.random() < 0.35:
            path = rng.choice(others)
            path.write_bytes(spoil_bytes(path.read_bytes(), rng))
            continue
        path = folder / "run.json" if rng.random() < 0.7 else rng.choice(records)
        if rng.random() < 0.1:
            path.write_bytes(spoil_bytes(path.read_bytes(), rng))
            continue
        with contextlib.suppress(ValueError):
            data = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
            if isinstance(data, dict) and data:
                spoil_json(data, rng)
                path.write_text(json.dumps(data), encoding="utf-8")
    return folder


def _compare(run, other):
    for pair in ((run.data, other.data), (other.data, run.data)):
        found = compare.compare(*pair)
        verdict_out.as_table(found, True), verdict_markdown.as_markdown(found), verdict_out.as_junit(found)
        json.dumps(verdict_out.as_json(found)), verdict_page.as_html(found, draw=lambda specs: [json.dumps(one) for one in specs])


def _report(run):
    source = report.verified([run])
    drawn = report.charts(source)
    values = report.context(source, drawn, run.folder)
    page = report.render("report.md", values) + report.render("report.html", values | {
        "drawing": report.drawing(drawn, [])})
    page.encode("utf-8")


def _history(run, folder):
    (folder / "history.sqlite").unlink(missing_ok=True)
    db = history.open_history(folder / "history.sqlite")
    try:
        history.append(db, run.data, "no regression")
        every = history.series(db, history.fingerprint(run.data))
        points = change_points.find_all([one.values for one in every])
        found = list(zip(every, points, change_points.last_nights([one.values for one in every], points), strict=True))
        trend.page(found, draw=lambda specs: [json.dumps(one) for one in specs]).encode("utf-8"), trend.lines(found)
    finally:
        db.close()


NEED = ("--connections", "300k", "--rate", "20k/s", "--p99", "20ms", "--connects", "100", "--cores", "8", "--memory", "1GiB", "--reserve", "20%")


def _capacity(*words):
    options, module = cli.parser("capacity")
    module.run(options.parse_args(list(map(str, words))))


def readers(folder: Path, other, scratch: Path, rng) -> int:
    """Calls three random readers; returns how many accepted it. Exceptions other than PoolmarkError pass through."""
    out = scratch / "merged"
    shutil.rmtree(out, ignore_errors=True)
    try:
        run = load(folder)
    except PoolmarkError as error:
        str(error).encode("utf-8", "backslashreplace")
        return 0
    calls = [
        lambda: verify.verify(folder, True), lambda: _report(run), lambda: _compare(run, other), lambda: _history(run, scratch),
        lambda: _capacity(folder), lambda: _capacity(folder, "--markdown"), lambda: _capacity(folder, "--check"),
        lambda: _capacity(folder, other.folder, "--check", "--json"), lambda: _capacity(folder, *NEED), lambda: _capacity(folder, *NEED, "--markdown"),
        lambda: _capacity(folder, other.folder, *NEED, "--strategy", "slab", "--what-if", "shape=classic", "--json"),
        lambda: summary.terminal(run.data, []), lambda: summary.markdown(run.data, "x", []), lambda: summary.csv(run.data),
        lambda: plot.memory_spec(run, "x"),
        lambda: merge.run(SimpleNamespace(runs=[folder, other.folder], out=str(out), allow_different=["host", "build"])),
    ]
    taken = 0
    for call in rng.sample(calls, 3):
        with contextlib.suppress(PoolmarkError), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            call()
            taken += 1
    return taken
