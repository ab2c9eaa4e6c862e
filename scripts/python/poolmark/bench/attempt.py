# SPDX-License-Identifier: Apache-2.0
"""One measurement of a benchmark: its command, its files, where its heap begins."""
import random
import re
from dataclasses import dataclass
from pathlib import Path

from poolmark.bench.bench_plan import Bench

HEAP_SHIFTS = range(0, 4096, 16)  # spread over one page


def bench_command(program: Path, bench: Bench, min_time_s: float, out: Path, trace: Path | None, speed: list[str]) -> list[str]:
    """One run of the benchmark. Its report goes to `out`, the cost of each get to `trace`."""
    # The library takes POSIX extended expressions; escape every special character.
    name = re.sub(r"([.\[\]{}()*+?^$|\\])", r"\\\1", bench.program_name)
    return [str(program), f"--benchmark_filter=^{name}$", f"--benchmark_min_time={min_time_s:g}",
            f"--benchmark_out={out}", "--benchmark_out_format=json", *speed, *bench.contender.arguments(),
            *([f"--poolmark_trace={trace}"] if trace else [])]


def shown(argv: list[str], bench: Bench) -> list[str]:
    """The arguments as a record has them: without the folder of a pool's library."""
    of, to = bench.contender.arguments(), bench.contender.arguments(shown=True)
    return [to[1] if of and word == of[1] else word for word in argv]


@dataclass
class Attempt:
    """One measurement of a benchmark in a round. Attempt 1 is planned; later ones repeat it for more windows at full speed."""

    bench: Bench
    round: int
    number: int = 1

    @property
    def file_name(self) -> str:
        return f"{self.round}.json" if self.number == 1 else f"{self.round}-again-{self.number - 1}.json"

    def trace(self, report: Path) -> Path | None:
        """The trace file; only the first round of a traced benchmark writes one."""
        traced = self.round == 1 and self.bench.traced
        return report.with_name(report.name.replace("1", "trace", 1)).with_suffix(".csv") if traced else None

    def heap_shift(self, seed: int) -> int:
        """For this measurement; the same for all contenders."""
        return random.Random(f"{seed} {self.bench.group} {self.round} {self.number}").choice(HEAP_SHIFTS)
