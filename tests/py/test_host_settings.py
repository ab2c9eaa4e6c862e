# SPDX-License-Identifier: Apache-2.0
"""Settings of hosts are compared where both records know them; histories, merges and joined runs keep runs of other settings apart."""
import pytest
from made_runs import HOST
from test_compare import make_run

from poolmark.compare import history, interleave, verdict
from poolmark.facts import comparable, facts
from poolmark.records import record
from poolmark.records.read_record import Run, load

SETTINGS = {"thp_defrag": "madvise", "tcp_rmem": [4096, 131072, 6291456], "turbo": None}
LIMITS = {"nofile_hard": 20000, "somaxconn": 4096, "port_range": [32768, 60999], "tcp_mem_pages": [287898, 383867, 575796]}


def host(**changes):
    """The host of made runs with settings; `settings__smt="on"` sets one."""
    made = {**HOST, "settings": dict(SETTINGS), "limits": dict(LIMITS),
            "cgroup": {"memory_limit_bytes": None, "memory_high_bytes": None, "cpu_quota_cores": None}}
    for name, value in changes.items():
        part, _, key = name.partition("__")
        if key:
            made[part][key] = value
        else:
            made[part] = value
    return made


def names(ours, theirs):
    return [key for key, _, _ in comparable.host_differences(ours, theirs)]


@pytest.mark.parametrize("changes, told", [
    ({"settings__thp_defrag": "always"}, "host.settings.thp_defrag differs: madvise in the baseline, always in the candidate"),
    ({"thp": "always"}, "host.thp differs: madvise in the baseline, always in the candidate"),
    ({"limits__somaxconn": 128}, "host.limits.somaxconn differs: 4096 in the baseline, 128 in the candidate"),
    ({"limits__port_range": [1024, 65535]}, "host.limits.port_range differs: 32768, 60999 in the baseline, 1024, 65535 in the candidate"),
    ({"cgroup__memory_high_bytes": 1 << 30}, "host.cgroup.memory_high_bytes differs: nothing in the baseline, 1073741824 in the candidate"),
    ({"limits__tcp_mem_pages": [1000, 2000, 3000]}, "host.limits.tcp_mem_pages differs: 287898, 383867, 575796 in the baseline, 1000, 2000, 3000 "
                                                   "in the candidate")])
def test_a_setting_that_differs_is_named_and_nothing_is_compared(changes, told):
    base, candidate = make_run(), make_run(seed=2)
    base["host"], candidate["host"] = host(), host(**changes)
    found = verdict.compare(base, candidate)
    assert found.code == verdict.NOT_COMPARABLE and found.reasons == [told]
    assert verdict.compare(base, candidate, allowed=[told.partition(" ")[0]]).code == verdict.OK
    assert not history.alike(history.fingerprint(base), history.fingerprint(candidate))


@pytest.mark.parametrize("other", [
    HOST,                                                   # of a version that reads no settings
    host(settings__turbo="on"),                             # could not be read for the other
    host(settings__smt="on"),                               # of a later version
    host(limits__tcp_mem_pages=[287000, 382000, 574000]),   # the same memory, booted again
    host(limits__nofile_hard=1 << 20)])
def test_what_is_not_known_is_no_difference(other):
    assert names(host(), other) == names(other, host()) == []
    prints = [history.fingerprint({"host": one, "tool": make_run()["tool"]}) for one in (host(), other)]
    assert history.alike(*prints) and history.alike(*prints[::-1])


def night(db, day, facts_of_host):
    run = make_run(f"nightly-202601{day:02}T000000Z-0001", cells=1, spread=0)
    run["started_utc"], run["host"] = f"2026-01-{day:02}T00:00:00Z", facts_of_host
    history.append(db, run, "no regression")


def test_nights_of_other_settings_are_another_series_and_those_of_older_versions_are_not(tmp_path, poolmark):
    db = history.open_history(tmp_path / "h.sqlite")
    night(db, 1, HOST)
    for day in (2, 3):
        night(db, day, host(settings__thp_defrag="always"))
    for day in (4, 5, 6):
        night(db, day, host())
    hosts = history.hosts(db)
    assert len(hosts) == 2
    assert [date[8:10] for date in history.series(db, hosts[0])[0].dates] == ["01", "04", "05", "06"]
    assert [date[8:10] for date in history.series(db, hosts[1])[0].dates] == ["01", "02", "03"]
    db.close()
    done = poolmark("trend", "--history", tmp_path / "h.sqlite")
    assert done.returncode == 0 and "the hosts differ: settings.thp_defrag madvise / always" in done.stdout, done.stdout + done.stderr


def test_a_setting_that_was_changed_between_the_runs_of_a_side_is_of_no_single_host(tmp_path):
    runs = []
    for number, one in enumerate([host(), host(), host(thp="always"), host()]):
        run = make_run(f"suite-2026010{number}T000000Z-0001")
        run["host"] = one
        runs.append(Run(tmp_path, run))
    joined = interleave.host_of_all(runs)
    assert joined["changed"] == {"thp": ["madvise", "always"]} and interleave.host_of_all(runs[:2]) == host()
    runs[2].data["host"] = {**host(), "changed": {"thp": ["madvise", "always"]}}  # in the middle of that run
    assert interleave.host_of_all(runs) == joined
    base, candidate = make_run(), make_run(seed=2)
    base["host"], candidate["host"] = joined, host()
    found = verdict.compare(base, candidate)
    assert found.code == verdict.NOT_COMPARABLE
    assert found.reasons == ["host.thp differs: madvise, then always in the baseline, madvise in the candidate"]
    assert not history.alike(*(history.fingerprint(one) for one in (base, candidate)))
    candidate["host"] = joined  # both sides met the change: they are not of one host either
    assert verdict.compare(base, candidate).code == verdict.NOT_COMPARABLE


def test_a_setting_that_is_changed_during_a_run_is_said(tmp_path, monkeypatch):
    now = [host()]
    monkeypatch.setattr(facts, "host", lambda build=None: dict(now[0]))
    made = record.Record.create("suite", suite="small", folder=tmp_path / "run", seed=1)
    now[0] = host(settings__thp_defrag="always")
    made.tell_changes()
    now[0] = host(thp="always")  # after the run's end: the tables are made by then
    made.close("complete")
    data = load(tmp_path / "run").data
    assert data["host"]["changed"] == {"settings.thp_defrag": ["madvise", "always"]}
    assert [(one["what"], one["text"]) for one in data["anomalies"]] == [
        ("host_changed", "settings.thp_defrag of the host was madvise at the start of the run and is always at its end: figures are of both")]


def test_a_joined_record_has_the_host_of_its_sources(tmp_path):
    made = record.Record.create("merge", folder=tmp_path / "run", seed=1)
    made.data["host"] = host(thp="never")
    made.close("complete")
    data = load(tmp_path / "run").data
    assert data["host"]["thp"] == "never" and "changed" not in data["host"] and not data["anomalies"]
