# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a record: one answer for all readers (verify, report, compare, capacity, merge).

    wrong, account = complaints(run)      texts, and what could be computed again (recompute.py)
    damage(run)                           one sentence for a reader that does not go on, or goes on with a warning; "" when all is well

It checks run.json's seal, every file against its checksum, the list of files against what the record rests on (expected.py), every
figure against a new computation from the raw files (recompute.py), and every table made of run.json against a new one (derived.py). Of a merge it checks that no run is in it twice (lineage.py).
"""
import contextlib
import os
from pathlib import Path

from poolmark.records import lineage
from poolmark.records.read_record import Run, check_files
from poolmark.verify import derived
from poolmark.verify.counts import cell_complaints
from poolmark.verify.expected import lacking_cells
from poolmark.verify.account import Account
from poolmark.verify.recompute import again

RUNNING = "run.json: says it is still running"


def _is_word(word: str, said: str) -> bool:
    """A record says its own folder as '.', and what is in it from there."""
    return said in (word, ".") or word.endswith(f"/{said}")


def runs_here(command: list[str]) -> bool:
    """Whether a process of this host, other than this one, has these arguments; of which program is not asked."""
    words = command[1:]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found = path.read_bytes().decode(errors="replace").split("\0")[1:-1]
            if path.parent.name != str(os.getpid()) and len(found) >= len(words) > 0 and \
                    all(map(_is_word, found[len(found) - len(words):], words)):
                return True
    return False


def _how_it_runs(run: Run) -> str:
    if runs_here(list(run.data.get("command") or [])):
        return ", and a process of its command runs here; there are no checksums before its end"
    return (", and no process of this host runs its command: it was killed before it could say so, and has no checksums. SIGKILL says not why: "
            "dmesg, and oom_kill in memory.events or memory.oom_control of its control group, say whether the kernel did it for want of memory")


def complaints(run: Run, present: bool = False) -> tuple[list[str], Account]:
    """`present`: files that are listed and not there are no fault, as in a committed copy."""
    wrong = check_files(run, present) + lacking_cells(run.data)
    account = again(run)
    derived.check(run, account)
    wrong += account.wrong + cell_complaints(run.data)
    if run.data["kind"] == "merge" and (twice := lineage.counted_twice([run.data])):
        wrong.append(f"sources: {twice}; its cells count as so many repetitions")
    if run.data["status"] == "running":
        wrong.append(RUNNING + _how_it_runs(run))
    return list(dict.fromkeys(wrong)), account


def damage(run: Run) -> str:
    """Files that are not there are no damage here, and neither is a run that was killed: its status says so to every reader."""
    return damage_told(run, complaints(run, present=True)[0])


def damage_told(run: Run, wrong: list[str]) -> str:
    """The same of complaints that were made with `present`."""
    wrong = [text for text in wrong if not text.startswith(RUNNING)]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{run.id} is not as it was when its run ended: {wrong[0]}{more}; verify names all of it" if wrong else ""
