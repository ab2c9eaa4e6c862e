# SPDX-License-Identifier: Apache-2.0
"""The benchmark runner: statistics on known data, the plan, refused reports, and whole runs of the real program and of small
programs that misbehave."""
import csv
import hashlib
import json
import os
import re
import subprocess

import pytest
from bench_told import anomalies

from poolmark.facts import allocators, described, quiet
from poolmark.bench import bench_headlines, bench_plan, bench_report, bench_tables, full_speed
from poolmark.bench import bench_statistics as statistics
from poolmark.bench.bench import Attempt
from poolmark.bench.bench_plan import Bench, Contender
from poolmark.bench.bench_report import Measured, NoFigure
from poolmark.bench.bench_results import Results
from poolmark.base.errors import PoolmarkError, RecordError, UsageError
from poolmark.base.paths import build_dir

GLIBC = Contender("malloc", "malloc")
PROGRAM = build_dir() / "poolmark-bench"
needs_program = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="poolmark-bench is not built")


def bench_of(text, contender=None):
    workload, strategy, size, threads, in_name = bench_plan.parse_name(text)
    return Bench(workload, contender or Contender(strategy, strategy), size, threads, in_name)


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
    assert (found.count, found.low, found.median, found.high) == (4, 0.25, 0.5, 1.0)
    found = statistics.ratio({1: 2.0, 2: 20.0}, {1: 4.0, 2: 40.0})  # two rounds, shared by both
    assert (found.count, found.low, found.high) == (2, 0.5, 0.5)


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


# The plan.

def test_direct_runs_once_for_each_allocator_and_malloc_by_a_pool_on_glibc():
    benches = bench_plan.expand(["lifo/null/64", "lifo/malloc/64", "lifo/direct/64", "lifo/direct/64/threads:2", "lifo/new/64"])
    names = [bench.name for bench in benches]
    assert names[1] == "lifo/malloc/64" and "lifo/malloc-gperftools/64" in names and "lifo/malloc-glibc/64" not in names
    direct = [bench for bench in benches if bench.contender.strategy == "direct" and bench.threads == 1]
    assert [bench.contender.name for bench in direct] == [
        f"direct-{name}{tuned}" for name in ("glibc", "gperftools", "jemalloc", "mimalloc") for tuned in ("", "-tuned")]
    assert all(bench.program_name == "lifo/direct/64" for bench in direct)
    assert [bench.config()["allocator"] for bench in direct[:3]] == ["glibc", "glibc-tuned", "gperftools"]
    assert direct[2].contender.words() == ["LD_PRELOAD=libtcmalloc.so.4"]
    assert direct[5].contender.words()[1].startswith("MALLOC_CONF=")
    assert all(bench.contender.variables for bench in direct if bench.contender.name.endswith("-tuned"))
    assert names[-1] == "lifo/new/64"  # an unknown strategy takes part
    with pytest.raises(PoolmarkError, match="lifo-64"):
        bench_plan.expand(["lifo-64"])


def test_a_set_is_part_of_the_next_larger():
    benches = bench_plan.expand(["lifo/malloc/64", "lifo_touch_line/direct/3072", "fifo/malloc/64", "fifo/malloc/3072",
                                 "fifo/direct/3072", "blowup_10s/malloc/3072"])
    headlines, default, full = ({bench.name for bench in bench_plan.select(benches, name, None)} for name in bench_plan.SETS)
    assert headlines < default < full and len(full) == len(benches)
    assert headlines == {f"lifo_touch_line/direct-{name}/3072" for name, _, _ in bench_plan.ON}  # including tuned allocators
    assert {"lifo/malloc/64", "fifo/malloc/3072", "fifo/direct-gperftools/3072"} <= default
    assert "fifo/direct-gperftools-tuned/3072" not in default and "fifo/malloc-jemalloc/3072" not in default
    assert "fifo/malloc/64" not in default and "blowup_10s/malloc/3072" not in default
    assert [bench.name for bench in bench_plan.select(benches, "full", "^fifo/malloc-jem.*c/64$")] == ["fifo/malloc-jemalloc/64"]
    with pytest.raises(UsageError, match="8 of the full set do"):
        bench_plan.select(benches, "default", "^fifo/.*/64$")
    with pytest.raises(UsageError, match="not a regular expression"):
        bench_plan.select(benches, "default", "(")


def test_headlines_have_more_rounds_than_what_stands_beside():
    benches = bench_plan.expand(["lifo_touch_line/slab/3072", "fifo/slab/3072", "blowup/slab/3072"])
    assert [sum(bench in one for one in bench_plan.rounds(benches, None, 1)) for bench in benches] == [9, 6, 3]
    assert [sum(bench in one for one in bench_plan.rounds(benches, 20, 1)) for bench in benches] == [20, 20, 3]


def test_another_library_takes_part_under_its_own_name(tmp_path):
    file = tmp_path / "libnew malloc.so.2.1"
    file.write_bytes(b"a library")
    (name, path, variables), (second, _, _) = bench_plan.added([str(file), str(file)])[-2:]
    assert (name, path, variables, second) == ("new_malloc", str(file), (), "new_malloc-2")
    contender = bench_plan.contenders("direct", (*bench_plan.ON, (name, path, variables)))[-1]
    assert contender.name == "direct-new_malloc" and contender.words() == ["LD_PRELOAD=libnew malloc.so.2.1"]
    assert contender.environment()["LD_PRELOAD"] == str(file)
    assert allocators.checksum(path) == hashlib.sha256(b"a library").hexdigest()
    for missing in (str(tmp_path / "none.so"), str(tmp_path)):
        with pytest.raises(UsageError, match="there is no such file"):
            bench_plan.added([missing])


def test_what_cannot_be_measured_here_is_left_out_with_its_reason(monkeypatch):
    benches = bench_plan.expand(["lifo/slab/3072", "realtime/slab/3072", "realtime/fixed/3072"])
    monkeypatch.setattr(bench_plan, "realtime_is_allowed", lambda: True)
    assert bench_plan.possible(benches) == (benches, [])
    monkeypatch.setattr(bench_plan, "realtime_is_allowed", lambda: False)
    left, said = bench_plan.possible(benches)
    assert left == benches[:1] and len(said) == 1
    assert said[0].startswith("2 benchmarks realtime are left out: it needs SCHED_FIFO")
    assert bench_plan.possible(benches[:1]) == (benches[:1], [])


def test_what_the_environment_tells_allocators_is_taken_away(monkeypatch):
    for name in allocators.variables_set():
        monkeypatch.delenv(name)
    monkeypatch.setenv("MALLOC_PERTURB_", "17")
    monkeypatch.setenv("mimalloc_verbose", "1")
    monkeypatch.setenv("TCMALLOC_RELEASE_RATE", "")
    monkeypatch.setenv("LD_PRELOAD", "libother.so")
    assert allocators.variables_set() == ["LD_PRELOAD", "MALLOC_PERTURB_", "mimalloc_verbose"]
    changed = allocators.environment("glibc", (("GLIBC_TUNABLES", "x=1"),))
    assert changed == {"LD_PRELOAD": None, "MALLOC_PERTURB_": None, "mimalloc_verbose": None, "GLIBC_TUNABLES": "x=1"}
    assert allocators.environment("jemalloc")["LD_PRELOAD"].endswith("libjemalloc.so.2")


def test_rounds_are_shuffled_by_seed_and_leave_nothing_out():
    benches = bench_plan.expand([f"lifo/s{i}/64" for i in range(20)] + ["blowup/slab/3072"])
    plan = bench_plan.rounds(benches, 9, seed=5)
    assert len(plan) == 9
    assert all({bench.name for bench in one} >= {bench.name for bench in benches[:20]} for one in plan)
    assert sum(bench.workload == "blowup" for one in plan for bench in one) == 3
    assert plan == bench_plan.rounds(benches, 9, seed=5)
    assert len(bench_plan.rounds(benches[20:], 9, seed=5)) == 3  # no round is empty
    assert plan != bench_plan.rounds(benches, 9, seed=6)
    assert [bench.name for bench in plan[0]] != [bench.name for bench in plan[1]]


# Reports.

def report_of(name="lifo/malloc/64", **changes):
    one = {"name": name, "run_name": name, "iterations": 10, "real_time": 5.0, "cpu_time": 5.0, "time_unit": "ns",
           "per_op": 5e-9, "p50_ns": 4.0}
    one.update(changes)
    return {"context": {"allocator": "glibc", "glibc_tunables": ""}, "benchmarks": [one]}


def read(tmp_path, data, bench=None):
    path = tmp_path / "1.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return bench_report.read(path, bench or bench_of("lifo/malloc/64"))


def test_a_report_gives_time_and_counters(tmp_path):
    found = read(tmp_path, report_of())
    assert found.time_ns == pytest.approx(5)
    assert found.counters == {"p50_ns": 4.0}


@pytest.mark.parametrize("change, named", [
    (lambda data: "{\"context\": ", "is not JSON"),
    (lambda data: "", "is not JSON"),
    (lambda data: "[" * 100000, "is not JSON"),
    (lambda data: "[]", "is not a JSON object"),
    (lambda data: {"benchmarks": data["benchmarks"]}, "context: is missing"),
    (lambda data: {**data, "benchmarks": []}, "benchmarks: is not a list of one benchmark"),
    (lambda data: {**data, "benchmarks": [5]}, "benchmarks: is not a list of one benchmark"),
    (lambda data: report_of(name="fifo/malloc/64"), "benchmarks[0].name: is 'fifo/malloc/64', not 'lifo/malloc/64'"),
    (lambda data: report_of(per_op=None), "benchmarks[0].per_op: is missing"),
    (lambda data: report_of(per_op="fast"), "benchmarks[0].per_op: is missing"),
    (lambda data: json.dumps(report_of()).replace("5e-09", "NaN"), "benchmarks[0].per_op: is missing"),
])
def test_what_is_wrong_with_a_report_is_named_with_its_file(tmp_path, change, named):
    with pytest.raises(RecordError) as caught:
        read(tmp_path, change(report_of()))
    assert named in str(caught.value)
    assert "1.json" in str(caught.value)


def test_another_allocator_than_asked_for_is_refused(tmp_path):
    tcmalloc = bench_of("lifo/malloc/64", Contender("tcmalloc", "malloc", "tcmalloc"))
    with pytest.raises(RecordError, match="context.allocator: is 'glibc'; lifo/tcmalloc/64 asked for 'tcmalloc'"):
        read(tmp_path, report_of(), tcmalloc)
    tuned = bench_of("lifo/malloc/64", Contender("tuned", "malloc", "glibc", (("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1"),)))
    with pytest.raises(RecordError, match="context.glibc_tunables"):
        read(tmp_path, report_of(), tuned)
    told = report_of()
    told["context"] = {"allocator": "glibc", "allocator_environment": "MALLOC_PERTURB_=17"}
    with pytest.raises(RecordError, match="context.allocator_environment: is 'MALLOC_PERTURB_=17'; lifo/malloc/64 asked for ''"):
        read(tmp_path, told)
    other = bench_of("lifo/malloc/64", Contender("other", "malloc", "/lib/libother.so"))
    with pytest.raises(RecordError, match="is 'glibc': libother.so takes no program's malloc"):
        read(tmp_path, report_of(), other)
    told["context"] = {"allocator": "unknown", "allocator_environment": "", "allocator_version": "7"}
    assert read(tmp_path, told, other).allocator_version == "7"


def test_samples_that_do_not_add_up_are_refused(tmp_path):
    books = {"samples_due": 100, "samples_measured": 90, "samples_left_out": 8, "samples_failed": 2}
    assert read(tmp_path, report_of(**books)).counters["samples_due"] == 100
    with pytest.raises(RecordError, match="samples_due: is 100; 89 were measured, 8 left out, 2 failed"):
        read(tmp_path, report_of(**{**books, "samples_measured": 89}))


def test_a_skipped_benchmark_says_why(tmp_path):
    with pytest.raises(NoFigure, match="the pool is empty"):
        read(tmp_path, report_of(error_occurred=True, error_message="the pool is empty"))


# Tables and headlines.

def results_of(values):
    """{name: {metric: [value of round 1, ...]}}; time is in ns."""
    benches = [bench_of(name) for name in values]
    results = Results(benches)
    for bench, metrics in zip(benches, values.values(), strict=True):
        for number in range(len(metrics["time"])):
            counters = {key: samples[number] for key, samples in metrics.items() if key != "time"}
            results.series[bench.name].add(number + 1, Measured(metrics["time"][number], counters))
    return results


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
        "blowup/slab-background/3072": {"time": [1.0], "after_1s_ratio": [1.02], "peak_ratio": [1.1]},
    }))}
    fastest = found["lifo, a line: direct-slab / fastest allocator"]
    assert next(iter(found)) == fastest.name
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
                                                                    ["9.00", "9.00 to 9.00 (0 %)", "9.00", "0.00"]]
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


def test_the_table_has_median_interval_and_both_ratios():
    results = results_of({"lifo/bare/64": {"time": [2.0, 2.0, 2.0]}, "lifo/direct-glibc/64": {"time": [20.0, 19.0, 21.0]},
                          "lifo/sync/64": {"time": [5.0, 4.0, 6.0]}})
    rows = bench_tables.time_rows(results)
    assert [row[1] for row in rows] == ["bare", "sync", "direct-glibc"]
    assert rows[1] == ["lifo/64", "sync", "5.00", "4.00 to 6.00 (75 %)", "-", "-", "0.25", "2.50"]
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


# Whole runs of the real program.

@needs_program
def test_a_small_run_end_to_end(poolmark, tmp_path):
    out = tmp_path / "run"
    done = poolmark("bench", "--build", build_dir(), "--filter", "^lifo/(null|bare|malloc|direct-glibc|direct-gperftools|expand)/64$",
                    "--repetitions", "2", "--min-time", "1ms", "--seed", "7", "--again", "0", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "lifo/64" in done.stdout and "gperftools" in done.stdout and "not measured" not in done.stdout
    data = json.loads((out / "run.json").read_text())
    assert (data["kind"], data["status"], data["seed"], anomalies(data)) == ("bench", "complete", 7, [])
    cells = {cell["id"]: cell for cell in data["cells"]}
    assert set(cells) == {f"lifo/{name}/64.1" for name in ("null", "bare", "malloc", "direct-glibc", "direct-gperftools", "expand")}
    cell = cells["lifo/direct-gperftools/64.1"]
    assert cell["config"] == {"workload": "lifo", "strategy": "direct", "bytes": 64, "threads": 1,
                              "allocator": "gperftools"}
    assert len(cell["metrics"]["time"]["samples"]) == 2
    assert cell["metrics"]["time"]["unit"] == "ns" and cell["metrics"]["time"]["better"] == "lower"
    assert cell["metrics"]["time"]["value"] > 0
    assert len(cell["commands"]) == 2 and cell["commands"][0][:2] == ["env", "LD_PRELOAD=libtcmalloc.so.4"]
    assert any(word.startswith("--poolmark_step_ns=0.") for word in cell["commands"][0])
    shifts = {tuple(word for word in one["commands"][0] if "heap_shift" in word) for one in data["cells"]}
    assert len(shifts) == 1  # one round
    assert data["config"]["windows"] == "full speed" and 0 < data["summary"]["step_ns"] < 10
    metrics = cell["metrics"]
    assert 0 <= metrics["full_speed_share"]["value"] <= 1 and metrics["any_speed_ns"]["better"] == "none"
    report = json.loads((out / cell["files"]["round_2"]).read_text())
    assert report["context"]["allocator"] == "tcmalloc"
    assert not list(out.rglob("*.log"))
    with open(out / "bench.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["contender"] for row in rows} == {"null", "bare", "malloc", "direct-glibc", "direct-gperftools", "expand"}
    assert data["books"]["measurements"] == {"attempted": 12, "measured": 12, "lost": 0, "failed": 0, "not_sent": 0, "unreadable": 0,
                                             "unfinished": 0}
    told = {one["contender"]: one for one in data["config"]["allocators"]}
    assert told["direct-gperftools"]["what"].startswith("gperftools' tcmalloc") and len(told["direct-gperftools"]["sha256"]) == 64
    assert told["direct-gperftools"]["version"] and told["direct-glibc"]["sha256"] is None
    assert all(row["ratio_to_bare"] for row in rows if row["metric"] == "time")
    assert "# Benchmarks" in (out / "bench.md").read_text()
    assert poolmark("verify", out).returncode == 0


@needs_program
def test_grow_leaves_a_trace_of_its_first_round(poolmark, tmp_path):
    out = tmp_path / "run"
    done = poolmark("bench", "--build", build_dir(), "--filter", "^grow/(fixed|expand-inline)/3072$",
                    "--repetitions", "2", "--seed", "7", "--again", "0", "--out", out)
    assert done.returncode == 0, done.stderr
    for cell in json.loads((out / "run.json").read_text())["cells"]:
        with open(out / cell["files"]["trace"], newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["get", "time_ns", "owned_objects"]
        assert (int(rows[0]["get"]), int(rows[-1]["get"])) == (0, 49999) and 2000 < len(rows) <= 5000
        grew = int(rows[0]["owned_objects"]) < int(rows[-1]["owned_objects"])
        assert grew == (cell["config"]["strategy"] == "expand-inline")
        assert sum("--poolmark_trace=" in " ".join(words) for words in cell["commands"]) == 1
    assert poolmark("verify", out).returncode == 0
    page = poolmark("report", out, "--out", tmp_path / "report")
    assert page.returncode == 0 and "Each get across expansions" in "".join(
        path.read_text() for path in (tmp_path / "report").rglob("*.html"))


@needs_program
def test_list_and_dry_run_start_nothing(poolmark, tmp_path):
    out = tmp_path / "run"
    common = ("--build", build_dir(), "--filter", "^lifo/.*/3072$", "--repetitions", "2", "--out", out)
    listed = poolmark("bench", "--list", *common)
    assert "lifo/direct-mimalloc/3072" in listed.stdout.split()
    dry = poolmark("bench", "--dry-run", *common)
    assert dry.returncode == 0
    assert len(dry.stdout.splitlines()) == 2 * len(listed.stdout.split())
    assert "LD_PRELOAD=libjemalloc.so.2" in dry.stdout and "GLIBC_TUNABLES=" in dry.stdout
    assert not out.exists()


@needs_program
@pytest.mark.parametrize("words, named", [
    (("--filter", "("), "not a regular expression"),
    (("--filter", "^nothing/"), "no benchmark of the set default matches"),
    (("--repetitions", "0"), "argument --repetitions: '0' is out of bounds; it may be 1 to 1 000"),
    (("--repetitions", "some"), "'some' is not a count"),
    (("--min-time", "soon"), "'soon' is not a span of time"),
    (("--seed", "1.5"), "1.5"),
    (("--build", "/nonexistent"), "poolmark-bench is not there; make builds it"),
    (("--set", "some"), "invalid choice: 'some'"),
    (("--allocator", "/nonexistent/liba.so"), "allocator '/nonexistent/liba.so': there is no such file"),
    (("--narrow", "-3"), "-3"),
])
def test_wrong_calls_are_named_and_leave_nothing(poolmark, tmp_path, words, named):
    out = tmp_path / "run"
    done = poolmark("bench", "--build", build_dir(), "--out", out, *words)
    assert done.returncode == 2
    assert named in done.stderr
    assert not out.exists()


def bench_program(*words, **env):
    return subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, timeout=120, env={**os.environ, **env})


@needs_program
def test_csv_on_the_screen_has_a_column_for_every_counter():
    done = bench_program("--benchmark_format=csv", "--benchmark_filter=^(lifo|cold)/malloc/64$", "--benchmark_min_time=0.0001")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in csv.DictReader(done.stdout[done.stdout.index("name,"):].splitlines())}
    assert rows["lifo/malloc/64"]["any_speed_ns"] and not rows["lifo/malloc/64"]["faults_each"]
    assert rows["cold/malloc/64"]["faults_each"] and not rows["cold/malloc/64"]["any_speed_ns"]


@needs_program
def test_the_program_says_what_it_has(tmp_path):
    assert bench_program("--version").stdout.startswith("poolmark-bench 0.")
    workloads = [line.split()[0] for line in bench_program("--poolmark_list_workloads").stdout.splitlines()]
    assert {workload for workload, _, _ in bench_plan.DEFAULT} <= set(workloads)
    assert set(bench_plan.FEWER_REPETITIONS) | set(bench_plan.RUN_S) <= set(workloads)
    done = bench_program("--help")
    assert done.returncode == 0 and "--benchmark_filter" in done.stdout
    assert 0 < float(bench_program("--poolmark_probe").stdout) < 10
    for flag in ("--poolmark_step_ns=", "--poolmark_patience_ms=", "--poolmark_heap_shift="):
        for value in ("", "-1", "fast", "1e9", "1x", "nan"):
            done = bench_program(flag + value)
            assert done.returncode == 2 and done.stderr.startswith(f"poolmark-bench: {flag[:-1]}: '{value}': it takes a number")
    done = bench_program("--benchmark_flavour=sweet")
    assert done.returncode == 2
    assert done.stderr == ("poolmark-bench: '--benchmark_flavour=sweet' is not an option, or has a value that it does not "
                           "take (--help lists them)\n")


@needs_program
@pytest.mark.parametrize("contender", bench_plan.contenders("direct"), ids=lambda contender: contender.name)
def test_each_contender_runs_on_its_own_allocator(tmp_path, contender):
    out = tmp_path / "1.json"
    bench = bench_of("lifo/direct/64", contender)
    env = {name: value for name, value in contender.environment().items() if value is not None}
    done = bench_program("--benchmark_filter=^lifo/direct/64$", "--benchmark_min_time=0.0001", f"--benchmark_out={out}", **env)
    assert done.returncode == 0, done.stderr
    found = bench_report.read(out, bench)
    assert found.time_ns > 0 and found.allocator_version


@needs_program
def test_counters_have_the_unit_that_the_programs_catalogue_says():
    metrics = {one["name"]: one for one in described.bench(build_dir())["metrics"] if one["name"] != "time"}
    for name, one in metrics.items():
        assert bench_report.unit_of(name) == (one["unit"], one["better"]), name
    columns = {counter for _, _, columns in bench_tables.COUNTER_TABLES for _, counter, _ in columns}
    assert columns - {"time", bench_tables.LEFT_OUT} <= set(metrics)


@needs_program
def test_slab_is_measured_by_its_inlined_calls_wherever_objects_are_used():
    """A build without inlined calls would say so and give no figure."""
    done = bench_program("--benchmark_filter=^(lifo|burst_1000|remote_1_1)_touch_.*/direct-slab/3072|^mixed/direct-slab",
                         "--benchmark_min_time=0.0001", "--benchmark_format=json")
    assert done.returncode == 0, done.stderr
    names = [one["name"] for one in json.loads(done.stdout)["benchmarks"] if not one.get("error_occurred")]
    assert len(names) == 3 * 2 + 3 + 3 + 2 and "mixed/direct-slab/3072" in names  # including lifo with two threads


@needs_program
def test_what_is_told_to_an_allocator_by_hand_is_in_the_report(tmp_path):
    out = tmp_path / "1.json"
    done = bench_program("--benchmark_filter=^lifo/direct/64$", "--benchmark_min_time=0.0001", f"--benchmark_out={out}",
                         MALLOC_PERTURB_="17", MIMALLOC_VERBOSE="0", TCMALLOC_RELEASE_RATE="")
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["context"]["allocator_environment"] == "MALLOC_PERTURB_=17 MIMALLOC_VERBOSE=0"


@needs_program
def test_another_library_is_measured_without_what_the_environment_says(poolmark, tmp_path):
    """A run under MALLOC_PERTURB_ is measured without it, and says so. The record has the checksum of a library given by path."""
    library = allocators.library("jemalloc")
    out = tmp_path / "run"
    done = poolmark("bench", "--build", build_dir(), "--filter", "^lifo/direct-(glibc|jemalloc|jemalloc-2)/64$", "--allocator", library,
                    "--repetitions", "1", "--min-time", "1ms", "--again", "0", "--out", out, env={**os.environ, "MALLOC_PERTURB_": "17"})
    assert done.returncode == 0, done.stderr
    assert "measured without what the environment tells allocators: MALLOC_PERTURB_" in done.stderr
    data = json.loads((out / "run.json").read_text())
    assert data["config"]["variables_cleared"] == ["MALLOC_PERTURB_"]
    told = {one["contender"]: one for one in data["config"]["allocators"]}
    assert told["direct-jemalloc"]["sha256"] == told["direct-jemalloc-2"]["sha256"] == allocators.checksum(library)
    report = json.loads((out / "cells/lifo/direct-glibc/64.1/1.json").read_text())
    assert report["context"]["allocator_environment"] == ""


@needs_program
def test_every_counter_of_a_run_is_in_the_catalogue(poolmark, tmp_path):
    done = poolmark("bench", "--set", "full", "--filter", "^(lifo|grow|cold|bleed|exhaust_heap|burst_1000_touch_all)/slab(-background)?/3072$",
                    "--repetitions", "1", "--min-time", "1ms", "--again", "0", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(data["cells"]) >= 5 and not [one for one in data["anomalies"] if one["what"] == "catalogue"]
    assert re.search(r"runs, about \d+ s in all", done.stderr)
