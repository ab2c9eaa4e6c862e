# SPDX-License-Identifier: Apache-2.0
"""Kernel memory that another program takes while clients connect is not charged to the connections."""
import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from faults import Broker, load, needs_root

FILES = 80_000


@contextlib.contextmanager
def files_are_made():
    """Makes empty files on a tmpfs from when the clients connect on: an inode and a name each, in the kernel's slabs."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    code = f"""import os, time
for at in range({FILES}):
    os.close(os.open(str(at), os.O_CREAT | os.O_WRONLY))
    if at % 1000 == 0:
        time.sleep(.06)  # so that some are made in each part of the run
"""
    maker = subprocess.Popen([sys.executable, "-c", code], cwd=folder)
    try:
        yield maker
    finally:
        maker.kill()
        maker.wait()
        shutil.rmtree(folder)


def connect(folder, broker, before=None):
    # Slow enough to last longer than the making of the files.
    return load(folder, "connect", broker.port, "--connections", 2000, "--rate", 400, "--watch-pid", broker.pid, before=before)


@needs_root
def test_kernel_memory_that_another_program_took_gives_no_figure(tmp_path):
    """When other programs made or ended sockets meanwhile, as other tests do, the record may say that instead: made again."""
    for attempt in range(5):
        with Broker("--shape", "classic", "--threads", "1") as broker, connect(tmp_path / str(attempt), broker) as run, files_are_made():
            assert run.end() == 0
            assert run.metric("kernel.per_connection_bytes") is None
            assert run.metric("memory.per_connection_bytes") > 100
            told = run.anomaly("kernel_noise")
        if "bytes a connection, its caches of sockets by" in told:
            return
    pytest.fail(told)
