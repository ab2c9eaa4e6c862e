# SPDX-License-Identifier: Apache-2.0
"""A claim that is made up."""
from poolmark.claims.catalogue import Claim


def claim(**changes) -> Claim:
    return Claim(**{"id": "x", "system": "expand", "source": "s", "says": "It is 1 to 2.", "metric": "m", "unit": "ms", "setup": "none",
                    "low": 1.0, "high": 2.0} | changes)
