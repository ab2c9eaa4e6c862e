# SPDX-License-Identifier: Apache-2.0
"""What a load over several ranks (hosts) has of each: the rows of its table, and the curves of ranks that only watch.

    head, rows = table(run.data)        rows are empty for a run of one host
    watched(source)                     memory of targets on other hosts over time
"""
from typing import Any

from poolmark.base.forms import Json, RecordData
from poolmark.base.units import show_bytes, show_count, show_ns
from poolmark.report.source import Source, number, thin_worst

HEAD = ["rank", "host", "clients", "share", "connected", "failed or dropped", "messages lost", "clock ahead of rank 0", "within", "ended"]
MIB = 1 << 20
MOST_POINTS = 600    # of one line in a chart
MOST_LETTERS = 60    # of how a rank ended


def _host(host: Any) -> str:
    """What tells hosts apart; a record has no names and no addresses."""
    if not isinstance(host, dict):
        return "unknown"
    memory, cores = host.get("memory_bytes"), host.get("cores")
    known = [f"{cores} cores" if isinstance(cores, int) else "", show_bytes(memory) if isinstance(memory, int) else "",
             f"Linux {host['kernel']}" if isinstance(host.get("kernel"), str) else ""]
    return ", ".join(filter(None, known)) or "unknown"


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _clock(rank: int, clock: Any) -> tuple[str, str]:
    """(how far ahead of rank 0's, the bound of that), of the last measurement."""
    if rank == 0:
        return "itself", "-"
    offset, bound = (_whole(clock.get(name)) if isinstance(clock, dict) else None for name in ("offset_ns", "bound_ns"))
    if offset is None or bound is None:
        return "not measured", "-"
    return f"{'-' if offset < 0 else ''}{show_ns(abs(offset))}", f"± {show_ns(bound)}"


def _shortened(text: str) -> str:
    """The whole text is in the anomalies."""
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS - 3] + "..."


def table(data: RecordData) -> tuple[list[str], list[list[str]]]:
    ranks = data.get("ranks", [])
    clients = sum(one["clients"] for one in ranks)
    rows = []
    for one in ranks:
        counts = one["counts"]
        losses = None if not {"failed", "dropped"} & counts.keys() else counts.get("failed", 0) + counts.get("dropped", 0)
        only = "watched" in one and one["clients"] == 0
        rows.append([str(one["rank"]), _host(one["host"]), show_count(one["clients"]), f"{100 * one['clients'] / clients:.1f} %" if clients else "-",
                     *("only watches" if only and not at else "-" if only else show_count(value)
                       for at, value in enumerate((counts.get("connected"), losses, counts.get("lost")))),
                     *_clock(one["rank"], one["clock"]), _shortened(f"LOST: {one['ended']}" if one["lost"] else one["ended"])])
    return HEAD, rows


def watched(source: Source) -> list[Json]:
    """Readings of the processes that a rank watches on its host, over its own time: its first reading is 0."""
    rows: list[Json] = []
    for run in source.runs:
        for one in run.data.get("ranks", []):
            path = f"ranks/{one['rank']}/memory.csv"
            if "watched" not in one or path not in run.data.get("files", {}):
                continue
            mark = f", {run.id[-4:]}" if len(source.runs) > 1 else ""
            found = [(at, row) for row in source.lines(run, path) if (at := number(row.get("at_ns"))) is not None]
            drawn = [{"rank": f"rank {one['rank']}{mark}", "time_s": round((at - found[0][0]) / 1e9, 3), "connections": number(row.get("connections")),
                      "memory": words, "memory_mib": value / MIB}
                     for at, row in found for words, name in (("resident", "target_rss_bytes"), ("private", "target_private_bytes"))
                     if (value := number(row.get(name))) is not None and value >= 0]
            for words in ("resident", "private"):
                rows += thin_worst([row for row in drawn if row["memory"] == words], MOST_POINTS, "memory_mib")
    return rows
