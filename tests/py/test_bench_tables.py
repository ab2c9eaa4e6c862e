# SPDX-License-Identifier: Apache-2.0
"""Statistics of benchmarks on known data; tables and headlines of made results."""
import os
import socket

import pytest
from bench_told import bench_of, results_of

from poolmark.bench import bench_headlines, bench_tables, full_speed
from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench import Attempt
from poolmark.bench.bench_report import Measured
from poolmark.bench.bench_results import Results, alike
from poolmark.facts import listeners, quiet


# Statistics.

def test_spread_of_known_samples():
    found = statistics.spread([9, 1, 2, 8, 5, 4, 6, 3, 7])
    assert (found.count, found.median, found.q1, found.q3, found.mad, found.low, found.high) == (9, 5, 3, 7, 2, 1, 9)
    found = statistics.spread([1, 2, 3, 4])
    assert (found.median, found.q1, found.q3, found.mad) == (2.5, 1.75, 3.25, 1)
    found = statistics.spread([4.5])
    assert (found.median, found.q1, found.q3, found.mad) == (4.5, 4.5, 4.5, 0)
    assert statistics.spread([]) is None


def test_one_outlier_moves_neither_median_nor_quartiles_far():
    assert statistics.spread([10, 10, 11, 11, 12, 12, 1000]).median == 11
    assert statistics.spread([10, 10, 11, 11, 12, 12, 1000]).mad == 1


def test_ratios_are_taken_within_rounds():
    ours, theirs = {1: 2.0, 2: 4.0, 3: 30.0, 4: 1.0}, {1: 4.0, 2: 8.0, 3: 60.0, 9: 1.0}
    found = statistics.ratio(ours, theirs)  # the third round was slow for both
    assert (found.count, found.median, found.low, found.high) == (3, 0.5, 0.5, 0.5)
    assert statistics.difference({1: 5.0, 2: 7.0}, {1: 4.0, 2: 4.0}).median == 2
    assert statistics.ratio({1: 1.0}, {}) is None
    assert statistics.ratio({1: 1.0}, {1: 0.0}) is None


def test_when_few_rounds_are_shared_all_pairs_count():
    found = statistics.ratio({1: 2.0, 2: 4.0}, {2: 4.0, 3: 8.0})
    assert (found.count, found.low, found.median, found.high) == (2, 0.25, 0.5, 1.0)
    assert found.confidence == 0  # that of two values is 50 % for each side, so nothing is sure of both
    found = statistics.ratio({1: 2.0, 2: 20.0}, {1: 4.0, 2: 40.0})  # two rounds, shared by both
    assert (found.count, found.low, found.high) == (2, 0.5, 0.5)


def test_pairs_that_share_values_claim_no_more_than_both_intervals():
    ours, theirs = {n: 10.0 + n for n in range(9)}, {n + 20: 20.0 + n for n in range(9)}
    found = statistics.ratio(ours, theirs)
    (low, high, sure), (their_low, their_high, _) = (statistics.sure_interval(sorted(one.values()), 0.975) for one in (ours, theirs))
    assert (found.sure_low, found.sure_high) == (low / their_high, high / their_low)
    assert found.count == 9 and found.confidence == pytest.approx(2 * sure - 1) and 0.95 <= found.confidence < sure


def test_time_of_others_is_what_is_neither_ours_nor_idle(monkeypatch):
    tick = os.sysconf("SC_CLK_TCK")
    stat = "cpu {} 0 {} {} 0 0 0 {} 0 0\ncpu0 1 1 1"
    assert quiet.busy_and_all_s(stat.format(3 * tick, tick, 5 * tick, tick)) == (5, 10)
    assert quiet.busy_and_all_s("") is None
    assert quiet.busy_and_all_s("cpu 1 2 x 4 5 6 7 8 9") is None
    texts = iter([stat.format(0, 0, 0, 0), stat.format(6 * tick, 0, 4 * tick, 0)])
    monkeypatch.setattr(quiet.proc_files, "read_text", lambda path: next(texts))
    own = iter([100.0, 104.0])
    monkeypatch.setattr(quiet, "own_s", lambda: next(own))
    assert quiet.OthersClock().percent() == 20  # 6 s busy of 10, of which 4 ours
    assert "had 20 % of the processors' time: times are longer than" in quiet.busy_text(20.0, "times are longer")
    assert quiet.busy_text(10.0, "") is None and quiet.busy_text(None, "") is None


def test_time_of_a_target_that_ran_before_is_not_that_of_others(monkeypatch):
    tick = os.sysconf("SC_CLK_TCK")
    stat, of_target = "cpu {} 0 0 {} 0 0 0 0 0 0\n", "7 (a (b) c) S " + " ".join(["0"] * 10) + " {} {} 0 0"
    texts = {"/proc/stat": iter([stat.format(0, 0), stat.format(6 * tick, 4 * tick)]),
             "/proc/7/stat": iter([of_target.format(tick, tick), of_target.format(3 * tick, 2 * tick)]), "/proc/8/stat": iter(["", ""])}
    monkeypatch.setattr(quiet.proc_files, "read_text", lambda path: next(texts[path]))
    monkeypatch.setattr(quiet, "own_s", lambda: 0.0)
    assert quiet.OthersClock(besides=[7, 8]).percent() == 30    # 6 s busy of 10, of which 3 the target's


def test_who_listens_at_an_address_is_found():
    with socket.create_server(("127.0.0.1", 0)) as one:
        assert listeners.owners([f"mqtt://127.0.0.1:{one.getsockname()[1]}"]) == [os.getpid()]
        port = one.getsockname()[1]
    assert listeners.owners([f"mqtt://127.0.0.1:{port}"]) is None      # nobody
    assert listeners.owners(["mqtt://192.0.2.1:1883"]) == []            # an address of nobody here (TEST-NET-1)


def test_time_of_interrupts_can_be_left_out(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    stat = f"cpu {3 * tick} 0 0 {4 * tick} 0 {tick} {2 * tick} 0 0 0"
    assert quiet.busy_and_all_s(stat) == (6, 10)
    assert quiet.busy_and_all_s(stat, interrupts=False) == (3, 10)
    assert not quiet.charges_interrupts(tmp_path)
    config = tmp_path / "boot" / f"config-{os.uname().release}"
    config.parent.mkdir()
    for text, charged in (("# CONFIG_IRQ_TIME_ACCOUNTING is not set\n", True), ("CONFIG_IRQ_TIME_ACCOUNTING=y\n", False)):
        config.write_text(text)
        assert quiet.charges_interrupts(tmp_path) is charged


# Tables and headlines.

def test_headlines_of_known_figures():
    found = {one.name: one for one in bench_headlines.headlines(results_of({
        "lifo/null/3072": {"time": [3.0, 3.0, 3.0]},
        "lifo/bare/3072": {"time": [2.0, 2.0, 2.0]},
        "lifo/slab/3072": {"time": [4.0, 3.0, 5.0]},
        "lifo/slab/3072/threads:2": {"time": [4.4, 3.3, 5.5]},
        "lifo_two/slab/3072": {"time": [8.0, 7.0, 9.0]},
        "lifo_touch_line/direct-slab/3072": {"time": [4.0, 3.0, 5.0]},
        "lifo_touch_line/direct-glibc/3072": {"time": [30.0, 30.0, 30.0]},
        "lifo_touch_line/direct-gperftools-tuned/3072": {"time": [8.0, 10.0, 10.0]},
        "lifo_touch_line/malloc/3072": {"time": [1.0, 1.0, 1.0]},
        "bound/slab/3072": {"time": [4.0]}, "bound_overflow/slab/3072": {"time": [6.0]},
        "crowd/slab/3072/threads:16": {"time": [90.0], "p99_99_ns": [600.0], "longest_ns": [9e6]},
        "idle_threads_in_turn/slab/3072": {"time": [1.0], "idle_bytes": [1024.0 * 1024]},
        "idle_threads_in_turn/direct-jemalloc/3072": {"time": [1.0], "idle_bytes": [3072.0 * 1024]},
        "idle_threads/slab/3072": {"time": [1.0], "idle_bytes": [9e9], "idle_1s_bytes": [4096.0 * 1024]},
        "grow/slab-background/3072": {"time": [30.0], "p99_99_ns": [700.0], "any_speed_p99_99_ns": [7000.0], "faults_get": [0.0],
                                      "full_speed_share": [0.9], "at_full_speed": [1.0], "longest_ns": [9e3]},
        "grow/slab-inline/3072": {"time": [30.0], "longest_expansion_ns": [5e5]},
        "blowup/slab-background/3072": {"time": [1.0], "after_1s_ratio": [1.02], "peak_ratio": [1.1], "again_ns": [900.0]},
        "blowup/direct-glibc/3072": {"time": [1.0], "again_ns": [1000.0]}, "blowup/direct-gperftools/3072": {"time": [2.0], "again_ns": [300.0]},
        "lifo_touch_line/slab/3072": {"time": [6.0, 6.0, 6.0]},
        "exhaust_heap/slab/3072": {"time": [60.0]}, "lifo/direct-glibc/3072": {"time": [40.0]},
    }))}
    fastest = found["lifo, a line: direct-slab / fastest allocator"]
    assert list(found)[:2] == [fastest.name, "lifo, a line: slab called / fastest allocator"]
    assert found["lifo, a line: slab called / fastest allocator"].value.median == 0.6
    assert found["lifo, a line: slab called / fastest allocator"].target == bench_headlines.BESIDE
    assert found["blowup: slab, a storm that comes again / fastest allocator"].value.median == 3  # of the fastest in that storm
    assert found["exhaust_heap: slab, a get past the bound / direct-glibc"].value.median == 1.5
    assert fastest.value.median == 0.5  # of 0.5, 0.3, 0.5: against the fastest direct allocator, not malloc through a pool
    assert "direct-gperftools-tuned 10 ns" in fastest.note and fastest.target == "at most 0.40"
    assert found["lifo: slab - null"].value.median == 1
    assert found["lifo, untouched: slab, 2 threads / 1 thread"].value.median == pytest.approx(1.1)
    assert found["lifo_two: slab, more than alone"].value.median == 1  # 8 - 3 (null) - 4 (alone)
    assert found["bound: slab, overflow out / never full"].value.median == 1.5
    assert found["crowd: slab, 16 threads, p99.99 of a get"].value.median == 600
    assert found["1000 idle threads, objects had in turn: direct-jemalloc"].value.median == 3 << 20
    assert found["1000 idle threads, 1 s after all had theirs: slab"].value.median == 4 << 20
    grow = found["grow: slab, p99.99 of a get from when it was due"]
    assert grow.value.median == 700 and grow.note == "nothing left out: 7 us; share left out 0.10"
    assert found["grow: slab, page faults in gets"].value.median == 0
    assert found["grow: slab inline, longest growth"].value.median == 5e5
    assert found["blowup: slab, memory 1 s after / before"].value.median == 1.02
    assert found["remote_1_1, all of it: direct-slab / fastest allocator"].value is None


def test_a_tail_stands_beside_what_the_host_does_without_a_pool():
    found = {one.name: one for one in bench_headlines.headlines(results_of({
        "realtime/fixed/3072": {"time": [90.0] * 6, "p99_99_ns": [3e6] * 6, "longest_ns": [9e6] * 6},
        "realtime/bare/3072": {"time": [90.0] * 6, "p99_99_ns": [1e6, 2e6, 2e6, 2e6, 2e6, 4e6], "longest_ns": [8e6] * 6},
    }))}
    fixed = found["realtime: fixed, SCHED_FIFO, p99.99 of a get"]
    assert fixed.note == "longest 9 ms; without a pool (bare) 2 ms (1 ms to 4 ms)" and fixed.told() == "at most 20 us: missed"
    assert found["realtime: bare, SCHED_FIFO, p99.99 of a get"].note == "longest 8 ms"


def test_what_the_use_of_objects_takes_by_itself_stands_beside_the_ratio():
    found = {one.name: one for one in bench_headlines.headlines(results_of({
        "burst_1000_touch_line/direct-slab/3072": {"time": [6.0, 6.0, 6.0]},
        "burst_1000_touch_line/ready/3072": {"time": [5.0, 4.0, 5.0]},
        "burst_1000_touch_line/direct-glibc/3072": {"time": [10.0, 10.0, 10.0]},
    }))}
    assert found["burst_1000, a line: direct-slab / fastest allocator"].value.median == 0.6
    floor = found["burst_1000, a line: ready / fastest allocator"]
    assert floor.value.median == 0.5 and floor.target == bench_headlines.BESIDE
    assert not any("ready" in name for name in found if "320 B" in name), "no run had it in that row"


def test_the_interval_of_a_median_is_that_of_order_statistics():
    for count, low, high, confidence in ((1, 1, 1, 0), (3, 1, 3, 0.75), (5, 1, 5, 0.9375), (6, 1, 6, 0.96875), (9, 2, 8, 0.9609375),
                                         (20, 6, 15, 0.9586)):
        found = statistics.spread(range(1, count + 1))
        assert (found.sure_low, found.sure_high) == (low, high)
        assert found.confidence == pytest.approx(confidence, abs=1e-4)
    assert statistics.spread([10.0] * 5).half_width is None  # the confidence is too low
    assert statistics.spread([8, 9, 10, 10, 10, 10, 10, 11, 12]).half_width == pytest.approx(0.1)


def test_uses_of_an_object_stand_side_by_side_untouched_last():
    results = results_of({"lifo/slab/3072": {"time": [3.0]}, "lifo_touch_line/slab/3072": {"time": [4.0]},
                          "lifo_touch_line/direct-glibc/3072": {"time": [30.0]}, "lifo_touch_all/direct-glibc/3072": {"time": [60.0]}})
    (title, (head, rows)), = bench_tables.use_tables(results)
    assert title.startswith("lifo: an object is taken") and head == ["contender", "a line", "320 B", "all of it", "untouched"]
    assert [[cell.split(" ")[0] for cell in row] for row in rows] == [["slab", "4.00", "-", "-", "3.00"],
                                                                     ["direct-glibc", "30.0", "-", "60.0", "-"]]


def test_what_was_left_out_and_the_figure_without_it_stand_in_the_same_row():
    results = results_of({"lifo/slab/64": {"time": [4.0], "any_speed_ns": [6.0], "full_speed_share": [0.75], "at_full_speed": [1.0]},
                          "lifo/sync/64": {"time": [9.0], "any_speed_ns": [9.0], "full_speed_share": [0.1], "at_full_speed": [0.0]}})
    assert [row[2:6] for row in bench_tables.time_rows(results)] == [["4.00", "4.00 to 4.00 (0 %)", "6.00", "0.25"],
                                                                    ["9.00", "9.00 to 9.00 (0 %)", "9.00", "all slow"]]
    results = results_of({"grow/slab/3072": {"time": [4.0], "p50_ns": [20.0], "p99_99_ns": [700.0], "any_speed_p99_99_ns": [18000.0],
                                             "full_speed_share": [0.75], "at_full_speed": [1.0]}})
    shown = dict(zip(*[(head, rows[0]) for head, rows in [bench_tables.counter_tables(results)[0][1]]][0], strict=True))
    assert (shown["p99.99 ns"], shown["left out"], shown["nothing left out: p99.99"]) == ("700", "0.25", "18000")


def test_rounds_at_full_speed_count_alone_when_there_are_three():
    slow, full = {"at_full_speed": 0.0, "full_speed_share": 0.0}, {"at_full_speed": 1.0, "full_speed_share": 0.5}
    results = results_of({"lifo/slab/3072": {"time": [4.0]}})
    series = results.series["lifo/slab/3072"]
    for number, (time_ns, counters) in enumerate([(9.0, slow), (4.0, full), (8.0, slow), (4.2, full)], 1):
        series.add(number, Measured(time_ns, counters))
    assert series.of() == {1: 9.0, 2: 4.0, 3: 8.0, 4: 4.2}
    series.add(5, Measured(4.4, full))
    assert series.of() == {2: 4.0, 4: 4.2, 5: 4.4} and series.spread().median == 4.2
    speed = full_speed.Speed(0.25)
    assert speed.rank(Measured(1.0, slow)) < speed.rank(Measured(2.0, full))
    assert speed.rank(Measured(1.0, full)) == speed.rank(Measured(2.0, full))
    all_of_a_slow_spell = {**full, "full_speed_share": 1.0, "step_ns": 0.4}
    assert speed.rank(Measured(1.0, all_of_a_slow_spell)) < speed.rank(Measured(2.0, full))
    assert not speed.missed(Measured(1.0, {}))  # a workload without full speed


def test_no_slow_round_of_one_is_set_against_a_fast_one_of_the_other():
    ours, theirs = [2.0, 8.0, 8.0, 8.0], [6.0, 6.0, 6.0, 24.0]
    results = results_of({"lifo_touch_line/direct-slab/3072": {"time": ours, "at_full_speed": [1.0, 0.0, 0.0, 0.0]},
                          "lifo_touch_line/direct-glibc/3072": {"time": theirs, "at_full_speed": [1.0, 1.0, 1.0, 0.0]}})
    one, other = results.series.values()
    assert set(other.of()) == {1, 2, 3} and set(one.of()) == {1, 2, 3, 4}
    assert alike(one, other) == [dict(enumerate(ours, 1)), dict(enumerate(theirs, 1))]
    for number in (5, 6):
        one.add(number, Measured(2.0, {"at_full_speed": 1.0}))
        other.add(number, Measured(6.0, {"at_full_speed": 1.0}))
    assert alike(one, other) == [{1: 2.0, 5: 2.0, 6: 2.0}, {1: 6.0, 5: 6.0, 6: 6.0}]
    assert bench_tables.ratio_to(results, one, "direct-glibc").median == pytest.approx(1 / 3)


def test_what_took_a_slow_spell_for_full_speed_is_found_out_later():
    counters = {"at_full_speed": 1.0, "full_speed_share": 1.0}
    speed = full_speed.Speed(0.4)
    series = Results([bench_of("lifo/slab/3072")], speed=speed).series["lifo/slab/3072"]
    for number, step_ns in enumerate([0.4, 0.25, 0.26, 0.27], 1):
        measured = Measured(10 * step_ns, {**counters, "step_ns": step_ns})
        series.add(number, measured)
        speed.hear(measured)
    assert speed.step_ns == 0.25
    assert series.full() == {2, 3, 4} and set(series.of()) == {2, 3, 4}
    assert full_speed.Speed().flags(True, 5) == []


def test_the_heap_begins_elsewhere_in_each_round_and_for_all_contenders_alike():
    one, other = bench_of("lifo/slab/64"), bench_of("lifo/malloc/64")
    shifts = [Attempt(one, number).heap_shift(7) for number in range(1, 40)]
    assert shifts == [Attempt(other, number).heap_shift(7) for number in range(1, 40)]
    assert len(set(shifts)) > 20 and all(shift % 16 == 0 and 0 <= shift < 4096 for shift in shifts)
    assert shifts != [Attempt(one, number).heap_shift(8) for number in range(1, 40)]
    assert Attempt(one, 3, 2).heap_shift(7) != shifts[2]


@pytest.mark.parametrize("target, unit, values, told", [
    ("at most 0.40", "x", [0.30, 0.40, 0.31], "at most 0.40 x: reached"),
    ("at most 0.40", "x", [0.41, 0.50, 0.45], "at most 0.40 x: missed"),
    ("at most 0.40", "x", [0.30, 0.41, 0.31], "at most 0.40 x: open, the interval has both"),
    ("below 1000", "ns", [900.0, 1000.0, 950.0], "below 1 us: open, the interval has both"),
    ("below 1000", "ns", [1000.0, 1001.0, 1000.0], "below 1 us: missed"),
    ("at most 20000", "ns", [1000.0, 1001.0, 1000.0], "at most 20 us: reached"),
    ("0", "", [0.0, 0.0, 0.0], "0: reached"),
    ("0", "", [1.0, 1.0, 2.0], "0: missed"),
    ("to compare", "x", [1.0, 1.0, 2.0], "to compare"),
])
def test_an_aim_is_reached_by_the_whole_interval_and_has_its_unit(target, unit, values, told):
    rows = bench_tables.headline_rows([bench_headlines.Headline("a", statistics.known(values), unit, target)])
    assert rows[0][4] == told


def test_an_aim_that_was_not_measured_has_its_unit_too():
    assert bench_headlines.Headline("a", None, "ns", "at most 20000").told() == "at most 20 us"
    assert bench_tables.headline_rows([bench_headlines.Headline("a", None, "x", "at most 0.40")])[0][4] == "at most 0.40 x"


def test_the_table_has_median_interval_and_both_ratios():
    results = results_of({"lifo/bare/64": {"time": [2.0, 2.0, 2.0]}, "lifo/direct-glibc/64": {"time": [20.0, 19.0, 21.0]},
                          "lifo/sync/64": {"time": [5.0, 4.0, 6.0]}})
    rows = bench_tables.time_rows(results)
    assert [row[1] for row in rows] == ["bare", "sync", "direct-glibc"]
    assert rows[1] == ["lifo/64", "sync", "5.00", "4.00 to 6.00 (75 %)", "-", "-", "0.25 (0.21 to 0.29)", "2.50 (2.00 to 3.00)"]
    assert "not measured" in bench_tables.terminal(results)


def test_headlines_without_a_figure_are_left_out_when_not_all_was_asked_for():
    found = {"lifo/null/3072": {"time": [2.0]}, "lifo/slab/3072": {"time": [3.0]}}
    shown = bench_tables.terminal(results_of(found), filtered=True)
    assert "lifo: slab - null" in shown and "not measured" not in shown and "blowup" not in shown
    found.pop("lifo/slab/3072")
    assert "headline" not in bench_tables.terminal(results_of(found), filtered=True)


def test_a_headline_needs_every_contender_that_would_take_part():
    values = {"lifo/direct-slab/3072": {"time": [3.0]}, "lifo/direct-glibc/3072": {"time": [9.0]}}
    results = results_of(values)
    whole = [series.bench for series in results.series.values()]
    assert "fastest allocator" in bench_tables.terminal(results, filtered=True)
    results.planned = Results(whole, whole + [bench_of("lifo/direct-jemalloc/3072")]).planned
    assert "fastest allocator" not in bench_tables.terminal(results, filtered=True)
    results = results_of({"blowup/slab/3072": {"time": [3.0], "after_1s_ratio": [1.0]}})
    whole = [series.bench for series in results.series.values()]
    results.planned = Results(whole, whole + [bench_of("blowup/slab-background/3072")]).planned
    assert "headline" not in bench_tables.terminal(results, filtered=True)


def test_an_interrupted_run_has_no_headlines():
    results = results_of({"lifo/null/3072": {"time": [2.0]}, "lifo/slab/3072": {"time": [3.0]}})
    results.interrupted = True
    assert "headline" not in bench_tables.terminal(results)
