# SPDX-License-Identifier: Apache-2.0
"""Which of the evidence answers a question: one target and strategy, one shape for memory, one payload and QoS for messages, one bound for
rates. What was chosen by itself is told in `notes`; where that would be a guess it is a UsageError that names the choices.
"""
from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import DID_YOU_MEAN, nearest
from poolmark.base.units import plural, show_count
from poolmark.limits import bounds
from poolmark.model.asked import Asked
from poolmark.model.evidence import Connect, Evidence, Kind, Limit, Load, Memory
from poolmark.model.model import Step
from poolmark.records.read_record import Run

One = TypeVar("One", Memory, Load, Connect, Limit)

# Of the committed runs, where the question names none: what README advises for a number that is not known beforehand.
COMMITTED_STRATEGY, COMMITTED_SHAPE = "slab", "lean"


@dataclass(frozen=True)
class Scale:
    """Rates of `limit` that differ in one thing: the threads of the target, or its clients."""
    axis: str                   # "threads" or "clients"
    bounds: str
    points: list[Limit]         # rates of the target
    others: list[Limit]         # answers that are no rate of the target

    def load_of(self, one: Limit) -> int:
        return (one.threads if self.axis == "threads" else one.clients) or 0


@dataclass(frozen=True)
class Chosen:
    kind: Kind
    memory: list[Memory]        # repetitions of one configuration; empty: none
    loads: list[Load]
    connects: list[Connect]
    scale: Scale | None
    notes: list[str]

    def steps(self) -> list[Step]:
        return sorted((step for one in self.memory for step in one.steps), key=lambda step: step.connections)

    def run_of_host(self) -> Run:
        """The run whose host is the measured one: that of the messages, else of the memory."""
        every: list[Load | Memory | Connect | Limit] = [*self.loads, *self.memory, *self.connects, *(self.scale.points + self.scale.others if self.scale else [])]
        return every[0].run


def _target(found: Evidence, asked: Asked, committed: bool) -> tuple[str, str | None]:
    every = list(dict.fromkeys((kind.target, kind.strategy) for kind in found.kinds()))
    names = sorted({strategy or target for target, strategy in every})
    if asked.strategy:
        every = [one for one in every if one[1] == asked.strategy]
        if not every:
            raise UsageError(f"--strategy {asked.strategy!r}: no cell here is of it" + nearest(asked.strategy, names))
    elif committed and ("poolmark", COMMITTED_STRATEGY) in every:
        every = [("poolmark", COMMITTED_STRATEGY)]
    if len(every) > 1:
        raise UsageError(f"the cells are of several strategies: {', '.join(names)}; name one with --strategy, or cells with --only")
    return every[0]


def _memory(found: list[Memory], asked: Asked, committed: bool, notes: list[str]) -> list[Memory]:
    shapes = list(dict.fromkeys(one.kind.shape for one in found))
    if asked.shape and found:
        found = [one for one in found if one.kind.shape == asked.shape]
        if not found:
            hint = nearest(asked.shape, shapes)
            raise UsageError(f"--shape {asked.shape!r}: no cell in steps is of it{hint}"
                             + ("" if hint.startswith(DID_YOU_MEAN) else f"; --what-if shape={asked.shape} computes it by account"))
    elif committed and COMMITTED_SHAPE in shapes:
        found = [one for one in found if one.kind.shape == COMMITTED_SHAPE]
    elif len(shapes) > 1:
        raise UsageError(f"the cells in steps are of several shapes: {', '.join(map(str, shapes))}; name one with --shape")
    engines = list(dict.fromkeys(one.engine for one in found))
    if len(engines) > 1:
        chosen = "raw" if "raw" in engines else engines[0]
        notes.append(f"memory is of the cells with engine {chosen}; there are also those of {', '.join(one for one in engines if one != chosen)}")
        found = [one for one in found if one.engine == chosen]
    instances = Counter(one.instances for one in found)
    if len(instances) > 1:
        most = instances.most_common(1)[0][0]
        notes.append(f"memory is of the cells with {plural(most, 'instance')}; cells with another number are left out")
        found = [one for one in found if one.instances == most]
    return found


def _of_shape(found: list[One], shape: str | None, what: str, notes: list[str]) -> list[One]:
    """Those of the shape, where there are any; otherwise those of one other shape, which the notes say."""
    same = [one for one in found if one.kind.shape == shape]
    if same or not found:
        return same
    other = Counter(one.kind.shape for one in found).most_common(1)[0][0]
    if shape is not None:
        notes.append(f"{what} was measured with shape {other}, not {shape}")
    return [one for one in found if one.kind.shape == other]


def _loads(found: list[Load], asked: Asked, notes: list[str]) -> list[Load]:
    found = [one for one in found if one.qos == asked.qos]
    payloads = Counter(one.payload for one in found)
    if len(payloads) > 1:
        most = payloads.most_common(1)[0][0]
        notes.append(f"messages are those with a payload of {most}; there are also {', '.join(sorted(set(payloads) - {most}))}")
        found = [one for one in found if one.payload == most]
    return found


def _of_one_run(found: list[Load], notes: list[str]) -> list[Load]:
    """Of the committed runs, which loaded the broker in different ways, the one with the most rates."""
    rates: dict[str, set[float]] = {}
    for one in found:
        rates.setdefault(one.run.id, set()).add(one.rate)
    chosen = max(rates, key=lambda run: len(rates[run]), default="")
    if len(rates) > 1:
        notes.append(f"the cost of messages is that of {chosen}, which has the most rates of them; {', '.join(one for one in rates if one != chosen)} "
                     "is left out")
    return [one for one in found if one.run.id == chosen]


def bound_text(p99_ns: float) -> str:
    """As a search's record has it."""
    return f"delivery.p99={p99_ns:.0f}ns"


def bounds_words(text: str) -> str:
    """delivery.p99=20000000ns as "delivery.p99 at most 20 ms"; a text that is no bound as it is."""
    try:
        return " and ".join(one.shown() for one in bounds.parse([text], "publish"))
    except PoolmarkError:
        return text


def _scale(found: list[Limit], asked: Asked, notes: list[str]) -> Scale | None:
    found = [one for one in found if one.scenario == "publish" and one.qos == asked.qos]
    if not found:
        return None
    known = Counter(one.bounds for one in found)
    wanted = bound_text(asked.p99_ns) if asked.p99_ns is not None else ""
    chosen = wanted if wanted in known else known.most_common(1)[0][0]
    if wanted and chosen != wanted:
        notes.append(f"the rates of limit hold {bounds_words(chosen)}, not {bounds_words(wanted)}")
    found = [one for one in found if one.bounds == chosen]
    threads, clients = ({getattr(one, axis) for one in found} for axis in ("threads", "clients"))
    axis = "threads" if len(threads) > 1 or len(clients) == 1 else "clients"
    other = Counter(one.clients if axis == "threads" else one.threads for one in found)
    if len(other) > 1:
        most = other.most_common(1)[0][0]
        name = "pairs of clients" if axis == "threads" else "threads"
        notes.append(f"the rates of limit are those with {show_count(most)} {name}; others are left out")
        found = [one for one in found if (one.clients if axis == "threads" else one.threads) == most]
    loaded = [one for one in found if (one.threads if axis == "threads" else one.clients)]
    points = [one for one in loaded if one.is_rate]
    return Scale(axis, chosen, points, [one for one in found if one not in points])


def choose(found: Evidence, asked: Asked, committed: bool) -> Chosen:
    """`committed`: the runs are the committed ones, not named by the asker. UsageError where the choice is the asker's."""
    target, strategy = _target(found, asked, committed)
    notes: list[str] = []

    def ours(every: list[One]) -> list[One]:
        return [one for one in every if (one.kind.target, one.kind.strategy) == (target, strategy)]

    memory = _memory(ours(found.memory), asked, committed, notes)
    kinds = [one.kind for one in ours(found.loads)] + [one.kind for one in ours(found.connects)] + [one.kind for one in ours(found.limits)]
    shapes = Counter(kind.shape for kind in kinds)
    shape = memory[0].kind.shape if memory else asked.shape or (shapes.most_common(1)[0][0] if shapes else None)
    if committed and shape is not None and shape != (asked.shape or COMMITTED_SHAPE):
        notes.append(f"answered by strategy {strategy}, shape {shape}: the committed runs have no cell of strategy {strategy} with shape "
                     f"{asked.shape or COMMITTED_SHAPE}")
    told = notes if asked.rate else []
    loads = _loads(ours(found.loads), asked, told)
    loads = _of_shape(_of_one_run(loads, told) if committed else loads, shape, "the cost of messages", told)
    connects = _of_shape(ours(found.connects), shape, "the cost of connects", notes)
    scale = _scale(_of_shape(ours(found.limits), shape, "the highest rate", notes), asked, notes)
    kind = Kind(target, strategy, shape)
    chosen = Chosen(kind, memory, loads, connects, scale, notes)
    if not (memory or loads or connects or scale):
        raise UsageError(f"no cell of {kind.words()} has anything of the answer")
    runs = [one.run for one in memory] + [one.run for one in loads] + [one.run for one in connects]
    if len({run.data["host"].get("cpu_model") for run in runs}) > 1:
        notes.append("the runs are of hosts with different processors")
    return chosen
