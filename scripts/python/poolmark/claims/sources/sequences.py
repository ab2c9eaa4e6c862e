# SPDX-License-Identifier: Apache-2.0
"""The capacities that a pool goes through, from the log of a broker that gets as many connections as they take."""
import json
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims.measured import reads, source
from poolmark.claims.sources.broker import REST_ON_HEAP
from poolmark.claims.work import Work, events_of
from poolmark.facts.host import descriptor_limit

# initial: (max, connections at the last trigger)
SEQUENCES = {256: (10_000, 7_872), 1024: (100_000, 70_858), 2048: (100_000, 62_985), 10_000: (100_000, 60_749)}
RESERVED = 512       # descriptors of the broker's own
SMALL = ["--shape", "object=256,read=1024,write=1024,arena=256,lazy", *REST_ON_HEAP]
PER_S = 8_000        # connects a second, for the estimate


def reachable(limit: int, quick: bool) -> int:
    return min(limit - RESERVED, 10_000 if quick else 1_000_000)


def expansions_of(folder: Path) -> list[Json]:
    return [{key: event[key] for key in ("from", "to", "trigger", "duration_ns")} for event in events_of(folder) if event["event"] == "expand"]


@reads("sequences")
def read_sequences(folder: Path) -> Json:
    """What the brokers logged. Capacities beyond that were computed when the run was made."""
    if not any((folder / str(initial) / "broker").is_dir() for initial in SEQUENCES):
        raise FileNotFoundError(folder / str(next(iter(SEQUENCES))) / "broker")
    return {str(initial): {"events": len(rows), "rows": rows} for initial in SEQUENCES
            if (rows := expansions_of(folder / str(initial) / "broker"))}


@source("sequences", "four brokers that get connections until their pool is at its maximum, as far as descriptors reach",
        lambda work: sum(1.5 + min(needed, reachable(descriptor_limit(), work.quick)) / PER_S for _, needed in SEQUENCES.values()))
def sequences(work: Work) -> Json:
    found: Json = {}
    for initial, (most, needed) in SEQUENCES.items():
        count = min(needed, reachable(descriptor_limit(), work.quick))
        words = ["--pool", "expand", "--expand", "inline", *SMALL, "--initial", str(initial), "--max", str(most)]
        with work.broker(str(initial), words) as broker:
            work.output(f"{initial}-load", [str(work.build / "poolmark-loadgen"), "connect", "--target", f"mqtt://127.0.0.1:{broker.port}",
                                            "--engine", "raw", "--connections", str(count), "--settle", "0ms", "--quiet"])
        rows = expansions_of(broker.folder)
        if not rows:
            raise PoolmarkError(f"a pool of {initial} with {count} connections logged no expansion")
        seen = [rows[0]["from"], *(row["to"] for row in rows)]
        told = json.loads(work.output(f"{initial}-describe", [str(work.build / "poolmark-broker"), *words, "--describe"]))
        rule = next(pool for pool in told["pools"] if pool["name"] == "connections")["growth"]
        beyond = [owned for in_use, owned in rule if in_use > count and owned > seen[-1]] if seen[-1] < most else []
        found[str(initial)] = {"capacities": seen + beyond, "events": len(rows), "computed": len(beyond), "connections": count,
                               "rows": rows}
    return found
