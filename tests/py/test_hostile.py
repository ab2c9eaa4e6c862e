# SPDX-License-Identifier: Apache-2.0
"""No content of a record or a raw file makes a reader end in a traceback.

POOLMARK_FUZZ_COUNT sets the number of changed records (make fuzz-records), POOLMARK_FUZZ_SEED the first seed.
"""
import os
import random
from pathlib import Path

import hostile
import pytest

from poolmark.records.read_record import load

ROOT = Path(__file__).resolve().parents[2]
COUNT = int(os.environ.get("POOLMARK_FUZZ_COUNT", "60"))
SEED = int(os.environ.get("POOLMARK_FUZZ_SEED", "1"))


def test_no_hostile_record_ends_in_a_traceback(tmp_path):
    originals = [hostile.small_copy(ROOT / "results/reference" / name, tmp_path / name, cells)
                 for name, cells in (("quick", 1), ("idle", 1), ("million", 1), ("bench", 4)) if (ROOT / "results/reference" / name).is_dir()]
    assert originals
    taken = 0
    for number in range(COUNT):
        rng = random.Random(f"{SEED}/{number}")
        original = rng.choice(originals)
        folder = hostile.make_hostile(tmp_path / "hostile", original, rng)
        try:
            taken += hostile.readers(folder, load(original), tmp_path, rng)
        except Exception as error:  # noqa: BLE001: the test looks for any exception
            pytest.fail(f"{type(error).__name__}: {error}; POOLMARK_FUZZ_SEED={SEED}, number {number}, of {original.name}", pytrace=True)
    assert taken > COUNT // 2  # many records are still readable, so the readers ran
