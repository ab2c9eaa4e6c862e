# SPDX-License-Identifier: Apache-2.0
"""A record of `scripts/poolmark soak`: its figures and verdicts, made again of rounds.csv.

    account(run, account)       adds what was computed again, and what differs
"""
from poolmark.records import rounds
from poolmark.records.read_record import Run
from poolmark.records.record import metric
from poolmark.verify.account import ABSENT, Account, against


def account(run: Run, account: Account) -> None:
    path, recorded = run.folder / "rounds.csv", run.data["metrics"]
    if not path.is_file():
        for name in recorded:
            account.leave(ABSENT, name)
        return
    rows, warm_up = rounds.read(path), run.data["config"]["warm_up_rounds"]
    made = {name: metric(*one) for name, one in rounds.figures(rows, warm_up).items()}
    for name, one in recorded.items():
        if name in made:
            against(account, "", name, one, made[name])
        else:
            account.wrong.append(f"{name}: rounds.csv gives no such figure")
    account.wrong += [f"{name}: rounds.csv gives it, the record does not have it" for name in made if name not in recorded]
    told, found = (run.data["summary"] or {})["verdicts"], rounds.verdicts(rows, warm_up)
    account.wrong += [f"summary.verdicts.{name}: the record says {told.get(name)!r}, rounds.csv gives {found[name]!r}"
                      for name in found if told.get(name) != found[name]]
    if run.data["status"] == "complete" and any(one["verdict"] != rounds.HOLDS for one in found.values()):
        account.wrong.append("status: the record says complete, and by rounds.csv a verdict does not hold")
