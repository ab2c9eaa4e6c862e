# SPDX-License-Identifier: Apache-2.0
"""One definition of a median and of a percentile's rank, whoever computes it. tests/test_median.c has the same table for the programs."""
import re
import statistics
import subprocess

import pytest

from poolmark.base.paths import build_dir
from poolmark.bench import bench_statistics
from poolmark.compare import sensitivity
from poolmark.records import arrivals, hlog, trend

RANKS = [(1, 50, 1), (2, 50, 1), (3, 50, 2), (4, 50, 2), (100, 99, 99), (101, 99, 100), (150, 99, 149), (160, 99, 158), (1000, 99.9, 999),
         (1600, 99.9, 1598), (2000, 99, 1980), (5, 100, 5), (1000, 0, 1)]


@pytest.mark.parametrize("count, percent, rank", RANKS)
def test_a_percentile_is_the_sample_of_its_rank(count, percent, rank):
    assert hlog.percentile_rank(count, percent) == rank
    made = hlog.Histogram()
    made.counts = dict.fromkeys(range(1, count + 1), 1)     # exact below 2048
    assert made.percentile(percent) == rank
    if count >= hlog.percentile_takes(percent):
        assert arrivals.percentile(list(range(1, count + 1)), percent) == rank


@pytest.mark.parametrize("values", [[7.0], [4.0, 1.0], [9.0, 1.0, 2.0], [100.0, 1.0, 3.0, 2.0]])
def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(values):
    class Row:
        metric, difference = "m", None

        def __init__(self, change):
            self.change = change

    class Found:
        def __init__(self, change):
            self.rows = [Row(change)]

    class Of:
        metric = "m"

    wanted = statistics.median(values)
    assert bench_statistics.known(values).median == trend.median(values) == wanted
    told = sensitivity.changes_of(Of, [Found(value / 100) for value in values])[0]
    assert float(told.partition(" ")[0]) == pytest.approx(wanted)


def test_the_hot_pools_table_has_the_mean_of_two_runs():
    done = subprocess.run([build_dir() / "poolmark-hot", "grid", "--runs", "2", "--operations", "32"], capture_output=True, text=True, check=True)
    rows = re.findall(r" ([\d.]+)  \(([\d.]+) to ([\d.]+)\)", done.stdout)
    apart = [row for row in rows if row[1] != row[2]]
    assert len(apart) >= 3, done.stdout
    for middle, low, high in apart:
        assert float(middle) == pytest.approx((float(low) + float(high)) / 2, abs=0.011 if "." in middle else 1.01)
