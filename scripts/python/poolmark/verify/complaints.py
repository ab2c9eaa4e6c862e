# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a record: one answer for all readers (verify, report, compare, capacity, merge).

    wrong, account = complaints(run)      texts, and what could be computed again (recompute.py)
    damage(run)                           one sentence for a reader that does not go on, or goes on with a warning; "" when all is well

It checks run.json's seal, every file against its checksum, the list of files against what the record rests on (expected.py), every
figure against a new computation from the raw files (recompute.py), and every table made of run.json against a new one (derived.py). Of a merge it checks that no run is in it twice (lineage.py).
"""
from poolmark.records import lineage
from poolmark.records.read_record import Run, check_files
from poolmark.verify import derived
from poolmark.verify.counts import cell_complaints
from poolmark.verify.expected import lacking_cells
from poolmark.verify.account import Account
from poolmark.verify.recompute import again

RUNNING = "run.json: says it is still running; a run that was killed stays so, without checksums"


def complaints(run: Run, present: bool = False) -> tuple[list[str], Account]:
    """`present`: files that are listed and not there are no fault, as in a committed copy."""
    wrong = check_files(run, present) + lacking_cells(run.data)
    account = again(run)
    derived.check(run, account)
    wrong += account.wrong + cell_complaints(run.data)
    if run.data["kind"] == "merge" and (twice := lineage.counted_twice([run.data])):
        wrong.append(f"sources: {twice}; its cells count as so many repetitions")
    if run.data["status"] == "running":
        wrong.append(RUNNING)
    return list(dict.fromkeys(wrong)), account


def damage(run: Run) -> str:
    """Files that are not there are no damage here, and neither is a run that was killed: its status says so to every reader."""
    return damage_told(run, complaints(run, present=True)[0])


def damage_told(run: Run, wrong: list[str]) -> str:
    """The same of complaints that were made with `present`."""
    wrong = [text for text in wrong if text != RUNNING]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{run.id} is not as it was when its run ended: {wrong[0]}{more}; verify names all of it" if wrong else ""
