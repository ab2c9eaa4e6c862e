# SPDX-License-Identifier: Apache-2.0
"""The thresholds of the sources' monitoring table: would they have rung in the runs that were made?

    a pool above 90 % of its maximum; memory that grows by more than 20 % an hour; reuse below 50 %
"""
from poolmark.base.forms import Json
from poolmark.claims.catalogue import number_text

FULL_PERCENT, GROWTH_PERCENT_PER_H, REUSE_PERCENT = 90.0, 20.0, 50.0
LEVEL_BYTES = 2 * 65536  # two readings of level memory may differ by so much
RINGS, SILENT, NOISY, UNMEASURED = "rings", "silent", "too noisy to tell", "not measured"


def _row(threshold: str, measured: str, verdict: str) -> Json:
    return {"threshold": threshold, "measured": measured, "verdict": verdict}


def fullness(runs: Json) -> list[Json]:
    rows: list[Json] = []
    for row in runs.get("overflow", {}).get("rows", [])[:1]:
        percent = 100 * row["peak_in_use"] / row["max"]
        rows.append(_row("pool above 90 % of its maximum", f"{number_text(percent)} % with 5 000 clients of a pool of {row['max']}",
                         RINGS if percent > FULL_PERCENT else SILENT))
    if burst := runs.get("burst", {}).get("rows"):
        percent = 100 * max(row["peak_in_use"] for row in burst) / burst[0]["max"]
        rows.append(_row("pool above 90 % of its maximum", f"{number_text(percent)} % after a burst of 10 000 clients to a pool of at most "
                         f"{burst[0]['max']}", RINGS if percent > FULL_PERCENT else SILENT))
    return rows


def growth(runs: Json) -> list[Json]:
    rows = runs.get("reuse-rate", {}).get("memory", [])
    if not rows:
        return []
    per_h = 3600 / runs["reuse-rate"]["seconds"] * 2
    worst = max(100 * (row["end_bytes"] - row["half_bytes"]) / row["half_bytes"] * per_h for row in rows)
    unsure = max(100 * LEVEL_BYTES / row["half_bytes"] * per_h for row in rows)
    verdict = NOISY if abs(worst - GROWTH_PERCENT_PER_H) < unsure else RINGS if worst > GROWTH_PERCENT_PER_H else SILENT
    return [_row("memory grows by more than 20 % an hour", f"{number_text(worst)} % an hour, +-{number_text(unsure)}, from "
                 f"{runs['reuse-rate']['seconds'] / 2:.0f} s of clients that come and go", verdict)]


def reuse(runs: Json) -> list[Json]:
    rows: list[Json] = []
    found = runs.get("reuse-rate", {})
    for name, text in (("sync", "50 connects a second, strategy sync"), ("blocks", "1 000 connects one by one, strategy blocks")):
        if found.get(name):
            percent = min(100 * row["hits"] / row["gets"] for row in found[name])
            rows.append(_row("reuse below 50 %", f"{number_text(percent)} %: {text}", RINGS if percent < REUSE_PERCENT else SILENT))
    if hot := runs.get("hot", {}).get("reuse"):
        percent = min(row["reuse.reused_percent"] for row in hot)
        rows.append(_row("reuse below 50 %", f"{number_text(percent)} %: warm hot pool", RINGS if percent < REUSE_PERCENT else SILENT))
    return rows


def verdicts(runs: Json) -> list[Json]:
    """As far as the runs were made and have the values."""
    rows: list[Json] = []
    for judge in (fullness, growth, reuse):
        try:
            rows += judge(runs)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, ZeroDivisionError) as error:
            rows.append(_row(judge.__name__, f"the runs do not have what it takes: {type(error).__name__}: {error}", UNMEASURED))
    return rows
