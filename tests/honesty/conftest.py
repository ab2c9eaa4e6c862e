# SPDX-License-Identifier: Apache-2.0
"""Honesty: each test injects one fault into a real run and checks the record, the exit code and the sentence.

Programs are started by `faults.py`, which also has the faults. A fault that takes root is marked `needs_root`: without
root the test is skipped with that reason, and scripts/run-tests counts and shows what was skipped.
"""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import faults  # noqa: E402


@pytest.fixture
def broker():
    """The reference broker, on a port of its own; ended with the test."""
    with faults.Broker() as started:
        yield started
