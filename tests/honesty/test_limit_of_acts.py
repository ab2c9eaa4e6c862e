# SPDX-License-Identifier: Apache-2.0
"""Who limited connects, arrivals and changes of subscriptions: a rate that was had, a target that does not answer, a generator that
was stopped or has no processor. Nobody is charged with what another did."""
import contextlib
import json
import re
import time

import pytest
from faults import Broker, cgroup, children_of, load, needs_root, peer, stopped

SCENARIOS = {    # two seconds each
    "connect": ("connects", ("--connections", 120, "--rate", 60, "--schedule", "ramp", "--schedule-from", 55)),
    "churn": ("arrivals", ("--connections", 40, "--churn-rate", 60, "--duration", "2s")),
    "burst": ("arrivals", ("--connections", 10, "--burst", 120, "--burst-rate", 60, "--repeat", 1, "--stay", "100ms", "--calm", "100ms")),
    "subscribe": ("changes", ("--connections", 30, "--filters", 4, "--subscribe-rate", 60, "--repeat", 1)),
    "soak": ("arrivals", ("--connections", 40, "--churn-rate", 60, "--pairs", 2, "--publish-rate", 100, "--duration", "2s")),
    "publish": ("messages", ("--pairs", 20, "--publish-rate", 100, "--duration", "1s", "--warmup", 0, "--rate", 60)),
    "slow": ("messages", ("--subscribers", 5, "--publish-rate", 50, "--before", "300ms", "--duration", "500ms", "--after", "300ms")),
}


def limit_of(run, kind):
    return run.record["summary"]["limits"][kind]


@contextlib.contextmanager
def all_of(folder, port, scenarios, engine="raw", **how):
    """All of them at once."""
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as running:
        yield {scenario: running.enter_context(load(folder / scenario, scenario, port, *SCENARIOS[scenario][1], engine=engine, **how))
               for scenario in scenarios}


@pytest.mark.parametrize("engine", ["raw", "paho"])
def test_a_rate_that_was_had_has_no_limit(tmp_path, broker, engine):
    """The summary, the record and the figures of the busiest worker. A machine that stood still for a moment says so: made again."""
    for attempt in range(5):
        with all_of(tmp_path / str(attempt), broker.port, SCENARIOS, engine) as runs:
            ended = {scenario: run.end() for scenario, run in runs.items()}
            told = {scenario: run.record["summary"]["limits"] for scenario, run in runs.items()}
            wrong = {scenario: told[scenario] for scenario in runs if told[scenario][SCENARIOS[scenario][0]]["by"] != "none"}
            if wrong or told["publish"]["connects"]["by"] != "none" or told["soak"]["messages"]["by"] != "none":
                continue
            for scenario, run in runs.items():
                kind, _ = SCENARIOS[scenario]
                assert ended[scenario] == 0, run.said()
                assert run.record["summary"]["limit"] == told[scenario][kind] == {"by": "none", "why": "the rate was kept"}
                assert "limit                 none: the rate was kept\n" in run.table()
                assert 0 < run.metric("generator.busiest_ran") + run.metric("generator.busiest_waited") <= 1
            mean = runs["connect"].metric("connect.rate_asked")
            assert 57 < mean < 58 and re.search(rf"^connects a second +{mean:.1f}/s ", runs["connect"].table(), re.M), runs["connect"].table()
            return
    if all(limits[SCENARIOS[scenario][0]]["by"] == "host" for scenario, limits in wrong.items()):
        pytest.skip("other programs left the generator no processor in 5 tries")
    pytest.fail(f"none of 5 tries had each rate: {wrong or told}")


STOPPED = ("connect", "churn", "burst", "subscribe")


@pytest.mark.parametrize("watched", [False, True])
def test_a_target_that_does_not_answer_is_the_limit(tmp_path, watched):
    """Stopped for three seconds of a schedule of two. One that is watched is seen to stand still: what it could do is not known."""
    with Broker() as broker:
        arguments = ("--watch-pid", broker.pid, "--settle", 0) if watched else ()
        with contextlib.ExitStack() as running:
            runs = {scenario: running.enter_context(load(tmp_path / scenario, scenario, broker.port, *SCENARIOS[scenario][1], *arguments))
                    for scenario in STOPPED}
            for scenario, run in runs.items():
                run.wait_for(f"{scenario} ")
            with stopped(broker.pid):
                time.sleep(3)
            for scenario, run in runs.items():
                run.end()
                kind, _ = SCENARIOS[scenario]
                told = limit_of(run, kind)
                if told["by"] == "host":    # other programs of this host left no processor
                    assert "CPU" in told["why"]
                    continue
                assert told["by"] == ("unknown" if watched else "target"), (scenario, told)
                assert "stopped" in told["why"] if watched else "second" in told["why"], (scenario, told)


def test_clients_that_come_back_at_once_wait_for_a_slow_target(tmp_path):
    """As fast as it goes: the workers have time to spare."""
    def answer(kind):
        time.sleep(0.02 if kind == 1 else 0)
        return {1: b"\x20\x02\x00\x00", 12: b"\xd0\x00"}.get(kind, b"")
    with peer(answer) as port, load(tmp_path / "run", "storm", port, "--by-client", "--connections", 60, "--workers", 1, "--window", 2) as run:
        assert run.end() == 0
        told = run.record["summary"]["limit"]
        assert told["by"] == "host" and "CPU" in told["why"] or told["by"] == "target" and "for the target in the rest" in told["why"], told
        assert run.metric("generator.busiest_ran") < 0.9


def test_a_generator_that_was_stopped_is_the_limit_of_its_arrivals_and_changes(tmp_path, broker):
    """Its acts come late, and the target has answered each at once."""
    with all_of(tmp_path, broker.port, STOPPED) as runs:
        for scenario, run in runs.items():
            run.wait_for(f"{scenario} ")
        with stopped(*(pid for run in runs.values() for pid in (run.pid, *children_of(run.pid)))):
            time.sleep(3)
        for scenario, run in runs.items():
            run.end()
            told = limit_of(run, SCENARIOS[scenario][0])
            assert told["by"] in ("generator", "host"), (scenario, told)


@needs_root
def test_a_generator_without_a_processor_is_not_the_targets_limit(tmp_path, broker):
    """A quota of a twentieth of one, as fast as it goes."""
    with cgroup("cpu", cpu__cfs_period_us=100000, cpu__cfs_quota_us=5000) as enter, \
            load(tmp_path / "run", "connect", broker.port, "--connections", 3000, "--workers", 1, "--settle", 0, before=enter) as run:
        assert run.end() == 0
        told = run.record["summary"]["limit"]
        assert told["by"] in ("generator", "host"), told
        assert run.metric("generator.busiest_waited") > 0.25


MIX = {"title": "two phases", "groups": [
    {"name": "pairs", "options": ["--role", "pairs", "--connections", "4"]},
    {"name": "movers", "options": ["--role", "idle", "--connections", "40"]}],
    "phases": [
        {"name": "arrive", "options": [], "acts": [{"group": "pairs", "options": ["--do", "connect"]},
                                                   {"group": "movers", "options": ["--do", "connect", "--rate", "80"]}]},
        {"name": "day", "options": ["--duration", "1s"], "acts": [{"group": "pairs", "options": ["--do", "publish", "--rate", "100"]},
                                                                  {"group": "movers", "options": ["--do", "churn", "--rate", "60"]}]},
        {"name": "night", "options": ["--duration", "2s"], "acts": [{"group": "movers", "options": ["--do", "churn", "--rate", "61"]}]}]}


def test_each_group_of_a_mix_has_a_limit_in_each_phase(tmp_path):
    """The target stands still in the last phase alone."""
    (tmp_path / "mix.json").write_text(json.dumps(MIX), encoding="utf-8")
    for attempt in range(5):
        with Broker() as broker, load(tmp_path / str(attempt), "mix", broker.port, "--mix", tmp_path / "mix.json") as run:
            run.wait_for("night ")
            with stopped(broker.pid):
                time.sleep(3)
            run.end()
        limits = run.record["summary"]["limits"]
        had = [name for name in ("movers.arrive.connects", "pairs.day.messages", "movers.day.arrivals") if limits[name]["by"] == "none"]
        if len(had) < 3:
            continue
        limits.pop("pairs.arrive.connects", None)     # as fast as it goes: mostly too short to tell
        assert set(limits) == {"movers.arrive.connects", "pairs.day.messages", "movers.day.arrivals",
                               "movers.night.arrivals"}
        by = limits["movers.night.arrivals"]["by"]
        assert by in ("target", "host"), limits     # the host where other programs left no processor
        assert f"limit                 movers.night.arrivals: {by}: " in run.table()
        assert "rates of groups in phases were kept\n" in run.table()
        assert run.metric("movers.night.generator.busiest_ran") < 0.9 and "limit" not in run.record["summary"]
        return
    pytest.fail(f"none of 5 tries had each rate: {limits}")
