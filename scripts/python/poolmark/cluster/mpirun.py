# SPDX-License-Identifier: Apache-2.0
"""The command line of OpenMPI's mpirun for a call of the generator, and the generator's own words on a rank."""
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.paths import for_people
from poolmark.cluster.asked import Asked, placed
from poolmark.cluster.calls import MPI, Call

# A rank's workers use all processors of its host.
SETTINGS = ("--bind-to", "none")
# mpirun may end before rank 0 has closed the record: a second after a rank is lost, or after a signal, it kills what it started. The
# generator outlives that. So long it may take.
CLOSING_S = 60


def record_folder(call: Call, asked: Asked, several: bool) -> str:
    return f"{asked.out}/{call.name}" if several else asked.out


def program_words(call: Call, asked: Asked, several: bool) -> list[str]:
    """What each rank runs. Of several calls each has its own folder below --out."""
    words = [asked.program, *call.words, "--target", ",".join(asked.targets)]
    if asked.share != "even":
        words += ["--share", asked.share]
    return [*words, "--record", record_folder(call, asked, several)]


def hosts_words(asked: Asked) -> list[str]:
    if asked.hostfile is not None:
        return ["--hostfile", str(asked.hostfile), "--map-by", "node"]
    if asked.hosts:
        named = ",".join(f"{host.name}:{count}" for host, count in placed(asked.hosts, asked.ranks) if count)
        return ["--host", named, "--map-by", "node"]
    return ["--oversubscribe"]      # all ranks on this machine, whatever its number of processors


def command(words: Sequence[str], asked: Asked, more: Sequence[str] = ()) -> list[str]:
    """mpirun for these words on each rank. `more`: further options of mpirun, such as an agent."""
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return ["mpirun", *root, "-n", str(asked.ranks), *hosts_words(asked), *SETTINGS, *more, *words]


def wait_for_record(folder: Path, limit_s: float = CLOSING_S) -> None:
    """Waits until the record is not running any more, or the time is over. A folder without a record is not waited for."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            if json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] != "running":
                return
        except (OSError, ValueError, KeyError):
            return
        time.sleep(0.1)


def need() -> None:
    """UsageError where there is no mpirun."""
    if shutil.which("mpirun") is None:
        raise UsageError("mpirun is not installed: on Debian, apt-get install openmpi-bin (and libopenmpi-dev for `make mpi`)")


def need_programs(build: Path) -> str:
    """The generator for ranks that was built. UsageError where it, or mpirun, is not there."""
    need()
    if not os.access(build / MPI, os.X_OK):
        raise UsageError(f"{for_people(build)}: {MPI} is not there: `make mpi` builds it where mpicc is (Debian: libopenmpi-dev)")
    return str(build / MPI)
