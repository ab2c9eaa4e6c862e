# SPDX-License-Identifier: Apache-2.0
"""The hot connection pool: memory, reuse, leaks, pressure."""
from poolmark.base.forms import Json
from poolmark.claims.catalogue import Claim, number_text
from poolmark.claims.measured import Measured, measures, values_of

FLOOR = 0.05
PAGE_BYTES = 4096       # what the memory of one process grows by at least: two states of it that differ by less are not told apart


@measures("hot-preheated-memory", "hot")
def preheated(runs: Json, claim: Claim) -> Measured:
    values = values_of(runs["hot"]["memory"], "memory.per_connection_bytes")
    return Measured(tuple(value / 1e3 for value in values), "Pool and a plain client together, without TLS: the rest of the published "
                    "figure is the TLS client's.", floor=FLOOR,
                    contradiction="1.8 KB and 10 to 20 KB for one connection cannot both be right.")


@measures("hot-reuse-speedup", "hot")
def reuse(runs: Json, claim: Claim) -> Measured:
    rows = runs["hot"]["reuse"]
    rate = min(values_of(rows, "reuse.reused_percent"))
    return Measured(tuple(values_of(rows, "reuse.ratio")), f"Ten threads over the loopback without TLS, where a connect is cheapest; "
                    f"{rate:.1f} % of the checkouts were reuse.", floor=FLOOR, timed=True)


@measures("hot-no-leak", "hot")
def no_leak(runs: Json, claim: Claim) -> Measured:
    rows = runs["hot"]["hosts"]
    created, warm = max(values_of(rows, "hosts.created")), min(values_of(rows, "hosts.warm_bytes"))
    return Measured(tuple(values_of(rows, "hosts.growth_percent")), f"{created:.0f} connections were opened for 1 631 hosts, and kept "
                    f"through ten cycles. A page of 4 KiB is {number_text(100 * PAGE_BYTES / warm)} % of the client's memory.", floor=PAGE_BYTES / warm, whole=100)


@measures("hot-pressure-cleanup", "hot")
def pressure(runs: Json, claim: Claim) -> Measured:
    rows = runs["hot"]["pressure"]
    oldest, unhealthy = (min(values_of(rows, name)) for name in ("pressure.oldest_percent", "pressure.unhealthy_dropped_percent"))
    return Measured(tuple(values_of(rows, "pressure.dropped_percent")), f"{oldest:.0f} % of the dropped were the oldest; of the unhealthy "
                    f"{unhealthy:.0f} % went too.", kind="counted")
