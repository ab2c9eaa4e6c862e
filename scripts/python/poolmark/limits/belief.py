# SPDX-License-Identifier: Apache-2.0
"""What trials tell about the limit: a distribution over rates.

    belief = Belief([(10_000, True), (20_000, False), ...])     # (rate, did it hold)
    low, middle, high = belief.interval()

A trial near the limit holds or fails by chance. The limit is the rate at which it holds every other time. The model: a trial at a
rate holds with the probability 1 / (1 + (rate / limit) ^ (1 / width)), apart from trials that a disturbance spoiled. Limit and width
are not known: every limit has the same prior on a logarithmic scale, and so has every width, from a target that tells two rates 1 %
apart to one whose trials mix over a factor of four. Bayes' rule gives the distribution of both from all trials together. So a trial
that contradicts the others widens the interval, and is not taken for the truth.

The interval has 98 % of that distribution. With it at least 95 of 100 searches contain the limit, also where limit, width and
disturbances are chosen against it (tests/py/test_limit_search.py simulates them). The method is that of adaptive measurements of
thresholds in psychophysics: Watson and Pelli 1983 (QUEST), Kontsevich and Tyler 1999 (width as a second unknown).
"""
import math

import numpy

STEP = 0.005                # of the grid of limits, on the logarithm
ROOM = 2.0                  # the limit may be outside of the tried rates by that factor
WIDTHS = tuple(0.0025 * 2.0 ** number for number in range(8))
FALSE_FAIL = 0.05           # trials far below the limit that fail all the same: the host did something else
FALSE_HOLD = 0.02           # trials far above it that hold
HELD_BY_MODEL = 0.98        # of the distribution, for a stated confidence of CONFIDENCE
CONFIDENCE = 0.95


class Belief:
    def __init__(self, trials: list[tuple[float, bool]]) -> None:
        tried = sorted({rate for rate, _ in trials})
        held, failed = (numpy.array([trials.count((rate, holds)) for rate in tried], float) for holds in (True, False))
        rates = numpy.log(tried)
        first, last = rates[0] - math.log(ROOM), rates[-1] + math.log(ROOM)
        self.places = numpy.linspace(first, last, int((last - first) / STEP) + 2)
        widths = numpy.array(WIDTHS)[:, None, None]
        holds = 0.5 * (1 + numpy.tanh((self.places[None, :, None] - rates) / (2 * widths)))
        holds = FALSE_HOLD + (1 - FALSE_HOLD - FALSE_FAIL) * holds
        fit = numpy.log(holds) @ held + numpy.log1p(-holds) @ failed
        weights = numpy.exp(fit - fit.max())
        self._of_place = weights.sum(axis=0) / weights.sum()
        self._of_width = weights.sum(axis=1) / weights.sum()

    def quantile(self, part: float) -> float:
        """The rate below which the limit is with that probability."""
        below = numpy.cumsum(self._of_place) - self._of_place / 2
        return float(math.exp(numpy.interp(part, below, self.places)))

    def interval(self) -> tuple[float, float, float]:
        """(low, middle, high)"""
        outside = (1 - HELD_BY_MODEL) / 2
        return self.quantile(outside), self.quantile(0.5), self.quantile(1 - outside)

    def mixed_percent(self) -> float:
        """By how many per cent the rate at which 1 trial of 10 holds is above the rate at which 9 of 10 hold."""
        width = WIDTHS[min(len(WIDTHS) - 1, int(numpy.searchsorted(numpy.cumsum(self._of_width), 0.5)))]
        return 100 * math.expm1(2 * math.log(9) * width)
