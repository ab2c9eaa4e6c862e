# SPDX-License-Identifier: Apache-2.0
"""Two builds measured side by side: A B B A A B B A ..., each run its own processes, joined to one record a side.

What is run is a list of jobs, each a command of ours that takes --build, --out and a pattern of cells.
"""
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from poolmark_lib.build_commit import Build
from poolmark_lib.errors import PoolmarkError, UsageError
from poolmark_lib.paths import ROOT, SUITES
from poolmark_lib.read_record import Run, load
from poolmark_lib.record import Record

SIDES = ("base", "candidate")


@dataclass(frozen=True)
class Job:
    """`bench` or `suite:NAME`, and which of its cells."""

    what: str
    only: str | None = None
    extra: tuple[str, ...] = ()

    def command(self, build: Path, out: Path, seed: int) -> list[str]:
        poolmark = [sys.executable, str(ROOT / "scripts" / "poolmark")]
        kind, _, name = self.what.partition(":")
        if kind == "bench":
            return [*poolmark, "bench", "--build", str(build), "--out", str(out), "--repetitions", "1", "--seed",
                    str(seed), *(["--filter", self.only] if self.only else []), *self.extra]
        return [*poolmark, "suite", name, "--build", str(build), "--out", str(out), "--repetitions", "1",
                *(["--only", self.only] if self.only else []), *self.extra]


def parse_job(text: str) -> Job:
    what, _, only = text.partition("=")
    if what != "bench" and not re.fullmatch(r"suite:[\w.-]+", what):
        raise UsageError(f"--run {text}: it takes bench, bench=PATTERN, suite:NAME or suite:NAME=PATTERN")
    name = what.partition(":")[2]
    if name and not (SUITES / f"{name}.toml").is_file():
        raise UsageError(f"--run {text}: there is no suite '{name}'; there are "
                         f"{', '.join(sorted(path.stem for path in SUITES.glob('*.toml')))}")
    try:
        re.compile(only)
    except re.error as error:
        raise UsageError(f"--run {text}: the pattern is wrong: {error}") from error
    return Job(what, only or None)


def order(repetitions: int) -> list[str]:
    """A B B A A B B A ...: a drift of the host hits both sides alike."""
    return [SIDES[(number + 1) // 2 % 2] for number in range(2 * repetitions)]


def run_job(job: Job, build: Build, out: Path, seed: int) -> Run:
    """One run of one job on one build; its output goes to a file beside its record. A run with failed cells counts
    (its record says so); one without a record does not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{out}.log", "wb") as log:
        done = subprocess.run(job.command(build.folder, out, seed), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                              stderr=subprocess.STDOUT, check=False, env=dict(os.environ))
    if not (out / "run.json").is_file():
        end = Path(f"{out}.log").read_text(errors="replace").splitlines()[-8:]
        raise PoolmarkError(f"{job.what} on {build.name} left no record (exit {done.returncode}):\n  " + "\n  ".join(end))
    return load(out)


def join(side: str, runs: list[Run], folder: Path) -> Run:
    """The runs of one side as one record: each a repetition of its cells. Files stay with it."""
    first = runs[0].data
    windows = {run.data.get("config", {}).get("windows", "any") for run in runs if run.data["kind"] == "bench"}
    config = {"windows": " and ".join(sorted(windows))} if windows else {}
    record = Record.create("nightly", folder=folder, command=first["command"], seed=first.get("seed"), config=config)
    record.data.update(tool=first["tool"], host=first["host"], libraries=first.get("libraries", {}),
                       suite=first.get("suite"))
    seen: dict[str, int] = {}
    for run in runs:
        for cell in run.data.get("cells", []):
            stem = re.sub(r"\.\d+$", "", cell["id"])
            seen[stem] = seen.get(stem, 0) + 1
            made = record.cell(f"{stem}.{seen[stem]}", cell["config"], seen[stem])
            made.data.update(metrics=cell["metrics"], status=cell["status"], commands=cell.get("commands", []),
                             anomalies=cell.get("anomalies", []), source=run.id,
                             **({"phases": cell["phases"]} if "phases" in cell else {}))
            for key, name in cell.get("files", {}).items():
                target = record.folder / "raw" / run.id / name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(run.file(name), target)
                made.data["files"][key] = target.relative_to(record.folder).as_posix()
    whole = all(run.data["status"] == "complete" for run in runs)
    record.close("complete" if whole else "incomplete")
    return load(record.folder)


def measure(builds: dict[str, Build], jobs: list[Job], repetitions: int, folder: Path, *, seed: int, run=run_job,
            say=lambda text: None) -> dict[str, Run]:
    """Both sides, measured. `run(job, build, out, seed)` is what measures: tests put their own."""
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    for number, side in enumerate(order(repetitions), 1):
        for job in jobs:
            say(f"{number} of {2 * repetitions}: {job.what} on {side}")
            out = folder / "runs" / f"{number:03}-{side}-{re.sub(r'[^a-z0-9]+', '-', job.what)}"
            runs[side].append(run(job, builds[side], out, seed + number))
    return {side: join(side, runs[side], folder / side) for side in SIDES}
