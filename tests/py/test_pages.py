# SPDX-License-Identifier: Apache-2.0
"""What a reader of a page learns in its first screen, and what would mislead him: the verdict on two runs, figures that are not told apart,
readings of figures that a record withholds, benchmarks of other numbers of threads."""
import json
import re

import made_runs
import pytest
from test_compare import make_run
from test_compare import save as save_compared

from poolmark.compare import two_runs, verdict
from poolmark.records.read_record import load
from poolmark.report import answer, apart, bench_answer, memory_data, names, report, report_charts, report_text, two_runs_told
from poolmark.report.source import Source

# --- two runs


def pair(folder, scale=1.2, **changes):
    """Two runs of one suite; the candidate's p99 of connects is `scale` times as long."""
    made = []
    for seed, side, start in ((1, "base", "00:00:00"), (2, "candidate", "00:02:00")):
        run = make_run(f"suite-20260101T000000Z-000{seed}", seed=seed, scale=scale if side == "candidate" else 1)
        run["started_utc"] = f"2026-01-01T{start}Z"
        made.append(save_compared(folder / side, run | (changes if side == "candidate" else {})))
    return [load(one) for one in made]


def told_of(runs, **unsound):
    source = Source(runs)
    source.unsound.update(unsound)
    return two_runs_told.verdict_of(source)


def test_a_page_of_two_runs_begins_with_the_verdict_of_compare(tmp_path, poolmark):
    runs = pair(tmp_path)
    said = poolmark("compare", tmp_path / "base", tmp_path / "candidate", "--json", tmp_path / "verdict.json")
    judged = json.loads((tmp_path / "verdict.json").read_text())
    assert (said.returncode, judged["exit_code"]) == (1, 1)
    assert poolmark("report", tmp_path / "base", tmp_path / "candidate", "--out", tmp_path / "out").returncode == 0
    page, text = ((tmp_path / "out" / f"report.{kind}").read_text() for kind in ("html", "md"))
    first_screen = page[:page.index('id="charts"')]
    assert re.search(r'id="verdict">\s*<p class="first">Regression: connect.p99 \+\d', first_screen)
    counts = f"{sum(one['role'] in ('primary', 'combined') for one in judged['metrics'])} tests of primary metrics: 4 worse, 0 better, 0 undecided, 0 same"
    for whole in (first_screen, text.replace("\\", "")):
        assert counts in whole and "Exit code 1 of compare: a metric is worse beyond the noise" in whole
        assert f"The baseline is {runs[0].id}, the candidate {runs[1].id}." in whole
        assert f"Baseline, (0001) in charts and tables: {runs[0].id}" in whole and f"Candidate, (0002) in charts and tables: {runs[1].id}" in whole
        assert "measured one after the other" in whole
    assert "Suite quick, two runs: what changed" in page and "<h4>What decides, and what changed</h4>" in page


@pytest.mark.parametrize("scale, code, first", [(1.2, verdict.REGRESSION, "Regression: "), (0.8, verdict.OK, "No regression."),
                                                (1.0, verdict.OK, "No regression.")])
def test_the_page_says_what_the_command_says(tmp_path, scale, code, first):
    runs = pair(tmp_path, scale)
    told = told_of(runs)
    judged = two_runs.of_runs(*runs, two_runs.plainly, [])
    assert judged.code == code and told.lines[0].startswith(first)
    assert any(line == f"Exit code {code} of compare: {two_runs.MEANINGS[code]}." for line in told.lines)
    assert any(line.startswith("Better: connect.p99: -") for line in told.lines) == (scale < 1)
    assert set(two_runs.MEANINGS) == set(verdict.WORDS)


def test_a_damaged_run_gets_no_verdict_and_other_pages_have_none(tmp_path):
    runs = pair(tmp_path)
    told = told_of(runs, **{runs[0].id: f"{runs[0].id} is not as it was"})
    assert told.lines[0].startswith("Undecided") and any("is not as it was" in line for line in told.lines)
    assert told_of(runs[:1]) is None and told_of([*runs, *pair(tmp_path / "more")]) is None
    different = told_of([runs[0], *pair(tmp_path / "other", suite="million")[1:]])
    assert different.lines == ["These two runs are of different suites: there is no verdict on them."] and not different.tables
    searches = told_of(pair(tmp_path / "searches", kind="limit")[1:] + [made_search(tmp_path / "search")])
    assert searches.lines[0].startswith("There is no verdict on these two runs: each is a search for the highest rate")


def made_search(folder):
    return load(save_compared(folder, make_run("limit-20260101T000000Z-0009") | {"kind": "limit"}))


def test_runs_of_different_hosts_are_not_comparable_and_the_page_says_why(tmp_path):
    told = told_of(pair(tmp_path, host={"cores": 64, "kernel": "6.1", "memory_bytes": 25769803776}))
    assert told.lines[0] == "Not comparable." and any("host.cores differs" in line for line in told.lines) and not told.tables


# --- figures that are withheld


def with_kernel(folder, value, why):
    run = made_runs.make_suite(folder)
    for cell in run["cells"]:
        cell["metrics"]["kernel.per_connection_bytes"] = made_runs.metric(8000.0, "B")
    run["cells"][2]["metrics"]["kernel.per_connection_bytes"] = made_runs.metric(value, "B")
    run["cells"][2]["anomalies"] = [{"what": why, "text": "kernel.per_connection_bytes: the rest of the host took memory meanwhile"}]
    made_runs.save(folder, run)
    return Source([load(folder)])


@pytest.mark.parametrize("why", ["kernel_noise", "resolution"])
def test_kernel_memory_that_a_record_withholds_is_in_no_chart_and_the_caption_says_why(tmp_path, why):
    """On a busy host the readings went down while connections came, and were drawn."""
    source = with_kernel(tmp_path, None, why)
    rows = memory_data.memory_curve(source)
    drawn = {(row["cell"], row["memory"]) for row in rows}
    assert ("slab", memory_data.USER) in drawn and ("slab", memory_data.KERNEL) not in drawn and ("malloc", memory_data.KERNEL) in drawn
    parts = {row["cell"]: set() for row in memory_data.memory_parts(source)}
    for row in memory_data.memory_parts(source):
        parts[row["cell"]].add(row["part"])
    assert "kernel" in parts["malloc"] and "kernel" not in parts["slab"] and "connections" in parts["slab"]
    for made in (report_charts.memory_curve, report_charts.memory_by_part):
        assert f"Not drawn, because the record withholds that figure: the kernel's of slab ({why})." in made(source).text


def test_kernel_memory_that_is_known_is_drawn(tmp_path):
    source = with_kernel(tmp_path, 8100.0, "late")
    assert ("slab", memory_data.KERNEL) in {(row["cell"], row["memory"]) for row in memory_data.memory_curve(source)}
    assert "Not drawn" not in report_charts.memory_curve(source).text


def test_memory_of_a_process_that_is_not_the_target_is_in_no_chart(tmp_path):
    run = made_runs.make_suite(tmp_path)
    run["cells"][0]["metrics"]["memory.full_bytes"]["value"] = None
    run["cells"][0]["anomalies"] = [{"what": "not_the_target", "text": "another process listens"}]
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    for rows in (memory_data.memory_curve(source), memory_data.memory_parts(source), memory_data.memory_over_time(source), memory_data.expansions(source)):
        assert {row["cell"] for row in rows if row.get("memory") != memory_data.KERNEL} == {"expand", "slab"}
    assert "the broker's of malloc (not_the_target)" in report_charts.memory_curve(source).text


# --- what is told apart


def groups(**columns):
    """{name: cells} of one metric's values."""
    return {names.Name(name, name, ""): [{"id": f"{name}.{at}", "status": "complete", "config": {}, "repetition": 1,
                                          "metrics": {metric: made_runs.metric(value, unit, "lower")}} for at, value in enumerate(values, 1)]
            for name, (metric, unit, values) in columns.items()}


@pytest.mark.parametrize("metric, unit, ours, theirs, same", [
    ("connect.p99", "ns", [100], [119], True), ("connect.p99", "ns", [100], [121], False), ("memory.full_bytes", "B", [1000], [1009], True),
    ("memory.full_bytes", "B", [1000], [1020], False), ("kernel.per_connection_bytes", "B", [7460], [7860], True), ("clients.failed", "1", [0], [1], False),
    ("pool.hit_rate", "%", [99.5], [100], True), ("pool.hit_rate", "%", [90], [100], False), ("connect.p99", "ns", [100, 110], [111, 120], False),
    ("connect.p99", "ns", [100, 112], [111, 120], True), ("connect.p99", "ns", [], [100], False), ("pool.longest_expansion_ns", "ns", [0], [0], True)])
def test_alike(metric, unit, ours, theirs, same):
    one, other = groups(a=(metric, unit, ours), b=(metric, unit, theirs)).values()
    assert apart.alike(one, other, metric) is apart.alike(other, one, metric) is same


def test_what_is_not_told_apart_is_named_together():
    found = groups(malloc=("memory.full_bytes", "B", [100 << 20]), fixed=("memory.full_bytes", "B", [(100 << 20) + 9]),
                   slab=("memory.full_bytes", "B", [110 << 20]), expand=("memory.full_bytes", "B", [200 << 20]))
    assert apart.contrast(found, "memory.full_bytes", "memory") == "memory is least with malloc and fixed, 100 MiB, and most with expand, 200 MiB"
    assert {name.label for name in apart.best(found, "memory.full_bytes", "lower")} == {"malloc", "fixed"}
    assert apart.best(found, "memory.full_bytes", "none") == set() == apart.best(dict(list(found.items())[:2]), "memory.full_bytes", "lower")
    near = groups(a=("connect.p99", "ns", [100]), b=("connect.p99", "ns", [101]))
    assert apart.contrast(near, "connect.p99", "p99") == "p99 is not told apart: 100 ns with a, 101 ns with b"
    assert apart.contrast(dict(list(near.items())[:1]), "connect.p99", "p99") == ""


def test_a_strategy_that_has_its_memory_before_is_not_the_best_in_memory_of_a_connection(tmp_path):
    """`fixed` had 130 B of a connection in bold, since it had taken 17 KiB for each beforehand."""
    run = made_runs.make_suite(tmp_path)
    for cell, start, each in zip(run["cells"], (1, 290, 1), (17_000, 130, 20_000), strict=True):
        cell["metrics"] |= {"memory.start_bytes": made_runs.metric(start * 2 ** 20, "B"), "memory.full_bytes": made_runs.metric(300 * 2 ** 20, "B"),
                            "memory.per_connection_bytes": made_runs.metric(each, "B")}
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    table, = report_text.tables(source, source.runs[0])
    line = next(row for row in table.rows if row[0].text == "memory per connection")
    assert [field.best for field in line[1:]] == [True, False, False]
    assert any(text.endswith("since they have theirs before: expand.") for text in report_text.notes(source, source.runs[0]))


def test_the_best_of_one_load_is_not_the_best_of_another(tmp_path):
    run = made_runs.make_suite(tmp_path)
    for cell, (strategy, engine) in zip(run["cells"], (("slab", "raw"), ("malloc", "raw"), ("slab", "paho")), strict=True):
        cell["config"] |= {"strategy": strategy, "engine": engine}
        cell["metrics"] |= {f"step.1000.{name}": made_runs.metric(value, unit) for name, value, unit in (("user_bytes", 5e6, "B"), ("took_ns", 1e9, "ns"))}
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    table, = report_text.tables(source, source.runs[0])
    line = next(row for row in table.rows if row[0].text == "memory with all connected")     # 170, 175, 180 MB
    assert [field.best for field in line[1:]] == [True, False, False]
    lines = answer.answer(source, source.runs[0])
    assert any(line.startswith("Raw: memory with all connected is least with slab") and "most with malloc" in line for line in lines)


# --- other answers


def test_a_suite_of_lives_answers_by_what_stays_after_its_largest_phase(tmp_path):
    """Its page said "Not rated" of all strategies, and nothing else."""
    run = made_runs.make_suite(tmp_path)
    for cell, after, peak, wait in zip(run["cells"], (257, 442, 98), (269, 442, 283), (378, 447, 316), strict=True):
        cell["phases"] = [{"name": name, "scenario": "burst", "folder": name, "prefix": f"{name}."} for name in ("churn", "burst")]
        cell["metrics"] = {f"{phase}.{name}": made_runs.metric(value * part, unit) for phase, part in (("churn", .5), ("burst", 1)) for name, value, unit in (
            ("memory.after_bytes", after * 2 ** 20, "B"), ("memory.peak_bytes", peak * 2 ** 20, "B"), ("arrival.max", wait * 1e6, "ns"),
            ("memory.full_bytes", 68 * 2 ** 20, "B"))}
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    lines = answer.answer(source, source.runs[0])
    assert lines[0] == ("For 10 000 connections (classic), phase burst: memory afterwards is least with slab, 98 MiB, and most with expand, 442 MiB; "
                        "memory at its peak is least with malloc, 269 MiB, and most with expand, 442 MiB; the longest wait of an arrival is shortest "
                        "with malloc and slab, 316 ms, and longest with expand, 447 ms.")
    assert lines[1].startswith("How sure: each ran once") and not any("Not rated" in line for line in lines)


def test_a_busy_host_is_in_the_answer(tmp_path):
    run = made_runs.make_suite(tmp_path)
    run["cells"][1]["anomalies"] = [{"what": "busy", "text": "other processes had 94 % of the processors' time"}]
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    assert any("processors' time while expand ran: times are longer there" in line for line in answer.answer(source, source.runs[0]))
    for cell in run["cells"]:
        cell["anomalies"] = run["cells"][1]["anomalies"]
    made_runs.save(tmp_path, run)
    source = Source([load(tmp_path)])
    assert any("while every configuration ran" in line for line in answer.answer(source, source.runs[0]))


def bench_cell(strategy, allocator, threads, samples, workload="lifo_touch_line"):
    return {"id": f"{workload}/{strategy}-{allocator}/{threads}.1", "repetition": 1, "status": "complete", "commands": [], "files": {}, "anomalies": [],
            "config": {"workload": workload, "strategy": strategy, "allocator": allocator, "bytes": 3072, "threads": threads},
            "metrics": {"time": made_runs.metric(sorted(samples)[len(samples) // 2], samples=samples)}}


def test_benchmarks_of_different_numbers_of_threads_are_not_mixed(tmp_path):
    """The sentence on one thread had the figures of two."""
    cells = [bench_cell("direct", "slab", 1, [3.1, 3.2, 3.0]), bench_cell("direct", "jemalloc", 1, [6.5, 6.4, 6.6]),
             bench_cell("bare", "glibc", 1, [1.0, 1.1, 1.2]), bench_cell("sync", "glibc", 1, [3.15, 3.3, 3.25]),
             bench_cell("direct", "slab", 2, [2.5, 2.6, 2.55]), bench_cell("direct", "jemalloc", 2, [9.0, 9.1, 9.2])]
    made_runs.save(tmp_path, made_runs._run("bench", 3, cells, "bench"))
    source = Source([load(tmp_path)])
    first, sure = answer.answer(source, source.runs[0])
    assert first == ("An object taken and given back, one line of it written (3 072 bytes): fastest with slab compiled in (direct-slab), 3.1 ns (3 to 3.2), "
                     "not told apart from sync; the fastest other allocator, direct-jemalloc, takes 6.5 ns (6.4 to 6.6), 2.1 times as long.")
    assert sure.startswith("How sure: medians of 3 rounds.")
    table, = report_text.tables(source, source.runs[0])
    rows = {row[0].text: {head: field for head, field in zip(table.heads[1:], row[1:], strict=True)} for row in table.rows}
    assert rows["lifo_touch_line"]["direct-slab"] == report_text.Field("3.1 ns", True)
    assert rows["lifo_touch_line"]["bare"] == report_text.Field("1.1 ns", False) and rows["lifo_touch_line x 2 threads"]["sync"].text == "-"
    assert report_text.notes(source, source.runs[0])[0].startswith("Bold: the fastest of its row.")


def test_a_rival_that_is_not_told_apart_says_so(tmp_path):
    cells = [bench_cell("direct", "slab", 1, [3.1, 3.2, 6.6]), bench_cell("direct", "jemalloc", 1, [3.3, 6.5, 6.6])]
    made_runs.save(tmp_path, made_runs._run("bench", 3, cells, "bench"))
    source = Source([load(tmp_path)])
    assert "times as long, which is not told apart." in answer.answer(source, source.runs[0])[0]
    assert bench_answer.answer({}) == []


def test_a_page_without_anything_bold_has_no_note_on_it(tmp_path):
    made_runs.save(tmp_path, made_runs._run("load", 3, [], "none") | {"metrics": {"connect.p50": made_runs.metric(1e6)}})
    report.make([load(tmp_path)], tmp_path / "out")
    assert "Bold:" not in (tmp_path / "out/report.html").read_text()
