# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark capacity --connections ... : what is asked, and its answers on made-up runs whose truth is known."""
import json
import math
import re
from pathlib import Path

import pytest
from capacity_made import (BASE, CONNECT, COUNTS, HOST, KERNEL, MESSAGE, RATES, USER, answer, figure, law_rate, limit, limit_run, load_cell, load_run, made,
                           metric, p99_of)
from poolmark import cli
from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.model import asked, capacity, evidence, needs_told
from poolmark.model.asked import Asked
from poolmark.suites import suite_file
from poolmark.suites.suite_options import phases_text

BUILD = build_dir()


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
    assert told in gap["why"] and "--loads broker.threads=1,2,3,4,6,8" in gap["measure"]
    assert facts["models"]["law"] is None and not facts["answered"]
    assert not [one for one in facts["figures"] if one["name"].startswith("rate of one host")]


def test_an_answer_without_the_law_says_so_and_how_to_measure_it(tmp_path):
    """It said only that processors are linear. Without --cores that is no part of the question, so the exit code stays."""
    facts = answer([load_run(tmp_path / "load")], rate=8_000)
    note = next(one for one in facts["notes"] if "universal scalability law" in one)
    assert facts["answered"] and "no run of limit is here" in note and "--loads pairs=5,10,20,50,100,200" in note
    assert note in needs_told.text(facts) and "no run of limit" in needs_told.markdown(facts)
    with_law = answer([load_run(tmp_path / "load"), limit_run(tmp_path / "limit", axis="clients")], rate=8_000)
    assert not [one for one in with_law["notes"] if "universal scalability law" in one] and with_law["models"]["law"]
    one_core = answer([load_run(tmp_path / "one", host=HOST | {"cores": 1})], rate=8_000)
    assert not [one for one in one_core["notes"] if "universal scalability law" in one]


def test_of_committed_runs_that_load_in_different_ways_one_tells_what_messages_cost(tmp_path):
    several = [load_run(tmp_path / "many"), made(tmp_path / "few", "suite", [load_cell(1, rates=[2_000], seed=7)], number=9)]
    facts = answer(several, committed=True, rate=8_000)
    assert len(facts["models"]["cpu"]["points"]) == len(RATES) * 4 and any("suite-20260101T000000Z-0009 is left out" in one for one in facts["notes"])
    assert len(answer(several, rate=8_000)["models"]["cpu"]["points"]) == len(RATES) * 4 + 1


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
    """These are in committed suites of shape classic alone, and only of malloc one has steps of connections (forecast)."""
    done = poolmark("capacity", "--rate", "1k/s", "--strategy", strategy)
    assert f"by strategy {strategy}, shape classic: " in done.stdout, done.stderr
    assert f"answered by strategy {strategy}, shape classic: the committed runs have no cell of strategy {strategy} with shape lean" in done.stdout
    done = poolmark("capacity", "--connections", "10k", "--strategy", strategy)
    stepped = strategy == "malloc" and any(Path(one).name == "forecast" for one in capacity.committed_runs())
    said = f"no run in steps of connections is of strategy {strategy}, shape classic" in done.stdout
    assert (done.returncode, said) == ((0, False) if stepped else (1, True)), done.stdout
