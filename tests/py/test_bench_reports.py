# SPDX-License-Identifier: Apache-2.0
"""Reports of the benchmark program: read, and refused with file and field when they are not of what was asked for."""
import json

import pytest
from bench_told import bench_of

from poolmark.base.errors import RecordError
from poolmark.bench import bench_report
from poolmark.bench.bench_plan import Contender
from poolmark.bench.bench_report import NoFigure


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
