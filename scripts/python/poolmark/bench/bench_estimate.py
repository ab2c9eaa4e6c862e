# SPDX-License-Identifier: Apache-2.0
"""How long a call of `bench` should take, for commands that call it."""
import argparse

from poolmark.base.paths import build_dir
from poolmark.bench import bench, bench_plan
from poolmark.bench.bench_time import thought_s
from poolmark.facts import own_pools

add_arguments = bench.add_arguments
START_S = 1.5   # of the command itself: what runs before and after the measurements


def estimated(args: argparse.Namespace) -> tuple[float, str]:
    """(seconds, by what they are known), by the estimates of its benchmarks and its budget, with the start of the command."""
    program = build_dir(args.build) / bench.PROGRAM
    own = own_pools.for_bench(args.pool, program.parent)
    on, _ = bench_plan.installed(bench_plan.added(args.allocator, program))
    every = bench_plan.expand(bench_plan.listed(program, own.values()), on, own)
    benches, _ = bench_plan.possible(bench_plan.select(every, args.set, args.filter))
    rounds = bench_plan.rounds(benches, args.repetitions, args.seed or 1)
    budget_s = args.budget or bench.BUDGETS_S.get(args.set, bench.DEFAULT_BUDGET_S)
    return START_S + min(budget_s, sum(thought_s(rounds, args.min_time, args.again))), "the least times of its benchmarks"
