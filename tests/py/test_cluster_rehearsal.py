# SPDX-License-Identifier: Apache-2.0
"""The promises of a rehearsal: what is not kept is found. And the rehearsal itself, small, where hosts can be made and MPI is built."""
import os
import shutil

import pytest

from poolmark.base.paths import build_dir
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.cluster import calls, namespaces, rehearsal, stage
from poolmark.cluster.rehearsal import CUT, KILL, Case, Size
from poolmark.cluster.stage import Stage
from poolmark.run import cluster_here

SIZE = Size(ranks=4, raw=500, paho=50, pairs=10, rate=200, seconds=2)
CASE = Case("raw-qos1", "raw", 2000, ())
REASON = namespaces.why_not() or ("mpirun is not installed (Debian: openmpi-bin)" if not shutil.which("mpirun") else None) or (
    "poolmark-loadgen-mpi is not built (make mpi)" if not os.access(build_dir() / calls.MPI, os.X_OK) else None)


def record(status="complete", lost=0, connected=2000, received=100, anomalies=(), measured=100):
    metrics = {"clients.connected": connected, "clients.failed": 0, "clients.dropped": 0, "messages.lost": lost, "messages.not_sent": 0,
               "messages.received": received}
    line = {"attempted": 100, "measured": measured, "lost": lost, "failed": 0, "not_sent": 0, "unreadable": 0, "unfinished": 0}
    return {"status": status, "metrics": {name: {"value": value, "unit": "1", "better": "none"} for name, value in metrics.items()},
            "books": {"publishes": line}, "anomalies": [{"what": what, "text": text} for what, text in anomalies]}


def test_a_whole_run_has_nothing_wrong():
    assert rehearsal.whole(CASE, 0, record()) == []


@pytest.mark.parametrize("code, how, told", [
    (1, {}, "exit code 1"), (0, {"status": "incomplete"}, "its record is incomplete"), (0, {"connected": 1999}, "clients.connected is 1 999"),
    (0, {"received": 0}, "no message arrived"), (0, {"measured": 99}, "books: publishes"), (0, {"lost": 2, "measured": 98}, "messages.lost is 2")])
def test_each_promise_that_a_run_does_not_keep_is_told(code, how, told):
    wrong = rehearsal.whole(CASE, code, record(**how))
    assert len(wrong) == 1 and told in wrong[0]


LOST = ("rank_lost", "rank 3 was lost: silent for 20 s")


def test_a_run_that_lost_a_rank_is_incomplete_and_names_it():
    assert rehearsal.with_fault(CASE, 1, record("incomplete", anomalies=[LOST]), 3) == []


@pytest.mark.parametrize("code, how, told", [
    (0, {"status": "incomplete", "anomalies": [LOST]}, "exit code 0"), (1, {"status": "complete", "anomalies": [LOST]}, "its record is complete"),
    (1, {"status": "incomplete"}, "no anomaly rank_lost names rank 3"),
    (1, {"status": "incomplete", "anomalies": [("rank_lost", "rank 31 was lost")]}, "no anomaly rank_lost names rank 3"),
    (1, {"status": "incomplete", "anomalies": [LOST], "measured": 90}, "books: publishes")])
def test_each_promise_about_a_lost_rank_that_is_not_kept_is_told(code, how, told):
    wrong = rehearsal.with_fault(CASE, code, record(**how), 3)
    assert len(wrong) == 1 and told in wrong[0]


def test_the_cases_are_both_engines_at_each_qos_and_two_faults():
    cases = rehearsal.cases(SIZE)
    assert [case.name for case in cases] == ["raw-qos0", "raw-qos1", "raw-qos2", "paho-qos0", "paho-qos1", "paho-qos2", "link-down", "rank-killed"]
    assert [case.clients for case in cases[:4]] == [2000, 2000, 2000, 200] and [case.fault for case in cases[-2:]] == [CUT, KILL]
    for case in cases:
        calls.make(case.name, case.words, build_dir())      # the generator takes each
    assert [case.name for case in rehearsal.cases(Size(4, 500, 0, 10, 200, 2))][:4] == ["raw-qos0", "raw-qos1", "raw-qos2", "link-down"]


@pytest.mark.parametrize("words, told", [
    (["--paho", "20"], "--paho 20: 100 pairs a host publish (--pairs 100), and a pair is two connections: give --pairs 10, or --paho 200 or more, or --paho 0"),
    (["--raw", "150"], "--raw 150: 100 pairs a host publish (--pairs 100), and a pair is two connections: give --pairs 75, or --raw 200 or more"),
    (["--paho", "1", "--pairs", "1"], "--paho 1: 1 pair a host publishes (--pairs 1), and a pair is two connections: give --paho 2 or more, or --paho 0")])
def test_fewer_connections_than_publish_name_the_option_to_change(words, told):
    with pytest.raises(UsageError) as error:
        cluster_here.size_of(words, 4)
    assert str(error.value).startswith(told)


def test_a_line_that_says_that_messages_arrive_is_told_from_others():
    assert rehearsal.publishes('{"type":"second","messages_received":5}') and rehearsal.publishes('[1,0]<stdout>:{"messages_received":5}')
    assert not any(map(rehearsal.publishes, ['{"messages_received":0}', '{"messages_received":null}', "", "a word", "{", '{"type":"second"}']))


class Nobody:
    """Stands for children and for one of them: it runs, or has ended."""
    def __init__(self, ended=False):
        self.ended, self.stopped = ended, False

    def wait(self, child, seconds, watch=()):
        return self if self.ended else None

    def stop(self, child):
        self.stopped = True

    def last_lines(self):
        return "nothing"


def stage_of(folder, children):
    made = Stage.__new__(Stage)
    made.folder, made.children, made.brokers = folder, children, []
    return made


def test_ranks_that_do_not_come_together_are_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "START_S", 0.0)
    children = Nobody()
    with pytest.raises(PoolmarkError, match="raw-qos0: the ranks did not come together"):
        stage_of(tmp_path, children).await_start(children, "raw-qos0")
    assert children.stopped
    ended = Nobody(ended=True)
    stage_of(tmp_path, ended).await_start(ended, "raw-qos0")
    (tmp_path / "raw-qos0").mkdir()
    (tmp_path / "raw-qos0/run.json").write_text("{}")
    stage_of(tmp_path, Nobody()).await_start(Nobody(), "raw-qos0")


@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_four_hosts_keep_what_a_cluster_promises(poolmark, tmp_path):
    done = poolmark("cluster", "--namespaces", SIZE.ranks, "--delay", "1ms", "--out", tmp_path / "run", "--run", "rehearsal", "--raw", SIZE.raw, "--paho", SIZE.paho,
                    "--pairs", SIZE.pairs, "--rate", SIZE.rate, "--for", "2s", timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as promised") == 8 and "NOT" not in done.stderr
    page = (tmp_path / "run/rehearsal.md").read_text(encoding="utf-8")
    assert page.count("as promised") == 8 and "1 ms each way" in page and "commit" in page
    for name in ("raw-qos1", "link-down", "rank-killed"):       # hosts share the disk: a rank that was lost may still write
        told = poolmark("verify", tmp_path / "run" / name)
        assert told.returncode == 0, f"{name}: {told.stdout}"
