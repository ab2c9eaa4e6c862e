# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity --connections ... : its answer on made-up runs whose truth is known, and by the committed ones."""
import json
import math
import re
from pathlib import Path

import jsonschema
import numpy
import pytest
from poolmark import cli
from poolmark.base.errors import UsageError
from poolmark.base.escape import markdown
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.model import asked, by_account, evidence, held_out, host_limits, needs, needs_chart, needs_told
from poolmark.model.asked import Asked
from poolmark.records import read_record
from poolmark.records.read_record import Run
from poolmark.suites import suite_file
from poolmark.suites.suite_options import phases_text

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
SCHEMA = json.loads((ROOT / "results/capacity.schema.json").read_text(encoding="utf-8"))
COUNTS = [1_000, 10_000, 50_000, 100_000]
RATES = [1_000, 2_000, 4_000, 8_000, 16_000]
USER, KERNEL = 17_600, 8_200              # bytes of a connection; the kernel's of both ends
BASE, MESSAGE, CONNECT = 0.02, 8e-6, 40_000     # processors, processor seconds, ns
HOST = {"cores": 4, "memory_bytes": 16 << 30, "kernel": "Linux 6.1", "cpu_model": "A made-up CPU",
        "limits": {"nofile_hard": 20_000, "file_max": 1_600_000, "port_range": [32_768, 60_999], "tcp_mem_pages": [180_000, 240_000, 360_000]}}


def metric(value, unit="ns"):
    return {"value": value, "unit": unit, "better": "lower"}


def made(folder, kind, cells, config=None, number=1, host=HOST):
    data = {"schema": "poolmark.run/1", "id": f"{kind}-20260101T000000Z-{number:04x}", "kind": kind, "suite": kind, "status": "complete",
            "started_utc": "2026-01-01T00:00:00Z", "tool": {"version": "0.2.0", "commit": "a" * 40, "dirty": False}, "command": ["x"], "host": host,
            "config": config or {}, "cells": cells, "metrics": {}, "anomalies": [], "files": {}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(data))
    return Run(folder, data)


def p99_of(rate, cores=1):
    return 0.5e6 / (1 - (BASE + MESSAGE * rate) / cores)


def load_cell(repetition, strategy="malloc", shape="classic", noise=0.002, rates=RATES, anomalies=(), seed=0):
    """A cell of steps and of rates, with the truth above."""
    rng = numpy.random.default_rng(seed * 100 + repetition)
    metrics = {"cpu.per_connection_ns": metric(CONNECT * (1 + rng.normal(0, noise)))}
    for count in COUNTS:
        metrics[f"step.{count}.user_bytes"] = metric((4e6 + USER * count) * (1 + rng.normal(0, noise)), "B")
        metrics[f"step.{count}.kernel_bytes"] = metric(KERNEL * count * (1 + rng.normal(0, noise)), "B")
    words, phases = ["steps --steps " + ",".join(map(str, COUNTS))], [{"name": "steps", "scenario": "steps", "folder": "load", "prefix": ""}]
    for rate in rates:
        name = f"r{rate}"
        words.append(f"publish --pairs 100 --publish-rate {rate}")
        phases.append({"name": name, "scenario": "publish", "folder": f"load-{name}", "prefix": f"{name}."})
        each = (BASE + MESSAGE * rate) / rate * 1e9
        metrics |= {f"{name}.messages.rate": metric(rate, "1/s"), f"{name}.cpu.per_message_ns": metric(each * math.exp(rng.normal(0, noise))),
                    f"{name}.delivery.p99": metric(p99_of(rate) * math.exp(rng.normal(0, 5 * noise)))}
    return {"id": f"{shape}-{strategy}.{repetition}", "repetition": repetition, "status": "complete", "metrics": metrics, "phases": phases,
            "commands": [["build/poolmark-broker"]], "anomalies": list(anomalies),
            "config": {"target": "poolmark", "strategy": strategy, "shape": shape, "engine": "raw", "connections": COUNTS[-1], "phases": "; ".join(words)}}


def load_run(folder, repetitions=4, **how):
    return made(folder, "steps", [load_cell(one, **how) for one in range(1, repetitions + 1)])


def law_rate(load):
    return 10_000 * load / (1 + 0.03 * (load - 1) + 0.0005 * load * (load - 1))


def limit_run(folder, loads=(1, 2, 3, 4, 6, 8), rate=law_rate, kind="limit", by="target", bound="delivery.p99=20000000ns", axis="threads"):
    """Searches at several loads, as one made-up record."""
    cells = []
    for at, load in enumerate(loads):
        name, found = f"raw-{load}", rate(load) * (1.003 if at % 2 else 0.997)
        words = f"publish --pairs {load if axis == 'clients' else 50} --publish-rate 1000"
        config = {"target": "poolmark", "strategy": "malloc", "shape": "classic", "engine": "raw"}
        options = {"broker_options": f"--threads {load}"} if axis == "threads" else {}
        cells.append({"id": f"{name}/01", "repetition": 1, "status": "failed", "config": {**config, **options, "rate": 1000, "phases": words}, "metrics": {},
                      "phases": [{"name": "publish", "scenario": "publish", "folder": "load", "prefix": ""}], "commands": [["build/poolmark-broker"]],
                      "anomalies": [], "trial": {"verdict": "limited", "by": "host", "why": []}})
        metrics = {f"limit.{end}": metric(part * found, "1/s") for end, part in (("low", 0.98), ("rate", 1), ("high", 1.02))}
        cells.append({"id": name, "repetition": 1, "status": "complete", "config": config, "metrics": metrics, "anomalies": [],
                      "answer": {"kind": kind, "by": by, "wide": False}})
    return made(folder, "limit", cells, {"scenario": "publish", "bounds": [bound]}, number=2)


def answer(runs, committed=False, **question):
    facts = needs.answer(evidence.gather(runs, None), Asked(**question), committed)
    facts["paragraph"] = needs_told.paragraph(facts)
    jsonschema.validate(facts, SCHEMA)
    json.dumps(facts, allow_nan=False)
    return facts


def figure(facts, name):
    return next(one for one in facts["figures"] if one["name"].startswith(name))


def limit(facts, name):
    return next(one for one in facts["limits"] if one["name"].startswith(name))


# --- what is asked


@pytest.mark.parametrize("read, text, value", [
    (asked.rate, "20k/s", 20_000), (asked.rate, "1500", 1_500), (asked.rate, "1.2M/min", 20_000), (asked.rate, "3600/h", 1),
    (asked.percent, "20%", 0.2), (asked.percent, "12.5 %", 0.125), (asked.latency, "20ms", 20e6), (asked.latency, "1.5s", 1.5e9),
    (asked.host_memory, "32GiB", 32 << 30), (asked.host_memory, "64GB", 64 * 10**9), (asked.host_memory, "64G", 64 * 10**9)])
def test_units_as_people_write_them(read, text, value):
    assert read(text) == pytest.approx(value)


@pytest.mark.parametrize("text, value, told", [
    ("15k", 15_000, "15k is 15 000 B (KB of 1 000; 15KiB would be 15 360 B)"), ("15KB", 15_000, "15KB is 15 000 B (KB of 1 000; 15KiB would be 15 360 B)"),
    ("15KiB", 15_360, "15KiB is 15 360 B"), ("1.5M", 1_500_000, "1.5M is 1 500 000 B (MB of 1 000 000; 1.5MiB would be 1 572 864 B)"),
    ("15000", 15_000, "15000 is 15 000 B")])
def test_kb_against_kib_is_said(text, value, told):
    found = asked.each(text)
    assert found.value == value
    assert asked.memory_words(Asked(each_bytes=found.value, each_text=found.text)) == told


@pytest.mark.parametrize("words, names", [
    ("--connections 300x", "--connections: '300x' is not a count"), ("--connections 0", "--connections: '0' is out of bounds"),
    ("--connections 5 --bytes 15q", "--bytes: '15q' is not a number of bytes"), ("--connections 5 --bytes 0", "--bytes: '0' is out of bounds"),
    ("--rate fast", "--rate: 'fast' is not a rate"), ("--rate 5/day", "--rate: '5/day' is not a rate"), ("--rate -5", "--rate"), ("--rate 0", "out of bounds"),
    ("--rate 5 --p99 20", "--p99: '20' is not a time with its unit"), ("--rate 5 --p99 20mm", "--p99: '20mm'"), ("--rate 5 --p99 0ms", "out of bounds"),
    ("--rate 5 --reserve 0.2", "--reserve: '0.2' is not a percentage"), ("--rate 5 --reserve 95%", "0% to 90%"),
    ("--rate 5 --cores 0", "--cores: '0' is out of bounds"), ("--rate 5 --memory lots", "--memory: 'lots'"), ("--rate 5 --qos 3", "--qos: '3' is out of bounds"),
    ("--connections 5 --what-if colour=red", "--what-if: 'colour=red': it takes shape=NAME or strategy=NAME"),
    ("--connections 5 --what-if shape=classic --what-if shape=lean", "--what-if shape: is given twice"),
    ("--p99 20ms", "--p99: of what? say what is needed"), ("--connections 5 --p99 20ms", "--p99 needs --rate"), ("--rate 5 --bytes 15k", "--bytes needs --connections"),
    ("--reserve 20%", "--reserve: of what?"), ("--connections 5 --check", "--check belongs to a run alone"), ("--check", "--check: of which run?"),
    ("", "name one run to forecast from"), ("a b", "name one run to forecast from"),
    ("nowhere --connections 5", "nowhere: no such run")])
def test_a_wrong_question_is_named_and_is_exit_2(capsys, words, names):
    assert cli.run_command("capacity", words.split()) == 2
    said = capsys.readouterr()
    assert said.out == "" and names in said.err, said.err


@pytest.mark.parametrize("question, names", [
    ({"strategy": "none"}, "--strategy 'none': no cell here is of it; there are: malloc"), ({"shape": "none"}, "--shape 'none': no cell in steps is of it"),
    ({"what_if": {"shape": "clasic"}}, "did you mean 'classic'?"), ({"what_if": {"strategy": "slap"}}, "did you mean 'slab'?")])
def test_a_question_that_cannot_be_put_to_the_runs_names_what_is_wrong(tmp_path, question, names):
    with pytest.raises(UsageError, match=re.escape(names)):
        answer([load_run(tmp_path)], connections=5, **question)


def test_the_defaults_of_the_programs_are_these():
    assert evidence.DEFAULT_SHAPE == described.options(described.broker())["shape"]["default"]
    assert evidence.DEFAULT_STRATEGY in described.options(described.broker())["pool"]["help"] + str(described.broker()["pools"])
    assert {one["strategy"] for one in described.broker()["pools"]} == {evidence.DEFAULT_STRATEGY}
    assert evidence.DEFAULT_PAYLOAD == described.options(described.loadgen())["payload"]["default"]


# --- answers of known truth


def test_memory_is_within_3_percent_beyond_what_was_measured(tmp_path):
    inside = 0
    for seed in range(10):
        facts = answer([load_run(tmp_path / str(seed), seed=seed)], connections=300_000, reserve=0.2)
        user, kernel = figure(facts, "memory of the server"), figure(facts, "memory of the kernel")
        assert user["value"] == pytest.approx(4e6 + USER * 300_000, rel=0.03) and user["known"] == "forecast"
        assert kernel["value"] == pytest.approx(KERNEL * 300_000 / 2, rel=0.03)
        whole = (4e6 + (USER + KERNEL / 2) * 300_000 + (256 << 20)) / 0.8
        assert figure(facts, "memory of one host")["value"] == pytest.approx(whole, rel=0.03)
        low, high = (figure(facts, "memory of one host")[end] for end in ("low", "high"))
        inside += low < whole < high
        assert high - low < 0.1 * whole
        carried = ((16 << 30) * 0.8 - (256 << 20) - 4e6) / (USER + KERNEL / 2)
        assert limit(facts, "memory")["carries"] == pytest.approx(carried, rel=0.03)
        assert figure(facts, "hosts")["value"] == 1 and facts["answered"]
    assert inside >= 8      # of 10 intervals of 95 %


def test_processors_are_those_of_the_truth(tmp_path):
    facts = answer([load_run(tmp_path)], rate=12_000, connects=500, reserve=0.2)
    messages = figure(facts, "CPU for messages")
    assert messages["value"] == pytest.approx(BASE + MESSAGE * 12_000, rel=0.02) and messages["known"] == "in the range measured"
    assert messages["low"] <= BASE + MESSAGE * 12_000 <= messages["high"]
    assert figure(facts, "CPU for connects")["value"] == pytest.approx(500 * CONNECT * 1e-9, rel=0.02)
    total = BASE + MESSAGE * 12_000 + 500 * CONNECT * 1e-9
    assert figure(facts, "processors of one host")["value"] == pytest.approx(total / 0.8, rel=0.02)
    share = (4 * 0.8 - BASE) / (MESSAGE * 12_000 + 500 * CONNECT * 1e-9)
    assert limit(facts, "CPU")["share"] == pytest.approx(share, rel=0.02) and "an upper bound" in limit(facts, "CPU")["arithmetic"]
    assert facts["models"]["cpu"]["held_out"]["holds"]


def test_hosts_are_as_many_as_the_scarcest_part_takes(tmp_path):
    run = load_run(tmp_path)
    facts = answer([run], connections=1_000_000, rate=16_000, cores=1, memory_bytes=8 << 30)
    by_memory = math.ceil(1_000_000 / (((8 << 30) - (256 << 20) - 4e6) / (USER + KERNEL / 2)))
    assert figure(facts, "hosts")["value"] == by_memory == 3 and facts["first_limit_without_settings"] == "memory"
    facts = answer([run], connections=1_000, rate=400_000, cores=1, memory_bytes=8 << 30)
    assert figure(facts, "hosts")["value"] == math.ceil(MESSAGE * 400_000 / (1 - BASE)) and facts["first_limit_without_settings"] == "CPU"
    assert figure(facts, "hosts")["known"] == "forecast"


def test_p99_is_known_between_measured_utilisations_and_not_beyond(tmp_path):
    run = load_run(tmp_path)
    facts = answer([run], rate=12_000, p99_ns=20e6, cores=1)
    found = figure(facts, "p99")
    assert found["low"] <= p99_of(12_000) <= found["high"] and "held" in found["basis"] and facts["answered"]
    facts = answer([run], rate=12_000, p99_ns=0.1e6, cores=1)
    assert "missed" in figure(facts, "p99")["basis"]
    facts = answer([run], rate=60_000, p99_ns=20e6, cores=1)
    found = figure(facts, "p99")
    assert found["value"] is None and "not known beyond" in found["basis"] and not facts["answered"]
    assert any("limit publish --bound p99=20ms --strategy malloc --from 60000" in one["measure"] for one in facts["gaps"])
    held = figure(facts, "hosts on which p99 is known")
    assert held["value"] == pytest.approx(math.ceil(MESSAGE * 60_000 / (MESSAGE * 16_000)), abs=1)


def test_the_law_tells_what_an_upgrade_buys(tmp_path):
    runs = [load_run(tmp_path / "load"), limit_run(tmp_path / "limit")]
    facts = answer(runs, rate=20_000, p99_ns=20e6, cores=8)
    now, then = figure(facts, "rate of one host of 4"), figure(facts, "rate of one host of 8")
    assert now["value"] == pytest.approx(law_rate(4), rel=0.02) and then["value"] == pytest.approx(law_rate(8), rel=0.02)
    assert then["low"] < then["value"] < then["high"] < 1.2 * then["value"]
    assert limit(facts, "the law")["carries"] == pytest.approx(law_rate(8), rel=0.02)
    assert facts["models"]["law"]["held_out"]["holds"] and "Gunther" in facts["paragraph"]


def test_clients_are_a_load_of_the_law_too(tmp_path):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit", axis="clients")], rate=20_000)
    assert facts["models"]["law"]["axis"] == "clients"
    assert not [one for one in facts["limits"] if one["name"].startswith("the law")]


@pytest.mark.parametrize("how, told", [
    ({"loads": (1, 2, 4)}, "there are 3"), ({"kind": "at least", "by": "host"}, "no rate of the target"),
    ({"rate": lambda load: 10_000 * min(load, 6) * (1 if load < 8 else 0.4)}, "predicted by the others")])
def test_a_law_that_does_not_fit_is_no_answer(tmp_path, how, told):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit", **how)], rate=20_000, cores=8)
    gap = next(one for one in facts["gaps"] if one["what"] == "the law of scale")
    assert told in gap["why"] and "--set broker.threads=$n" in gap["measure"]
    assert facts["models"]["law"] is None and not facts["answered"]
    assert not [one for one in facts["figures"] if one["name"].startswith("rate of one host")]


def test_what_was_not_measured_has_the_command_that_measures_it(tmp_path):
    only_limits = [limit_run(tmp_path / "limit")]
    facts = answer(only_limits, connections=1_000, rate=500, p99_ns=1e6)
    assert {one["what"] for one in facts["gaps"]} == {"memory", "CPU for messages", "p99 at that rate"}
    assert all(re.search(r"suite (forecast|million)|limit publish", one["measure"]) for one in facts["gaps"])
    assert figure(facts, "hosts")["value"] is None
    with pytest.raises(UsageError, match="measure one: "):
        answer([made(tmp_path / "empty", "suite", [{"id": "a", "config": {}, "status": "complete", "metrics": {}}])], connections=5)


def test_cells_that_others_disturbed_give_nothing_and_are_named(tmp_path):
    busy = load_cell(1, anomalies=[{"what": "busy", "text": "other processes had 18 %"}])
    late = load_cell(2, anomalies=[{"what": "late", "text": "r8000: the generator was late"}])
    facts = answer([made(tmp_path, "steps", [busy, late])], rate=1_000)
    assert len(facts["models"]["cpu"]["points"]) == len(RATES) - 1
    assert "classic-malloc.1, r1000: busy" in facts["left_out"] and "classic-malloc.2, r8000: late" in facts["left_out"]


def test_a_model_of_memory_that_does_not_hold_says_so(tmp_path):
    cell = load_cell(1)
    cell["metrics"]["step.100000.user_bytes"] = metric(4e6 + 30_000 * 100_000, "B")
    facts = answer([made(tmp_path, "steps", [cell])], connections=200_000)
    assert not facts["answered"] and "the model of memory does not hold" in facts["checks_failed"][0]
    assert "THE MODEL DOES NOT HOLD" in needs_told.text(facts)


def test_several_strategies_are_the_askers_choice(tmp_path):
    runs = [made(tmp_path, "steps", [load_cell(1), load_cell(1, strategy="expand")])]
    with pytest.raises(UsageError, match="several strategies: expand, malloc; name one with --strategy"):
        answer(runs, connections=5)
    assert answer(runs, connections=5, strategy="expand")["configuration"] == "strategy expand, shape classic"


def generators_record(folder):
    """What poolmark-loadgen --record makes by itself: it does not know which strategy its target has."""
    header = ("at_ns", "connections", "target_rss_bytes", "target_pss_bytes", "target_private_bytes", "kernel_slab_bytes", "kernel_tcp_bytes")

    def row(count):
        user = 4_000_000 + USER * count
        return f"{user},{user},{user},{KERNEL * count},0"

    steps = [f"{10 + at},{count},{row(count)}" for at, count in enumerate(COUNTS)]
    folder.mkdir(parents=True)
    (folder / "steps.csv").write_text("\n".join([",".join(header), *steps]) + "\n")
    memory = [f"{at + 1},{'start' if at == 0 else 'steps'},{count},{row(count)}" for at, count in enumerate([0, *COUNTS])]
    (folder / "memory.csv").write_text("\n".join([",".join(("at_ns", "phase", *header[1:])), *memory]) + "\n")
    run = made(folder, "load", [], {"scenario": "steps", "engine": "raw", "targets": ["mqtt://127.0.0.1:1"], "steps": COUNTS})
    run.data["readings"] = {"start": 1}
    return run


def test_a_record_made_by_hand_has_no_strategy_that_is_known(tmp_path):
    facts = answer([generators_record(tmp_path / "hand")], connections=200_000)
    assert facts["configuration"] == "a target of which strategy and shape are not known" and "malloc" not in json.dumps(facts)
    assert figure(facts, "memory of the server")["value"] == pytest.approx(4e6 + USER * 200_000, rel=0.01)
    with pytest.raises(UsageError, match="--strategy 'malloc': no cell here is of it"):
        answer([generators_record(tmp_path / "again")], connections=5, strategy="malloc")
    with pytest.raises(UsageError, match="neither shape nor strategy is known"):
        answer([generators_record(tmp_path / "third")], connections=5, what_if={"shape": "classic"})


def test_the_gap_of_another_qos_names_a_run_that_fills_it(tmp_path):
    """It is asked of the suite, whether its cells would publish so; a run of it has the figure."""
    facts = answer([load_run(tmp_path / "qos0")], rate=10_000, qos=2)
    command = next(one["measure"] for one in facts["gaps"] if one["what"] == "CPU for messages")
    found = re.search(r"suite forecast --only 'malloc' --set (load\.qos=2)", command)
    cell = next(cell for cell in suite_file.load("forecast", build=BUILD, sets=[found[1]]).cells if "malloc" in cell.id)
    words = phases_text(cell)
    filled = load_cell(1)
    filled["config"]["phases"] = words
    filled["phases"] = [{"name": phase["name"], "scenario": phase["scenario"], "folder": "load", "prefix": f"{phase['name']}."} for phase in cell.phases]
    facts = answer([made(tmp_path / "qos2", "steps", [filled])], rate=10_000, qos=2)
    assert "CPU for messages" not in {one["what"] for one in facts["gaps"]} and figure(facts, "CPU for messages")["value"] > 0


def test_a_need_that_no_number_of_hosts_carries_is_not_answered(tmp_path, poolmark):
    facts = answer([load_run(tmp_path)], connections=1_000, memory_bytes=8 << 30, spare_bytes=100 << 30)
    assert figure(facts, "hosts")["value"] is None and not facts["answered"]
    gap, = facts["gaps"]
    assert gap["what"] == "hosts" and "carries nothing" in gap["why"] and "what is missing is a host of more than 100 GiB (--memory)" in gap["why"]
    done = poolmark("capacity", "--connections", "10k", "--spare", "900GiB")
    assert done.returncode == 1 and "not known: hosts: memory:" in done.stdout, done.stderr


@pytest.mark.parametrize("strategy", ["malloc", "fixed", "sync"])
def test_an_answer_by_another_shape_says_so(strategy, poolmark):
    """These are in the committed quick suite alone, whose shape is classic."""
    done = poolmark("capacity", "--rate", "1k/s", "--strategy", strategy)
    assert f"by strategy {strategy}, shape classic: " in done.stdout, done.stderr
    assert f"answered by strategy {strategy}, shape classic: the committed runs have no cell of strategy {strategy} with shape lean" in done.stdout
    done = poolmark("capacity", "--connections", "10k", "--strategy", strategy)
    assert done.returncode == 1 and f"no run in steps of connections is of strategy {strategy}, shape classic" in done.stdout, done.stdout


# --- by account


def lean_run(folder, strategy="malloc", reserve=0.0):
    """The broker's own objects: 144 B in the pools and 100 B beside."""
    held = sum(size for _, size in by_account.held_by("lean").values())
    cell = load_cell(1, strategy=strategy, shape="lean", noise=0)
    for count in COUNTS:
        owned = round(count * (1 + reserve))
        cell["metrics"][f"step.{count}.user_bytes"] = metric(4e6 + 100 * count + held * owned, "B")
        for pool, (_, size) in by_account.held_by("lean").items():
            cell["metrics"] |= {f"step.{count}.{pool}.{what}": metric(value, "1") for what, value in
                                (("object_bytes", size), ("owned", owned), ("in_use", count))}
    return made(folder, "steps", [cell])


def test_a_shape_that_was_not_measured_is_computed_and_marked(tmp_path):
    facts = answer([lean_run(tmp_path)], connections=100_000, what_if={"shape": "classic"})
    for told in (needs_told.text(facts), needs_told.markdown(facts), facts["paragraph"]):
        assert "shape lean; memory computed for shape classic, strategy " in told
    found = figure(facts, "memory of the server")
    assert found["value"] == pytest.approx(4e6 + 100_000 * (100 + 3_072 + 2 * 4_096 + 6_144), rel=0.005)
    assert found["known"] == "computed" and found["low"] is None and "by account" in found["basis"]
    assert limit(facts, "memory")["known"] == "computed" and figure(facts, "hosts")["known"] == "computed"


def test_bytes_of_another_server_take_the_place_of_the_shape(tmp_path):
    facts = answer([lean_run(tmp_path)], connections=300_000, each_bytes=15_000, each_text="15k")
    assert figure(facts, "memory of the server")["value"] == pytest.approx(4e6 + 300_000 * 15_000, rel=0.005)
    assert "15k is 15 000 B" in facts["paragraph"] and "15k is 15 000 B" in needs_told.text(facts)


def test_the_reserve_of_a_strategy_is_by_its_rule_or_as_measured(tmp_path):
    plain = figure(answer([lean_run(tmp_path / "a")], connections=100_000, each_bytes=10_000), "memory of the server")["value"]
    grown = figure(answer([lean_run(tmp_path / "b")], connections=100_000, each_bytes=10_000, what_if={"strategy": "expand"}), "memory of the server")["value"]
    assert 1.2 < grown / plain < 1.9
    slab = figure(answer([lean_run(tmp_path / "c", "slab", 0.15)], connections=100_000, each_bytes=10_000), "memory of the server")["value"]
    assert slab == pytest.approx(4e6 + 100_000 * 11_500, rel=0.01)
    with pytest.raises(UsageError, match="no run here has measured it"):
        answer([lean_run(tmp_path / "d")], connections=5, what_if={"strategy": "slab"})


def test_by_account_against_what_the_quick_suite_measured():
    """From lean cells to shape classic. What depends on a reserve is known less well: docs/capacity.md says how well."""
    million, quick = (read_record.load(ROOT / "results/reference" / name) for name in ("million", "quick"))
    cells = {cell["config"]["strategy"]: cell["metrics"]["memory.full_bytes"]["value"] for cell in quick.data["cells"]}
    for strategy, most in (("malloc", 0.01), ("sync", 0.01), ("fixed", 0.01), ("expand", 0.15), ("slab", 0.15)):
        facts = answer([million], True, connections=10_000, what_if={"shape": "classic", "strategy": strategy})
        assert figure(facts, "memory of the server")["value"] == pytest.approx(cells[strategy], rel=most), strategy


# --- limits of a host


def test_each_limit_has_its_arithmetic_and_what_mends_it():
    found = {one.name: one for one in host_limits.settings(HOST, None, 3, 300_000)}
    assert found["descriptors of a process"].carries == 20_000 - 512 and "16 processes" in found["descriptors of a process"].arithmetic
    assert "LimitNOFILE=1048576" in found["descriptors of a process"].mend
    assert found["open files of the host"].carries == 1_590_000 and found["open files of the host"].mend == "-"
    assert found["ports of the clients"].carries == 3 * 28_232 and "ip_local_port_range" in found["ports of the clients"].mend
    assert found["TCP memory (tcp_mem)"].carries == (360_000 - 16_384) * 10
    assert host_limits.first_of(list(found.values())).name == "descriptors of a process"
    halved = {one.name: one for one in host_limits.settings(HOST, 8 << 30, None, 1_000_000)}
    assert halved["open files of the host"].carries == 790_000 and "fs.file-max=1010000" in halved["open files of the host"].mend
    assert halved["ports of the clients"].share is None


def test_a_host_whose_limits_are_not_recorded_says_so():
    assert all(one.carries is None and "is not in the record" in one.arithmetic for one in host_limits.settings({}, None, None, 5))
    assert all(one.carries is None for one in host_limits.settings({"limits": {"nofile_hard": "x", "file_max": -1, "port_range": [1], "tcp_mem_pages": 3}},
                                                                   None, None, 5))


# --- text, Markdown, JSON, chart


def test_table_markdown_and_json_have_the_same_figures(tmp_path):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], connections=300_000, rate=12_000, connects=10, p99_ns=20e6,
                   reserve=0.2, cores=8, memory_bytes=32 << 30, sources=20)
    text, page = needs_told.text(facts), needs_told.markdown(facts)
    assert len(facts["figures"]) >= 9 and len(facts["limits"]) >= 7
    for one in [*facts["figures"], *facts["limits"]]:
        row = next(line for line in text.splitlines() if line.startswith(f"{one['name']}  "))
        line = next(line for line in page.splitlines() if line.startswith(f"| {markdown(one['name'])} |"))
        for shown in (one["shown"], one["interval_shown"], one["known"]):
            assert shown in row and shown in line
    for one in facts["figures"]:
        if one["value"] is not None:
            assert needs.shown(one["value"], one["unit"]) in one["shown"]
    assert markdown(facts["paragraph"]) in page and facts["paragraph"] in text and facts["paragraph"].count("\n") == 0
    assert all(run["sha256"] in facts["paragraph"] for run in facts["runs"])


def test_the_chart_has_a_panel_for_each_model_and_the_need(tmp_path):
    facts = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], connections=300_000, rate=12_000, p99_ns=20e6, cores=8)
    found = needs_chart.spec(facts)
    assert [one["title"] for one in found["concat"]] == ["Memory of a server", "CPU time of messages", "Rate by the universal scalability law",
                                                         "p99 of deliveries"]
    rows = [row for one in found["concat"] for row in one["data"]["values"]]
    need = next(row for row in rows if row["panel"] == "cpu" and row["what"] == "need")
    assert (need["x"], need["y"]) == (12_000, figure(facts, "CPU for messages")["value"])
    json.dumps(found, allow_nan=False)
    assert needs_chart.spec(answer([limit_run(tmp_path / "l2", loads=(1, 2))], rate=5)) is None


def test_by_the_committed_runs(poolmark, tmp_path):
    words = ("--connections", "300k", "--bytes", "15k", "--rate", "20k/s", "--p99", "20ms", "--reserve", "20%")
    done = poolmark("capacity", *words, "--json", "--chart", tmp_path / "answer.svg")
    facts = json.loads(done.stdout)
    jsonschema.validate(facts, SCHEMA)
    assert done.returncode == 1 and not facts["answered"], done.stderr     # p99 was not measured at such a utilisation
    assert len(facts["runs"]) == 2 and facts["configuration"] == "strategy slab, shape lean"
    assert (tmp_path / "answer.svg").read_text().startswith("<svg")
    text = poolmark("capacity", *words).stdout
    assert figure(facts, "memory of one host")["shown"] in text and "15k is 15 000 B" in text and "limit publish --bound p99=20ms" in text
    done = poolmark("capacity", "--connections", "300k", "--markdown")
    assert done.returncode == 0 and done.stdout.startswith("# Capacity\n"), done.stderr


# --- held-out points


def test_held_out_points_of_a_known_truth_hold(tmp_path):
    found = evidence.gather([load_run(tmp_path / "load"), limit_run(tmp_path / "limit")], None)
    points = [*held_out.of_memory(found.memory), *held_out.of_cpu(found.loads), *held_out.of_law(found)]
    assert {one.what for one in points} == {"memory", "CPU", "law"} and all(one.holds for one in points)
    sides = held_out.of_p99(found.loads)
    told = held_out.verdicts(points, sides)
    assert all(holds for _, holds in told) and any(one.right is True for one in sides) and any(one.right is None for one in sides)


def test_a_held_out_point_that_is_off_fails_the_check(tmp_path):
    cells = [load_cell(one) for one in range(1, 4)]
    for cell in cells:
        cell["metrics"]["r16000.cpu.per_message_ns"] = metric(40_000.0)
        cell["metrics"]["r4000.delivery.p99"] = metric(500e6)
    found = evidence.gather([made(tmp_path, "steps", cells)], None)
    told = dict(held_out.verdicts([*held_out.of_cpu(found.loads)], held_out.of_p99(found.loads)))
    assert not any(holds for text, holds in told.items() if text.startswith("CPU"))
    assert held_out.verdicts([], [])[0][1] is False
    memory, = held = [held_out.Point("slab", "memory", "1M", 100.0, 101.0, "B", 3.0)]     # with every rate disturbed: no success
    assert memory.holds and [holds for _, holds in held_out.verdicts(held, [], 12)] == [True, False]


def test_bounds_are_fixed_beforehand():
    assert held_out.bounds_for(0.7e6, 3e6) == pytest.approx([0.5e6, 1e6, 2e6, 5e6])


def test_the_answer_is_for_one_process_where_several_were_measured_together(poolmark):
    """The million had 52 brokers, whose starts are no memory of one server with a thousand connections: it said 60 MiB."""
    done = poolmark("capacity", "--connections", "1k", "--json")
    assert done.returncode == 0, done.stderr
    figure = next(one for one in json.loads(done.stdout)["figures"] if one["name"] == "memory of the server")
    assert 1e6 < figure["value"] < 3e6 and "for one process (of 52 that were measured together)" in figure["basis"]
