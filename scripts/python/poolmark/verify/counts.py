# SPDX-License-Identifier: Apache-2.0
"""Checks counts of a load's record against each other: figures that follow from counts, the books, the metrics that the books give.
The equations: loadgen/run_books.c."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poolmark.base import schedules
from poolmark.base.forms import RecordData, value_of
from poolmark.records.read_record import Run

Books = Mapping[str, Mapping[str, Any]]     # source -> column -> count
Bounds = dict[str, tuple[float, float]]     # metric -> the least and the most that it may be

NOT_WHOLE = ("lost", "not_sent", "unreadable", "unfinished")    # columns that are 0 in a complete record (base/books.h)


# Tags of latency.hlog, and the books that have their samples.
SAMPLES = ((("connect",), ("connects",)), (("arrival",), ("arrivals",)), (("subscribe",), ("subacks",)), (("unsubscribe",), ("unsubacks",)),
           (("replay",), ("replays",)),
           (("ack",), ("acks", "probe_acks")), (("delivery", "delivery_before", "delivery_after"), ("deliveries", "probe_deliveries")),
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
# Metrics of a run: (sources, columns whose sum over all of them it is).
OF_LINES = {
    "arrivals.count": (("arrivals",), ("measured", "unreadable")), "arrivals.failed": (("arrivals",), ("lost", "failed")),
    "arrivals.not_sent": (("arrivals",), ("not_sent",)), "arrivals.unfinished": (("arrivals",), ("unfinished",)),
    "slow.due": (("slow_deliveries",), ("attempted",)), "slow.missed": (("slow_deliveries",), ("failed",)),
    "subscriptions.added": (("subacks",), ("measured", "unreadable")), "subscriptions.removed": (("unsubacks",), ("measured", "unreadable")),
    "subscriptions.failed": (("subacks", "unsubacks"), ("lost", "failed")), "subscriptions.not_sent": (("subacks", "unsubacks"), ("not_sent",)),
    "subscriptions.unfinished": (("subacks", "unsubacks"), ("unfinished",)), "clients.alive": (("signs_of_life",), ("measured",)),
    "replay.retained": (("retains",), ("measured",)), "replay.messages_due": (("replayed",), ("attempted",)),
    "replay.messages": (("replayed",), ("measured", "unreadable")), "replay.messages_lost": (("replayed",), ("lost",)),
}
# Metrics of a group that all follow from its books when there is this line: a line without samples is not there.
OF_GROUPS = {"subscriptions": "subacks", "replay": "replayed"}


def parts_of(books: Iterable[str]) -> list[str]:
    """The beginnings of the names of lines that a mix has for each group and phase."""
    return sorted({f"{source.rpartition('.')[0]}." for source in books if "." in source})


def messages_of(record: RecordData) -> str:
    """The beginning of the books whose messages the metrics messages.* count: of the clients, or of the probes beside them (soak)."""
    return "probe_" if record.get("config", {}).get("scenario") == "soak" else ""


# The rate that a scenario's --schedule is of.
PACED = {"connect": "connect.rate_asked", "publish": "messages.rate_asked", "subscribe": "subscriptions.rate_asked",
         "churn": "arrivals.rate_asked", "soak": "arrivals.rate_asked", "burst": "arrivals.rate_asked"}
ASKED = {"connect.rate_asked": "rate_per_s", "messages.rate_asked": "publish_rate_per_s", "arrivals.rate_asked": "arrival_rate_per_s",
         "subscriptions.rate_asked": "subscribe_rate_per_s"}
LASTING = {"messages.rate_asked": "publishes", "arrivals.rate_asked": "arrivals"}    # by a duration, and the line of the books


def asked_figures(record: RecordData) -> dict[str, list[float | None]]:
    """The rates that were asked for. Of a schedule that is not constant: its mean over the duration, or what was due then. Where it is
    given by the number of its acts, or a run ended early, it is not computed again."""
    config = record.get("config", {})
    found: dict[str, list[float | None]] = {name: [config.get(key)] for name, key in ASKED.items() if config.get(key)}
    name = PACED.get(config.get("scenario", ""), "")
    if name not in found or schedules.is_constant(config):
        return found
    rate, seconds = float(found.pop(name)[0] or 0), (config.get("duration_ns") or 0) / 1e9
    if name in LASTING and seconds and record.get("status") == "complete":
        books: Books = record.get("books") or {}
        due = (books.get(LASTING[name]) or {}).get("attempted")
        if schedules.is_shaped(config):
            found[name] = [schedules.acts_by(config, rate, seconds) / seconds]
        elif due is not None:
            found[name] = [due / seconds, rate]     # older versions: of the process
    return found


def count_figures(record: RecordData, latencies: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Figures that follow from counts."""
    def value(name: str) -> Any:  # a number, or None
        return value_of(record.get("metrics", {}), name)

    found: dict[str, list[float | None]] = {}
    changed = [value(f"subscriptions.{name}") for name in ("added", "removed")]
    for name, count in (("connect", value("clients.connected")), ("arrivals", value("arrivals.count")),
                        ("subscriptions", None if None in changed else sum(changed))):
        rate, seconds = value(f"{name}.rate"), value(f"{name}.seconds")
        if count is not None and seconds:
            found[f"{name}.rate"] = [count / seconds]
        if count is not None and rate:
            found[f"{name}.seconds"] = [count / rate]
        if name == "connect" and rate and seconds:
            found["clients.connected"] = [rate * seconds]
    config = record.get("config", {})
    found |= asked_figures(record)
    duration_ns = config.get("duration_ns")
    # Of scenario slow the deliveries to those that read are of three times.
    parts = [name for name in ("delivery", "delivery_before", "delivery_after") if f"{name}.count" in latencies]
    if parts and value("messages.seconds"):
        # Unreadable deliveries that are not corrupt arrived too: a worker counted them and ended before it handed over the samples.
        books: Books = record.get("books") or {}
        own = messages_of(record)
        deliveries = books.get(f"{own}deliveries") or {}
        corrupt = (value("messages.corrupt") or 0) - ((books.get(f"{own}warm_up_deliveries") or {}).get("unreadable") or 0)
        ended = sum(latencies[f"{name}.count"] - (value(f"{name}.censored") or 0) for name in parts)
        arrived = ended + (deliveries.get("unreadable") or 0) - corrupt
        found["deliveries.rate"] = [arrived / value("messages.seconds")]
        # A message with several subscribers counts by the part of them that it reached.
        sent, due = (books.get(f"{own}publishes") or {}).get("measured"), deliveries.get("attempted")
        reached = arrived * (sent / due if sent and due else 1)
        found["messages.rate"] = [reached / value("messages.seconds")]
        if rate := value("messages.rate"):
            found["messages.seconds"] = [reached / rate]
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
    for tags, lines in _sampled(books, latencies):
        counts = sum(latencies[f"{tag}.count"] for tag in tags)
        censored = sum(value_of(record.get("metrics", {}), f"{tag}.censored") or 0 for tag in tags)
        counted = sum(line.get("measured", 0) for line in lines) + censored
        if counts != counted:
            wrong.append(f"books: {counted:g} samples of {tags[0]}, latency.hlog has {counts}")
            wrong += [f"{tag}.censored: with it and its books there are {counted:g} samples, latency.hlog has {counts}" for tag in tags]
    return wrong + part_complaints(record)


def _sampled(books: Books, latencies: Mapping[str, Any]) -> list[tuple[list[str], list[Mapping[str, Any]]]]:
    """(tags of latency.hlog, lines of the books) that have the same samples."""
    found = []
    for part in ("", *parts_of(books)):
        for tags, sources in SAMPLES:
            lines = [books[part + source] for source in sources if part + source in books]
            there = [part + tag for tag in tags if f"{part}{tag}.count" in latencies]
            found += [(there, lines)] if lines and there else []
    return found


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
    for name, (low, high) in _part_bounds(record).items():
        value = value_of(metrics, name)
        if isinstance(value, (int, float)) and not low <= value <= high:
            wrong.append(f"{name}: the record says {value:g}, its books give {low:g}")
    return wrong


def _part_bounds(record: RecordData) -> Bounds:
    """As bounds_of, of a mix's groups and phases."""
    found, books = Bounds(), _books_of(record)
    for part in parts_of(books) if record.get("config", {}).get("scenario") == "mix" else ():
        for name, (source, columns, more) in OF_PART.items():
            if line := books.get(part + source):
                low = sum(line.get(column) or 0 for column in columns)
                found[part + name] = (low, low + sum(line.get(column) or 0 for column in more))
    return found


def _books_of(record: RecordData) -> Books:
    return record.get("books") or {}


class _Lines:
    """The books of a load, for equations."""

    def __init__(self, record: RecordData) -> None:
        self.record = record
        self.books = _books_of(record)
        self.own = messages_of(record)

    def sum(self, source: str, *columns: str) -> float:
        return sum((self.books.get(source) or {}).get(column) or 0 for column in columns)

    def reasons(self, name: str) -> float | None:
        """The sum of the counts by reason in the record's summary."""
        found = (self.record.get("summary") or {}).get(name)
        if not isinstance(found, dict) or not all(isinstance(count, (int, float)) for count in found.values()):
            return None
        return float(sum(found.values()))


def _exactly(value: float) -> tuple[float, float]:
    return value, value


def _of_messages(lines: _Lines) -> Bounds:
    own = lines.own
    if f"{own}publishes" not in lines.books:
        return {}
    found: Bounds = {}
    warm, deliveries = f"{own}warm_up_deliveries", f"{own}deliveries"
    due = lines.sum(deliveries, "attempted") + lines.sum(warm, "attempted") - lines.sum(warm, "not_sent")
    sent, not_sent = due, lines.sum(f"{own}publishes", "not_sent") + lines.sum(warm, "not_sent")
    if lines.record.get("config", {}).get("pattern", "pairs") != "pairs":  # a message has a delivery for each subscriber
        found["deliveries.expected"] = _exactly(due)
        sent = lines.sum("publishes", "measured") + lines.sum("warm_up_publishes", "measured")
        not_sent = lines.sum("publishes", "not_sent") + lines.sum("warm_up_publishes", "not_sent")
    # An unreadable delivery is corrupt, or its worker died with its sample; of the warm-up, which has no samples, only the first.
    corrupt = value_of(lines.record.get("metrics", {}), "messages.corrupt") or 0
    least = lines.sum(warm, "unreadable")
    found["messages.corrupt"] = (least, least + lines.sum(deliveries, "unreadable"))
    arrived = lines.sum(deliveries, "measured", "unreadable") + lines.sum(warm, "measured", "unreadable")
    return found | {f"messages.{name}": _exactly(count) for name, count in (
        ("sent", sent), ("not_sent", not_sent), ("received", arrived - corrupt),
        ("lost", lines.sum(deliveries, "lost") + lines.sum(warm, "lost")),
        ("unfinished", lines.sum(deliveries, "unfinished") + lines.sum(warm, "unfinished")))}


def _of_acks(lines: _Lines) -> Bounds:
    """The metric has the warm-up too, the book does not."""
    own = lines.own
    lost = lines.sum(f"{own}acks", "lost")
    most = lost + lines.sum(f"{own}warm_up_deliveries", "attempted") + lines.sum(f"{own}warm_up_publishes", "attempted")
    return {"messages.unacknowledged": (lost, most)} if f"{own}acks" in lines.books else {}


def _of_lines(lines: _Lines) -> Bounds:
    """Metrics that are sums of columns. A run that only added subscriptions has none that it removed."""
    return {name: _exactly(sum(lines.sum(source, *columns) for source in sources)) for name, (sources, columns) in OF_LINES.items()
            if OF_GROUPS.get(name.partition(".")[0], sources[0]) in lines.books}


def _of_slow_readers(lines: _Lines) -> Bounds:
    found: Bounds = {}
    if "slow_deliveries" in lines.books:
        received = lines.sum("slow_deliveries", "measured")  # an unreadable one arrived, or is corrupt
        found["slow.received"] = (received, received + lines.sum("slow_deliveries", "unreadable"))
        found["slow.not_recovered"] = _exactly(lines.sum("recoveries", "failed"))
        if (closed := lines.reasons("slow_closed")) is not None:
            found["slow.closed"] = _exactly(closed)
    readers = lines.record.get("config", {}).get("slow_readers")
    return found | ({"slow.readers": _exactly(readers)} if isinstance(readers, int) else {})


def _of_clients(lines: _Lines) -> Bounds:
    found: Bounds = {}
    if "connects" in lines.books and not any(source.startswith("probe_") for source in lines.books):
        failed = lines.sum("connects", "failed")
        found["clients.connected"] = _exactly(lines.sum("connects", "measured", "unreadable"))
        # Clients whose connect was never due count as failed as well; the books count them as not sent.
        found["clients.failed"] = (failed, failed + lines.sum("connects", "not_sent"))
    for name in ("failed", "dropped"):
        if (count := lines.reasons(name)) is not None:
            low, high = found.get(f"clients.{name}", (count, count))
            found[f"clients.{name}"] = (max(low, count), min(high, count))
    return found


def bounds_of(record: RecordData) -> Bounds:
    """What the books of a load allow each of its counts to be (equations: loadgen/run_books.c)."""
    lines = _Lines(record)
    found: Bounds = {}
    for part in (_of_messages, _of_acks, _of_lines, _of_slow_readers, _of_clients):
        found |= part(lines)
    return found


def count_complaints(record: RecordData) -> list[str]:
    """Counts among the metrics of a load that its books contradict."""
    wrong, metrics = list[str](), record.get("metrics", {})
    for name, (low, high) in bounds_of(record).items():
        value = value_of(metrics, name)
        if name in metrics and value is None and low == high:
            wrong.append(f"{name}: the record gives no value, its books give {low:g}")
        elif isinstance(value, (int, float)) and not low <= value <= high:
            wrong.append(f"{name}: the record says {value:g}, its books give {min(low, high):g}")
    return wrong


def decided(record: RecordData, figures: Mapping[str, Sequence[float | None]]) -> set[str]:
    """Metrics without a file of their own that an equation with the books gives. `figures`: those that were computed again."""
    found = {name for name, (low, high) in bounds_of(record).items() if low == high}
    found |= {name for name, (low, high) in _part_bounds(record).items() if low == high}
    return found | {f"{tag}.censored" for tags, _ in _sampled(_books_of(record), figures) for tag in tags}


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
