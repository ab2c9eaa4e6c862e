# SPDX-License-Identifier: Apache-2.0
"""Repeats until a comparison is decided (--until-sure): looks at the data after 4, 6, 9, 13 and 19 repetitions a side, or, of
benchmarks alone, which are short, after 32, 48, 72, 104 and 152 rounds.

Each look gets a share of the error rates, and the shares add up to one. So five looks are wrong no more often than one look (a
group-sequential design with fixed alpha spending and Bonferroni's bound over the looks). The tests of each look are exact
(permutation.py), so the bound holds for any distribution. The first look gets nearly half, because 4 repetitions a side cannot
give p below 1/70. The intervals of a look are widened accordingly, so the bound covers "same" too.
"""
import time
from collections.abc import Callable, Sequence

from poolmark.compare.interleave import ROUNDS, Job
from poolmark.compare.verdict import INVALID, Verdict

LOOKS = (4, 6, 9, 13, 19)
SHARES = (0.45, 0.1375, 0.1375, 0.1375, 0.1375)


def words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def times_of(jobs: Sequence[Job]) -> int:
    return ROUNDS if all(job.is_bench for job in jobs) else 1


def until_sure(extend: Callable[[int], object], judge: Callable[[float], Verdict], limit_s: float, *, times: int = 1,
               say: Callable[[str], object] = print, clock: Callable[[], float] = time.monotonic) -> Verdict:
    """`extend(repetitions)` measures up to that number; `judge(share)` gives a verdict of all data so far. `times`: how many
    repetitions for each of LOOKS."""
    start = clock()
    found: Verdict | None = None
    done = 0
    for count, share in zip([look * times for look in LOOKS], SHARES, strict=True):
        spent = clock() - start
        expected = spent / done * (count - done) if done else 0.0
        if found is not None and spent + expected > limit_s:
            found.notes.append(f"--until-sure: {done} repetitions, {words(spent)}; {count} would not be done within "
                               f"{words(limit_s)}")
            return found
        extend(count)
        done = count
        found = judge(share)
        if found.code != INVALID:
            found.notes.append(f"--until-sure: decided after {count} repetitions a side, {words(clock() - start)}; this look has "
                               f"{share:.0%} of the error rates")
            return found
        say(f"{count} repetitions a side: undecided ({'; '.join(found.reasons[1:3] or found.reasons)})")
    assert found is not None  # there were looks
    found.notes.append(f"--until-sure: undecided after {LOOKS[-1] * times} repetitions, the last look")
    return found
