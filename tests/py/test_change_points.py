# SPDX-License-Identifier: Apache-2.0
"""Change points: jumps and drifts are found, noise is not, and the history keeps what it is given."""
import sqlite3

import numpy
import pytest
from test_compare import make_run

from poolmark.compare import change_points, history
from poolmark.base.errors import UsageError


def noise(seed, count, spread=.01):
    return 100 * numpy.random.default_rng(seed).normal(1, spread, count)


def test_a_jump_is_found_where_it_is():
    values = noise(1, 30)
    values[18:] *= 1.05
    points = change_points.find(values)
    assert len(points) == 1 and abs(points[0].index - 18) <= 1 and abs(points[0].change - .05) < .015


def test_a_drift_of_one_percent_a_night_over_ten_nights_is_found():
    values = noise(2, 20)
    values[10:] *= 1 + .01 * numpy.arange(1, 11)
    points = change_points.find(values)
    assert points and points[-1].after > 103


def test_noise_alone_seldom_has_a_change_point():
    assert sum(bool(change_points.find(noise(seed, 30), seed)) for seed in range(40)) <= 5


@pytest.mark.parametrize("values", [[], [1], [1] * 5, [5.0] * 40, [0.0] * 20])
def test_short_and_level_series_have_none(values):
    assert change_points.find(values) == []


def test_the_statistic_is_that_of_the_definition():
    values = noise(3, 12)
    distances = numpy.abs(numpy.subtract.outer(values, values))

    def energy(at):
        left, right = values[:at], values[at:]
        between = numpy.abs(numpy.subtract.outer(left, right)).mean()

        def within(side):
            return numpy.abs(numpy.subtract.outer(side, side)).sum() / (len(side) * (len(side) - 1))

        return len(left) * len(right) / len(values) * (2 * between - within(left) - within(right))

    best = max(range(3, 10), key=energy)
    statistic, at = change_points._best_split(distances)
    assert at == best and statistic == pytest.approx(energy(best))


def test_history_gives_back_medians_in_order_of_time(tmp_path):
    db = history.open_history(tmp_path / "h.sqlite")
    for number in (2, 1, 3):
        run = make_run(f"nightly-2026010{number}T000000Z-0001", scale=number, cells=1, spread=0)
        run["started_utc"] = f"2026-01-0{number}T00:00:00Z"
        assert history.append(db, run, "no regression") == 1
    found = history.series(db, history.hosts(db)[0])
    assert len(found) == 1 and found[0].values == pytest.approx([1e6, 2e6, 3e6])
    history.append(db, run, "regression")
    assert db.execute("SELECT count(*) FROM run").fetchone() == (3,)


def test_from_zero_to_five_hundred_lost_is_worse_in_words(tmp_path, poolmark):
    """It was "better by +0.0 %": of zero there is no share."""
    db = history.open_history(tmp_path / "h.sqlite")
    for night in range(1, 21):
        run = make_run(f"nightly-202601{night:02}T000000Z-0001", cells=1, spread=0, metric="messages.lost", unit="1",
                       level=500 if night > 12 else 0)
        run["started_utc"] = f"2026-01-{night:02}T00:00:00Z"
        history.append(db, run, "no regression")
    db.close()
    point = change_points.find([0.0] * 12 + [500.0] * 8)[0]
    assert point.change == float("inf") and point.is_worse("lower") and not point.is_worse("higher")
    done = poolmark("trend", "--history", tmp_path / "h.sqlite")
    assert "0 to 500 (worse, from 0 to 500)" in done.stdout
    assert "change point at 2026-01-13T00:00:00Z" in done.stdout and done.stdout.count("worse, from 0 to 500") == 2
    assert "better" not in done.stdout


def test_runs_of_another_host_stand_in_another_series(tmp_path):
    db = history.open_history(tmp_path / "h.sqlite")
    other = make_run("nightly-20260102T000000Z-0001")
    other["host"]["cpu_model"] = "another"
    history.append(db, make_run(), "no regression")
    history.append(db, other, "no regression")
    assert len(history.hosts(db)) == 2


def test_a_file_that_is_no_history_is_named(tmp_path):
    path = tmp_path / "x.sqlite"
    path.write_text("nothing of the kind, but long enough to be looked at as a data base" * 20)
    with pytest.raises(UsageError, match="x.sqlite"):
        history.open_history(path)
    newer = sqlite3.connect(tmp_path / "n.sqlite")
    newer.execute("PRAGMA user_version = 9")
    newer.commit()
    newer.close()
    with pytest.raises(UsageError, match="version 9"):
        history.open_history(tmp_path / "n.sqlite")
