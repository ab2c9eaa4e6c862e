# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of `capacity --connections ...`: made-up runs whose truth is known, and the answers by them."""
import json
import math
from pathlib import Path

import jsonschema
import numpy

from poolmark.model import evidence, needs, needs_told
from poolmark.model.asked import Asked
from poolmark.records.read_record import Run

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "results/capacity.schema.json").read_text(encoding="utf-8"))
COUNTS = [1_000, 10_000, 50_000, 100_000]
RATES = [1_000, 2_000, 4_000, 8_000, 16_000]
USER, KERNEL = 17_600, 8_200              # bytes of a connection; the kernel's of both ends
BASE, MESSAGE, CONNECT = 0.02, 8e-6, 40_000     # processors, processor seconds, ns
HOST = {"cores": 4, "memory_bytes": 16 << 30, "kernel": "Linux 6.1", "cpu_model": "A made-up CPU",
        "limits": {"nofile_hard": 20_000, "file_max": 1_600_000, "port_range": [32_768, 60_999], "tcp_mem_pages": [180_000, 240_000, 360_000]}}


def metric(value, unit="ns"):
    return {"value": value, "unit": unit, "better": "lower"}


def made(folder, kind, cells, config=None, number=1, host=HOST):
    data = {"schema": "poolmark.run/1", "id": f"{kind}-20260101T000000Z-{number:04x}", "kind": kind, "suite": kind, "status": "complete",
            "started_utc": "2026-01-01T00:00:00Z", "tool": {"version": "0.2.0", "commit": "a" * 40, "dirty": False}, "command": ["x"], "host": host,
            "config": config or {}, "cells": cells, "metrics": {}, "anomalies": [], "files": {}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(data))
    return Run(folder, data)


def p99_of(rate, cores=1):
    return 0.5e6 / (1 - (BASE + MESSAGE * rate) / cores)


def load_cell(repetition, strategy="malloc", shape="classic", noise=0.002, rates=RATES, anomalies=(), seed=0):
    """A cell of steps and of rates, with the truth above."""
    rng = numpy.random.default_rng(seed * 100 + repetition)
    metrics = {"cpu.per_connection_ns": metric(CONNECT * (1 + rng.normal(0, noise)))}
    for count in COUNTS:
        metrics[f"step.{count}.user_bytes"] = metric((4e6 + USER * count) * (1 + rng.normal(0, noise)), "B")
        metrics[f"step.{count}.kernel_bytes"] = metric(KERNEL * count * (1 + rng.normal(0, noise)), "B")
    words, phases = ["steps --steps " + ",".join(map(str, COUNTS))], [{"name": "steps", "scenario": "steps", "folder": "load", "prefix": ""}]
    for rate in rates:
        name = f"r{rate}"
        words.append(f"publish --pairs 100 --publish-rate {rate}")
        phases.append({"name": name, "scenario": "publish", "folder": f"load-{name}", "prefix": f"{name}."})
        each = (BASE + MESSAGE * rate) / rate * 1e9
        metrics |= {f"{name}.messages.rate": metric(rate, "1/s"), f"{name}.cpu.per_message_ns": metric(each * math.exp(rng.normal(0, noise))),
                    f"{name}.delivery.p99": metric(p99_of(rate) * math.exp(rng.normal(0, 5 * noise)))}
    return {"id": f"{shape}-{strategy}.{repetition}", "repetition": repetition, "status": "complete", "metrics": metrics, "phases": phases,
            "commands": [["build/poolmark-broker"]], "anomalies": list(anomalies),
            "config": {"target": "poolmark", "strategy": strategy, "shape": shape, "engine": "raw", "connections": COUNTS[-1], "phases": "; ".join(words)}}


def load_run(folder, repetitions=4, host=HOST, **how):
    return made(folder, "steps", [load_cell(one, **how) for one in range(1, repetitions + 1)], host=host)


def law_rate(load):
    return 10_000 * load / (1 + 0.03 * (load - 1) + 0.0005 * load * (load - 1))


def limit_run(folder, loads=(1, 2, 3, 4, 6, 8), rate=law_rate, kind="limit", by="target", bound="delivery.p99=20000000ns", axis="threads"):
    """Searches at several loads, as one made-up record."""
    cells = []
    for at, load in enumerate(loads):
        name, found = f"raw-{load}", rate(load) * (1.003 if at % 2 else 0.997)
        words = f"publish --pairs {load if axis == 'clients' else 50} --publish-rate 1000"
        config = {"target": "poolmark", "strategy": "malloc", "shape": "classic", "engine": "raw"}
        options = {"broker_options": f"--threads {load}"} if axis == "threads" else {}
        cells.append({"id": f"{name}/01", "repetition": 1, "status": "failed", "config": {**config, **options, "rate": 1000, "phases": words}, "metrics": {},
                      "phases": [{"name": "publish", "scenario": "publish", "folder": "load", "prefix": ""}], "commands": [["build/poolmark-broker"]],
                      "anomalies": [], "trial": {"verdict": "limited", "by": "host", "why": []}})
        metrics = {f"limit.{end}": metric(part * found, "1/s") for end, part in (("low", 0.98), ("rate", 1), ("high", 1.02))}
        cells.append({"id": name, "repetition": 1, "status": "complete", "config": config, "metrics": metrics, "anomalies": [],
                      "answer": {"kind": kind, "by": by, "wide": False}})
    return made(folder, "limit", cells, {"scenario": "publish", "bounds": [bound]}, number=2)


def answer(runs, committed=False, **question):
    facts = needs.answer(evidence.gather(runs, None), Asked(**question), committed)
    facts["paragraph"] = needs_told.paragraph(facts)
    jsonschema.validate(facts, SCHEMA)
    json.dumps(facts, allow_nan=False)
    return facts


def figure(facts, name):
    return next(one for one in facts["figures"] if one["name"].startswith(name))


def limit(facts, name):
    return next(one for one in facts["limits"] if one["name"].startswith(name))
