# SPDX-License-Identifier: Apache-2.0
"""--describe: the three programs describe themselves, and the descriptions are true."""
import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from poolmark.facts import described
from poolmark.base.paths import build_dir

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
PROGRAMS = ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in PROGRAMS),
                                reason="the programs are not built")


def call(program, *words):
    return subprocess.run([BUILD / program, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_what_it_is_as_json(program):
    done = call(program, "--describe")
    assert done.returncode == 0 and done.stderr == ""
    told = json.loads(done.stdout)
    assert told["schema"] == "poolmark.describe/1" and told["program"] == program
    assert {"version", "commit", "dirty", "compiler", "flags"} == set(told["tool"])
    assert told["host"]["cores"] >= 1 and told["metrics"]


def test_each_scenario_takes_the_options_that_are_listed_for_it_and_no_other():
    told = described.loadgen(BUILD)
    values = {"flag": [], "count": ["2"], "bytes": ["64"], "duration": ["1s"], "rate": ["10"], "text": ["x"],
              "number": ["0.5", "--backoff", "1s"]}
    for scenario in told["scenarios"]:
        for name, option in described.options(told).items():
            value = {"engine": ["raw"], "ports": ["kernel"], "steps": ["1,2"], "pattern": ["fan-in"],
                     "payload": ["64"], "scale": ["0.5"],
                     "publishers": ["2", "--pattern", "fan-in"], "subscribers": ["2", "--pattern", "fan-in"]
                     }.get(name, values.get(option["kind"], option["choices"]))
            value = value[:1] if option["kind"] == "choice" else value
            if len(value) > 1 and value[1].removeprefix("--") not in scenario["options"]:
                value = value[:1]       # it needs no other option there
            _, wrong = described.ask("poolmark-loadgen", [scenario["name"], f"--{name}", *value], BUILD)
            if name in scenario["options"]:
                assert "does not use it" not in wrong, (scenario["name"], name, wrong)
            else:
                assert f"--{name}" in wrong, (scenario["name"], name, wrong)


def test_a_scenario_takes_prove_exactly_where_it_gives_that_order():
    """A run that was asked for proof and gives none would tell so only at its end."""
    for scenario in described.loadgen(BUILD)["scenarios"]:
        text = (ROOT / f"loadgen/scenarios/{scenario['name']}.c").read_text(encoding="utf-8")
        asks = "order_prove(" in text or "arrivals_play(" in text      # arrivals.c calls it for its scenarios
        assert asks == ("prove" in scenario["options"]), f"{scenario['name']}: `proves` of struct scenario says otherwise than its `play`"
        assert scenario["measures_with"]["prove"] == ["clients.alive"]
    _, wrong = described.ask("poolmark-loadgen", ["mix", "--mix", "/dev/null", "--prove"], BUILD)
    assert "--prove: scenario mix does not use it; it is for" in wrong


def test_bounds_are_those_that_are_kept():
    told = described.options(described.loadgen(BUILD))["qos"]
    assert (told["low"], told["high"], told["kind"], told["default"]) == (0, 2, "count", "0")
    assert described.ask("poolmark-loadgen", ["publish", "--qos", "2"], BUILD)[0]
    assert "0 to 2" in described.ask("poolmark-loadgen", ["publish", "--qos", "3"], BUILD)[1]


def test_the_broker_lists_the_strategies_that_it_serves_by():
    listed = [line.split()[0] for line in call("poolmark-broker", "--list-pools").stdout.splitlines()]
    assert [one["name"] for one in described.broker(BUILD)["strategies"]] == listed
    for one in described.broker(BUILD)["strategies"]:
        assert bool(described.ask("poolmark-broker", ["--pool", one["name"]], BUILD)[0]) == one["serves"]


def test_the_rule_of_growth_is_worked_out_for_the_options_that_are_given():
    told, _ = described.ask("poolmark-broker", ["--pool", "expand", "--initial", "1024", "--max", "4000"], BUILD)
    growth = told["pools"][0]["growth"]
    assert growth == [[0, 1024], [819, 1536], [1228, 2304], [1843, 3456], [2764, 4000]]
    told, _ = described.ask("poolmark-broker", ["--pool", "malloc"], BUILD)
    assert told["pools"][0]["growth"] == []
    told, _ = described.ask("poolmark-broker", ["--pool", "fixed", "--initial", "77"], BUILD)
    assert told["pools"][0]["growth"] == [[0, 77]]


def test_growth_by_the_load_says_its_bounds_and_when_it_may_begin():
    told, _ = described.ask("poolmark-broker", ["--pool", "expand", "--growth", "adaptive", "--initial", "1024"], BUILD)
    pool = told["pools"][0]
    assert pool["rule"] == {"name": "adaptive", "most": 1.5, "expand_at_percent": 80, "least": 1.0625}
    assert pool["growth"] == [[0, 1024], [819, 1536]]
    told, _ = described.ask("poolmark-broker", ["--pool", "expand", "--growth", "2"], BUILD)
    assert told["pools"][0]["rule"] == {"name": "factor", "most": 2.0, "expand_at_percent": 80}
    assert [one["name"] for one in described.broker(BUILD)["strategies"] if "adapts" in one["capabilities"]] == ["expand", "slab"]
    assert "adaptive:NUMBER" in described.ask("poolmark-broker", ["--growth", "fast"], BUILD)[1]


def test_the_generator_says_how_it_would_divide_its_clients():
    told, _ = described.ask("poolmark-loadgen", ["connect", "--connections", "10k", "--clients-per-worker", "500"], BUILD)
    assert told["plan"] == {"clients": 10_000, "workers": 20, "clients_per_worker": 500, "connections_per_route": 10_000, "process_clients": 2000,
                            "targets": 0, "sources": 1}
    assert "plan" not in described.loadgen(BUILD)


def test_what_is_wrong_with_options_is_said_and_nothing_described():
    for words in (["connect", "--steps", "1,2"], ["publish", "--payload", "7"], ["connect", "--engine", "steam"]):
        done = call("poolmark-loadgen", *words, "--describe")
        assert done.returncode == 2 and done.stdout == "" and words[1] in done.stderr


def test_a_metric_is_found_in_the_catalogue_by_its_name_with_or_without_a_phase():
    metrics = described.catalogue(BUILD)
    assert len({metric["name"] for metric in metrics}) == len(metrics)
    for name in ("connect.p99", "qos1.delivery.p99", "cell.messages.lost", "step.1000.user_bytes", "time",
                 "sensors.day.messages.lost", "mixed.sensors.day.ack.p99"):
        assert described.metric_of(name, metrics), name
    for name in ("connect.p98", "p99", "qos1.delivery", "a.b.c.messages.sent.x", "a.b.pool.hits", "step..user_bytes"):
        assert described.metric_of(name, metrics) is None, name


def test_no_document_differs_from_what_the_programs_say(poolmark):
    done = poolmark("describe", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_document_that_differs_is_found_and_renewed(poolmark, tmp_path, monkeypatch, capsys):
    from poolmark.facts import describe

    args = SimpleNamespace(build=str(BUILD), markdown=None, check=True, write=False)
    monkeypatch.setattr(describe, "ROOT", tmp_path)
    monkeypatch.setattr(describe, "DOCUMENTS", ("a.md",))
    (tmp_path / "a.md").write_text("before\n<!-- facts: shapes -->\n| shape |\n<!-- end of facts -->\nafter\n")
    assert describe.run(args) == 1 and "a.md: differs" in capsys.readouterr().out
    args.write = True
    assert describe.run(args) == 0
    text = (tmp_path / "a.md").read_text()
    assert "| `classic` | 3 072 B |" in text and text.startswith("before\n") and text.endswith("-->\nafter\n")
    assert describe.run(SimpleNamespace(**{**vars(args), "write": False})) == 0


NAMED = re.compile(r"`([a-z_]+\.[a-z0-9_.]+)`")


def test_documents_name_no_metric_and_no_option_that_is_not_there():
    metrics = described.catalogue(BUILD)
    groups = {metric["name"].partition(".")[0] for metric in metrics if "." in metric["name"]} - {"broker"}
    for name in ("README.md", "CONTRIBUTING.md", "results/README.md", "docs/design.md", "docs/benchmarks.md"):
        text = (ROOT / name).read_text()
        for metric in NAMED.findall(text):
            if metric.partition(".")[0] in groups and not metric.endswith((".csv", ".md", ".c", ".h", ".py", ".toml", ".svg", ".json", ".log")):
                assert described.metric_of(metric, metrics), f"{name}: {metric}"
        for program, told in (("broker", described.broker(BUILD)), ("loadgen", described.loadgen(BUILD))):
            known = set(described.options(told)) | {"help", "version", "describe"}
            for line in re.findall(rf"build/poolmark-{program} (.*(?:\\\n.*)*)", text):
                assert set(re.findall(r"--([a-z-]+)", line)) <= known, f"{name}: {line}"
