# SPDX-License-Identifier: Apache-2.0
"""What a run in steps forecasts for other sizes: facts of each cell, as text, Markdown and JSON.

    facts = cell_facts(run, cell, None, 256 << 20)
    print(text(run, [facts]))
"""
import argparse
import json
import math

from poolmark.base.forms import CellData, Json
from poolmark.facts import pool_settings
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.model.model import HeldOut, Line, Model, fit_model, hold_out, no_such_step
from poolmark.model.steps import LEAST_STEPS, cells_in_steps, check, no_figures, read_steps, step_counts, steps_left_out, told_left_out, what_to_run
from poolmark.facts.plan import RESERVE
from poolmark.facts.pool_settings import initial_of_pools
from poolmark.records.read_record import Run, load
from poolmark.records.record import sha256
from poolmark.base.table import markdown_table, markdown_text, text_table
from poolmark.base.units import plural, show_bytes, show_count

SIZES = [512 << 20, *(gib << 30 for gib in (1, 2, 4, 8, 16, 32, 64, 128))]
COUNTS = [10_000, 100_000, 1_000_000, 10_000_000]
LIMITS = [20_000, 65_536, 1_048_576]
TOLERANCE_PERCENT = 3.0
AT_GROWTH = "(a step of growth)"


def line_facts(line: Line | None) -> Json | None:
    if line is None:
        return None
    low, high = line.slope_interval()
    return {"base_bytes": line.base, "per_connection_bytes": line.slope, "per_connection_low": low,
            "per_connection_high": high}


def size_rows(model: Model, spare: int) -> list[Json]:
    most = max(step.connections for step in model.steps)
    rows = []
    for size in SIZES:
        budget = size - spare
        row: Json = {"memory_bytes": size}
        for name, ends in (("server", 1), ("both_ends", 2)):
            count = model.holds(budget, ends)
            row |= {name: count, f"{name}_low": model.holds(budget, ends, -1), f"{name}_high": model.holds(budget, ends, 1),
                    f"{name}_at_growth": count is not None and model.is_at_growth(count)}
        rows.append(row | {"forecast": row["server"] is None or row["server"] > most})
    return rows


def need_rows(model: Model, limit: int, cell: CellData) -> list[Json]:
    most = max(step.connections for step in model.steps)
    rows = []
    for count in COUNTS:
        processes = {str(one): max(1, math.ceil(count / (one - RESERVE))) for one in sorted({limit, *LIMITS})}
        each = math.ceil(count / processes[str(limit)])
        rows.append({"connections": count, "user_bytes": model.user_at(count), "kernel_bytes": model.kernel_at(count),
                     "total_bytes": model.total_at(count), "margin_bytes": model.margin(count),
                     "server_bytes": model.total_at(count, 1), "processes": processes,
                     "per_process": each,
                     "initial": initial_of_pools(cell["config"], cell.get("commands", []), each),
                     "forecast": count > most})
    return rows


def cell_facts(run: Run, cell: CellData, hold: int | None, spare: int) -> Json:
    steps, instances = read_steps(cell)
    if len(steps) < LEAST_STEPS:
        raise UsageError(f"there are readings at {plural(len(steps), 'step')}; a model needs at least three, and its check a fourth: "
                         + what_to_run())
    model = fit_model(steps, cell["config"], instances)
    limit = (run.data["host"].get("limits") or {}).get("nofile_hard") or LIMITS[0]
    held: HeldOut | None = None
    unknown = no_figures(run, cell, model)
    no_forecast = model.no_forecast() or next((f"no forecast: {why}" for why in unknown.values()), None)
    if len(steps) >= 4 and not no_forecast:
        held = hold_out(steps, cell["config"], instances, hold or steps[-1].connections)
    return {
        "cell": cell["id"], "status": cell["status"], "config": cell["config"], "instances": instances,
        "steps_left_out": steps_left_out(cell, steps),
        "points": [{"connections": step.connections, "user_bytes": step.user_bytes,
                    "kernel_bytes": step.kernel_bytes, "reserve_bytes": step.reserve_bytes() if step.pools else None,
                    "model_user_bytes": None if "user" in unknown else model.user_at(step.connections),
                    "model_kernel_bytes": model.kernel_at(step.connections) if model.kernel and "kernel" not in unknown
                    else None} for step in steps],
        "user": None if "user" in unknown else line_facts(model.user),
        "kernel": None if "kernel" in unknown else line_facts(model.kernel),
        "no_figure": unknown,
        "pools_by_rule": sorted(model.rules),
        "held_out": held and {"connections": held.connections, "measured_bytes": held.measured_bytes,
                              "predicted_bytes": held.predicted_bytes, "error_percent": held.error_percent,
                              "holds": abs(held.error_percent) <= TOLERANCE_PERCENT},
        "descriptor_limit": limit, "spare_bytes": spare, "no_forecast": no_forecast,
        "sizes": [] if no_forecast else size_rows(model, spare), "needs": [] if no_forecast else need_rows(model, limit, cell),
    }


def show_line(name: str, line: Json | None, no_figure: Json) -> str:
    if name in no_figure:
        return f"{name} memory: no figure for a connection: {no_figure[name]}"
    if line is None:
        return f"{name} memory: not measured"
    return (f"{name} memory = {show_bytes(line['base_bytes'])} + n x {line['per_connection_bytes']:.0f} B "
            f"({line['per_connection_low']:.0f} to {line['per_connection_high']:.0f} at 95 %)")


def sentences(facts: Json) -> list[str]:
    user, kernel = facts["user"], facts["kernel"]
    told = [show_line("user", user, facts["no_figure"]), show_line("kernel", kernel, facts["no_figure"])]
    if facts["instances"] > 1 and user is not None and "user" not in facts["no_figure"]:
        told.append(f"{show_bytes(user['base_bytes'])} are of the {facts['instances']} brokers that were measured together, "
                    f"{show_bytes(user['base_bytes'] / facts['instances'])} each, and in every row below: fewer processes take less "
                    "(capacity --connections N answers for one)")
    if facts["pools_by_rule"]:
        told.append(f"on top of it comes the reserve of the pools {', '.join(facts['pools_by_rule'])}: what they own beyond "
                    "what is in use, by their strategy's rule")
    told.append("kernel memory is of both ends of each connection; a server whose clients are elsewhere has half of it")
    held = facts["held_out"]
    if held:
        told.append(f"check: {show_count(held['connections'])} connections, predicted by the other steps: "
                    f"{show_bytes(held['predicted_bytes'])}; measured: {show_bytes(held['measured_bytes'])}; "
                    f"{held['error_percent']:+.1f} %" + ("" if held["holds"] else ": THE MODEL DOES NOT HOLD"))
    elif not facts["no_forecast"]:
        told.append("check: too few steps to hold one out; it takes four")
    if any(point["reserve_bytes"] is None for point in facts["points"]):
        told.append("reserve of pools \"-\": what the pools owned at that step is not in this record")
    if facts["no_forecast"]:
        told.append(facts["no_forecast"])
    if any(show_interval(row, ends) == AT_GROWTH for row in facts["sizes"] for ends in ("server", "both_ends")):
        told.append(f"\"{AT_GROWTH}\": one connection more and the pools grow by more than there is left")
    if facts["steps_left_out"]:
        told.append(f"left out: {told_left_out(facts['steps_left_out'])}")
    if facts["status"] != "complete":
        told.append(f"the cell is {facts['status']}: what it rests on is not whole")
    return told


def show_bound(count: int | None) -> str:
    return "no bound" if count is None else show_count(count)


def show_interval(row: Json, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low == high and row[f"{name}_at_growth"]:
        return AT_GROWTH
    return f"{show_bound(low)} to {show_bound(high)}"


def settings_table(facts: Json) -> list[tuple[str, list[str], list[list[str]]]]:
    """Pool settings; empty for other brokers and for strategies that do not preheat."""
    rows = [[show_count(row["connections"]), show_count(row["processes"][str(facts["descriptor_limit"])]),
             show_count(row["per_process"]), pool_settings.words(row["initial"])] for row in facts["needs"] if row["initial"]]
    title = f"Pool settings without an expansion, under a descriptor limit of {show_count(facts['descriptor_limit'])}"
    return [(title, ["connections", "processes", "each", "of each process"], rows)] if rows else []


def tables(facts: Json) -> list[tuple[str, list[str], list[list[str]]]]:
    points = [[show_count(point["connections"]), show_bytes(point["user_bytes"]), show_bytes(point["model_user_bytes"]),
               show_bytes(point["kernel_bytes"]), show_bytes(point["model_kernel_bytes"]),
               show_bytes(point["reserve_bytes"])] for point in facts["points"]]
    measured = ("Measured, and by the model", ["connections", "user", "model", "kernel", "model", "reserve of pools"], points)
    if facts["no_forecast"]:
        return [measured]
    sizes = [[show_bytes(row["memory_bytes"]), show_bound(row["server"]),
              show_interval(row, "server"), show_bound(row["both_ends"]), show_interval(row, "both_ends"),
              "forecast" if row["forecast"] else "in the range measured"] for row in facts["sizes"]]
    limits = list(facts["needs"][0]["processes"])
    needs = [[show_count(row["connections"]), show_bytes(row["server_bytes"]), show_bytes(row["total_bytes"]),
              show_bytes(row["margin_bytes"]), *(show_count(row["processes"][limit]) for limit in limits),
              "forecast" if row["forecast"] else "in the range measured"] for row in facts["needs"]]
    return [
        measured,
        (f"What sizes hold, {show_bytes(facts['spare_bytes'])} of each left to the system",
         ["memory", "a server's connections", "at 95 %", "with the clients on it", "at 95 %", "how known"], sizes),
        ("What counts need", ["connections", "server", "both ends", "+- at 95 %",
                              *(f"processes at {show_count(int(limit))}" for limit in limits), "how known"], needs),
        *settings_table(facts),
    ]


def text(run: Run, all_facts: list[Json]) -> str:
    parts = []
    for facts in all_facts:
        parts.append(facts["cell"] + "\n  " + "\n  ".join(sentences(facts)))
        for title, head, rows in tables(facts):
            parts.append(f"{title}:\n" + text_table(head, rows, "r" * (len(head) - 1) + "l"))
    return "\n\n".join([*parts, f"Run {run.id}, sha256 of its run.json {sha256(run.folder / 'run.json')}"])


def markdown(run: Run, all_facts: list[Json]) -> str:
    host, tool = run.data["host"], run.data["tool"]
    lines = [f"# Capacity by run {markdown_text(run.id)}", ""]
    for facts in all_facts:
        lines += [f"## {markdown_text(facts['cell'])}", "", *(f"- {markdown_text(one)}" for one in sentences(facts)), ""]
        for title, head, rows in tables(facts):
            lines += [f"**{title}**", "", markdown_table(head, rows, "r" * (len(head) - 1) + "l"), ""]
    lines += [markdown_text(f"Rests on run {run.id} of {run.data['started_utc']}, version {tool['version']}, commit "
                            f"{tool['commit']}, {host.get('cores')} cores of {host.get('cpu_model')}, {host.get('kernel')}; "
                            f"sha256 of its run.json {sha256(run.folder / 'run.json')}.")]
    return "\n".join(lines)


def why_refused(refused: dict[str, list[str]]) -> list[str]:
    """Each reason once, with its cells."""
    return [f"{', '.join(cells[:2])}{f' and {len(cells) - 2} more' if len(cells) > 2 else ''}: {why}"
            for why, cells in refused.items()]


def run(args: argparse.Namespace, where: str) -> int:
    """`where`: the run. `args`: only, hold_out, spare, json, markdown. Returns the exit code."""
    record = load(where)
    check(record)
    cells = cells_in_steps(record, args.only)
    steps = {step for cell in cells for step in step_counts(cell)}
    if args.hold_out and args.hold_out not in steps:
        raise no_such_step(args.hold_out, steps)
    facts: list[Json] = []
    refused: dict[str, list[str]] = {}
    for cell in cells:
        try:
            facts.append(cell_facts(record, cell, args.hold_out, args.spare))
        except PoolmarkError as error:
            refused.setdefault(str(error), []).append(cell["id"])
    if not facts:
        raise UsageError("; ".join(why_refused(refused)))
    if args.json:
        print(json.dumps({"run": record.id, "sha256": sha256(record.folder / "run.json"), "cells": facts,
                          "refused": why_refused(refused)}, indent=1))
    else:
        print((markdown if args.markdown else text)(record, facts))
        for one in why_refused(refused):
            print(f"\nnot looked at: {one}")
    held = all(one["held_out"] is None or one["held_out"]["holds"] for one in facts)
    return 1 if not held or any(one["no_forecast"] for one in facts) else 0
