# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of poolmark/verify/counters.py: what a broker counted beside what its clients did."""
import json
import math
from pathlib import Path

import pytest

from poolmark.base.errors import UsageError
from poolmark.base.paths import build_dir
from poolmark.facts import described
from poolmark.facts.plan import make_plan
from poolmark.records.record import Record
from poolmark.run.cell_run import CellRun
from poolmark.suites.suite_cells import CellPlan
from poolmark.verify import counters, verify

FAKES = Path(__file__).resolve().parent / "fakes"
COLUMNS = ("attempted", "measured", "lost", "failed", "not_sent", "unreadable", "unfinished")


def line(**counts) -> dict:
    """A line of the books: what is not given is measured."""
    rest = sum(count for name, count in counts.items() if name not in ("attempted", "measured"))
    counts.setdefault("measured", counts.get("attempted", 0) - rest)
    counts.setdefault("attempted", counts["measured"] + rest)
    return dict.fromkeys(COLUMNS, 0) | counts


def load(books, scenario="publish", engine="raw", status="complete", metrics=None, anomalies=(), summary=None, **config) -> dict:
    known = {"scenario": scenario, "engine": engine, "qos": 0, "clean_session": True,
             "identity": {"topic": None, "will": None}} | config
    return {"kind": "load", "id": "load-20260101T000000Z-0001", "status": status, "config": known, "books": books, "summary": summary or {},
            "anomalies": [{"what": one, "text": "x"} for one in anomalies],
            "metrics": {name: {"value": value, "unit": "1", "better": "none"} for name, value in (metrics or {}).items()}}


def connect(count=400, **more) -> dict:
    return load({"connects": line(attempted=count)}, "connect", **more)


def publish(qos=0, **more) -> dict:
    """100 pairs, 1 000 messages and 100 of the warm-up."""
    books = {"connects": line(attempted=200), "publishes": line(attempted=1000), "deliveries": line(attempted=1000),
             "warm_up_deliveries": line(attempted=100)} | ({"acks": line(attempted=1000)} if qos else {}) | more.pop("books", {})
    return load(books, qos=qos, **more)


def broker(opened=0, received=(0, 0, 0), sent=0, **more) -> dict:
    return {"kind": "broker", "id": "broker-20260101T000000Z-0001", "status": "complete",
            "counters": {"opened": opened, "connects_answered": opened, "messages_received": sum(received), "received_qos_1": received[1],
                         "received_qos_2": received[2], "messages_sent": sent, "bytes_received": 0, "bytes_sent": 0} | more}


def ranges(record) -> dict:
    found = counters.of_load(record)
    return {name: (one.least, one.most) for name, one in found.items()}


def said(brokers, loads, **how) -> dict:
    return dict(counters.findings(counters.compared(brokers, loads, **how)))


# --- what is exact -----------------------------------------------------------------------------------------------


def test_of_a_run_without_losses_every_count_is_exact():
    found = ranges(publish(qos=1, metrics={"clients.bytes_sent": 9000, "clients.bytes_received": 8000}))
    assert found == {"opened": (200, 200), "connects_answered": (200, 200), "messages_received": (1100, 1100), "received_qos_0": (0, 0),
                     "received_qos_1": (1100, 1100), "received_qos_2": (0, 0), "messages_sent": (1100, 1100),
                     "bytes_received": (0, 9000), "bytes_sent": (8000, math.inf)}
    assert said([broker(200, (0, 1100, 0), 1100, bytes_received=9000, bytes_sent=8000)],
                [publish(qos=1, metrics={"clients.bytes_sent": 9000, "clients.bytes_received": 8000})]) == {}


def test_the_phases_of_a_cell_and_the_instances_of_its_broker_add_up():
    phases = [connect(), publish(), publish(qos=1)]
    assert said([broker(500, (600, 0, 0), 1000), broker(300, (500, 1100, 0), 1200)], phases) == {}
    assert set(said([broker(500, (600, 0, 0), 1000), broker(301, (500, 1100, 0), 1200)], phases)) == {"other_clients"}


def test_arrivals_retries_and_probes_are_connections_of_the_run():
    churn = load({"connects": line(attempted=100), "arrivals": line(attempted=260, failed=4, not_sent=50, lost=6)}, "churn",
                 metrics={"arrivals.retries": 9})
    assert ranges(churn)["opened"] == (300, 319)
    steps = load({"connects": line(attempted=1020), "probe_publishes": line(attempted=50), "probe_deliveries": line(attempted=50),
                  "probe_warm_up_deliveries": line(attempted=7)}, "steps", qos=None)
    assert ranges(steps)["opened"] == (1020, 1020)
    assert ranges(steps)["received_qos_0"] == ranges(steps)["messages_received"] == ranges(steps)["messages_sent"] == (57, 57)


def test_a_message_of_a_pattern_has_several_deliveries():
    books = {"connects": line(attempted=161), "publishes": line(attempted=500), "deliveries": line(attempted=80000),
             "warm_up_publishes": line(attempted=100), "warm_up_deliveries": line(attempted=16000)}
    found = ranges(load(books, pattern="fan-out"))
    assert found["messages_received"] == (600, 600) and found["messages_sent"] == (96000, 96000)


@pytest.mark.parametrize("engine, expected", [("raw", (0, 0)), ("paho", (395, 400)), ("another", (0, 400))])
def test_a_sign_of_life_is_a_message_where_the_engine_cannot_ping(engine, expected):
    found = ranges(load({"connects": line(attempted=400), "signs_of_life": line(attempted=400, lost=5)}, "connect", engine=engine))
    assert found["messages_received"] == found["received_qos_1"] == expected
    assert found["messages_sent"] == (0, 0)


def test_which_engines_can_ping_is_as_the_generator_says():
    assert counters.PINGS == {name: "ping" in one["capabilities"] for name, one in described.engines(build_dir(None)).items()}


# --- what is bounded ---------------------------------------------------------------------------------------------


def test_what_failed_or_was_lost_may_have_reached_the_target_or_not():
    record = publish(books={"connects": line(attempted=200, failed=20, unfinished=3), "deliveries": line(attempted=1000, lost=30, unreadable=4)})
    found = ranges(record)
    assert found["opened"] == (177, 200)
    assert found["messages_received"] == (1070, 1100) == found["messages_sent"]
    for opened, received in ((177, 1070), (200, 1100)):
        assert said([broker(opened, (received, 0, 0), received)], [record]) == {}
    assert set(said([broker(201, (1100, 0, 0), 1100)], [record])) == {"other_clients"}
    assert set(said([broker(176, (1100, 0, 0), 1100)], [record])) == {"not_reached"}


def test_what_was_acknowledged_has_reached_the_target_though_it_was_not_delivered():
    record = publish(qos=1, books={"deliveries": line(attempted=1000, lost=1000)})
    assert ranges(record)["received_qos_1"] == (1000, 1100)


def test_a_connect_that_a_run_which_ended_early_did_not_begin_may_have_been_begun_after_its_end():
    record = load({"connects": line(attempted=400, not_sent=300, unfinished=40)}, "connect", status="incomplete")
    assert ranges(record)["opened"] == (60, 400)


def test_slow_readers_get_what_they_read_at_least_and_what_was_due_at_most():
    books = {"connects": line(attempted=20), "publishes": line(attempted=100), "deliveries": line(attempted=800),
             "slow_deliveries": line(attempted=200, failed=150)}
    assert ranges(load(books, "slow"))["messages_sent"] == (850, 1000)


@pytest.mark.parametrize("how", [{"identity": {"topic": None, "will": {"topic": "w"}}}, {"identity": {"topic": "%i", "will": None}}, {"retain": True},
                                 {"clean_session": False}, {"anomalies": ["strange"]}, {"anomalies": ["foreign"]}, {"identity": None}])
def test_what_the_broker_sends_has_no_bound_where_other_messages_may_come(how):
    assert ranges(publish(**how))["messages_sent"] == (1100, math.inf)
    assert ranges(publish(**how))["messages_received"] == (1100, 1100)


def test_duplicates_are_no_more_than_the_broker_may_have_sent():
    assert ranges(publish(metrics={"messages.duplicates": 5}))["messages_sent"] == (1100, 1105)


def test_a_worker_that_was_killed_may_have_sent_what_it_had_not_counted():
    found = ranges(publish(status="incomplete", summary={"dropped": {"worker_died": 10}}))
    assert found["messages_received"][1] == found["messages_sent"][1] == math.inf and found["opened"] == (200, 200)


def test_a_scenario_that_is_not_known_has_only_the_bounds_that_hold_for_any():
    found = ranges(publish(qos=1, scenario="another", books={"deliveries": line(attempted=900)}))
    assert found["opened"] == (200, 200) and found["messages_received"] == (1000, 1100)     # what was acknowledged came
    assert found["received_qos_1"] == (0, math.inf) and found["messages_sent"] == (1000, math.inf)


def test_bytes_of_a_run_that_ended_early_have_no_bound():
    assert ranges(connect(metrics={"clients.bytes_sent": 900}, status="incomplete"))["bytes_received"] == (0, math.inf)
    assert ranges(connect())["bytes_received"] == (0, math.inf)


# --- what is said ------------------------------------------------------------------------------------------------


def test_a_stranger_is_told_with_its_numbers():
    text = said([broker(202, (1100, 3, 0), 1101)], [publish()])["other_clients"]
    assert "202 connections opened, 200 at most of this run's clients" in text and "1 103 PUBLISH packets received, 1 100 at most" in text
    assert "3 PUBLISH packets of QoS 1 received, 0 at most" in text and "1 101 PUBLISH packets sent, 1 100 at most" in text
    assert "Somebody else used the target" in text and "QoS 0" not in text


def test_bytes_show_a_stranger_that_failed_connects_would_hide():
    record = load({"connects": line(attempted=400, failed=100)}, "connect", metrics={"clients.bytes_sent": 9000})
    assert said([broker(350, bytes_received=9000)], [record]) == {}
    assert "9 001 bytes received, 9 000 at most" in said([broker(350, bytes_received=9001)], [record])["other_clients"]


def test_what_never_reached_the_broker_is_told_with_its_numbers():
    found = said([broker(200, (1099, 0, 0), 1100)], [publish()])
    assert "1 099 PUBLISH packets received, 1 100 at least" in found["not_reached"] and set(found) == {"not_reached"}
    found = said([broker(199, (1100, 0, 0), 1100, bytes_sent=7999)], [publish(metrics={"clients.bytes_received": 8000})])
    assert "199 connections opened" in found["not_reached"] and "7 999 bytes sent, 8 000 at least" in found["not_reached"]


def test_one_may_hide_nothing_of_the_other():
    assert set(said([broker(201, (1000, 0, 0), 1100)], [publish()])) == {"other_clients", "not_reached"}


def test_generators_that_share_a_target_on_purpose_are_strangers_to_none():
    two = [publish(beside="another generator"), publish(beside="another generator")]
    both = broker(400, (2200, 0, 0), 2200)
    assert said([both], two[:1]) == {}
    assert set(said([broker(100, (2200, 0, 0), 2200)], two[:1])) == {"not_reached"}
    assert said([both], two, alone=True) == {}      # together they are all there is
    assert set(said([broker(401, (2200, 0, 0), 2200)], two, alone=True)) == {"other_clients"}


@pytest.mark.parametrize("brokers, loads", [
    ([], [publish()]), ([broker(9)], []), ([{**broker(9), "status": "running"}], [publish()]), ([broker(9)], [publish(status="running")]),
    ([{"kind": "broker", "status": "complete"}], [publish()]), ([{"kind": "broker", "status": "complete", "counters": {"opened": 9}}], [publish()]),
    ([broker(9)], [{"kind": "load", "status": "failed", "books": {}}]), ([broker(9)], [publish(), connect(status="running")])])
def test_without_all_records_nothing_is_compared(brokers, loads):
    assert counters.compared(brokers, loads) == []


# --- a cell ------------------------------------------------------------------------------------------------------


def write_cell(folder, monkeypatch, brokers, loads) -> dict:
    """The records of a cell. load() of the real reader takes whole records only."""
    class Read:
        def __init__(self, path):
            self.data = json.loads(path.read_text(encoding="utf-8"))
            self.id = self.data["id"]

    monkeypatch.setattr(counters, "load", Read)
    monkeypatch.setattr(verify, "load", Read)
    names = [f"broker-{number + 1}" for number in range(len(brokers))] if len(brokers) > 1 else ["broker"]
    phases = [{"name": f"p{number}", "scenario": "publish", "folder": f"load-p{number}"} for number in range(len(loads))]
    for name, record in [*zip(names, brokers, strict=True), *((phase["folder"], one) for phase, one in zip(phases, loads, strict=True))]:
        (folder / name).mkdir(parents=True)
        (folder / name / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return {"id": "a.1", "status": "complete", "anomalies": [], "phases": phases,
            "commands": [["build/poolmark-broker"]] * len(brokers) + [["build/poolmark-loadgen", "publish"]] * len(loads)}


def test_a_cell_without_the_anomaly_that_its_files_give_is_noticed(tmp_path, monkeypatch):
    cell = write_cell(tmp_path, monkeypatch, [broker(150, (1000, 0, 0), 1000), broker(51, (100, 0, 0), 100)], [publish()])
    [(what, text)] = counters.of_cell(tmp_path, cell)
    assert what == "other_clients" and "201 connections opened" in text
    wrong = counters.complaints(tmp_path, cell)
    assert len(wrong) == 1 and "by its files there is a 'other_clients', and the cell does not have it" in wrong[0]
    # One of a phase's own is not that of the counters.
    cell["anomalies"] = [{"what": "other_clients", "text": "p0: beside those of this run 40 connections"}]
    assert len(counters.complaints(tmp_path, cell)) == 1
    cell["anomalies"] = [{"what": what, "text": text}]
    assert counters.complaints(tmp_path, cell) == []


def test_a_cell_that_says_complete_though_messages_never_came_is_noticed(tmp_path, monkeypatch):
    cell = write_cell(tmp_path, monkeypatch, [broker(200, (900, 0, 0), 1100)], [publish()])
    assert len(counters.complaints(tmp_path, cell)) == 2
    cell["anomalies"] = [{"what": what, "text": text} for what, text in counters.of_cell(tmp_path, cell)]
    assert len(counters.complaints(tmp_path, cell)) == 1
    cell["status"] = "incomplete"
    assert counters.complaints(tmp_path, cell) == []


def test_an_anomaly_that_the_files_do_not_give_is_noticed(tmp_path, monkeypatch):
    cell = write_cell(tmp_path, monkeypatch, [broker(200, (1100, 0, 0), 1100)], [publish()])
    assert counters.complaints(tmp_path, cell) == []
    cell["anomalies"] = [{"what": "other_clients", "text": counters.BEGINNINGS["other_clients"] + "9 connections"}]
    assert "its files do not give it" in counters.complaints(tmp_path, cell)[0]


@pytest.mark.parametrize("spoil", [lambda cell: cell["phases"].pop(), lambda cell: cell["commands"].append(["build/poolmark-broker"]),
                                   lambda cell: cell.update(status="running")])
def test_of_a_cell_that_lacks_a_record_nothing_is_said(tmp_path, monkeypatch, spoil):
    cell = write_cell(tmp_path, monkeypatch, [broker(1000)], [publish(), publish()])
    assert counters.complaints(tmp_path, cell)
    spoil(cell)
    assert counters.complaints(tmp_path, cell) == []


@pytest.mark.parametrize("counted, what, status", [((200, 1100), None, "complete"), ((201, 1101), "other_clients", "complete"),
                                                   ((200, 1000), "not_reached", "incomplete")])
def test_a_suite_marks_the_cell_when_it_is_measured(tmp_path, monkeypatch, counted, what, status):
    record = Record.create("suite", suite="small", folder=tmp_path / "run", seed=1)
    config = {"target": "poolmark", "connections": 200}
    cell = record.cell("a.1", config)
    cell_run = CellRun(cell, CellPlan("a.1", config, 1), make_plan(200, "raw", 20_000, 2), FAKES, 1, None)
    cell.data |= write_cell(cell.folder, monkeypatch, [broker(counted[0], (counted[1], 0, 0), 1100)], [publish()]) | {"status": "running"}
    cell_run.compare_counters()
    assert [one["what"] for one in cell.data["anomalies"]] == ([what] if what else [])
    cell.finish("complete" if cell_run.whole else "incomplete")
    assert cell.data["status"] == status
    assert counters.complaints(cell.folder, cell.data) == []


def test_runs_by_hand_are_compared_with_the_broker_that_they_name(tmp_path, monkeypatch, capsys):
    write_cell(tmp_path, monkeypatch, [broker(400, (2200, 0, 0), 2200)], [publish(beside="another generator"), publish(beside="another generator")])
    one, two, server = (tmp_path / name / "run.json" for name in ("load-p0", "load-p1", "broker"))
    assert verify.beside_brokers([one, two], [server]) == 0
    assert "agree with the books of 2 runs; exactly: 400 connections opened, 400 CONNECTs answered, 2 200 PUBLISH" in capsys.readouterr().out
    assert verify.beside_brokers([one], [server]) == 1
    assert "other_clients: counted by the target itself: 400 connections opened, 200 at most" in capsys.readouterr().out
    with pytest.raises(UsageError, match="of kind broker"):
        verify.beside_brokers([server], [server])
    with pytest.raises(UsageError, match="of kind load"):
        verify.beside_brokers([one], [two])


def test_metrics_of_a_broker_follow_from_its_counters():
    record = broker(5, (3, 2, 1), 9, accepted=4, messages_dropped=2, refused_limit=1, refused_pool=2, refused_memory=3, refused_descriptors=4)
    assert counters.metrics_of(record) == {"broker.connections_accepted": [4], "broker.messages_received": [6], "broker.messages_sent": [9],
                                           "broker.messages_dropped": [2], "broker.connections_refused": [10]}
    assert counters.metrics_of({"kind": "broker"}) == {}
