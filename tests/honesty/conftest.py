# SPDX-License-Identifier: Apache-2.0
"""Honesty tests: each injects one fault into a real run, then checks the record, the exit code and the message.

`faults.py` starts the programs and injects the faults. A fault that needs root is marked `needs_root`. Without root its test is
skipped with that reason; scripts/run-tests counts and shows skipped tests.
"""
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import faults  # noqa: E402


@pytest.fixture
def open_folder():
    """A folder that every user may enter and write. tmp_path is below one that each start of pytest closes to others."""
    folder = Path(tempfile.mkdtemp(prefix="poolmark-honesty-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def broker():
    """The reference broker on its own port; it ends with the test."""
    with faults.Broker() as started:
        yield started
