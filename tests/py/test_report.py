# SPDX-License-Identifier: Apache-2.0
"""report: shown in a real browser without an error, escaped, with the record's figures; SVG without a browser."""
import base64
import csv
import gzip
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import made_runs
import pytest

from poolmark.base import escape
from poolmark.records import hlog
from poolmark.verify import recompute
from poolmark.report import answer, latency_data, names, report, report_text
from poolmark.report import source as source_of
from poolmark.report.source import Source
from poolmark.base.errors import RecordError
from poolmark.records.read_record import load
from poolmark.base.units import plural

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "third_party" / "node_modules"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of a suite, of a benchmark run and of a load over ranks, with its static charts."""
    folder = tmp_path_factory.mktemp("report")
    made_runs.make_suite(folder / "suite")
    made_runs.make_bench(folder / "bench")
    made_runs.make_ranks(folder / "ranks")
    report.make([load(folder / "suite"), load(folder / "bench"), load(folder / "ranks")], folder / "out", folder / "svg")
    return folder


def test_every_chart_is_drawn_in_chromium_without_an_error_or_a_request(made):
    done = subprocess.run(["node", str(ROOT / "tests/js/open_report.cjs"), str(MODULES / "playwright-core"),
                           str(made / "out/report.html")], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["errors"] == [] and result["requests"] == []
    for name, seen in result["seen"].items():
        assert seen["wanted"] >= 10, name
        assert seen["drawn"] == seen["wanted"] == seen["menus"], (name, seen)
        assert seen["misfits"] == [], name
    assert not result["seen"]["phone"]["sideways"]


def test_the_page_is_below_a_megabyte_and_a_half(made):
    assert (made / "out/report.html").stat().st_size < 1.5e6


def test_every_chart_has_its_csv_and_its_svg(made):
    names = {path.stem for path in (made / "out/data").glob("*.csv")}
    assert {"memory-over-connections", "memory-by-part", "memory-over-time", "latency",
            "latency-percentiles", "latency-ccdf", "latency-over-time", "time-against-memory", "benchmarks", "raw-samples",
            "get-trace", "memory-back"} <= names
    assert {path.stem for path in (made / "svg").glob("*.svg")} == names
    for path in (made / "svg").glob("*.svg"):
        text = path.read_text()
        assert text.startswith("<svg") and "NaN" not in text and text.count("<path") > 3, path.name


def test_what_comes_back_under_pressure_is_a_curve_from_0_to_all_of_it(made):
    rows = list(csv.DictReader(open(made / "out/data/memory-back.csv", encoding="utf-8")))
    assert [(float(row["time_ns"]), float(row["back_percent"])) for row in rows if row["contender"] == "sync"] == [
        (0, 0), (1e6, 25), (2e6, 50), (3e6, 75), (4e6, 100)]
    assert {row["contender"] for row in rows} == {"slab", "sync"}


def test_the_memory_csv_holds_what_the_pools_own(made):
    rows = list(csv.DictReader(open(made / "out/data/memory-by-part.csv", encoding="utf-8")))
    at_full = [row for row in rows if float(row["connections"]) == 10000 and row["cell"].startswith("malloc")]
    parts = {row["part"]: float(row["memory_mib"]) * 2 ** 20 for row in at_full}
    assert parts["connections"] == pytest.approx(10000 * 3072) and parts["kernel"] == pytest.approx(10000 * 8010)
    assert sum(parts.values()) - parts["kernel"] == pytest.approx(4_000_000 + 10000 * 17_600)


def test_markdown_says_the_same_and_cites_the_checksum(made):
    text = (made / "out/report.md").read_text()
    assert report_text.cite(load(made / "suite"))["checksum"] in text
    assert "malloc" in text.split("## Tables")[1].splitlines()[2] and "9 ms" in text and "bibtex" in text


class Shown(HTMLParser):
    """Collects elements outside of scripts, and the text of the scripts."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


HOSTILE = "</script><img src=x onerror=alert(1)>'\"{{7*7}}"


def test_nothing_of_a_record_gets_into_the_page_unescaped(tmp_path):
    run = made_runs.make_suite(tmp_path / "run", name=HOSTILE.replace("{{7*7}}", "") + "{strategy}")
    run["host"]["cpu_model"] = run["suite"] = HOSTILE
    run["anomalies"] = [{"what": HOSTILE, "text": HOSTILE}]
    run["cells"][0]["commands"] = [[HOSTILE]]
    run["cells"][0]["config"]["strategy"] = HOSTILE
    made_runs.save(tmp_path / "run", run)
    report.make([load(tmp_path / "run")], tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    parser = Shown()
    parser.feed(page)
    assert not [tag for tag, attrs in parser.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert "&lt;img" in page and "<img" not in (tmp_path / "out/report.md").read_text()


def test_a_cell_without_files_and_a_broken_file_leave_the_rest(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    (tmp_path / "run/cells/0/load/latency.hlog").write_text("Tag=connect,0,1,2,HISTF!\nTag=x,0,1,1,y\n")
    run["cells"][1]["files"] = {}
    made_runs.save(tmp_path / "run", run)
    source = report.make([load(tmp_path / "run")], tmp_path / "out")
    assert any("latency.hlog" in text and "line 1" in text for text in source.problems)
    assert "latency.hlog" in (tmp_path / "out/report.html").read_text()
    assert any(row["cell"] == "slab" for row in latency_data.latency_percentiles(source))


def test_a_run_without_anything_to_draw_still_has_a_page(tmp_path):
    run = made_runs._run("load", 3, [], "none") | {"metrics": {"connect.p50": made_runs.metric(1e6)}}
    made_runs.save(tmp_path / "run", run)
    report.make([load(tmp_path / "run")], tmp_path / "out")
    assert "connect.p50" in (tmp_path / "out/report.md").read_text()


def own_record(folder, kind):
    """A record of poolmark-loadgen or poolmark-broker with --record: no suite, no cells, files at the top."""
    made_runs.write_cell(folder / "made", 1)
    names = {"load": ("load/latency.hlog", "load/memory.csv"), "broker": ("broker/pools.csv", "broker/events.csv")}[kind]
    for name in names:
        (folder / "made" / name).rename(folder / Path(name).name)
    shutil.rmtree(folder / "made")
    metrics = {"connect.p50": made_runs.metric(1e6), "clients.connected": made_runs.metric(1, "1", "none")}
    if kind == "load":
        metrics |= {name: made_runs.metric(value, *(("1", "none") if name.endswith(".count") else ()))
                    for name, value in recompute.latency_figures(folder / "latency.hlog").items()}
    run = made_runs._run(kind, 4, [], "none") | {"metrics": metrics}
    for name in ("suite", "cells", "libraries", "summary", "seed"):
        del run[name]
    if kind == "load":
        run["summary"] = {"percentiles": "of at least 1 / (1 - p) samples"}
        run["config"] = {"scenario": "steps", "connections": 1}
        (folder / "steps.csv").write_text("at_ns,connections,rest_bytes,kernel_slab_bytes\n1,10,,5\n2,100,,9\n")
    return made_runs.save(folder, run)


@pytest.mark.parametrize("kind", ["load", "broker"])
def test_a_record_of_the_load_generator_or_the_broker_has_a_page(poolmark, tmp_path, kind):
    run = own_record(tmp_path / "run", kind)
    assert poolmark("report", tmp_path / "run").returncode == 0
    page = (tmp_path / "run/report/report.html").read_text()
    assert f'href="../{"latency.hlog" if kind == "load" else "pools.csv"}"' in page and "connect.p50" in page
    assert 'data-chart="' in page
    for name in ("metrics", "anomalies", "config", "files", "ended_utc"):
        run.pop(name, None)
    (tmp_path / "run/run.json").write_text(json.dumps(run | {"status": "incomplete"}))
    assert poolmark("report", tmp_path / "run").returncode == (1 if kind == "load" else 0)  # a load without figures for its samples
    assert "incomplete" in (tmp_path / "run/report/report.md").read_text()


def test_files_that_are_not_there_have_no_link(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    (tmp_path / "run/cells/0/load/latency.hlog").unlink()
    source = report.make([load(tmp_path / "run")], tmp_path / "run/report")
    parser = Shown()
    parser.feed((tmp_path / "run/report/report.html").read_text())
    links = [attrs["href"] for tag, attrs in parser.tags if tag == "a" and attrs.get("href", "").startswith("..")]
    assert len(links) == 11 and all((tmp_path / "run/report" / link).is_file() for link in links)
    assert "1 file without a link: left out of this copy." in (tmp_path / "run/report/report.html").read_text()
    assert source.problems == ["cells/0/load/latency.hlog: is named in the record and is not there"]


def answered(folder):
    run = load(folder)
    return answer.answer(Source([run]), run)


def full(run, start, memory, cpu=30_000):
    """Sets the deciding figures of each strategy: memory in MiB at the start and with all connected."""
    for cell, first, last in zip(run["cells"], start, memory, strict=True):
        cell["metrics"] |= {"memory.start_bytes": made_runs.metric(first * 2 ** 20, "B"), "cpu.per_connection_ns":
                            made_runs.metric(cpu), "memory.full_bytes": made_runs.metric(last * 2 ** 20, "B")}


def test_the_first_sentence_names_the_strategy_to_choose_and_what_it_costs(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    full(run, (1, 1, 90), (100, 300, 102))  # malloc, expand, slab; connect p99 9, 8, 7 ms
    made_runs.save(tmp_path / "run", run)
    first, second, extremes, sure, lost, scope = answered(tmp_path / "run")
    assert first == ("For 10 000 connections (classic) choose malloc, if you do not know your peak: 100 MiB, connect p99 9 ms, "
                     "30 us of CPU a connection.")
    assert second.startswith("For 10 000 connections (classic) choose slab, if you know your peak: 102 MiB")
    assert extremes == ("Memory with all connected is least with malloc, 100 MiB, and most with expand, 300 MiB; p99 of a connect is shortest with "
                        "expand and slab, 7 ms, and longest with malloc, 9 ms.")
    assert "each ran once" in sure and "suite quick --repetitions 4" in sure and lost.startswith("No client failed")
    assert "this host" in scope


def test_what_is_close_is_not_told_apart_and_several_runs_have_their_extremes(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    full(run, (1, 1, 1), (100, 101, 200))
    again = json.loads(json.dumps(run["cells"]))
    for cell in again:
        cell["id"] = cell["id"].replace(".1", ".2")
        cell["metrics"]["memory.full_bytes"]["value"] += 2 ** 21
    run["cells"] += again
    made_runs.save(tmp_path / "run", run)
    lines = answered(tmp_path / "run")
    assert "if you do not know your peak: expand or malloc, which are too close to tell apart. " \
           "expand 102 MiB (101 MiB to 103 MiB)" in lines[0]
    assert any(line.startswith("How sure: 2 runs each") and "Fewer than 4" in line for line in lines)


def test_a_strategy_without_a_figure_is_named_and_is_not_the_best(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    full(run, (1, 1, 1), (100, 300, 200))
    for name in ("memory.full_bytes", "connect.p99"):
        del run["cells"][0]["metrics"][name]
    made_runs.save(tmp_path / "run", run)
    lines = answered(tmp_path / "run")
    assert lines[0].startswith("For 10 000 connections (classic) choose slab")
    assert any("Not rated" in line and line.endswith("malloc.") for line in lines)
    assert any(line.startswith("Memory with all connected is least with slab") for line in lines) and ", not known" not in " ".join(lines)


def of_two_shapes(folder):
    """The same strategies with shapes of very different sizes."""
    run = made_runs.make_suite(folder)
    full(run, (1, 1, 1), (10, 30, 20))
    larger = json.loads(json.dumps(run["cells"]))
    for cell in larger:
        cell["id"] = f"large-{cell['id']}"
        cell["config"]["shape"] = "large"
    run["cells"] += larger
    full(run, (1,) * 6, (10, 30, 20, 900, 700, 800))
    made_runs.save(folder, run)
    return Source([load(folder)])


def test_each_load_has_its_own_answer_and_its_own_table_with_its_best(tmp_path):
    source = of_two_shapes(tmp_path / "run")
    lines = answer.answer(source, source.runs[0])
    assert lines[0].startswith("For 10 000 connections (classic) choose malloc, if you do not know your peak: 10 MiB")
    assert sum(line.startswith("For 10 000 connections (large)") for line in lines) == 1 and "large, large" not in " ".join(lines)
    tables = report_text.tables(source, source.runs[0])
    assert [(table.title, table.heads) for table in tables] == [(shape, ["", "malloc", "expand", "slab"]) for shape in ("classic", "large")]
    for table, best in zip(tables, ("10 MiB", "700 MiB"), strict=True):
        line = next(row for row in table.rows if row[0].text == "memory with all connected")
        assert [field.text for field in line if field.best] == [best]


@pytest.mark.parametrize("change", [
    lambda cells: cells[0]["config"].update(connections="10k"), lambda cells: cells[1]["config"].update(connections=[1]),
    lambda cells: cells[0]["metrics"].update({"step.x": made_runs.metric(1)}),
    lambda cells: cells[0]["metrics"]["memory.full_bytes"].update(value=1e100),
    lambda cells: cells[0]["config"].update(strategy="\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 199),
])
def test_an_odd_record_still_has_a_page(tmp_path, change):
    run = made_runs.make_suite(tmp_path / "run")
    full(run, (1, 1, 1), (100, 300, 200))
    change(run["cells"])
    made_runs.save(tmp_path / "run", run)
    report.make([load(tmp_path / "run")], tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.split("<script>")[0]


def test_the_citation_stays_in_its_fence(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    run["tool"]["version"] = "1}\n```\n<img src=x onerror=alert(1)>"
    made_runs.save(tmp_path / "run", run)
    text = report_text.cite(load(tmp_path / "run"))["bibtex"]
    assert "`" not in text and "onerror" in text and len(text.splitlines()) == 6


def test_thinning_keeps_what_stands_out():
    rows = [{"time_s": at, "latency_ns": 5_000_000 if at == 777 else 1} for at in range(5000)]
    kept = source_of.thin_worst(rows, 300, "latency_ns")
    assert len(kept) == 300 and max(row["latency_ns"] for row in kept) == 5_000_000
    assert source_of.thin_worst(rows[:10], 300, "latency_ns") == rows[:10]


def test_losses_are_in_the_answer(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    full(run, (1, 1, 1), (100, 101, 200))
    run["cells"][1]["metrics"]["clients.failed"]["value"] = 3
    run["cells"][2]["metrics"]["messages.lost"] = made_runs.metric(1, "1")
    run["cells"][0]["status"] = "incomplete"
    made_runs.save(tmp_path / "run", run)
    lines = answered(tmp_path / "run")
    assert lines[0] == "1 configuration did not end as it should: malloc."
    assert "3 clients failed or were dropped, 1 message was lost." in lines


def test_a_run_in_steps_says_what_its_last_step_costs(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    for cell in run["cells"]:
        cell["metrics"] |= {f"step.{count}.user_bytes": made_runs.metric(count * 300, "B") for count in (10, 1_000_000)} | {
            "kernel.per_connection_bytes": made_runs.metric(8200, "B"), "memory.full_bytes": made_runs.metric(3e8, "B")}
    made_runs.save(tmp_path / "run", run)
    assert answered(tmp_path / "run")[0].startswith("1 000 000 connections with malloc: 286 MiB in the broker, 16.6 KiB for one more")


def test_latencies_of_messages_are_told_apart_by_their_phase(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    for cell in run["cells"]:
        cell["config"]["phases"] = "connect; publish --pairs 1; publish --qos 1"
        cell["files"] |= {f"latency_{name}": cell["files"]["latency"] for name in ("qos0", "qos1")}
        cell["metrics"] |= {f"delivery_{name}.p99": made_runs.metric(4e5) for name in ("qos0", "qos1")}
    made_runs.save(tmp_path / "run", run)
    source = Source([load(tmp_path / "run")])
    for rows in (latency_data.latency_percentiles(source), latency_data.ccdf(source)):
        assert {row["latency"] for row in rows} == {"connect", "delivery, qos0", "delivery, qos1", "ack, qos0", "ack, qos1"}


def test_the_ccdf_has_the_steps_of_the_log_and_ends_at_its_highest(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    source = Source([load(tmp_path / "run")])
    run, cell, name = next(source.cells())
    log = next(log for log in source.logs(run, cell) if log.latency == "connect")
    histogram = hlog.by_tag(log.intervals)["connect"]
    rows = [row for row in latency_data.ccdf(source) if row["cell"] == name.label and row["latency"] == "connect"]
    assert 60 < len(rows) <= latency_data.MOST_STEPS
    assert rows[-1]["share_above"] == 1 / histogram.count  # only the highest is above
    shares = [row["share_above"] for row in rows]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("configs, labels", [
    ([{"strategy": "slab", "engine": "raw"}, {"strategy": "expand", "engine": "raw"}], ["slab", "expand"]),
    ([{"strategy": "slab", "engine": "raw"}, {"strategy": "slab", "engine": "paho"}], ["slab, raw", "slab, paho"]),
    ([{"strategy": "slab", "connections": 10_000}, {"strategy": "slab", "connections": 500}], ["slab, 10 000", "slab, 500"]),
    ([{"strategy": "malloc", "target": "poolmark", "subscribe": True}, {"target": "mosquitto", "subscribe": True},
      {"target": "mosquitto", "subscribe": False}], ["malloc, subscribed", "mosquitto, subscribed", "mosquitto, not subscribed"]),
    ([{"strategy": "slab"}, {"strategy": "slab"}], ["a", "b"]),
])
def test_cells_have_the_names_that_people_say(configs, labels):
    cells = [{"id": f"{letter}.1", "config": config} for letter, config in zip("abc", configs, strict=False)]
    assert [name.label for name in names.names(cells).values()] == labels


def test_a_strategy_has_one_colour_everywhere():
    assert names.colours(["slab", "mine"])["slab"] == names.colours(["malloc", "expand", "slab"])["slab"]
    given = names.colours(["slab", "mine", "yours", "mosquitto"])
    assert len(set(given.values())) == 4


def test_the_table_has_a_column_for_each_strategy_and_marks_the_best(tmp_path):
    run = made_runs.make_suite(tmp_path / "run")
    table, = report_text.tables(Source([load(tmp_path / "run")]), load(tmp_path / "run"))
    heads, rows = table.heads, table.rows
    assert table.title == "" and heads == ["", "malloc", "expand", "slab"] and run["cells"][0]["metrics"]["connect.p99"]["value"] == 9e6
    line = next(row for row in rows if row[0].text == "connect p99")
    assert [(field.text, field.best) for field in line[1:]] == [("9 ms", False), ("8 ms", True), ("7 ms", True)]  # 8 ms is within a fifth
    rate = next(row for row in rows if row[0].text == "connects per second")
    assert not any(field.best for field in rate)  # all are equal


def test_titles_and_plurals():
    assert plural(1, "anomaly") == "1 anomaly" and plural(2, "anomaly") == "2 anomalies"
    assert plural(1, "file") == "1 file" and plural(0, "file") == "0 files"


def test_the_command_names_what_it_cannot_read(poolmark, tmp_path):
    made_runs.make_suite(tmp_path / "run")
    done = poolmark("report", tmp_path / "run", "--out", tmp_path / "out")
    assert done.returncode == 0 and "report.html" in done.stdout
    text = (tmp_path / "run/run.json").read_text()
    (tmp_path / "run/run.json").write_text(text[:len(text) // 2])
    done = poolmark("report", tmp_path / "run")
    assert done.returncode == 2 and "run.json" in done.stderr
    assert poolmark("report", tmp_path / "none").returncode == 2


def test_hlog_percentiles_are_within_the_precision_of_the_values(tmp_path):
    values = [1, 7, 1000, 2047, 2048, 5000, 123456, 10 ** 9]
    found = hlog.decode(made_runs.encode(values))
    assert found.count == len(values) and found.percentile(100) == pytest.approx(10 ** 9, rel=1e-3)
    for at, value in enumerate(values, 1):
        assert found.percentile(100 * at / len(values)) == pytest.approx(value, rel=1e-3)


def test_counts_of_every_length_are_read():
    words = [0, 5, -1, 63, 64, -3, 1, -64, -65, 1 << 20, 0, 1 << 55, (1 << 63) - 1, 2]    # of one to nine bytes
    payload, wanted, index = b"".join(map(made_runs._zigzag, words)), {}, 0
    for word in words:
        wanted |= {index: word} if word > 0 else {}
        index += max(1, -word)
    assert hlog._counts(payload) == wanted and hlog._counts(b"") == {}
    for broken in (payload + b"\x80", payload + b"\xff" * 8, made_runs._zigzag(-hlog.MAX_COUNTS - 1)):
        with pytest.raises(ValueError, match="cut off|more buckets"):
            hlog._counts(broken)


@pytest.mark.parametrize("text", ["", "AAAA", "x" * 50, made_runs.encode([5])[:-8] + "AAAAAAAA"])
def test_a_broken_histogram_is_refused(text):
    with pytest.raises(ValueError):
        hlog.decode(text)


def test_a_log_cut_off_in_its_last_line_is_read_up_to_there(tmp_path):
    path = tmp_path / "a.hlog"
    made_runs.write_latency(path, 1, 2)
    text = path.read_text().rstrip("\n")
    path.write_text(text[:-20])
    assert len(hlog.read(path)) == 9
    path.write_text(text.replace("Tag=ack", "Tag=ack,", 1))
    with pytest.raises(RecordError, match="line"):
        hlog.read(path)


def test_csv_fields_are_no_formulas():
    assert report.as_csv([{"cell": "=1+1", "x": -2}]) == "cell,x\n'=1+1,-2\n"


def test_packed_data_cannot_end_a_script_and_come_back_whole():
    value = {"a": "</script><!--& \u2028 \N{SNOWMAN}", "b": [1.5, None, True]}
    assert re.fullmatch("[A-Za-z0-9+/=]+", escape.packed(value)) and escape.packed(value) == escape.packed(value)
    assert json.loads(gzip.decompress(base64.b64decode(escape.packed(value)))) == value
