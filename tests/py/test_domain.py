# SPDX-License-Identifier: Apache-2.0
"""What the catalogue says of a metric beside its name: whether it can be below 0, and whether it counts what went wrong."""
import json
import os

import pytest
from test_compare import make_run, save

from poolmark.base.errors import RecordError
from poolmark.base.paths import build_dir
from poolmark.facts import described, metrics
from poolmark.limits import verdict as limits
from poolmark.records import phases
from poolmark.records.read_record import complaints, load
from poolmark.records.record import Record

built = pytest.mark.skipif(not all(os.access(build_dir() / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")),
                           reason="the programs are not built")


def with_figure(name, value, unit, samples=None):
    run = make_run(repetitions=1, cells=1)
    run["cells"][0]["metrics"][name] = {"value": value, "unit": unit, "better": "lower"} | ({"samples": samples} if samples else {})
    return run


@pytest.mark.parametrize("name, unit", [("delivery.p99", "ns"), ("qos1.delivery.p99", "ns"), ("memory.full_bytes", "B"), ("messages.sent", "1"),
                                        ("connect.rate", "1/s"), ("pool.hit_rate", "%"), ("connect.seconds", "s"), ("time", "ns"),
                                        ("kernel.per_connection_bytes", "B"), ("step.100.user_bytes", "B"), ("of.nothing.known", "ns")])
def test_a_record_with_a_figure_outside_of_its_domain_is_refused(tmp_path, name, unit):
    """A latency of -50 ms was read and compared, and was better than any other."""
    save(tmp_path / "run", with_figure(name, -50e6, unit))
    with pytest.raises(RecordError) as caught:
        load(tmp_path / "run")
    assert caught.value.path == str(tmp_path / "run" / "run.json")
    assert caught.value.field.startswith("cells[0].metrics") and f"-50000000.0 is below 0, and {name} cannot be" in str(caught.value)
    assert complaints(with_figure(name, 5, unit, [1, 2, -3]))[0] == (caught.value.field.replace(".value", ".samples[2]"),
                                                                     f"-3 is below 0, and {name} cannot be")
    assert complaints(with_figure(name, 0, unit, [0.0, 1])) == [] == complaints(with_figure(name, None, unit))


@pytest.mark.parametrize("name, unit", [("soak.memory_slope", "B/h"), ("kernel.page_table_growth_bytes", "B"), ("connect.kernel.page_table_growth_bytes", "B"),
                                        ("step.100.rest_bytes", "B"), ("account.end.rest_bytes", "B"), ("account.free_bytes", "B"), ("end_ratio", "1"),
                                        ("kernel.data_bytes", "B"), ("claim.startup-time", "%"), ("of.nothing.known", "B/h")])
def test_differences_and_slopes_may_be_below_0(name, unit):
    assert complaints(with_figure(name, -1.5, unit, [-1, 2])) == []


def test_every_command_that_reads_a_record_refuses_it(tmp_path, poolmark):
    good, bad = save(tmp_path / "good", make_run()), save(tmp_path / "bad", with_figure("delivery.p99", -1, "ns"))
    for words, code in ((("compare", good, bad), 4), (("verify", bad), 2), (("report", bad), 2), (("merge", good, bad, "--out", tmp_path / "m"), 2)):
        done = poolmark(*words)
        told = done.stdout + done.stderr
        assert done.returncode == code and f"{bad}/run.json: " in told and "delivery.p99 cannot be" in told, (words, done.returncode, told)


def test_what_comes_out_below_0_is_written_as_no_figure(tmp_path):
    record = Record.create("suite", folder=tmp_path / "run")
    cell = record.cell("x.1", {})
    cell.metric("connect.p99", -3.0, "ns", "lower", [-3.0, 4.0])
    cell.metric("soak.memory_slope", -3.0, "B/h", "lower")
    cell.finish("complete")
    record.close("complete")
    found = load(tmp_path / "run").data["cells"][0]["metrics"]
    assert found["connect.p99"] == {"value": None, "unit": "ns", "better": "lower", "why": "-3 came out, and it cannot be below 0"}
    assert found["soak.memory_slope"]["value"] == -3.0


@built
def test_the_shipped_catalogue_is_that_of_the_programs():
    assert metrics.METRICS.read_text(encoding="utf-8") == metrics.text_of(described.catalogue(build_dir())), "scripts/poolmark describe --write"
    assert [one["name"] for one in metrics.catalogue()] == [one["name"] for one in described.catalogue(build_dir())]
    assert json.loads(metrics.METRICS.read_text(encoding="utf-8"))["schema"] == metrics.SCHEMA


def test_no_list_of_what_went_wrong_lacks_a_fault_of_the_catalogue():
    """messages.misdelivered was in the catalogue, and in none of these."""
    not_of_the_target = {"messages.foreign"}        # of another run
    not_lost = {"messages.duplicates"}              # QoS 1 allows them
    assert set(limits.LOSSES) == set(metrics.faults("clients", "messages")) - not_of_the_target - not_lost
    assert {"messages.misdelivered", "messages.corrupt", "clients.failed", "arrivals.failed"} <= set(phases.summed())
    assert not any(name.endswith(".unfinished") for name in phases.summed())
