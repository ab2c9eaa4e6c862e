# SPDX-License-Identifier: Apache-2.0
"""The parts of a capacity answer, each from the evidence chosen for it: memory, CPU time, the law of scale, p99. A part that has no
answer has a gap: what is missing, why, and the command that measures it.
"""
import math
from dataclasses import dataclass

from poolmark.base.forms import Json
from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import CALLED
from poolmark.base.units import plural, show_count, show_ns
from poolmark.model import by_account, cpu, tail, usl
from poolmark.model.asked import Asked, show_rate
from poolmark.model.choose import Chosen, bounds_words
from poolmark.model.evidence import Load, Memory
from poolmark.model.forecast import TOLERANCE_PERCENT
from poolmark.model.model import MOST, HeldOut, Model, fit_model, hold_out
from poolmark.model.steps import LEAST_STEPS, no_figures, what_to_run

MANY_THREADS, MANY_PAIRS = (1, 2, 3, 4, 6, 8), (5, 10, 20, 50, 100, 200)     # loads of the law


@dataclass(frozen=True)
class Gap:
    what: str
    why: str
    measure: str        # the command; "" where there is none


@dataclass(frozen=True)
class MemoryPart:
    model: Model
    held_out: HeldOut | None
    account: by_account.Account | None      # instead of the measured user memory
    cells: list[Memory]

    @property
    def most(self) -> int:
        return max(step.connections for step in self.model.steps)

    def holds_check(self) -> bool:
        return self.held_out is None or abs(self.held_out.error_percent) <= TOLERANCE_PERCENT

    @property
    def processes(self) -> int:
        """Processes of the server that were measured together; the answer is for one."""
        return max((cell.instances for cell in self.cells), default=1)

    @property
    def base_bytes(self) -> float:
        """Of one process."""
        return self.model.user.base / self.processes

    def user_at(self, connections: int) -> float:
        if self.account:
            return self.account.user_at(connections)
        return self.model.user_at(connections) - self.model.user.base + self.base_bytes

    def kernel_at(self, connections: int) -> float:
        """Of the server's end: half of what both ends of a connection on one host take."""
        return self.model.kernel_at(connections) / 2

    def margin(self, connections: int) -> float | None:
        """Half of the 95 % interval of user and kernel memory together; None by account."""
        return None if self.account else self.model.margin(connections, 1)

    def user_margin(self, connections: int) -> float | None:
        return None if self.account else self.model.user.margin(connections)

    def carried_by(self, budget_bytes: float, sign: int = 0) -> float:
        """The most connections whose memory is at most the budget; `sign` -1 and +1: the ends of the interval."""
        if self.account is None:
            count = self.model.holds(budget_bytes, 1, sign)
            return math.inf if count is None else float(count)
        low, high = 0, MOST
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.user_at(middle) + self.kernel_at(middle) <= budget_bytes else (low, middle)
        return float(low) if high < MOST else math.inf


def memory_part(chosen: Chosen, asked: Asked, every: list[Memory]) -> MemoryPart | Gap:
    """`every`: all cells in steps, which may tell the reserve of another strategy. UsageError for a --what-if that cannot be computed."""
    measure = what_to_run()
    if not chosen.memory:
        return Gap("memory", f"no run in steps of connections is of {chosen.kind.words()}", measure)
    first, steps = chosen.memory[0], chosen.steps()
    counts = {step.connections for step in steps}
    if len(counts) < LEAST_STEPS:
        return Gap("memory", f"there are readings at {plural(len(counts), 'step')}; a model takes three", measure)
    try:
        model = fit_model(steps, first.cell["config"], first.instances)
    except PoolmarkError as error:
        return Gap("memory", str(error), measure)
    why = model.no_forecast() or next((text for one in chosen.memory for text in no_figures(one.run, one.cell, model).values()), None)
    if why:
        return Gap("memory", why, measure)
    held = hold_out(steps, first.cell["config"], first.instances, steps[-1].connections) if len(counts) > LEAST_STEPS else None
    account = None
    if asked.each_bytes is not None or asked.what_if:
        account = by_account.of_shape(first, asked.what_if.get("shape"), asked.what_if.get("strategy"), asked.each_bytes, every)
    return MemoryPart(model, held, account, chosen.memory)


@dataclass(frozen=True)
class CpuPart:
    cost: cpu.Cost | None               # of messages
    held_out: cpu.HeldOutRate | None
    connect: cpu.Mean | None            # CPU time of a connect, ns

    def holds_check(self) -> bool:
        return self.held_out is None or self.held_out.holds


def _one_per_cell(chosen: Chosen) -> list[float]:
    """CPU time of a connect, of each cell; of configurations, that with the most cells."""
    by_run: dict[str, list[float]] = {}
    for one in chosen.connects:
        by_run.setdefault(one.run.id, []).append(one.cpu_ns)
    return max(by_run.values(), key=len, default=[])


def cpu_part(chosen: Chosen, asked: Asked) -> tuple[CpuPart, list[Gap]]:
    points = [(one.rate, one.cpu_ns) for one in chosen.loads if one.cpu_ns is not None]
    cost, values = cpu.message_cost(points), _one_per_cell(chosen)
    part = CpuPart(cost, cpu.hold_out(points), cpu.mean_of(values) if values else None)
    gaps = []
    only = f" --only '{chosen.kind.strategy}'" if chosen.kind.strategy else ""
    if asked.rate is not None and cost is None:
        qos = f" --set load.qos={asked.qos}" if asked.qos else ""
        gaps.append(Gap("CPU for messages", f"no cell of {chosen.kind.words()} published at QoS {asked.qos} with the target's CPU time known",
                        f"{CALLED} suite forecast{only}{qos}, and give its run to capacity"))
    if asked.connects is not None and part.connect is None:
        gaps.append(Gap("CPU for connects", f"no cell of {chosen.kind.words()} has the target's CPU time of a connect",
                        f"{CALLED} suite forecast{only}"))
    return part, gaps


@dataclass(frozen=True)
class ScalePart:
    axis: str
    bounds: str
    law: usl.Law
    left_out: list[str]         # answers that are no rate of the target

    @property
    def fits(self) -> bool:
        return not self.law.why and self.law.fit is not None


def _how_to_scale(chosen: Chosen, asked: Asked) -> str:
    bound = f"p99={show_ns(asked.p99_ns).replace(' ', '')}" if asked.p99_ns is not None else "p99=20ms"
    strategy = f" --strategy {chosen.kind.strategy}" if chosen.kind.strategy else ""
    qos = f" --set qos={asked.qos}" if asked.qos else ""
    cores = asked.cores or processors_of(chosen.run_of_host().data["host"]) or 1
    key, values = ("broker.threads", MANY_THREADS) if cores >= usl.LEAST_LOADS else ("pairs", MANY_PAIRS)
    return (f"{CALLED} limit publish --bound {bound}{strategy}{qos} --loads {key}={','.join(map(str, values))} (the generator on processors of its "
            "own, or another host), and give this run to capacity")


def scale_part(chosen: Chosen, asked: Asked) -> ScalePart | Gap:
    scale = chosen.scale
    if scale is None:
        return Gap("the law of scale", "no run of limit is here, and it takes rates at several loads", _how_to_scale(chosen, asked))
    left_out = [f"{one.cell} ({one.run.id}): {one.what}" + (f", by {one.by}" if one.by else "") for one in scale.others]
    law = usl.judge([(scale.load_of(one), one.rate) for one in scale.points if one.rate is not None])
    part = ScalePart(scale.axis, bounds_words(scale.bounds), law, left_out)
    if not part.fits:
        more = f"; {plural(len(left_out), 'answer')} of limit left out, being no rate of the target: {'; '.join(left_out[:3])}" if left_out else ""
        return Gap("the law of scale", "; ".join(law.why) + more, _how_to_scale(chosen, asked))
    return part


@dataclass(frozen=True)
class TailPart:
    relation: tail.Relation
    points: list[tuple[float, float]]   # (utilisation, p99 in ns)


def processors_of(host: Json) -> int | None:
    """What the record's host had."""
    cores = host.get("cores")
    return cores if isinstance(cores, int) and not isinstance(cores, bool) and cores > 0 else None


def utilisation_of(load: Load) -> float | None:
    """Of the processors that the target could use. None where its threads or CPU time are not known."""
    cores = processors_of(load.run.data["host"])
    if load.processors is None or load.threads is None or cores is None:
        return None
    return float(load.processors / min(load.threads, cores))


def tail_part(chosen: Chosen, asked: Asked) -> TailPart | Gap:
    points = [(used, one.p99_ns) for one in chosen.loads if one.p99_ns is not None and (used := utilisation_of(one)) is not None]
    relation = tail.fit(points)
    measure = how_to_know_p99(chosen, asked)
    if relation is None:
        return Gap("p99 at that rate", f"no cell of {chosen.kind.words()} has p99 of deliveries at QoS {asked.qos} beside the target's CPU time",
                   measure)
    return TailPart(relation, sorted(points))


def how_to_know_p99(chosen: Chosen, asked: Asked) -> str:
    bound = f"p99={show_ns(asked.p99_ns).replace(' ', '')}" if asked.p99_ns is not None else "p99=20ms"
    strategy = f" --strategy {chosen.kind.strategy}" if chosen.kind.strategy else ""
    start = f" --from {round(asked.rate)}" if asked.rate else ""
    return f"{CALLED} limit publish --bound {bound}{strategy}{f' --set qos={asked.qos}' if asked.qos else ''}{start}"


def cost_words(cost: cpu.Cost) -> str:
    """How the cost of messages is known."""
    points = f"through {show_count(cost.runs)} runs at {show_rate(cost.rates[0])} to {show_rate(cost.rates[-1])}"
    if cost.form == cpu.LINE:
        return f"{cost.coefficients[0]:.3g} processors + rate x {show_ns(1e9 * cost.alone)}, a line {points}"
    if cost.form == cpu.SET_UP:
        return (f"{cost.base:.3g} processors + rate x {show_ns(1e9 * cost.alone)} of a message that comes alone, less for those that share a "
                f"wake-up (M/G/1 with set-up, Welch 1964), {points}: a message costs {show_ns(1e9 * cost.message_s(cost.rates[0]))} at the "
                f"lowest and {show_ns(1e9 * cost.message_s(cost.rates[-1]))} at the highest")
    return (f"rate x {show_ns(1e9 * cost.alone)}, measured at {show_rate(cost.rates[-1])}"
            + (f", {cost.runs} runs" if cost.runs > 1 else ", one run"))
