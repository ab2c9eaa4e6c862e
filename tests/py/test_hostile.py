# SPDX-License-Identifier: Apache-2.0
"""No content of a record or a raw file makes a reader end in a traceback, or print what is not safe to show.

POOLMARK_FUZZ_COUNT sets the number of changed records (make fuzz-records), POOLMARK_FUZZ_SEED the first seed. Each is read by load(), and
what that takes is read by one reader more, chosen by its weight (hostile_readers.py). All that is in one process a processor. Of every
10 000 changed records one is read by a command, a process of its own.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import hostile
import hostile_readers
import pytest
from conftest import ROOT

from poolmark.records import read_record

COUNT = int(os.environ.get("POOLMARK_FUZZ_COUNT", "200"))
SEED = int(os.environ.get("POOLMARK_FUZZ_SEED", "1"))
REFERENCE = ROOT / "results/reference"
A_PROCESS = 10_000      # of so many changed records, one is read by processes
COMMANDS = (("verify", "--present"), ("report", "--out", "{out}"), ("capacity",), ("account",), ("compare", "{whole}"), ("merge", "{whole}", "--out", "{out}"))


def as_process(record, scratch, number) -> None:
    """Reads a record by one of the commands. AssertionError for a traceback."""
    command, *words = COMMANDS[number // A_PROCESS % len(COMMANDS)]
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    told = [word.format(out=out, whole=record.original.other.folder) for word in words]
    done = subprocess.run([sys.executable, ROOT / "scripts/poolmark", command, record.folder, *told], capture_output=True, text=True, timeout=240)
    codes = (0, 1, 2, 3, 4) if command == "compare" else (0, 1, 2)
    assert "Traceback" not in done.stderr and done.returncode in codes, f"{command}: exit code {done.returncode}: {done.stderr}"
    hostile_readers.plain(done.stdout + done.stderr)


def try_some(numbers, scratch):
    """Counter of what happened to the records of these numbers, and the first failure or None."""
    originals = hostile.Originals(scratch, REFERENCE, random.Random(SEED), variants=hostile.VARIANTS if COUNT >= 10_000 else 2)
    found = Counter()
    for number in numbers:
        rng = random.Random(f"{SEED}/{number}")
        with originals.changed(rng) as record:
            try:
                found["tried"] += 1
                run = hostile.loaded(record)
                if run is not None:
                    found["loaded"] += 1
                    found["read"] += hostile_readers.read(record.folder, run, record.original.other, scratch, rng)
                if number % A_PROCESS == A_PROCESS // 2:
                    as_process(record, scratch, number)
                    found["processes"] += 1
            except Exception as error:  # noqa: BLE001: the test looks for any exception
                kept = Path(tempfile.mkdtemp(prefix="poolmark-hostile-"))
                shutil.copytree(record.folder, kept / record.folder.name)
                return found, f"{type(error).__name__}: {error}; POOLMARK_FUZZ_SEED={SEED}, number {number}; kept in {kept}"
        read_record._fitting.clear()    # of a process that reads a few records
    return found, None


def try_in(shard, shards, scratch):
    return try_some(range(shard, COUNT, shards), Path(scratch) / str(shard))


def test_no_hostile_record_ends_in_a_traceback(in_memory):
    shards = (os.cpu_count() or 1) if COUNT >= 10_000 else 1
    with ProcessPoolExecutor(shards, get_context("fork")) as pool:
        results = list(pool.map(try_in, range(shards), [shards] * shards, [str(in_memory)] * shards))
    found = sum((one for one, _ in results), Counter())
    failures = [text for _, text in results if text]
    assert not failures, "\n".join(failures)
    print(f"\n{found['tried']} changed records: {found['loaded']} taken by the door, {found['read']} of them by a reader; {found['processes']} calls of commands")
    # Many are still readable, so the readers ran.
    assert found["tried"] == COUNT and found["loaded"] > COUNT // 5 and found["read"] > found["loaded"] // 4


def test_every_reader_takes_a_record_that_was_not_changed(in_memory):
    """Otherwise it would refuse each changed one at once, for what the small copy lacks."""
    whole = hostile.Originals(in_memory, REFERENCE, random.Random(SEED)).whole()
    assert {one.folder.name.rpartition("-")[0] for one in whole} >= {"quick", "idle", "million", "bench", "account", "kernel"}
    for call in hostile_readers.CALLS:
        assert any(hostile_readers.read(one.folder, one.run, one.other, in_memory, random.Random(1), call) for one in whole), call


def test_what_is_not_safe_to_show_is_found():
    """The looks at what readers print can fail."""
    for look, text in ((hostile_readers.plain, "a\x1b[2J"), (hostile_readers.plain, "\u202e"), (hostile_readers.markdown, "a <script>alert(1)</script>"),
                       (hostile_readers.markdown, "```bibtex\n}\n```\n<script>alert(1)</script>\n```\n"), (hostile_readers.page, "<p><script>alert(1)</script>"),
                       (hostile_readers.sheet, "a,b\n1,=cmd()\n")):
        with pytest.raises(AssertionError):
            look(text)
    hostile_readers.markdown("```bibtex\n<script>alert(1)</script>\n```\ntext\n")
