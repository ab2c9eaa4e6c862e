# SPDX-License-Identifier: Apache-2.0
"""Made-up runs for tests of the report, in the formats of the programs; no figure was measured."""
import base64
import json
import struct
import zlib

import numpy

from poolmark.records.record import files_of

HOST = {"cores": 2, "memory_bytes": 25 << 30, "kernel": "6.1", "os": "Debian 12", "cpu_model": "A made-up CPU",
        "cpu_mitigations": {"spectre_v2": "Mitigation: x"}, "governor": None, "thp": "madvise", "page_bytes": 4096,
        "virtualised": True, "limits": {"nofile_hard": 20000}, "loaded": {"allocator": "glibc", "libc": "2.36"}}


def _zigzag(value: int) -> bytes:
    word, out = (value << 1) ^ (value >> 63), bytearray()
    for number in range(9):
        if number == 8 or word < 0x80:
            out.append(word & 0xFF)
            break
        out.append(word & 0x7F | 0x80)
        word >>= 7
    return bytes(out)


def encode(values, lowest: int = 1, digits: int = 3) -> str:
    """The V2 compressed encoding of a histogram of `values`, in base64."""
    from poolmark.records.hlog import Histogram

    half_bits = Histogram(lowest, digits).half_bits
    counts: dict[int, int] = {}
    for value in values:
        bucket = max(0, int(value).bit_length() - (half_bits + 1))
        sub = int(value) >> bucket
        index = ((bucket + 1) << half_bits) + sub - (1 << half_bits)
        counts[index] = counts.get(index, 0) + 1
    payload, at = b"", 0
    for index in sorted(counts):
        if index > at:
            payload += _zigzag(-(index - at))
        payload += _zigzag(counts[index])
        at = index + 1
    plain = struct.pack(">iiiiqqd", 0x1C849313, len(payload), 0, digits, lowest, 3600 * 10 ** 9, 1.0) + payload
    packed = zlib.compress(plain)
    return base64.b64encode(struct.pack(">ii", 0x1C849314, len(packed)) + packed).decode()


def write_latency(path, seed: int, seconds: int = 5) -> None:
    rng = numpy.random.default_rng(seed)
    lines = ["#[Histogram log format version 1.3]", "#[StartTime: 1.0 (seconds since epoch)]",
             '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"']
    for second in range(seconds):
        for tag, scale in (("connect", 3e6), ("connect_uncorrected", 2e6), ("delivery", 3e5), ("ack", 2e5),
                           ("delivery_uncorrected", 2e5)):
            values = rng.lognormal(numpy.log(scale), .6, 400)
            lines.append(f"Tag={tag},{second}.0,1.0,{values.max():.0f},{encode(values)}")
    path.write_text("\n".join(lines) + "\n")


def write_cell(folder, seed: int) -> dict:
    (folder / "load").mkdir(parents=True)
    (folder / "broker").mkdir()
    write_latency(folder / "load" / "latency.hlog", seed)
    second, memory, pools = 10 ** 9, [], []
    for at in range(12):
        connections = min(10000, at * 1000)
        user = 4_000_000 + connections * 17_600
        memory.append(f"{at * second},{'hold' if at > 10 else 'connect'},{connections},{user},{user},{user},{at},1,1,"
                      f"{10 ** 8 + connections * 8000},{connections * 10},5000")
        for name, size in (("connections", 3072), ("buffers", 8192), ("arenas", 6144), ("messages", 64)):
            pools.append(f"{at * second},{name},expand,{size},{connections},{connections},{connections},1,0,1,0,0,0,0,1,0,"
                         f"{connections * size},1000,5000")
    (folder / "load" / "memory.csv").write_text(
        "at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes,target_cpu_ns,"
        "generator_pss_bytes,generator_cpu_ns,kernel_slab_bytes,kernel_tcp_bytes,kernel_page_table_bytes\n"
        + "\n".join(memory) + "\n")
    (folder / "broker" / "pools.csv").write_text(
        "at_ns,pool,strategy,object_bytes,owned,in_use,peak_in_use,gets,puts,hits,misses,overflow,refused,failed,"
        "expansions,shrinks,bytes_owned,overhead_bytes,longest_expansion_ns\n" + "\n".join(pools) + "\n")
    (folder / "broker" / "events.csv").write_text(
        "at_ns,pool,event,from,to,trigger,duration_ns\n"
        + "\n".join(f"{at * second},connections,expand,{at * 1000},{at * 1500},{at * 800},50000" for at in range(1, 6)) + "\n")
    return {"latency": "load/latency.hlog", "memory": "load/memory.csv", "pools": "broker/pools.csv",
            "events": "broker/events.csv"}


def metric(value, unit="ns", better="lower", **more) -> dict:
    return {"value": value, "unit": unit, "better": better, **more}


def _run(kind: str, number: int, cells: list, suite: str) -> dict:
    return {"schema": "poolmark.run/1", "id": f"{kind}-20260101T000000Z-{number:04x}", "kind": kind, "suite": suite,
            "status": "complete", "started_utc": "2026-01-01T00:00:00Z", "ended_utc": "2026-01-01T00:05:00Z", "seed": 1,
            "tool": {"version": "0.1.0", "commit": "a" * 40, "dirty": False, "compiler": "cc 12", "flags": "-O2"},
            "command": ["poolmark", "suite", "quick"], "host": HOST, "libraries": {"paho": "1.3.12"},
            "config": {"connections": 10000}, "cells": cells, "metrics": {}, "summary": {}, "anomalies": [], "files": {}}


def make_suite(folder, number: int = 1, name: str = "{strategy}") -> dict:
    """A suite of three strategies with all its files."""
    cells = []
    for at, strategy in enumerate(("malloc", "expand", "slab")):
        cell = name.format(strategy=strategy) + ".1"
        place = f"cells/{at}"
        files = write_cell(folder / place, number * 10 + at)
        cells.append({"id": cell, "config": {"strategy": strategy, "shape": "classic", "allocator": "glibc",
                                             "connections": 10000}, "repetition": 1, "status": "complete",
                      "commands": [["poolmark-broker", "--pool", strategy]],
                      "metrics": {"connect.p50": metric(3e6 + at), "connect.p99": metric(9e6 - at * 1e6),
                                  "delivery.p99": metric(4e5 + at), "connect.rate": metric(5000, "1/s", "higher"),
                                  "memory.per_connection_bytes": metric(17000 + 500 * at, "B"),
                                  "memory.full_bytes": metric(170e6 + 5e6 * at, "B"),
                                  "clients.failed": metric(0, "1"), "clients.dropped": metric(0, "1")},
                      "files": {key: f"{place}/{value}" for key, value in files.items()}, "anomalies": []})
    run = _run("suite", number, cells, "quick")
    return save(folder, run)


def make_bench(folder, number: int = 2) -> dict:
    rng = numpy.random.default_rng(number)
    cells = []
    (folder / "bench").mkdir(parents=True)
    (folder / "bench" / "trace.csv").write_text("get,time_ns,owned_objects\n" + "\n".join(
        f"{get},{1000000 if get % 500 == 0 else 20},{1000 + get // 500 * 500}" for get in range(2000)) + "\n")
    for workload, base in (("lifo", 5.0), ("burst_1000", 20.0), ("remote_1_1", 60.0), ("grow", 30.0)):
        for strategy, allocator, factor in (("null", "glibc", .5), ("malloc", "glibc", 4), ("malloc", "jemalloc", 1.2),
                                            ("malloc", "mimalloc", 1.5), ("slab", "glibc", .7)):
            samples = (base * factor * rng.normal(1, .02, 9)).tolist()
            label = strategy if allocator == "glibc" else allocator
            cells.append({"id": f"{workload}/{label}/3072.1", "repetition": 1, "status": "complete", "commands": [],
                          "config": {"workload": workload, "strategy": strategy, "allocator": allocator, "bytes": 3072,
                                     "threads": 1},
                          "metrics": {"time": metric(float(numpy.median(samples)), samples=samples),
                                      "resident_bytes_per_object": metric(3200 * factor ** .1, "B")},
                          "files": {"trace": "bench/trace.csv"} if workload == "grow" and strategy == "slab" else {},
                          "anomalies": []})
    for at, strategy in enumerate(("slab", "sync"), 1):
        cells.append({"id": f"pressure/{strategy}/3072.1", "repetition": 1, "status": "complete", "commands": [], "files": {},
                      "anomalies": [], "config": {"workload": "pressure", "strategy": strategy, "allocator": "glibc", "bytes": 3072,
                                                  "threads": 1},
                      "metrics": {"time": metric(7e4 * at), **{f"back_{percent}_ns": metric(2e4 * at * percent) for percent in
                                                               (25, 50, 75, 100)}}})
    return save(folder, _run("bench", number, cells, "bench"))


def make_ranks(folder, number: int = 5) -> dict:
    """A load over four ranks: one has a clock behind rank 0's, one was lost, one only watches a target on its host."""
    def rank(at, clients, clock, **more):
        return {"rank": at, "host": HOST, "clients": clients, "workers": 1, "clock": clock, "lost": False, "ended": "in order",
                "counts": {"connected": clients, "failed": 0, "dropped": 0, "lost": 0}} | more

    def clock(offset, bound):
        return {"offset_ns": offset, "bound_ns": bound, "first_offset_ns": offset, "first_bound_ns": bound, "worst_bound_ns": bound,
                "drift_ppb": 0.0, "drift_bound_ppb": 1.0, "measurements": 3}

    (folder / "ranks/3").mkdir(parents=True)
    (folder / "ranks/3/memory.csv").write_text("at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes\n" + "".join(
        f"{10 ** 15 + at * 10 ** 9},connect,{at * 100},{(10 + at) << 20},,{(5 + at) << 20}\n" for at in range(11)))
    run = _run("load", number, [], "none") | {
        "metrics": {"connect.p50": metric(1e6)}, "status": "incomplete", "config": {"scenario": "connect", "connections": 1000},
        "ranks": [rank(0, 400, clock(0, 0)), rank(1, 300, clock(-5_000_000, 40_000)),
                  rank(2, 300, None, lost=True, ended="silent for 20 s", counts={"connected": 200, "failed": 90, "dropped": 10, "lost": 7}),
                  rank(3, 0, clock(1_500, 300), watched={"processes": 1, "start_rss_bytes": 10 << 20, "peak_rss_bytes": 20 << 20})]}
    for name in ("suite", "cells", "libraries", "seed"):
        del run[name]
    return save(folder, run)


def save(folder, run: dict) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    run["files"] = files_of(folder)
    (folder / "run.json").write_text(json.dumps(run))
    return run
