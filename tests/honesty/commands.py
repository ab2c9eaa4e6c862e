# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark for the honesty tests, and small suites that it runs with the real programs.

    assert poolmark("verify", folder).returncode == 0
    done = subprocess.run(suite(tmp_path, SUITE), ...)      # its run is tmp_path/run
"""
import subprocess
import sys

from faults import BUILD, GUARD_S, ROOT

POOLMARK = [sys.executable, str(ROOT / "scripts/poolmark")]


def poolmark(*words, timeout=2 * GUARD_S):
    """Calls the command; returns the finished process."""
    return subprocess.run([*POOLMARK, *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False)


def suite(folder, text, *words, out=None) -> list[str]:
    """The call of a suite of this text, as folder/small.toml; its run goes into `out` (folder/run)."""
    file = folder / "small.toml"
    file.write_text(text, encoding="utf-8")
    return [*POOLMARK, "suite", str(file), "--build", str(BUILD), "--out", str(out or folder / "run"), *words]


def one_connect(connections, hold="0s") -> str:
    """A suite of one cell that connects so many clients and holds them."""
    return f"""
[config]
shape = "lean"
strategy = "malloc"
engine = "raw"
allocator = "glibc"
connections = {connections}
[[phase]]
name = "connect"
scenario = "connect"
hold = "{hold}"
"""
