# SPDX-License-Identifier: Apache-2.0
"""Whole runs of the benchmark program."""
import csv
import json
import os
import re
import subprocess

import pytest
from bench_told import PROGRAM, anomalies, bench_of, needs_program

from poolmark.base.paths import build_dir
from poolmark.bench import bench_plan, bench_report, bench_tables
from poolmark.facts import allocators, described


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
    (("--allocator", __file__), "test_bench.py': the loader does not take it (invalid ELF header)"),
    (("--allocator", "/lib/x86_64-linux-gnu/libz.so.1"), "libz.so.1': it has no malloc of its own"),
    (("--narrow", "-3"), "-3"),
])
def test_wrong_calls_are_named_and_leave_nothing(poolmark, tmp_path, words, named):
    out = tmp_path / "run"
    done = poolmark("bench", *(() if "--build" in words else ("--build", build_dir())), "--out", out, *words)
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
