# SPDX-License-Identifier: Apache-2.0
"""Shared by the stand-ins for broker and load generator: options, and a record that fits the schema.

A suite asks them for --describe many times, so they import little before that, and start without site-packages (-S).
"""
import os
import sys


def describe(program):
    """For --describe, replaces this process with the real program, so the stand-in accepts the same options."""
    if "--describe" in sys.argv:
        here = os.path.dirname(os.path.abspath(__file__))
        build = os.path.join(here, "..", "..", "..", os.environ.get("POOLMARK_BUILD") or "build")
        if os.path.realpath(build) == os.path.realpath(here):   # selected by --build; the real programs are elsewhere
            build = os.path.join(here, "..", "..", "..", "build")
        os.execv(os.path.join(build, program), [program, *sys.argv[1:]])


def options(argv):
    """--name value and --flag as {"name": [values]}; words without dashes under ""."""
    found, i = {"": []}, 0
    while i < len(argv):
        if not argv[i].startswith("--"):
            found[""].append(argv[i])
            i += 1
        elif i + 1 < len(argv) and not argv[i + 1].startswith("--"):
            found.setdefault(argv[i][2:], []).append(argv[i + 1])
            i += 2
        else:
            found.setdefault(argv[i][2:], []).append("")
            i += 1
    return found


def write_record(folder, kind, status, metrics=None, allocator="glibc", anomalies=(), **more):
    import json
    import time

    os.makedirs(folder, exist_ok=True)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {"schema": "poolmark.run/1", "id": time.strftime(f"{kind}-%Y%m%dT%H%M%SZ-0000", time.gmtime()), "kind": kind,
            "status": status, "started_utc": now, "ended_utc": now, "seed": 1,
            "tool": {"version": "0", "commit": "unknown", "dirty": False, "compiler": "none", "flags": ""},
            "command": [os.fsencode(word).decode("utf-8", "backslashreplace") for word in sys.argv],
            "host": {"cores": 1, "loaded": {"allocator": allocator}}, "metrics": metrics or {},
            "anomalies": list(anomalies), **more}
    with open(os.path.join(folder, "run.json"), "w") as file:
        json.dump(data, file)
