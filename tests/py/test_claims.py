# SPDX-License-Identifier: Apache-2.0
"""Published claims: the file as it is, a function for each, the rule of verdicts, the tables, the command on made runs."""
import errno
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from claims_made import claim

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.claims import catalogue, claims, measured, monitoring, tables, verdict
from poolmark.claims.measured import Measured, Source
from poolmark.claims.measures import curve, expansion, objects
from poolmark.claims.sources import curve as curve_runs
from poolmark.claims.sources import programs
from poolmark.facts.children import Interrupted
from poolmark.records import record as records
from poolmark.records.read_record import load
from poolmark.suites import suite_file
from poolmark.claims import again as claims_again
from poolmark.verify.complaints import complaints

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "results/claims.toml"
# Of the file as it was published: it is never edited to fit a measurement.
SHA256 = "40e55d002f8c52f66f865352e6665e03b01823e436e12cfd95262570c26e4b9a"
ALL = catalogue.load()[1]


def judged(values, **changes):
    """The verdict on values; two or one stand for three repetitions."""
    busy = changes.pop("busy", "")
    how = {key: changes.pop(key) for key in ("kind", "floor", "interval", "contradiction", "because", "timed", "spread") if key in changes}
    return verdict.judge(claim(**changes), Measured((*values, *values, *values), **how), busy)


# --- a function for each

def test_each_claim_has_one_function_and_each_function_a_claim():
    assert measured.unpaired(ALL) == []


def test_a_claim_without_a_function_and_a_function_without_a_claim_are_found():
    fewer = {name: one for name, one in ALL.items() if name != "startup-time"}
    assert measured.unpaired(fewer) == ["startup-time: a function measures it, and there is no such claim"]
    assert measured.unpaired(ALL | {"new": claim(id="new")}) == ["new: no function measures it"]


def test_two_functions_for_one_claim_are_refused():
    measured.all_measures()
    with pytest.raises(ValueError, match="two functions"):
        measured.measures("startup-time")(lambda runs, claim: None)


# --- the rule

def test_an_interval_in_the_range_holds():
    assert judged([1.4, 1.5, 1.6]).verdict == verdict.HOLDS


def test_an_interval_outside_does_not_hold_and_says_by_how_much():
    found = judged([6.0, 6.1, 6.2])
    assert found.verdict == verdict.FAILS and "3.05 times the upper bound" in found.why
    assert "30 % below the lower bound" in judged([0.7, 0.7]).why
    assert "8 points above the upper bound" in judged([10, 10], unit="%").why


def test_a_bound_in_the_widened_interval_is_too_noisy():
    assert judged([1.5, 1.9]).verdict == verdict.NOISY      # 1.3 to 2.1
    assert judged([1.95, 1.95], floor=0.05).verdict == verdict.NOISY
    assert judged([1.95, 1.95], floor=0.01).verdict == verdict.HOLDS
    assert judged([0.5, 2.5]).verdict == verdict.NOISY


def test_a_second_run_with_values_somewhat_outside_never_turns_a_verdict_around():
    """Both runs are drawn from one interval: then one holding and the other failing is not possible."""
    for middle in [1.0 + 0.01 * step for step in range(101)]:
        first, second = judged([middle - 0.1, middle + 0.1]), judged([middle - 0.12, middle + 0.05])
        assert {first.verdict, second.verdict} != {verdict.HOLDS, verdict.FAILS}


def test_counts_are_compared_as_they_are():
    assert judged([2.0, 2.0], kind="counted", floor=0.1).verdict == verdict.HOLDS
    assert judged([20.0] * 5, kind="counted", low=20.0, high=20.0).verdict == verdict.HOLDS
    assert judged([20.1] * 5, kind="counted", low=20.0, high=20.0).verdict == verdict.FAILS


def test_two_repetitions_are_too_few():
    assert verdict.judge(claim(), Measured((1.5, 1.5))).verdict == verdict.NOISY
    assert verdict.judge(claim(), Measured((1.5,), kind="counted")).verdict == verdict.HOLDS


def test_a_busy_host_cannot_disprove_a_time():
    told = "other processes had 89 % of the processors' time"
    found = judged([6.0], timed=True, busy=told)
    assert found.verdict == verdict.NOISY and found.why.startswith("Other processes had 89 %") and "3 times the upper bound" in found.why
    assert judged([1.5], timed=True, busy=told).verdict == verdict.NOISY      # they may have lifted it over the lower bound
    assert judged([1.5], low=None, high=2.0, timed=True, busy=told).verdict == verdict.HOLDS
    assert judged([6.0], busy=told).verdict == verdict.FAILS        # memory


def test_a_spread_of_its_own_replaces_the_extremes():
    assert judged([1.5, 9.0, 1.5, 1.5], spread=(1.4, 1.6)).verdict == verdict.HOLDS
    assert judged([1.5, 9.0, 1.5, 1.5]).verdict == verdict.NOISY


def test_a_range_may_be_open():
    assert judged([1e9], low=3.0, high=None).verdict == verdict.HOLDS
    assert judged([-5.0], low=None, high=0.0).verdict == verdict.HOLDS


def test_a_forecast_is_judged_by_its_own_interval():
    assert judged([1.5], interval=(1.2, 1.8), kind="forecast").verdict == verdict.HOLDS
    assert judged([1.5], interval=(0.9, 2.1), kind="forecast").verdict == verdict.NOISY


def test_megabytes_of_either_size_count():
    assert judged([2.05], unit="MB").verdict == verdict.HOLDS and "2^20" in judged([2.05], unit="MB").why
    assert judged([2.05], unit="ms").verdict == verdict.FAILS


def test_a_statement_that_excludes_itself_says_what_was_measured_too():
    found = judged([9.0], contradiction="1 and 2 cannot both be right.")
    assert found.verdict == verdict.CONTRADICTS and "does not hold" in found.why and found.value == 9.0


def test_sequences_are_compared_number_for_number():
    wanted = claim(low=None, high=None, expect=(1, 2, 3))
    one = lambda *rows: verdict.judge(wanted, Measured(sequences=rows))  # noqa: E731
    assert one((1, 2, 3), (1, 2, 3)).verdict == verdict.HOLDS
    assert "Number 2 is 5, where 2 was claimed" in one((1, 5, 3)).why
    assert "Number 3 is nothing" in one((1, 2)).why
    assert one((1, 2, 3), (1, 2, 4)).verdict == verdict.NOISY


# --- single measurements

def test_the_first_listing_runs_away():
    assert expansion.owned_by_first_listing(818) == 1024
    assert expansion.owned_by_first_listing(819) == 1536
    assert expansion.owned_by_first_listing(10_000) == 1024 + (10_000 - 818) * 512


def test_steps_that_a_text_counts_are_compared_with_its_list():
    assert "counts 11 steps" in expansion.count_of(ALL["expansion-sequence-2048"])
    assert "counts 7 steps" in expansion.count_of(ALL["expansion-sequence-10000"])
    assert expansion.count_of(ALL["expansion-sequence-1024"]) == ""


def test_the_pools_rule_past_its_maximum():
    assert curve.owned_at(10, 1024) == 1024 and curve.owned_at(819, 1024) == 1536
    assert curve.owned_at(100_000, 5000) == 100_000 and curve.owned_at(1_000_000, 10_000) == 1_000_000
    assert curve.owned_at(10, 1024, "fixed") == 100_000


def made_curve(slope=17_000, base=1_000_000, kernel=8_000, counts=(10, 100, 1000, 10_000), repetitions=5):
    """Rows of a curve whose memory follows the model exactly."""
    return {"brokers": 1, "rows": [
        {"strategy": strategy, "repetition": number, "status": "complete", "steps": {str(count): {
            "user_bytes": base + (slope - 3072) * count + 3072 * curve.owned_at(count, 1024, strategy), "kernel_bytes": kernel * count,
            "owned": curve.owned_at(count, 1024, strategy), "object_bytes": 3072} for count in counts}}
        for strategy in ("expand", "fixed") for number in range(1, repetitions + 1)]}


def test_a_forecast_finds_the_line_it_was_made_of():
    runs = {"curve": made_curve(), "hundred": made_curve(counts=(6000, 12_000, 18_000))}
    value, low, high = curve.forecast(runs, 1_000_000, "expand", 10_000)
    assert value == pytest.approx(1e6 + 17_000e6, rel=1e-6) and low <= value <= high
    found = curve.memory_1m(runs, ALL["memory-at-1m"])
    assert found.kind == "forecast" and verdict.judge(ALL["memory-at-1m"], found).verdict == verdict.HOLDS


def test_the_hardware_table_counts_half_of_the_kernels_growth():
    runs = {"curve": made_curve(), "hundred": made_curve(counts=(25_000, 50_000, 100_000))}
    found = curve.hardware(runs, ALL["hardware-table"])
    assert "17.0 KB of the broker and 4.0 KB of the kernel" in found.because
    assert "The worst line is 8192 MB" in found.because and found.values[0] == pytest.approx(2**33 / 21_000 / 500_000, rel=0.001)


def test_a_step_without_a_reading_is_no_figure():
    runs = {"curve": made_curve()}
    runs["curve"]["rows"][0]["steps"]["10"]["user_bytes"] = None
    with pytest.raises(PoolmarkError, match="no user_bytes at 10 connections"):
        curve.memory_10(runs, ALL["memory-at-10"])


def test_gains_over_malloc_are_paired_by_round():
    runs = {"lifo": {"lifo/blocks/16384": [100.0, 200.0, 50.0, 100.0], "lifo/direct-glibc/16384": [115.0, 230.0, 57.5, 115.0]}}
    found = objects.large(runs, ALL["blocks-large"])
    assert all(value == pytest.approx(15) for value in found.values)
    assert verdict.judge(ALL["blocks-large"], found).verdict == verdict.HOLDS


def test_the_floor_of_a_gain_is_of_the_ratio_that_it_is():
    """A gain of 11 % is a ratio of 1.11: 3 % of that reach below 10 %. Around a gain of 0 the floor is no smaller."""
    assert verdict.guarded(11, 11, 11, 0.03, 100)[0] == pytest.approx(11 - 3.33)
    assert verdict.guarded(0, 0, 0, 0.03, 100) == pytest.approx((-3, 3))


def test_system_calls_of_a_summary():
    text = ("% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- --------------\n"
            " 95.07    0.004420           6       728           brk\n  3.48    0.000162          14        11         2 munmap\n"
            "100.00    0.004649           5       739         2 total\n")
    assert programs.counted_calls(text) == {"brk": 728, "munmap": 11}


def test_addresses_are_those_of_the_program():
    assert programs.addresses(252, 7) == ["127.0.0.1:7", *(f"127.1.0.{number + 1}:7" for number in range(1, 250)), "127.1.1.1:7", "127.1.1.2:7"]


def test_made_suites_are_valid(tmp_path):
    text = curve_runs.SUITE.format(connections=10_000, repetitions=5, steps="10,100", initial=1024, most=100_000,
                                   strategies='"expand", "fixed"')
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    assert len(suite_file.load(tmp_path / "s.toml").cells) == 10


# --- the monitoring table

def test_thresholds_ring_where_they_should_and_growth_is_not_made_of_noise():
    runs = {"overflow": {"rows": [{"peak_in_use": 1000, "max": 1000}]}, "hot": {"reuse": [{"reuse.reused_percent": 49.0}]},
            "burst": {"rows": [{"peak_in_use": 10_000, "max": 100_000}]},
            "reuse-rate": {"seconds": 20, "memory": [{"half_bytes": 3_000_000, "end_bytes": 3_000_000}], "sync": [{"hits": 99, "gets": 100}]}}
    assert [one["verdict"] for one in monitoring.verdicts(runs)] == ["rings", "silent", "too noisy to tell", "silent", "rings"]
    runs["reuse-rate"]["memory"][0]["end_bytes"] = 9_000_000
    assert monitoring.growth(runs)[0]["verdict"] == "rings"
    assert monitoring.verdicts({}) == []


# --- the command, on made runs

def a_run(values=None, error=None):
    def make(work):
        (work.folder / "raw.txt").write_text("raw", encoding="utf-8")
        if error:
            raise error
        return values
    return make


STARTS = {"rows": [{"none_bytes": 700_000 + n, "objects_bytes": 3_900_000 + n, "buffers_bytes": 12_300_000, "fixed_bytes": 309_000_000,
                    "objects_start_s": 0.03} for n in range(5)], "fixed_objects": 100_000}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Calls the command with made runs; programs are not started."""
    build = tmp_path / "build"
    build.mkdir()
    monkeypatch.setenv("POOLMARK_BUILD", str(build))  # the command sets it; restored at the test's end
    for name in claims.PROGRAMS:
        (build / name).write_text("#!/bin/sh\nexit 1\n")
        (build / name).chmod(0o755)

    def call(*only, starts=None, **options):
        real = measured.all_sources()
        monkeypatch.setattr(measured, "all_sources", lambda: real | {"starts": Source("starts", "made", lambda work: 1.0, starts or a_run(STARTS))})
        args = SimpleNamespace(only=list(only), list=False, dry_run=False, quick=False, repetitions=None, out=str(tmp_path / "run"),
                               build=str(build), json=False, write_docs=False, again=None, beside=None)
        if "again" in options:
            args.out = args.build = None
        vars(args).update(options)
        return claims.run(args)

    return call


def test_claims_share_a_run_and_leave_a_sealed_record(made, tmp_path, capsys):
    made_once = []

    def counting(work):
        made_once.append(work.repetitions)
        return STARTS

    assert made("startup-memory", "startup-estimate", "fixed-100k-startup", starts=counting) == 0
    assert made_once == [5]
    run = load(tmp_path / "run")
    assert run.data["kind"] == "claims" and run.data["status"] == "complete" and run.sealed and not run.broken_seal
    assert {one["id"]: one["verdict"] for one in run.data["summary"]["claims"]} == {
        "startup-memory": "holds", "startup-estimate": "contradicts itself", "fixed-100k-startup": "holds"}
    assert run.data["metrics"]["claim.startup-memory"]["samples"] == [3.9, 3.900001, 3.900002, 3.900003, 3.900004]
    out = capsys.readouterr().out
    assert "startup-memory" in out and "3 to 5 MB" in out and "3 claims: 2 hold, 1 contradict themselves." in out
    page = (tmp_path / "run/claims.html").read_text(encoding="utf-8")
    assert 'href="runs/starts/values.json"' in page and (tmp_path / "run/runs/starts/values.json").is_file()
    assert "runs/starts/values.json" in (tmp_path / "run/claims.md").read_text(encoding="utf-8")


def test_a_run_that_fails_gives_no_verdict_and_exit_code_1(made, tmp_path, capsys):
    assert made("startup-memory", starts=a_run(error=PoolmarkError("the broker fell over"))) == 1
    run = load(tmp_path / "run").data
    assert run["status"] == "incomplete" and run["summary"]["claims"][0]["verdict"] == "not measured"
    assert run["books"]["claims"]["failed"] == 1 and run["metrics"]["claim.startup-memory"]["value"] is None
    assert "the broker fell over" in capsys.readouterr().out


def test_values_that_are_not_there_are_no_figure(made, tmp_path, capsys):
    assert made("startup-memory", starts=a_run({"rows": [{"objects_bytes": None}, {"objects_bytes": 4e6}]})) == 1
    assert "1 of 2 repetitions have no value" in capsys.readouterr().out


def test_an_earlier_run_is_judged_again(made, tmp_path, capsys):
    assert made("startup-memory", "startup-time") == 0
    assert made(again=str(tmp_path / "run")) == 0
    path = tmp_path / "run/runs/starts/values.json"
    path.write_text(path.read_text().replace("0.03", "7.5"), encoding="utf-8")
    assert made(again=str(tmp_path / "run")) == 1
    assert "startup-time: does not hold; the record says holds" in capsys.readouterr().err


def test_an_earlier_run_is_judged_again_into_a_record_of_its_own(made, tmp_path, monkeypatch, capsys):
    """When a rule or its words change, the values stay, and no record is edited."""
    first, second = tmp_path / "run", tmp_path / "second"
    assert made("startup-memory", "startup-time") == 0
    monkeypatch.setattr(verdict, "how_far", lambda value, claim: "far")
    monkeypatch.setattr(verdict, "guarded", lambda value, low, high, floor, whole=0.0: (value + 1e6, value + 1e6))
    before = (first / "run.json").read_bytes()
    assert made(again=str(first), out=str(second)) == 0
    run, old = load(second), load(first)
    assert {one["verdict"] for one in run.data["summary"]["claims"]} == {"does not hold"} and (first / "run.json").read_bytes() == before
    assert run.sealed and not run.broken_seal and run.data["config"]["judged_again"]["of"] == old.id != run.id
    assert run.data["host"] == old.data["host"] and run.data["anomalies"] == old.data["anomalies"] and "far" in (second / "claims.md").read_text()
    (first / "runs/starts/values.json").unlink()
    with pytest.raises(PoolmarkError):
        made(again=str(first), out=str(tmp_path / "third"))
    capsys.readouterr()


@pytest.mark.parametrize("options, names", [
    ({"again": "x", "quick": True}, "--quick: says nothing with --again"), ({"write_docs": True, "only": ["startup-time"]}, "--only: says nothing"),
    ({"again": "x", "out": "y", "only": ["startup-time"]}, "has every claim")])
def test_options_that_would_say_nothing_are_refused(made, options, names):
    with pytest.raises(UsageError, match=names):
        made(**{"out": None, "build": None} | options)


def test_a_run_that_ended_early_is_no_success_when_judged_again(made, tmp_path, capsys):
    """It said "0 claims: ." and ended with 0."""
    assert made("startup-memory", starts=a_run(error=PoolmarkError("the broker fell over"))) == 1
    assert made(again=str(tmp_path / "run")) == 1
    assert "1 claim without a measurement" in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_table_and_is_told(made, tmp_path, monkeypatch, capsys):
    real = Path.write_text

    def full(self, *args, **kwargs):
        if self.name == "claims.html":
            real(self, "half", encoding="utf-8")
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    assert made("startup-memory") == 1
    run = load(tmp_path / "run")
    assert run.data["status"] == "incomplete" and [one["what"] for one in run.data["anomalies"]] == ["disk"] and run.sealed
    assert not (tmp_path / "run/claims.html").exists() and "claims.html: cannot be written: No space" in capsys.readouterr().err


def test_two_runs_have_the_same_verdicts_or_say_that_they_cannot_tell(made, tmp_path, capsys):
    """The second of two runs is compared with the first: noise is no contradiction, a verdict that turns around is one."""
    def slow(seconds):
        return a_run({"rows": [row | {"objects_start_s": seconds} for row in STARTS["rows"]], "fixed_objects": 100_000})

    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert made("startup-memory", "startup-time", out=first) == 0
    assert made("startup-memory", "startup-time", out=second, beside=first) == 0
    assert "2 claims are in both runs: 2 with the same verdict" in capsys.readouterr().err
    assert made("startup-time", starts=slow(0.97), out=str(tmp_path / "noisy"), beside=first) == 0
    assert "startup-time: too noisy to tell; " in capsys.readouterr().err
    assert made("startup-time", starts=slow(7.5), out=str(tmp_path / "slow"), beside=first) == 1
    assert "! startup-time: does not hold; " in capsys.readouterr().err
    assert made(again=second, beside=first) == 0 and made(again=second, beside=str(tmp_path / "slow")) == 1
    assert made("startup-memory", out=str(tmp_path / "other"), beside=str(tmp_path / "slow")) == 1  # no claim is in both


def forged(folder, name, before, after):
    """The faults of the record after an edit of a file, with a new list of files and a new seal."""
    text = (folder / name).read_text(encoding="utf-8")
    assert before in text
    (folder / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    data["files"] = records.files_of(folder)
    (folder / "run.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    records.seal(folder)
    return complaints(load(folder))[0]


def test_verify_judges_the_values_again(made, tmp_path):
    assert made("startup-memory", "startup-time") == 0
    wrong, account = complaints(load(tmp_path / "run"))
    assert wrong == [] and account.count == 2 and account.tables == 2 and account.left == {claims_again.LIVE: ["starts: values"]}


@pytest.mark.parametrize(("name", "before", "after", "told"), [
    ("runs/starts/values.json", "0.03", "7.5", "claim startup-time: "), ("claims.md", "| **holds** |", "| **fails** |", "claims.md: "),
    ("run.json", '"verdict": "holds"', '"verdict": "does not hold"', "verdict: the record says 'does not hold', its values give 'holds'"),
    ("run.json", '"value": 3.900002', '"value": 2.9', "claim.startup-memory: the metric is not what the values give")])
def test_an_edit_of_a_verdict_or_a_value_is_noticed_with_a_new_seal(made, tmp_path, name, before, after, told):
    assert made("startup-memory", "startup-time") == 0
    assert any(told in text for text in forged(tmp_path / "run", name, before, after))


def test_values_are_compared_as_far_as_raw_files_give_them():
    values = {"rows": [{"added_bytes": 5, "to": [2, 3]}, {"added_bytes": 6, "to": [2, 3]}], "seconds": 3}
    made = {"rows": [{"to": [2, 3]}, {"to": [2, 3]}]}
    assert claims_again.agrees(values, made) and claims_again.not_made(values, made, "x") == ["x.rows.added_bytes", "x.seconds"]
    for other in ({"rows": [{"to": [2, 4]}, {"to": [2, 3]}]}, {"rows": [{"to": [2, 3]}]}, {"rows": [{"to": [2, True]}] * 2}):
        assert not claims_again.agrees(values, other)


def test_a_wrong_call(made, poolmark, tmp_path):
    with pytest.raises(UsageError, match="there is no such claim"):
        made("nothing")
    done = poolmark("claims", "--only", "nothing", "--only", "startup-tme")
    assert done.returncode == 2 and "--only nothing: there is no such claim; there are 43: scripts/poolmark claims --list" in done.stderr
    assert "--only startup-tme: there is no such claim; did you mean 'startup-time'?" in done.stderr
    (tmp_path / "run").mkdir()
    (tmp_path / "run/file").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        made("startup-time")


def test_a_dry_run_tells_the_runs_and_their_time_within_40_minutes(made, capsys, tmp_path):
    assert made(dry_run=True) == 0
    told = capsys.readouterr()
    assert "starts" in told.out and "43 claims" in told.err and not (tmp_path / "run").exists()
    work = SimpleNamespace(quick=False, repetitions=5)
    assert sum(one.seconds(work) for one in measured.all_sources().values()) < 40 * 60


def test_text_of_a_claim_is_escaped(tmp_path):
    one = verdict.judge(claim(says="<script>|x"), Measured((1.5,) * 3, "<b>why|"))
    measures = {"x": measured.Measure("x", (), None)}
    assert "<script>" not in tables.as_html([one], [], measures, {}, []) and "<script>" not in tables.as_markdown([one], [], measures, {}, [])
    assert "\\|" in tables.as_markdown([one], [], measures, {}, [])


# --- one real run

def test_a_real_run_measures_the_claims_of_a_start(poolmark, tmp_path):
    done = poolmark("claims", "--quick", "--only", "expansion-trigger", "--only", "startup-time", "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    found = {one["id"]: one for one in json.loads(done.stdout)["summary"]["claims"]}
    assert found["expansion-trigger"]["sequence"] == [819, 1228, 1843] and found["expansion-trigger"]["verdict"] == "holds"
    assert 0 < found["startup-time"]["value"]
    verified = poolmark("verify", tmp_path / "run")
    assert verified.returncode == 0 and "read from live programs" in verified.stdout
    wrong = forged(tmp_path / "run", "runs/expansions/values.json", "1843", "1844")
    assert any(text.startswith("expansions: rows: values.json is not what the raw files") for text in wrong)
    assert forged(tmp_path / "run", "runs/expansions/values.json", "1844", "1843") == []
    assert poolmark("claims", "--again", tmp_path / "run").returncode == 0


def test_an_interrupted_run_keeps_what_was_measured(made, tmp_path, monkeypatch, capsys):
    def interrupted(work):
        raise Interrupted(signal.SIGTERM)

    real = measured.all_sources()
    monkeypatch.setattr(measured, "all_sources", lambda: real | {"expansions": Source("expansions", "made", lambda work: 1.0, interrupted)})
    assert made("startup-memory", "expansion-trigger") == 128 + signal.SIGTERM
    run = load(tmp_path / "run")
    assert run.data["status"] == "incomplete" and run.sealed and run.data["anomalies"][0]["what"] == "interrupted"
    assert [one["verdict"] for one in run.data["summary"]["claims"]] == ["holds", "not measured"]
    assert "The run expansions gave no values: interrupted by SIGTERM" in capsys.readouterr().out
