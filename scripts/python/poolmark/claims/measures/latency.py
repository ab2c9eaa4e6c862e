# SPDX-License-Identifier: Apache-2.0
"""How long a connect takes, at rest and while the pool grows."""
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import Json
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measured, measures

MS = 1e6
FLOOR = 0.10
EXPANSIONS_LEAST = 8


@measures("connect-latency", "connects")
def connect_latency(runs: Json, claim: Claim) -> Measured:
    rows = runs["connects"]["rows"]
    if failed := sum(row["failed"] for row in rows):
        raise PoolmarkError(f"{failed} clients did not connect")
    rates = sorted(row["rate"] for row in rows)
    return Measured(tuple(row["mean_ns"] / MS for row in rows), f"Counted from the intended time, at {rates[0]} to {rates[-1]} connects a "
                    "second, over the loopback.", floor=FLOOR, timed=True)


def high_percentile(values: list[float], share: float = 0.999) -> float:
    """Of too few values it is the largest."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@measures("connect-latency-while-expanding", "burst")
def while_expanding(runs: Json, claim: Claim) -> Measured:
    rows = runs["burst"]["rows"]
    least = min(row["expansions"] for row in rows)
    if least < EXPANSIONS_LEAST or any(not row["in_flight_ns"] for row in rows):
        raise PoolmarkError(f"the burst made only {least} expansions, or no connect was in flight during one")
    count = sum(len(row["in_flight_ns"]) for row in rows)
    mean = sum(row["all_mean_ns"] for row in rows) / len(rows) / MS
    return Measured(tuple(high_percentile(row["in_flight_ns"]) / MS for row in rows), f"Of {count} connects during {least} expansions each "
                    f"time, 16 under way at once: the mean of all connects is {mean:.2f} ms. The pool's own thread "
                    "grows it.", floor=FLOOR, timed=True)
