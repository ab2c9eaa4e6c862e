# SPDX-License-Identifier: Apache-2.0
"""Shared by the Python tests: the modules of scripts/, and the command as a user calls it."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "python"))
sys.dont_write_bytecode = True


@pytest.fixture
def poolmark():
    """Calls scripts/poolmark with these words; returns the finished process (returncode, stdout, stderr)."""

    def call(*words, cwd=ROOT, env=None, timeout=240):
        return subprocess.run([str(ROOT / "scripts" / "poolmark"), *map(str, words)], cwd=cwd, env=env,
                              capture_output=True, text=True, timeout=timeout)

    return call


@pytest.fixture
def in_memory(tmp_path):
    """A folder in memory where that is possible: a kill loses nothing that a call has written, and the disk need not be waited for."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="poolmark-") as made:
        yield Path(made)
