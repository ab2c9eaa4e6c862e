# SPDX-License-Identifier: Apache-2.0
"""Facts that a figure depends on: the host, as the programs describe it, and the build.

A fact that cannot be read is None, never guessed. There are no names of machines or people, and no addresses.
"""
import contextlib
import json
import re
import subprocess
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json, ToolData
from poolmark.base.paths import INSTALLED, MODULES, ROOT
from poolmark.facts import allowance, described
from poolmark.facts.proc_files import read_text


def cpu_quota() -> float:
    """The usable CPU time in processors: the control groups' quota, otherwise all cores."""
    return round(min(allowance.cpu_quota() or allowance.cores(), allowance.cores()), 3)


def host(build: Path | None = None) -> Json:
    """The host as a program describes it now (base/host.h); empty without a built program. The loaded allocator is left out,
    because each program has its own."""
    for program in described.PROGRAMS:
        try:
            told = described.ask(program, (), build, again=True)[0]
        except PoolmarkError:
            continue
        if told:
            return {"cpu_quota": cpu_quota(), **told["host"], "loaded": {**(told["host"].get("loaded") or {}), "allocator": None, "allocator_version": None,
                                                                    "settings": None}}
    return {}


def tree_commit(*but: str) -> tuple[str, bool | None, str]:
    """(commit, whether there are uncommitted changes, why either is unknown), from scripts/tree-commit, which the Makefile uses
    too. Unknown values are "unknown" and None. For an installation: the commit it was built from. `but`: paths whose changes do not count."""
    if INSTALLED:
        facts = built_from(ROOT / "build_facts.h")
        return facts.get("commit", "unknown"), facts.get("dirty"), "the installation does not say"
    try:
        done = subprocess.run([str(ROOT / "scripts" / "tree-commit"), *but], capture_output=True, text=True, timeout=60, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return "unknown", None, str(error)
    words = done.stdout.split()
    if len(words) != 2 or not re.fullmatch(r"[0-9a-f]{40}|unknown", words[0]):
        return "unknown", None, done.stderr.strip() or "scripts/tree-commit says nothing"
    return words[0], DIRTY.get(words[1]), done.stderr.strip()


DIRTY = {"1": True, "0": False, "true": True, "false": False}  # older builds have words


def version() -> str:
    return read_text(str(ROOT / "VERSION")) or "unknown"


def programs_of(build: Path) -> dict[str, Json]:
    """program -> what it says it was built from. Without those that say nothing: not there, or no program of this project."""
    found: dict[str, Json] = {}
    for program in described.PROGRAMS:
        with contextlib.suppress(PoolmarkError, KeyError):
            if told := described.ask(program, (), build)[0]:
                found[program] = told["tool"]
    return found


def tool(build: Path | None = None) -> ToolData:
    """Version, commit, dirty, compiler, flags: as the first program in `build` says them, or as make wrote them there; otherwise of
    the checkout."""
    commit, dirty, _ = tree_commit()
    facts: Json = {"version": version(), "commit": commit, "dirty": dirty, "compiler": "unknown", "flags": "unknown"}
    told: Json = {}
    if build:
        told = next(iter(programs_of(build).values()), {}) or built_from(build / "base" / "build_facts.h")
    told = told or (built_from(ROOT / "build_facts.h") if INSTALLED else {})
    facts |= {name: value for name, value in told.items() if name in facts}
    return ToolData(version=facts["version"], commit=facts["commit"], dirty=facts["dirty"], compiler=facts["compiler"], flags=facts["flags"])


def of_several(build: Path) -> str | None:
    """A sentence when the programs in this folder were not built from one source by one compiler: a record names one commit."""
    by: dict[str, list[str]] = {}
    for program, told in programs_of(build).items():
        words = [f"commit {str(told.get('commit'))[:12]}{' with changes' if told.get('dirty') else ''}", str(told.get("compiler")), str(told.get("flags"))]
        by.setdefault(", ".join(words), []).append(program)
    if len(by) < 2:
        return None
    return ("the programs of this build are not of one source: " + "; ".join(f"{' and '.join(names)}: {what}" for what, names in by.items())
            + ". The record names the first. Build them together")


def built_from(path: Path) -> Json:
    """The facts that the Makefile wrote for a build; empty when the file is missing."""
    found: Json = {}
    for key, value in re.findall(r"#define BUILD_(\w+) (.+)", read_text(str(path)) or ""):
        found[key.lower()] = DIRTY.get(value.strip()) if key == "DIRTY" else value.strip().strip('"')
    return found


def libraries() -> dict[str, str | None]:
    """Versions of the Debian packages that a run loads; empty without dpkg."""
    wanted = {"paho": "libpaho-mqtt1.3", "jansson": "libjansson4", "microhttpd": "libmicrohttpd12",
              "tcmalloc": "libgoogle-perftools4", "jemalloc": "libjemalloc2", "mimalloc": "libmimalloc2.0",
              "mosquitto": "mosquitto", "benchmark": "libbenchmark1debian"}
    found: dict[str, str | None] = {}
    for name, package in wanted.items():
        try:
            done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True,
                                  timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return found
        if done.returncode == 0 and done.stdout:
            found[name] = done.stdout
    lock = read_text(str(MODULES.parent / "package-lock.json"))
    try:
        packages = json.loads(lock or "{}").get("packages", {})
    except ValueError:
        packages = {}
    version = packages.get("node_modules/native-hdr-histogram", {}).get("version")
    if version:
        found["hdr_histogram"] = f"native-hdr-histogram {version}"
    return found
