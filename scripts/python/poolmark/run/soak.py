# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark soak: loads one broker for a while, round after round, and judges what it has when all clients have left.

A round is churn, a burst, slow readers, messages at QoS 1 and 2, and clients that are ended by SIGKILL. After each round, when the pools
have come to rest, it reads the broker's memory, descriptors and objects in use. The first rounds are a warm-up, in which pools and caches
reach their size. It ends with four verdicts (records/rounds.py): memory, descriptors, pools, losses.

Exit 0: all hold; 1: one does not hold, or cannot be told; 2: wrong call; 129, 130, 143: interrupted by a signal.
"""
import contextlib
import json
import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from poolmark.base import host_clock
from poolmark.base.curves import read_csv
from poolmark.base.errors import PoolmarkError, RecordError
from poolmark.base.escape import terminal
from poolmark.base.forms import RecordData
from poolmark.base.options import span
from poolmark.base.paths import choose_build, for_people
from poolmark.base.progress import span as show_span
from poolmark.base.table import text_table
from poolmark.base.units import show, show_bytes, show_count
from poolmark.facts import described
from poolmark.facts import metrics as metrics_of
from poolmark.facts.children import Child, Children, Interrupted
from poolmark.facts.proc_files import read_text
from poolmark.records import rounds
from poolmark.records.read_record import load
from poolmark.records.record import Record
from poolmark.records.rounds import Round
from poolmark.suites.targets import READY_S, STOP_S, option_words

SHORTEST_S, LONGEST_S, USUAL_S = 5, 30 * 86_400, 1800
PIECES = 40                     # a short soak has short pieces: the fortieth part of its time, within these bounds
PIECE_MIN_S, PIECE_MAX_S = 0.5, 3.0
WARM_UP_ROUNDS, WARM_UP_SHARE = 2, 0.1   # at least so many rounds, and so much of the time
KILLED_PAIRS = 100
REST_S, LOOK_S = 20.0, 0.3      # how long the broker may take to come to rest; how often that is looked for
LEVEL_S = 1.0                   # memory is level when it has stayed so long
LEVEL_BYTES = 65_536            # two readings of a level process differ by so much (loadgen/run.h, run_level_slack)
GUARD_S = 300.0                 # only a generator that hangs reaches it
# Pools that own enough from the start and give nothing back: so memory is level, and what grows is what the broker keeps.
BROKER = {"pool": "fixed", "shape": "classic", "initial": ["2048", "buffers=4096", "arenas=2048", "messages=8192"]}


def say(text: str) -> None:
    print(terminal(text), file=sys.stderr, flush=True)


def piece_s(seconds: float) -> float:
    return max(PIECE_MIN_S, min(PIECE_MAX_S, seconds / PIECES))


def steps(seconds: float) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, scenario, options) of a round's calls of the generator, each of about `seconds`. The kills are apart."""
    lasts = {"duration": f"{seconds:g}s"}
    comes = {"settle": "0s", "subscribe": True}
    return [
        ("churn", "churn", {"connections": 500, "churn-rate": 300, "schedule": "poisson", "leave": "mix", **comes, **lasts}),
        ("burst", "burst", {"connections": 100, "burst": 1500, "repeat": 1, "stay": "200ms", "calm": "100ms", **comes}),
        ("slow", "slow", {"subscribers": 20, "publish-rate": 200, "before": "200ms", "after": "500ms", "settle": "0s", **lasts}),
        ("qos1", "publish", {"pairs": 50, "qos": 1, "publish-rate": 2000, "warmup": "0s", **lasts}),
        ("qos2", "publish", {"pairs": 50, "qos": 2, "publish-rate": 2000, "warmup": "0s", **lasts}),
    ]


KILLED = ("publish", {"pairs": KILLED_PAIRS, "qos": 1, "publish-rate": 1000, "duration": "1h", "json": True, "quiet": True})


def load_words(scenario: str, options: dict[str, Any]) -> list[str]:
    return [scenario, *option_words({"engine": "raw", **options})]


# --- what the broker has


def private_bytes(pid: int) -> int | None:
    """Anonymous memory that no other process shares, resident or swapped out, as base/procmem.h counts it; where that may not be read, None."""
    found = {}
    for text in (read_text(f"/proc/{pid}/smaps_rollup") or "").splitlines():
        name, _, rest = text.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest[:-3]) * 1024
    if "Anonymous" not in found:
        return None
    own = min(found["Anonymous"], found.get("Private_Clean", 0) + found.get("Private_Dirty", 0))
    return max(0, own - found.get("LazyFree", 0)) + found.get("SwapPss", 0)


def descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def in_use_since(path: Path, at_ns: int) -> tuple[bool, int | None]:
    """(whether pools.csv has a sample of that time or later, the objects of all pools in use at its last one; None: not known)."""
    rows = [row for row in read_csv(path, ("pool", "strategy")) if row["at_ns"] >= at_ns]
    if not rows:
        return False, None
    last = {row["pool"]: row.get("in_use") for row in rows}
    known = [count for count in last.values() if count is not None]
    return True, sum(known) if len(known) == len(last) else None


# What a broker must not do with messages and clients, whatever comes; QoS 1 allows duplicates, and those who are killed publish on other topics.
LOST = tuple(name for name in metrics_of.faults("messages") if name not in ("messages.not_sent", "messages.duplicates", "messages.foreign"))
GONE = metrics_of.faults("clients") + ("arrivals.failed",)


class Soak:
    """One soak. Its record has rounds.csv, the broker's record, and those of the generator below rounds/."""

    def __init__(self, record: Record, children: Children, build: Path, seconds: float, seed: int):
        self.record, self.children, self.build, self.seconds, self.seed = record, children, build, seconds, seed
        self.rows: list[Round] = []
        self.warm_up = WARM_UP_ROUNDS
        self.started: Child | None = None   # the broker
        self.url = ""

    @property
    def broker(self) -> Child:
        assert self.started is not None, "start() comes first"
        return self.started

    def start(self) -> None:
        folder = self.record.folder
        argv = [str(self.build / "poolmark-broker"), "--listen", "127.0.0.1:0", *option_words(BROKER), "--record", str(folder / "broker")]
        self.started = self.children.start("the broker", argv, folder / "broker.log", read="stdout")
        self.children.read_until(self.broker, lambda text: text == "ready", READY_S)
        self.url = next(f"mqtt://{text.split()[1]}" for text in self.broker.lines if text.startswith("listening "))
        (folder / "rounds.csv").write_text(",".join(rounds.COLUMNS) + "\n", encoding="utf-8")

    def generator(self, words: list[str]) -> list[str]:
        return [str(self.build / "poolmark-loadgen"), *words, "--target", self.url, "--seed", str(self.seed)]

    def step(self, row: Round, name: str, scenario: str, options: dict[str, Any]) -> None:
        """Runs one call of the generator and adds what its record counts to `row`. PoolmarkError when the broker ends meanwhile."""
        folder = self.record.folder / "rounds" / f"{row.round:04d}" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        argv = self.generator([*load_words(scenario, options), "--record", str(folder), "--quiet"])
        child = self.children.start("the generator", argv, folder.with_suffix(".log"))
        ended = self.children.wait(child, GUARD_S, watch=[self.broker])
        self.children.stop(child, signal.SIGINT)
        if ended is self.broker:
            self.children.stop(self.broker)
            raise PoolmarkError(f"round {row.round}, {name}: {self.broker.how_it_ended()}; its log ends: {self.broker.last_lines()}")
        try:
            data = load(folder).data
        except RecordError as error:
            row.records_not_complete += 1
            self.record.anomaly("record", f"round {row.round}, {name}: {error}")
            return
        self.count(row, name, data)

    def count(self, row: Round, name: str, data: RecordData) -> None:
        metrics = data["metrics"]

        def value(*names: str) -> int:
            found = [metrics[one]["value"] for one in names if one in metrics]
            return round(sum(number for number in found if number is not None))

        row.messages_checked += value("messages.sent")
        row.messages_lost += value(*LOST)
        row.clients_lost += value(*GONE)
        if data["status"] != "complete":
            row.records_not_complete += 1
            told = "; ".join(f"{one['what']}: {one['text']}" for one in data["anomalies"][:3])
            self.record.anomaly("load", f"round {row.round}, {name}: its record is {data['status']}: {told}")

    def kill(self, row: Round) -> None:
        """Ends a generator whose clients publish, all of its processes at once, by SIGKILL."""
        argv = self.generator(load_words(*KILLED))
        child = self.children.start("the generator to kill", argv, self.record.folder / "kills.log", read="stdout")

        def publishes(text: str) -> bool:
            told = json.loads(text)
            return bool(told.get("connections") == 2 * KILLED_PAIRS and told["messages_received"] > 0)

        self.children.read_until(child, publishes, GUARD_S)
        os.killpg(child.pid, signal.SIGKILL)
        self.children.stop(child)
        row.kills += 2 * KILLED_PAIRS

    def rest(self, row: Round) -> None:
        """Waits until the pools are empty and memory is level, at most REST_S, and reads what the broker has then."""
        asked_ns, until = host_clock.now_ns(), time.monotonic() + REST_S
        base, since = None, time.monotonic()    # the reading that memory has stayed at, and since when
        while time.monotonic() < until:
            time.sleep(LOOK_S)
            if self.broker.exited():
                self.children.stop(self.broker)
                raise PoolmarkError(f"after round {row.round}: {self.broker.how_it_ended()}; its log ends: {self.broker.last_lines()}")
            seen, row.objects_in_use = in_use_since(self.record.folder / "broker" / "pools.csv", asked_ns)
            row.memory_bytes, row.descriptors = private_bytes(self.broker.pid), descriptors(self.broker.pid)
            if row.memory_bytes is not None and (base is None or abs(row.memory_bytes - base) > LEVEL_BYTES):
                base, since = row.memory_bytes, time.monotonic()
            if seen and row.objects_in_use in (0, None) and time.monotonic() - since >= LEVEL_S:
                return

    def round(self) -> None:
        row = Round(len(self.rows) + 1, 0, None, None, None)
        for name, scenario, options in steps(piece_s(self.seconds)):
            self.step(row, name, scenario, options)
        self.kill(row)
        self.rest(row)
        row.at_ns = host_clock.now_ns()
        self.rows.append(row)
        with open(self.record.folder / "rounds.csv", "a", encoding="utf-8") as file:
            file.write(rounds.line(row))

    def tell(self, begun: float) -> None:
        row = self.rows[-1]
        say(f"  round {row.round}{' (warm-up)' if row.round <= self.warm_up else ''}, {show_span(time.monotonic() - begun)} of "
            f"{show_span(self.seconds)}: memory {show_bytes(row.memory_bytes)}, {show_count(row.descriptors)} descriptors, "
            f"{show_count(row.objects_in_use)} objects in use; {show_count(row.messages_checked)} messages, {row.messages_lost} lost")

    def play(self) -> None:
        """Rounds until the time is over, and as many as a verdict takes."""
        begun = time.monotonic()
        while time.monotonic() - begun < self.seconds or len(self.rows) < self.warm_up + rounds.FEWEST:
            self.round()
            if time.monotonic() - begun < WARM_UP_SHARE * self.seconds:
                self.warm_up = max(self.warm_up, len(self.rows))
            self.tell(begun)

    def stop(self) -> bool:
        """Ends the broker; whether it ended as it should."""
        if self.started is None:
            return False
        if self.broker.returncode is None and self.children.stop(self.broker, grace_s=STOP_S) == 0:
            return True
        self.record.anomaly("broker", f"{self.broker.how_it_ended()}; its log ends: {self.broker.last_lines()}")
        return False


# --- the record


def judge(record: Record, rows: list[Round], warm_up: int) -> bool:
    """Adds figures and verdicts to the record; whether all hold."""
    record.data["config"]["warm_up_rounds"] = warm_up
    for name, (value, unit, better) in rounds.figures(rows, warm_up).items():
        record.metric(name, value, unit, better)
    found = rounds.verdicts(rows, warm_up)
    record.data["summary"] = {"verdicts": found}
    return all(one["verdict"] == rounds.HOLDS for one in found.values())


def table(record: Record) -> str:
    verdicts = (record.data["summary"] or {})["verdicts"]
    lines = [[name, one["verdict"], one["why"]] for name, one in verdicts.items()]
    figures = [[name, show(one["value"], one["unit"])] for name, one in record.data["metrics"].items()]
    return text_table(["promise", "verdict", "why"], lines, "lll") + "\n\n" + text_table(["figure", "value"], figures)


def config_of(seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "broker": " ".join(option_words(BROKER)), "warm_up_rounds": WARM_UP_ROUNDS,
            "round": [" ".join(load_words(scenario, options)) for _, scenario, options in steps(piece_s(seconds))] +
                     [" ".join(load_words(*KILLED)) + ", ended by SIGKILL"]}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--for", dest="seconds", type=span(SHORTEST_S, LONGEST_S), default=USUAL_S, metavar="D",
                        help="how long: 2m, 8h (30m); at least four rounds are made")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (results/runs/ID)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all randomness (1)")
    parser.add_argument("--build", metavar="DIR", help="where the programs are ($POOLMARK_BUILD, build)")


def run(args: Namespace) -> int:
    build = choose_build(args.build)
    for described_program in (described.broker, described.loadgen):
        described_program(build)    # a clear error when it is not there
    record = Record.create("soak", folder=args.out, config=config_of(args.seconds), seed=args.seed, build=build)
    say(f"soak for {show_span(args.seconds)}, into {for_people(record.folder)}")
    code, whole, ended = 0, False, False
    with Children() as children:
        soak = Soak(record, children, build, args.seconds, args.seed)
        try:
            soak.start()
            soak.play()
            whole = True
        except PoolmarkError as error:
            record.anomaly("broker", str(error))
        except OSError as error:
            record.anomaly("disk", f"{error.filename or 'the record'}: {error.strerror}")
        except Interrupted as interrupted:
            code = 128 + interrupted.number
            record.anomaly("interrupted", str(interrupted))
        with contextlib.suppress(Interrupted):
            ended = soak.stop()
    holds = judge(record, soak.rows, soak.warm_up) and whole and ended
    record.close("complete" if holds else "incomplete" if not whole else "failed")
    print(table(record))
    for one in record.data["anomalies"]:
        say(f"! {one['what']}: {one['text']}")
    say(f"{record.data['status']}: {for_people(record.folder)}/run.json, rounds.csv")
    return code or (0 if holds else 1)
