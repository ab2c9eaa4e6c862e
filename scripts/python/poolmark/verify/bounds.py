# SPDX-License-Identifier: Apache-2.0
"""Figures that no file gives again, and that other figures and files leave only so much room.

    of_broker(run)                  {metric: Bound} of a broker's own record
    of_load(run, latencies)         the same of a load's; `latencies`: the figures of its latency.hlog
    of_cell(folder, cell)           texts: figures of a cell's broker that the readings of its generators contradict

A bound has room for what two readings of one thing may differ by, so a figure outside of it is wrong. One inside of it is not
proven: `verify` names it as checked against bounds alone.
"""
import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from poolmark.base.curves import read_csv
from poolmark.base.forms import CellData, RecordData, Row, value_of
from poolmark.base.units import show_number
from poolmark.records.read_record import Run, load
from poolmark.verify.expected import spoiled

MIB = 1 << 20
LONG_TURN_NS = 10_000_000       # broker/net/turn_times.h
INSTANCE_BYTES = 4 * MIB        # broker/bounds.c: of the broker's own, at least
PORTS_ATTEMPTS = 16             # loadgen/ports.h: ports of its own that a connect tries
REST_S = 0.15                   # loadgen/strangers.h: the least time that a share of a pause is taken over
BUSY_SHARE = 0.005              # the same: from there on the target is busy
CONNECT_BYTES, CONNACK_BYTES, PUBLISH_BYTES = 14, 4, 5      # the shortest of their kind; PUBLISH without topic and payload
PRINTED = re.compile(r"memory is bounded by ([0-9.]+) (B|KiB|MiB|GiB|TiB):")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
OF_THREE_DIGITS = 0.006         # half of the last of three digits, and some


class Bound(NamedTuple):
    least: float
    most: float
    why: str

    def told(self, value: float | None) -> str:
        """What is wrong with the value; "" when it is inside. A figure without a value is not judged."""
        if value is None or self.least <= value <= self.most:
            return ""
        side = f"at most {show_number(self.most)}" if value > self.most else f"at least {show_number(self.least)}"
        return f"the record says {show_number(value)}, and it can be {side}: {self.why}"


def _rows(run: Run, name: str, text_columns: tuple[str, ...]) -> list[Row]:
    path = run.folder / name
    return read_csv(path, text_columns) if path.is_file() and name not in spoiled(run.data) else []


def _highest(rows: list[Row], column: str) -> float:
    return max((row[column] for row in rows if row.get(column) is not None), default=0)


def _less(resident_bytes: float) -> float:
    """The least that VmHWM may say of memory that was resident: the kernel adds pages up in batches for each processor."""
    return max(0.0, 0.98 * resident_bytes - 4 * MIB)


def _seconds(data: RecordData) -> float:
    try:
        first, last = (datetime.fromisoformat(str(data.get(key)).replace("Z", "+00:00")) for key in ("started_utc", "ended_utc"))
    except ValueError:
        return math.inf
    return (last - first).total_seconds()


# --- a broker ----------------------------------------------------------------------------------------------------


def _held(pools: list[Row]) -> float:
    """The most that connections held at once, by pools.csv. An object is out of the account a moment before it is back in the pool."""
    return max((max(0.0, 0.95 * row["in_use"] - 64) * row["object_bytes"] for row in pools
                if row.get("pool") == "connections" and row.get("in_use") is not None and row.get("object_bytes") is not None), default=0.0)


def _owned(pools: list[Row]) -> float:
    """The most that all pools owned at once."""
    sums: dict[int, float] = {}
    for row in pools:
        if row.get("at_ns") is not None:
            sums[row["at_ns"]] = sums.get(row["at_ns"], 0) + (row.get("bytes_owned") or 0)
    return max(sums.values(), default=0.0)


def _printed_bound(folder: Path) -> Bound | None:
    """The bound as the broker printed it at its start, in three digits; its output is beside its folder."""
    log = folder.parent / f"{folder.name}.log"
    found = PRINTED.search(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    if not found:
        return None
    told = float(found[1]) * UNITS[found[2]]
    return Bound(told * (1 - OF_THREE_DIGITS), told * (1 + OF_THREE_DIGITS), f"the broker printed {found[1]} {found[2]} ({log.name})")


def _memory_bound(run: Run) -> Bound | None:
    limit = run.data.get("config", {}).get("memory_limit_bytes")
    if not isinstance(limit, int):
        return None
    return _printed_bound(run.folder) or Bound(limit + INSTANCE_BYTES if limit else 0, math.inf,
                                               "the limit for clients, and what the broker has of its own")


def of_broker(run: Run) -> dict[str, Bound]:
    data, found = run.data, dict[str, Bound]()
    limit, counters = data.get("config", {}).get("memory_limit_bytes"), data.get("counters") or {}
    pools, accounts = _rows(run, "pools.csv", ("pool", "strategy")), _rows(run, "account.csv", ("moment",))
    bound = value_of(data.get("metrics", {}), "broker.memory_bound_bytes")
    most = math.inf if bound is None or _owned(pools) > bound else bound
    found["broker.memory_peak_bytes"] = Bound(_held(pools), most, "its connections held the least by pools.csv, and the most is its bound")
    machine = (data.get("host") or {}).get("memory_bytes")
    found["broker.memory_highest_bytes"] = Bound(_less(_highest(accounts, "pss_bytes")), machine if isinstance(machine, int) else math.inf,
                                                 "account.csv has readings of it, and the host has so much")
    if (by_limit := _memory_bound(run)) is not None:
        found["broker.memory_bound_bytes"] = by_limit
    found["broker.memory_refused"] = Bound(0, 0 if limit == 0 else math.inf, "there is no --memory-limit")
    if isinstance(turns := counters.get("long_turns"), int):
        found["broker.longest_turn_ns"] = Bound(LONG_TURN_NS if turns else 0, (_seconds(data) + 2) * 1e9 if turns else LONG_TURN_NS,
                                                f"its counters have {turns} turns of more than 10 ms")
    found["broker.turn_work"] = Bound(1 if counters.get("accepted") else 0, math.inf, "it took connections")
    return found


# --- a load ------------------------------------------------------------------------------------------------------


def _attempted(data: RecordData) -> float:
    """Connects that were begun, those of probes and again too; of books in parts (a mix) the line of the run."""
    books: Mapping[str, Mapping[str, Any]] = data.get("books") or {}
    begun = sum((books.get(source) or {}).get("attempted") or 0 for source in ("connects", "probe_connects", "arrivals"))
    return begun + sum(value_of(data.get("metrics", {}), f"{name}.retries") or 0 for name in ("connect", "arrivals"))


def _censored(data: RecordData, latencies: Mapping[str, float | None]) -> dict[str, Bound]:
    """Latencies from the beginning of an act: of those that did not end, the samples that the figure from the intended time has too."""
    found = dict[str, Bound]()
    for name in data.get("metrics", {}):
        kind, _, last = name.rpartition(".")
        if last != "censored" or not kind.endswith("_uncorrected"):
            continue
        whole = value_of(data["metrics"], f"{kind.removesuffix('_uncorrected')}.censored")
        samples = latencies.get(f"{kind}.count")
        most = min(math.inf if one is None else one for one in (whole, samples))
        found[name] = Bound(0, most, "so many acts did not end, by the figure from the intended time or by latency.hlog")
    return found


def _bytes(data: RecordData) -> dict[str, Bound]:
    """What complete runs must have carried: a CONNECT and CONNACK of each client, and each message."""
    def value(name: str) -> float:
        return value_of(data.get("metrics", {}), name) or 0

    payload, form = (data.get("config", {}).get(name) for name in ("payload_bytes", "payload"))
    of_one_size = not isinstance(form, dict) or form.get("mean_bytes") == payload
    each = PUBLISH_BYTES + (payload if isinstance(payload, int) and of_one_size else 0)
    why = "the connects and messages that it counts take so many"
    if data.get("status") != "complete":
        return {name: Bound(0, math.inf, why) for name in ("clients.bytes_sent", "clients.bytes_received")}
    return {"clients.bytes_sent": Bound(CONNECT_BYTES * value("clients.connected") + each * value("messages.sent"), math.inf, why),
            "clients.bytes_received": Bound(CONNACK_BYTES * value("clients.connected") + each * value("messages.received"), math.inf, why)}


def _idle(run: Run) -> Bound:
    """A share of a processor, over a slice of a pause: the target cannot have used more CPU time in it than in its life."""
    cores = (run.data.get("host") or {}).get("cores")
    used = _highest(_rows(run, "memory.csv", ("phase",)), "target_cpu_ns") / 1e9
    busy = any(one.get("what") == "target_busy" for one in run.data.get("anomalies", []))
    most = min(cores if isinstance(cores, (int, float)) else math.inf, used / REST_S if used else math.inf)
    return Bound(BUSY_SHARE if busy else 0, max(most, 0.01), "the CPU time of the target by memory.csv, the host's processors, and whether it is called busy")


def of_load(run: Run, latencies: Mapping[str, float | None]) -> dict[str, Bound]:
    return {"network.ports_passed_over": Bound(0, PORTS_ATTEMPTS * _attempted(run.data), "a connect tries 16 ports of its own"),
            "cpu.idle_share": _idle(run), **_censored(run.data, latencies), **_bytes(run.data),
            **{f"generator.busiest_{name}": Bound(0, 1.05, "it is a share of the time") for name in ("ran", "waited")}}


# --- both --------------------------------------------------------------------------------------------------------


def of_cell(folder: Path, cell: CellData) -> list[str]:
    """Of a cell with one broker: resident memory that its generators read."""
    if not (folder / "broker/run.json").is_file() or (folder / "broker-2").exists():
        return []
    highest = value_of(load(folder / "broker").data.get("metrics", {}), "broker.memory_highest_bytes")
    read = 0.0
    for phase in cell.get("phases") or []:
        if (folder / phase["folder"] / "run.json").is_file():
            read = max(read, _highest(_rows(load(folder / phase["folder"]), "memory.csv", ("phase",)), "target_rss_bytes"))
    text = Bound(_less(read), math.inf, "memory.csv has readings of it").told(highest)
    return [f"{cell['id']}: broker.memory_highest_bytes: {text}"] if text else []
