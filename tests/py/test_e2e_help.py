# SPDX-License-Identifier: Apache-2.0
"""The generator's --help: all options, or those of one scenario; exit codes."""
import concurrent.futures
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from poolmark.base.paths import build_dir
from poolmark.facts import described

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = build_dir() / "poolmark-loadgen"
pytestmark = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="the generator is not built")


def help_of(*words):
    done = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(re.findall(r"^  --([a-z-]+)", done.stdout, re.M))


def test_help_has_every_option_and_the_exit_codes():
    text, options = help_of()
    assert {"pairs", "steps", "hold", "target"} <= options
    told = re.search(r"Exit code: (0 every.*?); (1 a client failed.*?); 2 wrong call.*An anomaly alone leaves it 0", text, re.S)
    document = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    row = next(line for line in document.splitlines() if line.startswith("| `poolmark-loadgen` | every"))
    zero, one = (re.sub(r"\s+", " ", part) for part in told.groups())
    assert zero.removeprefix("0 ") in row and one.partition(", by SIGINT")[0] in row


@pytest.mark.parametrize("scenario, its, others", [
    ("connect", {"hold", "subscribe"}, {"pairs", "steps"}), ("publish", {"pairs", "payload"}, {"hold", "steps"}),
    ("steps", {"steps", "watch-record"}, {"pairs", "connections"}),
])
def test_help_of_a_scenario_has_its_options_and_no_empty_part(scenario, its, others):
    text, options = help_of(scenario)
    assert its | {"target", "record"} <= options and not others & options
    assert f"Usage: poolmark-loadgen {scenario} --target" in text
    assert not re.search(r"^[A-Z]\w+( \w+)*\n+[A-Z]\w+( \w+)*$", text, re.M)


VALUES = {"flag": [], "count": ["2"], "bytes": ["64"], "duration": ["1s"], "rate": ["10"], "text": ["x"], "number": ["0.5"], "list": ["1"]}
OWN_VALUES = {"source": ["127.0.0.1"],
              "engine": ["raw"], "ports": ["kernel"], "steps": ["1,2"], "pattern": ["fan-in"], "payload": ["64"], "connections": ["1000"], "share": ["fit"],
              "client-id": ["x%i"], "open": ["conn-tcp-1M-5K"],
              "target": ["mqtt://127.0.0.1:1"], "topic": ["x%i"], "workers": ["8"], "subscribers": ["10"]}
BACKOFF, WILL, RAMP, FAN_IN = {"backoff": "1s"}, {"will-topic": "w"}, {"schedule": "ramp", "rate": "10", "burst-rate": "10"}, {"pattern": "fan-in"}
NEEDS = {"password": {"username": "u"}, "will-payload": WILL, "will-qos": WILL, "will-retain": WILL, "schedule-from": RAMP, "schedule-over": RAMP,
         "schedule-steps": RAMP | {"schedule": "stairs"}, "publishers": FAN_IN, "subscribers": FAN_IN, "jitter": BACKOFF, "backoff-max": BACKOFF,
         "give-up": BACKOFF, "topic": {"subscribe": None}, "watch-pid": {"by-client": None}}
ONE_RANK = ("share", "only-watch")      # refused when the run would begin


def test_help_of_a_scenario_lists_what_it_takes_and_nothing_else(tmp_path):
    """Each option with a value and what it needs beside it; each that is not listed is refused by its name."""
    (tmp_path / "mix.json").write_text(json.dumps({"title": "", "groups": [{"name": "a", "options": ["--role", "pairs", "--connections", "2"]}],
                                                   "phases": [{"name": "b", "options": [], "acts": [{"group": "a", "options": ["--do", "connect"]}]}]}))
    told = described.loadgen(PROGRAM.parent)
    every = described.options(told) | {name: {"kind": "flag", "choices": []} for name in ONE_RANK}

    def tries(scenario, listed, name, option):
        value = OWN_VALUES.get(name, option["choices"][:1] if option["choices"] else VALUES.get(option["kind"], ["x"]))
        beside = ["--mix", str(tmp_path / "mix.json")] if scenario == "mix" and name != "mix" else []
        if name == "mix":
            value = [str(tmp_path / "mix.json")]
        if name in listed:
            beside += [word for one, with_it in NEEDS.get(name, {}).items() if one in listed for word in (f"--{one}", with_it) if word]
        end = ["--target", "mqtt://127.0.0.1:1"] if name in ONE_RANK else ["--describe"]
        done = subprocess.run([PROGRAM, scenario, *beside, f"--{name}", *value, *end], capture_output=True, text=True, timeout=60, check=False)
        right = done.returncode == 0 if name in listed else done.returncode == 2 and f"--{name}" in done.stderr
        return [] if right else [(scenario, name, name in listed, done.returncode, done.stderr)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = []
        for scenario in (one["name"] for one in told["scenarios"]):
            _, listed = help_of(scenario)
            listed -= {"help", "version", "describe"}
            assert listed and listed <= set(every)
            wrong += [pool.submit(tries, scenario, listed, name, option) for name, option in every.items()]
        told = [text for one in wrong for text in one.result()]
    assert not told, "\n".join(map(str, told))


def test_what_the_program_over_several_hosts_says_begins_with_its_own_name():
    several = PROGRAM.with_name("poolmark-loadgen-mpi")
    if not several.exists():
        pytest.skip("poolmark-loadgen-mpi was not built (make mpi)")
    for program, words in ((several, ["connect"]), (several, ["connect", "--pairs", "2"]), (PROGRAM, ["connect"])):
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and done.stderr.startswith(f"{program.name}: "), done.stderr
    told = json.loads(subprocess.run([several, "--describe"], capture_output=True, text=True, timeout=60, check=True).stdout)
    assert told["program"] == "poolmark-loadgen-mpi" and {"share", "only-watch"} <= {one["name"] for one in told["options"]}


@pytest.mark.parametrize("program", ["poolmark-broker", "poolmark-loadgen", "poolmark-bench", "poolmark-hot", "poolmark-loadgen-mpi", "bare-client"])
def test_each_program_has_a_short_h_and_says_its_name_and_commit_in_one_form(program):
    if not os.access(PROGRAM.with_name(program), os.X_OK):
        pytest.skip(f"{program} is not built")

    def said(word):
        done = subprocess.run([PROGRAM.with_name(program), word], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said("-h") == said("--help")
    compiler = described.ask("poolmark-loadgen", (), PROGRAM.parent)[0]["tool"]["compiler"]
    form = rf"{program} \d+\.\d+\.\d+ \(([0-9a-f]{{40}}|unknown)(, changed)?, {re.escape(compiler)}\)\n"
    assert re.fullmatch(form, said("--version")), said("--version")
    assert said("--help").startswith(f"Usage: {program} ")


def test_the_benchmarks_own_options_take_their_value_either_way():
    for words in (["--poolmark_step_ns=0"], ["--poolmark_step_ns", "0"]):
        done = subprocess.run([PROGRAM.with_name("poolmark-bench"), *words], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (2, "poolmark-bench: --poolmark_step_ns: '0': it takes a number from 0.001 to 1000\n")


@pytest.mark.parametrize("terminal, moves_in_its_line", [("xterm", True), ("dumb", False), (None, False)])
def test_progress_moves_in_its_line_only_on_a_terminal_that_can(terminal, moves_in_its_line):
    environment = {name: value for name, value in os.environ.items() if name != "TERM"} | ({"TERM": terminal} if terminal else {})
    ours, theirs = os.openpty()
    broker = subprocess.Popen([PROGRAM.with_name("poolmark-broker"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        port = broker.stdout.readline().split(":")[-1].strip()
        subprocess.run([PROGRAM, "connect", "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw", "--connections", "10", "--hold",
                        "2s"], stdout=subprocess.DEVNULL, stderr=theirs, env=environment, timeout=60, check=True)
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # EIO: end of the output
            pass
        assert b"10 of 10 connected" in said
        assert (b"\x1b[K" in said) == moves_in_its_line
    finally:
        broker.terminate()
        broker.wait()
