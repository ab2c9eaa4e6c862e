# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of two builds measured in turn: the order, what counts, how rounds are joined and judged, the whole by a command."""
import copy
import json
from types import SimpleNamespace

import numpy

from poolmark.base.paths import build_dir
from poolmark.bench import bench, full_speed, in_turn
from poolmark.bench.bench_plan import THE_SIZE, Bench, Contender
from poolmark.bench.bench_report import Measured
from poolmark.bench.noise import Noise, Teller
from poolmark.compare import rounds_in_turn, verdict
from poolmark.compare.interleave import Job
from poolmark.compare.sequential import LOOKS, times_of
from poolmark.records.read_record import load
from poolmark.records.record import Record
from test_compare import make_run


def test_both_builds_are_first_equally_often_in_each_block():
    for seed in range(20):
        firsts = [in_turn.order(number, seed)[0] for number in range(1, 41)]
        eights = ["".join("AB"[one] + "BA"[one] for one in firsts[at:at + 4]) for at in range(0, 40, 4)]
        assert set(eights) <= {"ABBABAAB", "BAABABBA"}
    assert len({in_turn.order(number, 1) for number in range(1, 41, 4)}) == 2


def test_the_rounds_of_a_block_of_one_benchmark_follow_one_another():
    a, b = (Bench(name, Contender("slab", "slab", "glibc"), THE_SIZE, 1, "") for name in ("lifo", "fifo"))
    rounds = [[a, b], [b, a], [a, b], [b], [b, a]]
    first, second = in_turn.blocks(rounds)
    assert [(number, bench.workload) for number, bench in first] == [(1, "lifo"), (2, "lifo"), (3, "lifo"), *((number, "fifo") for number in range(1, 5))]
    assert [number for number, _ in second] == [5, 5]


def test_nothing_is_left_out_for_the_speed_of_the_host():
    slow = Measured(1.0, {full_speed.FULL: 0.0, full_speed.STEP: 0.9})
    speed = full_speed.Speed(0.3, everything=True)
    speed.hear(Measured(1.0, {full_speed.STEP: full_speed.NO_TIME_NS}))
    assert not speed.missed(slow) and speed.step_ns == 0.3 and full_speed.Speed(0.3).missed(slow)
    assert speed.flags(False, 16) == ["--poolmark_step_ns=0.001000", "--poolmark_heap_shift=16", "--poolmark_patience_ms=0"]
    assert full_speed.Speed(0.0, everything=True).flags(False, 16) == []
    told = {"summary": {"step_ns": 0.3}, "config": {"windows": full_speed.IN_TURN}}
    assert full_speed.Speed.of(told) == full_speed.Speed(0.3, True) and full_speed.Speed.of({}) == full_speed.Speed()


def two_records(change, seed, rounds=48, spread=.02):
    """Of a host whose speed changes by half every few rounds."""
    rng = numpy.random.default_rng(seed)
    host = numpy.repeat(rng.choice([1.0, 1.6], rounds // 4), 4)
    made = []
    for scale, commit in ((1.0, "a" * 40), (1 + change, "b" * 40)):
        run = make_run(commit=commit, repetitions=1, cells=1, metric="time")
        samples = (4.0 * scale * host * numpy.exp(rng.normal(0, spread, rounds))).tolist()
        run["cells"][0]["metrics"]["time"] |= {"value": float(numpy.median(samples)), "samples": samples}
        made.append(run | {"comparison": "compare-1", "config": {"windows": full_speed.IN_TURN, "rounds": rounds}})
    return made


def test_a_host_that_changes_by_half_does_not_hide_five_percent():
    found = [verdict.compare(*two_records(.05, seed)) for seed in range(10)]
    assert all(one.code == verdict.REGRESSION for one in found)
    assert all(abs(row.effect.change - .05) < .03 and row.blocks for one in found for row in one.rows)
    apart = [verdict.compare(ours, theirs | {"comparison": "compare-2"}) for ours, theirs in (two_records(.05, seed) for seed in range(10))]
    assert sum(one.code == verdict.REGRESSION for one in apart) <= 6   # the same values, as of two runs one after the other


def test_a_build_beside_itself_raises_no_more_alarms_than_it_may():
    assert sum(verdict.compare(*two_records(0.0, seed)).code == verdict.REGRESSION for seed in range(30)) <= 4


def test_rounds_without_a_figure_count_as_failures():
    base, candidate = two_records(0.0, 3)
    cell = candidate["cells"][0]
    cell["metrics"]["time"]["samples"] = cell["metrics"]["time"]["samples"][:30]
    cell["anomalies"] = [{"what": "process", "text": "was ended by SIGSEGV"}] * 18
    cell["status"] = candidate["status"] = "incomplete"
    assert rounds_in_turn.rounds_of(cell).count(1.0) == 18
    found = verdict.compare(base, candidate)
    assert found.code == verdict.REGRESSION and [row.metric for row in found.of("regression")] == ["cell.not_complete"]


def test_what_two_builds_have_to_say_of_the_host_is_said_once():
    """The host is one, and was told busy once for each build, by two percentages."""
    said, noise = [], Noise()
    noise._others, noise._throttle = SimpleNamespace(percent=iter([23.4, 99.0]).__next__), SimpleNamespace(text=lambda: None)
    teller = Teller(said.append)
    runners = [SimpleNamespace(noise=noise, say=teller, record=SimpleNamespace(found=[])) for _ in in_turn.SIDES]
    for runner in runners:
        runner.record.anomaly = lambda what, text, runner=runner: runner.record.found.append((what, text))
        bench.Runner.tell_noise(runner)
    assert said == ["other processes had 23 % of the processors' time: times are longer than on a quiet host"]
    assert [one.record.found for one in runners] == [[("busy", said[0])]] * 2 and noise.percent == 23.4
    teller("candidate: lifo/slab/3072: was ended by SIGSEGV")
    assert len(said) == 2


def test_rounds_of_several_runs_become_one_cell(tmp_path):
    runs = []
    for number, samples in enumerate(([3.0, 4.0], [5.0, 6.0, 7.0])):
        record = Record.create("bench", folder=tmp_path / f"{number}/candidate", config={"windows": full_speed.IN_TURN, "rounds": len(samples)},
                               command=["poolmark", "bench", "--build", "a", "--beside", "b"])
        cell = record.cell("lifo/slab/3072.1", {"workload": "lifo"})
        cell.metric("time", 1.0, "ns", "lower", samples)
        for at in range(1, len(samples) + 1):
            (cell.folder / f"{at}.json").write_text(f"{number} {at}")
            cell.file(f"round_{at}", cell.folder / f"{at}.json")
        cell.finish("complete")
        record.close("complete")
        runs.append(load(record.folder))
    joined = Record.create("nightly", folder=tmp_path / "joined")
    rounds_in_turn.join(joined, runs, lambda run, cell: tmp_path / run.id)
    cell, = joined.data["cells"]
    assert cell["metrics"]["time"]["value"] == 5.0 and cell["metrics"]["time"]["samples"] == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert [cell["files"][f"round_{at}"].rpartition("/")[2] for at in range(1, 6)] == ["1.json", "2.json", "1.json", "2.json", "3.json"]
    assert cell["command"] == ["poolmark", "bench", "--build", "b"]
    pairs = [{"base": run, "candidate": run} for run in runs]
    assert rounds_in_turn.count_of(pairs) == 5 and rounds_in_turn.config_of(runs)["rounds"] == 5
    assert rounds_in_turn.turns({"config": rounds_in_turn.config_of(runs)}, 5) == [0, 1, 4, 5, 6]


def test_no_block_of_rounds_is_of_two_looks():
    """Suites are measured between two looks, for minutes: rounds of both are no neighbours."""
    of_looks = {"config": {"rounds_each": [4, 2, 3, 4, 6]}}
    turns = rounds_in_turn.turns(of_looks, 19)
    looks = [look for look, rounds in enumerate(of_looks["config"]["rounds_each"]) for _ in range(rounds)]
    assert all(len({look for look, at in zip(looks, turns, strict=True) if at // in_turn.BLOCK == block}) <= 1 for block in range(turns[-1]))
    assert turns[:6] == [0, 1, 2, 3, 4, 5] and turns[6] == 8
    assert rounds_in_turn.turns(of_looks, 18) == list(range(18)) and rounds_in_turn.turns({}, 2) == [0, 1]
    ours, theirs = two_records(.0, 1, rounds=20)
    for run in (ours, theirs):
        run["config"]["rounds_each"] = [6, 14]
    assert verdict.compare(ours, theirs).rows[0].blocks[0] == (0, 0, 0, 0, 1, 1, *(2,) * 4, *(3,) * 4, *(4,) * 4, *(5,) * 2)


def test_benchmarks_alone_get_more_rounds():
    assert times_of([Job("bench")]) == 8 and times_of([Job("bench"), Job("suite:quick")]) == 1
    assert LOOKS[0] * 8 == 32


def test_two_builds_by_a_command(poolmark, tmp_path):
    out = tmp_path / "out"
    done = poolmark("compare", build_dir(), build_dir(), "--run", "bench --filter ^lifo/(slab|malloc)/3072$ --min-time 1ms", "--repetitions", "5",
                    "--out", out)
    assert done.returncode in (0, 1, 2) and "2 cells, 5 rounds of each build" in done.stderr, done.stderr
    base, candidate = (load(out / side).data for side in ("base", "candidate"))
    assert [len(cell["metrics"]["time"]["samples"]) for cell in base["cells"] + candidate["cells"]] == [5] * 4
    assert json.loads((out / "verdict.json").read_text())["metrics"]
    for folder in (out / "base", out / "candidate", *(out / "runs/000-both-0-bench" / side for side in in_turn.SIDES)):
        told = poolmark("verify", folder)
        assert told.returncode == 0, told.stdout + told.stderr
    again = poolmark("compare", *(out / "runs/000-both-0-bench" / side for side in in_turn.SIDES))
    assert again.returncode == done.returncode and "one after the other" not in again.stdout
    broken = copy.deepcopy(base)
    assert rounds_in_turn.are(base, candidate) and not rounds_in_turn.are(broken | {"comparison": "x"}, candidate)
