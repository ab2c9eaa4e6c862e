# SPDX-License-Identifier: Apache-2.0
"""A capacity answer (needs.answer) as text for a terminal, as Markdown for a report, and as one paragraph to paste. All figures are the
texts `shown` of the answer; nothing is computed here.
"""
from poolmark.base.forms import Json
from poolmark.base.table import clean, markdown_table, markdown_text, text_table
from poolmark.base.units import plural, show_bytes, show_count

FIGURES = ["", "value", "at 95 %", "how known"]
LIMITS = ["limit of one host", "carries", "at 95 %", "of the need", "how known"]
GUNTHER = "N. J. Gunther, A Simple Capacity Model of Massively Parallel Transaction Systems, CMG 1993"


def figure(facts: Json, name: str) -> Json | None:
    return next((one for one in facts["figures"] if one["name"].startswith(name)), None)


def host_words(facts: Json) -> str:
    host = facts["host"]
    return f"{plural(host['cores'], 'processor')} and {show_bytes(host['memory_bytes'])}" + (", as the measured one" if host["as_measured"] else "")


def answered_by(facts: Json) -> str:
    """The configuration that was measured, and what memory was computed for where that is another."""
    memory = facts["models"]["memory"]
    account = memory and memory["account"]
    return str(facts["configuration"]) + (f"; memory computed for {account['words']}" if account else "")


def headline(facts: Json) -> str:
    """The answer in a sentence."""
    hosts = figure(facts, "hosts")
    if hosts is None or hosts["value"] is None:
        told = f"how many hosts of {host_words(facts)} it takes is not known: {hosts['basis'] if hosts else ''}"
    else:
        ends = f" ({hosts['interval_shown']} at 95 %)" if hosts["low"] != hosts["high"] else ""
        told = f"{hosts['shown']} host{'' if hosts['value'] == 1 else 's'}{ends} of {host_words(facts)}, by {hosts['basis']}"
    for one in facts["figures"]:
        if one["name"].startswith("p99"):
            told += f"; {one['name']}: {one['shown']}" + (f" ({one['interval_shown']})" if one["interval_shown"] else "") + f", {one['basis']}"
    return told


def first_limits(facts: Json) -> str:
    """Which limit comes first, and which when the settings are mended."""
    first, hard = facts["first_limit"], facts["first_limit_without_settings"]
    limits = {one["name"]: one for one in facts["limits"]}
    if first is None:
        return ""
    unit = {"connections": " connections"}.get(limits[first]["unit"], "")
    told = f"The first limit of one host is {first}, at {limits[first]['shown']}{unit}"
    if hard is not None and hard != first:
        unit = {"connections": " connections"}.get(limits[hard]["unit"], "")
        told += f"; that is a setting. The first that no setting mends is {hard}, at {limits[hard]['shown']}{unit}"
    return told + "."


def checks(facts: Json) -> list[str]:
    """The held-out points."""
    told, models = [], facts["models"]
    memory, cpu, law = (models[name] and models[name].get("held_out") for name in ("memory", "cpu", "law"))
    if memory:
        told.append(f"memory of {show_count(memory['connections'])} connections, predicted by the other steps: {memory['error_percent']:+.1f} %")
    if cpu:
        told.append(f"CPU time at {show_count(cpu['rate'])} messages a second, predicted by the other rates: {cpu['error_percent']:+.1f} %")
    if law:
        told.append(f"rate at the load {show_count(law['load'])}, predicted by the other loads: {law['error_percent']:+.1f} %")
    return told


def law_words(facts: Json) -> str:
    law = facts["models"]["law"]
    if not law:
        return ""
    first = " to ".join(show_count(law["first"][end]) for end in ("low", "high"))
    parts = [f"{name} {law[name]['value']:.3g} ({law[name]['low']:.3g} to {law[name]['high']:.3g})" for name in ("contention", "coherency")]
    return f"universal scalability law over {law['axis']}: first {show_count(law['first']['value'])} ({first}), {', '.join(parts)} at 95 %"


def run_words(run: Json) -> str:
    return (f"run {run['id']} of {run['started_utc']}, version {run['version']}, commit {run['commit'][:12]}, {run['cores']} processors of "
            f"{run['cpu_model']}, {run['kernel']}, sha256 of its run.json {run['sha256']}")


def paragraph(facts: Json) -> str:
    """One paragraph with its references, for a capacity report."""
    told = [f"Need: {facts['question']}."]
    if facts["bytes_taken_for"]:
        told.append(f"({facts['bytes_taken_for']}.)")
    told.append(f"Answer by {answered_by(facts)}: {headline(facts)}.")
    figures = [f"{one['name']} {one['shown']}" + (f" ({one['interval_shown']} at 95 %)" if one["interval_shown"] else "") + f", {one['known']}"
               for one in facts["figures"] if one["value"] is not None and not one["name"].startswith(("hosts", "p99"))]
    if figures:
        told.append("; ".join(figures)[:1].upper() + "; ".join(figures)[1:] + ".")
    if first := first_limits(facts):
        told.append(first)
    if held := checks(facts):
        told.append(f"Held-out points: {'; '.join(held)}.")
    if law := law_words(facts):
        told.append(f"{law[:1].upper()}{law[1:]} ({GUNTHER}).")
    if facts["gaps"]:
        told.append("Not known: " + "; ".join(f"{one['what']} ({one['why']})" for one in facts["gaps"]) + ".")
    told += [f"{one}." for one in facts["checks_failed"]]
    told.append("Intervals: Student's t over runs and steps. Measured by Poolmark: " + "; ".join(map(run_words, facts["runs"])) + ".")
    return " ".join(told)


def figure_rows(facts: Json) -> list[list[str]]:
    return [[one["name"], one["shown"], one["interval_shown"], one["known"]] for one in facts["figures"]]


def limit_rows(facts: Json) -> list[list[str]]:
    return [[one["name"], one["shown"] + ("" if one["unit"] != "connections" or one["carries"] is None else " connections"), one["interval_shown"],
             one["share_shown"], one["known"]] for one in facts["limits"]]


def below_figures(facts: Json) -> list[str]:
    return [f"{one['name']}: {one['basis']}" for one in facts["figures"] if one["basis"]]


def below_limits(facts: Json) -> list[str]:
    return [f"{one['name']}: {one['arithmetic']}" + (f". Mend it: {one['mend']}" if one["mend"] not in ("", "-") else "") for one in facts["limits"]]


def remarks(facts: Json) -> list[str]:
    """Checks, notes, and what is not known."""
    told = [f"check: {one}" for one in checks(facts)] + ([law_words(facts)] if law_words(facts) else [])
    told += [f"THE MODEL DOES NOT HOLD: {one}" for one in facts["checks_failed"]]
    if facts["bytes_taken_for"]:
        told.insert(0, facts["bytes_taken_for"])
    told += facts["notes"]
    if facts["left_out"]:
        told.append(f"left out: {'; '.join(facts['left_out'][:3])}"
                    + (f"; and {len(facts['left_out']) - 3} more" if len(facts["left_out"]) > 3 else ""))
    return told


def gap_lines(facts: Json) -> list[str]:
    return [f"not known: {one['what']}: {one['why']}" + (f". Measure it: {one['measure']}" if one["measure"] else "") for one in facts["gaps"]]


def text(facts: Json) -> str:
    parts = [clean(facts["question"]) + "\n" + clean(f"by {answered_by(facts)}: {headline(facts)}.")]
    if facts["figures"]:
        parts.append(text_table(FIGURES, figure_rows(facts), "lrrl") + "\n\n  " + "\n  ".join(map(clean, below_figures(facts))))
    if facts["limits"]:
        parts.append(text_table(LIMITS, limit_rows(facts), "lrrrl") + "\n\n  " + "\n  ".join(map(clean, below_limits(facts))))
    if first := first_limits(facts):
        parts.append(first)
    for lines in (remarks(facts), gap_lines(facts)):
        if lines:
            parts.append("\n".join(map(clean, lines)))
    parts.append("To paste:\n" + clean(facts["paragraph"]))
    return "\n\n".join(parts)


def markdown(facts: Json) -> str:
    lines = ["# Capacity", "", markdown_text(f"Need: {facts['question']}."), "",
             markdown_text(f"By {answered_by(facts)}: {headline(facts)}."), ""]
    if facts["figures"]:
        lines += [markdown_table(FIGURES, figure_rows(facts), "lrrl"), "", *(f"- {markdown_text(one)}" for one in below_figures(facts)), ""]
    if facts["limits"]:
        lines += [markdown_table(LIMITS, limit_rows(facts), "lrrrl"), "", *(f"- {markdown_text(one)}" for one in below_limits(facts)), ""]
    if first := first_limits(facts):
        lines += [markdown_text(first), ""]
    if told := [*remarks(facts), *gap_lines(facts)]:
        lines += [*(f"- {markdown_text(one)}" for one in told), ""]
    return "\n".join([*lines, "## To paste", "", markdown_text(facts["paragraph"])])
