# SPDX-License-Identifier: Apache-2.0
"""Rates of few acts at a schedule: n acts have n intervals, and a target that stops halfway has not kept the rate."""
import itertools

import pytest
from faults import BUILD, ROOT, Load, load, peer
from test_qos import CONNACK
from test_wrong_answers import suback

MIX = """
[group.few]
role = "idle"
connections = 5

[[phase]]
name = "come"
few = { do = "connect", rate = 10 }
"""


def mix(folder, port):
    file = folder.with_suffix(".toml")
    file.write_text(MIX, encoding="utf-8")
    return Load(folder, [ROOT / "scripts/poolmark", "mix", file, "--build", BUILD, "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw",
                         "--set", "timeout=300ms", "--record", folder])


CASES = {"few.come.connect.rate": mix,
         "arrivals.rate": lambda folder, port: load(folder, "burst", port, "--connections", 1, "--burst", 5, "--burst-rate", 10, "--repeat", 1, "--stay", 0,
                                                    "--calm", 0, "--settle", 0, "--timeout", "300ms"),
         "subscriptions.rate": lambda folder, port: load(folder, "subscribe", port, "--connections", 5, "--filters", 1, "--repeat", 1,
                                                         "--subscribe-rate", 10, "--settle", 0)}


@pytest.mark.parametrize("name", CASES)
def test_five_acts_at_ten_a_second_are_ten_a_second(tmp_path, broker, name):
    """Of five acts the last is due after 0.4 s: 12.5 a second came out."""
    with CASES[name](tmp_path / "run", broker.port) as run:
        assert run.end() == 0, run.said()
        assert 8 < run.metric(name) < 10.5 and run.anomaly("rate") == ""


@pytest.mark.parametrize("name, first", [("few.come.connect.rate", 0), ("arrivals.rate", 1)])
def test_a_target_that_answers_the_first_two_of_five_has_not_kept_the_rate(tmp_path, name, first):
    """They come within 0.1 s. `first`: clients that are there before."""
    numbers = itertools.count()
    answers = {1: lambda rest: CONNACK if next(numbers) < first + 2 else b"", 8: suback, 14: None}
    with peer(lambda packet: answers.get(packet, b"")) as port, CASES[name](tmp_path / "run", port) as run:
        assert run.end() == 1
        assert 3 < run.metric(name) < 4.5
