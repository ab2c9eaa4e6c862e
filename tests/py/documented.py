# SPDX-License-Identifier: Apache-2.0
"""Which metrics of a run are in no program's catalogue."""
from poolmark_lib import described
from poolmark_lib.paths import build_dir


def undocumented(names) -> list[str]:
    known = described.catalogue(build_dir())
    return sorted(name for name in set(names) if described.metric_of(name, known) is None)
