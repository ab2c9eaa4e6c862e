# SPDX-License-Identifier: Apache-2.0
"""Shared by the Python tests: the modules of scripts/, and the command as a user calls it."""
import subprocess
import sys
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
