# SPDX-License-Identifier: Apache-2.0
"""A suite file is checked completely before anything starts: every fault has file, line and the most similar known name."""
import os
import re
import tomllib

import pytest
from poolmark.base import faults
from poolmark.run import suite as suite_run
from poolmark.suites import suite_file
from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.base.toml_lines import line_at, lines_of

BUILD = build_dir()
built = pytest.mark.skipif(not all(os.access(BUILD / name, os.X_OK) for name in ("poolmark-broker", "poolmark-loadgen", "poolmark-bench")),
                           reason="the programs are not built")

# Each line with a fault ends in "# !" and the expected message.
TWENTY = """
titel = "x"                                # ! 'titel' is not a key there; did you mean 'title'?
kind = "suit"                              # ! kind 'suit' is not known; did you mean 'suite'?
repetitions = 0                            # ! repetitions is 0; it must be at least 1
primary = ["qos0.delivery.p98"]            # ! no program measures 'qos0.delivery.p98'; did you mean 'delivery.p99'?

[config]
shap = "classic"                           # ! 'shap' is not a key of a cell; did you mean 'shape'?
engine = "phao"                            # ! engine 'phao' is not known; did you mean 'paho'?
allocator = "jemaloc"                      # ! allocator 'jemaloc' is not known; did you mean 'jemalloc'?
connections = 0                            # ! connections is 0; it must be a whole number of at least 1
subscribe = "yes"                          # ! subscribe is 'yes'; it must be true or false

[axes]
strategy = [
    "slab",
    "expnad",                              # ! strategy 'expnad' is not known; did you mean 'expand'?
]
target = ["poolmark", "mosquito"]          # ! did you mean 'mosquitto'?

[broker]
thread = 2                                 # ! 'thread' is no option of poolmark-broker; did you mean 'threads'?
initial = ["64", "bufers=9"]               # ! --initial bufers=9: no pool is called "bufers"
record = "here"                            # ! --record is what the suite sets itself

[load]
keepalive = 600                            # ! 'keepalive' is no option of poolmark-loadgen; did you mean 'keep-alive'?

[[phase]]
name = "connect"
scenario = "conect"                        # ! scenario 'conect' is not known; did you mean 'connect'?

[[phase]]
name = "qos0"
scenario = "publish"
qos = 3                                    # ! --qos: "3" is out of bounds; it takes 0 to 2
steps = "1,2"                              # ! --steps: scenario publish does not use it; it is for steps
duration = "10 parsecs"                    # ! --duration: "10 parsecs" is not a duration

[[override]]
when = { strategy = "fixd" }               # ! no cell has strategy = 'fixd'
broker.initial = ["64"]
"""


def expected(text):
    return {number: line.partition("# ! ")[2] for number, line in enumerate(text.splitlines(), 1) if "# ! " in line}


@built
@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--list",)])
def test_twenty_faults_are_twenty_messages_and_nothing_is_started(poolmark, tmp_path, words):
    file = tmp_path / "twenty.toml"
    file.write_text(TWENTY)
    done = poolmark("suite", file, "--out", tmp_path / "run", *words)
    assert done.returncode == 2 and done.stdout == ""
    head, *told = done.stderr.strip().splitlines()
    assert head.endswith("twenty.toml: 20 faults, nothing was started")
    wanted = expected(TWENTY)
    assert len(told) == len(wanted) == 20
    for line, (number, text) in zip(told, sorted(wanted.items()), strict=True):
        assert line.startswith(f"{file}:{number}: ") and text in line, (line, text)
    assert not (tmp_path / "run").exists()


PHASE = '[[phase]]\nname = "connect"\nscenario = "connect"\n'
STEPS = '[[phase]]\nname = "steps"\nscenario = "steps"\nsteps = "10,100"\n'


@built
@pytest.mark.parametrize("text, line, told", [
    ("[config]\nshape = \"clasic\"\n" + PHASE, 2, "did you mean 'classic'?"),
    ("[config]\nshape = \"object=7\"\n" + PHASE, 2, "out of bounds"),
    ('[config]\ntarget = "mosquitto"\nstrategy = "slab"\nconnections = 9\n' + PHASE, 3, "target mosquitto has no pools of ours: strategy"),
    ('[config]\ntarget = "mqtt://127.0.0.1:1"\nconnections = 9\n[broker]\nthreads = 2\n' + PHASE, 4, "is not poolmark-broker"),
    ('[config]\ntarget = "mqtt://127.0.0.1:1"\nconnections = 9\nallocator = "jemalloc"\n' + PHASE, 4, "no allocator can be chosen"),
    ('[config]\nconnections = 9\n[axes]\nstrategy = ["malloc"]\n[broker]\ninitial = ["buffers=9"]\n' + PHASE, 4,
     "cell malloc-9: --initial buffers=: strategy malloc keeps no objects ready"),
    ('[config]\nconnections = 200_000_000\n' + PHASE, 2, "connections is 200000000; it must be a whole number of at least 1 and at most 100000000"),
    ('[config]\nshape = "lean"\n' + PHASE, 1, "cell lean has no connections: how many?"),
    ('repetitions = 20_000\n[config]\nconnections = 9\n' + PHASE, 1, "repetitions is 20000; it may be at most 10000"),
    ('seed = 9000000000000000000\n[config]\nconnections = 9\n' + PHASE, 1, "--seed"),
    ('[config]\nconnections = 9\n' + PHASE.replace('"connect"\nsc', '5\nsc'), 4, "a phase's name is 5"),
    ('[config]\nconnections = 9\n' + PHASE.replace('"connect"\nsc', '["x"]\nsc'), 4, "a phase's name is ['x']"),
    ('[config]\nconnections = 9\n[[phase]]\nname = "x"\nscenario = ["connect"]\n', 5, "scenario is ['connect']; it must be text"),
    ('[config]\nconnections = 9\n[axes_if_known]\nstratgy = ["slab"]\n' + PHASE, 4, "'stratgy' is not a key of a cell; did you mean 'strategy'?"),
    ('[config]\nconnections = 9\n[axes_if_known]\nstrategy = ["slabb"]\n' + PHASE, 4, "strategy 'slabb' is not known; did you mean 'slab'?"),
    ('[config]\nconnections = 9\n[axes_if_known]\nengine = ["phao"]\n' + PHASE, 4, "did you mean 'paho'?"),
    ('[config]\nconnections = 9\n[[override]]\nwhen = { connections = "9" }\nload.keep-alive = 5\n' + PHASE, 4,
     "connections is '9', and no cell has it as text"),
    ('[config]\nconnections = 9\n[[override]]\nwhen = { connections = 9 }\n' + PHASE, 3, "override: it changes nothing"),
    ('primary = ["nosuch*:connect.p99"]\n[config]\nconnections = 9\n' + PHASE, 1, "no cell is called 'nosuch*'"),
    ('[config]\nconnections = 9\n' + PHASE.replace('"connect"\nsc', '"cell"\nsc'), 4, "name 'cell' is taken"),
    ('[config]\nconnections = 9\n' + STEPS + STEPS.replace('"steps"\nsc', '"again"\nsc'), 9, "this is a second one"),
    ('[config]\nconnections = 9\n' + STEPS + "probe = 3\n", 7, "--probe 3 is odd"),
    ('[config]\nconnections = 9\n' + PHASE + "subscribe = 1\n", 6, "--subscribe takes no value"),
    ('[config]\nconnections = 9\n' + PHASE + "hold = true\n", 6, "--hold takes a value"),
    ('[config]\nconnections = 9\n' + PHASE + 'password = "x"\n', 6, "password would stand in the record"),
    ('[config]\nconnections = 9\n' + PHASE + "hold = [1, 2]\n", 6, "--hold is given once"),
    ('[config]\nconnections = 9\n' + PHASE + 'hold = "{conections}s"\n', 6, "{conections} becomes no number; did you mean 'connections'?"),
    ('[config]\nconnections = 9\n[[ratio]]\nmetric = "memory.per_conection_bytes"\nof = { target = "poolmark" }\nto = { target = "poolmark" }\n'
     + PHASE, 4, "did you mean 'memory.per_connection_bytes'?"),
    ('[config]\nconnections = 9\n[[ratio]]\nmetric = "connect.rate"\nof = { targt = "poolmark" }\nto = { target = "mosquito" }\n'
     + PHASE, 5, "no cell has a 'targt'; did you mean 'target'?"),
    ('[config]\nconnections = 9\n[[ratio]]\nmetric = "connect.rate"\nof = { target = "poolmark" }\nto = { target = "poolmark" }\nwithin = 5.0\n'
     + PHASE, 7, "within is 5; it is a share above 0 and below 1"),
    ('[config]\nconnections = 9\n[[ratio]]\nmetric = "connect.rate"\nof = { target = "poolmark" }\nto = { target = "poolmark" }\nwithin = "5 %"\n'
     + PHASE, 7, "within is '5 %'; it must be a number such as 0.1"),
    ('primary = ["qos9.delivery.p99"]\n[config]\nconnections = 9\n' + PHASE, 1, "no program measures 'qos9.delivery.p99'"),
    ('primary = ["*delivry*"]\n[config]\nconnections = 9\n' + PHASE, 1, "no program measures '*delivry*'"),
    ("[config]\nconnections = 9\n[[group]]\naxis = 1\n" + PHASE, 4, "'axis' is not a key there; did you mean 'axes'?"),
    ("config = [1]\n" + PHASE, 1, "config is [1]; it must be a table"),
    ("phase = 3\n", 1, "phase is 3; it must be a list"),
    ("title = \n", 1, "not TOML"),
])
def test_each_kind_of_fault_has_its_line(tmp_path, text, line, told):
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        suite_file.load(str(file), build=BUILD)
    found = [one for one in str(caught.value).splitlines() if re.match(rf".*x\.toml:{line}: ", one) and told in one]
    assert found, str(caught.value)


PATTERN = '[config]\nconnections = 9\n[[phase]]\nname = "many"\nscenario = "publish"\n'


@pytest.mark.parametrize("more, line, told", [('[[impossible]]\nwhen = { engine = "raw" }\nwhy = "x"\n', 11, "nothing is left to measure"),
                                              ('[axes]\nstrategy = "malloc"\n', 12, "an axis is a list of values")])
def test_a_suite_without_cells_and_an_axis_of_letters_have_one_fault(tmp_path, more, line, told):
    file = tmp_path / "x.toml"
    file.write_text('title = "x"\n\n[config]\ntarget = "poolmark"\nengine = "raw"\nconnections = 10\n\n[[phase]]\nname = "connect"\n'
                    'scenario = "connect"\n' + more)
    with pytest.raises(UsageError, match=rf"1 fault, nothing was started\n.*x\.toml:{line}: .*{told}"):
        suite_file.load(str(file))



@built
def test_options_of_a_pattern_are_checked_together(tmp_path):
    """--subscribers alone is wrong, since the pattern is pairs then."""
    file = tmp_path / "x.toml"
    file.write_text(PATTERN + 'subscribers = 50\npublishers = 2\npattern = "fan-out"\n')
    assert suite_file.load(str(file), build=BUILD).cells
    for text, line, told in (("subscribers = 50\n", 6, "--subscribers is for the patterns fan-in, fan-out and topics"),
                             ('pattern = "topics:9"\npublishers = 8\n', 7, "--publishers 8 are too few for 9 topics"),
                             ('pattern = "fan-out"\npairs = 8\n', 3, "--pairs 8 is for the pattern pairs")):
        file.write_text(PATTERN + text)
        with pytest.raises(UsageError) as caught:
            suite_file.load(str(file), build=BUILD)
        found = [one for one in str(caught.value).splitlines() if f"x.toml:{line}: " in one and told in one]
        assert found, str(caught.value)


@built
def test_a_key_of_ones_own_tells_cells_for_overrides_apart(tmp_path):
    text = PHASE + """
[config]
connections = 9
[axes]
kind = ["few", "many"]
[[override]]
when = { kind = "many" }
broker.threads = 2
"""
    file = tmp_path / "x.toml"
    file.write_text(text)
    few, many = suite_file.load(str(file), build=BUILD).cells
    assert few.broker == {} and many.broker == {"threads": 2} and many.id == "9-kind-many.1"


@built
@pytest.mark.parametrize("words, told", [
    (["duration=60x"], "--set duration=60x: --duration: \"60x\" is not a duration"),
    (["duratoin=60s"], "did you mean 'duration'?"),
    (["qos9.duration=60s"], "'qos9.duration' is nothing that a suite has"),
    (["shape=clasic"], "did you mean 'classic'?"),
    (["broker.thread=2"], "did you mean 'threads'?"),
    (["threads=2"], "no phase takes it; did you mean 'broker.threads'?"),
    (["listen=2"], "is nothing that a suite has"),
    (["strategy=slap"], "did you mean 'slab'?"),
    (["repetitions=none"], "repetitions is 'none'"),
    (["duration"], "it takes KEY=VALUE"),
    (["seed=9000000000000000000"], "--seed"),
])
def test_what_is_set_on_the_command_line_is_checked_like_the_file(words, told):
    with pytest.raises(UsageError) as caught:
        suite_file.load("quick", build=BUILD, sets=words)
    assert told in str(caught.value) and f"--set {words[0]}: " in str(caught.value), str(caught.value)


@built
def test_set_reaches_phases_cells_and_options():
    suite = suite_file.load("quick", build=BUILD, sets=["duration=60s", "qos1.payload=1KiB", "strategy=slab", "broker.threads=2",
                                                        "shape=lean", "repetitions=2", "load.keep-alive=5"])
    assert [cell.id for cell in suite.cells] == ["lean-slab-paho-10000.1", "lean-slab-paho-10000.2"]
    connect, qos0, qos1 = suite.cells[0].phases
    assert (qos0["duration"], qos1["duration"], "duration" in connect) == ("60s", "60s", False)
    assert (qos0["payload"], qos1["payload"]) == (64, "1KiB")
    assert suite.cells[0].broker["threads"] == 2 and suite.cells[0].load["keep-alive"] == 5


@built
@pytest.mark.parametrize("name", suite_file.names())
def test_the_committed_suites_have_no_fault(name):
    assert suite_file.load(name, build=BUILD, fit=lambda config: 1000).cells


LINES = '''a = """x
[b]
"""
c = [ # hello [
  "x#", { d = 1, "e f" = [2,
  3] },
]
[g."h.i"]
j.k = 1.5
[[m]]
[[m]]
[m.n]
o = 'p'
[[m.q]]
r = 1
'''


def test_lines_are_those_of_the_keys():
    assert tomllib.loads(LINES)
    lines = lines_of(LINES)
    wanted = {("a",): 1, ("c",): 4, ("c", 1, "d"): 5, ("c", 1, "e f", 1): 6, ("g", "h.i", "j", "k"): 9, ("m", 0): 10,
              ("m", 1): 11, ("m", 1, "n", "o"): 13, ("m", 1, "q", 0, "r"): 15}
    assert {path: lines[path] for path in wanted} == wanted
    assert line_at(lines, ("m", 1, "nothing")) == 11


@pytest.mark.parametrize("path", sorted(suite_file.SUITES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_key_of_the_committed_suites_is_found_on_its_line(path):
    text = path.read_text()
    lines = lines_of(text)

    def walk(value, place):
        assert place in lines
        if place and isinstance(place[-1], str):
            assert place[-1] in text.splitlines()[lines[place] - 1]
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            walk(inner, (*place, key))

    walk(tomllib.loads(text), ())


def test_of_many_known_names_none_is_listed():
    """A metric that resembles none of two hundred: the message stays one line that can be read."""
    assert faults.nearest("xyz", [f"name{number}" for number in range(200)]) == "; there are 200: scripts/poolmark describe prints them"
    assert faults.nearest("xyz", ["abc", "def"]) == "; there are: abc, def"
    assert faults.nearest("name17x", [f"name{number}" for number in range(200)]).startswith("; did you mean 'name1")


@built
def test_a_fault_in_the_number_of_clients_does_not_hide_the_other_options(poolmark, tmp_path):
    file = tmp_path / "many.toml"
    file.write_text('[config]\nconnections = 9\n[[phase]]\nname = "p"\nscenario = "publish"\npairs = "many"\nqos = 7\npayload = 64\n'
                    'publish-rate = "fast"\nduration = "ten"\n')
    done = poolmark("suite", file)
    told = done.stderr.strip().splitlines()[1:]
    assert [line.removeprefix(f"{file}:").split(" ")[:2] for line in told] == [
        ["6:", "--pairs:"], ["7:", "--qos:"], ["9:", "--publish-rate:"], ["10:", "--duration:"]], told


def test_nightly_and_compare_check_the_file_before_they_build(poolmark, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text("shap = 1\nkind = 'suit'\n[config]\nconnections = 9\n" + PHASE)
    for words in (("nightly", "--run", f"suite:{file}", "--out", tmp_path / "out"),
                  ("compare", "HEAD~1", "HEAD", "--run", f"suite {file}", "--out", tmp_path / "out")):
        done = poolmark(*words)
        assert done.returncode == 4 and "wrong.toml:1: 'shap'" in done.stderr and "wrong.toml:2: kind 'suit'" in done.stderr
        assert "make in" not in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("text, told", [('title = "x {conections}"\n', "1: {conections} in a title becomes nothing; did you mean 'connections'?"),
                                        ("primary = []\n", "1: primary is empty: no metric would decide"),
                                        ("primary = [4]\n", "1: primary has 4; it is a list of names")])
def test_a_title_and_primary_metrics_that_mean_nothing_are_faults(tmp_path, text, told):
    file = tmp_path / "x.toml"
    file.write_text(text + '[config]\nconnections = 10\n[[phase]]\nname = "a"\nscenario = "connect"\n')
    with pytest.raises(UsageError) as caught:
        suite_file.load(str(file), build=BUILD)
    assert told in str(caught.value)


FAULTS_OF_ALL_KINDS = """shap = 4
[config]
target = "mosquitto"
connections = 10
engine = "raw"
[[group]]
config = { strategy = "slab" }
[[group]]
config = { strategy = "slab" }
[[phase]]
name = "a"
scenario = "connect"
windw = 3
"""


def test_faults_of_keys_options_and_cells_are_told_in_one_pass(poolmark, tmp_path):
    """Cells that have one name, and a strategy for a target without pools, were only told when all else was mended; nightly and compare
    told keys alone, although a build was at hand."""
    file = tmp_path / "x.toml"
    file.write_text(FAULTS_OF_ALL_KINDS)
    for words in (("suite", file), ("compare", BUILD, BUILD, "--run", f"suite:{file}"),
                  ("nightly", "--run", f"suite:{file}", "--base-build", BUILD, "--candidate-build", BUILD)):
        done = poolmark(*words)
        assert done.returncode in (2, 4)
        for told in ("'shap' is not a key there", "'windw' is no option", "two cells are called", "target mosquitto has no pools of ours"):
            assert told in done.stderr, (words[0], done.stderr)


@built
def test_a_key_is_set_once():
    with pytest.raises(UsageError, match="--set duration=20s: 'duration' is set twice"):
        suite_file.load("quick", build=BUILD, sets=["duration=10s", "qos1.duration=30s", "duration=20s"])


@pytest.mark.parametrize("text", ["axes = [1]\n", "axes_if_known = [1]\n", "config = 3\n", "phase = 4\n"])
def test_a_file_whose_parts_are_no_tables_is_told_so_with_set_too(tmp_path, text):
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"x\.toml:1: "):
        suite_file.load(str(file), sets=["shape=lean", "broker.threads=2", "duration=5s"])


def test_a_dry_run_says_what_the_host_lacks(monkeypatch, capsys):
    def lacks(*_words):
        raise UsageError("mosquitto is not installed")

    monkeypatch.setattr(suite_run, "check_installed", lacks)
    suite_run.tell_obstacles(None, 1000, BUILD)
    assert capsys.readouterr().err == "it would not start here: mosquitto is not installed\n"


def test_the_document_names_every_key_and_its_example_has_no_fault(tmp_path):
    from poolmark.base.paths import ROOT
    from poolmark.suites import suite_form

    text = (ROOT / "docs/suite-files.md").read_text(encoding="utf-8")
    keys = {*suite_form.KEYS, *suite_form.OVERRIDE_KEYS, *suite_form.RATIO_KEYS, *suite_form.BESIDE_KEYS, *suite_form.IMPOSSIBLE_KEYS} | {
        "target", "shape", "strategy", "engine", "allocator", "connections", "subscribe", "attack", "ranks"}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []
    example = "\n".join(line[4:] for line in text.split("\n") if line.startswith("    ")).split("scripts/poolmark", 1)[0]
    (tmp_path / "mine.toml").write_text(example)
    assert len(suite_file.load(str(tmp_path / "mine.toml")).cells) == 8     # two, four times
