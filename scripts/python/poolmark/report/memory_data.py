# SPDX-License-Identifier: Apache-2.0
"""Rows of the memory charts: against connections, over time, by purpose. A chart's rows are also its CSV."""
import statistics
from typing import Any

from poolmark.base.curves import USER_COLUMNS
from poolmark.base.forms import CellData, Json, Row
from poolmark.records import accounts, phases
from poolmark.records.read_record import Run
from poolmark.report.names import Name
from poolmark.report.source import Source, number, thin, thin_worst
from poolmark.verify import withheld

PARTS = ("connections", "buffers", "arenas", "messages")
REST = "rest (allocator, code, stacks)"
USER, KERNEL = "the broker's own (private memory)", "the kernel's, both ends of each connection"
MIB = 1 << 20
MOST_POINTS = 600    # of one line in a chart; more are not visible and enlarge the page


def user_bytes(row: Row) -> float | None:
    """Private memory; for a record without it, PSS or RSS."""
    return next((value for name in ("target_private_bytes", *USER_COLUMNS) if (value := number(row.get(name))) is not None), None)


def kernel_bytes(row: Row) -> float | None:
    slab, tcp = number(row.get("kernel_slab_bytes")), number(row.get("kernel_tcp_bytes"))
    return None if slab is None or tcp is None else slab + tcp


# The figure of the record that readings of each kind of memory give, and what people call it.
FIGURES = {USER: ("memory.full_bytes", "the broker's"), KERNEL: ("kernel.per_connection_bytes", "the kernel's")}


def is_withheld(cell: CellData, memory: str) -> bool:
    """Whether the record has no value of the figure that these readings would give: they are not of the connections alone. A record
    without such a figure says nothing about its readings."""
    named = phases.variants(cell, FIGURES[memory][0]).values()
    return bool(named) and all(cell["metrics"][name]["value"] is None for name in named)


def left_out(source: Source) -> list[str]:
    """What no chart of memory draws, by configuration and with the anomalies that say why: "the kernel's of slab (kernel_noise)"."""
    found: dict[tuple[str, Name], dict[str, None]] = {}
    for _, cell, name in source.cells():
        for memory, (metric, words) in FIGURES.items():
            if is_withheld(cell, memory):
                found.setdefault((words, name), {}).update(dict.fromkeys(withheld.reasons(cell, metric)))
    return [f"{words} of {name.label}" + (f" ({', '.join(why)})" if why else "") for (words, name), why in found.items()]


def _at_ns(row: Row) -> float:
    """Of a row that has a time."""
    return number(row["at_ns"]) or 0.0


def _readings(source: Source, run: Run, cell: CellData) -> list[Json]:
    """Lines at which memory was level: a run's steps; otherwise its start, a tenth, and all connections."""
    steps = source.rows(run, cell, "steps")
    if steps:
        return steps
    rows = [row for row in source.rows(run, cell, "memory") if row.get("phase") in ("start", "connect", "hold")
            and number(row.get("connections")) is not None and number(row.get("target_private_bytes")) is not None]
    last = {number(row["connections"]): row for row in rows}  # the last line at a count is the most level one
    return list(last.values())


def _kernel_at_start(source: Source, run: Run, cell: CellData) -> float | None:
    """Before the first client, from which a table counts too: the first step has connections already. None where the record withholds
    the kernel's memory."""
    memory = [] if is_withheld(cell, KERNEL) else source.rows(run, cell, "memory")
    start = [row for row in memory if row.get("phase") == "start"] or memory[:1]
    return kernel_bytes(start[-1]) if start else None


def memory_curve(source: Source) -> list[Json]:
    """Memory against connections: median, lowest and highest over repetitions."""
    rows: list[Json] = []
    for name, group in source.groups().items():
        found: dict[tuple[str, float], list[float]] = {}
        for run, cell in group:
            readings, known = _readings(source, run, cell), not is_withheld(cell, USER)
            first = _kernel_at_start(source, run, cell)
            for row in readings:
                count, kernel = number(row.get("connections")) or 0, kernel_bytes(row)
                if known and (user := user_bytes(row)) is not None:
                    found.setdefault((USER, count), []).append(user)
                if kernel is not None and first is not None:
                    found.setdefault((KERNEL, count), []).append(max(0, kernel - first))
        rows += [{"cell": name.label, "strategy": name.strategy, "rest": name.rest, "memory": memory,
                  "connections": count, "memory_mib": statistics.median(values) / MIB, "lowest_mib": min(values) / MIB,
                  "highest_mib": max(values) / MIB, "runs": len(values)}
                 for (memory, count), values in sorted(found.items(), key=lambda one: (one[0][0] != USER, one[0][1]))]
    return rows if len({row["connections"] for row in rows}) > 1 else []


def memory_parts(source: Source) -> list[Json]:
    """The parts of the target's memory at the largest number of connections."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        if is_withheld(cell, USER):
            continue
        steps = source.rows(run, cell, "steps")
        first = _kernel_at_start(source, run, cell)
        parts = _parts_of_steps(steps, first) if steps else _parts_when_full(source, run, cell, first)
        rows += [{"cell": name.label, "connections": connections, "part": part, "memory_mib": value / MIB}
                 for connections, found in parts[-1:] for part, value in found.items()]
    return rows


def _kernel_part(row: Row, first: float | None) -> Json:
    """The growth since the start; nothing where it is not known."""
    bytes_ = kernel_bytes(row)
    return {} if bytes_ is None or first is None else {"kernel": max(0, bytes_ - first)}


def _parts_of_steps(steps: list[Row], first: float | None) -> list[tuple[float, Json]]:
    """(connections, part -> bytes) of every step. `first`: kernel memory at the start."""
    columns = {"connections": "objects_bytes"} | {part: f"{part}_bytes" for part in PARTS[1:]} | {REST: "rest_bytes"}
    return [(number(row.get("connections")) or 0,
             {part: value for part, column in columns.items() if (value := number(row.get(column))) is not None}
             | _kernel_part(row, first)) for row in steps]


def _parts_when_full(source: Source, run: Run, cell: CellData, first: float | None) -> list[tuple[float, Json]]:
    memory = [row for row in source.rows(run, cell, "memory") if number(row.get("connections")) is not None]
    level = [row for row in memory if row.get("phase") not in ("start", "connect", "close") and user_bytes(row) is not None
             and any(number(row.get(name)) is not None for name in USER_COLUMNS[:2])]
    if not level:
        return []
    full = max(level, key=lambda row: number(row["connections"]) or 0.0)
    owned = _pool_bytes(source.rows(run, cell, "pools"), number(full["at_ns"]))
    parts: Json = {part: owned.get(part, 0) for part in PARTS}
    parts |= {REST: max(0, (user_bytes(full) or 0) - sum(owned.values()))} | _kernel_part(full, first)
    return [(number(full["connections"]) or 0.0, parts)]


SMALL_SHARE = 0.005     # of PSS: accounts that are smaller in every cell are drawn as one
OTHER_ACCOUNTS = "other accounts"
ACCOUNTS_IN_ORDER = [*accounts.ACCOUNTS.values(), OTHER_ACCOUNTS]


def memory_accounts(source: Source) -> list[Json]:
    """User memory of a connection by account, of each configuration's first run; with the fewest accounts that show what matters."""
    told = [(name, accounts.lines(cell["metrics"])) for _, cell, name in source.first_cells() if accounts.has(cell["metrics"])]
    large = {one.name for _, lines in told for one in lines if abs(one.share) >= SMALL_SHARE or one.name == "rest"}
    rows: list[Json] = []
    for name, lines in told:
        found = [one for one in lines if one.name in accounts.ACCOUNTS and one.each is not None]
        small = sum(one.each or 0.0 for one in found if one.name not in large)
        whose = {"cell": name.label, "strategy": name.strategy, "rest": name.rest}
        rows += [whose | {"account": one.words, "bytes_of_a_connection": one.each, "bytes": one.bytes} for one in found if one.name in large]
        rows += [whose | {"account": OTHER_ACCOUNTS, "bytes_of_a_connection": small,
                          "bytes": sum(one.bytes for one in found if one.name not in large)}] if small else []
    return rows


def _pool_bytes(pools: list[Row], at_ns: float | None) -> dict[str, float]:
    """Bytes owned by each pool at an instant, summed over broker instances."""
    latest: dict[tuple[Any, Any], tuple[float, float]] = {}
    for row in pools:
        when, owned = number(row.get("at_ns")), number(row.get("bytes_owned"))
        if when is None or owned is None or (at_ns is not None and when > at_ns):
            continue
        key = (row.get("pool"), row.get("instance"))
        if key not in latest or when >= latest[key][0]:
            latest[key] = (when, owned)
    totals: dict[str, float] = {}
    for (pool, _), (_, owned) in latest.items():
        totals[pool] = totals.get(pool, 0) + owned
    return totals


def _timed(source: Source, run: Run, cell: CellData) -> list[Json]:
    if is_withheld(cell, USER):
        return []
    memory = [row for name in sorted(cell.get("files", {})) if name.startswith("memory") for row in source.rows(run, cell, name)]
    return sorted((row for row in memory if number(row.get("target_rss_bytes")) is not None
                   and number(row.get("at_ns")) is not None), key=_at_ns)


def memory_over_time(source: Source) -> list[Json]:
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        memory = _timed(source, run, cell)
        start = _at_ns(memory[0]) if memory else 0.0
        drawn = [{"cell": name.label, "strategy": name.strategy, "rest": name.rest,
                  "time_s": round((_at_ns(row) - start) / 1e9, 3), "connections": number(row.get("connections")),
                  "memory_mib": (number(row["target_rss_bytes"]) or 0.0) / MIB} for row in memory]
        rows += thin_worst(drawn, MOST_POINTS, "memory_mib")
    return rows


def expansions(source: Source) -> list[Json]:
    """Every expansion and shrink: time (on the axis of memory_over_time), duration, objects before and after."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        memory = _timed(source, run, cell)
        start = _at_ns(memory[0]) if memory else None
        for row in thin(source.rows(run, cell, "events"), 300):
            at = number(row.get("at_ns"))
            if start is not None and at is not None and row.get("event") in ("expand", "shrink") and at >= start:
                rows.append({"cell": name.label, "strategy": name.strategy, "time_s": round((at - start) / 1e9, 3),
                             "pool": row.get("pool"), "event": row["event"], "from_objects": number(row.get("from")),
                             "to_objects": number(row.get("to")), "duration_ns": number(row.get("duration_ns"))})
    return rows


def pools_over_time(source: Source) -> list[Json]:
    """Objects owned and in use in a broker's own record. For a load, memory over time shows more."""
    rows: list[Json] = []
    for run, cell, name in source.first_cells():
        pools = source.rows(run, cell, "pools") if run.data["kind"] == "broker" else []
        pools = [row for row in pools if number(row.get("at_ns")) is not None]
        start = _at_ns(pools[0]) if pools else 0.0
        rows += [{"cell": name.label, "pool": row.get("pool"), "time_s": round((_at_ns(row) - start) / 1e9, 3),
                  "what": what, "objects": number(row.get(column))}
                 for row in thin(pools, 4 * MOST_POINTS) for what, column in (("owned", "owned"), ("in use", "in_use"))
                 if number(row.get(column)) is not None]
    return rows
