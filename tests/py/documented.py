# SPDX-License-Identifier: Apache-2.0
"""Which metrics of a run are in no program's catalogue."""
import re

from poolmark_lib import described
from poolmark_lib.paths import build_dir

PHASED = re.compile(r"((?:delivery|ack)(?:_uncorrected)?)_qos[01](\..*)")


def undocumented(names) -> list[str]:
    known = described.catalogue(build_dir())
    return sorted(name for name in set(names) if described.metric_of(PHASED.sub(r"\1\2", name), known) is None)
