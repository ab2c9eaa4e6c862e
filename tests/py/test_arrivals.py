# SPDX-License-Identifier: Apache-2.0
"""Arrivals of a burst are told apart by the expansions of their own target; the hit rate is that of the phase."""
import json

import pytest

from poolmark.records import arrivals, measures
from poolmark.verify.recompute import Replayed

EVENTS = "at_ns,pool,event,from,to,trigger,duration_ns\n"
ARRIVALS = "burst,client,target,intended_ns,started_ns,connected_ns\n"
POOLS = "at_ns,pool,strategy,gets,hits,longest_expansion_ns\n"
PHASE = {"prefix": "", "several": False, "name": "burst", "scenario": "burst", "folder": "load"}


def broker(folder, name, events, pools=""):
    (folder / name).mkdir(parents=True)
    (folder / name / "events.csv").write_text(EVENTS + events, encoding="utf-8")
    (folder / name / "pools.csv").write_text(POOLS + pools, encoding="utf-8")
    return folder / name


def test_expansions_are_joined_and_other_events_left_out(tmp_path):
    path = broker(tmp_path, "broker", "200,buffers,expand,1,2,1,100\n150,arenas,expand,1,2,1,100\n900,arenas,shrink,2,1,0,800\n"
                                      "500,arenas,expand,2,3,2,0\n") / "events.csv"
    assert arrivals.expansions(path) == [(50, 200), (500, 500)]


@pytest.mark.parametrize("begin,end,met", [(0, 99, False), (0, 100, True), (150, 160, True), (200, 300, True), (201, 300, False),
                                           (201, 900, True)])
def test_an_arrival_meets_an_expansion_that_it_overlaps(begin, end, met):
    assert arrivals.meets([(100, 200), (800, 900)], [200, 900], begin, end) is met


def test_each_target_has_its_own_expansions(tmp_path):
    events = [broker(tmp_path, name, told) / "events.csv"
              for name, told in (("broker-1", "200,a,expand,1,2,1,100\n"), ("broker-2", ""))]
    rows = [{"target": target, "intended_ns": 150, "connected_ns": 160 + target} for target in range(4)]
    # Two addresses each: targets 0 and 1 are of the first.
    assert arrivals.split(rows, events, 4) == {"expanding": [10, 11], "steady": [12, 13]}


@pytest.mark.parametrize("percent,value", [(50.0, 50), (99.0, 99), (99.9, None)])
def test_a_percentile_is_one_of_the_values_and_takes_enough_of_them(percent, value):
    assert arrivals.percentile(list(range(1, 101)), percent) == value
    assert arrivals.percentile([], percent) is None


def test_a_burst_on_many_instances_takes_them_in_their_order(tmp_path):
    load = tmp_path / "load"
    load.mkdir()
    (load / "run.json").write_text(json.dumps({"config": {"targets": ["a,b,c,d,e,f,g,h,i,j,k"]}}), encoding="utf-8")
    (load / "arrivals.csv").write_text(ARRIVALS + "1,5,9,0,1,50\n1,6,1,0,1,70\n", encoding="utf-8")
    folders = [broker(tmp_path, f"broker-{number}", "60,a,expand,1,2,1,1\n" if number == 2 else "") for number in range(1, 12)]
    made = Replayed("cell")
    arrivals.take(made, load, PHASE, sorted((folder / "events.csv" for folder in folders), key=str), read=json_of)
    assert made.value("arrival_expanding.max") == 70
    assert made.value("arrival_steady.max") == 50


def json_of(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_the_hit_rate_is_that_of_the_phase(tmp_path):
    pools = "1000,a,sync,100,0,0\n2000,a,sync,110,5,0\n3000,a,sync,210,80,0\n4000,a,sync,900,500,0\n"
    folder = broker(tmp_path, "broker", "", pools)
    load = tmp_path / "load"
    load.mkdir()
    (load / "memory.csv").write_text("at_ns,phase\n2100,start\n2900,end\n", encoding="utf-8")
    made = Replayed("cell")
    arrivals.take_hit_rate(made, load, PHASE, [folder / "pools.csv"])
    assert made.value("arrivals.pool_hit_rate") == 75


def test_without_one_clock_nothing_is_said_of_arrivals_and_expansions(tmp_path):
    """A program that could not read its time namespace says so with `clock: null`: its times may be by another clock."""
    folder = broker(tmp_path, "broker", "60,a,expand,1,2,1,1\n", "1000,a,sync,100,50,0\n")
    load = tmp_path / "load"
    load.mkdir()
    (load / "arrivals.csv").write_text(ARRIVALS + "1,5,0,0,1,50\n1,6,0,0,1,70\n", encoding="utf-8")
    (load / "memory.csv").write_text("at_ns,phase\n500,start\n1500,end\n", encoding="utf-8")
    for unknown in ("load", "broker", None):
        for name in ("load", "broker"):
            (tmp_path / name / "run.json").write_text(json.dumps({"config": {"targets": ["a"]}, "clock": None if name == unknown else "host"}), encoding="utf-8")
        made = Replayed("cell")
        arrivals.take(made, load, PHASE, [folder / "events.csv"], read=json_of)
        arrivals.take_hit_rate(made, load, PHASE, [folder / "pools.csv"], read=json_of)
        assert "arrival_expanding.count" in made.data["metrics"] and "arrivals.pool_hit_rate" in made.data["metrics"]
        assert made.value("arrival_expanding.count") == (None if unknown else 1)
        assert ("arrival_expanding.max" in made.data["metrics"]) is (unknown is None)


def test_only_phases_with_arrivals_have_their_metrics(tmp_path):
    folder = broker(tmp_path, "broker", "", "1000,a,sync,100,50,0\n")
    (tmp_path / "load").mkdir()
    made = Replayed("cell")
    measures.take_target(made, tmp_path, [PHASE], [folder / "pools.csv"])
    assert not [name for name in made.data["metrics"] if name.startswith("arrival")]
