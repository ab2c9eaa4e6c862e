# SPDX-License-Identifier: Apache-2.0
"""Pools from shared libraries: the example, built against the installed header alone, in benchmarks, suites and records."""
import hashlib
import json
import os
import subprocess

import pytest

from conftest import ROOT
from installed import flags, make
from poolmark.base.paths import build_dir

BUILD = build_dir()
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")),
                                reason="the programs are not built")


@pytest.fixture(scope="module")
def destination(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    done = make("install-library", folder)
    assert done.returncode == 0, done.stderr
    return folder


def build(destination, source, to, *words):
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2", "-fPIC", "-shared", "-pthread",
               *words, *flags(destination, "--cflags"), str(ROOT / source), "-o", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return to


@pytest.fixture(scope="module")
def stack(destination, tmp_path_factory):
    return build(destination, "examples/stack-pool.c", tmp_path_factory.mktemp("pool") / "stack-pool.so")


@pytest.fixture(scope="module")
def thin(destination, tmp_path_factory):
    """A pool that keeps no statistics."""
    return build(destination, "tests/plugins/faulty.c", tmp_path_factory.mktemp("pool") / "thin.so")


def program(name, *words):
    return subprocess.run([str(BUILD / name), *map(str, words)], capture_output=True, text=True, timeout=120, check=False)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_example_needs_nothing_but_libc(stack):
    told = subprocess.run(["readelf", "-d", str(stack)], capture_output=True, text=True, check=True).stdout
    assert "libpoolmark" not in told and "libc.so" in told
    defined = subprocess.run(["nm", "-D", "--defined-only", str(stack)], capture_output=True, text=True, check=True).stdout
    assert [line.split()[-1] for line in defined.splitlines()] == ["poolmark_strategy_v1"]


def test_the_example_keeps_the_contract(stack):
    done = program("poolmark-bench", "--check-pool", stack)
    assert done.returncode == 0 and done.stderr == ""
    first, *lines = done.stdout.splitlines()
    assert first.startswith("stack 1.0: an example") and f"stack-pool.so, SHA-256 {sha256(stack)}" in first
    assert "kept      past the bound a get is refused" in lines and lines[-1].endswith(" kept, 0 not made for lack of a capability, 0 broken")


def test_a_broken_promise_is_named_with_what_was_found(destination, tmp_path):
    wrong = (ROOT / "examples/stack-pool.c").read_text().replace("pool->counts.hits++;", "pool->counts.misses += 2;")
    wrong = wrong.replace("pool->refusing = true;", "pool->refusing = false;")
    (tmp_path / "wrong.c").write_text(wrong)
    library = build(destination, tmp_path / "wrong.c", tmp_path / "wrong.so")
    done = program("poolmark-bench", "--check-pool", library)
    assert done.returncode == 1
    told = done.stdout.splitlines()
    at = told.index("BROKEN    statistics add up")
    assert "gets (150) are not hits (0) + misses (" in told[at + 1]
    assert "kept      putting null is nothing" in told and not told[-1].endswith(", 0 broken")


def test_a_benchmark_has_a_row_beside_ours(poolmark, stack, tmp_path):
    out = tmp_path / "run"
    done = poolmark("bench", "--build", BUILD, "--pool", stack, "--filter", "^lifo/(stack|malloc)/64$", "--repetitions", "1",
                    "--min-time", "1ms", "--again", "0", "--set", "full", "--out", out)
    assert done.returncode == 0, done.stderr
    data = json.loads((out / "run.json").read_text())
    assert data["config"]["pools"] == [{"strategy": "stack", "file": "stack-pool.so", "sha256": sha256(stack), "version": "1.0"}]
    cells = {cell["id"]: cell for cell in data["cells"]}
    assert set(cells) == {"lifo/stack/64.1", "lifo/malloc/64.1"}
    words = cells["lifo/stack/64.1"]["commands"][0]
    assert words[words.index("--pool") + 1] == "stack-pool.so" and "--pool" not in cells["lifo/malloc/64.1"]["commands"][0]
    assert str(stack.parent) not in (out / "run.json").read_text()
    text = (out / "bench.md").read_text()
    assert "## Pools from libraries" in text and f"| stack | stack-pool.so | 1.0 | {sha256(stack)[:16]} |" in " ".join(text.split())


def test_another_file_than_that_of_the_plan_is_refused(poolmark, stack, tmp_path):
    from poolmark.base.errors import RecordError
    from poolmark.bench import bench_plan, bench_report
    from poolmark.facts import own_pools

    pool = own_pools.for_bench([str(stack), str(stack)], BUILD)["stack"]
    bench = bench_plan.expand(["lifo/stack/64"], own={"stack": pool})[0]
    context = {"allocator": "glibc", "allocator_environment": "", "pool.stack": f"stack-pool.so {sha256(stack)}"}
    bench_report.check_context(tmp_path, {"context": context}, bench)
    context["pool.stack"] = "stack-pool.so " + "0" * 64
    with pytest.raises(RecordError, match="context.pool.stack: is .*was it changed meanwhile"):
        bench_report.check_context(tmp_path, {"context": context}, bench)


SUITE = """title = "own"
[config]
shape = "classic"
engine = "raw"
connections = 60
[axes]
strategy = ["malloc", "{path}"]
[[override]]
when = {{ strategy = "{path}" }}
broker.initial = ["32"]
[[phase]]
name = "connect"
scenario = "connect"
hold = "0s"
settle = "0s"
"""


@pytest.fixture(scope="module")
def suite(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    (folder / "own.toml").write_text(SUITE.format(path=stack))
    done = subprocess.run([str(ROOT / "scripts/poolmark"), "suite", str(folder / "own.toml"), "--build", str(BUILD), "--out", str(folder / "run")],
                          cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_a_suite_names_a_file_and_its_cells_have_the_strategys_name(suite, stack):
    run, done = suite
    data = json.loads((run / "run.json").read_text())
    cells = {cell["id"]: cell for cell in data["cells"]}
    assert set(cells) == {"classic-malloc-raw-60.1", "classic-stack-raw-60.1"}
    config = cells["classic-stack-raw-60.1"]["config"]
    assert (config["strategy"], config["pool_file"], config["pool_sha256"], config["pool_version"]) == (
        "stack", "stack-pool.so", sha256(stack), "1.0")
    assert config["broker_options"] == "--initial 32" and "pool_file" not in cells["classic-malloc-raw-60.1"]["config"]
    assert cells["classic-stack-raw-60.1"]["metrics"]["pool.expansions"]["value"] > 0
    assert str(stack.parent) not in (run / "run.json").read_text()
    assert "stack" in done.stdout
    broker = json.loads((run / "cells/classic-stack-raw-60.1/broker/run.json").read_text())
    assert broker["config"]["pools"]["connections"]["plugin"] == {"strategy": "stack", "file": "stack-pool.so", "sha256": sha256(stack),
                                                                  "version": "1.0"}


def test_readers_take_such_a_run(poolmark, suite):
    run, _ = suite
    for words in (("verify", run), ("report", run, "--out", run.parent / "report")):
        done = poolmark(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_comparison_of_two_builds_of_a_pool_pairs_no_cells(poolmark, suite, destination, tmp_path):
    run, _ = suite
    other = build(destination, "examples/stack-pool.c", tmp_path / "stack-pool.so", "-O1")
    (tmp_path / "own.toml").write_text(SUITE.format(path=other))
    done = poolmark("suite", tmp_path / "own.toml", "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    done = poolmark("compare", run, tmp_path / "run")
    assert "classic-stack-raw-60: only in the baseline" in done.stdout + done.stderr, done.stdout + done.stderr


def test_figures_of_a_pool_without_statistics_are_null_and_not_zero(poolmark, thin, tmp_path):
    (tmp_path / "thin.toml").write_text(SUITE.format(path=thin).replace("[[override]]", "[[group]]").split("[[group]]")[0]
                                        + '[[phase]]\nname = "connect"\nscenario = "connect"\nhold = "0s"\nsettle = "0s"\n')
    out = tmp_path / "run"
    done = poolmark("suite", tmp_path / "thin.toml", "--build", BUILD, "--only", "thin", "--out", out)
    assert done.returncode == 0, done.stderr
    cell = json.loads((out / "run.json").read_text())["cells"][0]
    broker = json.loads((out / "cells" / cell["id"] / "broker/run.json").read_text())
    for name in ("pool.hit_rate", "pool.expansions", "pool.longest_expansion_ns", "pool.overflow", "pool.refused"):
        assert cell["metrics"][name]["value"] is None and broker["metrics"][name]["value"] is None, name
    assert broker["metrics"]["broker.peak_connections"] == {"value": None, "why": "a strategy keeps no statistics", "unit": "1", "better": "none"}
    assert broker["metrics"]["broker.connections_accepted"]["value"] >= 60
    lines = (out / "cells" / cell["id"] / "broker/pools.csv").read_text().splitlines()
    assert all(len(line.split(",")) == len(lines[0].split(",")) and line.endswith(",,,,,,,,,,,,,,,") for line in lines[1:])
    done = poolmark("verify", out)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_is_no_pool_is_a_fault_of_its_line(poolmark, tmp_path):
    (tmp_path / "text.so").write_text("hello")
    (tmp_path / "own.toml").write_text(SUITE.format(path=tmp_path / "text.so"))
    done = poolmark("suite", tmp_path / "own.toml", "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    assert f"own.toml:7: strategy {tmp_path}/text.so is no shared library: it is not an ELF file" in done.stderr
    assert "is not known" not in done.stderr


@pytest.mark.parametrize("words", [("bench", "--pool"), ("bench", "--list", "--pool")])
def test_a_wrong_file_ends_a_command_before_it_writes(poolmark, tmp_path, words):
    done = poolmark(*words, tmp_path / "none.so", "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    assert f"--pool: {tmp_path}/none.so cannot be opened: No such file or directory" in done.stderr


def test_bounds_that_a_pool_does_not_keep_are_refused_at_start(thin):
    done = program("poolmark-broker", "--pool", thin, "--max", "connections=10")
    assert done.returncode == 2 and done.stderr.startswith("poolmark-broker: --max connections=: strategy thin knows no bound")


def test_a_suite_names_an_allocator_by_its_path(poolmark, tmp_path):
    """Of a broker and of mosquitto. The library is tried under a name that nobody knows."""
    from poolmark.facts import allocators

    library = tmp_path / "libother.so.2"
    library.write_bytes(open(allocators.library("jemalloc"), "rb").read())
    text = SUITE.replace('strategy = ["malloc", "{path}"]', 'target = ["poolmark", "mosquitto"]').replace('shape = "classic"', 'allocator = "{path}"')
    (tmp_path / "own.toml").write_text(text.split("[[override]]")[0].format(path=library) + "[[phase]]" + SUITE.split("[[phase]]")[1])
    out = tmp_path / "run"
    done = poolmark("suite", tmp_path / "own.toml", "--build", BUILD, "--out", out)
    assert done.returncode == 0, done.stderr
    cells = {cell["id"]: cell for cell in json.loads((out / "run.json").read_text())["cells"]}
    assert set(cells) == {"raw-libother.so.2-60.1", "mosquitto-raw-libother.so.2-60.1"}
    for cell in cells.values():
        assert (cell["config"]["allocator"], cell["config"]["allocator_sha256"]) == ("libother.so.2", sha256(library))
    loaded = json.loads((out / "cells/raw-libother.so.2-60.1/broker/run.json").read_text())["host"]["loaded"]
    assert loaded["allocator"] == "jemalloc" and loaded["allocator_version"]
    assert str(library) not in (out / "run.json").read_text()
    done = poolmark("suite", tmp_path / "own.toml", "--build", BUILD, "--dry-run")
    assert done.returncode == 0 and "LD_PRELOAD=libother.so.2 " in done.stdout


def test_a_file_that_serves_no_programs_malloc_is_no_allocator(poolmark, thin, tmp_path):
    text = SUITE.replace('strategy = ["malloc", "{path}"]', 'strategy = ["malloc"]').replace('shape = "classic"', 'allocator = "{path}"')
    (tmp_path / "own.toml").write_text(text.split("[[override]]")[0].format(path=thin) + "[[phase]]" + SUITE.split("[[phase]]")[1])
    done = poolmark("suite", tmp_path / "own.toml", "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 2 and f"own.toml:3: allocator '{thin}': it has no malloc of its own" in done.stderr
    (tmp_path / "none.toml").write_text((tmp_path / "own.toml").read_text().replace(str(thin), "/nonexistent/liba.so"))
    done = poolmark("suite", tmp_path / "none.toml", "--build", BUILD, "--out", tmp_path / "other")
    assert done.returncode == 2 and "none.toml:3: allocator '/nonexistent/liba.so': there is no such file" in done.stderr
