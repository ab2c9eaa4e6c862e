# SPDX-License-Identifier: Apache-2.0
"""The verdict of a trial, from the files that the generator left. verify computes it again from the same files.

    found = judge(folder, "publish", bounds, cell["anomalies"])
    found["verdict"], found["by"], found["why"]         "failed", "target", ["delivery.p99 31.2 ms, bound 20 ms"]

    held       the bounds were held, the rate was had, and nothing was lost
    failed     by the target: the reasons are in `why`
    limited    not held, and the generator or the host may be the reason (`by`)
    nothing    nothing was measured, or samples are missing that may not have held

A latency counts from the intended time, so it has the generator's lag in it. A bound that was missed is the target's failure even when
the generator was late, if the lag cannot explain it: the share of messages above bound + x, less the share of those that were sent more
than x late, is more than the bound allows, for some x. So many messages took longer than the bound from when they were sent. This is no
proof where the generator did not read in time, since a delivery ends when it is read. Nor is it where the host had no processor left for
the generator, or gave it to other programs: the target may have had none either.
"""
from bisect import bisect_right
from pathlib import Path
from typing import Any

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import AnomalyData, value_of
from poolmark.base.units import show_count, show_ns
from poolmark.limits.bounds import Bound
from poolmark.limits.search import FAILED, HELD, LIMITED, NOTHING, TARGET
from poolmark.records import hlog
from poolmark.records.read_record import Run, load

LATE_NS = 1e6               # as loadgen/limit.c
# A rate was missed when its acts took longer than the schedule by a twentieth and 0.1 s: as loadgen/scenarios/orders.c.
MISSED_SHARE, MISSED_S = 0.05, 0.1
GENERATOR, HOST, OTHERS = "generator", "host", "others"
# Counts that must be 0, and what they count. A test compares them with the faults of the catalogue.
LOSSES = {"clients.failed": "clients did not connect", "clients.dropped": "clients lost their connection",
          "messages.not_sent": "messages were due and not sent", "messages.lost": "messages did not arrive",
          "messages.corrupt": "messages arrived with another content", "messages.misdelivered": "messages arrived at the wrong clients",
          "messages.duplicates_excluded": "messages arrived a second time, which their QoS excludes",
          "messages.out_of_order": "messages arrived after a later one of the same publisher",
          "messages.qos_changed": "messages arrived at another QoS than was asked for",
          "messages.topic_changed": "messages arrived under another topic than they were published to",
          "messages.retain_changed": "messages arrived with another RETAIN flag than MQTT gives them",
          "clients.qos_changed": "subscriptions were granted another QoS than was asked for",
          "clients.session_unasked": "clean sessions were answered by session present",
          "messages.unacknowledged": "messages were not acknowledged",
          "messages.unfinished": "messages were on their way when the run ended early"}
# Reasons of failed clients that are of the generator's own side (loadgen/tally.c).
OWN_REASONS = {"no_port", "no_source", "no_descriptor", "no_memory", "stalled", "worker_died", "not_started"}
# scenario -> metrics of the rate: asked, had, and the seconds it took.
RATES = {"publish": ("messages.rate_asked", "messages.rate", "messages.seconds"),
         "connect": ("connect.rate_asked", "connect.rate", "connect.seconds")}


class Load:
    """What a trial's generator left."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self.run: Run = load(folder)
        self.scenario, self.data = scenario, self.run.data
        path = folder / "latency.hlog"
        self.latencies = hlog.by_tag(hlog.read(path)) if path.is_file() else {}

    def value(self, name: str) -> float | None:
        return value_of(self.data.get("metrics", {}), name)

    def anomaly(self, what: str) -> str | None:
        """The text of its first anomaly of that name."""
        return next((one["text"] for one in self.data.get("anomalies", []) if one["what"] == what), None)

    def reasons(self) -> dict[str, int]:
        """Clients that failed or were dropped, by reason."""
        summary = self.data.get("summary") or {}
        found: dict[str, int] = {}
        for what in ("failed", "dropped"):
            for name, count in (summary.get(what) or {}).items():
                found[name] = found.get(name, 0) + count
        return found

    def due_s(self) -> float | None:
        """How long the acts of the schedule should have taken."""
        config = self.data.get("config", {})
        if self.scenario == "publish":
            return config["duration_ns"] / 1e9 if config.get("duration_ns") else None
        rate = config.get("rate_per_s")
        return config.get("connections", 0) / rate if rate else None


class Tail:
    """How many values of a histogram are above a value. A bucket that holds it counts as below."""

    def __init__(self, histogram: hlog.Histogram) -> None:
        steps, self.count = histogram.steps(), histogram.count
        self._lowest = [histogram.highest_of(index - 1) + 1 if index else 0 for index in sorted(histogram.counts)]
        self._above = [self.count, *(self.count - seen for _, seen in steps)]

    def share(self, value: float) -> float:
        return self._above[bisect_right(self._lowest, value)] / self.count


def beyond_lag(latency: hlog.Histogram, lag: hlog.Histogram | None, bound: Bound) -> bool:
    """Whether more messages than the bound allows took longer than it from when they were sent."""
    allowed, tail = 1 - bound.percent / 100, Tail(latency)
    if lag is None or not lag.count:
        return tail.share(bound.most_ns) > allowed
    for late_ns, seen in lag.steps():
        above = tail.share(bound.most_ns + late_ns)
        if above - (1 - seen / lag.count) > allowed:
            return True
        if above <= allowed:        # it only falls
            return False
    return False


def read_late(found: Load) -> str:
    """How the generator failed to read in time, or did not run at all for a while; "" where it did."""
    return found.anomaly("late_receiver") or found.anomaly("stalled") or ""


def not_the_target(found: Load, anomalies: list[AnomalyData]) -> tuple[str, str]:
    """(who else was the limit, why); ("", "") for nobody else."""
    for what in ("throttled", "busy", "target_stopped", "other_clients"):
        text = next((one["text"] for one in anomalies if one["what"] == what), None)
        if text:
            return OTHERS, text
    limit = (found.data.get("summary") or {}).get("limit") or {}
    if limit.get("by") in (GENERATOR, HOST):
        return limit["by"], str(limit.get("why", ""))
    if text := read_late(found):
        return GENERATOR, text
    reasons = found.reasons()
    if reasons and set(reasons) <= OWN_REASONS:
        return GENERATOR, f"clients failed for reasons of this side: {', '.join(sorted(reasons))}"
    late_ns = found.value("schedule.lag_p99") or found.value("schedule.lag_max") or 0
    if late_ns > LATE_NS:
        return GENERATOR, f"1 act of 100 came more than {show_ns(late_ns)} late"
    return "", ""


def _lost(found: Load) -> list[tuple[str, bool]]:
    told = []
    for name, text in LOSSES.items():
        count = found.value(name) or 0
        if count > 0:
            why = f" ({', '.join(sorted(found.reasons()))})" if name.startswith("clients.") and found.reasons() else ""
            told.append((f"{show_count(count)} {text}{why}", False))
    return told


def _missed_rate(found: Load) -> list[tuple[str, bool]]:
    asked, had, seconds = (found.value(name) for name in RATES[found.scenario])
    due_s = found.due_s()
    if had is None or seconds is None or due_s is None:
        return [(f"it ended early: {found.anomaly('broken') or 'no rate was measured'}", False)]
    if seconds > due_s * (1 + MISSED_SHARE) + MISSED_S:
        return [(f"{show_count(had)} a second were had, {show_count(asked)} asked for", False)]
    return []


def _missed_bounds(found: Load, bounds: list[Bound]) -> list[tuple[str, bool]]:
    told = []
    for bound in bounds:
        latency = found.latencies.get(bound.latency)
        value = latency.known_percentile(bound.percent) if latency else None
        if latency and value is not None and value > bound.most_ns:
            told.append((f"{bound.name} {show_ns(value)}, bound {show_ns(bound.most_ns)}",
                         beyond_lag(latency, found.latencies.get("lag"), bound)))
    return told


def _unmeasured(found: Load) -> str:
    """Why the trial measured nothing; "" when it did."""
    if found.data["status"] == "running":
        return "the generator did not end its record"
    if found.anomaly("interrupted") is not None:
        return "interrupted"
    if not found.value("clients.connected") and found.anomaly("target_ended") is None:
        return f"no client connected: {', '.join(sorted(found.reasons())) or found.anomaly('broken') or 'no reason is known'}"
    return ""


def _not_whole(found: Load, anomalies: list[AnomalyData]) -> str:
    """Why nothing can be said though no failure is seen: what is missing may be one. "" where nothing is missing."""
    counted = next((one["text"] for one in anomalies if one["what"] == "not_reached"), "")
    if counted or found.data["status"] == "complete":
        return counted
    return f"its record is {found.data['status']}: {found.anomaly('books') or found.anomaly('broken') or 'samples are missing'}"


def _too_few(found: Load, bounds: list[Bound]) -> str:
    for bound in bounds:
        latency = found.latencies.get(bound.latency)
        if latency is None or latency.known_percentile(bound.percent) is None:
            return f"{show_count(latency.count if latency else 0)} samples are too few for {bound.name}"
    return ""


def _result(verdict: str, by: str, why: list[str]) -> dict[str, Any]:
    return {"verdict": verdict, "by": by, "why": why}


def _decide(found: Load, bounds: list[Bound], anomalies: list[AnomalyData]) -> dict[str, Any]:
    if why := _unmeasured(found):
        return _result(NOTHING, "", [why])
    ended = found.anomaly("target_ended")
    reasons = ([(f"the target ended: {ended}", True)] if ended is not None else []) + _lost(found) + _missed_rate(found) \
        + _missed_bounds(found, bounds)
    if not reasons:
        few = _not_whole(found, anomalies) or _too_few(found, bounds)
        return _result(NOTHING, "", [few]) if few else _result(HELD, "", [])
    by, other = not_the_target(found, anomalies)
    told = [text for text, _ in reasons]
    excused = by in (HOST, OTHERS) or by == GENERATOR and (read_late(found) != "" or not any(beyond for _, beyond in reasons))
    if excused and ended is None:
        return _result(LIMITED, by, [*told, other])
    return _result(FAILED, TARGET, told)


def judge(folder: Path, scenario: str, bounds: list[Bound], anomalies: list[AnomalyData]) -> dict[str, Any]:
    """verdict, by, why, had, lost, lag_p99_ns, latencies {bound: ns} and limit {by, why} of a trial. `anomalies`: its cell's."""
    empty: dict[str, Any] = {"had": None, "lost": None, "lag_p99_ns": None, "latencies": {}, "limit": None}
    try:
        found = Load(folder, scenario)
    except PoolmarkError:
        return _result(NOTHING, "", ["the generator left no record that can be read"]) | empty
    latencies = {bound.name: found.latencies[bound.latency].known_percentile(bound.percent)
                 for bound in bounds if bound.latency in found.latencies}
    return _decide(found, bounds, anomalies) | {
        "had": found.value(RATES[scenario][1]), "lost": sum(found.value(name) or 0 for name in LOSSES),
        "lag_p99_ns": found.value("schedule.lag_p99"), "latencies": latencies,
        "limit": (found.data.get("summary") or {}).get("limit")}
