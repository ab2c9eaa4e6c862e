# SPDX-License-Identifier: Apache-2.0
"""The steps of a record: memory and pools at each number of connections, and why a part of it may have no figure.

    for cell in cells_in_steps(run, only=None):
        steps, instances = read_steps(cell)

UsageError for a record that has none, with the commands that make one.
"""
import re

from poolmark.base.forms import AnomalyData, CellData, sound_value
from poolmark.base.errors import UsageError
from poolmark.base.paths import CALLED
from poolmark.base.table import clean
from poolmark.base.units import show_count, whole
from poolmark.model.model import Model, Pools, Step, make_step
from poolmark.records.measures import take_steps
from poolmark.records.read_record import Run
from poolmark.suites import suite_file
from poolmark.verify import withheld
from poolmark.verify.complaints import damage
from poolmark.verify.recompute import Replayed

LEAST_STEPS = 3     # of a line with an interval


def what_to_run() -> str:
    """The runs that give a model."""
    suites = [f"{CALLED} suite {name}" for name in suite_file.names() if suite_file.most_steps(name) >= LEAST_STEPS]
    return ", or ".join([*suites, "poolmark-loadgen steps --steps 1k,3k,6k,10k --watch-pid PID --record DIR"])


def step_counts(cell: CellData) -> list[int]:
    """The steps that the generator was asked for; empty for another scenario."""
    match = re.search(r"--steps ([^\s;]+)", str(cell["config"].get("phases", "")))
    steps = match[1].split(",") if match else cell["config"].get("steps")
    counts = [whole(str(step)) for step in steps] if isinstance(steps, list) else []
    return [count for count in counts if count is not None]


def pools_of(cell: CellData, connections: int) -> Pools:
    """Each pool's numbers at a step, from the cell's metrics step.N.POOL.owned ..."""
    pools: Pools = {}
    for name, metric in cell.get("metrics", {}).items():
        match = re.fullmatch(rf"step\.{connections}\.(\w+)\.(object_bytes|owned|in_use)", name)
        if match and metric["value"] is not None:
            pools.setdefault(match[1], {})[match[2]] = metric["value"]
    return {name: numbers for name, numbers in pools.items() if len(numbers) == 3}


def read_steps(cell: CellData) -> tuple[list[Step], int]:
    """A cell's steps, and the number of broker instances that they sum up."""
    def value(name: str) -> float | None:
        return sound_value(cell.get("metrics", {}), name)

    steps = [make_step(count, user, value(f"step.{count}.kernel_bytes"), pools_of(cell, count))
             for count in step_counts(cell) if (user := value(f"step.{count}.user_bytes")) is not None]
    if not steps and withheld.others_counted(cell):
        raise UsageError("others used the target, so its memory at the steps is withheld")
    if not steps and (left := steps_left_out(cell, [])) and any(left.values()):
        raise UsageError("no step can be used: " + told_left_out(left))
    if not steps:
        raise UsageError("the record has no memory of a target at any step: give --watch-pid")
    instances = sum("poolmark-broker" in command[0] for command in cell.get("commands", []) if command)
    return steps, max(1, instances)


def _connected(cell: CellData) -> list[int]:
    """Connections that there were at the steps."""
    found = (re.fullmatch(r"step\.(\d+)\.\w+", name) for name in cell.get("metrics", {}))
    return sorted({count for one in found if one and (count := whole(one[1])) is not None})


def steps_left_out(cell: CellData, used: list[Step]) -> dict[int, str]:
    """{asked for: why it is no point of a line}: connections that were not there, a figure with a doubt; "": no reading of the target."""
    asked, there, taken = step_counts(cell), _connected(cell), {step.connections for step in used}
    found: dict[int, str] = {}
    for before, count in zip([0, *asked], asked, strict=False):
        fewer = [one for one in there if before < one < count and one not in asked]
        one = cell.get("metrics", {}).get(f"step.{count}.user_bytes")
        doubt = one.get("doubt") if one else None
        if count not in taken:
            found[count] = f"its memory has a doubt ({doubt})" if doubt else ("" if count in there or not fewer else f"{show_count(fewer[-1])} were connected then")
    return found


def told_left_out(left: dict[int, str]) -> str:
    """Steps of one reason together."""
    reasons: dict[str, list[int]] = {}
    for count, why in left.items():
        reasons.setdefault(why or "the memory of the target was not read there", []).append(count)
    return "; ".join(f"the step{'s' if len(counts) > 1 else ''} of {', '.join(map(show_count, counts))} connections: {why}"
                     for why, counts in reasons.items())


def own_steps(run: Run) -> CellData:
    """A generator's own record as a cell. Its steps are read by the function that a suite uses."""
    cell = Replayed(run.id)
    if (run.folder / "steps.csv").is_file() and (run.folder / "memory.csv").is_file():
        take_steps(cell, run.folder, run)
    return {"id": run.id, "config": run.data.get("config", {}), "repetition": 1, "files": {}, "status": run.data["status"],
            "metrics": cell.data["metrics"]}


def cells_of(run: Run, only: str | None) -> list[CellData]:
    """The run's cells; a generator's own record counts as one cell."""
    cells = run.data.get("cells", [])
    if not cells and run.data["kind"] == "load":
        cells = [own_steps(run)]
    try:
        chosen = [cell for cell in cells if re.search(only or "", cell["id"])]
    except re.error as error:
        raise UsageError(f"--only {only!r}: not a regular expression: {error}") from error
    if not chosen:
        raise UsageError(f"{run.id}: no cell to look at" + (f" matches {only!r}" if only else ""))
    return chosen


def cells_in_steps(run: Run, only: str | None) -> list[CellData]:
    """Those of its cells that went up in steps."""
    in_steps = [cell for cell in cells_of(run, only) if step_counts(cell)]
    if not in_steps:
        raise UsageError(f"{run.id}: no run in steps but of kind {run.data['kind']}; capacity needs one: {what_to_run()}")
    return in_steps


def no_figures(run: Run, cell: CellData, model: Model) -> dict[str, str]:
    """"user" or "kernel" -> why there is no figure of it for a connection: the fit, or an anomaly of the record."""
    told = {name: why for name in ("user", "kernel") if (why := model.no_growth(name))}
    own = run.data.get("anomalies", []) if run.data["kind"] == "load" else []
    return withheld.no_figures([*own, *of_steps(cell)]) | told


def of_steps(cell: CellData) -> list[AnomalyData]:
    """The anomalies of a cell without those of its other phases, whose figures are no part of a forecast."""
    others = tuple(f"{phase['name']}: " for phase in cell.get("phases") or [] if phase["scenario"] != "steps")
    return [one for one in cell.get("anomalies", []) if not others or not str(one.get("text", "")).startswith(others)]


def check(record: Run) -> None:
    """UsageError for an edited or truncated record, because its forecast would be silently wrong."""
    if told := damage(record):
        raise UsageError(clean(told))
