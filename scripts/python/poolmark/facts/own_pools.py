# SPDX-License-Identifier: Apache-2.0
"""Pools from shared libraries (pools/pool_plugin.h), named by their path: `--pool ./mine.so`, or a strategy of a suite.

The programs check such a file and say what it is. Its strategy's name then stands for it, in names and in tables; the record has
file, checksum and version, so that runs of two builds of a pool are not taken for the same.
"""
from dataclasses import dataclass
from pathlib import Path

from poolmark.base.errors import UsageError
from poolmark.base.forms import Json
from poolmark.facts import described


@dataclass(frozen=True)
class OwnPool:
    path: str      # for a program's --pool
    strategy: str
    file: str      # the last component of the path
    sha256: str
    version: str | None

    def told(self) -> Json:
        """For records: no path of this machine."""
        return {"strategy": self.strategy, "file": self.file, "sha256": self.sha256, "version": self.version}


def is_path(name: object) -> bool:
    return isinstance(name, str) and "/" in name


def _made(path: str, told: Json) -> OwnPool:
    return OwnPool(path, told["strategy"], told["file"], told["sha256"], told["version"])


def from_broker(path: str, build: Path | None) -> tuple[OwnPool | None, str]:
    """(pool, "") or (None, the broker's error)."""
    told, wrong = described.ask("poolmark-broker", ["--pool", path], build)
    if told is None:
        return None, wrong
    return next(_made(path, one["plugin"]) for one in told["strategies"] if "plugin" in one), ""


def for_bench(paths: list[str], build: Path | None) -> dict[str, OwnPool]:
    """{strategy: pool} of the files. UsageError with the program's words when one is no pool, or two have one name."""
    words = [word for path in paths for word in ("--pool", path)]
    if not words:
        return {}
    told, wrong = described.ask("poolmark-bench", words, build)
    if told is None:
        raise UsageError(wrong)
    files: dict[Path, str] = {}
    for path in paths:  # a file that is named twice is loaded once
        files.setdefault(Path(path).resolve(), path)
    return {one["strategy"]: _made(path, one) for path, one in zip(files.values(), told["pools"], strict=True)}
