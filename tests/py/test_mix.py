# SPDX-License-Identifier: Apache-2.0
"""A mix's TOML file: every fault with its line, the plan in plain words, the plain form, and the keys that documents have."""
import json
import os
import re
from pathlib import Path

import pytest

from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.suites import mix_file, mix_told, suite_file

ROOT = Path(__file__).resolve().parents[2]
BUILD = build_dir()
pytestmark = pytest.mark.skipif(not os.access(BUILD / "poolmark-loadgen", os.X_OK), reason="the generator is not built")

GROUPS = """\
[group.sensors]
role = "publisher"
connections = 30
qos = 1

[group.boards]
role = "subscriber"
from = "sensors"
connections = 4

[group.phones]
role = "idle"
connections = 50
"""
ARRIVE = """
[[phase]]
name = "arrive"
all = "connect"
"""
DAY = """
[[phase]]
name = "day"
duration = "30s"
sensors = { do = "publish", every = "60s" }
phones = { do = "churn", rate = 2.5 }
"""


def write(tmp_path, text):
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    return tmp_path / "x.toml"


def faults_of(tmp_path, text, *words):
    with pytest.raises(UsageError) as caught:
        mix_file.load(write(tmp_path, text), BUILD, list(words))
    assert caught.value.exit_code == 2
    return str(caught.value)


def line_of(text, wanted):
    return next(number for number, line in enumerate(text.splitlines(), 1) if wanted in line)


@pytest.mark.parametrize("change, at, complaint", [
    ((" = \"idle\"", " = idle"), "role = idle", "not TOML"),
    (("connections = 50", "conections = 50"), "conections", "'conections' is not a key of a group; did you mean 'connections'?"),
    (("qos = 1", "qos = true"), "qos = true", "qos is true; it takes a value"),
    (("qos = 1", "qos = [true, false]"), "qos = [", "qos is [true, false]; it must be a text or a number"),
    (("qos = 1", "retain = 1"), "retain = 1", "retain is 1; it is true or false"),
    (("qos = 1", "qos = [1]"), "qos = [1]", "qos is [1]; it must be a text or a number"),
    (("qos = 1", "qos = nan"), "qos = nan", "it must be a text or a number"),
    (("qos = 1", "password = \"p\""), "password", "users names a file that has it"),
    (("[group.phones]", "[grupp.phones]"), "[grupp", "'grupp' is not a key there; did you mean 'group'?"),
    (("[group.phones]", "[group.all]"), "[group.all]", "a group cannot be called 'all'"),
    (("phones = {", "fones = {"), "fones", "'fones' is no group and no key of a phase; did you mean 'phones'?"),
    (("churn\", rate", "churn\", rte"), "rte", "'rte' is not a key of what a group does; did you mean 'rate'?"),
    (("{ do = \"churn\", rate = 2.5 }", "7"), "phones = 7", "phones is 7; it must be a table"),
    (("name = \"day\"", ""), "[[phase]]", "phase: 'name' is missing: what is it called?"),
    (("name = \"day\"", "name = 7"), "name = 7", "a phase's name is 7; it must be a text"),
    # These the generator itself finds.
    (("qos = 1", "qos = 3"), "qos = 3", "group sensors: qos: \"3\" is out of bounds"),
    (("role = \"idle\"", "role = \"lazy\""), "role = \"lazy\"", "role: \"lazy\" is unknown; it takes"),
    (("from = \"sensors\"", "from = \"phones\""), "from =", "from phones: there are no publishers of that name"),
    (("connections = 50", "connections = 50\nretain = true"), "retain", "retain: idle does not use it; it is for publisher, pairs"),
    (("do = \"churn\"", "do = \"fly\""), "phones = {", "do: \"fly\" is unknown; it takes connect"),
    (("churn\", rate", "churn\", by = \"rst\", rate"), "phones = {", "by rst: engine paho can only send a DISCONNECT"),
    (("duration = \"30s\"", ""), "sensors = {", "do publish: the phase has no duration"),
    (("phones", "memory"), "[group.memory]", "figures of the run have this name"),
])
def test_a_fault_has_its_line(tmp_path, change, at, complaint):
    whole = GROUPS + ARRIVE + DAY
    assert whole.count(change[0]) >= 1
    text = whole.replace(change[0], change[1])
    said = faults_of(tmp_path, text)
    assert complaint in said
    lines = {number for number, line in enumerate(text.splitlines(), 1) if at in line}
    assert int(re.search(r"x\.toml:(\d+): ", said)[1]) in lines


def test_all_faults_of_the_form_are_told_at_once(tmp_path):
    said = faults_of(tmp_path, GROUPS.replace("qos", "qoss").replace("from", "form") + ARRIVE.replace("all", "al"))
    assert "3 faults, nothing was started" in said
    assert [int(number) for number in re.findall(r"x\.toml:(\d+): ", said)] == [4, 8, 17]


def test_faults_of_the_form_do_not_hide_those_of_values(tmp_path):
    text = GROUPS.replace("qos = 1", "qos = 3").replace("from", "form") + "[group.odd]\nrole = 7.5\n" + ARRIVE + DAY.replace('name = "day"', "")
    said = faults_of(tmp_path, text)
    for part, complaint in {"qos = 3": "is out of bounds", "form": "did you mean 'from'?", "7.5": "role: "}.items():
        assert re.search(rf"x\.toml:{line_of(text, part)}: .*{re.escape(complaint)}", said), (part, said)
    assert "'name' is missing" in said


def test_all_faults_of_values_are_told_at_once(tmp_path):
    """Each with its line, and with what was meant; a value that is right beside them has none."""
    text = (GROUPS.replace("qos = 1", "qos = 3").replace('"idle"', '"idel"').replace("[group.boards]", "[group.memory]").replace("= 4", "= 0")
            + 'retain = true\n' + ARRIVE + DAY.replace('"churn", rate = 2.5', '"churn", rate = -1, backoff = "soon"').replace('"30s"', '"long"'))
    said = faults_of(tmp_path, text)
    wanted = {"qos = 3": 'group sensors: qos: "3" is out of bounds', '"idel"': 'role: "idel" is unknown', "[group.memory]": "figures of the run have this name",
              "connections = 0": 'group memory: connections: "0" is out of bounds', "rate = -1": "phase day: group phones: ",
              '"long"': "phase day: duration: "}
    for part, complaint in wanted.items():
        assert re.search(rf"x\.toml:{line_of(text, part)}: .*{re.escape(complaint)}", said), (part, said)
    assert "did you mean 'idle'?" in said and said.count("group phones: rate: ") == said.count("group phones: backoff: ") == 1
    assert "retain" not in said     # of which role it is nobody knows
    assert "7 faults, nothing was started" in said or "8 faults" in said, said


def test_a_key_that_a_group_does_not_use_is_told_beside_the_others(tmp_path):
    said = faults_of(tmp_path, GROUPS.replace("qos = 1", "qos = 3") + "retain = true\n" + ARRIVE)
    assert "retain: idle does not use it; it is for publisher, pairs" in said and 'qos: "3"' in said and "2 faults" in said


def test_one_of_each_is_one(tmp_path, poolmark):
    file = write(tmp_path, '[group.a]\nrole = "idle"\nconnections = 1\n[[phase]]\nname = "p"\na = "connect"\n')
    told = poolmark("mix", file, "--dry-run").stdout
    assert "1 group, 1 client in all" in told and "1 phase, about" in told and "due: 1 connect\n" in told


@pytest.mark.parametrize("words, told", [
    (("mix", "ofice"), "there is no mix 'ofice'; did you mean 'office'?"), (("mix", "office", "--recrod", "x"), "; did you mean '--record'?"),
    (("attack", "hash-filter"), "there is no attack 'hash-filter'; did you mean 'hash-filters'?"),
    (("attack", "unread", "--taget", "x"), "did you mean '--target'?"), (("capacity", "--conections", "5"), "did you mean '--connections'?"),
    (("capacity", "--connections", "5", "--strategy", "slap"), "--strategy 'slap': no cell here is of it; did you mean 'slab'?"),
    (("capacity", "--connections", "5", "--strategy", "slab", "--shape", "laen"), "did you mean 'lean'?"),
    (("capacty",), "'capacty' is not a command; did you mean 'capacity'?"),
])
def test_a_misspelt_name_has_the_nearest_one(words, told, poolmark):
    done = poolmark(*words)
    assert done.returncode == 2 and told in done.stderr, done.stderr


@pytest.mark.parametrize("text, complaint", [
    ("", "group: there is none"), (GROUPS, "phase: there is none"), (GROUPS + "[phase]\nname = 'x'\n", "phase: there is none"),
    ("group = 3\n" + ARRIVE, "group is 3; it must be a table"), ("title = 3\n" + GROUPS + ARRIVE, "title is 3"),
])
def test_a_file_that_says_too_little_is_refused(tmp_path, text, complaint):
    assert complaint in faults_of(tmp_path, text)


def test_the_plain_form_has_the_keys_as_options(tmp_path):
    (tmp_path / "users.csv").write_text("u,p\n", encoding="utf-8")
    extra = "clean = false\nsubscribe = true\nkeep-alive = 60\nusers = \"users.csv\"\n"
    mix = mix_file.load(write(tmp_path, f'title = "T"\n{GROUPS}{extra}{ARRIVE}{DAY}'), BUILD)
    assert mix.plain["title"] == "T"
    assert [group["name"] for group in mix.plain["groups"]] == ["sensors", "boards", "phones"]
    assert mix.plain["groups"][2]["options"] == ["--role", "idle", "--connections", "50", "--clean", "false", "--subscribe", "--keep-alive",
                                                 "60", "--users", str(tmp_path / "users.csv")]
    arrive, day = mix.plain["phases"]
    assert [act["group"] for act in arrive["acts"]] == ["sensors", "boards", "phones"]
    assert all(act["options"] == ["--do", "connect"] for act in arrive["acts"])
    assert day["options"] == ["--duration", "30s"]
    assert day["acts"][1] == {"group": "phones", "options": ["--do", "churn", "--rate", "2.5"]}
    phones = mix.planned["config"]["groups"][2]
    assert phones["clean_session"] is False and phones["keep_alive_s"] == 60


def test_all_is_every_group_that_the_phase_does_not_name(tmp_path):
    text = GROUPS + '[[phase]]\nname = "a"\nphones = { do = "connect", to = 3 }\nall = { do = "connect", rate = 1e3 }\n'
    acts = mix_file.load(write(tmp_path, text), BUILD).plain["phases"][0]["acts"]
    assert {act["group"]: act["options"][2:] for act in acts} == {
        "phones": ["--to", "3"], "sensors": ["--rate", "1000"], "boards": ["--rate", "1000"]}


def test_the_plan_is_told_with_its_totals_and_its_time(tmp_path, poolmark):
    file = write(tmp_path, GROUPS + ARRIVE + DAY)
    done = poolmark("mix", file, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    for told in ("3 groups, 84 clients in all, engine paho", "publisher: 30 clients, QoS 1, fan-in to 4 subscribers",
                 "2 phases, about 32 s in all", "sensors publish 0.5 messages a second, 15 in all",
                 "phones churn, 2.5 a second, 75 arrivals in all", "due: 84 connects, 15 messages, 60 deliveries, 75 arrivals"):
        assert told in done.stdout
    assert mix_told.seconds(mix_file.load(file, BUILD)) == pytest.approx(32, abs=0.2)


def test_a_rate_that_changes_is_told_with_what_is_due(tmp_path):
    text = GROUPS + """
[[phase]]
name = "arrive"
sensors = { do = "connect", rate = 30, schedule = "ramp" }
boards = "connect"
phones = { do = "connect", rate = 100, schedule = "stairs", schedule-from = 25, schedule-steps = 4, schedule-over = "2s" }
[[phase]]
name = "day"
duration = "4s"
sensors = { do = "publish", rate = 100, schedule = "ramp", schedule-from = 20, schedule-over = "2s" }
phones = { do = "churn", rate = 10, schedule = "poisson" }
"""
    plan = mix_file.load(write(tmp_path, text), BUILD)
    told = "\n".join(mix_told.lines(plan))
    # 30 connects by a ramp that ends with the last: 2 s. 50 by steps of 25, 50, 75 and 100 a second, half a second each: 12.5 after the
    # first, 37.5 after the second, 50 a sixth of a second later.
    arrive, day = plan.planned["config"]["phases"]
    assert [mix_told.act_seconds(act) for act in arrive["acts"]] == [pytest.approx(2.0), pytest.approx(4 / 7000), pytest.approx(1 + 1 / 6)]
    # 2 s with a mean of 60, then 2 s with 100.
    assert mix_told.messages_of(day, day["acts"][0]) == 320
    for said in ("30 sensors connect, 30 a second, from 0 on over 2 s", "in 4 steps over 2 s", "sensors publish 100 messages a second, from 20 on "
                 "over 2 s, 320 in all", "phones churn, 10 a second at random, about 40 arrivals in all"):
        assert said in told, told


def test_exit_code_2_and_nothing_started(tmp_path, poolmark):
    wrong = poolmark("mix", write(tmp_path, GROUPS), "--target", "mqtt://127.0.0.1:1", "--record", tmp_path / "run")
    assert wrong.returncode == 2 and "nothing was started" in wrong.stderr and not (tmp_path / "run").exists()
    assert "no --target" in poolmark("mix", write(tmp_path, GROUPS + ARRIVE)).stderr
    for words in (("mix",), ("mix", "nothing"), ("mix", tmp_path / "none.toml"), ("mix", "office", "--engine", "steam", "--dry-run")):
        done = poolmark(*words)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr


def test_a_target_that_nobody_serves_is_exit_code_1(tmp_path, poolmark):
    done = poolmark("mix", write(tmp_path, GROUPS + ARRIVE), "--target", "mqtt://127.0.0.1:1", "--engine", "raw", "--quiet", "--record",
                    tmp_path / "run")
    assert done.returncode == 1
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["status"] == "failed" and record["summary"]["failed"] == {"tcp_refused": 84}


@pytest.mark.parametrize("name", mix_file.names())
def test_each_mix_that_is_shipped_can_be_played(name, poolmark):
    assert poolmark("mix", name, "--dry-run", "--engine", "raw").returncode == 0
    assert json.loads(poolmark("mix", name, "--plain").stdout)["phases"]


def test_the_documents_example_takes_the_engine_that_it_names(tmp_path):
    text = (ROOT / "docs/mix.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", text, re.S)[1]
    assert mix_file.load(write(tmp_path, example), BUILD, ["--engine", "raw"]).planned["config"]["engine"] == "raw"
    said = faults_of(tmp_path, example)
    assert f"x.toml:{line_of(example, 'by = ')}: " in said and "engine paho can only send a DISCONNECT" in said and "1 fault" in said
    assert "It takes `--engine raw`" in text


def test_every_key_has_a_line_in_the_document():
    text = (ROOT / "docs/mix.md").read_text(encoding="utf-8")
    for part, rows in mix_file.keys_of(BUILD).items():
        table = text.split(f"<!-- facts: {part}keys -->")[1].split("<!-- end of facts -->")[0]
        assert re.findall(r"^\| `([a-z-]+)`", table, re.M) == list(rows)


def test_a_suite_plays_a_mix(tmp_path):
    text = """
[config]
connections = 100
engine = "raw"
strategy = "malloc"
[[phase]]
name = "mixed"
scenario = "mix"
mix = "MIX"
"""
    mix = write(tmp_path, GROUPS + ARRIVE)
    (tmp_path / "s.toml").write_text(text.replace("MIX", str(mix)), encoding="utf-8")
    assert [cell.phases[0]["scenario"] for cell in suite_file.load(str(tmp_path / "s.toml"), build=BUILD).cells] == ["mix"]
    (tmp_path / "s.toml").write_text(text.replace("MIX", str(mix)) + 'timeout = "30s"\n', encoding="utf-8")
    assert suite_file.load(str(tmp_path / "s.toml"), build=BUILD).cells     # an option beside the mix is checked together with it


def test_all_faults_of_a_mix_that_a_suite_plays_are_told_at_once(tmp_path, poolmark):
    """The first one alone was told, by the plain form in a file of /tmp and without a line."""
    groups = GROUPS.replace("qos = 1", "qos = 3").replace('"idle"', '"idel"').replace("= 4", "= 0")
    mix = write(tmp_path, groups + "conections = 2\n" + ARRIVE)
    suite = tmp_path / "s.toml"
    suite.write_text(f'[config]\nconnections = 100\nengine = "raw"\n[[phase]]\nname = "mixed"\nscenario = "mix"\nmix = "{mix}"\ntimeout = "soon"\n')
    wanted = {"qos = 3": 'group sensors: qos: "3" is out of bounds', '"idel"': "did you mean 'idle'?",
              "connections = 0": 'group boards: connections: "0" is out of bounds', "conections": "did you mean 'connections'?"}
    for words in ((), ("--dry-run",)):
        done = poolmark("suite", suite, *words)
        assert done.returncode == 2 and "5 faults, nothing was started" in done.stderr, done.stderr
        assert "s.toml:8: --timeout" in done.stderr and "/tmp/poolmark-mix" not in done.stderr
        for part, complaint in wanted.items():
            told = rf"s\.toml:7: mix: .*x\.toml:{line_of(groups + 'conections', part)}: .*{re.escape(complaint)}"
            assert re.search(told, done.stderr), (part, done.stderr)


def test_what_groups_do_is_told_at_once_as_far_as_it_does_not_follow_from_another_fault(tmp_path):
    """Clients of engine paho cannot cut their connections: each phase that asks for it is told, with its line."""
    cut = '\n[[phase]]\nname = "PHASE"\nduration = "5s"\nphones = { do = "churn", rate = 2, by = "WAY" }\n'
    text = GROUPS + ARRIVE + cut.replace("PHASE", "day").replace("WAY", "rst") + cut.replace("PHASE", "night").replace("WAY", "fin")
    said = faults_of(tmp_path, text)
    assert "2 faults" in said
    for way in ("rst", "fin"):
        assert re.search(rf"x\.toml:{line_of(text, way)}: phase \w+: group phones: by {way}: engine paho can only send a DISCONNECT", said), said
    assert "1 fault," in faults_of(tmp_path, text.replace("all =", "phones = \"leave\" #"))     # the others would follow from it
