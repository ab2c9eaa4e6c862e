# SPDX-License-Identifier: Apache-2.0
"""What is not known is no 0, and no smaller sum: tables, sums over phases, pools of several instances, histograms, joined runs."""
import csv
import json

import made_runs
import pytest

from poolmark.base.errors import RecordError
from poolmark.records import arrivals, hlog, measures, phases, summary
from poolmark.records.record import Record, seal
from poolmark.report import answer, memory_data
from poolmark.report.names import Name
from poolmark.verify.recompute import Replayed


def cell(name, **metrics):
    return {"id": name, "status": "complete", "repetition": 1, "config": {"strategy": "x"},
            "metrics": {key.replace("__", "."): made_runs.metric(*value) for key, value in metrics.items()}}


def test_a_median_of_some_repetitions_says_of_how_many():
    cells = [cell(f"x.{number}", connect__rate=(value, "1/s", "higher")) for number, value in enumerate((100, None, 300), 1)]
    assert summary.rows({"x": cells}) == [["connects per second", "200/s (2 of 3)"]]
    assert summary.rows({"x": cells[::2]}) == [["connects per second", "200/s"]]


def test_a_negative_size_is_no_figure_and_is_not_left_out_of_the_median():
    def shown(*sizes):
        cells = [cell(f"x.{number}") for number in range(len(sizes))]
        for one, size in zip(cells, sizes, strict=True):
            one["metrics"]["step.10.kernel_bytes"] = made_runs.metric(size, "B", "none")
        return summary.step_tables({"x": cells})[0][2][0][1]

    assert shown(-4096, -4096, 8192) == "-" and shown(-4096, 1024, 8192) == "1 KiB"


def test_a_time_beyond_the_histogram_is_not_known(tmp_path):
    """The generator counts a longer one as an hour (loadgen/summary.c gives no figure then)."""
    hour = hlog.HIGHEST_NS
    path = tmp_path / "latency.hlog"
    path.write_text(f"Tag=arrival,0.0,1.0,{hour}.0,{made_runs.encode([1000] * 999 + [hour] * 2)}\nTag=lag,0.0,1.0,{hour}.0,{made_runs.encode([hour])}\n")
    found = hlog.figures(path)
    assert found["arrival.p99"] is not None and found["arrival.count"] == 1001
    assert [found[name] for name in ("arrival.p99_9", "arrival.max", "arrival.mean", "schedule.lag_max")] == [None] * 4
    path.write_text(f"Tag=arrival,0.0,1.0,{hour - 1}.0,{made_runs.encode([1000] * 999 + [hour - 1] * 2)}\n")
    assert hlog.figures(path)["arrival.max"] == hour - 1


class Curve:
    """A report's source of one cell that went up in steps. `start`: kernel memory before the first client."""

    def __init__(self, start, *steps):
        self.memory = [{"phase": "start", "connections": "0", "kernel_slab_bytes": start, "kernel_tcp_bytes": "0"}]
        self.steps = [{"connections": str(count), "target_private_bytes": "1048576", "rest_bytes": "1048576", "kernel_slab_bytes": kernel,
                       "kernel_tcp_bytes": "0"} for count, kernel in steps]

    def rows(self, run, cell, name):
        return {"steps": self.steps, "memory": self.memory}.get(name, [])

    def groups(self):
        return {Name("x", "malloc", ""): [(None, {"metrics": {}})]}

    def first_cells(self):
        return [(None, {"metrics": {}}, Name("x", "malloc", ""))]


def test_kernel_memory_in_a_chart_counts_from_the_start_and_is_no_0_where_it_is_not_known():
    """It counted from the first step, whose connections had none then."""
    mib = 1 << 20
    source = Curve(str(mib), (1000, str(9 * mib)), (2000, str(17 * mib)))
    kernel = {row["connections"]: row["memory_mib"] for row in memory_data.memory_curve(source) if row["memory"] == memory_data.KERNEL}
    assert kernel == {1000: 8, 2000: 16}
    assert {row["part"]: row["memory_mib"] for row in memory_data.memory_parts(source)} == {memory_data.REST: 1, "kernel": 16}
    source = Curve("", (1000, ""), (2000, ""))
    assert {row["memory"] for row in memory_data.memory_curve(source)} == {memory_data.USER}
    assert [row["part"] for row in memory_data.memory_parts(source)] == [memory_data.REST]


def test_a_value_is_in_the_column_of_its_own_unit():
    text = summary.csv({"cells": [cell("x.1", connect__p50=(5, "ns")), cell("x.2", connect__p50=(7, "us"))]})
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["connect.p50 [ns]"], row["connect.p50 [us]"]) for row in rows] == [("5", ""), ("", "7")]


def test_a_sum_over_phases_of_which_one_is_not_known_is_not_known():
    made = Replayed("x")
    for name, value in (("qos0", 3), ("qos1", None), ("qos2", 4)):
        phases.take(made, {"prefix": f"{name}.", "several": True}, {"messages.lost": made_runs.metric(value, "1")})
    assert made.data["metrics"]["cell.messages.lost"]["value"] is None
    made = Replayed("x")
    for name, value in (("qos0", 3), ("qos1", 0)):
        phases.take(made, {"prefix": f"{name}.", "several": True}, {"messages.lost": made_runs.metric(value, "1")})
    assert made.value("cell.messages.lost") == 3


def test_pools_of_an_instance_that_left_none_are_not_left_out(tmp_path):
    made_runs.write_cell(tmp_path / "one", 1)
    pools = tmp_path / "one/broker/pools.csv"
    made = Replayed("x")
    measures.take_pools(made, [pools])
    assert made.value("pool.hit_rate") is not None
    with pytest.raises(RecordError, match="a sum over the other instances would be too small"):
        measures.take_pools(Replayed("x"), [pools, tmp_path / "two/broker/pools.csv"])
    (tmp_path / "head.csv").write_text(pools.read_text().splitlines()[0] + "\n")
    with pytest.raises(RecordError, match="left no pool statistics"):
        measures.take_pools(Replayed("x"), [pools, tmp_path / "head.csv"])


def test_arrivals_at_a_target_without_events_are_not_called_steady(tmp_path):
    (tmp_path / "arrivals.csv").write_text("target,intended_ns,connected_ns\n0,1,2\n")
    with pytest.raises(RecordError, match="which arrivals met an expansion is not known"):
        arrivals.take(Replayed("x"), tmp_path, {"prefix": ""}, [tmp_path / "broker/events.csv"], read=lambda folder: {})


def test_histograms_of_other_buckets_under_one_tag_are_refused_with_their_line(tmp_path):
    lines = [f"Tag=connect,{second}.0,1.0,100,{made_runs.encode([100], digits=digits)}" for second, digits in enumerate((3, 2))]
    (tmp_path / "latency.hlog").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordError, match="line 2: has other buckets"):
        hlog.read(tmp_path / "latency.hlog")


def run_of(folder, **config):
    record = Record.create("suite", suite="quick", folder=folder, seed=1)
    record.cell("classic-malloc.1", {"strategy": "malloc", **config}).finish("complete")
    record.close("complete")
    return folder


def test_merge_refuses_cells_of_one_name_and_different_configurations(tmp_path, poolmark):
    done = poolmark("merge", run_of(tmp_path / "a", phases="x --duration 1s"), run_of(tmp_path / "b", phases="x --duration 9s"), "--out",
                    tmp_path / "joined")
    assert done.returncode == 2 and "classic-malloc: " in done.stderr and "has phases x --duration 1s" in done.stderr
    assert not (tmp_path / "joined").exists()


def test_merge_refuses_other_libraries_unless_told(tmp_path, poolmark):
    first, other = run_of(tmp_path / "a"), run_of(tmp_path / "b")
    data = json.loads((other / "run.json").read_text())
    data["libraries"]["mosquitto"] = "9.9"
    (other / "run.json").write_text(json.dumps(data))
    seal(other)
    words = ("merge", first, other, "--out", tmp_path / "joined")
    done = poolmark(*words)
    assert done.returncode == 2 and "libraries.mosquitto: " in done.stderr and "and 9.9" in done.stderr
    assert poolmark(*words, "--allow-different", "build").returncode == 0


def test_a_report_does_not_take_an_unknown_loss_for_none():
    known = cell("x.1", clients__failed=(0, "1"), clients__dropped=(0, "1"))
    assert answer.losses([known]) == "No client failed or was dropped, no message was lost."
    assert answer.losses([known, cell("x.2")]) == "What 1 of 2 cells lost is not known."
    lost = cell("x.3", clients__failed=(2, "1"), clients__dropped=(0, "1"), messages__lost=(None, "1"))
    assert answer.losses([lost, known]) == "2 clients failed or were dropped, 0 messages were lost. What 1 of 2 cells lost is not known."
    metrics = {"clients.connected": made_runs.metric(5, "1"), "clients.failed": made_runs.metric(None, "1")}
    assert answer._of_a_load(metrics) == ["5 clients connected, how many failed is not known, how many dropped is not known."]
