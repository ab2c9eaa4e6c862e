# SPDX-License-Identifier: Apache-2.0
"""The tables of a suite's run, made of run.json alone: of all configurations (summary.py), or of two sides (beside.py) where the suite
has [beside]."""
import contextlib
import os
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.escape import lines
from poolmark.base.forms import Json, RecordData
from poolmark.records import beside, summary

NAMES = ("summary.md", "summary.csv", beside.FILE)


def documents(data: RecordData, title: str, ratios: list[Json]) -> dict[str, str]:
    """{file: its text}."""
    if beside.asked(data):
        return {"summary.md": beside.markdown(data, title), "summary.csv": summary.csv(data), beside.FILE: beside.csv(data)}
    return {"summary.md": summary.markdown(data, title, ratios), "summary.csv": summary.csv(data)}


def terminal(data: RecordData, ratios: list[Json]) -> str:
    """To be printed: without control characters, whatever the record's names and texts have."""
    return lines(beside.terminal(data) if beside.asked(data) else summary.terminal(data, ratios))


def write(folder: Path, data: RecordData, title: str, ratios: list[Json]) -> None:
    """Writes all of them into the run's folder. PoolmarkError when one cannot be written; a file is whole or as before."""
    for name, text in documents(data, title, ratios).items():
        new = folder / f"{name}.new"
        try:
            new.write_text(text, encoding="utf-8")
            os.replace(new, folder / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise PoolmarkError(f"{name}: cannot be written: {error.strerror}") from error
