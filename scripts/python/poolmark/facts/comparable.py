# SPDX-License-Identifier: Apache-2.0
"""Checks whether two runs can be compared. Host, build and configuration must be the same, except for the commit. Each differing
fact is named."""
from collections.abc import Mapping
from typing import Any

from poolmark.base.forms import Config

HOST_FACTS = ("cores", "cpu_quota", "memory_bytes", "kernel", "os", "cpu_model", "cpu_mitigations", "governor", "thp", "page_bytes")
BUILD_FACTS = ("version", "compiler", "flags")
CONFIG_EXEMPT = ("build", "out", "repetitions", "order", "again", "budget_s", "primary", "ratios", "rounds_each")


def flags_that_count(flags: str) -> str:
    """The flags without handicaps, which are deliberate changes that a comparison is meant to find."""
    return " ".join(word for word in flags.split() if not word.startswith("-DPOOLMARK_HANDICAP_"))


def _fact(part: str, key: str, run: Mapping[str, Any]) -> object:
    value = run.get(part, {}).get(key)
    if (part, key) == ("tool", "flags"):
        return flags_that_count(value or "")
    if (part, key) == ("host", "cpu_quota") and value is None:
        return run.get("host", {}).get("cores")  # a record of a version that did not read quotas
    if (part, key) == ("host", "memory_bytes") and isinstance(value, int):
        return round(value / (1 << 28))  # the kernel's own part varies between boots
    return value


def _is_given(run: Mapping[str, Any], option: str) -> bool:
    """Whether the command of the run has this option."""
    return any(str(word).partition("=")[0] == option for word in run.get("command") or [])


def configured(run: Mapping[str, Any]) -> Config:
    """The configuration, without what a generator draws anew for each run: the first of its local ports, and the prefix of client
    identifiers unless it was given."""
    config = {key: value for key, value in run.get("config", {}).items() if key not in CONFIG_EXEMPT}
    if not _is_given(run, "--prefix"):
        config.pop("prefix", None)
    if isinstance(config.get("ports"), dict):
        config["ports"] = {key: value for key, value in config["ports"].items() if key != "start"}
    return config


def in_words(value: object) -> str:
    """A value of a record as text for people."""
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key} {in_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    return str(value)


def differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(fact, baseline's value, candidate's value) of all facts that differ and must not."""
    found: list[tuple[str, object, object]] = []
    facts = [("host", key) for key in HOST_FACTS] + [("tool", key) for key in BUILD_FACTS]
    for part, key in facts:
        if _fact(part, key, base) != _fact(part, key, candidate):
            found.append((f"{part}.{key}", base.get(part, {}).get(key), candidate.get(part, {}).get(key)))
    set_in, set_for = ((run.get("host", {}).get("loaded") or {}).get("settings") or "" for run in (base, candidate))
    if set_in != set_for:
        found.append(("host.loaded.settings", set_in, set_for))
    if base.get("suite") != candidate.get("suite"):
        found.append(("suite", base.get("suite"), candidate.get("suite")))
    ours, theirs = base.get("libraries", {}), candidate.get("libraries", {})
    found += [(f"libraries.{key}", ours.get(key), theirs.get(key))
              for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    ours, theirs = configured(base), configured(candidate)
    found += [(f"config.{key}", ours.get(key), theirs.get(key)) for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    return [(fact, in_words(ours), in_words(theirs)) for fact, ours, theirs in found]
