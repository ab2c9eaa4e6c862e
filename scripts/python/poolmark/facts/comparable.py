# SPDX-License-Identifier: Apache-2.0
"""Checks whether two runs can be compared. Host, build and configuration must be the same, except for the commit. Each differing
fact is named.

Settings of a host (base/host_settings.h) are compared where both records have them: a record of an older version does not know
some, and what is not known is no difference.
"""
from collections.abc import Mapping
from typing import Any

from poolmark.base.forms import Config

HOST_FACTS = ("cores", "cpu_quota", "memory_bytes", "kernel", "os", "cpu_model", "cpu_mitigations", "governor", "thp", "page_bytes")
LIMITS = ("somaxconn", "port_range", "tcp_mem_pages")       # of host.limits, those that move figures
CGROUP = ("memory_limit_bytes", "memory_high_bytes")        # of host.cgroup; null is no limit, which is known
BUILD_FACTS = ("version", "compiler", "flags")
CONFIG_EXEMPT = ("build", "out", "repetitions", "order", "again", "budget_s", "primary", "ratios", "rounds_each")


def flags_that_count(flags: str) -> str:
    """The flags without handicaps, which are deliberate changes that a comparison is meant to find."""
    return " ".join(word for word in flags.split() if not word.startswith("-DPOOLMARK_HANDICAP_"))


def _build_fact(run: Mapping[str, Any], key: str) -> object:
    value = run.get("tool", {}).get(key)
    return flags_that_count(value or "") if key == "flags" else value


def _host_fact(host: Mapping[str, Any], key: str, other: Mapping[str, Any]) -> object:
    value = host.get(key)
    if key == "cpu_quota" and value is None and other.get(key) is not None:
        return host.get("cores")  # a record of a version that did not read quotas
    if key == "memory_bytes" and isinstance(value, int):
        return round(value / (1 << 28))  # the kernel's own part varies between boots
    return value


def settings(host: Mapping[str, Any]) -> dict[str, object]:
    """The known settings of a host: {"settings.smt": "on", "limits.somaxconn": 4096, "cgroup.memory_high_bytes": None}."""
    found = {f"settings.{key}": value for key, value in (host.get("settings") or {}).items() if value is not None}
    limits, cgroup = host.get("limits") or {}, host.get("cgroup") or {}
    found |= {f"limits.{key}": limits[key] for key in LIMITS if limits.get(key) is not None}
    return found | {f"cgroup.{key}": cgroup[key] for key in CGROUP if key in cgroup}


def is_another(key: str, ours: object, theirs: object) -> bool:
    """Whether a setting differs. The kernel takes tcp_mem from the memory it finds, which varies between boots."""
    lists = [one for one in (ours, theirs) if isinstance(one, list) and all(type(number) is int for number in one)]
    if key == "limits.tcp_mem_pages" and len(lists) == 2 and len(lists[0]) == len(lists[1]):
        return any(abs(one - other) * 16 > max(one, other) for one, other in zip(*lists, strict=True))
    return ours != theirs


def host_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """(fact, our value, their value) of two hosts, or of one at two times. A fact that was changed during a run differs from any
    value."""
    found = [(key, ours.get(key), theirs.get(key)) for key in HOST_FACTS if _host_fact(ours, key, theirs) != _host_fact(theirs, key, ours)]
    known = [settings(host) for host in (ours, theirs)]
    found += [(key, known[0][key], known[1][key]) for key in known[0]
              if key in known[1] and is_another(key, known[0][key], known[1][key])]
    changed = {key for host in (ours, theirs) for key in host.get("changed") or {}} - {key for key, _, _ in found}
    return found + [(key, host_fact(ours, key), host_fact(theirs, key)) for key in sorted(changed)]


def host_fact(host: Mapping[str, Any], key: str) -> object:
    """A fact that host_differences names, as it was in the run of this host."""
    changed = host.get("changed") or {}
    if key in changed:
        return ", then ".join(map(in_words, changed[key]))
    return settings(host).get(key, host.get(key))


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


def build_differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """As differences(), of how the programs were built; known before anything is measured."""
    return [(f"tool.{key}", base.get("tool", {}).get(key), candidate.get("tool", {}).get(key)) for key in BUILD_FACTS
            if _build_fact(base, key) != _build_fact(candidate, key)]


def differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(fact, baseline's value, candidate's value) of all facts that differ and must not."""
    found: list[tuple[str, object, object]] = []
    found += [(f"host.{key}", ours, theirs) for key, ours, theirs in host_differences(base.get("host", {}), candidate.get("host", {}))]
    found += build_differences(base, candidate)
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
