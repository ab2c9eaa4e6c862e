# SPDX-License-Identifier: Apache-2.0
"""How the pool grows: by what steps, when, at which price; and past its bound."""
import re

from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measured, measures

LIKE_1000 = (700, 1800)  # objects added by an expansion that is compared with one of 1 000
TIME_FLOOR = 0.10


def _capacities(runs: Json, claim: Claim, reported: str = "") -> Measured:
    row = runs["sequences"][str(int(claim.expect[0]))]
    how = f"Seen in {row['events']} expansions of a broker whose connections came one after the other."
    if row["computed"]:
        how += f" The last {row['computed']} are the program's own arithmetic: so many connections did not fit this host's limits."
    return Measured(sequences=(tuple(row["capacities"]),), because=how, kind="counted", contradiction=reported)


def count_of(claim: Claim) -> str:
    """Why a claim that counts its own steps contradicts itself; "" when the count is right or there is none."""
    told = re.search(r"counts (\d+) steps", claim.says)
    steps = len(claim.expect) - 1
    return f"The text counts {told[1]} steps, the list beside it has {steps}." if told and int(told[1]) != steps else ""


@measures("expansion-sequence-256", "sequences")
def sequence_256(runs: Json, claim: Claim) -> Measured:
    return _capacities(runs, claim)


@measures("expansion-sequence-1024", "sequences")
def sequence_1024(runs: Json, claim: Claim) -> Measured:
    return _capacities(runs, claim)


@measures("expansion-sequence-2048", "sequences")
def sequence_2048(runs: Json, claim: Claim) -> Measured:
    return _capacities(runs, claim, count_of(claim))


@measures("expansion-sequence-10000", "sequences")
def sequence_10000(runs: Json, claim: Claim) -> Measured:
    return _capacities(runs, claim, count_of(claim))


@measures("expansion-trigger", "expansions")
def trigger(runs: Json, claim: Claim) -> Measured:
    return Measured(sequences=tuple(tuple(row["triggers"][:len(claim.expect)]) for row in runs["expansions"]["rows"]), kind="counted",
                    because="The integer part of 80 % of the objects owned, as the broker logged it.")


def owned_by_first_listing(connections: int, initial: int = 1024, share: float = 0.8, step: int = 512) -> int:
    """Objects owned after so many connections when the trigger stays at 80 % of the initial size."""
    owned = initial
    for active in range(1, connections + 1):
        if active >= int(initial * share):
            owned += step
    return owned


@measures("expansion-trigger-as-printed", "sequences")
def trigger_as_printed(runs: Json, claim: Claim) -> Measured:
    second = next((row["to"] for row in reversed(runs["sequences"]["1024"]["rows"]) if row["trigger"] <= 10_000), None)
    if second is None:
        raise PoolmarkError("the broker logged no expansion up to 10 000 connections")
    first = owned_by_first_listing(10_000)
    return Measured((first / second,), kind="computed", because=f"The first listing's trigger never moves: {first} objects after 10 000 "
                    f"connections (simulated), {second} under the second's rule (the broker's log).")


@measures("expansion-cost", "expansions")
def cost(runs: Json, claim: Claim) -> Measured:
    rows = runs["expansions"]["rows"]
    values = [sum(row["added_bytes"]) / sum(row["added_objects"]) / 1e3 for row in rows if row["added_objects"]]
    if len(values) < len(rows):
        raise PoolmarkError("a broker logged no expansion")
    return Measured(tuple(values), "Private memory before and after the first three expansions, two connections among them.", floor=0.02)


@measures("expansion-time", "expansions", "burst", "sequences")
def time(runs: Json, claim: Claim) -> Measured:
    """The longest of all, scaled to 1 000 objects."""
    longest: list[float] = []
    seen = 0
    for row in runs["expansions"]["rows"]:
        found = [ns * 1000 / added / 1e6 for ns, added in zip(row["durations_ns"], row["added_objects"])
                 if LIKE_1000[0] <= added <= LIKE_1000[1]]
        seen += len(found)
        longest += [max(found)] if found else []
    more = [row["duration_ns"] * 1000 / (row["to"] - row["from"]) / 1e6 for run in runs["sequences"].values() for row in run["rows"]
            if row["to"] - row["from"] >= LIKE_1000[0]]
    if not longest or len(longest) < len(runs["expansions"]["rows"]):
        raise PoolmarkError("a broker logged no expansion by about 1 000 objects")
    worst = max([*longest, *more])
    return Measured(tuple(longest), value=worst, spread=(worst, worst), because=f"The longest of {seen + len(more)} expansions, scaled to 1 000 objects, took {worst:.2f} "
                    "ms.", floor=TIME_FLOOR, timed=True)


@measures("past-the-pool", "overflow")
def past_the_pool(runs: Json, claim: Claim) -> Measured:
    rows = runs["overflow"]["rows"]
    told = rows[0]["refuse"]
    why = ", ".join(f"{count} by code {code}" for code, count in told.items() if code != "0")
    return Measured(sequences=tuple((row["heap"].get("0", 0), row["refuse"].get("0", 0)) for row in rows), kind="counted",
                    because=f"By default the heap serves what is past the maximum ({runs['overflow']['default_accepted_of_200']} of 200 "
                    f"clients of a pool of 100); with --overflow refuse the others got a CONNACK ({why}).")
