# SPDX-License-Identifier: Apache-2.0
"""Where to look when something got worse: the two builds, the cells with their raw files, and the command that measures one cell again.

    lines(verdict, links)   texts without markup, for the Markdown and for the page; empty when nothing looks worse

The command of a cell is that of its run, for this cell alone. A build's folder that is no longer there is named by its commit.
"""
import re
import shlex
from pathlib import Path

from poolmark.base.forms import RecordData
from poolmark.base.paths import CALLED
from poolmark.compare import rounds_in_turn
from poolmark.compare.interleave import TAKEN
from poolmark.compare.pairing import COMBINED, Judged, stem
from poolmark.compare.verdict import Verdict
from poolmark.compare.verdict_out import Links

BASELINE, CANDIDATE = "baseline", "candidate"
MOST_CELLS = 5
FLAGS = ("--list", "--dry-run", "--json")       # of suite and bench, without a value
CHOSEN = ("--only", "--filter")
SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")  # in a regular expression


def rows_of(verdict: Verdict) -> list[Judged]:
    """The rows to look at, one a cell: regressions, or, when there are none, deciding rows that look worse. Rows over all cells are
    in their cells."""
    found = verdict.of("regression") or [row for row in verdict.rows if row.decides and (row.suspicious or row.is_loss and row.verdict == "undecided")]
    worst: dict[str, Judged] = {}
    parts = [row for row in found if row.role != COMBINED] or [
        row for row in verdict.rows if row.metric in {one.metric for one in found} and row.role != COMBINED]
    for row in sorted(parts, key=lambda row: -min(abs(row.effect.change), 1e9)):
        worst.setdefault(row.cell, row)
    return list(worst.values())


def sides_of(verdict: Verdict) -> tuple[tuple[str, RecordData], tuple[str, RecordData]]:
    return (BASELINE, verdict.base), (CANDIDATE, verdict.candidate)


def value_of(command: list[str], option: str) -> str | None:
    for number, word in enumerate(command):
        if word == option and number + 1 < len(command):
            return command[number + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def command_of(run: RecordData, cell: str) -> list[str]:
    """The command line that measured this cell; that of the record where its cells do not say."""
    found = next((one for one in run.get("cells", []) if stem(one["id"]) == cell), None)
    return [str(word) for word in (found and found.get("command")) or run.get("command") or []]


def folder_of(run: RecordData, side: str, cell: str = "") -> str | None:
    """The folder of this side's build, as its command names it. A command of two builds in turn names the candidate's by --beside."""
    command = command_of(run, cell)
    return (value_of(command, "--beside") if side == CANDIDATE else None) or value_of(command, "--build")


def place_of(run: RecordData, side: str, cell: str) -> str | None:
    """The build as `compare` takes it: a folder with programs, or a clean commit. None when there is neither."""
    folder = folder_of(run, side, cell)
    if folder and Path(folder).is_dir():
        return folder
    commit = str(run["tool"].get("commit"))
    return commit[:12] if re.fullmatch(r"[0-9a-f]{40}", commit) and run["tool"].get("dirty") is False else None


def job_of(run: RecordData, cell: str) -> list[str]:
    """suite, quick, --connections, 500, --only, ^cell$: the words of --run for this cell; none for a record of another command."""
    command = command_of(run, cell)
    at = next((number for number, word in enumerate(command) if word in ("suite", "bench")), None)
    if at is None:
        return []
    words: list[str] = []
    rest = iter(command[at:])
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in (*TAKEN, *CHOSEN, *FLAGS):
            words.append(word)
        elif not equals and name not in FLAGS:
            next(rest, None)
    return [*words, "--filter" if words[0] == "bench" else "--only", f"^{SPECIAL.sub(escaped, cell)}$"]


def escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def as_job(words: list[str]) -> str:
    """The text of --run, with quotes only around words that need them there: it is quoted once more for the shell."""
    return " ".join(word if shlex.split(word) == [word] else shlex.quote(word) for word in words)


def again(verdict: Verdict, cell: str) -> str:
    """The command that measures one cell of both builds again; "" when the record does not say what ran."""
    job = job_of(verdict.candidate, cell)
    base, candidate = (place_of(run, side, cell) for side, run in sides_of(verdict))
    if not job or cell not in {stem(one["id"]) for one in verdict.candidate.get("cells", [])}:
        return ""
    if base is None or candidate is None or base == candidate:
        return f"{CALLED} {shlex.join(job)}"
    ours = [one for one in verdict.candidate["cells"] if stem(one["id"]) == cell]
    count = max(max(one["repetition"] for one in ours), *(len(rounds_in_turn.rounds_of(one)) for one in ours if "turn" not in one), 0)
    return f"{CALLED} compare {shlex.join([base, candidate])} --run {shlex.quote(as_job(job))} --repetitions {max(6, count)}"


def differing(base: str, candidate: str) -> str:
    """The compiler's flags that only one build has."""
    sides = (("baseline", base.split(), candidate.split()), ("candidate", candidate.split(), base.split()))
    return "; ".join(f"flags of the {side} alone: {' '.join(only)}" for side, own, other in sides
                     if (only := [word for word in own if word not in other])) or "their flags are in another order"


def builds(verdict: Verdict) -> list[str]:
    told = []
    for side, run in sides_of(verdict):
        folder = folder_of(run, side)
        named = folder if folder and Path(folder).is_dir() else run.get("build")
        told.append(f"{side} {f'build {named}, ' if named else ''}commit {str(run['tool']['commit'])[:12]}"
                    + (" (with changes that were not committed)" if run["tool"].get("dirty") else ""))
    commits = [str(run["tool"]["commit"]) for run in (verdict.base, verdict.candidate)]
    if folder_of(verdict.base, BASELINE) == folder_of(verdict.candidate, CANDIDATE) is not None:
        return [f"{'; '.join(told)}; both are one build: it is no change of the program"]
    flags = [str(run["tool"].get("flags") or "") for run in (verdict.base, verdict.candidate)]
    change = (f"what changed: git log -p {commits[0][:12]}..{commits[1][:12]}" if commits[0] != commits[1] else
              f"both are of one commit; {differing(*flags)}" if flags[0] != flags[1] else
              "both are of one commit, with the same flags: they differ by what was not committed")
    return [f"{'; '.join(told)}; {change}"]


def files(row: Judged, links: Links | None) -> str:
    """The first raw file of each side, and how many more there are."""
    found = []
    for side, name in (("base", "baseline"), ("candidate", "candidate")):
        paths, root = row.files.get(side, []), (links or {}).get(side)
        if paths:
            found.append(f"{name} {f'{root}/' if root else ''}{paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else ""))
    return "; ".join(found) or "its records name no raw file of this metric"


def lines(verdict: Verdict, links: Links | None = None) -> list[str]:
    rows = rows_of(verdict)
    if not rows:
        return []
    told = builds(verdict) + [f"{row.cell}, {row.metric}: {files(row, links)}" for row in rows[:MOST_CELLS]]
    if len(rows) > MOST_CELLS:
        told.append(f"and {len(rows) - MOST_CELLS} more cells")
    command = next((text for row in rows if (text := again(verdict, row.cell))), "")
    return told + ([f"one cell again: {command}"] if command else [])
