# SPDX-License-Identifier: Apache-2.0
"""The plan of a benchmark run: contenders, sets, rounds, and what is left out with its reason."""
import hashlib
import shutil

import pytest
from bench_told import PROGRAM, needs_program

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.bench import bench_plan
from poolmark.facts import allocators


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
    headlines, default, full = ({bench.name for bench in bench_plan.select(benches, name, None)} for name in ("headlines", "default", "full"))
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


@needs_program
def test_the_set_wear_takes_four_minutes_at_most():
    every = bench_plan.expand(bench_plan.listed(PROGRAM))
    benches = bench_plan.select(every, "wear", None)
    assert {bench.workload for bench in benches} == set(bench_plan.WEAR)
    worn = {bench.contender.name for bench in benches if bench.workload == "wear"}
    assert worn == {"slab-background", "direct-glibc", "direct-jemalloc"}
    assert {"slab", "direct-gperftools"} <= {bench.contender.name for bench in benches if bench.workload == "mixed"}
    assert not any(bench.contender.name.endswith("-tuned") for bench in benches)
    assert sum(bench.estimate_s(0.03) for one in bench_plan.rounds(benches, None, 1) for bench in one) < 220


def test_headlines_have_more_rounds_than_what_stands_beside():
    benches = bench_plan.expand(["lifo_touch_line/slab/3072", "fifo/slab/3072", "blowup/slab/3072"])
    assert [sum(bench in one for one in bench_plan.rounds(benches, None, 1)) for bench in benches] == [9, 6, 3]
    assert [sum(bench in one for one in bench_plan.rounds(benches, 20, 1)) for bench in benches] == [20, 20, 3]


@needs_program
def test_another_library_takes_part_under_its_own_name(tmp_path):
    file = tmp_path / "libnew@malloc.so.2.1"
    shutil.copy(allocators.library("jemalloc"), file)
    (name, path, variables), (second, _, _) = bench_plan.added([str(file), str(file)], PROGRAM)[-2:]
    assert (name, path, variables, second) == ("new_malloc", str(file), (), "new_malloc-2")
    contender = bench_plan.contenders("direct", (*bench_plan.ON, (name, path, variables)))[-1]
    assert contender.name == "direct-new_malloc" and contender.words() == ["LD_PRELOAD=libnew@malloc.so.2.1"]
    assert contender.environment()["LD_PRELOAD"] == str(file)
    assert allocators.checksum(path) == hashlib.sha256(file.read_bytes()).hexdigest()
    for missing in (str(tmp_path / "none.so"), str(tmp_path)):
        with pytest.raises(UsageError, match="there is no such file"):
            bench_plan.added([missing], PROGRAM)
    spaced = shutil.copy(file, tmp_path / "lib new.so")     # the loader takes a space for the end of a name
    with pytest.raises(UsageError, match="the loader does not take it"):
        bench_plan.added([str(spaced)], PROGRAM)


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
