# SPDX-License-Identifier: Apache-2.0
"""Runs of a few brokers and single clients: starts, expansions, overflow, reuse."""
import contextlib
import time
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims.clients import Client, burst
from poolmark.claims.measured import reads, source
from poolmark.claims.work import Work, broker_folders, events_of, pool_of, private_bytes

# As the published design: the objects in a pool, arena and buffers from the heap when a connection arrives.
REST_ON_HEAP = ["--pool", "buffers=malloc", "--pool", "arenas=malloc", "--pool", "messages=malloc"]
CLASSIC = ["--shape", "classic", *REST_ON_HEAP]
OBJECTS = ["--shape", "object=3072,read=4096,write=4096,arena=6144,lazy", *REST_ON_HEAP]
FIXED_OBJECTS = 100_000
STARTS = {
    "none": ["--pool", "malloc", *CLASSIC],
    "objects": ["--pool", "expand", *CLASSIC, "--initial", "1024", "--max", "100000"],
    # One read and one write buffer each, ready at start; no arena, which the claim's setup does not have.
    "buffers": ["--pool", "expand", "--shape", "classic", "--initial", "1024", "--initial", "buffers=2048", "--max", "100000"],
    "fixed": ["--pool", "fixed", *CLASSIC, "--initial", str(FIXED_OBJECTS)],
}


@source("starts", "brokers with nothing ready, 1 024 objects, 1 024 with buffers, 100 000 objects: each started, read, connected to",
        lambda work: 4 * 0.15 * work.repetitions)
def starts(work: Work) -> Json:
    rows: list[Json] = []
    for number in range(work.repetitions):
        row: Json = {}
        for name in STARTS if number % 2 == 0 else reversed(STARTS):
            began = time.monotonic()
            with work.broker(f"{name}.{number + 1}", STARTS[name]) as broker:
                client = broker.connect(0)
                row[f"{name}_start_s"] = time.monotonic() - began
                if client.code != 0:
                    raise PoolmarkError(f"starts: the first client was refused by code {client.code}")
                client.close()
                row[f"{name}_bytes"] = broker.private_bytes()
        rows.append(row)
    return {"rows": rows, "fixed_objects": FIXED_OBJECTS}


TRIGGERS = (819, 1228, 1843)


@source("expansions", "clients one by one over the first three expansions, with the broker's memory before and after each",
        lambda work: 1.3 * work.repetitions)
def expansions(work: Work) -> Json:
    rows: list[Json] = []
    for number in range(work.repetitions):
        readings: list[int] = []
        clients: list[Client] = []
        with work.broker(f"expand.{number + 1}", ["--pool", "expand", *OBJECTS, "--initial", "1024", "--max", "100000"]) as broker:
            for trigger in TRIGGERS:
                clients += [broker.connect(i) for i in range(len(clients), trigger - 1)]
                before = broker.private_bytes()
                clients += [broker.connect(i) for i in range(len(clients), trigger + 1)]
                time.sleep(0.2)  # the pool's own thread makes the objects; a reading waits for level memory besides
                readings.append(broker.private_bytes() - before)
            for client in clients:
                client.socket.close()
        rows.append({"added_bytes": readings, **expansions_of(broker.folder)})
    return {"rows": rows}


def expansions_of(folder: Path) -> Json:
    """From the record of one broker."""
    events = [event for event in events_of(folder) if event["event"] == "expand"]
    return {"added_objects": [event["to"] - event["from"] for event in events[:3]], "triggers": [event["trigger"] for event in events],
            "to": [event["to"] for event in events], "durations_ns": [event["duration_ns"] for event in events]}


@reads("expansions")
def read_expansions(folder: Path) -> Json:
    return {"rows": [expansions_of(one) for one in broker_folders(folder, "expand")]}


@source("overflow", "6 000 clients of a pool of at most 1 000 objects and a broker of at most 5 000 connections, overflow to the "
                    "heap and refused", lambda work: 2.0 * (1 if work.quick else 2))
def overflow(work: Work) -> Json:
    rows: list[Json] = []
    for number in range(1 if work.quick else 2):
        row: Json = {}
        for policy in ("heap", "refuse"):
            with work.broker(f"{policy}.{number + 1}", ["--pool", "expand", *OBJECTS, "--initial", "256", "--max", "1000", "--overflow",
                                                        policy, "--max-connections", "5000"]) as broker:
                clients = [broker.connect(i) for i in range(6000)]
                codes = [client.code for client in clients]
                for client in clients:
                    client.socket.close()
            row[policy] = {str(code): codes.count(code) for code in sorted(set(codes), key=str)}
        row.update(max=1000, peak_in_use=broker.pool()["peak_in_use"])  # of the pool that refuses
        rows.append(row)
    with work.broker("default", ["--pool", "expand", *OBJECTS, "--initial", "64", "--max", "100"]) as broker:
        clients = [broker.connect(i) for i in range(200)]
        accepted = sum(client.code == 0 for client in clients)
        for client in clients:
            client.socket.close()
    return {"rows": rows, "default_accepted_of_200": accepted}


BURST, AT_ONCE = 10_000, 16  # more at once would wait for this client and for one another


@source("burst", "10 000 clients at once to a pool of 64 objects: connects by whether an expansion was under way",
        lambda work: 1.0 * work.repetitions)
def burst_while_expanding(work: Work) -> Json:
    rows: list[Json] = []
    for number in range(work.repetitions):
        with work.broker(f"burst.{number + 1}", ["--pool", "expand", *OBJECTS, "--initial", "64", "--max", "100000"]) as broker:
            times, opened = burst(broker.port, BURST, AT_ONCE)
            for one in opened:
                one.close()
        # An event is written when its expansion has ended.
        growing = [(event["at_ns"] - event["duration_ns"], event["at_ns"]) for event in broker.events() if event["event"] == "expand"]
        within = [end - begin for begin, end in times if any(begin <= last and end >= first for first, last in growing)]
        rows.append({**burst_of(broker.folder), "max": 100_000, "in_flight_ns": sorted(within),
                     "all_mean_ns": sum(b - a for a, b in times) / len(times),
                     "all_p99_9_ns": sorted(b - a for a, b in times)[int(len(times) * 0.999)]})
    return {"rows": rows}


def burst_of(folder: Path) -> Json:
    durations = [event["duration_ns"] for event in events_of(folder) if event["event"] == "expand"]
    return {"peak_in_use": pool_of(folder)["peak_in_use"], "expansions": len(durations), "durations_ns": durations}


@reads("burst")
def read_burst(folder: Path) -> Json:
    return {"rows": [burst_of(one) for one in broker_folders(folder, "burst")]}


@source("reuse-rate", "one client that connects and leaves: 50 times a second on sync with sweeps each second, 1 000 times on blocks",
        lambda work: (6 if work.quick else 21) + 0.3 * work.repetitions)
def reuse_rate(work: Work) -> Json:
    """The slow clients of all repetitions run side by side, each with a broker of its own: they are idle most of the time."""
    seconds = 5 if work.quick else 20
    with contextlib.ExitStack() as stack:
        brokers = [stack.enter_context(work.broker(f"sync.{number + 1}", ["--pool", "sync", *CLASSIC, "--sweep-every", "1s"]))
                   for number in range(work.repetitions)]
        began, number, half = time.monotonic(), 0, []
        while number < 50 * seconds:
            if number == 25 * seconds:
                half = [private_bytes(broker.child.pid) for broker in brokers]
            for broker in brokers:
                broker.connect(number).close()
            number += 1
            time.sleep(max(0.0, began + number / 50 - time.monotonic()))
        memory = [{"half_bytes": before, "end_bytes": private_bytes(broker.child.pid)} for before, broker in zip(half, brokers, strict=True)]
    for number in range(work.repetitions):
        with work.broker(f"blocks.{number + 1}", ["--pool", "blocks", *OBJECTS, "--initial", "100", "--max", "1000"]) as broker:
            for i in range(1000):
                broker.connect(i).close()
    return {**read_reuse_rate(work.folder), "seconds": seconds, "memory": memory}


@reads("reuse-rate")
def read_reuse_rate(folder: Path) -> Json:
    return {name: [{key: pool_of(one)[key] for key in ("gets", "hits", "misses", "owned")} for one in broker_folders(folder, name)]
            for name in ("sync", "blocks")}
