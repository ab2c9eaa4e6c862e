# SPDX-License-Identifier: Apache-2.0
"""Facts that a figure depends on: the host, as the programs say it, and the build.

A fact that cannot be read is None, never guessed. No names of machines or people, no addresses.
"""
import json
import re
import subprocess
from pathlib import Path

from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import INSTALLED, MODULES, ROOT
from poolmark.facts import allowance, described
from poolmark.facts.proc_files import read_text


def cpu_quota() -> float:
    """Processors' worth of time that may be had: what control groups give, else all cores."""
    return round(min(allowance.cpu_quota() or allowance.cores(), allowance.cores()), 3)


def host(build: Path | None = None) -> dict:
    """As the programs say it (base/host.h); empty where none is built. Which allocator is loaded is each program's own."""
    for program in described.PROGRAMS:
        try:
            told = described.ask(program, (), build)[0]
        except PoolmarkError:
            continue
        if told:
            return {"cpu_quota": cpu_quota(), **told["host"], "loaded": {**(told["host"].get("loaded") or {}), "allocator": None, "allocator_version": None}}
    return {}


def tree_commit() -> tuple[str, bool | None, str]:
    """(commit of this checkout, whether it has changes that no commit holds, why either is not known), by
    scripts/tree-commit, which the Makefile asks too. "unknown" and None when they are not known. Of an installation: what it was
    built from."""
    if INSTALLED:
        facts = built_from(ROOT / "build_facts.h")
        return facts.get("commit", "unknown"), facts.get("dirty"), "the installation does not say"
    try:
        done = subprocess.run([str(ROOT / "scripts" / "tree-commit")], capture_output=True, text=True, timeout=60, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return "unknown", None, str(error)
    words = done.stdout.split()
    if len(words) != 2 or not re.fullmatch(r"[0-9a-f]{40}|unknown", words[0]):
        return "unknown", None, done.stderr.strip() or "scripts/tree-commit says nothing"
    return words[0], DIRTY.get(words[1]), done.stderr.strip()


DIRTY = {"1": True, "0": False, "true": True, "false": False}  # in words in builds of older versions


def version() -> str:
    return read_text(str(ROOT / "VERSION")) or "unknown"


def tool(build: Path | None = None) -> dict:
    """Version, commit, dirty, compiler, flags. Of the programs in `build` where it says so, else of the checkout."""
    commit, dirty, _ = tree_commit()
    facts = {"version": version(), "commit": commit, "dirty": dirty, "compiler": "unknown", "flags": "unknown"}
    told = (built_from(build / "base" / "build_facts.h") if build else {}) or (built_from(ROOT / "build_facts.h") if INSTALLED else {})
    return facts | {name: value for name, value in told.items() if name in facts}


def built_from(path: Path) -> dict:
    """What the Makefile wrote of a build; empty where it is not."""
    found: dict = {}
    for key, value in re.findall(r"#define BUILD_(\w+) (.+)", read_text(str(path)) or ""):
        found[key.lower()] = DIRTY.get(value.strip()) if key == "DIRTY" else value.strip().strip('"')
    return found


def libraries() -> dict[str, str]:
    """Versions of the Debian packages that a run loads; empty where dpkg is not."""
    wanted = {"paho": "libpaho-mqtt1.3", "jansson": "libjansson4", "microhttpd": "libmicrohttpd12",
              "tcmalloc": "libgoogle-perftools4", "jemalloc": "libjemalloc2", "mimalloc": "libmimalloc2.0",
              "mosquitto": "mosquitto", "benchmark": "libbenchmark1debian"}
    found = {}
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
