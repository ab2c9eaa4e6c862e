# SPDX-License-Identifier: Apache-2.0
"""An sbatch script: one rank a node, by OpenMPI's mpirun inside the allocation.

A minute before the time limit, and on scancel, the batch shell passes the signal on to mpirun: the ranks then end in order, and the record is
whole and says `incomplete`.
"""
import shlex
from collections.abc import Sequence

from poolmark.cluster.asked import Asked
from poolmark.cluster.calls import Call
from poolmark.cluster.mpirun import CLOSING_S, SETTINGS, program_words, record_folder

MIB = 1 << 20
WARN_S = 60     # the signal comes so long before the time limit

FUNCTIONS = """\
# Ranks take as many descriptors as they may.
ulimit -S -n "$(ulimit -H -n)"

mpi= worst=0
# (bash starts what is in the background with SIGINT ignored.)
trap 'if [ -n "$mpi" ]; then kill -TERM "$mpi"; fi' INT TERM

# Runs one call to its end, also when a signal interrupts the wait for it. mpirun may end before the record is closed.
call() { # FOLDER COMMAND...
    local code=0 folder=$1 left=CLOSING
    shift
    "$@" &
    mpi=$!
    wait "$mpi" || code=$?
    while kill -0 "$mpi" 2>/dev/null; do
        code=0
        wait "$mpi" || code=$?
    done
    mpi=
    while [ "$left" -gt 0 ] && grep -qE '"status": *"running"' "$folder/run.json" 2>/dev/null; do
        sleep 1
        left=$((left - 1))
    done
    if [ "$code" -gt "$worst" ]; then worst=$code; fi
}
"""


def time_limit(seconds: float) -> str:
    """DAYS-HOURS:MINUTES:SECONDS, as sbatch takes it."""
    whole = max(1, round(seconds))
    days, rest = divmod(whole, 86_400)
    return (f"{days}-" if days else "") + f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"


def script(calls: Sequence[Call], asked: Asked, note: str = "") -> str:
    options = [f"--job-name={asked.name}", f"--nodes={asked.ranks}", f"--ntasks={asked.ranks}", "--ntasks-per-node=1",
               f"--cpus-per-task={asked.cores}", f"--mem={(asked.memory_bytes or 0) // MIB}M", f"--time={time_limit(asked.seconds)}",
               f"--output={asked.name}-%j.log", f"--signal=B:INT@{WARN_S}"]
    if asked.partition:
        options.append(f"--partition={asked.partition}")
    lines = ["#!/bin/bash", *(f"#SBATCH {one}" for one in options), *(f"# {line}" for line in note.splitlines()), "set -u", "", FUNCTIONS.replace("CLOSING", str(CLOSING_S))]
    for call in calls:
        several = len(calls) > 1
        words = program_words(call, asked, several)
        lines.append(f"call {shlex.quote(record_folder(call, asked, several))} mpirun -n \"$SLURM_NTASKS\" {shlex.join(['--map-by', 'node', *SETTINGS, *words])}")
    return "\n".join([*lines, 'exit "$worst"', ""])
