# SPDX-License-Identifier: Apache-2.0
"""The verdict of a trial by its files, and what verify finds in an edited search."""
import argparse
import copy
import json

import made_runs
import numpy
import pytest
from poolmark.base.errors import UsageError
from poolmark.limits import bounds, told
from poolmark.limits.search import FAILED, HELD, LIMITED, NOTHING, Rules, Trial, answer, next_rate
from poolmark.limits.verdict import judge
from poolmark.records.read_record import Run, load
from poolmark.records.record import Record
from poolmark.run import limit_asked
from poolmark.verify.verify import complaints

MS = 1e6
BOUNDS = bounds.parse(["p99=20ms"], "publish")


def metrics(**changes):
    found = {"messages.rate_asked": 1000.0, "messages.rate": 1000.0, "messages.seconds": 5.0, "messages.lost": 0, "messages.not_sent": 0,
             "clients.connected": 20, "clients.failed": 0, "clients.dropped": 0, "schedule.lag_p99": 1e5}
    found |= {name.replace("__", "."): value for name, value in changes.items()}
    return {name: {"value": value, "unit": "1", "better": "none"} for name, value in found.items()}


def write_load(folder, *, delivery=None, lag=None, limit=("none", "the rate was kept"), anomalies=(), summary=None, status="complete",
               config=None, tag="delivery", **changes):
    """A generator's record of a trial of 5 s at 1000 messages a second."""
    run = made_runs._run("load", 1, [], "load")
    run |= {"status": status, "metrics": metrics(**changes), "anomalies": [{"what": what, "text": text} for what, text in anomalies],
            "summary": {**({"limit": {"by": limit[0], "why": limit[1]}} if limit else {}), **(summary or {})},
            "config": config or {"scenario": "publish", "duration_ns": 5 * 10 ** 9}}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run))
    delivery = numpy.full(1000, 2 * MS) if delivery is None else delivery
    lag = numpy.full(1000, 0.1 * MS) if lag is None else lag
    lines = [f"Tag={name},0.0,1.0,{max(values):.0f},{made_runs.encode(values)}" for name, values in ((tag, delivery), ("lag", lag)) if len(values)]
    (folder / "latency.hlog").write_text("\n".join(lines) + "\n")
    return folder


def found(folder, beside=(), scenario="publish", limits=BOUNDS, **how):
    """The verdict. `beside`: anomalies of the trial's cell; `anomalies`: of the generator's record."""
    return judge(write_load(folder / "load", **how), scenario, limits, list(beside))


def slow(share, slow_ms, fast_ms=2):
    """1000 latencies, of which `share` are slow."""
    return numpy.array([slow_ms * MS] * round(1000 * share) + [fast_ms * MS] * (1000 - round(1000 * share)))


def test_a_trial_that_held(tmp_path):
    one = found(tmp_path)
    assert (one["verdict"], one["by"], one["why"], one["lost"], one["had"]) == (HELD, "", [], 0, 1000)
    assert one["latencies"]["delivery.p99"] == pytest.approx(2 * MS, rel=0.01) and one["lag_p99_ns"] == 1e5


def test_a_latency_past_its_bound_is_named(tmp_path):
    one = found(tmp_path, delivery=slow(0.05, 31))
    assert (one["verdict"], one["by"]) == (FAILED, "target") and one["why"][0].startswith("delivery.p99 31")
    assert found(tmp_path / "b", delivery=slow(0.005, 31))["verdict"] == HELD      # 1 of 200 is not 1 of 100


def test_a_trial_of_which_samples_are_missing_did_not_hold(tmp_path):
    """A full disk took lines of latency.hlog, and the trial held by the others; so did one whose messages never reached the broker."""
    gone = ("books", "latency_lines: of 9 attempted 6 are measured, 3 unreadable")
    one = found(tmp_path / "a", status="incomplete", anomalies=[gone])
    assert (one["verdict"], one["why"]) == (NOTHING, [f"its record is incomplete: {gone[1]}"])
    assert found(tmp_path / "b", status="incomplete", anomalies=[gone], delivery=slow(0.05, 31))["verdict"] == FAILED     # the others suffice
    one = found(tmp_path / "c", beside=[{"what": "not_reached", "text": "not counted by the target: 9 PUBLISH packets received"}])
    assert one["verdict"] == NOTHING and "not counted by the target" in one["why"][0]


@pytest.mark.parametrize("changes, names", [({"messages__lost": 3}, "3 messages did not arrive"), ({"messages__not_sent": 2}, "not sent"),
                                            ({"messages__unacknowledged": 1}, "not acknowledged"), ({"messages__corrupt": 1}, "another content"),
                                            ({"clients__dropped": 4}, "4 clients lost their connection"),
                                            ({"messages__seconds": 6.0, "messages__rate": 833.0}, "833 a second were had, 1 000 asked for")])
def test_what_was_lost_is_a_failure_with_its_reason(tmp_path, changes, names):
    one = found(tmp_path, **changes)
    assert one["verdict"] == FAILED and names in one["why"][0]
    one = found(tmp_path / "b", limit=("generator", "a worker ran for 99 % of the time"), **changes)
    assert (one["verdict"], one["by"]) == (LIMITED, "generator") and one["why"][-1] == "a worker ran for 99 % of the time"


def test_other_programs_and_quotas_are_no_failure_of_the_target(tmp_path):
    for number, what in enumerate(("busy", "throttled")):
        one = found(tmp_path / str(number), beside=[{"what": what, "text": "other processes had 40 %"}], messages__lost=1)
        assert (one["verdict"], one["by"]) == (LIMITED, "others")
        assert found(tmp_path / f"held{number}", beside=[{"what": what, "text": "x"}])["verdict"] == HELD


def test_a_lag_that_cannot_explain_the_latency_does_not_excuse_the_target(tmp_path):
    """The generator was the limit. Of 1000 messages 300 took 200 ms, and each was sent 9 ms late."""
    how = {"limit": ("generator", "x"), "lag": slow(1, 9)}
    assert found(tmp_path / "a", delivery=slow(0.3, 200), **how)["verdict"] == FAILED
    # 25 ms less 9 ms of lag is within the bound of 20 ms.
    assert found(tmp_path / "b", delivery=slow(0.3, 25), **how)["verdict"] == LIMITED
    # 5 % took 200 ms, 4.5 % were sent that late: 0.5 % are left, and 1 % is allowed. Of 7 %, 2.5 % are left.
    how["lag"] = slow(0.045, 199)
    assert found(tmp_path / "c", delivery=slow(0.05, 200), **how)["verdict"] == LIMITED
    assert found(tmp_path / "d", delivery=slow(0.07, 200), **how)["verdict"] == FAILED


def test_a_host_without_processors_excuses_the_target_too(tmp_path):
    """The generator was never late, and 30 % of the messages took 200 ms: the target had no processor either."""
    one = found(tmp_path / "a", delivery=slow(0.3, 200), limit=("host", "no CPU"))
    assert (one["verdict"], one["by"], one["why"][-1]) == (LIMITED, "host", "no CPU")
    one = found(tmp_path / "b", delivery=slow(0.3, 200), beside=[{"what": "busy", "text": "x"}])
    assert (one["verdict"], one["by"]) == (LIMITED, "others")


def test_a_target_that_ended_has_failed_whatever_else_was(tmp_path):
    how = {"beside": [{"what": "busy", "text": "x"}], "limit": ("host", "x"), "messages__lost": 9, "status": "incomplete"}
    assert found(tmp_path / "a", **how)["verdict"] == LIMITED
    one = found(tmp_path / "b", anomalies=[("target_ended", "killed by SIGKILL")], **how)
    assert one["verdict"] == FAILED and "killed by SIGKILL" in one["why"][0]


@pytest.mark.parametrize("how, why", [
    ({"status": "running"}, "did not end its record"), ({"anomalies": [("interrupted", "by SIGINT")]}, "interrupted"),
    ({"clients__connected": 0, "clients__failed": 20, "summary": {"failed": {"tcp_refused": 20}}}, "no client connected: tcp_refused"),
    ({"delivery": numpy.full(50, MS)}, "50 samples are too few for delivery.p99"), ({"delivery": []}, "0 samples")])
def test_what_measured_nothing_says_why(tmp_path, how, why):
    one = found(tmp_path, **how)
    assert one["verdict"] == NOTHING and why in one["why"][0]


def test_no_record_is_nothing(tmp_path):
    assert judge(tmp_path / "none", "publish", BOUNDS, [])["verdict"] == NOTHING
    (tmp_path / "load").mkdir()
    (tmp_path / "load/run.json").write_text("{")
    assert judge(tmp_path / "load", "publish", BOUNDS, [])["why"] == ["the generator left no record that can be read"]


def test_connects(tmp_path):
    limits = bounds.parse(["p99=20ms"], "connect")
    config = {"scenario": "connect", "rate_per_s": 200.0, "connections": 1000}
    how = {"scenario": "connect", "limits": limits, "tag": "connect", "limit": None, "config": config, "connect__rate_asked": 200.0}
    assert found(tmp_path / "a", connect__rate=200.0, connect__seconds=5.0, **how)["verdict"] == HELD
    one = found(tmp_path / "b", connect__rate=150.0, connect__seconds=6.6, **how)
    assert one["verdict"] == FAILED and "150 a second were had" in one["why"][0]
    one = found(tmp_path / "c", connect__rate=150.0, connect__seconds=6.6, schedule__lag_p99=3 * MS, **how)
    assert (one["verdict"], one["by"]) == (LIMITED, "generator")
    ports = {"summary": {"failed": {"no_port": 5}}, "clients__failed": 5, "connect__rate": 200.0, "connect__seconds": 5.0}
    assert found(tmp_path / "d", **how, **ports)["by"] == "generator"
    ports["summary"] = {"failed": {"no_port": 5, "connack_3": 1}}
    one = found(tmp_path / "e", **how, **ports)
    assert one["verdict"] == FAILED and "connack_3, no_port" in one["why"][0]


@pytest.mark.parametrize("text, names", [("p99", "takes"), ("p99=2x", "2x"), ("p100=2ms", "takes"), ("p0=2ms", "above 0"), ("q99=2ms", "takes"),
                                         ("connect.p99=2ms", "publish has no bound of 'connect'"), ("p99=0s", "below 1 ns"),
                                         ("p99=1ms,p99=2ms", "already"), ("", "name one")])
def test_a_wrong_bound_is_named(text, names):
    with pytest.raises(UsageError, match=names):
        bounds.parse([text], "publish")


def test_bounds():
    one, other = bounds.parse(["p99=20ms, ack.p99.9=1s"], "publish")
    assert (one.name, one.most_ns, one.samples) == ("delivery.p99", 20e6, 500)
    assert (other.name, other.percent, other.samples) == ("ack.p99.9", 99.9, 5000)
    assert bounds.parse([one.text(), other.text()], "publish") == [one, other]


@pytest.mark.parametrize("text", ["1%", "60%", "x", "nan"])
def test_a_wrong_width_is_named(text):
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        limit_asked.share(text)


# --- a whole record ----------------------------------------------------------------------------------------------


def make_search(folder, limit=3000.0) -> Run:
    """A record of a search on a target that holds up to `limit`, with the files of each trial."""
    rules = Rules(start=1000, least=100, most=100_000, within=0.2, repeat=2)
    record = Record.create("limit", suite="limit", folder=folder, config={
        "scenario": "publish", "bounds": [one.text() for one in BOUNDS], "rules": vars(rules), "trial_s": 5.0})
    trials = []
    while (rate := next_rate(rules, trials)) is not None:
        cell = record.cell(f"made/{len(trials) + 1:02}", {"target": "mqtt://made", "rate": rate})
        write_load(cell.folder / "load", delivery=slow(0.05, 2 if rate <= limit else 31), status="failed" if rate > limit else "complete")
        for key, name in (("latency", "latency.hlog"), ("record", "run.json")):
            cell.file(key, cell.folder / "load" / name)
        cell.phase({"name": "publish", "scenario": "publish", "folder": "load", "prefix": "", "several": False})
        cell.data["metrics"] = load(cell.folder / "load").data["metrics"]
        cell.data["trial"] = judge(cell.folder / "load", "publish", BOUNDS, [])
        cell.finish("complete")
        trials.append(told.trial_of(cell.data))
    made = answer(rules, trials)
    cell = record.cell("made", {"target": "mqtt://made"})
    cell.data["metrics"], cell.data["answer"] = told.metrics_of(made, trials), told.facts_of(made)
    cell.finish("complete")
    record.close("complete")
    return load(folder)


def search_complaints(run):
    """Complaints about the search alone: the made-up loads have no books and not all figures."""
    return [text for text in complaints(run)[0] if "cells/made" not in text and ("trial" in text or "made: " in text)]


def test_an_edited_search_is_found(tmp_path):
    run = make_search(tmp_path / "run")
    assert search_complaints(run) == []
    cells = {cell["id"]: number for number, cell in enumerate(run.data["cells"])}
    failed = next(cell["id"] for cell in run.data["cells"] if cell.get("trial", {}).get("verdict") == FAILED)

    def edited(change):
        data = copy.deepcopy(run.data)
        change(data["cells"])
        return "\n".join(search_complaints(Run(run.folder, data)))

    told_of = edited(lambda found: found[cells[failed]]["trial"].update(verdict=HELD, by="", why=[]))
    assert f"{failed}: trial: verdict is 'held' in the record, its files give 'failed'" in told_of
    assert "after the trials before it" in edited(lambda found: found.pop(cells[failed]))
    assert "limit.rate" in edited(lambda found: found[cells["made"]]["metrics"]["limit.rate"].update(value=5000.0))
    assert "answer: kind" in edited(lambda found: found[cells["made"]]["answer"].update(kind="at least"))
    assert "has not ended" in edited(lambda found: found.pop(cells["made"] - 1))
    assert "no rate" in edited(lambda found: found[0]["config"].update(rate=-1.0))
    assert "cannot be repeated" in edited(lambda found: found[0]["config"].pop("rate"))


def test_tables_have_every_trial_and_the_answer_in_words(tmp_path):
    run = make_search(tmp_path / "run")
    text, lines = told.markdown(run.data), told.csv(run.data).splitlines()
    trials = [cell for cell in run.data["cells"] if "trial" in cell]
    assert len(lines) == len(trials) + 1 and lines[0].startswith("contender,trial,rate_asked_per_s")
    assert all(f"| {cell['id'].rpartition('/')[2]} |" in text for cell in trials)
    assert "past that the target is the limit" in text and "95 % interval" in text
    assert told.terminal(run.data).splitlines()[-1].startswith("made holds ")


def test_sentences():
    def say(kind, by="target", **values):
        cell = {"id": "x", "answer": {"kind": kind, "by": by, "wide": False, "low_tried": 0, "high_tried": 0},
                "metrics": {f"limit.{name}": {"value": value} for name, value in values.items()}}
        return told.sentence(cell)
    assert say("at least", "host", low=900.0, rate=1000.0) == ("holds at least 900/s: from about 1 000/s the limit was the host that both share, "
                                                               "and not the target")
    assert "--most" in say("at least", "asked", low=900.0) and "ended" in say("at least", "ended", low=900.0)
    assert "does not hold 100/s" in say("below", high=100.0) and say("unclear", low=1.0, high=3.0).endswith("by chance")
    assert say("unclear", "others", low=1.0, high=3.0).endswith("was other programs on the host")
    assert "not measured" in say("nothing", "")


def test_trials_are_those_of_the_record(tmp_path):
    assert told.trial_of({"config": {"rate": 5}, "trial": {"verdict": HELD, "by": ""}}) == Trial(5.0, HELD, "")
