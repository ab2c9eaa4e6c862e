# SPDX-License-Identifier: Apache-2.0
"""Computes every metric of a record again from its raw files. verify and report compare the record with the result.

    account = again(run)
    account.wrong        texts: metrics that the files contradict, files that cannot be read
    account.count        metrics that were computed again and are the same
    account.tables       tables beside the record that are as run.json gives them (derived.py)
    account.left         {reason: names} of metrics that no file of the record gives

The rules are those that made the record: measures.py for suites, bench_results.py for benchmarks, hlog.py for percentiles. Figures
that the generator computes in C are computed here from latency.hlog and memory.csv. Counts of a program (clients, messages) are
in no other file; they are checked against each other (counts.py). What is in no equation either is left as COUNTED.
"""
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from poolmark.records import accounts, attacked, bare, measures, raw_data, trend
from poolmark.records.hlog import PERCENTILES
from poolmark.records.hlog import figures as latency_figures
from poolmark.base.curves import LEVEL_BYTES, LEVEL_SHARE, SOCKET_BYTES, USER_COLUMNS, MemoryCurve, kernel_bytes, read_csv
from poolmark.account import kernel
from poolmark.base.errors import PoolmarkError, RecordError
from poolmark.base.forms import CellData, Metrics, PhaseData, RecordData, Row, value_of
from poolmark.records.read_record import Run, load
from poolmark.records.record import metric as make_metric
from poolmark.base.units import show_number, whole
from poolmark.verify import above, absent, anomalies, bench_again, bounds, counters, derived, due, entries, inside, kernel_counts, searches, soaks
from poolmark.verify.account import ABSENT, COUNTED, OLDER, SPOILED, UNKNOWN, UNNAMED, Account, against, beside_catalogue, lacks
from poolmark.verify.counts import book_complaints, count_complaints, count_figures, decided
from poolmark.verify.expected import base_of, lacking, nested, spoiled
from poolmark.verify.withheld import Withheld, in_cell, wrong_doubts

Figures = dict[str, list[float | None]]     # metric -> its value by each definition that a record may follow
TEXT_COLUMNS = ("pool", "strategy", "event", "moment")


# --- a load's own record -----------------------------------------------------------------------------------------


def _slope(low: float | None, high: float | None, connections: float) -> float | None:
    return None if low is None or high is None or connections <= 0 else (high - low) / connections


def _grown(low: Row, full: Row, column: str, count: float | None = None) -> float | None:
    """As loadgen/summary.c: None when the growth is within the difference of two readings of a level target.
    For each new connection, or each of `count`."""
    first, last = low.get(column), full.get(column)
    if first is None or last is None or last - first <= 2 * max(LEVEL_BYTES, int(last * LEVEL_SHARE)):
        return None
    return _slope(first, last, (full["connections"] or 0) - (low["connections"] or 0) if count is None else count)


def connects_cpu(steps: Path, start: Row, full: Row, connections: int) -> float | None:
    """CPU time of a connection. A run in steps does something else between its connects; records from before the column
    `connects_cpu_ns` have that in the figure too."""
    rows = read_csv(steps, ("phase",)) if steps.is_file() else []
    if not rows or "connects_cpu_ns" not in rows[0]:
        return _slope(start.get("target_cpu_ns"), full.get("target_cpu_ns"), connections)
    parts = [row["connects_cpu_ns"] for row in rows]
    return None if None in parts else _slope(0, sum(parts), connections)


def memory_figures(path: Path, record: RecordData) -> Figures:
    """Figures from the readings that the record names."""
    curve = MemoryCurve(path)
    start, low, full = (curve.reading(record, name) for name in ("start", "low", "full"))
    if start is None or full is None:
        return {}
    found: Figures = {}
    connections = (full["connections"] or 0) - (start["connections"] or 0)
    for kind in ("private", "pss", "rss"):
        column = f"target_{kind}_bytes"
        for name, reading in (("start", start), ("full", full)):
            found[f"memory.{name}_{kind}_bytes"] = [reading.get(column)]
        found[f"memory.per_connection_{kind}_bytes"] = [_grown(low, full, column)] if low is not None and low.get(column) is not None else []
    user = next((name for name in USER_COLUMNS if full.get(name) is not None), USER_COLUMNS[-1])
    after = curve.reading(record, "after")
    if after is not None:
        found |= {"memory.after_bytes": [after.get(user)],
                  "memory.peak_bytes": [max((row[user] for row in curve.rows if row.get(user) is not None), default=None)]}
        arrived = value_of(record.get("metrics", {}), "arrivals.count")
        if arrived and after.get("target_cpu_ns") is not None and full.get("target_cpu_ns") is not None:
            found["cpu.per_arrival_ns"] = [(after["target_cpu_ns"] - full["target_cpu_ns"]) / arrived]
        added, removed = (value_of(record.get("metrics", {}), f"subscriptions.{name}") for name in ("added", "removed"))
        if added is not None and removed is not None and added + removed and after.get("target_cpu_ns") is not None and full.get("target_cpu_ns") is not None:
            found["cpu.per_change_ns"] = [(after["target_cpu_ns"] - full["target_cpu_ns"]) / (added + removed)]
    before, slow, readers = curve.reading(record, "before"), curve.reading(record, "slow"), record.get("config", {}).get("slow_readers")
    if before is not None and slow is not None and readers:
        found |= {"slow.memory_per_reader_bytes": [_grown(before, slow, user, readers)],
                  "slow.tcp_per_reader_bytes": [_slope(before.get("kernel_tcp_bytes"), slow.get("kernel_tcp_bytes"), readers)]}
    subscribed = curve.reading(record, "subscribed")
    if subscribed is not None:
        standing = value_of(record.get("metrics", {}), "subscriptions.standing")
        found |= {"memory.subscribed_bytes": [subscribed.get(user)],
                  "memory.per_subscription_bytes": [_grown(full, subscribed, user, standing or 0)]}
        if each := value_of(record.get("metrics", {}), "memory.per_subscription_bytes"):
            found["subscriptions.standing"] = [_slope(full.get(user), subscribed.get(user), each)]
    found |= {"memory.start_bytes": [start.get(user)], "memory.full_bytes": [full.get(user)],
              "memory.per_connection_bytes": [_grown(low, full, user)] if low is not None else []}
    if record.get("config", {}).get("scenario") == "soak":
        found |= {name: [value] for name, value in trend.figures(trend.of_rows(curve.rows, user)).items()}
    found["cpu.per_connection_ns"] = [connects_cpu(path.parent / "steps.csv", start, full, connections)]
    found["generator.per_client_bytes"] = [_slope(0, full.get("generator_pss_bytes"), connections)]
    found["generator.cpu_per_client_ns"] = [_slope(start.get("generator_cpu_ns"), full.get("generator_cpu_ns"), connections)]
    kernel = _slope(kernel_bytes(start), kernel_bytes(full), connections)
    found["kernel.per_connection_bytes"] = [None if kernel is None or kernel < SOCKET_BYTES else kernel]
    if full.get("kernel_page_table_bytes") is not None and start.get("kernel_page_table_bytes") is not None:
        found["kernel.page_table_growth_bytes"] = [full["kernel_page_table_bytes"] - start["kernel_page_table_bytes"]]
    sent = value_of(record.get("metrics", {}), "messages.sent")
    if sent and start.get("target_cpu_ns") is not None and full.get("target_cpu_ns") is not None:
        found["cpu.per_message_ns"] = [(full["target_cpu_ns"] - start["target_cpu_ns"]) / sent]
        received = value_of(record["metrics"], "messages.received")
        if received:
            found["cpu.per_delivery_ns"] = [(full["target_cpu_ns"] - start["target_cpu_ns"]) / received]
    return found


def load_account(run: Run, where: str = "") -> Account:
    account = Account()
    latency, memory = run.folder / "latency.hlog", run.folder / "memory.csv"
    figures: Figures = {}
    latencies: dict[str, float | None] = {}
    bad = spoiled(run.data)
    account.wrong += lacking(run.data, where)
    account.wrong += [where + text for text in anomalies.missing(run.data) + anomalies.other_size(run.data) + wrong_doubts(run.data)]
    try:
        if latency.is_file() and latency.name not in bad:
            latencies = latency_figures(latency, of_any_number="percentiles" not in (run.data.get("summary") or {}))
            figures |= {name: [value] for name, value in latencies.items()}
        figures |= count_figures(run.data, latencies) | kernel_counts.figures(run.data)
        if memory.is_file() and memory.name not in bad:
            figures |= memory_figures(memory, run.data)
        rows = {f"{name}_lines": len(read_csv(run.folder / f"{name}.csv", ("phase",))) for name in ("memory", "steps", "arrivals")
                if f"{name}.csv" not in bad and (run.folder / f"{name}.csv").is_file()}
        account.wrong += [where + text for text in book_complaints(run.data, latencies, rows) + count_complaints(run.data) + inside.of_load(run)]
    except RecordError as error:
        account.wrong.append(f"{where}{_short(run, error)}")
        return account
    unknown, given, bounded = Withheld(run.data), decided(run.data, figures), bounds.of_load(run, latencies)
    for name, one in run.data.get("metrics", {}).items():
        group = name.partition(".")[0]
        if unknown.has(name) and one["value"] is None:
            account.leave(UNKNOWN, where + name)
        elif unknown.has(name):
            account.wrong.append(f"{where}{name}: the record says {show_number(one['value'])}, and by an anomaly there is no figure")
        elif name in figures:
            account.compare(where, name, one["value"], figures[name])
        elif name in given:     # a contradiction is among the complaints
            account.count += 1
        elif name in bounded:
            account.within(where, name, one["value"], bounded[name])
        elif name.endswith(".throttled_ns"):
            account.leave(COUNTED, where + name)
        elif group in ("memory", "cpu", "kernel") or name in ("generator.per_client_bytes", "generator.cpu_per_client_ns"):
            account.leave(SPOILED if memory.name in bad else UNNAMED if memory.is_file() and not run.data.get("readings") else ABSENT,
                          where + name)
        elif name.rpartition(".")[2] in (*PERCENTILES, "max", "mean") and group != "schedule":
            if latency.is_file() and latency.name not in bad:
                account.wrong.append(f"{where}{name}: the record says {show_number(one['value'])}, latency.hlog has no such samples")
            else:
                account.leave(SPOILED if latency.name in bad else ABSENT, where + name)
        else:
            account.leave(COUNTED, where + name)
    account.wrong += beside_catalogue(where, run.data.get("metrics", {}), "poolmark-loadgen")
    account.wrong += [where + text for text in absent.of_load(run.data, figures) + due.missing(run.data, figures)]
    return account


def broker_account(run: Run, where: str = "") -> Account:
    """Checks a broker's own record. Pool figures cover all pools, by the suite's rule; in older records only `connections`."""
    account, bad = Account(), spoiled(run.data)
    path = run.folder / "pools.csv"
    figures: Figures = {}
    account.wrong += lacking(run.data, where)
    try:
        lines = {f"{name}_lines": len(read_csv(run.folder / f"{name}.csv", TEXT_COLUMNS)) for name in ("pools", "events", "account")
                 if f"{name}_lines" in (run.data.get("books") or {}) and f"{name}.csv" not in bad
                 and (run.folder / f"{name}.csv").is_file()}
        account.wrong += [where + text for text in book_complaints(run.data, {}, lines)]
    except RecordError as error:
        account.wrong.append(where + _short(run, error))
        return account
    if path.is_file() and path.name not in bad:
        made = Replayed(run.id)
        try:
            measures.take_pools(made, [path])
            rows = [row for row in read_csv(path, ("pool", "strategy")) if row.get("pool") == "connections"]
        except RecordError as error:
            account.wrong.append(where + _short(run, error))
            return account
        figures = {name: [one["value"]] for name, one in made.data["metrics"].items()}
        last = rows[-1] if rows else {}
        share = (last.get("hits") or 0) / last["gets"] if last.get("gets") else 0.0
        for name, value in (("hit_rate", share), ("expansions", last.get("expansions")), ("peak_in_use", last.get("peak_in_use")),
                            ("longest_expansion_ns", last.get("longest_expansion_ns"))):
            figures.setdefault(f"pool.{name}", []).append(value)
        figures["broker.peak_connections"] = [last.get("peak_in_use")]
    figures |= counters.metrics_of(run.data)
    bounded = bounds.of_broker(run)
    for name, one in run.data.get("metrics", {}).items():
        if name in figures:
            account.compare(where, name, one["value"], figures[name])
        elif name in bounded:
            account.within(where, name, one["value"], bounded[name])
        else:
            account.leave(COUNTED if not name.startswith("pool.") else SPOILED if path.name in bad else ABSENT, where + name)
    account.wrong += beside_catalogue(where, run.data.get("metrics", {}), "poolmark-broker")
    if "entries" in run.data:
        account.wrong += lacks(where, run.data.get("metrics", {}), {name: values[0] for name, values in figures.items() if name != "pool.peak_in_use"} | dict.fromkeys(bounded))
        account.wrong += due.together(where, run.data.get("metrics", {}), due.PRESSURE)
    return account


# --- cells -------------------------------------------------------------------------------------------------------


class Replayed:
    """Accepts the calls of a record's Cell, and keeps only the metrics."""

    def __init__(self, cell_id: str) -> None:
        self.id = cell_id
        self.data: CellData = {"id": cell_id, "config": {}, "repetition": 1, "status": "running", "metrics": {}, "anomalies": []}

    def metric(self, name: str, value: float | None, unit: str, better: str = "none",
               samples: Iterable[float | None] | None = None) -> None:
        self.data["metrics"][name] = make_metric(value, unit, better, samples)

    def value(self, name: str) -> float | None:
        return value_of(self.data["metrics"], name)

    def anomaly(self, what: str, text: str) -> None:
        pass


def phases_of(cell: CellData) -> list[PhaseData]:
    """The phases in the record; for older records, from the names of the files and the configuration."""
    if isinstance(cell.get("phases"), list):
        return cell["phases"]
    found: list[PhaseData] = []
    for number, (name, words) in enumerate(raw_data.phases(cell)):
        scenario = words.partition(" ")[0]
        if scenario:
            found.append({"name": name or scenario, "scenario": scenario, "folder": measures.phase_folder(number, name)})
    return found


def instance_files(run: Run, base: str, cell: CellData, file: str) -> list[Path] | None:
    """`file` (pools.csv, account.csv) of every instance of the broker; [] without one; None when the record lacks some."""
    brokers = sum(bool(words) and words[0].rpartition("/")[2] == "poolmark-broker" for words in cell.get("commands", []))
    names = [name for name in run.data.get("files", {}) if name.startswith(f"{base}/broker") and name.endswith(f"/{file}")]
    if not names:
        names = [path for key, path in cell.get("files", {}).items() if key == file.removesuffix(".csv")]
    there = [run.folder / name for name in names if (run.folder / name).is_file()]
    return there if there and len(there) >= brokers else [] if not brokers else None


def with_all_fields(phase: PhaseData) -> PhaseData:
    """A copy; a phase of an older record may lack fields."""
    made = phase.copy()
    made.setdefault("prefix", "")
    made.setdefault("several", False)
    return made


def replay(run: Run, cell: CellData) -> tuple[Metrics, str]:
    """(metrics, why others are missing) of a suite's cell, made by the original functions."""
    made, phases, base = Replayed(cell["id"]), phases_of(cell), base_of(cell)
    if not phases or base is None:
        return {}, ABSENT
    if len(phases) > 1 and any("prefix" not in phase for phase in phases):
        return {}, OLDER
    phases = list(map(with_all_fields, phases))
    folder, missing = run.folder / base, ""
    for phase in phases:
        if (folder / phase["folder"] / "run.json").is_file():
            measures.take_phase(made, folder / phase["folder"], phase)
            left = load(folder / phase["folder"]).data.get("files", {})
            missing = missing or (ABSENT if any(not (folder / phase["folder"] / name).is_file() for name in left) else "")
        elif bare.is_there(folder / phase["folder"]):
            bare.take(made, folder / phase["folder"], phase)
        else:
            missing = ABSENT
    pools = instance_files(run, base, cell, "pools.csv")
    if pools is None:
        missing = ABSENT
        accounts.take(made, instance_files(run, base, cell, accounts.FILE) or [])   # a committed copy may have these alone
    elif pools and any((folder / phase["folder"] / "arrivals.csv").is_file() for phase in phases) and not all(
            (path.parent / "events.csv").is_file() for path in pools):
        missing = ABSENT
        measures.take_pools(made, pools)
        accounts.take(made, [path.parent / accounts.FILE for path in pools])
    elif pools:
        measures.take_target(made, folder, phases, pools)
        if "account" in cell.get("files", {}) and not all((path.parent / accounts.FILE).is_file() for path in pools):
            missing = missing or ABSENT
    if "attack" in cell.get("files", {}):
        missing = missing or ("" if (folder / attacked.FILE).is_file() else ABSENT)
        attacked.take(made, folder, pools or [])
    made.data["phases"], made.data["anomalies"] = phases, cell.get("anomalies", [])
    in_cell(made.data)
    return made.data["metrics"], missing


def beside_phases(run: Run, cell: CellData) -> list[str]:
    """What the records of the phases say otherwise than the cell; both belong to one run."""
    base = base_of(cell)
    found: list[str] = []
    for phase in cell["phases"] if base is not None else []:
        folder = run.folder / str(base) / phase["folder"]
        if (folder / "run.json").is_file():
            found += anomalies.beside_phase(cell, phase, load(folder).data)
    return found


def suite_account(run: Run, cell: CellData) -> Account:
    account, where = Account(), f"{cell['id']}: "
    try:
        figures, missing = replay(run, cell)
        account.wrong += beside_phases(run, cell) if "phases" in cell else []
        folder = run.folder / (base_of(cell) or f"cells/{cell['id']}")
        account.wrong += counters.complaints(folder, cell) + bounds.of_cell(folder, cell)
    except (PoolmarkError, KeyError, TypeError, AttributeError) as error:
        account.wrong.append(where + _short(run, error))
        return account
    older = "phases" not in cell
    for name, one in cell["metrics"].items():
        group = name.partition(".")[0]
        if older and group in ("memory", "kernel", "cpu", "generator", "step"):
            account.leave(UNNAMED, where + name)
        elif name in figures:
            against(account, where, name, one, figures[name])
        elif missing:
            account.leave(missing, where + name)
        else:
            account.wrong.append(f"{where}{name}: the record says {show_number(one['value'])}, its files give no such figure")
    if not older and not missing:
        account.wrong += [f"{where}{name}: its files give {show_number(one['value'])}, the record does not have it"
                          for name, one in figures.items() if name not in cell["metrics"]]
    return account


def bench_account(run: Run, cell: CellData) -> Account:
    from poolmark.bench import bench_report
    from poolmark.bench.bench_plan import Bench
    from poolmark.bench.bench_results import Series
    from poolmark.bench.full_speed import Speed

    account, where = Account(), f"{cell['id']}: "
    rounds = {number: path for key, path in cell.get("files", {}).items() if key.startswith("round_") and (number := whole(key[6:])) is not None}
    series = Series(cast(Bench, None), speed=Speed.of(run.data))
    try:
        for number, path in rounds.items():
            data = bench_report.read_json(run.file(path))
            # The name is not checked here, only the figures.
            series.add(number, bench_report.figures(run.folder / path, data, data["benchmarks"][0]["name"]))
    except (RecordError, bench_report.NoFigure, KeyError, TypeError, IndexError, AttributeError) as error:
        if any(not (run.folder / path).exists() for path in rounds.values()):
            for name in cell["metrics"]:
                account.leave(ABSENT, where + name)
        else:
            account.wrong.append(where + _short(run, error))
        return account
    made = Replayed(cell["id"])
    if rounds:
        series.write(made)
    for name, one in cell["metrics"].items():
        if name in made.data["metrics"]:
            against(account, where, name, one, made.data["metrics"][name])
        elif rounds:
            account.wrong.append(f"{where}{name}: the record says {show_number(one['value'])}, its files give no such figure")
        else:
            account.leave(ABSENT, where + name)
    account.wrong += [f"{where}{name}: its files give it, the record does not have it" for name in made.data["metrics"] if name not in cell["metrics"]]
    return account


def _short(run: Run, error: Exception) -> str:
    return str(error).replace(f"{run.folder.resolve()}/", "").replace(f"{run.folder}/", "")


def inner_accounts(run: Run) -> Account:
    """The records inside a folder: of brokers and generators, and of whole runs that `claims` made."""
    account = Account()
    for name in run.data.get("files", {}):
        if not name.endswith("/run.json") or not (run.folder / name).is_file():
            continue
        prefix = name.removesuffix("run.json")
        try:
            inner = load(run.file(name))
        except PoolmarkError as error:
            account.wrong.append(_short(run, error))
            continue
        account.wrong += [prefix + inner.broken_seal] if inner.broken_seal else []
        account.wrong += nested(run.data, inner.data, prefix) + entries.wrong(inner.data, prefix)
        account.add(of_own_kind(inner, f"{prefix}: "))
        for cell in inner.data.get("cells", []):
            found = of_cell(inner, cell)
            found.wrong = [prefix + text for text in found.wrong]
            account.add(found)
        derived.check(inner, account, prefix)
    return account


def of_own_kind(run: Run, where: str = "") -> Account:
    if run.data["kind"] == "load":
        return load_account(run, where)
    return broker_account(run, where) if run.data["kind"] == "broker" else Account()


def kernel_account(run: Run, cell: CellData) -> Account:
    account, where, folder = Account(), f"{cell['id']}: ", run.folder / "cells" / cell["id"]
    try:
        made = kernel.of_cell(folder, cell["config"]["connections"])
    except FileNotFoundError:
        for name in cell["metrics"]:
            account.leave(ABSENT, where + name)
        return account
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        account.wrong.append(f"{where}its raw files cannot be read: {_short(run, error)}")
        return account
    for name, one in cell["metrics"].items():
        if name in made:
            against(account, where, name, one, made[name])
        else:
            account.wrong.append(f"{where}{name}: its files give no such figure")
    account.wrong += lacks(where, cell["metrics"], {name: one["value"] for name, one in made.items()})
    return account


def limit_account(run: Run, cell: CellData) -> Account:
    """A trial of a search for the highest rate, or the answer of a contender."""
    if "answer" not in cell:
        account = suite_account(run, cell)
        if not searches.files_are_there(run, cell):
            account.leave(ABSENT, f"{cell['id']}: trial")
        elif "trial" in cell:
            account.wrong += searches.wrong_trial(run, cell)
        return account
    account, where = Account(), f"{cell['id']}: "
    made, account.wrong = searches.answer_again(run, cell)
    for name, one in cell["metrics"].items():
        if name in made:
            against(account, where, name, one, made[name])
        else:
            account.wrong.append(f"{where}{name}: its trials give no such figure")
    account.wrong += lacks(where, cell["metrics"], {name: one["value"] for name, one in made.items()})
    return account


def of_cell(run: Run, cell: CellData) -> Account:
    if run.data["kind"] == "limit":
        return limit_account(run, cell)
    if run.data["kind"] == "claims" or "trial" in cell["config"]:  # of_whole
        return Account()
    if "workload" in cell["config"]:
        return bench_account(run, cell)
    return kernel_account(run, cell) if run.data["kind"] == "kernel" else suite_account(run, cell)


def of_whole(run: Run) -> Account:
    """Figures that belong to no single cell."""
    kind = "sensitivity" if run.data["kind"] == "nightly" and run.data.get("suite") == "sensitivity" else run.data["kind"]
    maker = {"bench": bench_again, "soak": soaks}.get(kind) or above.module(kind)
    account = Account()
    if maker and run.data["status"] != "running":
        try:
            maker.account(run, account)
        except (PoolmarkError, *derived.WRONG_DATA) as error:
            account.wrong.append(f"its figures cannot be computed again: {_short(run, error)}")
    if run.data["kind"] not in ("load", "broker"):
        account.wrong += book_complaints(run.data, {}, {})
    return account


def again(run: Run) -> Account:
    """Checks all metrics of a record and of the records inside it."""
    account = of_own_kind(run)
    account.wrong += entries.wrong(run.data)
    account.add(of_whole(run))
    for cell in run.data.get("cells", []):
        account.add(of_cell(run, cell))
    account.add(inner_accounts(run))
    return account
