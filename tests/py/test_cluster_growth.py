# SPDX-License-Identifier: Apache-2.0
"""The forecast for more ranks: what is on a line is forecast exactly, and what is not says how far it is off."""
import math

import pytest

from poolmark.base.errors import PoolmarkError
from poolmark.cluster import growth
from poolmark.cluster.growth import Point

RANKS = (2, 4, 8, 16, 32, 64)


def points(start=lambda ranks: 0.5 + 0.01 * ranks, traffic=lambda ranks: 1e6 * ranks):
    return [Point(ranks, start(ranks), 0.1, traffic(ranks)) for ranks in RANKS]


def test_the_numbers_of_ranks_are_doubled_up_to_the_most():
    assert growth.steps_to(64) == [2, 4, 8, 16, 32, 64]
    assert growth.steps_to(48) == [2, 4, 8, 16, 32, 48]
    assert growth.steps_to(8) == [2, 4, 8]


def test_what_is_on_a_line_is_forecast_exactly():
    rows = {row[0]: row for row in growth.forecast_rows(points(), 100)}
    assert rows["start-up"][1:] == ["1.50 s", "1.50 s to 1.50 s", "64 ranks: +0 %"]
    assert rows["traffic of rank 0"][1] == "95.4 MiB"


def test_what_is_not_on_a_line_says_how_far_the_largest_run_was_off():
    rows = {row[0]: row for row in growth.forecast_rows(points(start=lambda ranks: 0.01 * ranks**2), 100)}
    off = int(rows["start-up"][3].split()[2])
    assert off < -20            # a line through the smaller ones is far too low
    low, high = (float(word.split()[0]) for word in rows["start-up"][2].split(" to "))
    assert low < high


def test_traffic_that_was_not_read_has_no_forecast_and_is_no_0():
    told = growth.text(points(traffic=lambda ranks: math.nan), 100)
    assert "not read" in told.split("\n\n")[0] and "traffic" not in told.split("\n\n")[1]


def test_traffic_that_was_read_of_fewer_ranks_is_forecast_from_these():
    row = {row[0]: row for row in growth.forecast_rows(points(traffic=lambda ranks: 1e6 * ranks if ranks <= 32 else math.nan), 100)}["traffic of rank 0"]
    assert row[1] == "95.4 MiB" and row[3] == "32 ranks: +0 %"


def test_too_few_numbers_of_ranks_give_no_forecast():
    assert "no forecast: it takes 4 numbers of ranks, and 3 were measured" in growth.text(points()[:3], 100)


def test_several_runs_of_a_number_of_ranks_are_all_in_the_line_and_shown_by_their_median():
    several = [Point(ranks, 0.5 + 0.01 * ranks + off, 0.1, 1e6 * ranks) for off in (-0.1, 0.0, 0.1) for ranks in RANKS]
    measured = growth.tables(several, 100)[0]
    assert measured[1][-1][:3] == ["64", "3", "1.14 s (1.04 s to 1.24 s)"]
    row = {row[0]: row for row in growth.forecast_rows(several, 100)}["start-up"]
    assert row[1] == "1.50 s" and row[3] == "64 ranks: +0 %"
    assert "no forecast" in growth.text(several[:3], 100)       # three numbers of ranks, one run of each


def test_each_run_is_in_a_line_with_its_record():
    lines = growth.csv([Point(2, 0.5, 0.1, 1e6, "load-1", "ab" * 32), Point(4, 0.6, 0.1, math.nan, "load-2", "cd" * 32)]).splitlines()
    assert lines[1] == "2,0.500,0.100,1000000,load-1," + "ab" * 32 and lines[2] == "4,0.600,0.100,,load-2," + "cd" * 32


def test_readings_are_those_of_memory_csv(tmp_path):
    (tmp_path / "memory.csv").write_text("at_ns,phase,connections\n100,start,0\n250,hold,5\n400,close,0\n", encoding="utf-8")
    assert growth.readings(tmp_path) == (100, 400)
    (tmp_path / "memory.csv").write_text("at_ns,phase,connections\n", encoding="utf-8")
    with pytest.raises(PoolmarkError, match="no reading"):
        growth.readings(tmp_path)
