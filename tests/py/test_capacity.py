# SPDX-License-Identifier: Apache-2.0
"""The memory model: its fit, its predictions of steps it did not use, its forecasts of sizes."""
import json

import numpy
import pytest
from poolmark.facts import pool_settings
from poolmark.model import forecast, model
from poolmark.base.errors import PoolmarkError
from poolmark.records.record import Record, seal

COUNTS = [10, 100, 1_000, 10_000, 100_000, 250_000, 500_000, 1_000_000]
HEAD = ("at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes,target_cpu_ns,"
        "generator_pss_bytes,generator_cpu_ns,kernel_slab_bytes,kernel_tcp_bytes,kernel_page_table_bytes\n")


def test_a_line_is_found_with_an_interval_that_holds_it():
    scatter = numpy.random.default_rng(1).normal(0, 1, len(COUNTS))
    values = [3e6 + 700 * count + noise * 40 * count**0.5 for count, noise in zip(COUNTS, scatter, strict=True)]
    line = model.fit_line(COUNTS, values)
    low, high = line.slope_interval()
    assert low < 700 < high and high - low < 20
    assert abs(line.at(2_000_000) - (3e6 + 1.4e9)) < line.margin(2_000_000)


@pytest.mark.parametrize("counts", [[], [1, 2], [5, 5, 5]])
def test_too_few_steps_are_refused(counts):
    with pytest.raises(PoolmarkError, match="at least three"):
        model.fit_line(counts, [1.0] * len(counts))


def rule_of(strategy, options):
    return model.pool_rules({"strategy": strategy, "broker_options": options})["connections"]


def test_the_rule_of_expand_gives_the_published_sequence():
    rule = rule_of("expand", "--initial 1024 --max 100000")
    owned = [rule.owned(in_use) for in_use in (818, 819, 1228, 1843, 99_999)]
    assert owned == [1024, 1536, 2304, 3456, 100_000]


def test_other_strategies_have_their_own_rule():
    assert rule_of("fixed", "--initial 1000").owned(10) == 1000
    assert rule_of("malloc", "").owned(10) == 10
    assert model.pool_rules({"target": "mosquitto"}) == {}


def test_a_pool_that_grows_by_the_load_is_part_of_the_line():
    """Although it may own, by chance, what the rows say."""
    rule = rule_of("expand", "--growth adaptive")
    assert not rule.exact and rule_of("expand", "").exact
    steps = [model.Step(count, 1e6, None, {"connections": {"owned": rule.owned(count), "in_use": count, "object_bytes": 72}})
             for count in (1_000, 1_200, 1_400)]
    assert not model.keeps_to(rule, steps, "connections", 1)
    assert model.keeps_to(model.PoolRule(rule.growth), steps, "connections", 1)


def test_initial_and_max_are_read_from_the_options():
    rules = model.pool_rules({"strategy": "expand", "broker_options": "--initial 64 --initial buffers=9 --max 100"})
    assert (rules["connections"].owned(0), rules["connections"].owned(99)) == (64, 100)
    assert (rules["buffers"].owned(0), rules["arenas"].owned(1)) == (9, 3)


def steps_of_expand(instances=52, size=600):
    rule = rule_of("expand", "--initial 64")
    steps = []
    for count in COUNTS:
        each = round(count / instances)
        owned = rule.owned(each) * instances
        user = 60e6 + 100 * count + owned * size
        steps.append(model.Step(count, user, 8400.0 * count,
                                {"connections": {"object_bytes": size, "owned": owned, "in_use": each * instances}}))
    return steps


@pytest.mark.parametrize("held", [100_000, 250_000, 500_000, 1_000_000])
def test_a_strategy_that_grows_in_steps_is_predicted(held):
    config = {"strategy": "expand", "broker_options": "--initial 64"}
    found = model.hold_out(steps_of_expand(), config, 52, held)
    assert abs(found.error_percent) < 0.5


def test_a_pool_that_keeps_to_no_rule_goes_by_the_line():
    steps = steps_of_expand()
    for step in steps:
        owned = 3 * step.pools["connections"]["in_use"]
        step.pools["connections"]["owned"] = owned
        step.user_bytes = 60e6 + 100 * step.connections + owned * 600
    config = {"strategy": "expand", "broker_options": "--initial 64"}
    fitted = model.fit_model(steps, config, 52)
    assert not fitted.rules
    assert fitted.user.slope == pytest.approx(1900, rel=0.01)
    assert abs(model.hold_out(steps, config, 52, 1_000_000).error_percent) < 0.5


def test_a_budget_holds_what_the_model_says():
    steps = [model.Step(count, 1e6 + 1000.0 * count, 8000.0 * count) for count in COUNTS]
    fitted = model.fit_model(steps, {"strategy": "malloc"}, 1)
    assert fitted.holds(1e6 + 9000 * 5000, 2) == pytest.approx(5000, abs=2)
    assert fitted.holds(1e6 + 5000 * 5000, 1) == pytest.approx(5000, abs=2)
    assert fitted.holds(0, 2) == 0


def test_a_step_that_is_not_there_cannot_be_held_out():
    with pytest.raises(PoolmarkError, match="there are: 10, 100"):
        model.hold_out(steps_of_expand(), {}, 1, 7)


def write_run(folder, user_each=18_000, top_extra=0, kernel_each=8_400, pools=True, watched=True, brokers=0, **config):
    record = Record.create("steps", suite="million", folder=folder, seed=1)
    config = {"strategy": "malloc", "shape": "lean", **config,
              "phases": "steps --steps " + ",".join(map(str, COUNTS))}
    cell = record.cell("lean-malloc-raw-1000000.1", config)
    for _ in range(brokers):
        cell.command(["build/poolmark-broker"])
    (cell.folder / "load").mkdir()
    lines = [HEAD, "1,start,0,4000000,4000000,,,,,100,0,\n"]
    for at, count in enumerate(COUNTS, start=2):
        user = 4_000_000 + user_each * count + (top_extra if count == COUNTS[-1] else 0)
        if watched:
            cell.metric(f"step.{count}.user_bytes", user, "B", "lower")
            cell.metric(f"step.{count}.kernel_bytes", kernel_each * count, "B")
        user = f"{user},{user}" if watched else ","
        lines.append(f"{at},step,{count},{user},,,,,{100 + kernel_each * count},0,\n")
        for what, value in (("object_bytes", 600), ("owned", count), ("in_use", count)) if pools else ():
            cell.metric(f"step.{count}.connections.{what}", value, "1")
    (cell.folder / "load" / "memory.csv").write_text("".join(lines))
    cell.file("memory", cell.folder / "load" / "memory.csv")
    cell.finish("complete")
    record.close("complete")


def test_the_command_prints_model_check_sizes_and_needs(tmp_path, poolmark):
    write_run(tmp_path / "run")
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "user memory = 3.81 MiB + n x 18000 B" in done.stdout
    assert "kernel memory = 0 B + n x 8400 B" in done.stdout
    assert "+0.0 %" in done.stdout or "-0.0 %" in done.stdout
    assert "forecast" in done.stdout and "10 000 000" in done.stdout
    told = json.loads(poolmark("capacity", tmp_path / "run", "--json").stdout)["cells"][0]
    assert [row["memory_bytes"] for row in told["sizes"]] == [512 << 20] + [1 << bit for bit in range(30, 38)]
    two_gib = told["sizes"][2]
    assert two_gib["both_ends"] == pytest.approx(((2 << 30) - (256 << 20) - 4e6) / 26_400, abs=2)
    assert two_gib["server"] == pytest.approx(((2 << 30) - (256 << 20) - 4e6) / 22_200, abs=2)
    assert told["needs"][2]["total_bytes"] == pytest.approx(4e6 + 26_400e6, rel=1e-6)
    assert told["needs"][3]["forecast"] and not told["needs"][2]["forecast"]
    page = poolmark("capacity", tmp_path / "run", "--markdown")
    assert page.stdout.startswith("# Capacity by run steps-") and "|---:|" in page.stdout


def test_memory_of_many_brokers_without_connections_is_said_to_be_theirs(tmp_path, poolmark):
    """45.8 MiB of 52 brokers stood there as what a server takes without a connection."""
    write_run(tmp_path / "many", brokers=4)
    write_run(tmp_path / "one", brokers=1)
    told = "3.81 MiB are of the 4 brokers that were measured together, 977 KiB each"
    assert told in poolmark("capacity", tmp_path / "many").stdout and "measured together" not in poolmark("capacity", tmp_path / "one").stdout


def test_nothing_is_forecast_from_a_file_that_was_changed_afterwards(tmp_path, poolmark):
    write_run(tmp_path / "run")
    path = next((tmp_path / "run").rglob("memory.csv"))
    path.write_text(path.read_text().replace("4000000", "1000000"))
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 2 and done.stdout == ""
    assert "is not as it was when its run ended: " in done.stderr and "memory.csv" in done.stderr


def test_a_model_that_is_off_says_so_and_is_exit_1(tmp_path, poolmark):
    write_run(tmp_path / "run", top_extra=5_000_000_000)
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 1
    assert "THE MODEL DOES NOT HOLD" in done.stdout
    assert poolmark("capacity", tmp_path / "run", "--hold-out", "7").returncode == 2


@pytest.mark.parametrize("wrong, name", [({"user_each": -3}, "user"), ({"kernel_each": -12_140}, "kernel"),
                                         ({"kernel_each": 0}, "kernel")])
def test_memory_that_does_not_grow_gives_no_forecast(tmp_path, poolmark, wrong, name):
    write_run(tmp_path / "run", **wrong)
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    assert f"no forecast: {name} memory did not grow with the connections" in done.stdout
    assert f"{name} memory: no figure" in done.stdout and "restart the target" in done.stdout
    assert "Measured, and by the model" in done.stdout and "check:" not in done.stdout
    assert "What sizes hold" not in done.stdout and "10 000 000" not in done.stdout and "--initial" not in done.stdout
    told = json.loads(poolmark("capacity", tmp_path / "run", "--json").stdout)["cells"][0]
    assert told["sizes"] == told["needs"] == [] and name in told["no_forecast"]
    assert "**What sizes hold" not in poolmark("capacity", tmp_path / "run", "--markdown").stdout


@pytest.mark.parametrize("each, scatter", [(9, 0), (200, 4_000_000), (-40, 0)])
def test_growth_that_chance_can_make_is_no_figure(each, scatter):
    """A broker that had served 10 000 connections before showed 9 B a connection, because it reused its memory."""
    steps = [model.Step(count, 9e6 + each * count + (scatter if count == 5_000 else 0), 8_400.0 * count)
             for count in (1_000, 2_000, 5_000, 10_000)]
    fitted = model.fit_model(steps, {"target": "mqtt://127.0.0.1:1"}, 1)
    assert "user memory did not grow" in fitted.no_forecast() and "restart the target" in fitted.no_forecast()
    assert fitted.no_growth("kernel") is None
    fresh = [model.Step(step.connections, 9e6 + 733 * step.connections, step.kernel_bytes) for step in steps]
    assert model.fit_model(fresh, {"target": "mqtt://127.0.0.1:1"}, 1).no_forecast() is None


def test_an_interval_that_has_no_end_says_so():
    assert forecast.show_bound(None) == "no bound"


def test_a_run_without_steps_is_refused(tmp_path, poolmark):
    record = Record.create("suite", suite="quick", folder=tmp_path / "run")
    record.cell("a.1", {"strategy": "malloc"}).finish("complete")
    record.close("complete")
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 2
    assert "no run in steps but of kind suite; capacity needs one" in done.stderr and done.stderr.count("\n") == 1
    assert "suite million" in done.stderr and "poolmark-loadgen steps --steps" in done.stderr and "idle" not in done.stderr
    assert poolmark("capacity", tmp_path / "run", "--only", "zzz").returncode == 2


def settings_of(strategy, shape, each=2_000, options="", commands=(), **config):
    return pool_settings.initial_of_pools({"strategy": strategy, "shape": shape, "broker_options": options, **config},
                                          list(commands), each)


def test_settings_keep_every_pool_below_its_trigger():
    eager = settings_of("expand", "classic")
    assert eager == {"connections": 2502, "buffers": 5002, "arenas": 2502}
    assert pool_settings.words(eager) == "--initial 2502 --initial buffers=5002 --initial arenas=2502"
    for pool, in_use in (("connections", 2000), ("buffers", 4000), ("arenas", 2000)):
        assert rule_of("expand", f"--initial {eager[pool]}").owned(in_use) == eager[pool]
        assert rule_of("expand", f"--initial {eager[pool] - 1}").owned(in_use) > eager[pool] - 1
    assert settings_of("fixed", "classic") == {"connections": 2000, "buffers": 4000, "arenas": 2000}
    two = [["build/poolmark-broker", "--threads", "2"]]
    assert settings_of("slab", "lean", commands=two) == {"connections": 2000, "buffers": 128, "arenas": 2000}
    assert settings_of("slab", "classic-lazy")["buffers"] == 64  # beyond its trigger it creates only needed objects
    assert settings_of("expand", "lean", commands=two) == {"connections": 2502, "buffers": 162, "arenas": 2502}
    assert settings_of("expand", "classic-lazy")["buffers"] == 82
    own = settings_of("blocks", "mine", options="--shape object=512,read=256,write=256,arena=512,eager --expand-at 50")
    assert own == {"connections": 4002, "buffers": 8002, "arenas": 4002}


def test_settings_are_not_given_where_they_cannot_be_known():
    assert settings_of("malloc", "lean") is None
    assert settings_of(None, None) is None
    assert settings_of("expand", "classic", target="mosquitto") is None
    assert settings_of("expand", "classic", options="--pool buffers=malloc") is None


def test_settings_are_printed_for_pools_of_ours_only(tmp_path, poolmark):
    for name, config, shown in (("ours", {"strategy": "expand", "shape": "classic"}, True),
                                ("other", {"target": "mqtt://127.0.0.1:1"}, False)):
        write_run(tmp_path / name, pools=False, **config)
        done = poolmark("capacity", tmp_path / name)
        assert ("--initial 12502 --initial buffers=25002 --initial arenas=12502" in done.stdout) is shown
        assert ("Pool settings" in done.stdout) is shown
        assert 'reserve of pools "-"' in done.stdout


def test_a_record_without_memory_of_a_target_says_what_is_missing(tmp_path, poolmark):
    write_run(tmp_path / "run", watched=False)
    done = poolmark("capacity", tmp_path / "run")
    assert done.returncode == 2 and "no memory of a target at any step: give --watch-pid" in done.stderr


def test_steps_without_a_reading_are_named_and_too_few_steps_say_what_to_run(tmp_path, poolmark):
    def spoil(count):
        write_run(tmp_path / str(count))
        data = json.loads((tmp_path / str(count) / "run.json").read_text())
        for step in COUNTS[:count]:
            data["cells"][0]["metrics"][f"step.{step}.user_bytes"]["value"] = None
        (tmp_path / str(count) / "run.json").write_text(json.dumps(data))
        seal(tmp_path / str(count))
        return poolmark("capacity", tmp_path / str(count))

    assert "the steps of 10, 100 connections" in spoil(2).stdout
    done = spoil(6)
    assert done.returncode == 2 and "there are readings at 2 steps" in done.stderr and "suite million" in done.stderr


def test_kernel_memory_that_is_not_known_is_not_0():
    steps = [model.Step(count, 1e6 + 1000.0 * count, None) for count in COUNTS]
    assert "kernel memory was not read" in model.fit_model(steps, {"strategy": "malloc"}, 1).no_forecast()


def test_a_step_that_no_cell_has_is_refused_once(tmp_path, poolmark):
    write_run(tmp_path / "run")
    done = poolmark("capacity", tmp_path / "run", "--hold-out", "123")
    assert done.returncode == 2 and done.stderr.count("no step of 123") == 1


def test_reasons_are_told_once_with_their_cells():
    assert forecast.why_refused({"why": ["a", "b", "c", "d"], "else": ["e"]}) == ["a, b and 2 more: why", "e: else"]


def test_a_reserve_larger_than_all_memory_is_not_believed():
    reserve = {"connections": {"object_bytes": 4096, "owned": 2_000, "in_use": 1_000}}
    assert model.make_step(1_000, 1e6, None, reserve).pools == {}
    assert model.make_step(1_000, 9e6, None, reserve).pools == reserve


def test_a_size_that_ends_at_a_step_of_growth_says_so():
    fitted = model.fit_model(steps_of_expand(size=9_000), {"strategy": "expand", "broker_options": "--initial 64"}, 52)
    rows = forecast.size_rows(fitted, 0)
    at_growth = [row for row in rows if row["server_at_growth"]]
    assert at_growth and not all(row["server_at_growth"] for row in rows)
    for row in at_growth:
        assert fitted.user_at(row["server"] + 1) > fitted.user_at(row["server"]) + 52 * 9_000
    stuck = next(row for row in at_growth if row["server_low"] == row["server_high"])
    assert forecast.show_interval(stuck, "server") == "(a step of growth)"
    assert "to" in forecast.show_interval({**stuck, "server_low": 1}, "server")


def test_every_column_has_a_heading(poolmark):
    from conftest import ROOT

    done = poolmark("capacity", ROOT / "results/reference/million")
    heads = [line for line in done.stdout.splitlines() if "server's connections" in line or "processes at" in line]
    assert len(heads) >= 2 and all(line.endswith("how known") for line in heads)
