# SPDX-License-Identifier: Apache-2.0
"""How long rounds of benchmarks should take, and how many fit a budget."""
import math

from poolmark.base.units import plural
from poolmark.bench import bench_narrow
from poolmark.bench.bench_plan import Bench


def thought_s(rounds: list[list[Bench]], min_time_s: float, again: int) -> list[float]:
    """Estimated time of each round. Second attempts usually take as long as the first ones."""
    return [(2 if again else 1) * sum(bench.estimate_s(min_time_s) for bench in benches) for benches in rounds]


def enough_s(needed_s: float) -> int:
    """A budget that covers `needed_s`, rounded up to 10 s, with the reserve for figures that are not known well enough yet."""
    return math.ceil((needed_s + min(bench_narrow.RESERVE_MOST_S, needed_s / 5)) * 1.05 / 10) * 10


def told_before(rounds: list[list[Bench]], min_time_s: float, budget_s: float) -> str:
    """How many rounds should fit the budget, by the estimates; "" without a budget. Repeated measurements use the time that is
    left."""
    once = thought_s(rounds, min_time_s, 0)
    have_s = budget_s - bench_narrow.reserve_of({bench.workload for benches in rounds for bench in benches}, budget_s)
    fit = max(1, sum(sum(once[:number]) <= have_s for number in range(1, len(rounds) + 1)))
    if budget_s >= 1e9:
        return ""
    if fit == len(rounds):
        return f"all {plural(len(rounds), 'round')} fit the budget of {budget_s:.0f} s; the first will tell how fast this host is"
    return f"{fit} of {len(rounds)} rounds fit the budget of {budget_s:.0f} s; with --budget {enough_s(sum(once))}s all would"
