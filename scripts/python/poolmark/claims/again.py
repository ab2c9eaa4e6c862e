# SPDX-License-Identifier: Apache-2.0
"""The figures and tables of a record of `claims`, computed again.

    account(run, account)    values.json of each run against its raw files, as far as these have them; every verdict and metric
                             against values.json
    documents(run)           {"claims.md": text, "claims.html": text}

Some values were read from live programs (memory of a process, answers to a client): they are in values.json alone.
"""
import math

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims import catalogue, claims, measured, monitoring, tables, verdict
from poolmark.records.read_record import Run
from poolmark.records.record import sha256
from poolmark.verify.account import ABSENT, Account

LIVE = "read from live programs by the run of a claim, or computed by it, in no other file"
OTHER_CLAIMS = "judged by another claims.toml than this one"
OF_REFERENCE = "of a committed run, not of this record"
COMPARED = ("said", "unit", "verdict", "value", "low", "high", "sequence", "kind", "shown", "runs")


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; numbers as far as they are computed."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)) and not isinstance(one, bool) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return type(one) is type(other) and one == other


def agrees(recorded: object, made: object) -> bool:
    """Whether everything in `made` is in `recorded`, with the same numbers."""
    if isinstance(recorded, dict) and isinstance(made, dict):
        return all(key in recorded and agrees(recorded[key], made[key]) for key in made)
    if isinstance(recorded, list) and isinstance(made, list):
        return len(recorded) == len(made) and all(map(agrees, recorded, made))
    return same(recorded, made)


def not_made(recorded: object, made: object, name: str) -> list[str]:
    """Names of the parts of `recorded` that `made` does not have; of a list those of its first element."""
    if isinstance(recorded, list) and isinstance(made, list):
        return not_made(recorded[0], made[0], name) if recorded and made else []
    if not isinstance(recorded, dict) or not isinstance(made, dict):
        return []
    return [text for key, value in recorded.items()
            for text in (not_made(value, made[key], f"{name}.{key}") if key in made else [f"{name}.{key}"])]


def _same_claims(run: Run) -> bool:
    return run.data.get("config", {}).get("claims_sha256") == sha256(catalogue.FILE)


def _judged(run: Run) -> tuple[list[verdict.Judged], list[Json], dict[str, measured.Measure]]:
    """(judgements, rows of the monitoring table, measures), made of the record's values as `claims` made them."""
    every, measures = catalogue.load()[1], measured.all_measures()
    found, failed = claims.earlier_values(run)
    wanted = {row["id"]: every[row["id"]] for row in (run.data.get("summary") or {}).get("claims", []) if row["id"] in every}
    return (claims.judge_all(wanted, measures, found, failed, claims.busy_texts(run.data["cells"])), monitoring.verdicts(found), measures)


def _values(run: Run, account: Account) -> None:
    found, _ = claims.earlier_values(run)
    readers = measured.all_readers()
    for name, values in found.items():
        folder = run.folder / "runs" / name
        if name not in readers:
            account.leave(LIVE, f"{name}: values")
            continue
        try:
            made: Json | None = readers[name](folder)
        except FileNotFoundError:
            made = None
        except PoolmarkError as error:
            # Of a copy that leaves raw files out, a record may not be there.
            if any(not (run.folder / path).exists() for path in run.data["files"] if path.startswith(f"runs/{name}/")):
                made = None
            else:
                account.wrong.append(f"{name}: its raw files cannot be read: {error}")
                continue
        if made is None:
            account.leave(ABSENT, f"{name}: values")
            continue
        for part, value in made.items():
            if part in values and agrees(values[part], value):
                account.count += 1
            else:
                account.wrong.append(f"{name}: {part}: values.json is not what the raw files of the run give")
        for part in not_made(values, made, name):
            account.leave(LIVE, part)


def _verdicts(run: Run, account: Account) -> None:
    if not _same_claims(run):
        for name in run.data.get("metrics", {}):
            account.leave(OTHER_CLAIMS, name)
        return
    judged, watched, measures = _judged(run)
    recorded = {row["id"]: row for row in (run.data.get("summary") or {}).get("claims", [])}
    metrics = dict(run.data.get("metrics", {}))
    for one in judged:
        name, made = one.claim.id, tables.as_values(one, measures)
        metric = metrics.pop(f"claim.{name}", None)
        if one.measured and one.measured.kind == "reference":
            account.leave(OF_REFERENCE, name)
            continue
        account.wrong += [f"claim {name}: {key}: the record says {recorded[name].get(key)!r}, its values give {made[key]!r}"
                          for key in COMPARED if not same(recorded[name].get(key), made[key])]
        values = list(one.sequence or (one.measured.values if one.measured else ()))
        if metric is None or not same(metric["value"], one.value) or not same(metric.get("samples", []), values):
            account.wrong.append(f"claim.{name}: the metric is not what the values give")
        else:
            account.count += 1
    account.wrong += [f"{name}: the record has this metric, and no claim of it is judged" for name in metrics]
    if not same((run.data.get("summary") or {}).get("monitoring"), watched):
        account.wrong.append("summary.monitoring: is not what the values give")


def account(run: Run, account: Account) -> None:
    if run.data.get("summary"):
        _values(run, account)
        _verdicts(run, account)


def documents(run: Run) -> dict[str, str]:
    if not _same_claims(run):
        return {}
    judged, watched, measures = _judged(run)
    return claims.documents(run.data, run.data["files"], judged, watched, measures)
