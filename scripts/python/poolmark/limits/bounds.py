# SPDX-License-Identifier: Apache-2.0
"""Bounds of latency that a trial has to hold: "p99=20ms", "ack.p99.9=50ms".

    bounds = parse(["p99=20ms,p99.9=100ms"], "publish")
    bounds[0].name, bounds[0].percent, bounds[0].most_ns        "delivery.p99", 99.0, 20e6

Without a latency's name a bound is of deliveries (publish) or of connects (connect).
"""
import re
from dataclasses import dataclass

from poolmark.base.errors import UsageError
from poolmark.base.units import parse_seconds, show_ns
from poolmark.records.hlog import percentile_takes

# Latencies of a scenario, the default first.
LATENCIES = {"publish": ("delivery", "ack"), "connect": ("connect",)}
SAMPLES = 5     # so many times the samples that a percentile takes: one slow message alone does not decide it


@dataclass(frozen=True)
class Bound:
    latency: str
    percent: float
    most_ns: float

    @property
    def name(self) -> str:
        return f"{self.latency}.p{self.percent:g}"

    @property
    def samples(self) -> int:
        """Samples that a trial should have for it."""
        return SAMPLES * percentile_takes(self.percent)

    def text(self) -> str:
        """delivery.p99=20ms, as parse() takes it."""
        return f"{self.name}={self.most_ns:.0f}ns"

    def shown(self) -> str:
        return f"{self.name} at most {show_ns(self.most_ns)}"


def _one(text: str, scenario: str) -> Bound:
    known = LATENCIES[scenario]
    match = re.fullmatch(r"(?:([a-z]+)\.)?p(\d{1,2}(?:\.\d{1,4})?)=(.+)", text)
    if not match:
        raise UsageError(f"--bound {text!r}: it takes [LATENCY.]pN=TIME: p99=20ms, p99.9=100ms, {known[-1]}.p99=50ms")
    latency, percent = match[1] or known[0], float(match[2])
    if latency not in known:
        raise UsageError(f"--bound {text!r}: {scenario} has no bound of {latency!r}; there are: {', '.join(known)}")
    if percent <= 0:
        raise UsageError(f"--bound {text!r}: a percentile is above 0 and below 100")
    if re.fullmatch(r"[\d.]+", match[3].strip()):
        raise UsageError(f"--bound {text!r}: a latency has a unit: {text.strip()}ms, {text.strip()}us, {text.strip()}s")
    try:
        most_ns = 1e9 * parse_seconds(match[3])
    except UsageError as error:
        raise UsageError(f"--bound {text!r}: {error}") from error
    if most_ns < 1:
        raise UsageError(f"--bound {text!r}: no latency is below 1 ns")
    return Bound(latency, percent, float(round(most_ns)))


def parse(texts: list[str], scenario: str) -> list[Bound]:
    found: dict[str, Bound] = {}
    for text in [word.strip() for one in texts for word in one.split(",") if word.strip()]:
        bound = _one(text, scenario)
        if bound.name in found:
            raise UsageError(f"--bound {text!r}: {bound.name} has a bound already")
        found[bound.name] = bound
    if not found:
        raise UsageError("--bound: name one: p99=20ms")
    return list(found.values())
