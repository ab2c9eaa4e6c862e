# SPDX-License-Identifier: Apache-2.0
"""Change points: jumps and drifts are found, noise is not. The history keeps the data it is given."""
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


def test_among_hundreds_of_quiet_series_none_is_called_changed_and_a_real_change_still_is():
    """Each series was tested by itself at 5 %: 17 of 475 quiet ones had a change point, and many were "worse by +2.7 %"."""
    quiet = [noise(seed, 30) for seed in range(475)]
    points = change_points.find_all(quiet)
    assert sum(map(bool, points)) <= 1
    assert sum(last.differs for last in change_points.last_nights(quiet, points)) <= 1
    quiet[7] = quiet[7].copy()
    quiet[7][15:] *= 1.05
    quiet[9] = numpy.append(quiet[9][:-1], 130.0)
    points = change_points.find_all(quiet)
    lasts = change_points.last_nights(quiet, points)
    assert [point.index for point in points[7]] in ([14], [15], [16]) and sum(map(bool, points)) <= 2
    assert lasts[9].differs and lasts[9].value == 130 and lasts[9].nights == 29


def test_the_last_night_is_set_beside_its_segment():
    values = [*noise(1, 12), *(2 * noise(2, 12)), 210.0]
    points = change_points.find_all([values])
    last = change_points.last_nights([values], points)[0]
    assert last.nights == 12 and 195 < last.median < 205 and last.differs
    level = change_points.last_nights([[0.0] * 9 + [3.0], [5.0] * 9, [5.0]], [[], [], []])
    assert level[0].differs and not level[1].differs and level[2] is None


def test_the_level_is_that_of_benjamini_and_hochberg():
    assert change_points.level_of([.01, .02, .03, .9]) == pytest.approx(.0375) and change_points.level_of([.5, .9]) == 0
    assert change_points.level_of([.04] + [.9] * 9) == 0


def test_losses_in_some_runs_of_a_night_are_not_lost(tmp_path):
    run = make_run(cells=1, spread=0, metric="messages.lost", unit="1", level=0, repetitions=9)
    for cell in run["cells"][:4]:
        cell["metrics"]["messages.lost"]["value"] = 18.0
    db = history.open_history(tmp_path / "h.sqlite")
    history.append(db, run, "no regression")
    assert history.series(db, history.hosts(db)[0])[0].values == [8.0]
    assert history.middle([0, 0, 5e6], "ns") == 0 and history.middle([0, 3, 3], "1") == 3


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
    """An earlier version said "better by +0.0 %", but a change from zero has no percentage."""
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
    assert "500 last night, 500 in the middle of 7 nights before since 2026-01-13; 20 nights" in done.stdout
    assert "change point at 2026-01-13T00:00:00Z" in done.stdout and done.stdout.count("worse, from 0 to 500") == 1
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


def nights(path, dates, **more):
    db = history.open_history(path)
    for number, date in enumerate(dates):
        run = make_run(f"nightly-{date.replace('-', '')}T000000Z-{number:04x}", cells=1, seed=number + 1, **more)
        run["started_utc"] = f"{date}T00:00:00Z"
        history.append(db, run, "no regression")
    return db


def test_one_night_is_told_as_one(tmp_path, poolmark):
    nights(tmp_path / "h.sqlite", ["2026-01-01"]).close()
    done = poolmark("trend", "--history", tmp_path / "h.sqlite", "--html", tmp_path / "t.html")
    assert done.returncode == 0 and not done.stderr
    assert "one night so far: nothing to set it beside; a change point takes 6 nights" in done.stdout
    assert "the same" not in done.stdout


def test_a_clock_set_back_between_two_nights_is_told(tmp_path, poolmark):
    nights(tmp_path / "h.sqlite", ["2026-01-01", "2026-01-05", "2026-01-03"]).close()
    done = poolmark("trend", "--history", tmp_path / "h.sqlite")
    assert done.returncode == 0 and done.stdout.count("was added after a night of a later date: the clock was set back") == 1
    assert "nightly-20260103T000000Z-0002 of 2026-01-03T00:00:00Z" in done.stdout


@pytest.mark.parametrize("change", ["UPDATE metric SET value = 'x'", "UPDATE metric SET value = 9e999", "UPDATE metric SET deviation = 'x'",
                                    "UPDATE metric SET unit = x'00ff'", "UPDATE run SET started_utc = x'00'", "DROP TABLE metric"])
def test_a_damaged_line_is_a_sentence(tmp_path, poolmark, change):
    db = nights(tmp_path / "h.sqlite", ["2026-01-01", "2026-01-02"])
    db.execute(change)
    db.commit()
    db.close()
    done = poolmark("trend", "--history", tmp_path / "h.sqlite")
    assert done.returncode == 2 and "the history cannot be used" in done.stderr and "Traceback" not in done.stderr


def test_the_history_keeps_how_much_repetitions_differ_and_power_goes_by_it(tmp_path, poolmark):
    from poolmark.compare import power_told
    from poolmark.compare.power import deviation_of

    db = nights(tmp_path / "h.sqlite", ["2026-01-01", "2026-01-02", "2026-01-03"], spread=.03)
    host = history.hosts(db)[0]
    kept = history.series(db, host)[0].deviations
    db.close()
    runs = [make_run(cells=1, seed=number, spread=.03) for number in (1, 2, 3)]
    assert kept == pytest.approx([deviation_of([cell["metrics"]["connect.p99"]["value"] for cell in run["cells"]]) for run in runs])
    known = history.nights(tmp_path / "h.sqlite", host)
    assert known["cell-0", "connect.p99"] == kept and history.nights(tmp_path / "none.sqlite", host) == {}
    found = [power_told.Spread("connect.p99", "cell-0", .5, 9)]
    assert power_told.by_nights(found, known) == 3 and found[0].deviation == pytest.approx(sorted([*kept, .5])[1] / 2 + sorted([*kept, .5])[2] / 2)
    assert "one run of a night to the next" in poolmark("trend", "--history", tmp_path / "h.sqlite").stdout


def test_a_history_of_version_1_is_brought_up(tmp_path):
    db = nights(tmp_path / "h.sqlite", ["2026-01-01"])
    db.executescript("ALTER TABLE metric DROP COLUMN deviation; PRAGMA user_version = 1;")
    db.close()
    again = history.open_history(tmp_path / "h.sqlite")
    assert history.series(again, history.hosts(again)[0])[0].deviations == [None]
    assert again.execute("PRAGMA user_version").fetchone() == (2,)
