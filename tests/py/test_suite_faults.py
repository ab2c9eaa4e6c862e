# SPDX-License-Identifier: Apache-2.0
"""Each fault of a suite's file is told with the others: none waits until another is mended, and none that only follows from another is told."""
import os
import re

import pytest

from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.suites import suite_file, suite_metrics
from poolmark.suites.suite_clean import follows, without

BUILD = build_dir()
built = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")),
                           reason="the programs are not built")

# A fault a line, "# !" and its message. Each needs more than its own line to be found: an option of a scenario that is not known, what an
# option is to others, to the cell's strategy, to the target; cells without connections; metrics that no phase measures.
TOGETHER = """
primary = ["subscribe.p99", "time"]            # ! scenario subscribe and mix measure it
kind = "suit"                                  # ! did you mean 'suite'?

[config]
shape = "classic"                              # ! shape is in [config] and in [axes]

[axes]
shape = ["classic", "lean"]
strategy = ["malloc"]                          # ! --initial

[broker]
initial = ["buffers=9"]
thread = 2                                     # ! did you mean 'threads'?

[[phase]]                                      # ! --pairs 8 is for the pattern pairs
name = "a"
scenario = "publish"
pattern = "fan-out"
pairs = 8
duration = "ten"                               # ! "ten" is not a duration

[[phase]]
name = "b"
scenario = "chrun"                             # ! did you mean 'churn'?
churn-rate = "fast"                            # ! --churn-rate

[[override]]                                   # ! override: 'when' is missing
"""


def faults_of(tmp_path, text, **how):
    """{line: [texts]}."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        suite_file.load(str(file), **how)
    found = {}
    for told in str(caught.value).splitlines()[1:]:
        line, text = re.match(r".*x\.toml:(\d+): (.*)", told).groups()
        found.setdefault(int(line), []).append(text)
    return found


@built
def test_faults_that_need_more_than_their_line_are_told_beside_the_others(tmp_path):
    found = faults_of(tmp_path, TOGETHER, build=BUILD)
    wanted = {number: line.partition("# ! ")[2] for number, line in enumerate(TOGETHER.splitlines(), 1) if "# ! " in line}
    for number, text in wanted.items():
        assert any(text in one for one in found.get(number, [])), (number, text, found)
    assert any("'time'; it is of poolmark-bench" in one for one in found[2])
    head = TOGETHER.splitlines().index("[config]") + 1
    assert "has no connections" in found[head][0]
    last = max(wanted)
    assert len(found[last]) == 2 and any("it changes nothing" in one for one in found[last])
    assert sum(map(len, found.values())) == len(wanted) + 3, found     # these, the metric of bench, connections, and the override's second


@built
def test_each_fault_alone_is_the_same_fault(tmp_path):
    """What is told beside others is told without them."""
    alone = faults_of(tmp_path, '[config]\nconnections = 9\n[[phase]]\nname = "a"\nscenario = "publish"\npattern = "fan-out"\npairs = 8\n', build=BUILD)
    assert list(alone) == [3] and len(alone[3]) == 1 and "--pairs 8 is for the pattern pairs" in alone[3][0]


@built
@pytest.mark.parametrize("text, line, told", [
    ('[[config]]\nconnections = 9\nengine = "phao"\n', 3, "did you mean 'paho'?"), ('[confg]\nconnections = 9\nengine = "phao"\n', 3, "did you mean 'paho'?"),
    ('[config]\nconnections = 9\n[[axis]]\nstrategy = ["slabb"]\n', 4, "did you mean 'slab'?"),
    ('[config]\nconnections = 9\n[override]\nwhen = { strategy = "slabb" }\nbroker.threads = 2\n', 4, "no cell has"),
    ('[config]\nconnections = 9\n[[group]]\n[[group.broker]]\nthread = 2\n', 5, "did you mean 'threads'?")])
def test_a_table_of_another_name_or_kind_hides_no_fault_within_it(tmp_path, text, line, told):
    found = faults_of(tmp_path, text + '[[phase]]\nname = "connect"\nscenario = "connect"\n', build=BUILD)
    assert any(told in one for one in found[line]), found
    assert sum(map(len, found.values())) in (2, 3) and len(found) == 2, found    # the table, under its name and its kind, and what is in it


def test_one_phase_that_is_no_list_is_read_as_one(tmp_path):
    found = faults_of(tmp_path, '[config]\nconnections = 9\n\n[phase]\nname = "Ab"\nscenario = "connect"\n')
    assert found == {4: ["phase is one table, [phase]; it must be a list of tables, [[phase]]"],
                     5: ["a phase's name is 'Ab'; it must be of a-z, 0-9, _ and -"]}


@pytest.mark.parametrize("text, line", [
    ('[config]\nconnections = 9\nshape = "lean"\n[axes]\nshape = ["classic", "lean"]\n', 3),
    ('[config]\nconnections = 9\nstrategy = "slab"\n[axes_if_known]\nstrategy = ["slab"]\n', 3),
    ('[config]\nconnections = 9\n[axes]\nshape = ["classic", "lean"]\n[[group]]\nconfig.shape = "lean"\n', 6)])
def test_a_value_that_an_axis_covers_is_a_fault(tmp_path, text, line):
    found = faults_of(tmp_path, text + '[[phase]]\nname = "connect"\nscenario = "connect"\n')
    assert list(found) == [line] and "so this value counts for nothing" in found[line][0]


def test_a_value_for_the_groups_without_that_axis_is_none(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text('[config]\nconnections = 9\nshape = "lean"\n[[group]]\naxes.shape = ["classic"]\n[[group]]\naxes.engine = ["raw"]\n'
                    '[[phase]]\nname = "connect"\nscenario = "connect"\n')
    assert len(suite_file.load(str(file)).cells) == 2


ONE = '[config]\nconnections = 9\n[[phase]]\nname = "%s"\nscenario = "%s"\n'
PAIRS = '[[phase]]\nname = "qos0"\nscenario = "publish"\npairs = 5\nduration = "1s"\n'


@built
@pytest.mark.parametrize("primary, phases, told", [
    ("delivery.p99", ONE % ("connect", "connect"), "no cell of this suite can have 'delivery.p99'; scenario "),
    ("churn.cpu.per_arrival_ns", ONE % ("churn", "churn"), "did you mean 'cpu.per_arrival_ns'?"),
    ("delivery.p99", ONE % ("connect", "connect") + PAIRS, "did you mean 'qos0.delivery.p99'?"),
    ("cell.messages.lost", ONE % ("connect", "connect"), "no cell of this suite can have 'cell.messages.lost'"),
    ("arrival.p99", ONE % ("connect", "connect"), "no cell of this suite can have 'arrival.p99'"),
    ("clients.alive", ONE % ("churn", "churn"), "no cell of this suite can have 'clients.alive'"), ("p99_ns", ONE % ("connect", "connect"), "it is of poolmark-bench"),
    ("attack.stop_ns", ONE % ("connect", "connect"), "no cell of this suite can have 'attack.stop_ns'"),
    ("pool.hit_rate", 'config.target = "mosquitto"\nconfig.connections = 9\n[[phase]]\nname = "a"\nscenario = "connect"\n', "no cell of this suite"),
    ("sub*", ONE % ("connect", "connect"), "no cell of this suite can have 'sub*'")])
def test_a_primary_metric_that_the_suite_cannot_measure_is_a_fault(tmp_path, primary, phases, told):
    found = faults_of(tmp_path, f'primary = ["{primary}"]\n{phases}', build=BUILD)
    assert list(found) == [1] and len(found[1]) == 1 and told in found[1][0], found


@built
@pytest.mark.parametrize("primary, phases", [
    ("connect.p99", ONE % ("connect", "connect")), ("qos0.delivery.p99", ONE % ("connect", "connect") + PAIRS), ("pool.hit_rate", ONE % ("a", "connect")),
    ("cell.messages.misdelivered", ONE % ("connect", "connect") + PAIRS), ("*delivery*", PAIRS + "[config]\nconnections = 9\n"),
    ("*:arrival.p9?", ONE % ("churn", "churn")), ("arrival.p99", ONE % ("connect", "connect") + 'backoff = "1s"\n'), ("step.9.user_bytes", ONE % ("steps", "steps")),
    ("clients.alive", ONE % ("churn", "churn") + "prove = true\n"), ("clients.connected", ONE % ("churn", "churn"))])
def test_a_primary_metric_that_the_suite_measures_is_none(tmp_path, primary, phases):
    file = tmp_path / "x.toml"
    file.write_text(f'primary = ["{primary}"]\n{phases}')
    assert suite_file.load(str(file), build=BUILD).cells


@pytest.mark.parametrize("pattern, name, same", [
    ("sensors.day.ack.p99", "GROUP.PHASE.ack.p99", True), ("sensors.*.ack.p99", "GROUP.PHASE.ack.p99", True), ("*.ack.p99", "GROUP.PHASE.ack.p99", True),
    ("step.10.user_bytes", "step.N.user_bytes", True), ("step.x.user_bytes", "step.N.user_bytes", False), ("step.*.user_bytes", "step.N.user_bytes", True),
    ("ack.p98", "ack.p99", False), ("day.ack.p99", "GROUP.PHASE.ack.p99", False)])
def test_a_pattern_means_names_with_any_word_in_the_place_of_capitals(pattern, name, same):
    assert suite_metrics.is_of(pattern, name) == same


def test_what_has_a_fault_is_left_out_and_the_rest_stays():
    data = {"config": {"shap": 1, "connections": 9}, "axes": {"strategy": ["a", "b", "c"], "engine": ["x"]}, "beside": {"axis": 4},
            "phase": [{"name": "A!"}, {"name": "b", "qos": 7, "hold": "1s"}], "override": [{"when": {"x": 1}}, {"when": {"y": 1}, "load": {"z": 1}}]}
    places = [("config", "shap"), ("axes", "strategy", 0), ("axes", "strategy", 2), ("axes", "engine", 0), ("beside", "axis"), ("phase", 0, "name"),
              ("phase", 1, "qos"), ("override", 0, "when", "x"), ("nothing", "there"), ()]
    made, gone = without(data, places)
    assert made == {"config": {"connections": 9}, "axes": {"strategy": ["b"]}, "phase": [{"name": "b", "hold": "1s"}],
                    "override": [{"when": {"y": 1}, "load": {"z": 1}}]}
    assert gone == {"shap", "engine", "beside", "qos", "there"} and data["config"]["shap"] == 1
    assert follows("--retain needs --qos 1", {"qos"}) and not follows("--qos-of-all is wrong", {"qos"}) and not follows("x", set())


def test_a_suite_that_is_not_utf_8_is_told_with_its_line(tmp_path):
    file = tmp_path / "x.toml"
    file.write_bytes('title = "x"\n\n# für\n'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"x\.toml:3: byte 0xfc is not UTF-8"):
        suite_file.load(str(file))


# Faults that once waited until others were mended: each phase, axis and row has one of its own, beside an engine, a strategy and a number
# of connections that are wrong as well.
HIDDEN = """
kind = "steps"                                 # ! no phase has scenario 'steps'

[config]
engine = "phao"                                # ! did you mean 'paho'?
connections = 0                                # ! connections is 0
shap = "lean"                                  # ! did you mean 'shape'?

[axes]
strategy = [
    "slab",
    "malloc",
    "slab",                                    # ! strategy has 'slab' twice
]

[[phase]]                                      # ! no --mix FILE
name = "mixed"
scenario = "mix"

[[phase]]                                      # ! --pairs 8 is for the pattern pairs
name = "out"
scenario = "publish"
pattern = "fan-out"
pairs = 8

[beside]
axis = "strategy"
rows = ["engin"]                               # ! did you mean 'engine'?
colour = 3                                     # ! 'colour' is not a key there

[beside.figures]
paho = ["connect.p98"]                         # ! did you mean 'connect.p99'?

[[ratio]]
metric = "cell.messages.lost"
of = { strategy = "slab" }
to = { strategy = "slab" }                     # ! 'of' and 'to' are the same cells
"""


def marks(text):
    return {number: line.partition("# ! ")[2] for number, line in enumerate(text.splitlines(), 1) if "# ! " in line}


@built
def test_no_fault_waits_for_another(tmp_path):
    found = faults_of(tmp_path, HIDDEN, build=BUILD)
    wanted = marks(HIDDEN)
    for number, text in wanted.items():
        assert len(found.get(number, [])) == 1 and text in found[number][0], (number, text, found)
    assert found.keys() == wanted.keys(), found


@pytest.mark.parametrize("text, line", [
    ("[axes]\nstrategy = ['slab', 'malloc']\nkind_ = ['a b',\n 'a_b']\n[[override]]\nwhen.kind_ = 'a b'\nbroker.threads = 2\n", 6),
    ("[[group]]\nconfig.shape = 'lean'\n\n[[group]]\nconfig.shape = 'lean'\n", 6),
    ("[axes]\nshape = ['lean',\n 'lean']\n", 5)])
def test_two_cells_of_one_name_are_told_where_they_are_made(tmp_path, text, line):
    found = faults_of(tmp_path, f"[config]\nconnections = 9\n{text}[[phase]]\nname = 'connect'\nscenario = 'connect'\n")
    assert list(found) == [line] and "two cells" in found[line][0], found


def test_values_are_shown_as_toml_writes_them_and_faulty_ones_are_offered_to_nobody(tmp_path):
    found = faults_of(tmp_path, "[config]\nconnections = true\nshape = [2026-01-01, { a = false }]\nsubscribe = 3\n"
                                "[axes]\nallocator = ['glibcc']\n[[override]]\nwhen.allocator = 'zzz'\nwhen.subscribe = 'yes'\nbroker.threads = 1\n"
                                "[[phase]]\nname = 2026-01-01T10:00:00\nscenario = 'connect'\n")
    assert found[2][0].startswith("connections is true;") and "[2026-01-01, { a = false }]; it must be" in found[3][0]
    assert "a phase's name is 2026-01-01T10:00:00" in found[12][0]
    assert "there are: glibc, jemalloc" in found[8][0] and "glibcc" not in found[8][0], found[8]
    assert found[9][0].endswith("no cell has subscribe = 'yes'; there are: false, true"), found[9]


@pytest.mark.parametrize("text, line, told", [
    ("[config]\nshape = 'lean'\n\nshape = 'classic'\n", 4, "'shape' is there twice, first in line 2"),
    ("[config]\n[axes]\n[config]\n", 3, "[config] is there twice, first in line 1"),
    ("[[phase]]\nname = 'a'\n[[phase]]\nname = 'b'\nname = 'c'", 5, "'name' is there twice, first in line 4"),
    ("load = 1\n[load.x]\n", 2, "[load.x]: not TOML")])
def test_what_is_there_twice_is_named_with_both_lines(tmp_path, text, line, told):
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=rf"x\.toml:{line}: {re.escape(told)}"):
        suite_file.load(str(file))


def test_a_byte_order_mark_says_nothing(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text("[config]\nconnections = 9\n[[phase]]\nname = 'connect'\nscenario = 'connect'\n", encoding="utf-8-sig")
    assert len(suite_file.load(str(file)).cells) == 1


@built
@pytest.mark.parametrize("hold, told", [("{conections}s", "did you mean 'connections'?"), ("{connections*2}s", "it may be {connections}, {2*connections}"),
                                        ("{2 * connections}s", "it may be")])
def test_braces_that_become_no_number_are_a_fault(tmp_path, hold, told):
    found = faults_of(tmp_path, (ONE % ("connect", "connect")) + f'hold = "{hold}"\n', build=BUILD)
    assert list(found) == [6] and told in found[6][0], found


@built
def test_braces_of_a_payload_are_its_own(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text((ONE % ("connect", "connect")) + "will-topic = '{temperature}'\n")
    assert suite_file.load(str(file), build=BUILD).cells


TARGET = '[config]\ntarget = "%s"\nconnections = 9\n[[phase]]\nname = "connect"\nscenario = "connect"\n'


@built
@pytest.mark.parametrize("target, told", [
    ("mqtt://127.0.0.1:70000", "its port is not a number from 1 to 65535"), ("mqtt://nowhere.invalid", 'cannot find "nowhere.invalid"'),
    ("mqtt://127.0.0.1:1,", "has a comma without an address"), ("mqtt://127.0.0.1:1,mqtt://127.0.0.1:1", "is there twice")])
def test_a_target_that_cannot_be_reached_by_its_name_is_a_fault(tmp_path, target, told):
    found = faults_of(tmp_path, TARGET % target, build=BUILD)
    assert list(found) == [2] and told in found[2][0], found


@built
def test_the_list_of_cells_looks_no_name_up(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text(TARGET % "mqtt://nowhere.invalid")
    assert len(suite_file.load(str(file), build=BUILD, finds_targets=False).cells) == 1
    file.write_text(TARGET % "mqtt://127.0.0.1:70000")
    with pytest.raises(UsageError, match="its port"):
        suite_file.load(str(file), build=BUILD, finds_targets=False)


# A broker that by its own options cannot do what its cells ask.
BOUNDS = """
[config]
engine = "raw"
connections = 100

[axes]
strategy = ["malloc", "sync"]

[broker]
max-connections = 10                           # ! cell malloc-raw-100: --max-connections 10 for 100 clients at once: 90 would be refused
memory-limit = "1KiB"                          # ! --memory-limit 1KiB for 100 clients at once
growth = 2                                     # ! no cell that gets it has a strategy that uses it (they have malloc, sync); expand, blocks and slab use it
expand-at = 50                                 # ! no cell that gets it

[[phase]]
name = "connect"
scenario = "connect"
"""


@built
def test_a_broker_that_cannot_hold_its_connections_and_options_that_no_pool_uses_are_faults(tmp_path):
    found = faults_of(tmp_path, BOUNDS, build=BUILD)
    wanted = marks(BOUNDS)
    assert found.keys() == wanted.keys() and all(text in found[number][0] and len(found[number]) == 1 for number, text in wanted.items()), found
    again = faults_of(tmp_path, "refusals = true" + BOUNDS, build=BUILD)
    assert list(again) == [12, 13], again


@built
@pytest.mark.parametrize("old, new", [("max-connections = 10 ", "max-connections = 100 "), ('"1KiB"', '"1MiB"'), ("connections = 100\n", "connections = 5\n")])
def test_bounds_that_hold_the_connections_are_none(tmp_path, old, new):
    found = faults_of(tmp_path, BOUNDS.replace(old, new), build=BUILD)
    line = next(number for number, text in enumerate(BOUNDS.replace(old, new).splitlines(), 1) if new.strip() in text)
    assert line not in found and 13 in found, found


@built
@pytest.mark.parametrize("old, new", [('"sync"', '"slab"'), ("growth = 2 ", 'pool = "messages=slab"\ngrowth = 2 ')])
def test_an_option_that_one_of_the_strategies_uses_is_none(tmp_path, old, new):
    file = tmp_path / "x.toml"
    file.write_text("refusals = true" + BOUNDS.replace(old, new))
    assert suite_file.load(str(file), build=BUILD).cells


@built
def test_the_title_has_what_the_cells_have():
    assert "10 000 paho connections" in suite_file.load("quick", build=BUILD).title
    assert "10 000 raw connections" in suite_file.load("quick", build=BUILD, sets=["engine=raw"]).title
    assert "10 000 paho connections" in suite_file.listed_title("quick")
