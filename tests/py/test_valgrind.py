# SPDX-License-Identifier: Apache-2.0
"""The pools' own tests under Valgrind: no invalid access, no undefined value, no leak."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

BUILD = ROOT / os.environ.get("POOLMARK_BUILD", "build")


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
@pytest.mark.parametrize("name", ["test_slab", "test_slab_parts", "test_slab_threads", "test_pool_contract",
                                  "test_pool_threads", "test_blocks"])
def test_pools_are_clean_under_valgrind(name):
    program = Path(BUILD) / "tests" / name
    if not program.exists():
        pytest.skip(f"{program} is not built")
    # Fair scheduling: threads that spin must not keep the other threads from running.
    done = subprocess.run(["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--fair-sched=try", "--max-threads=2000", program],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
