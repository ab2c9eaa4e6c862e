# SPDX-License-Identifier: Apache-2.0
"""Checks counts of a load's record against each other: figures that follow from counts, the books, the metrics that the books give.
The equations: loadgen/run_books.c."""
from collections.abc import Iterable, Mapping
from typing import Any

from poolmark.base.forms import RecordData, value_of
from poolmark.records.read_record import Run

Books = Mapping[str, Mapping[str, Any]]     # source -> column -> count

NOT_WHOLE = ("lost", "not_sent", "unreadable", "unfinished")    # columns that are 0 in a complete record (base/books.h)


# Tags of latency.hlog, and the books that have their samples.
SAMPLES = ((("connect",), ("connects",)), (("arrival",), ("arrivals",)), (("subscribe",), ("subacks",)), (("unsubscribe",), ("unsubacks",)),
           (("replay",), ("replays",)),
           (("ack",), ("acks",)), (("delivery", "delivery_before", "delivery_after"), ("deliveries", "probe_deliveries")),
           (("delivery_slow",), ("slow_deliveries",)), (("recovery",), ("recoveries",)))


# Books of a mix whose lines of all groups and phases, GROUP.PHASE.SOURCE, add up to the line of the run.
SUMMED = ("publishes", "deliveries", "acks", "arrivals", "slow_deliveries", "recoveries", "subacks", "unsubacks")
# Metrics of a group in a phase: (source, columns whose sum it is, columns that may be in it too).
OF_PART = {
    "clients.connected": ("connects", ("measured", "unreadable"), ()), "clients.failed": ("connects", ("failed",), ()),
    "messages.sent": ("publishes", ("measured",), ()), "messages.not_sent": ("publishes", ("not_sent",), ()),
    "messages.unacknowledged": ("acks", ("lost",), ()), "deliveries.expected": ("deliveries", ("attempted",), ()),
    "messages.received": ("deliveries", ("measured",), ("unreadable",)), "messages.lost": ("deliveries", ("lost",), ()),
    "messages.unfinished": ("deliveries", ("unfinished",), ()), "slow.due": ("slow_deliveries", ("attempted",), ()),
    "slow.received": ("slow_deliveries", ("measured",), ("unreadable",)), "slow.missed": ("slow_deliveries", ("failed",), ()),
    "slow.not_recovered": ("recoveries", ("failed",), ()), "arrivals.count": ("arrivals", ("measured", "unreadable"), ()),
    "arrivals.failed": ("arrivals", ("lost", "failed"), ()), "arrivals.not_sent": ("arrivals", ("not_sent",), ()),
    "arrivals.unfinished": ("arrivals", ("unfinished",), ()), "subscriptions.added": ("subacks", ("measured", "unreadable"), ()),
    "subscriptions.removed": ("unsubacks", ("measured", "unreadable"), ()),
}


def parts_of(books: Iterable[str]) -> list[str]:
    """The beginnings of the names of lines that a mix has for each group and phase."""
    return sorted({f"{source.rpartition('.')[0]}." for source in books if "." in source})


def messages_of(record: RecordData) -> str:
    """The beginning of the books whose messages the metrics messages.* count: of the clients, or of the probes beside them (soak)."""
    return "probe_" if record.get("config", {}).get("scenario") == "soak" else ""


def count_figures(record: RecordData, latencies: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Figures that follow from counts."""
    def value(name: str) -> Any:  # a number, or None
        return value_of(record.get("metrics", {}), name)

    found: dict[str, list[float | None]] = {}
    connected, seconds = value("clients.connected"), value("connect.seconds")
    if connected is not None and seconds:
        found["connect.rate"] = [connected / seconds]
    arrived, seconds = value("arrivals.count"), value("arrivals.seconds")
    if arrived is not None and seconds:
        found["arrivals.rate"] = [arrived / seconds]
    changed, seconds = [value(f"subscriptions.{name}") for name in ("added", "removed")], value("subscriptions.seconds")
    if None not in changed and seconds:
        found["subscriptions.rate"] = [sum(changed) / seconds]
    config = record.get("config", {})
    found |= {name: [config.get(key)] for name, key in
              (("connect.rate_asked", "rate_per_s"), ("messages.rate_asked", "publish_rate_per_s"),
               ("arrivals.rate_asked", "arrival_rate_per_s"), ("subscriptions.rate_asked", "subscribe_rate_per_s")) if config.get(key)}
    duration_ns = config.get("duration_ns")
    if "delivery.count" in latencies and value("messages.seconds"):
        # Unreadable deliveries that are not corrupt arrived too: a worker counted them and ended before it handed over the samples.
        books: Books = record.get("books") or {}
        own = messages_of(record)
        deliveries = books.get(f"{own}deliveries") or {}
        corrupt = (value("messages.corrupt") or 0) - ((books.get(f"{own}warm_up_deliveries") or {}).get("unreadable") or 0)
        arrived = latencies["delivery.count"] - (value("delivery.censored") or 0) + (deliveries.get("unreadable") or 0) - corrupt
        found["deliveries.rate"] = [arrived / value("messages.seconds")]
        # A message with several subscribers counts by the part of them that it reached.
        sent, due = (books.get(f"{own}publishes") or {}).get("measured"), deliveries.get("attempted")
        found["messages.rate"] = [arrived * (sent / due if sent and due else 1) / value("messages.seconds")]
    elif "delivery.count" in latencies and isinstance(duration_ns, (int, float)) and duration_ns > 0:  # older versions
        found["messages.rate"] = [latencies["delivery.count"] * 1e9 / duration_ns]
    return found


def book_complaints(record: RecordData, latencies: Mapping[str, Any], rows: dict[str, int]) -> list[str]:
    """Lines of the books that do not balance or that the files contradict. `rows`: number of lines of each file."""
    wrong: list[str] = []
    books: Books = record.get("books") or {}
    for source, line in books.items():
        rest = sum(count for name, count in line.items() if name != "attempted" and isinstance(count, (int, float)))
        if line.get("attempted") != rest:
            wrong.append(f"books.{source}: {line.get('attempted')} attempted, {rest} accounted for")
        left = [f"{line[column]} {column}" for column in NOT_WHOLE if line.get(column)]
        if left and record["status"] == "complete":
            wrong.append(f"books.{source}: {', '.join(left)}, and the record is complete")
        if source in rows and line.get("measured") != rows[source]:
            wrong.append(f"books.{source}: {line.get('measured')} written, the file has {rows[source]}")
    for part in ("", *parts_of(books)):
        for tags, sources in SAMPLES:
            lines = [books[part + source] for source in sources if part + source in books]
            counts = [latencies[f"{part}{tag}.count"] for tag in tags if f"{part}{tag}.count" in latencies]
            if lines and counts:
                censored = sum(value_of(record.get("metrics", {}), f"{part}{tag}.censored") or 0 for tag in tags)
                counted = sum(line.get("measured", 0) for line in lines) + censored
                if sum(counts) != counted:
                    wrong.append(f"books: {counted:g} samples of {part}{tags[0]}, latency.hlog has {sum(counts)}")
    return wrong + part_complaints(record)


def part_complaints(record: RecordData) -> list[str]:
    """Lines and metrics of a mix's groups and phases that do not add up to those of the run, or contradict each other."""
    books: Books = record.get("books") or {}
    metrics, wrong = record.get("metrics", {}), list[str]()
    if record.get("config", {}).get("scenario") != "mix":
        return []
    parts = parts_of(books)
    for source in SUMMED:
        lines = [books[part + source] for part in parts if part + source in books]
        for column in (books.get(source) or {}) if lines else ():
            found = sum(line.get(column) or 0 for line in lines)
            if found != books[source][column]:
                wrong.append(f"books.{source}: {books[source][column]} {column}, those of the groups and phases are {found}")
    for part in parts:
        for name, (source, columns, more) in OF_PART.items():
            value, line = value_of(metrics, part + name), books.get(part + source)
            if not line or not isinstance(value, (int, float)):
                continue
            low = sum(line.get(column) or 0 for column in columns)
            if not low <= value <= low + sum(line.get(column) or 0 for column in more):
                wrong.append(f"{part}{name}: the record says {value:g}, its books give {low:g}")
    return wrong


def count_complaints(record: RecordData) -> list[str]:
    """Counts among the metrics of a load that its books contradict (equations: loadgen/run_books.c)."""
    books: Books = record.get("books") or {}

    def line(source: str, *columns: str) -> float:
        return sum((books.get(source) or {}).get(column) or 0 for column in columns)

    bounds: dict[str, tuple[float, float]] = {}
    own = messages_of(record)
    if f"{own}publishes" in books:
        warm = f"{own}warm_up_deliveries"
        due = line(f"{own}deliveries", "attempted") + line(warm, "attempted") - line(warm, "not_sent")
        sent, not_sent = due, line(f"{own}publishes", "not_sent") + line(warm, "not_sent")
        if record.get("config", {}).get("pattern", "pairs") != "pairs":  # a message has a delivery for each subscriber
            bounds["deliveries.expected"] = (due, due)
            sent = line("publishes", "measured") + line("warm_up_publishes", "measured")
            not_sent = line("publishes", "not_sent") + line("warm_up_publishes", "not_sent")
        # An unreadable delivery is corrupt, or its worker died with its sample; of the warm-up, which has no samples, only the first.
        corrupt = value_of(record.get("metrics", {}), "messages.corrupt") or 0
        least = line(warm, "unreadable")
        bounds["messages.corrupt"] = (least, least + line(f"{own}deliveries", "unreadable"))
        for name, count in (("sent", sent), ("not_sent", not_sent),
                            ("received", line(f"{own}deliveries", "measured", "unreadable") + line(warm, "measured", "unreadable") - corrupt),
                            ("lost", line(f"{own}deliveries", "lost") + line(warm, "lost")),
                            ("unfinished", line(f"{own}deliveries", "unfinished") + line(warm, "unfinished"))):
            bounds[f"messages.{name}"] = (count, count)
    if "acks" in books:  # the metric has the warm-up too, the book does not
        lost = line("acks", "lost")
        bounds["messages.unacknowledged"] = (lost, lost + line("warm_up_deliveries", "attempted") + line("warm_up_publishes", "attempted"))
    if "arrivals" in books:
        for name, columns in (("count", ("measured", "unreadable")), ("failed", ("lost", "failed")), ("not_sent", ("not_sent",)),
                              ("unfinished", ("unfinished",))):
            bounds[f"arrivals.{name}"] = (line("arrivals", *columns),) * 2
    if "slow_deliveries" in books:
        bounds["slow.due"] = (line("slow_deliveries", "attempted"),) * 2
        bounds["slow.missed"] = (line("slow_deliveries", "failed"),) * 2
        received = line("slow_deliveries", "measured")  # an unreadable one arrived, or is corrupt
        bounds["slow.received"] = (received, received + line("slow_deliveries", "unreadable"))
        bounds["slow.not_recovered"] = (line("recoveries", "failed"),) * 2
        reasons = (record.get("summary") or {}).get("slow_closed")
        if isinstance(reasons, dict):
            bounds["slow.closed"] = (sum(count for count in reasons.values() if isinstance(count, (int, float))),) * 2
    if "subacks" in books:
        both = ("subacks", "unsubacks")
        for name, sources, columns in (("added", both[:1], ("measured", "unreadable")), ("removed", both[1:], ("measured", "unreadable")),
                                       ("failed", both, ("lost", "failed")), ("not_sent", both, ("not_sent",)),
                                       ("unfinished", both, ("unfinished",))):
            bounds[f"subscriptions.{name}"] = (sum(line(source, *columns) for source in sources),) * 2
    if "replayed" in books:
        bounds["replay.retained"] = (line("retains", "measured"),) * 2
        for name, columns in (("messages_due", ("attempted",)), ("messages", ("measured", "unreadable")), ("messages_lost", ("lost",))):
            bounds[f"replay.{name}"] = (line("replayed", *columns),) * 2
    if "connects" in books and not any(source.startswith("probe_") for source in books):
        connected, failed = line("connects", "measured", "unreadable"), line("connects", "failed")
        bounds["clients.connected"] = (connected, connected)
        # Clients whose connect was never due count as failed as well; the books count them as not sent.
        bounds["clients.failed"] = (failed, failed + line("connects", "not_sent"))
    wrong = []
    for name in ("failed", "dropped"):
        reasons = (record.get("summary") or {}).get(name)
        if isinstance(reasons, dict) and all(isinstance(count, (int, float)) for count in reasons.values()):
            bounds.setdefault(f"clients.{name}", (sum(reasons.values()),) * 2)
    for name, (low, high) in bounds.items():
        value = value_of(record.get("metrics", {}), name)
        if isinstance(value, (int, float)) and not low <= value <= high:
            wrong.append(f"{name}: the record says {value:g}, its books give {low:g}")
    return wrong


def cell_complaints(data: RecordData) -> list[str]:
    """Files of a cell that the record does not have, and a status that the cells contradict."""
    cells = data.get("cells", [])
    if data.get("kind") not in ("suite", "steps"):
        return []
    known = {"/".join(name.split("/")[:2]) for cell in cells for name in cell.get("files", {}).values()}
    known |= {f"cells/{cell['id']}" for cell in cells}
    there = {"/".join(name.split("/")[:2]) for name in data.get("files", {}) if name.startswith("cells/")}
    wrong = [f"{folder}: its files are in the record, and no cell is of them" for folder in sorted(there - known)]
    ended = {cell["status"] for cell in cells}
    if data["status"] == "complete" and ended - {"complete"}:
        wrong.append(f"status: the record is complete, and a cell of it is {min(ended - {'complete'})}")
    if data["status"] == "failed" and ended and "failed" not in ended:
        wrong.append("status: the record has failed, and no cell of it has")
    return wrong


def lost_cells(run: Run) -> list[str]:
    """Cells without any of their files, where other cells of the record have theirs. A copy that leaves raw files out on purpose
    keeps some of every cell."""
    if run.data.get("kind") not in ("suite", "steps"):
        return []
    there = {cell["id"]: sum((run.folder / name).is_file() for name in cell["files"].values())
             for cell in run.data.get("cells", []) if cell.get("files")}
    return [f"cell {name}: none of its files is there, and other cells have theirs" for name, count in there.items()
            if not count and any(there.values())]
