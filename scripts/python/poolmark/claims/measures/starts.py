# SPDX-License-Identifier: Apache-2.0
"""What a start takes: memory and time."""
from poolmark.base.forms import Json
from poolmark.claims.catalogue import Claim
from poolmark.claims.measured import Measured, measures, values_of

MB = 1e6
MEMORY_FLOOR = 0.01  # private memory of the same start differs by less than 1 %
TIME_FLOOR = 0.10


def _added(runs: Json, name: str) -> tuple[float, ...]:
    rows = runs["starts"]["rows"]
    return tuple((full - none) / MB for full, none in zip(values_of(rows, f"{name}_bytes"), values_of(rows, "none_bytes"), strict=True))


def _whole(runs: Json, name: str) -> tuple[float, ...]:
    return tuple(value / MB for value in values_of(runs["starts"]["rows"], f"{name}_bytes"))


@measures("preheat-1024-objects", "starts")
def preheat_objects(runs: Json, claim: Claim) -> Measured:
    return Measured(_added(runs, "objects"), "1 024 times 3 072 bytes are 3.15 MB, and the pool's own record is small.", floor=MEMORY_FLOOR)


@measures("preheat-with-arena-and-buffers", "starts")
def preheat_buffers(runs: Json, claim: Claim) -> Measured:
    return Measured(_added(runs, "buffers"), "The setup's 3 + 4 + 4 KiB, touched; an arena would add 6 KiB to each.", floor=MEMORY_FLOOR)


@measures("startup-memory", "starts")
def startup_memory(runs: Json, claim: Claim) -> Measured:
    return Measured(_whole(runs, "objects"), "The 1 024 objects are most of it; the broker itself is small.", floor=MEMORY_FLOOR)


@measures("startup-estimate", "starts")
def startup_estimate(runs: Json, claim: Claim) -> Measured:
    return Measured(_whole(runs, "objects"), floor=MEMORY_FLOOR,
                    contradiction="The same document says 3 to 5 MB, measured, and 12 to 18 MB, added up, of one start: both cannot be right.")


@measures("startup-time", "starts")
def startup_time(runs: Json, claim: Claim) -> Measured:
    return Measured(tuple(values_of(runs["starts"]["rows"], "objects_start_s")), "From exec to the first CONNACK, 1 024 objects made "
                    "before.", floor=TIME_FLOOR, timed=True)


@measures("fixed-100k-startup", "starts")
def fixed_startup(runs: Json, claim: Claim) -> Measured:
    fixed, dynamic = _whole(runs, "fixed"), _whole(runs, "objects")
    saved = 100 * (1 - sum(dynamic) / sum(fixed))
    return Measured(fixed, f"100 000 times 3 072 bytes are 307 MB; the dynamic pool starts with {saved:.1f} % less.", floor=MEMORY_FLOOR)
