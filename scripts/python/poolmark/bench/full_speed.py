# SPDX-License-Identifier: Apache-2.0
"""How the benchmarks use the processor's full speed; bench/speed.h defines it.

One process may run entirely while the processor is slow. So each process gets the fastest speed that an earlier process of the
run saw, and at the end all measurements are judged by the fastest speed of the run. A measurement with too little at full
speed is repeated, for longer, while there is time.

Two builds that are measured in turn (bench/in_turn.py) share the host's speed, so every part of their runs counts.
"""
from dataclasses import dataclass
from pathlib import Path

from poolmark.bench.bench_report import Measured
from poolmark.facts.children import Children
from poolmark.base.errors import PoolmarkError
from poolmark.base.forms import RecordData
from poolmark.base.paths import for_people

AGAIN = 3          # most repeated attempts
LONGER = 4         # their least time, in times of the first attempt's
PATIENCE_S = 1.0   # how long they may wait for full speed
PROBE_TIMEOUT_S = 60.0
TOLERANCE = 1.10   # as in bench/speed.h
ENOUGH = 3         # with so many rounds at full speed only these count
SHARE = "full_speed_share"
FULL = "at_full_speed"
STEP = "step_ns"
IN_TURN = "in turn"     # config.windows of a run whose every part counts
NO_TIME_NS = 1e-3       # the least that the program takes: an addition so fast that nothing is at full speed by it; the program then counts everything


def ask(program: Path, folder: Path, children: Children) -> float:
    """Nanoseconds of one addition, measured for a second; 0 for a program without the probe (older builds)."""
    log = folder / "probe.log"
    child = children.start("probe", [str(program), "--poolmark_probe"], log)
    in_time = children.wait(child, PROBE_TIMEOUT_S) is not None
    code = children.stop(child)
    text = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    if not in_time:
        raise PoolmarkError(f"{for_people(program)} --poolmark_probe did not end within {PROBE_TIMEOUT_S:.0f} s")
    try:
        return max(0.0, float(text)) if code == 0 else 0.0
    except ValueError:
        return 0.0


@dataclass
class Speed:
    """The fastest known addition; 0 when unknown. With `everything` each part of a run counts, and no process waits."""

    step_ns: float = 0.0
    everything: bool = False

    @classmethod
    def of(cls, run: RecordData) -> "Speed":
        """By which the rounds of a record were chosen."""
        step_ns = (run.get("summary") or {}).get("step_ns")
        return cls(float(step_ns) if isinstance(step_ns, (int, float)) else 0.0, run.get("config", {}).get("windows") == IN_TURN)

    def flags(self, again: bool, heap_shift: int) -> list[str]:
        """Options for a process; none for older programs, which do not know them."""
        if not self.step_ns:
            return []
        patience_s = 0.0 if self.everything else PATIENCE_S
        return [f"--poolmark_step_ns={NO_TIME_NS if self.everything else self.step_ns:.6f}", f"--poolmark_heap_shift={heap_shift}",
                *([f"--poolmark_patience_ms={patience_s * 1e3:g}"] if again or self.everything else [])]

    def hear(self, measured: Measured) -> None:
        step_ns = measured.counters.get(STEP, 0.0)
        if self.step_ns and step_ns > 0 and not self.everything:
            self.step_ns = min(self.step_ns, step_ns)

    def missed(self, measured: Measured) -> bool:
        """True when a part was not at full speed, or when the process took a slower speed for full speed."""
        if self.everything:
            return False
        slower = self.step_ns and measured.counters.get(STEP, 0.0) > self.step_ns * TOLERANCE
        return measured.counters.get(FULL, 1.0) < 1.0 or bool(slower)

    def rank(self, measured: Measured) -> tuple[bool, float, float]:
        """Higher for more at full speed."""
        return not self.missed(measured), measured.counters.get(FULL, 1.0), measured.counters.get(SHARE, 1.0)
