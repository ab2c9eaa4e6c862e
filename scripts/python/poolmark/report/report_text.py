# SPDX-License-Identifier: Apache-2.0
"""The words of a report: its summary for somebody who decides, its tables, the citation. Plain text; escaping is the
templates' business."""
import re
import statistics

from poolmark.records import phases, raw_data
from poolmark.records.read_record import Run
from poolmark.records.record import sha256
from poolmark.base.units import plural
from poolmark.compare.pairing import stem
from poolmark.compare.verdict_out import in_unit

SUITE_COLUMNS = (
    ("connect.rate", "connects/s"), ("connect.p50", "connect p50"), ("connect.p99", "connect p99"),
    ("connect.p99_9", "connect p99.9"), ("delivery.p50", "delivery p50"), ("delivery.p99", "delivery p99"),
    ("ack.p99", "ack p99"), ("memory.start_bytes", "memory at start"), ("memory.full_bytes", "memory at full"),
    ("memory.per_connection_bytes", "per connection"), ("kernel.per_connection_bytes", "kernel per connection"),
    ("pool.hit_rate", "hit rate"), ("pool.expansions", "expansions"), ("clients.failed", "failed"),
    ("clients.dropped", "dropped"), ("messages.lost", "lost"))
OF_MESSAGES = ("delivery.", "ack.", "messages.")
FEWEST = 2
TITLES = {"bench": "Micro-benchmarks: what they show", "load": "A load: what it met", "broker": "A broker: what it did",
          "nightly": "A night: what it shows"}


def title(run: Run) -> str:
    kind, suite = run.data["kind"], run.data.get("suite")
    return TITLES.get(kind) or (f"Suite {suite}: what it shows" if suite else f"Run ({kind}): what it shows")


def phase_words(cell: dict, metric: str) -> str:
    """" QoS 1": the phase that a latency of messages is of, when there is something to say; else its name, else
    nothing."""
    name = raw_data.phase_of(cell, metric)
    words = dict(raw_data.phases(cell)).get(name, "")
    found = re.search(r"--qos (\d)", words)
    level = found[1] if found else "0" if words.startswith("publish") else ""
    return f" QoS {level}" if level else f" {name}" if name else ""


def columns(cells: list[dict]) -> list[tuple[str, str]]:
    """(metric, head) of a suite's table; a latency of messages once for each phase that has it."""
    found: dict[str, str] = {}
    for metric, head in SUITE_COLUMNS:
        of_messages = metric.startswith(OF_MESSAGES)
        for cell in cells:
            names = phases.variants(cell, metric)
            if metric in phases.SUMMED and f"{phases.CELL}.{metric}" in cell["metrics"]:
                found.setdefault(f"{phases.CELL}.{metric}", head)
            elif "" in names and not of_messages:
                found.setdefault(metric, head)
            else:
                for phase, name in names.items():
                    found.setdefault(name, head + (phase_words(cell, name) if of_messages else f" {phase}" if phase else ""))
    return list(found.items())


def groups(run: Run) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for cell in run.data.get("cells", []):
        found.setdefault(stem(cell["id"]), []).append(cell)
    return found


def values(cells: list[dict], metric: str) -> list[float]:
    found = []
    for cell in cells:
        one = cell["metrics"].get(metric)
        if one and one["value"] is not None:
            found += one.get("samples") or [one["value"]]
    return found


def middle(cells: list[dict], metric: str) -> float | None:
    found = values(cells, metric)
    return statistics.median(found) if found else None


def spread(cells: list[dict], metric: str) -> str:
    """" (from to)" of the samples; nothing for one."""
    found = values(cells, metric)
    if len(found) < FEWEST:
        return ""
    unit = next(cell["metrics"][metric]["unit"] for cell in cells if metric in cell["metrics"])
    return f" ({in_unit(min(found), unit)} to {in_unit(max(found), unit)})"


def shown(cells: list[dict], metric: str) -> str:
    value = middle(cells, metric)
    if value is None:
        return "-"
    return in_unit(value, next(cell["metrics"][metric]["unit"] for cell in cells if metric in cell["metrics"]))


def _ranking(run: Run, metric: str, pick=lambda config: True) -> list[tuple[float, str, list[dict]]]:
    """Best first; only metrics where less is better."""
    ranked = []
    for name, cells in groups(run).items():
        value = middle(cells, metric)
        if value and value > 0 and pick(cells[0]["config"]) and cells[0]["config"].get("strategy") != "null":
            ranked.append((value, name, cells))
    return sorted(ranked, key=lambda one: one[0])


def _compared(run: Run, metric: str, what: str, most: float) -> list[str]:
    """Least and most among the cells with the most connections; others have less to carry."""
    ranked = _ranking(run, metric, lambda config: config.get("connections") == most)
    if not ranked:
        return []
    (best, name, cells), (worst, last, others) = ranked[0], ranked[-1]
    if phases.split(cells[0], metric)[1].startswith(("delivery", "ack")):
        what += phase_words(cells[0], metric)
    what += f" at {most:,.0f} connections".replace(",", " ")
    if len(ranked) < FEWEST:
        return [f"{what}: {shown(cells, metric)}{spread(cells, metric)} with {name}."]
    single = " (one run each)" if len(values(cells, metric)) < FEWEST or len(values(others, metric)) < FEWEST else ""
    return [f"{what}: least with {name}, {shown(cells, metric)}{spread(cells, metric)}; most with {last}, "
            f"{worst / best:.3g} times as much{single}."]


def _most(run: Run) -> float | None:
    numbers = [cell["config"].get("connections") for cell in run.data.get("cells", [])]
    return max((number for number in numbers if isinstance(number, (int, float))), default=None)


def _own_lines(run: Run) -> list[str]:
    """Of a load's own record: how its clients fared."""
    counts = {name: (run.data.get("metrics", {}).get(f"clients.{name}") or {}).get("value")
              for name in ("connected", "failed", "dropped")}
    if run.data.get("cells") or counts["connected"] is None:
        return []
    return [f"{plural(round(counts['connected']), 'client')} connected, {counts['failed'] or 0:.0f} failed, "
            f"{counts['dropped'] or 0:.0f} dropped."]


def _contender(config: dict) -> str:
    allocator = config.get("allocator") or "glibc"
    return f"{config.get('strategy')} on {allocator}" if allocator != "glibc" else str(config.get("strategy"))


def _bench_lines(run: Run) -> list[str]:
    lines = []
    chosen = " of those that --filter chose" if run.data.get("config", {}).get("filter") else ""
    for workload, what in (("lifo", "Getting and putting back one object"), ("burst_1000", "A burst of 1 000"),
                           ("remote_1_1", "One thread gets, another puts")):
        def this(config, workload=workload):
            return config.get("workload") == workload and config.get("bytes") == 3072 and \
                (config.get("threads") or 1) in (1, 2)

        ranked = _ranking(run, "time", this)
        base = next((one for one in ranked if one[2][0]["config"].get("strategy") == "malloc"
                     and (one[2][0]["config"].get("allocator") or "glibc") == "glibc"), None)
        if ranked and base:
            best, _, cells = ranked[0]
            lines.append(f"{what} (3 072 bytes): fastest{chosen} with {_contender(cells[0]['config'])}, {shown(cells, 'time')}"
                         f"{spread(cells, 'time')} each; malloc of glibc takes {base[0] / best:.3g} times as long.")
    return lines


def summary(run: Run) -> list[str]:
    """What a decision needs, in a few sentences; the status first when it is not complete."""
    lines = []
    if run.data["status"] != "complete":
        lines.append(f"This run is {run.data['status']}: read its figures as far as they go.")
    failed = [name for name, cells in groups(run).items() if any(cell["status"] != "complete" for cell in cells)]
    if failed:
        lines.append(f"{len(failed)} of {len(groups(run))} configurations did not end as they should: {', '.join(failed[:5])}.")
    lines += _own_lines(run)
    most = _most(run)
    if most:
        lines += _compared(run, "memory.full_bytes", "User memory in all", most)
        lines += _compared(run, "memory.per_connection_bytes", "Of that, what one more connection adds (memory that a pool "
                           "took at its start is not in it)", most)
        lines += _compared(run, "connect.p99", "Latency of a connect, p99,", most)
        for name in dict.fromkeys(name for cell in run.data["cells"] for name in phases.variants(cell, "delivery.p99").values()):
            lines += _compared(run, name, "Latency of a delivery, p99,", most)
        lost = sum((phases.whole(cell["metrics"], name) or {}).get("value") or 0 for cell in run.data["cells"]
                   for name in ("clients.failed", "clients.dropped"))
        lines.append("No client failed or was dropped." if not lost else
                     f"{plural(round(lost), 'client')} failed or {'was' if lost == 1 else 'were'} dropped.")
    odd = anomalies(run)
    if odd:
        lines.append("1 anomaly was noticed; it is listed under full disclosure." if len(odd) == 1 else
                     f"{len(odd)} anomalies were noticed; they are listed under full disclosure.")
    lines += _bench_lines(run)
    return lines or ["This record has no metric that strategies are compared by; the tables hold what it has."]


def table(run: Run) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: of a suite its known columns, of anything else every metric."""
    cells_of = groups(run)
    if not cells_of:
        return ["metric", "value"], [[name, in_unit(one["value"], one["unit"]) if one["value"] is not None else "-"]
                                     for name, one in run.data.get("metrics", {}).items()]
    if run.data["kind"] == "bench" or all("workload" in cells[0]["config"] for cells in cells_of.values()):
        return bench_table(cells_of)
    used = columns([cell for cells in cells_of.values() for cell in cells])
    rows = [[name, *(shown(cells, metric) for metric, _ in used), str(len(cells))] for name, cells in cells_of.items()]
    return ["cell", *(head for _, head in used), "runs"], rows


def bench_table(cells_of: dict[str, list[dict]]) -> tuple[list[str], list[list[str]]]:
    """A row a benchmark, a column a contender."""
    contenders, lines = {}, {}
    for cells in cells_of.values():
        config = cells[0]["config"]
        threads = config.get("threads") or 1
        name = f"{config.get('workload')} {config.get('bytes')} B" + (f" x {threads} threads" if threads != 1 else "")
        contenders.setdefault(_contender(config), None)
        lines.setdefault(name, {})[_contender(config)] = shown(cells, "time")
    heads = sorted(contenders, key=lambda name: (name != "null", " on " in name or name == "malloc", name))
    return ["benchmark", *heads], [[name, *(found.get(head, "-") for head in heads)]
                                   for name, found in sorted(lines.items())]


def anomalies(run: Run) -> list[str]:
    found = [f"{one['what']}: {one['text']}" for one in run.data.get("anomalies", [])]
    for cell in run.data.get("cells", []):
        found += [f"{cell['id']}: {one['what']}: {one['text']}" for one in cell.get("anomalies", [])]
    return found


def facts(run: Run) -> list[tuple[str, str]]:
    """Everything a figure depends on, name and value."""
    data, found = run.data, []

    def add(prefix: str, value) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{prefix}.{key}" if prefix else key, item)
        else:
            text = " ".join(map(str, value)) if isinstance(value, list) else "unknown" if value is None else str(value)
            found.append((prefix, text))

    for key in ("id", "kind", "suite", "status", "started_utc", "ended_utc", "seed", "tool", "host", "libraries", "config"):
        add(key, data.get(key))
    add("command", " ".join(data["command"]))
    return found


def cite(run: Run) -> dict[str, str]:
    data = run.data
    checksum = sha256(run.folder / "run.json")
    commit = data["tool"]["commit"] + {True: " (dirty)", False: "", None: " (dirty or not: unknown)"}[data["tool"]["dirty"]]
    plain = (f"Poolmark {data['tool']['version']}, run {data['id']}, {data['started_utc']}, commit {commit}, "
             f"SHA-256 of run.json {checksum}.")
    key = data["id"].replace("-", "_")
    bibtex = (f"@misc{{{key},\n  title = {{Poolmark run {data['id']}}},\n  howpublished = {{Poolmark "
              f"{data['tool']['version']}, commit {commit}}},\n  year = {{{data['started_utc'][:4]}}},\n"
              f"  note = {{{data['started_utc']}; SHA-256 of run.json: {checksum}}}\n}}")
    return {"id": data["id"], "date": data["started_utc"], "commit": commit, "checksum": checksum, "plain": plain,
            "bibtex": bibtex}
