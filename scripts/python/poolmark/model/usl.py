# SPDX-License-Identifier: Apache-2.0
"""The universal scalability law (Gunther 1993): rate against load.

    X(N) = first N / (1 + contention (N - 1) + coherency N (N - 1))

N is the load: threads of the broker, or clients. `first` is the rate at N = 1. Contention is the share of work that only one can do at a
time; coherency is what each pays for every other.

    law = judge([(1, 10_000), (2, 19_000), ...])
    law.why == ()           it fits; law.fit.at(8) gives (low, rate, high)
    law.why                 otherwise the reasons, and there is no answer

The fit is by nonlinear least squares on the logarithm of the rate, so that an error of some per cent counts alike at every load.
Intervals are linearised, Student's t at 95 %. The law is checked on the largest load, predicted by the others: that is the direction
in which it is used.
"""
import math
from dataclasses import dataclass

import numpy

from poolmark.base.distributions import t_quantile
from poolmark.compare.blocks import Array
from poolmark.model.predicted import Predicted

CONFIDENCE = 0.95
LEAST_LOADS = 5             # three coefficients, one load held out, one more to tell how far the law is off
TOLERANCE_PERCENT = 10.0    # of the held-out load
WIDE = 0.5                  # an interval that reaches further than this share above or below its rate is no answer
NAMES = ("first", "contention", "coherency")
LARGE = 1e6                 # residual where the law has no value
MOST_LOG = 100.0            # of a rate


@dataclass(frozen=True)
class Fit:
    first: float
    contention: float
    coherency: float
    covariance: Array       # of (ln first, contention, coherency)
    freedom: int
    least: float                    # range of the loads in the fit
    most: float

    def rate(self, load: float) -> float:
        """nan where the law has no value."""
        loss = 1 + self.contention * (load - 1) + self.coherency * load * (load - 1)
        return self.first * load / loss if loss > 0 else math.nan

    def _t(self) -> float:
        return t_quantile((1 + CONFIDENCE) / 2, self.freedom) if self.freedom > 0 else math.inf

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % interval of a coefficient."""
        at = NAMES.index(name)
        half = self._t() * math.sqrt(max(0.0, float(self.covariance[at, at])))
        if name == "first":
            return self.first * math.exp(-half), self.first * math.exp(min(half, 700.0))
        value = getattr(self, name)
        return value - half, value + half

    def at(self, load: float) -> tuple[float, float, float]:
        """(low, rate, high), the 95 % interval of the law's rate at a load; nan where it has no value."""
        rate = self.rate(load)
        loss = 1 + self.contention * (load - 1) + self.coherency * load * (load - 1)
        if loss <= 0:
            return math.nan, math.nan, math.nan
        slope = numpy.array([1.0, -(load - 1) / loss, -load * (load - 1) / loss])
        half = min(700.0, self._t() * math.sqrt(max(0.0, float(slope @ self.covariance @ slope))))
        return rate * math.exp(-half), rate, rate * math.exp(half)

    def is_known_at(self, load: float) -> bool:
        """Whether the interval there is narrow enough to be an answer."""
        low, rate, high = self.at(load)
        return rate > 0 and rate - low <= WIDE * rate and high - rate <= WIDE * rate

    def peak(self) -> float | None:
        """The load past which more load lowers the rate. None where the interval of the coherency covers zero."""
        if self.interval("coherency")[0] <= 0 or self.contention >= 1:
            return None
        return math.sqrt((1 - self.contention) / self.coherency)


@dataclass(frozen=True)
class HeldOutLoad(Predicted):
    load: float
    measured: float
    predicted: float
    most_percent = TOLERANCE_PERCENT


@dataclass(frozen=True)
class Law:
    points: tuple[tuple[float, float], ...]
    fit: Fit | None
    held_out: HeldOutLoad | None
    why: tuple[str, ...]        # reasons for which it gives no answer


def _first_guess(loads: Array, rates: Array) -> Array:
    """N / X = 1/first + contention/first (N - 1) + coherency/first N (N - 1): a line in three terms."""
    design = numpy.stack([numpy.ones_like(loads), loads - 1, loads * (loads - 1)], axis=1)
    weight = rates / loads
    terms, *_ = numpy.linalg.lstsq(design * weight[:, None], numpy.ones_like(loads), rcond=None)
    if terms[0] > 0 and numpy.all(design @ terms > 0):
        return numpy.array([-math.log(terms[0]), terms[1] / terms[0], terms[2] / terms[0]])
    return numpy.array([math.log(float((rates / loads).max())), 0.05, 0.001])


def fit(points: list[tuple[float, float]]) -> Fit | None:
    """The law of (load, rate) points, all above zero, at three loads or more; None when the fit does not converge."""
    from scipy import optimize  # here, as in base/distributions.py

    loads, rates = (numpy.array(column, float) for column in zip(*points, strict=True))
    logarithms = numpy.log(rates / loads)

    def left(values: Array) -> Array:
        loss = 1 + values[1] * (loads - 1) + values[2] * loads * (loads - 1)
        return numpy.where(loss > 0, logarithms - values[0] + numpy.log(numpy.where(loss > 0, loss, 1.0)), LARGE)

    # A coherency of 1e-6 counts as much at 1 000 clients as a contention of 1e-3: steps of the search are in units of that.
    scale = numpy.array([1.0, 1.0 / max(1.0, loads.max()), 1.0 / max(1.0, loads.max()) ** 2])
    found = optimize.least_squares(left, _first_guess(loads, rates), x_scale=scale, method="trf")
    if not found.success or not numpy.all(numpy.isfinite(found.x)) or numpy.any(numpy.abs(found.fun) >= LARGE) or abs(found.x[0]) > MOST_LOG:
        return None
    freedom = len(points) - len(NAMES)
    variance = float(found.fun @ found.fun) / freedom if freedom > 0 else math.inf
    normal = found.jac.T @ found.jac
    try:
        inverse = numpy.linalg.inv(normal * numpy.outer(scale, scale)) * numpy.outer(scale, scale)
    except numpy.linalg.LinAlgError:
        return None
    covariance = inverse * (variance if freedom > 0 else 0.0)
    return Fit(math.exp(found.x[0]), float(found.x[1]), float(found.x[2]), covariance, freedom, float(loads.min()), float(loads.max()))


def _held_out(points: list[tuple[float, float]]) -> HeldOutLoad | None:
    """The largest load, predicted by the others. None when they give no law."""
    most = max(load for load, _ in points)
    kept = [point for point in points if point[0] != most]
    measured = math.exp(sum(math.log(rate) for load, rate in points if load == most) / sum(load == most for load, _ in points))
    found = fit(kept)
    predicted = found.rate(most) if found else math.nan
    return HeldOutLoad(most, measured, predicted) if math.isfinite(predicted) else None


def _complaints(found: Fit, held: HeldOutLoad | None, most: float) -> list[str]:
    why = []
    for name in ("contention", "coherency"):
        low, high = found.interval(name)
        if high < 0:
            why.append(f"its {name} is {getattr(found, name):.3g} ({low:.3g} to {high:.3g} at 95 %), below zero: the rate grows faster than "
                       "the load, which this law does not describe")
    covers = [name for name in ("contention", "coherency") if found.interval(name)[0] <= 0 <= found.interval(name)[1]]
    if len(covers) == 2:
        why.append("the intervals of contention and coherency both cover zero: where the rate ends to grow with the load is not in these "
                   "points. It takes more loads, larger ones, or several searches at each")
    if held is None:
        why.append(f"without the load {most:g} the others give no law to check")
    elif not held.holds:
        why.append(f"the load {held.load:g}, predicted by the others, is {held.predicted:.4g} a second; measured: {held.measured:.4g}; "
                   f"{held.error_percent:+.1f} %, more than {TOLERANCE_PERCENT:g} %")
    return why


def judge(points: list[tuple[float, float]]) -> Law:
    """The law of (load, rate) points, its check, and the reasons for which it gives no answer."""
    kept = sorted((float(load), float(rate)) for load, rate in points if load > 0 and rate > 0)
    loads = len({load for load, _ in kept})
    if loads < LEAST_LOADS:
        return Law(tuple(kept), None, None, (f"it takes rates at {LEAST_LOADS} loads or more (three coefficients, one load held out, one "
                                             f"more); there are {loads}",))
    found = fit(kept)
    if found is None:
        return Law(tuple(kept), None, None, ("the fit does not converge",))
    held = _held_out(kept)
    return Law(tuple(kept), found, held, tuple(_complaints(found, held, kept[-1][0])))
