# SPDX-License-Identifier: Apache-2.0
"""Allocators of the measured programs. LD_PRELOAD selects one at the start; the process then says which one is loaded.

An allocator is named by a word of LIBRARIES, or by the path of any other shared library. Environment variables also change
allocators: MALLOC_PERTURB_ alone makes malloc three times slower. So a measured program gets only the variables that its
configuration names.
"""
import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.paths import BROUGHT, for_people

# name -> the library's soname; glibc is used when nothing is preloaded.
LIBRARIES: dict[str, str | None] = {"glibc": None, "tcmalloc": "libtcmalloc.so.4", "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2"}

# Descriptions of allocators whose name alone is ambiguous.
TITLES = {"tcmalloc": "gperftools' tcmalloc, which is not Google's newer TCMalloc"}

# Prefixes of the variables that the loader or an allocator reads. mimalloc ignores the case of its variables.
VARIABLES = ("LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES", "MALLOC_", "_RJEM_MALLOC_CONF", "JE_MALLOC_CONF", "JEMALLOC_", "TCMALLOC_", "MIMALLOC_",
             "HEAPPROFILE", "HEAP_PROFILE_", "HEAPCHECK", "HEAP_CHECK_", "PERFTOOLS_", "SCUDO_OPTIONS", "SNMALLOC_")


def variables_set(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the variables in this process's environment that would change an allocator and are not empty."""
    environ = os.environ if environ is None else environ
    return sorted(name for name, value in environ.items() if value and name.upper().startswith(VARIABLES))


def is_path(name: str) -> bool:
    return "/" in name


def library(name: str) -> str | None:
    """The path to preload; None for glibc."""
    if is_path(name):
        if not os.access(name, os.R_OK) or not Path(name).is_file():
            raise UsageError(f"allocator {name!r}: there is no such file, or it may not be read")
        return str(Path(name).resolve())
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
    raise PoolmarkError(f"{soname} of allocator {name} is not installed; {BROUGHT}")


def ended(code: int) -> str:
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def serving(name: str, program: Path) -> str:
    """The library of a path, when `program` gets its memory from it. UsageError when the loader does not load it, or it has no malloc."""
    path = str(library(name))
    try:
        done = subprocess.run([str(program), "--describe"], capture_output=True, text=True, errors="replace", timeout=30,
                              env={**{key: value for key, value in os.environ.items() if key not in variables_set()}, "LD_PRELOAD": path})
        told = json.loads(done.stdout)["host"]["loaded"]["allocator"] if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"allocator {name!r}: {for_people(program)} does not run with it: {type(error).__name__}") from error
    if done.returncode != 0:
        raise UsageError(f"allocator {name!r}: {for_people(program)} does not run with it: {done.stderr.strip()[-200:] or ended(done.returncode)}")
    if told == "glibc":
        why = re.search(r"cannot be preloaded \(([^)]+)\)", done.stderr)
        raise UsageError(f"allocator {name!r}: " + (f"the loader does not take it ({why[1]})" if why else "it has no malloc of its own"))
    return path


def shown(name: str) -> str | None:
    """The value to preload, as typed in a command."""
    return Path(name).name if is_path(name) else LIBRARIES[name]


def environment(name: str, variables: tuple[tuple[str, str], ...] = ()) -> dict[str, str | None]:
    """Changes of a program's environment for allocator `name` with only these variables. None removes a variable."""
    path = library(name)
    return {**dict.fromkeys(variables_set()), **({"LD_PRELOAD": path} if path else {}), **dict(variables)}


def checksum(name: str) -> str | None:
    """SHA-256 of the library; None for glibc, which is part of the system."""
    path = library(name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None


def loaded_in(pid: int, wanted: str = "glibc") -> str | None:
    """The allocator of a running process, from its memory map; None when the process is gone. Of a file that was `wanted` by its path
    the file's name."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if is_path(wanted) and str(Path(wanted).resolve()) in maps:
        return Path(wanted).name
    for name, soname in LIBRARIES.items():
        if soname and soname.split(".so")[0] + ".so" in maps:
            return name
    return "glibc"
