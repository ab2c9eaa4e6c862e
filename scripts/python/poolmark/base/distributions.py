# SPDX-License-Identifier: Apache-2.0
"""Student's t, the normal and the binomial distribution. The first four take numbers or arrays.

The functions are those that scipy.stats calls. scipy itself is imported by the first call: scipy.stats alone takes half a second
of processor time, which every command would pay that has one of these in a module below it.
"""
import math
from typing import Any


def t_below(value: Any, freedom: float) -> Any:
    """P(t <= value)."""
    from scipy import special

    return special.stdtr(freedom, value)


def t_above(value: Any, freedom: float) -> Any:
    """P(t > value); more exact than 1 - t_below() far out."""
    return t_below(-value, freedom)


def normal_above(value: Any) -> Any:
    """P(z > value)."""
    from scipy import special

    return special.ndtr(-value)


def normal_quantile(share: Any) -> Any:
    """The z below which this share is."""
    from scipy import special

    return special.ndtri(share)


def t_quantile(share: float, freedom: float) -> float:
    """The t below which this share is: infinite for 0 and 1, nan without a degree of freedom."""
    from scipy import special

    if not freedom > 0:
        return math.nan
    return math.copysign(math.inf, share - 0.5) if share in (0.0, 1.0) else float(special.stdtrit(freedom, share))


def t_beyond(share: float, freedom: float) -> float:
    """The t above which this share is; more exact than t_quantile(1 - share) for small shares."""
    return -t_quantile(share, freedom)


def heads_at_least(count: int, of: int) -> float:
    """P(at least `count` heads in `of` tosses of a fair coin)."""
    return float(sum(math.comb(of, heads) for heads in range(max(0, count), of + 1)) / 2 ** of)
