# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of pools of buffers, maps and JSON texts: selected by their name, with allocations counted in a process of their own."""
import json
import os
import subprocess

import pytest

from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.bench import bench_plan

PROGRAM = build_dir() / "poolmark-bench"


def figures(pattern: str, program=PROGRAM, **environment) -> dict[str, dict]:
    done = subprocess.run([program, f"--benchmark_filter={pattern}", "--benchmark_min_time=0.005", "--benchmark_format=json",
                           "--poolmark_patience_ms=0"], env=os.environ | environment, capture_output=True, text=True, timeout=120,
                          check=True)
    return {one["name"]: one for one in json.loads(done.stdout)["benchmarks"]}


def test_a_filter_that_names_them_selects_them_and_the_default_set_has_none():
    benches = bench_plan.expand(["lifo/slab/3072", "typed_map/malloc/256", "typed_map/direct/256", "typed_map/slab/256/threads:2"])
    assert [bench.workload for bench in bench_plan.select(benches, "default", None)] == ["lifo"]
    chosen = {bench.name for bench in bench_plan.select(benches, "default", "^typed_")}
    assert {"typed_map/malloc/256", "typed_map/slab/256/threads:2", "typed_map/direct-glibc/256"} <= chosen
    assert not any("-tuned" in name or name.startswith("typed_map/malloc-") for name in chosen)
    assert {bench.workload for bench in bench_plan.select(benches, "default", "^(lifo|typed_map)/")} == {"lifo", "typed_map"}
    with pytest.raises(UsageError, match="no benchmark of the set headlines"):
        bench_plan.select(benches, "headlines", "^typed_")


def test_allocations_of_an_operation_are_counted():
    found = figures("^typed_(slice|map)/(slab|sync|malloc|direct)/[0-9]*$")
    told = {name: (one["allocs_per_op"], one["bytes_per_op"]) for name, one in found.items()}
    for pool in ("slab", "sync"):  # a map of 16 entries: nothing is allocated in the steady state
        assert told[f"typed_map/{pool}/256"] == told[f"typed_slice/{pool}/512"] == (0, 0)
    assert told["typed_slice/direct/512"] == (1, 512)
    assert told["typed_map/direct/256"][0] == told["typed_map/malloc/256"][0] == 4  # map, entries, table, buckets
    assert told["typed_slice/malloc/512"][0] == 2 and told["typed_slice/malloc/512"][1] > 512  # the object and its bytes


def test_the_process_that_is_timed_has_no_counter_and_all_threads_have_one_count():
    found = figures("^typed_slice/direct/512/threads:2$")["typed_slice/direct/512/threads:2"]
    assert (found["threads"], found["allocs_per_op"], found["bytes_per_op"]) == (2, 1, 512)
    done = subprocess.run([PROGRAM, "--benchmark_filter=^typed_slice/direct/512$", "--benchmark_min_time=0.001"],
                          env=os.environ | {"POOLMARK_COUNT_TO": "1"}, capture_output=True, text=True, timeout=60, check=True)
    assert "allocs_per_op=1" in done.stdout  # the variable alone makes no process that counts


@pytest.mark.parametrize("library", ["libjemalloc.so.2", "libtcmalloc.so.4", "libmimalloc.so.2"])
def test_another_allocator_is_counted_too(library):
    found = figures("^typed_map/direct/256$", LD_PRELOAD=library)["typed_map/direct/256"]
    assert found["allocs_per_op"] == 4


def test_where_they_cannot_be_counted_the_time_is_there_and_the_label_says_why(tmp_path):
    other = tmp_path / "another-name"
    other.write_bytes(PROGRAM.read_bytes())
    other.chmod(0o755)
    found = figures("^typed_slice/slab/512$", program=other)["typed_slice/slab/512"]
    assert found["per_op"] > 0 and "allocs_per_op" not in found
    assert found["label"] == "allocations are counted by poolmark-bench alone"
