# SPDX-License-Identifier: Apache-2.0
"""Anomalies that a load's record must have by its own figures, and the size of a run by its books. A record without them was changed, and
sealed anew.

    missing(record)             texts: figures that demand an anomaly which the record does not have
    other_size(record)          texts: a configuration of other connections than its books have
    beside_phase(cell, phase, load)
                                texts: anomalies of a phase's record that its cell does not have, and connections of neither

The rules are those of loadgen/summary.c, summary_surroundings.c and loadgen/scenarios.
"""
from poolmark.base.forms import CellData, PhaseData, RecordData, value_of
from poolmark.records.read_record import has_seals
from poolmark.verify.entries import is_counted

MANY = "many"           # base/record.c: there were more anomalies than a record keeps
LATE_NS = 1_000_000     # loadgen/summary.c: an act later than that is late
SYN_AGAIN_NS, ACK_AGAIN_NS = 950_000_000, 190_000_000   # loadgen/connects.h: a faster connect had no packet dropped
# Metric that is above 0 -> the anomaly beside it.
ABOVE_ZERO = {
    "arrivals.failed": "away", "arrivals.not_sent": "not_sent", "clients.failed": "failed", "clients.dropped": "dropped",
    "messages.corrupt": "corrupt", "messages.misdelivered": "misdelivered", "messages.duplicates_excluded": "duplicates_excluded",
    "messages.out_of_order": "out_of_order", "messages.topic_changed": "topic_changed", "messages.retain_changed": "retain_changed",
    "clients.session_unasked": "session_unasked", "generator.throttled_ns": "throttled", "cpu.throttled_ns": "throttled", "slow.closed": "slow_closed",
}
# The same, where a scenario publishes as its purpose.
OF_PUBLISH = {"messages.lost": "lost", "messages.not_sent": "not_sent", "messages.unfinished": "unfinished",
              "messages.unacknowledged": "unacknowledged", "messages.duplicates": "duplicates"}
SIZED = ("connect", "publish", "churn", "storm", "burst", "steps", "mix")     # scenarios whose connects are all of books.connects


def _value(record: RecordData, name: str) -> float:
    value = value_of(record.get("metrics", {}), name)
    return value if isinstance(value, (int, float)) else 0


def demanded(record: RecordData) -> dict[str, str]:
    """{anomaly: the figure that demands it}."""
    found: dict[str, str] = {}

    def demand(what: str, name: str) -> None:
        found.setdefault(what, f"{name} is {_value(record, name):.10g}")

    rules = ABOVE_ZERO | (OF_PUBLISH if record.get("config", {}).get("scenario") == "publish" else {})
    for name, what in rules.items():
        if _value(record, name) > 0:
            demand(what, name)
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    for name in ("messages.qos_changed", "clients.qos_changed"):
        if _value(record, name) > 0 and "qos_raised" not in told:
            demand("qos_lowered", name)
    if record.get("target_stops"):
        found["target_stopped"] = "target_stops has times in which the target stood still"
    if beside := record.get("config", {}).get("beside"):
        found["beside"] = f"config.beside is {beside!r}"
    p99 = value_of(record.get("metrics", {}), "schedule.lag_p99")
    name = "schedule.lag_p99" if p99 is not None else "schedule.lag_max"    # of fewer than 100 acts the latest decides
    if _value(record, name) > LATE_NS:
        demand("late", name)
    slowest_ns = max(_value(record, f"{name}_uncorrected.max") for name in ("connect", "arrival"))
    for name in ("network.listen_overflows", "network.listen_drops"):
        if _value(record, name) > 0 and slowest_ns >= ACK_AGAIN_NS:
            demand("accept_queue", name)
    if "accept_queue" not in found and _value(record, "network.syn_retransmits") > 0 and slowest_ns >= SYN_AGAIN_NS:
        demand("retransmits", "network.syn_retransmits")
    for more in (_of_figures(record), _of_summary(record)) if is_counted(record) else ():
        for what, why in more.items():
            found.setdefault(what, why)
    if is_counted(record) and _of_schedule(record):
        found.setdefault("rate", "its acts took longer than their schedule")
    return found


# Figures whose value is missing without a word: an anomaly of these names says why, and begins with the figure's name.
OF_GROWTH = ("resolution", "served_before", "kernel_noise")
NO_GROWTH = {"memory.per_connection_bytes": "memory.per_connection_", "kernel.per_connection_bytes": "kernel.per_connection_bytes",
             "memory.per_subscription_bytes": "memory.per_subscription_bytes", "slow.memory_per_reader_bytes": "slow.memory_per_reader_bytes"}
SEE = "see the anomaly "
MISSED_SHARE, MISSED_S = 1.05, 0.1      # loadgen/scenarios/orders.c: a schedule that took longer missed its rate


def _of_figures(record: RecordData) -> dict[str, str]:
    """Anomalies by which a figure has no value, or a doubt."""
    found: dict[str, str] = {}
    for name, one in record.get("metrics", {}).items():
        why = str(one.get("why") or "")
        if why.startswith(SEE):
            found.setdefault(why.removeprefix(SEE), f"{name} has no value for that reason")
        if doubt := one.get("doubt"):
            found.setdefault(doubt, f"{name} has a doubt for that reason")
    return found


def _of_schedule(record: RecordData) -> bool:
    """Whether a constant schedule took so long that its rate was missed."""
    config = record.get("config", {})
    if record["status"] != "complete" or config.get("schedule", "constant") != "constant":
        return False
    if config.get("scenario") == "publish":
        due_ns, took = config.get("duration_ns"), "messages.seconds"
        due_s = due_ns / 1e9 if isinstance(due_ns, (int, float)) and config.get("publish_rate_per_s") else 0
    elif config.get("scenario") == "connect":
        rate, took = config.get("rate_per_s"), "connect.seconds"
        due_s = (config.get("connections") or 0) / rate if isinstance(rate, (int, float)) and rate > 0 else 0
    else:
        return False
    return due_s > 0 and _value(record, took) > 1.001 * (due_s * MISSED_SHARE + MISSED_S)


def _of_summary(record: RecordData) -> dict[str, str]:
    summary, found = record.get("summary") or {}, dict[str, str]()
    if summary.get("memory_is") in ("pss", "rss"):
        found["stand_in"] = f"summary.memory_is is {summary['memory_is']!r}"
    kept = summary.get("kept_sessions") or {}
    if (kept.get("start") or 0) > 0:
        found["kept_sessions"] = f"summary.kept_sessions.start is {kept['start']}"
    return found


def _untold(record: RecordData) -> list[str]:
    """Figures without a value that no anomaly tells of, and limits of the host."""
    anomalies = [(str(one.get("what")), str(one.get("text"))) for one in record.get("anomalies", []) if isinstance(one, dict)]
    wrong: list[str] = []
    for name, start in NO_GROWTH.items() if record["status"] == "complete" else ():
        one = record.get("metrics", {}).get(name)
        if one is not None and one["value"] is None and not one.get("why") and not any(
                what in OF_GROWTH and text.startswith(start) for what, text in anomalies):
            wrong.append(f"anomalies: {name} has no value, which is an anomaly 'resolution' or another of its name, and the record has none")
    for ceiling in (record.get("summary") or {}).get("ceilings") or []:
        text = f"{ceiling.get('name')}: {ceiling.get('text')}"
        if not any(what == "ceiling" and told.startswith(text[:900]) for what, told in anomalies):
            wrong.append(f"anomalies: summary.ceilings has {ceiling.get('name')}, which is an anomaly 'ceiling', and the record has none")
    return wrong


def _judged(record: RecordData) -> bool:
    return record.get("kind") == "load" and record.get("status") != "running" and has_seals(record)


def missing(record: RecordData) -> list[str]:
    if not _judged(record):
        return []
    told = {one.get("what") for one in record.get("anomalies", []) if isinstance(one, dict)}
    if MANY in told:
        return []
    return [f"anomalies: {figure}, which is an anomaly '{what}', and the record has none" for what, figure in demanded(record).items()
            if what not in told] + (_untold(record) if is_counted(record) else [])


def other_size(record: RecordData) -> list[str]:
    config, books = record.get("config", {}), record.get("books") or {}
    attempted, connections = books["connects"].get("attempted") if "connects" in books else None, config.get("connections")
    if not _judged(record) or str(config.get("scenario")) not in SIZED or not isinstance(attempted, int) or not isinstance(connections, int):
        return []
    come_later = {"burst": "burst", "mix": "later"}.get(config["scenario"], "burst")    # the key of clients that come by arrivals alone
    later, probes = (config.get(key) or 0 for key in (come_later, "probes"))
    if not isinstance(later, int) or not isinstance(probes, int):
        return [f"config: {come_later} is {later!r} and probes is {probes!r}; both are numbers"]
    given = connections - (later if config["scenario"] in ("burst", "mix") else 0) + probes
    return [] if given == attempted else [f"config.connections: the record says {connections}, and by it {given} connects were to be "
                                          f"attempted; its books have {attempted}"]


def beside_phase(cell: CellData, phase: PhaseData, load: RecordData) -> list[str]:
    """`load`: the phase's record. A suite gives its own connections to the phases that connect, unless the phase has an option."""
    ours, theirs = cell.get("config", {}).get("connections"), load.get("config", {}).get("connections")
    given = phase["scenario"] in ("connect", "steps") and "--connections" not in str(cell["config"].get("phases", "--connections"))
    size = [f"{cell['id']}: config.connections: the cell says {ours}, the record of phase {phase['name']} says {theirs}"] \
        if given and theirs is not None and ours != theirs else []
    return size + missing_in_cell(cell, phase, load)


def missing_in_cell(cell: CellData, phase: PhaseData, load: RecordData) -> list[str]:
    told = {(one.get("what"), one.get("text")) for one in cell.get("anomalies", []) if isinstance(one, dict)}
    return [f"{cell['id']}: anomalies: the record of phase {phase['name']} has '{one['what']}', and the cell does not"
            for one in load.get("anomalies", []) if (one["what"], f"{phase['name']}: {one['text']}") not in told]
