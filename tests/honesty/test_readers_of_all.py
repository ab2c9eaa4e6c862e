# SPDX-License-Identifier: Apache-2.0
"""The same run judged by the generator's record, the suite's record and table, the report, and verify: identical figures, for every
metric of the catalogue and every scenario that the programs describe. A scenario or a metric without a run here fails a test."""
import csv
import functools
import json

import pytest
from commands import poolmark
from faults import BUILD, Broker, changing

from poolmark.base import curves
from poolmark.base.units import show
from poolmark.facts import described
from poolmark.records import rounds
from poolmark.records.read_record import Run, load
from poolmark.report import report_text
from poolmark.report import source as report_source
from poolmark.verify import bounds, entries, inside, recompute
from test_qos import CONNACK, at_qos_1
from test_wrong_answers import KEPT, under_another_topic, with_retain

# A cell for each scenario, and more where a metric needs it. Connections are those of the cell, which a plan needs.
SUITE = """
title = "every scenario"
[config]
shape = "classic"
engine = "raw"
allocator = "glibc"
strategy = "expand"
connections = 1500
[[group]]
config = { connections = 1500 }
load = { self-latency = true, rate = 2000 }
[[group.phase]]
name = "connect"
scenario = "connect"
prove = true
subscribe = true
settle = "1s"
backoff = "100ms"
[[group]]
config = { connections = 1501 }
[[group.phase]]
name = "pairs"
scenario = "publish"
pairs = 10
publish-rate = 2000
warmup = "100ms"
duration = "600ms"
qos = 1
[[group.phase]]
name = "fan-out"
scenario = "publish"
pattern = "fan-out"
subscribers = 20
publish-rate = 100
warmup = "100ms"
duration = "500ms"
[[group]]
config = { strategy = "malloc" }
[[group.phase]]
name = "steps"
scenario = "steps"
steps = "300,1500"
probe = 10
duration = "2500ms"
settle = "1s"
[[group]]
config = { connections = 1502 }
[[group.phase]]
name = "churn"
scenario = "churn"
connections = 200
churn-rate = 100
duration = "1s"
settle = "500ms"
[[group]]
config = { connections = 1503 }
[[group.phase]]
name = "burst"
scenario = "burst"
connections = 100
burst = 1200
burst-rate = 1000
repeat = 1
stay = "200ms"
calm = "200ms"
settle = "500ms"
[[group]]
config = { connections = 1504 }
[[group.phase]]
name = "storm"
scenario = "storm"
connections = 200
leave = "rst"
by-client = true
settle = "500ms"
[[group]]
config = { connections = 1505 }
[[group.phase]]
name = "subscribe"
scenario = "subscribe"
connections = 200
filters = 10
repeat = 1
subscribe-rate = 2000
settle = "500ms"
[[group]]
config = { connections = 1507 }
[[group.phase]]
name = "replays"
scenario = "subscribe"
connections = 100
retained = 20
repeat = 1
subscribe-rate = 2000
settle = "500ms"
[[group]]
config = { connections = 1506, strategy = "slab" }
broker = { max = ["5000"], pressure = ["bound=1MiB"] }
[[group.phase]]
name = "soak"
scenario = "soak"
connections = 100
churn-rate = 20
pairs = 5
publish-rate = 100
duration = "3s"
settle = "500ms"
[[group]]
config = { connections = 10 }
[[group.phase]]
name = "slow"
scenario = "slow"
subscribers = 6
slow-share = 0.34
publish-rate = 100
message-bytes = "16KiB"
before = "500ms"
duration = "1s"
after = "500ms"
settle = "500ms"
[[group]]
config = { connections = 40, attack = "tiny-retained" }
broker = { memory-limit = "256MiB" }
[[group.phase]]
name = "attacked"
scenario = "publish"
pairs = 5
publish-rate = 100
warmup = "100ms"
duration = "1s"
[[group]]
config = { connections = 60 }
[[group.phase]]
name = "mix"
scenario = "mix"
mix = "{mix}"
"""
MIX = """
title = "sensors and phones"
[group.sensors]
role = "publisher"
connections = 20
pattern = "fan-in"
qos = 1
[group.dashboards]
role = "subscriber"
from = "sensors"
connections = 2
[group.phones]
role = "idle"
connections = 30
[[phase]]
name = "arrive"
all = { do = "connect", rate = 1000 }
[[phase]]
name = "day"
duration = "1s"
sensors = { do = "publish", rate = 200 }
phones = { do = "churn", rate = 20 }
"""
# The same run through a proxy that changes what arrives: metrics that are there only when something went wrong.
SPOILED = """
title = "spoiled"
[config]
engine = "raw"
connections = 20
target = "mqtt://127.0.0.1:{port}"
[[phase]]
name = "publish"
scenario = "publish"
pairs = 5
publish-rate = 200
payload = 70
warmup = 0
duration = "500ms"
drain = "500ms"
"""
# Only where the kernel counts them for this process: with a control group that has a quota. test_blame.py has them.
QUOTA = {"generator.throttled_ns", "cpu.throttled_ns"}


def spoil(counts):
    """Changes every tenth payload, in its header and in its body by turns, and sends another subscriber's message after every tenth. One
    of ten comes twice, one at a higher QoS, one after the next of its topic, one under another topic and one with RETAIN."""
    others = {}     # topic -> its last message
    late = {}       # topic -> a message that comes after the next one

    def change(packet, end):
        counts["seen"] = counts.get("seen", 0) + 1
        topic = packet[end + 2:end + 2 + int.from_bytes(packet[end:end + 2], "big")]
        others[topic] = packet
        if topic in late:
            return packet + late.pop(topic)
        if counts["seen"] % 10 == 7:
            late[topic] = packet
            return b""
        if counts["seen"] % 10 == 8:
            return packet * 2
        if counts["seen"] % 10 == 9:
            return at_qos_1(packet, end)
        if counts["seen"] % 10 == 3:
            return under_another_topic(packet, end)
        if counts["seen"] % 10 == 4:
            return with_retain(packet, end)
        if counts["seen"] % 10 == 5:
            return packet + next((other for name, other in others.items() if name != topic), b"")
        if counts["seen"] % 10:
            return packet
        payload = end + 2 + int.from_bytes(packet[end:end + 2], "big")
        at = payload + 8 if counts["seen"] % 20 else len(packet) - 1
        return packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1:]
    return change


def granting_1(packet):
    """A SUBACK grants QoS 1, whatever was asked for. A CONNACK says that there was a session."""
    return packet[:-1] + b"\x01" if packet[0] >> 4 == 9 else KEPT if packet == CONNACK else packet


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A good run and a spoiled one. On a busy host a cell of the good one may be incomplete; its figures are the same to all readers."""
    folder = tmp_path_factory.mktemp("all")
    with Broker() as broker, changing(broker.port, spoil({}), others=granting_1) as port:
        found = {}
        (folder / "mix.toml").write_text(MIX, encoding="utf-8")
        for name, text in (("good", SUITE.replace("{mix}", str(folder / "mix.toml"))), ("spoiled", SPOILED.replace("{port}", str(port)))):
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
            done = poolmark("suite", folder / f"{name}.toml", "--build", BUILD, "--out", folder / name)
            assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stdout + done.stderr
            found[name] = load(folder / name)
    return found


def phases_of(run):
    """(cell, phase, the generator's own record) of each phase."""
    for cell in run.data["cells"]:
        assert cell["phases"], cell["anomalies"]
        for phase in cell["phases"]:
            yield cell, phase, load(run.folder / "cells" / cell["id"] / phase["folder"])


def all_records(run):
    """Every record of a suite: the metrics of its cells, of its generators and of its brokers."""
    yield from (cell["metrics"] for cell in run.data["cells"])
    yield from (json.loads(path.read_text(encoding="utf-8"))["metrics"] for path in run.folder.glob("cells/*/*/run.json"))


def test_every_scenario_has_a_run(runs):
    missing = set(described.scenarios(BUILD)) - {phase["scenario"] for _, phase, _ in phases_of(runs["good"])}
    assert not missing, f"no run of {sorted(missing)}: write a [[group]] with a short phase of each into SUITE of tests/honesty/test_readers_of_all.py, with " \
        "connections that no other group has (CONTRIBUTING.md, Add a scenario)"


def test_every_metric_of_the_catalogue_has_a_run(runs):
    """Of a mix a group has in a phase what its act gives: another metric for each, which test_mix_counted.py has."""
    metrics = [one for one in described.catalogue(BUILD) if one["program"] != "poolmark-bench" and not one["name"].startswith("GROUP.")]
    found = (described.metric_of(name, metrics) for run in runs.values() for record in all_records(run) for name in record)
    measured = {one["name"] for one in found if one}
    of_rounds = set(rounds.figures([], 0))  # of the command soak: tests/py/test_soak_rounds.py
    missing = {one["name"] for one in metrics} - measured - QUOTA - of_rounds
    if not any("kernel.per_connection_bytes" in record for record in all_records(runs["good"])):
        missing -= {one for one in missing if one.startswith("kernel.") or one == "step.N.kernel_bytes"}  # /proc/slabinfo may not be read here
    assert not missing, f"no run has {sorted(missing)}: give a phase of SUITE in tests/honesty/test_readers_of_all.py the options that measure them"
    assert len(measured) > 150


@pytest.mark.parametrize("which", ["good", "spoiled"])
def test_every_reader_gives_the_same_figure_for_every_metric(runs, which):
    run = runs[which]
    assert recompute.again(run).wrong == []
    with open(run.folder / "summary.csv", newline="", encoding="utf-8") as file:
        table = {row["cell"]: row for row in csv.DictReader(file)}
    compared = 0
    for cell, phase, generator in phases_of(run):
        again, missing = recompute.replay(run, cell)
        assert missing == "" and set(again) == set(cell["metrics"]), (cell["id"], missing)
        printed, = report_text.tables(report_source.Source([generator]), generator)
        shown = {name.text: value.text for name, value in printed.rows}
        assert printed.heads == ["metric", "value"] and {name for name in shown if not name.startswith("limit of ")} == set(generator.data["metrics"])
        for name, one in generator.data["metrics"].items():
            whole = f"{phase['prefix']}{name}"
            where = f"{cell['id']}: {whole}"
            assert cell["metrics"][whole] == one, where                                             # the suite's record
            assert again[whole] == one, where                                                       # verify
            told = table[cell["id"]][f"{whole} [{one['unit']}]"]
            assert told == "" if one["value"] is None else float(told) == pytest.approx(one["value"], rel=1e-12), where   # the suite's table
            mark = " ?" if "doubt" in one else ""
            assert shown[name] == ("-" if one["value"] is None else show(one["value"], one["unit"]) + mark), where   # the report of the load
            assert report_source.median([cell], whole) == one["value"], where                       # the report of the suite
            compared += 1
    assert compared > (600 if which == "good" else 30)


def test_the_printed_report_of_a_load_has_every_figure(runs, tmp_path):
    folder = next(run.folder for _, phase, run in phases_of(runs["good"]) if phase["scenario"] == "soak")
    done = poolmark("report", folder, "--out", tmp_path / "page")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.replace("\\", "") for line in (tmp_path / "page/report.md").read_text(encoding="utf-8").splitlines()]
    for name, one in load(folder).data["metrics"].items():
        value = "-" if one["value"] is None else show(one["value"], one["unit"])
        assert any(name in line and value in line for line in lines), name


@pytest.mark.parametrize("which", ["good", "spoiled"])
def test_an_edit_of_any_figure_of_the_suite_is_noticed(runs, which, monkeypatch):
    """One figure at a time, in the suite's record. Its files stay as they are, and are computed once."""
    run = runs[which]
    data = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    replayed = {cell["id"]: recompute.replay(run, cell) for cell in data["cells"]}
    monkeypatch.setattr(recompute, "replay", lambda run, cell: replayed[cell["id"]])
    monkeypatch.setattr(recompute, "beside_phases", lambda run, cell: [])
    noticed = 0
    for cell in data["cells"]:
        for name, one in cell["metrics"].items():
            before = one["value"]
            one["value"] = 1.0 if before is None else before * 1.01 + 1
            wrong = recompute.suite_account(Run(run.folder, data), cell).wrong
            assert any(text.startswith(f"{cell['id']}: {name}: ") for text in wrong), (cell["id"], name)
            one["value"] = before
            noticed += 1
    assert noticed > (600 if which == "good" else 30)


def test_an_edit_of_a_figure_that_follows_from_files_is_noticed_in_the_generators_record(runs, monkeypatch):
    """What only the generator counted is in no other file: its seal protects it (test_seal.py)."""
    monkeypatch.setattr(recompute, "latency_figures", functools.cache(recompute.latency_figures))
    monkeypatch.setattr(described, "catalogue", functools.cache(described.catalogue))
    noticed = 0
    for _, phase, generator in phases_of(runs["good"]):
        own = recompute.again(generator)
        assert own.wrong == [], phase
        alone = {name for reason, names in own.left.items() if reason != recompute.UNKNOWN for name in names}
        for name, one in generator.data["metrics"].items():
            if name in alone:
                continue
            before = one["value"]
            one["value"] = 1.0 if before is None else before * 1.01 + 1
            assert any(text.startswith(f"{name}: ") for text in recompute.again(generator).wrong), (phase["name"], name)
            one["value"] = before
            noticed += 1
    assert noticed > 300


def cached(monkeypatch):
    """Unchanged files are read once."""
    monkeypatch.setattr(recompute, "latency_figures", functools.cache(recompute.latency_figures))
    monkeypatch.setattr(described, "catalogue", functools.cache(described.catalogue))
    read = functools.cache(curves.read_csv)
    for module in (curves, recompute, bounds, inside):
        monkeypatch.setattr(module, "read_csv", read)


# Metrics of which only their number says that one is gone: nothing else demands them.
ALONE = (".messages.rate_asked",)     # of a group of a mix, whose file is not in the record


@pytest.mark.parametrize("which", ["good", "spoiled"])
def test_each_figure_and_each_anomaly_that_is_taken_out_is_named(runs, which, monkeypatch):
    """One at a time, as by somebody who seals the record anew."""
    cached(monkeypatch)
    monkeypatch.setattr(recompute, "inner_accounts", lambda run: recompute.Account())
    unnamed, silent, taken = set(), [], 0
    folders = [path.parent for path in sorted(runs[which].folder.glob("cells/*/*/run.json"))]
    for run in map(load, folders):
        metrics, anomalies = run.data["metrics"], run.data["anomalies"]
        for name in list(metrics):
            one = metrics.pop(name)
            wrong = recompute.again(run).wrong
            silent += [] if wrong else [(run.folder.name, name)]
            unnamed |= set() if any(text.startswith(f"{name}: ") for text in wrong) else {name}
            metrics[name] = one
            taken += 1
        for at, one in enumerate(list(anomalies)):
            del anomalies[at]
            wrong = recompute.again(run).wrong
            assert any(f"'{one['what']}'" in text for text in wrong), (run.folder.name, one)
            anomalies.insert(at, one)
    assert not silent and taken > (600 if which == "good" else 30)
    assert not {name for name in unnamed if not name.endswith(ALONE)}


def test_each_figure_and_each_anomaly_of_a_cell_that_is_taken_out_is_named(runs, monkeypatch):
    run = runs["good"]
    data = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    replayed = {cell["id"]: recompute.replay(run, cell) for cell in data["cells"]}
    monkeypatch.setattr(recompute, "replay", lambda run, cell: replayed[cell["id"]])
    monkeypatch.setattr(recompute.counters, "complaints", lambda folder, cell: [])
    for cell in data["cells"]:
        for name in list(cell["metrics"]):
            one = cell["metrics"].pop(name)
            assert any(text.startswith(f"{cell['id']}: {name}: ") for text in recompute.suite_account(Run(run.folder, data), cell).wrong), name
            cell["metrics"][name] = one
        for at, one in enumerate(list(cell["anomalies"])):
            del cell["anomalies"][at]
            assert any(f"'{one['what']}'" in text for text in entries.wrong(data)), one
            cell["anomalies"].insert(at, one)


def test_values_inside_of_a_record_are_compared_with_its_files_and_its_command(runs):
    for _, phase, generator in phases_of(runs["good"]):
        run = load(generator.folder)
        if phase["scenario"] == "steps":
            run.data["steps"][0]["target_rss_bytes"] += 1
            assert any("steps: target_rss_bytes of the step of 300 connections" in text for text in recompute.again(run).wrong)
        if "start" in run.data.get("readings", {}):
            run.data["readings"]["start"] += 1
            assert any(text.startswith("readings.start: memory.csv has no line of") for text in recompute.again(run).wrong)
        if phase["name"] == "pairs":
            run.data["config"]["publish_rate_per_s"] = 1000.0
            assert any(text.startswith("config.publish_rate_per_s: the record says 1000") for text in recompute.again(run).wrong)


def test_figures_of_benchmarks_are_those_of_their_rounds(tmp_path):
    """What the program printed, the record, its table, and verify."""
    done = poolmark("bench", "--set", "full", "--filter", "^(lifo|grow|shrink|cold|bleed)/slab(-background)?/3072$", "--repetitions", 3, "--min-time",
                    "1ms", "--again", 0, "--build", BUILD, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(tmp_path / "run")
    assert recompute.again(run).wrong == [] and poolmark("verify", tmp_path / "run").returncode == 0
    with open(tmp_path / "run/bench.csv", newline="", encoding="utf-8") as file:
        table = {(row["benchmark"], row["metric"]): row for row in csv.DictReader(file)}
    known = [one for one in described.catalogue(BUILD) if one["program"] == "poolmark-bench"]
    compared = listed = 0
    for cell in run.data["cells"]:
        made = [json.loads((run.folder / path).read_text(encoding="utf-8"))["benchmarks"][0] for key, path in cell["files"].items()
                  if key.startswith("round_")]
        for name, one in cell["metrics"].items():
            assert described.metric_of(name, known), name
            if name not in made[0] or not one.get("samples"):
                continue
            assert sorted(one["samples"]) == pytest.approx(sorted(each[name] for each in made)), (cell["id"], name)
            row = next((row for (benchmark, metric), row in table.items() if metric == name and benchmark in cell["id"]), None)
            assert row is None or float(row["median"]) == pytest.approx(one["value"]), (cell["id"], name)
            compared += 1
            listed += row is not None
    assert compared > 20 and listed > 20, (compared, listed)
