# SPDX-License-Identifier: Apache-2.0
"""Steps at which not all clients were connected, or whose memory still moved: no point of a line, and told as such."""
from pathlib import Path

import pytest

from poolmark.base.errors import UsageError
from poolmark.model import evidence, steps
from poolmark.records import measures, phases, summary
from poolmark.records.read_record import Run
from poolmark.verify import withheld


def cell_of(**of_steps):
    """Of a run in four steps; `of_steps`: s90={"doubt": ...}."""
    there = {int(name[1:]): more for name, more in of_steps.items()}
    return {"id": "c.1", "config": {"steps": [10, 20, 50, 100], "target": "poolmark"}, "repetition": 1, "status": "complete", "files": {}, "commands": [],
            "metrics": {f"step.{count}.user_bytes": {"value": 1e6 + 1000.0 * count, "unit": "B", "better": "lower"} | more for count, more in there.items()}}


def test_a_step_with_fewer_connections_is_left_out_with_their_number():
    cell = cell_of(s10={}, s20={}, s50={}, s97={})
    found, _ = steps.read_steps(cell)
    assert [one.connections for one in found] == [10, 20, 50]
    assert steps.steps_left_out(cell, found) == {100: "97 were connected then"}
    answer = evidence.Evidence([])
    evidence.take(answer, Run(Path("/nowhere"), {"kind": "suite", "id": "r", "cells": [cell]}), None)
    assert len(answer.memory) == 1 and [text for _, text in answer.left_out] == ["c.1: the step of 100 connections: 97 were connected then"]


def test_a_step_without_a_reading_and_one_with_a_doubt_have_other_reasons():
    cell = cell_of(s10={}, s20={"doubt": "unsettled"}, s50={})
    found, _ = steps.read_steps(cell)
    assert [one.connections for one in found] == [10, 50]
    assert steps.steps_left_out(cell, found) == {20: "its memory has a doubt (unsettled)", 100: ""}
    assert steps.told_left_out({100: ""}) == "the step of 100 connections: the memory of the target was not read there"


def test_a_run_of_which_no_step_can_be_used_says_why():
    with pytest.raises(UsageError, match="the step of 10 connections: 9 were connected then"):
        steps.read_steps(cell_of(s9={}))
    with pytest.raises(UsageError, match="give --watch-pid"):
        steps.read_steps(cell_of())


UNSETTLED = 'after "settle" the target\'s memory was not level within 2 s: in the 0.5 s after the reading, with 50 connections, it moved by +9 bytes, of ' \
    "1000. Figures of memory with this reading are those of one moment, and are marked as doubtful: give it more time (--settle)"


def test_the_step_whose_memory_still_moved_is_the_one_of_the_anomaly():
    data = {"anomalies": [{"what": "unsettled", "text": UNSETTLED}]}
    assert measures.unsettled_steps(Run(Path("/nowhere"), data)) == {50}


def test_doubts_of_single_readings_stand_where_the_anomaly_demands_them():
    def record(doubted):
        names = ("memory.full_bytes", "memory.per_connection_bytes", "memory.peak_bytes", "connect.p99")
        return {"config": {"scenario": "churn"}, "anomalies": [{"what": "unsettled", "text": UNSETTLED},
                                                               {"what": "peak_missed", "text": "it needs that much, and the figure is marked as doubtful"}],
                "metrics": {name: {"value": 5.0, "unit": "B", "better": "lower"} | ({"doubt": "unsettled"} if name in doubted else {}) for name in names}}

    assert [text.partition(":")[0] for text in withheld.wrong_doubts(record(()))] == ["memory.full_bytes", "memory.per_connection_bytes", "memory.peak_bytes"]
    assert withheld.wrong_doubts(record(("memory.full_bytes", "memory.per_connection_bytes", "memory.peak_bytes"))) == []
    assert "connect.p99: has a doubt" in withheld.wrong_doubts(record(("memory.full_bytes", "memory.per_connection_bytes", "memory.peak_bytes", "connect.p99")))[0]


def test_a_sum_over_phases_has_the_doubt_of_a_part(monkeypatch):
    monkeypatch.setattr(phases, "summed", lambda: ["messages.lost"])
    cell = type("Cell", (), {"data": {"metrics": {}}})()
    cell.metric = lambda name, value, unit, better: cell.data["metrics"].update({name: {"value": value, "unit": unit, "better": better}})
    for name, more in (("a", {}), ("b", {"doubt": "late_receiver"}), ("c", {})):
        phases.take(cell, {"name": name, "prefix": f"{name}.", "several": True}, {"messages.lost": {"value": 2.0, "unit": "1", "better": "lower"} | more})
    assert cell.data["metrics"]["cell.messages.lost"] == {"value": 6.0, "unit": "1", "better": "lower", "doubt": "late_receiver"}


def test_tables_say_of_what_a_doubt_is():
    assert summary.why_doubted({"cells": [{"metrics": {"a": {"value": 1, "doubt": "unsettled"}}}]}) == "memory still moved at a reading"
    assert summary.why_doubted({"cells": [{"metrics": {"a": {"value": 1, "doubt": "other_clients"}}}]}) == "others used the target meanwhile"


def test_cpu_time_of_connects_beside_other_programs_is_left_out():
    cell = {"id": "c.1", "config": {"target": "poolmark"}, "repetition": 1, "status": "complete", "files": {}, "commands": [],
            "metrics": {"cpu.per_connection_ns": {"value": 5e4, "unit": "ns", "better": "lower"}}, "anomalies": [{"what": "busy", "text": "others"}]}
    found = evidence.Evidence([])
    evidence.take(found, Run(Path("/nowhere"), {"kind": "suite", "id": "r", "cells": [cell]}), None)
    assert found.connects == [] and [text for _, text in found.left_out] == ["c.1, connects: busy"]
    cell["anomalies"] = []
    evidence.take(found, Run(Path("/nowhere"), {"kind": "suite", "id": "r", "cells": [cell]}), None)
    assert [one.cpu_ns for one in found.connects] == [5e4]
