# SPDX-License-Identifier: Apache-2.0
"""Memory over connections, profile classic: the dynamic and the fixed pool in one suite run, whose repetitions take turns."""
import math
from pathlib import Path

from poolmark.base.forms import Json
from poolmark.claims.measured import reads, source
from poolmark.claims.work import Work
from poolmark.facts import allowance, plan
from poolmark.facts.host import connections_that_fit, descriptor_limit
from poolmark.records.read_record import load

SUITE = """# made by scripts/poolmark claims
title = "Memory of the published designs, {connections} connections"
kind = "suite"
repetitions = {repetitions}
seed = 1
primary = ["memory.per_connection_bytes"]

[config]
target = "poolmark"
engine = "raw"
allocator = "glibc"
shape = "classic"
connections = {connections}

[axes]
strategy = [{strategies}]

[load]
keep-alive = 600

[[override]]
when = {{ strategy = "expand" }}
broker.pool = ["expand", "buffers=malloc", "arenas=malloc", "messages=malloc"]
broker.initial = ["{initial}"]
broker.max = ["{most}"]

[[override]]
when = {{ strategy = "fixed" }}
broker.pool = ["fixed", "buffers=malloc", "arenas=malloc", "messages=malloc"]
broker.initial = ["{most}"]

[[phase]]
name = "steps"
scenario = "steps"
steps = "{steps}"
settle = "2s"
probe = 0
subscribe = true
"""
MOST = 100_000
CELL_S = {10_000: 9.0, 100_000: 76.0}  # of 100 000 most is the wait for sockets in TIME-WAIT


def brokers_for(connections: int) -> int:
    """Processes that a suite starts for so many connections under this host's limit of descriptors."""
    return plan.make_plan(connections, "raw", descriptor_limit(), allowance.cores()).instances


def readings(folder: Path) -> list[Json]:
    """Of each cell: strategy, repetition, and for each step user and kernel bytes and what the pool of connections owned."""
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(folder / "run.json")
    rows: list[Json] = []
    for cell in load(folder).data["cells"]:
        steps: dict[str, Json] = {}
        for name, metric in cell["metrics"].items():
            words = name.split(".")
            if words[0] == "step" and words[1].isdigit():
                steps.setdefault(words[1], {})[".".join(words[2:])] = metric["value"]
        rows.append({"strategy": cell["config"]["strategy"], "repetition": cell["repetition"], "status": cell["status"], "steps": {
            count: {"user_bytes": found.get("user_bytes"), "kernel_bytes": found.get("kernel_bytes"),
                    "owned": found.get("connections.owned"), "object_bytes": found.get("connections.object_bytes")}
            for count, found in steps.items()}})
    return rows


def measure(work: Work, connections: int, steps: str, initial: int, strategies: tuple[str, ...] = ("expand", "fixed")) -> Json:
    brokers = brokers_for(connections)
    file = work.folder / "suite.toml"
    file.write_text(SUITE.format(
        connections=connections, repetitions=work.repetitions, steps=steps, initial=math.ceil(initial / brokers),
        most=math.ceil(MOST / brokers), strategies=", ".join(f'"{one}"' for one in strategies)), encoding="utf-8")
    folder = work.poolmark("run", ["suite", str(file)])
    return {"brokers": brokers, "rows": readings(folder)}


@reads("curve")
@reads("hundred")
def read_curve(folder: Path) -> Json:
    return {"rows": readings(folder / "run")}


@source("curve", "suite run: 10 to 10 000 raw connections with a subscription each, dynamic and fixed",
        lambda work: 2 * CELL_S[10_000] * work.repetitions)
def curve(work: Work) -> Json:
    return measure(work, 10_000, "10,100,1000,10000", 1024)


def has_room() -> bool:
    """Whether this host's memory holds 100 000 connections, the fixed pool's too."""
    memory = allowance.memory_bytes()
    return memory is None or connections_that_fit("raw", "classic", memory, descriptor_limit(), allowance.cores(), "fixed") >= MOST


@source("hundred", "suite run: 100 000 raw connections with a subscription each, dynamic and fixed (with --quick, or where "
        "memory is small, 18 000, for a forecast)",
        lambda work: 2 * CELL_S[10_000 if work.quick else 100_000] * work.repetitions)
def hundred(work: Work) -> Json:
    if work.quick or not has_room():
        return measure(work, 18_000, "6000,12000,18000", 5000)
    return measure(work, MOST, "25000,50000,100000", 5000)
