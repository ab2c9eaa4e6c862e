# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of benchmarks: made results, and the anomalies of a run that a test may expect."""
import os

import pytest

from poolmark.base.paths import build_dir
from poolmark.bench import bench_plan
from poolmark.bench.bench_plan import Bench, Contender
from poolmark.bench.bench_report import Measured
from poolmark.bench.bench_results import Results

PROGRAM = build_dir() / "poolmark-bench"
needs_program = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="poolmark-bench is not built")


def told(data):
    """The anomalies, without those of a busy, slow or throttled host, which a test machine often is."""
    return [one for one in data["anomalies"] if one["what"] not in ("busy", "slow", "throttled")]


def anomalies(data):
    return [one["what"] for one in told(data)]


def texts(data):
    return [one["text"] for one in told(data)]


def bench_of(text, contender=None):
    workload, strategy, size, threads, in_name = bench_plan.parse_name(text)
    return Bench(workload, contender or Contender(strategy, strategy), size, threads, in_name)


def results_of(values):
    """{name: {metric: [value of round 1, ...]}}; time is in ns."""
    benches = [bench_of(name) for name in values]
    results = Results(benches)
    for bench, metrics in zip(benches, values.values(), strict=True):
        for number in range(len(metrics["time"])):
            counters = {key: samples[number] for key, samples in metrics.items() if key != "time"}
            results.series[bench.name].add(number + 1, Measured(metrics["time"][number], counters))
    return results
