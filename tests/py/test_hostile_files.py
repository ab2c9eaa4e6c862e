# SPDX-License-Identifier: Apache-2.0
"""No file of a suite or of a mix makes a command end in a traceback: what is wrong with it is told with its line.

POOLMARK_FUZZ_COUNT sets the number of changed files (make fuzz-suites), POOLMARK_FUZZ_SEED the first seed.
"""
import os
import random
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from conftest import ROOT
from hostile import spoil_bytes

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import build_dir
from poolmark.suites import mix_file, suite_file

COUNT = int(os.environ.get("POOLMARK_FUZZ_COUNT", "150"))
SEED = int(os.environ.get("POOLMARK_FUZZ_SEED", "1"))
BUILD = build_dir()
ASKED = 25      # each such file is put to the programs as well, which takes longer
WILD = ["true", "false", "0", "-1", "1", "9223372036854775807", "1e308", "nan", "inf", "-0.0", '""', '"x"', '"\\u001b[2J"', '"\\u202e"', '"a\\nb"', "[]",
        "{}", "9" * 5000, "0x" + "f" * 20, "0x" + "f" * 5000, "[" * 40 + "]" * 40, "[" * 400 + "]" * 400, '"\u0663"', "[[]]", '["x", 1]', "[1, 2.5, true]", '{ a = "b" }', "1979-05-27", "07:32:00", '"' + "a" * 3000 + '"', '"../../etc/passwd"', '"{connections}"',
        '"{2*connections}"', '"{x}"', '"fit"', "[{}]", '[{ name = "x" }]', '"*:*"', '"("']
TABLES = ["[config]", "[axes]", "[[phase]]", "[[group]]", "[[override]]", "[broker]", "[load]", "[beside]", "[[group.phase]]", "[config.x]", "[[axes]]", "[x]"]


def spoil_lines(text, rng):
    """One change that leaves most of it TOML."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    key = re.match(r"\s*[\w.\"-]+\s*=", lines[at])
    act = rng.randrange(6)
    if act <= 2 and key:
        lines[at] = f"{key.group()} {rng.choice(WILD)}"
    elif act == 3:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif act == 4:
        del lines[at]
    else:
        lines.insert(at, rng.choice(TABLES))
    return "\n".join(lines)


def spoil(content, rng):
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.2:
            content = spoil_bytes(content, rng)
        else:
            content = spoil_lines(content.decode(errors="replace"), rng).encode()
    return content


def read(path, build):
    """Whether it was taken. Exceptions other than PoolmarkError pass through."""
    try:
        if path.name.startswith("mix-"):
            mix_file.load(path, build)
        else:
            suite_file.load(str(path), build=build)
    except PoolmarkError as error:
        assert str(error)
        str(error).encode("utf-8", "backslashreplace")
        return False
    return True


def try_some(first, step, folder):
    """(files that were taken, the first failure or None) of each `step`-th changed file from `first` on."""
    originals = [("suite", path) for path in sorted((ROOT / "scripts/suites").glob("*.toml"))]
    mixes = [("mix", path) for path in sorted((ROOT / "scripts/mixes").glob("*.toml"))] if os.access(BUILD / "poolmark-loadgen", os.X_OK) else []
    assert len(originals) > 10
    taken = 0
    folder.mkdir()
    for number in range(first, COUNT, step):
        rng = random.Random(f"{SEED}/{number}")
        build = BUILD if number % ASKED == 0 and mixes else None
        kind, original = rng.choice(mixes if build and rng.random() < 0.5 else originals)
        path = folder / f"{kind}-{original.name}"
        path.write_bytes(spoil(original.read_bytes(), rng))
        try:
            taken += read(path, build)
        except Exception as error:  # noqa: BLE001: the test looks for any exception
            return taken, f"{type(error).__name__}: {error}; POOLMARK_FUZZ_SEED={SEED}, number {number}, of {original.name}"
        path.unlink()
    return taken, None


def test_no_hostile_file_ends_in_a_traceback(tmp_path):
    shards = (os.cpu_count() or 1) if COUNT >= 10_000 else 1
    with ProcessPoolExecutor(shards, get_context("fork")) as pool:
        results = list(pool.map(try_some, range(shards), [shards] * shards, [tmp_path / str(shard) for shard in range(shards)]))
    failures = [text for _, text in results if text]
    assert not failures, "\n".join(failures)
    taken = sum(one for one, _ in results)
    print(f"\n{COUNT} changed files: {taken} taken")
    assert taken > COUNT // 20  # some are still right, so all of the reader ran
