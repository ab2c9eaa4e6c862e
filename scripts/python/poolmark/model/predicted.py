# SPDX-License-Identifier: Apache-2.0
"""A held-out point: what was measured, and what a model of the other points says."""


class Predicted:
    """For dataclasses that have these."""

    measured: float
    predicted: float
    most_percent: float     # the error that is allowed

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted / self.measured - 1)

    @property
    def holds(self) -> bool:
        return abs(self.error_percent) <= self.most_percent
