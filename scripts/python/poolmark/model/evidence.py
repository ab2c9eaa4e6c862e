# SPDX-License-Identifier: Apache-2.0
"""What records say that a capacity answer can rest on: memory at steps, CPU time and p99 of publishing, CPU time of connects, and the
highest rates that `limit` found.

    found = gather(runs, only=None)
    found.memory, found.loads, found.connects, found.limits

A cell that is not complete, was shared with other programs (`busy`), or has an anomaly that withholds a figure, gives none of it; what
was left out is in `found.left_out`, with its reason.
"""
import re
from dataclasses import dataclass, field

from poolmark.base.forms import CellData, Config, PhaseData, sound_value
from poolmark.base.errors import UsageError
from poolmark.limits import told
from poolmark.limits.search import FAILED, HELD, LIMIT
from poolmark.model.model import Step
from poolmark.model.steps import cells_of, read_steps, step_counts, steps_left_out, told_left_out, what_to_run
from poolmark.records.read_record import Run
from poolmark.verify import withheld

BROKER = "poolmark-broker"
LEAST, MOST = 1e-9, 1e15        # of a rate, a time in ns
# Anomalies with which latencies and CPU times are not the target's alone.
NOT_ALONE = ("busy", "throttled", "target_stopped", "late", "stalled", "late_receiver")
NOT_ITS_CPU = ("busy", "throttled", "other_clients")       # with which CPU times are not
OF_CONNECT = "cpu.per_connection_ns"
# Of the programs, where a cell names none; a test compares them with --describe.
UNNAMED = "a target of which strategy and shape are not known"
DEFAULT_STRATEGY, DEFAULT_SHAPE, DEFAULT_PAYLOAD = "malloc", "lean", "64"


@dataclass(frozen=True)
class Kind:
    """The configuration that a cell measured, as far as an answer tells cells apart. Strategy and shape are those of this project's broker."""
    target: str                 # UNNAMED: of a generator's own record, which does not know what it loaded
    strategy: str | None
    shape: str | None

    def words(self) -> str:
        return f"strategy {self.strategy}, shape {self.shape}" if self.target == "poolmark" else self.target


@dataclass(frozen=True)
class Memory:
    run: Run
    cell: CellData
    kind: Kind
    engine: str
    steps: list[Step]
    instances: int


@dataclass(frozen=True)
class Load:
    """One run of the generator that published at a rate."""
    run: Run
    cell: str
    kind: Kind
    qos: int
    payload: str
    threads: int | None         # of the target, over all instances; None: not known
    rate: float                 # messages a second
    cpu_ns: float | None        # of the target, for a message
    p99_ns: float | None        # of deliveries

    @property
    def processors(self) -> float | None:
        return None if self.cpu_ns is None else self.rate * self.cpu_ns * 1e-9


@dataclass(frozen=True)
class Connect:
    run: Run
    cell: str
    kind: Kind
    cpu_ns: float               # of the target, for a connect


@dataclass(frozen=True)
class Limit:
    """An answer of `limit`."""
    run: Run
    cell: str
    kind: Kind
    scenario: str
    bounds: str
    qos: int
    what: str                   # "limit", "at least" ...
    by: str
    rate: float | None
    low: float | None
    high: float | None
    threads: int | None
    clients: int | None

    @property
    def is_rate(self) -> bool:
        """Whether the target was the limit, so that the rate is the target's."""
        return self.what == LIMIT and self.by == "target" and self.rate is not None and self.rate > 0


@dataclass
class Evidence:
    runs: list[Run]
    memory: list[Memory] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    connects: list[Connect] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    left_out: list[tuple[Kind, str]] = field(default_factory=list)

    def kinds(self) -> list[Kind]:
        of_all: list[Memory | Load | Connect | Limit] = [*self.memory, *self.loads, *self.connects, *self.limits]
        every = [one.kind for one in of_all]
        return list(dict.fromkeys(every))

    def left_out_of(self, kind: Kind | None) -> list[str]:
        """What was left out of the cells of a target and strategy, or of all."""
        return [text for one, text in self.left_out if kind is None or (one.target, one.strategy) == (kind.target, kind.strategy)]


def _text(value: object, default: str) -> str:
    return value if isinstance(value, str) and value else default


def kind_of(config: Config) -> Kind:
    target = _text(config.get("target"), "poolmark" if "targets" not in config else UNNAMED)     # `targets`: a generator's own
    if target != "poolmark":
        return Kind(target, None, None)
    return Kind(target, _text(config.get("strategy"), DEFAULT_STRATEGY), _text(config.get("shape"), DEFAULT_SHAPE))


def option(words: str, name: str, default: str) -> str:
    """The value of an option in a command's words."""
    match = re.search(rf"(?:^|\s)--{re.escape(name)}[ =](\S+)", words)
    return match[1] if match else default


def number(cell: CellData, name: str) -> float | None:
    """A metric's value, when it is a number above zero that a measurement can have."""
    value = sound_value(cell.get("metrics", {}), name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and LEAST <= value <= MOST else None


def threads_of(cell: CellData) -> int | None:
    """Threads of the target over all its instances; None for a target that ran already, or for one that does not say it."""
    config = cell.get("config", {})
    target = _text(config.get("target"), "poolmark")
    if target == "mosquitto":
        return 1
    if target != "poolmark":
        return None
    each = option(str(config.get("broker_options", "")), "threads", "1")
    instances = sum(bool(words) and BROKER in str(words[0]) for words in cell.get("commands") or [])
    return int(each) * max(1, instances) if each.isdecimal() and len(each) < 5 and int(each) > 0 else None


def phases_of(cell: CellData) -> list[tuple[PhaseData, str]]:
    """(phase, its words) of a cell; the words are "" where the record does not tell them apart."""
    known = cell.get("phases") or []
    words = [part.strip() for part in str(cell.get("config", {}).get("phases") or "").split(";")]
    return list(zip(known, words if len(words) == len(known) else [""] * len(known), strict=True))


def disturbed(cell: CellData, phase: str, several: bool) -> str:
    """The anomaly for which the figures of a phase are not the target's alone; "" when there is none."""
    if withheld.others_counted(cell):
        return "other_clients"
    for one in cell.get("anomalies", []):
        text = str(one.get("text", ""))
        if one.get("what") in NOT_ALONE and (not several or one["what"] == "busy" or text.startswith(f"{phase}: ")):
            return str(one["what"])
    return ""


def _is_whole(cell: CellData) -> bool:
    """Whether its figures count. A trial that failed by the target is a measurement too; one that the host limited is none."""
    if "trial" in cell:
        return cell["trial"].get("verdict") in (HELD, FAILED)
    return cell.get("status") == "complete"


def _take_loads(found: Evidence, run: Run, cell: CellData) -> None:
    phases = phases_of(cell)
    for phase, words in phases:
        prefix, name = _text(phase.get("prefix"), ""), str(phase.get("name", ""))
        rate = number(cell, f"{prefix}messages.rate")
        if phase.get("scenario") != "publish" or option(words, "pattern", "pairs") != "pairs":
            continue
        why = disturbed(cell, name, len(phases) > 1)
        if why:
            found.left_out.append((kind_of(cell["config"]), f"{cell['id']}, {name}: {why}"))
        if why or rate is None:
            continue
        qos = option(words, "qos", "0")
        found.loads.append(Load(run, cell["id"], kind_of(cell["config"]), int(qos) if qos in ("0", "1", "2") else 0,
                                option(words, "payload", DEFAULT_PAYLOAD), threads_of(cell), rate, number(cell, f"{prefix}cpu.per_message_ns"),
                                number(cell, f"{prefix}delivery.p99")))


def _take_connects(found: Evidence, run: Run, cell: CellData) -> None:
    phases = phases_of(cell)
    for name in cell.get("metrics", {}):
        if name != OF_CONNECT and not name.endswith(f".{OF_CONNECT}") or (value := number(cell, name)) is None:
            continue
        phase = next((str(one.get("name")) for one, _ in phases if one.get("scenario") in ("connect", "steps")
                      and _text(one.get("prefix"), "") == name.removesuffix(OF_CONNECT)), "")
        if (why := disturbed(cell, phase, len(phases) > 1)) in NOT_ITS_CPU:
            found.left_out.append((kind_of(cell["config"]), f"{cell['id']}, {phase or 'connects'}: {why}"))
        else:
            found.connects.append(Connect(run, cell["id"], kind_of(cell["config"]), value))


def _take_memory(found: Evidence, run: Run, cell: CellData) -> None:
    try:
        steps, instances = read_steps(cell)
    except UsageError as error:
        found.left_out.append((kind_of(cell["config"]), f"{cell['id']}: {error}"))
        return
    left = {count: why for count, why in steps_left_out(cell, steps).items() if why}
    if left:
        found.left_out.append((kind_of(cell["config"]), f"{cell['id']}: {told_left_out(left)}"))
    found.memory.append(Memory(run, cell, kind_of(cell["config"]), _text(cell["config"].get("engine"), ""), steps, instances))


def _take_limits(found: Evidence, run: Run) -> None:
    config = run.data.get("config", {})
    for cell, trials in told.cells_of(run.data):
        first = trials[0] if trials else None
        words = str(first["config"].get("phases") or "") if first else ""
        clients = option(words, "pairs", "")
        qos = option(words, "qos", "0")
        told_bounds = config.get("bounds")
        bounds = told_bounds if isinstance(told_bounds, list) else []
        found.limits.append(Limit(
            run, cell["id"], kind_of(cell["config"]), str(config.get("scenario", "")), ", ".join(map(str, bounds)),
            int(qos) if qos in ("0", "1", "2") else 0, str(cell["answer"].get("kind")), str(cell["answer"].get("by")),
            number(cell, "limit.rate"), number(cell, "limit.low"), number(cell, "limit.high"), threads_of(first) if first else None,
            int(clients) if clients.isdecimal() and len(clients) < 10 else None))


def take(found: Evidence, run: Run, only: str | None) -> None:
    for cell in cells_of(run, only):
        if "answer" in cell:
            continue
        if not _is_whole(cell):
            verdict = cell["trial"].get("verdict") if "trial" in cell else cell.get("status")
            found.left_out.append((kind_of(cell["config"]), f"{cell['id']}: {verdict}"))
            continue
        _take_loads(found, run, cell)
        _take_connects(found, run, cell)
        if step_counts(cell):
            _take_memory(found, run, cell)
    if run.data["kind"] == "limit":
        _take_limits(found, run)


def gather(runs: list[Run], only: str | None) -> Evidence:
    """All of it. UsageError when the runs hold nothing of a capacity answer."""
    found = Evidence(runs)
    for run in runs:
        take(found, run, only)
    if not found.kinds():
        raise UsageError(f"{', '.join(run.id for run in runs)}: no memory at steps, no messages at a rate, no answer of a search: "
                         f"measure one: {what_to_run()}")
    return found
