# SPDX-License-Identifier: Apache-2.0
"""Backing allocators: chosen when a program starts, by LD_PRELOAD; what is really loaded is then asked of the process."""
import os
import subprocess
from pathlib import Path

from poolmark_lib.errors import PoolmarkError, UsageError

# name -> the library's soname; glibc is what a program has when nothing is preloaded.
LIBRARIES = {"glibc": None, "tcmalloc": "libtcmalloc.so.4", "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2"}


def library(name: str) -> str | None:
    """The path to preload; None for glibc."""
    if name not in LIBRARIES:
        raise UsageError(f"allocator {name!r} is not known; there are: {', '.join(LIBRARIES)}")
    soname = LIBRARIES[name]
    if soname is None:
        return None
    try:
        listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PoolmarkError(f"cannot ask ldconfig where {soname} is: {error}") from error
    for line in listed.splitlines():
        words = line.split()
        if words and words[0] == soname and "x86-64" in line or words and words[0] == soname and "=>" in line:
            return words[-1]
    raise PoolmarkError(f"{soname} of allocator {name} is not installed; scripts/deps installs it")


def environment(name: str) -> dict[str, str]:
    """What to add to a program's environment so that it runs on allocator `name`."""
    path = library(name)
    return {"LD_PRELOAD": path} if path else {"LD_PRELOAD": ""} if os.environ.get("LD_PRELOAD") else {}


def loaded_in(pid: int) -> str | None:
    """Which allocator a running process has, by its memory map; None when the process is gone."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for name, soname in LIBRARIES.items():
        if soname and soname.split(".so")[0] + ".so" in maps:
            return name
    return "glibc"
